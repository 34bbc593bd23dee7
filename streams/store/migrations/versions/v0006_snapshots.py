"""Version 6: waiting snapshots as rows of their own, beside the states that had them in themselves before."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table; a state of before gives its snapshots up when its subscriber is next heard of."""
    op.create_table(
        "snapshots",
        sa.Column("subscriber_id", sa.String(128), primary_key=True),
        sa.Column("at_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    row = sa.table("forewarn", sa.column("schema_version"))
    op.execute(row.update().values(schema_version=6))

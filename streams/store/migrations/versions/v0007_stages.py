"""Version 7: how far it has come, beside each alert and each of its transitions."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns; what was told before there were stages was told as being at risk."""
    for table in ("transitions", "alerts"):
        op.add_column(table, sa.Column("stage", sa.Text, nullable=False, server_default="at_risk"))
    row = sa.table("forewarn", sa.column("schema_version"))
    op.execute(row.update().values(schema_version=7))

"""Version 3: the tables as they were when migrations began; every later version is a change to them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = None


def upgrade() -> None:
    """Make the tables, and last the row that says so."""
    _make_run()
    _make_alerts()
    _make_learning()
    _make_refused()
    row = sa.table("forewarn", sa.column("id"), sa.column("schema_version"))
    op.execute(row.insert().values(id=1, schema_version=3))


def _make_run() -> None:
    op.create_table(
        "forewarn",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("policy", sa.JSON, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("feature_table", sa.Text, nullable=False),
        sa.Column("received_ms", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("stream_ms", sa.BigInteger, nullable=False),
        sa.Column("counters", sa.JSON, nullable=False),
        sa.Column("commits", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "positions",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("last_ms", sa.BigInteger, nullable=False),
        sa.Column("max_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "states",
        sa.Column("subscriber_id", sa.String(128), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )


def _make_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.String(128), primary_key=True),
        sa.Column("subscriber_id", sa.String(128), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("episode", sa.Integer, nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("band", sa.Text, nullable=False),
        sa.Column("value_band", sa.Text, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("latest_at_ms", sa.BigInteger, nullable=False),
        sa.Column("latest_rank", sa.SmallInteger, nullable=False),
        sa.Column("latest_transition_id", sa.String(128), nullable=False),
        sa.Column("held_out", sa.Boolean, nullable=False),
        sa.Index("alerts_by_subscriber", "subscriber_id"),
        sa.Index("alerts_by_state", "state", "probability"),
    )
    op.create_table(
        "transitions",
        sa.Column("transition_id", sa.String(128), primary_key=True),
        sa.Column("alert_id", sa.String(128), nullable=False),
        sa.Column("subscriber_id", sa.String(128), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("episode", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("rank", sa.SmallInteger, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("logit", sa.Double, nullable=False),
        sa.Column("intercept", sa.Double, nullable=False),
        sa.Column("threshold", sa.Double, nullable=False),
        sa.Column("band", sa.Text, nullable=False),
        sa.Column("value_band", sa.Text, nullable=False),
        sa.Column("value_at_risk_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("due_at_ms", sa.BigInteger, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("feature_table", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("schema_version", sa.Text, nullable=False),
        sa.Column("offsets", sa.JSON, nullable=False),
        sa.Column("account_manager_id", sa.Text),
        sa.Column("group_id", sa.Text),
        sa.Column("area_id", sa.Text),
        sa.Column("signals_version", sa.Text),
        sa.Column("held_out", sa.Boolean, nullable=False),
        sa.Index("transitions_by_alert", "alert_id", "at_ms"),
    )


def _make_learning() -> None:
    op.create_table(
        "models",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("published_at_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_table(
        "promotions",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_table(
        "market_events",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("entry_id", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("known_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_table(
        "predictions",
        sa.Column("example_id", sa.String(128), primary_key=True),
        sa.Column("subscriber_id", sa.String(128), nullable=False),
        sa.Column("snapshot_at_ms", sa.BigInteger, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("label", sa.Boolean, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("knowable_at_ms", sa.BigInteger, nullable=False),
        sa.Column("closed_at_ms", sa.BigInteger, nullable=False),
        sa.Column("treatment", sa.Text, nullable=False),
        sa.Column("provisional", sa.Boolean, nullable=False),
        sa.Column("corrects", sa.Boolean),
    )
    op.create_table(
        "example_features",
        sa.Column("example_id", sa.String(128), primary_key=True),
        sa.Column("feature_table", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "trainer",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )


def _make_refused() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "late_events",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("subscriber_id", sa.String(128), nullable=False),
        sa.Column("event_id", sa.String(128), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("late_by_s", sa.BigInteger, nullable=False),
    )

"""Version 4: the notification sink, and with each transition whether its subscriber may be contacted."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of the sink; who may not be contacted is not known of what was written before."""
    op.add_column("transitions", sa.Column("contact_allowed", sa.Boolean, nullable=False, server_default=sa.true()))
    _make_endpoints()
    _make_deliveries()
    _index_deliveries()
    _make_contact()
    _make_work()
    _make_progress()
    row = sa.table("forewarn", sa.column("schema_version"))
    op.execute(row.update().values(schema_version=4))


def _index_deliveries() -> None:
    waiting = sa.column("state").in_(("pending", "in_flight", "unknown"))
    in_flight = sa.column("state") == "in_flight"
    order = ["endpoint", "alert_id", "number"]
    due = ["endpoint", "next_attempt_ms", "number"]
    one = ["endpoint", "alert_id"]
    op.create_index("deliveries_in_order", "deliveries", order, sqlite_where=waiting, postgresql_where=waiting)
    fresh = sa.and_(sa.column("state") == "pending", sa.column("attempts") == 0)
    dearest: list[str | sa.ColumnElement[float]] = ["endpoint", sa.column("rank", sa.Double).desc(), "number"]
    op.create_index("deliveries_fresh", "deliveries", dearest, sqlite_where=fresh, postgresql_where=fresh)
    tried = sa.and_(waiting, sa.column("attempts") > 0)
    op.create_index("deliveries_tried", "deliveries", due, sqlite_where=tried, postgresql_where=tried)
    op.create_index(
        "deliveries_one_in_flight",
        "deliveries",
        one,
        unique=True,
        sqlite_where=in_flight,
        postgresql_where=in_flight,
    )


def _make_endpoints() -> None:
    op.create_table(
        "endpoints",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("circuit", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("first_failure_ms", sa.BigInteger),
        sa.Column("open_until_ms", sa.BigInteger),
        sa.Column("warned_percent", sa.Integer, nullable=False),
    )
    op.create_table(
        "endpoint_audit",
        sa.Column("number", SERIAL, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )


def _make_deliveries() -> None:
    op.create_table(
        "messages",
        sa.Column("message_id", sa.String(128), primary_key=True),
        sa.Column("alert_id", sa.String(128), nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("event_ms", sa.BigInteger, nullable=False),
        sa.Column("transition_id", sa.String(128), nullable=False),
        sa.Column("work_event_id", sa.String(128)),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Index("messages_by_alert", "alert_id", "created_ms"),
    )
    op.create_table(
        "deliveries",
        sa.Column("number", SERIAL, primary_key=True, autoincrement=True),
        sa.Column("delivery_id", sa.String(64), nullable=False, unique=True),
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("message_id", sa.String(128), nullable=False),
        sa.Column("alert_id", sa.String(128), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("rank", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("finished_ms", sa.BigInteger),
        sa.Column("lease_owner", sa.String(64)),
        sa.Column("lease_until_ms", sa.BigInteger),
        sa.Index("deliveries_once", "endpoint", "message_id", unique=True),
        sa.Index("deliveries_by_alert", "alert_id"),
    )
    op.create_table(
        "attempts",
        sa.Column("delivery_id", sa.String(64), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("began_ms", sa.BigInteger, nullable=False),
        sa.Column("took_ms", sa.Integer, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
    )
    op.create_table(
        "tickets",
        sa.Column("alert_id", sa.String(128), primary_key=True),
        sa.Column("endpoint", sa.String(64), primary_key=True),
        sa.Column("external_id", sa.Text),
        sa.Column("external_ref", sa.Text),
        sa.Column("told_ms", sa.BigInteger, nullable=False),
        sa.Column("last_message_id", sa.String(128), nullable=False),
        sa.Column("resolved", sa.Boolean, nullable=False),
    )
    named = sa.column("external_id").is_not(None)
    by_external = ["endpoint", "external_id"]
    op.create_index("tickets_by_external", "tickets", by_external, sqlite_where=named, postgresql_where=named)


def _make_contact() -> None:
    op.create_table(
        "cool_downs",
        sa.Column("subscriber_id", sa.String(128), primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("channel", sa.String(64), primary_key=True),
        sa.Column("alert_id", sa.String(128), nullable=False),
        sa.Column("event_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "slots",
        sa.Column("account_manager_id", sa.String(128), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("alert_id", sa.String(128), primary_key=True),
        sa.Column("rank", sa.Double, nullable=False),
    )


def _make_work() -> None:
    op.create_table(
        "work",
        sa.Column("alert_id", sa.String(128), primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("assignee", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("snoozed_until_ms", sa.BigInteger),
        sa.Column("snooze_reason", sa.Text),
        sa.Column("outcome", sa.Text),
        sa.Column("outcome_reason", sa.Text),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "work_events",
        sa.Column("work_event_id", sa.String(128), primary_key=True),
        sa.Column("alert_id", sa.String(128), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("act", sa.Text, nullable=False),
        sa.Column("origin", sa.String(128), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Index("work_events_by_alert", "alert_id", "at_ms"),
    )
    op.create_table(
        "reported",
        sa.Column("event_id", sa.String(64), primary_key=True),
        sa.Column("subscriber_id", sa.String(128), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("sent_ms", sa.BigInteger),
    )


def _make_progress() -> None:
    op.create_table(
        "consumed",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "digests",
        sa.Column("account_manager_id", sa.String(128), primary_key=True),
        sa.Column("channel", sa.String(16), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
        sa.Column("message_id", sa.String(255), nullable=False),
        sa.Column("sent_ms", sa.BigInteger, nullable=False),
    )

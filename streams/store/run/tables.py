"""The tables of a run, in types that SQLite and PostgreSQL both have.

Times are whole ms since 1970 UTC, ids are text, packed values are bytes.  Only what a query filters or sorts by,
or what a person may want to see in a plain SQL shell, has a column of its own; the rest of a value is JSON.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    false,
    text,
    true,
)

from streams.store.base.tables import metadata

run: Final = Table(
    "run",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("input", Text, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("policy", JSON, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("feature_table", Text, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("stream_ms", BigInteger, nullable=False),
    Column("counters", JSON, nullable=False),
    # How many commits there have been: a writer that does not know the number has been overtaken by another.
    Column("commits", BigInteger, nullable=False),
)

positions: Final = Table(
    "positions",
    metadata,
    Column("source", Text, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("max_ms", BigInteger, nullable=False),
)

states: Final = Table(
    "states",
    metadata,
    Column("subscriber_id", String(128), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    # One tree instead of two: a commit rewrites many states and looks nothing up by row number.
    sqlite_with_rowid=False,
)

snapshots: Final = Table(
    # What a snapshot holds that waits for its outcome; what has happened since is in its subscriber's state.
    "snapshots",
    metadata,
    Column("subscriber_id", String(128), primary_key=True),
    Column("at_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

alerts: Final = Table(
    # The machine's half of an alert, as its newest transition left it.
    "alerts",
    metadata,
    Column("alert_id", String(128), primary_key=True),
    Column("subscriber_id", String(128), nullable=False),
    Column("kind", Text, nullable=False),
    Column("episode", Integer, nullable=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("band", Text, nullable=False),
    Column("value_band", Text, nullable=False),
    Column("probability", Double, nullable=False),
    Column("latest_at_ms", BigInteger, nullable=False),
    Column("latest_rank", SmallInteger, nullable=False),
    Column("latest_transition_id", String(128), nullable=False),
    Column("held_out", Boolean, nullable=False),
    # What lists for people are chosen and sorted by: `is_firing` is `state` again, as an index can have it.
    Column("is_firing", Boolean, nullable=False, server_default=false()),
    Column("urgency", Double, nullable=False, server_default=text("0")),
    Column("fired_at_ms", BigInteger),
    Column("stage", Text, nullable=False, server_default="at_risk"),
    Index("alerts_by_subscriber", "subscriber_id"),
    Index("alerts_by_state", "state", "probability"),
    Index("alerts_by_urgency", "held_out", "is_firing", "urgency", "fired_at_ms"),
)

transitions: Final = Table(
    # Every field of `AlertChanged`, so that an alert is explained from what was true when it changed.
    "transitions",
    metadata,
    Column("transition_id", String(128), primary_key=True),
    Column("alert_id", String(128), nullable=False),
    Column("subscriber_id", String(128), nullable=False),
    Column("kind", Text, nullable=False),
    Column("episode", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("change", Text, nullable=False),
    Column("rank", SmallInteger, nullable=False),
    Column("why", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("probability", Double, nullable=False),
    Column("logit", Double, nullable=False),
    Column("intercept", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("band", Text, nullable=False),
    Column("value_band", Text, nullable=False),
    Column("value_at_risk_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("action", Text, nullable=False),
    Column("due_at_ms", BigInteger, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("feature_table", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("schema_version", Text, nullable=False),
    Column("offsets", JSON, nullable=False),
    Column("account_manager_id", Text),
    Column("group_id", Text),
    Column("area_id", Text),
    Column("signals_version", Text),
    Column("held_out", Boolean, nullable=False),
    Column("contact_allowed", Boolean, nullable=False, server_default=true()),
    Column("why_code", Text),
    Column("action_code", Text),
    Column("stage", Text, nullable=False, server_default="at_risk"),
    Index("transitions_by_alert", "alert_id", "at_ms"),
)

models: Final = Table(
    "models",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
    Column("published_at_ms", BigInteger, nullable=False),
    Column("body", JSON, nullable=False),
)

promotions: Final = Table(
    # In the order in which they were made: of two of one date the later one counts.
    "promotions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("body", JSON, nullable=False),
)

market_events: Final = Table(
    # What was published about the market, and from when this run knew it.
    "market_events",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("entry_id", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("known_ms", BigInteger, nullable=False),
    Column("body", JSON, nullable=False),
)

predictions: Final = Table(
    "predictions",
    metadata,
    Column("example_id", String(128), primary_key=True),
    Column("subscriber_id", String(128), nullable=False),
    Column("snapshot_at_ms", BigInteger, nullable=False),
    Column("probability", Double, nullable=False),
    Column("label", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("knowable_at_ms", BigInteger, nullable=False),
    Column("closed_at_ms", BigInteger, nullable=False),
    Column("treatment", Text, nullable=False),
    Column("provisional", Boolean, nullable=False),
    Column("corrects", Boolean),
)

example_features: Final = Table(
    # Apart from the predictions, which are read whole for every figure, and this only to learn from them again.
    "example_features",
    metadata,
    Column("example_id", String(128), primary_key=True),
    Column("feature_table", Text, nullable=False),
    # Doubles, the lowest byte first, in the order of the feature table.
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

dead_letters: Final = Table(
    "dead_letters",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
)

late_events: Final = Table(
    "late_events",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("subscriber_id", String(128), nullable=False),
    Column("event_id", String(128), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("late_by_s", BigInteger, nullable=False),
)

trainer: Final = Table(
    "trainer",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

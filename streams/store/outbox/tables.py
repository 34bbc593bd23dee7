"""The tables of the sink: who is told of alerts, what was told, and what people do about them.

What the machine says of an alert stands in `alerts` and `transitions`; what people say of it stands in `work` and
`work_events`, which nothing but somebody's act ever writes.  Times are whole ms since 1970 UTC by the clock of the
wall, except where the name says `event`.
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
    String,
    Table,
    Text,
    and_,
)

from streams.core.notify.endpoints import WAITING
from streams.store.base.tables import metadata

# SQLite numbers rows by itself only where the type is exactly INTEGER.
_Serial = BigInteger().with_variant(Integer, "sqlite")

endpoints: Final = Table(
    "endpoints",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("config", JSON, nullable=False),
    # Its secrets, sealed with a key that is not in the database.
    Column("sealed", LargeBinary),
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    # The circuit, which all dispatchers share: see `streams.core.notify.circuit.Health`.
    Column("circuit", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("first_failure_ms", BigInteger),
    Column("open_until_ms", BigInteger),
    Column("warned_percent", Integer, nullable=False),
)

endpoint_audit: Final = Table(
    "endpoint_audit",
    metadata,
    Column("number", _Serial, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("change", Text, nullable=False),
    Column("why", Text, nullable=False),
)

messages: Final = Table(
    # One for each transition or act of which endpoints may be told; its id is the `webhook-id` of every attempt.
    "messages",
    metadata,
    Column("message_id", String(128), primary_key=True),
    Column("alert_id", String(128), nullable=False),
    Column("type", Text, nullable=False),
    Column("event_ms", BigInteger, nullable=False),
    Column("transition_id", String(128), nullable=False),
    Column("work_event_id", String(128)),
    Column("created_ms", BigInteger, nullable=False),
    Index("messages_by_alert", "alert_id", "created_ms"),
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("number", _Serial, primary_key=True, autoincrement=True),
    Column("delivery_id", String(64), nullable=False, unique=True),
    Column("endpoint", String(64), nullable=False),
    Column("message_id", String(128), nullable=False),
    Column("alert_id", String(128), nullable=False),
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
    # Probability times value at risk: of those that are due, the dearest first.
    Column("rank", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger),
    Column("lease_owner", String(64)),
    Column("lease_until_ms", BigInteger),
    # Which rule holds it back, of those in `SuppressedBy`; `why` says the same to people.
    Column("suppressed_by", Text),
    Index("deliveries_once", "endpoint", "message_id", unique=True),
    Index("deliveries_by_alert", "alert_id"),
)
_waiting = deliveries.c.state.in_(WAITING)
_in_flight = deliveries.c.state == "in_flight"
Index("deliveries_in_order", deliveries.c.endpoint, deliveries.c.alert_id, deliveries.c.number,
      sqlite_where=_waiting, postgresql_where=_waiting)  # fmt: skip
_fresh = and_(deliveries.c.state == "pending", deliveries.c.attempts == 0)
# The first of a long backlog are found without sorting it.
Index("deliveries_fresh", deliveries.c.endpoint, deliveries.c.rank.desc(), deliveries.c.number,
      sqlite_where=_fresh, postgresql_where=_fresh)  # fmt: skip
_tried = and_(_waiting, deliveries.c.attempts > 0)
# And the few that were tried before, beside all those that were not.
Index("deliveries_tried", deliveries.c.endpoint, deliveries.c.next_attempt_ms, deliveries.c.number,
      sqlite_where=_tried, postgresql_where=_tried)  # fmt: skip
# Two dispatchers can never send of one alert to one endpoint at the same time, whatever the claim does.
Index("deliveries_one_in_flight", deliveries.c.endpoint, deliveries.c.alert_id, unique=True,
      sqlite_where=_in_flight, postgresql_where=_in_flight)  # fmt: skip

attempts: Final = Table(
    "attempts",
    metadata,
    Column("delivery_id", String(64), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("began_ms", BigInteger, nullable=False),
    Column("took_ms", Integer, nullable=False),
    # The status of the answer, None if there was none.
    Column("status", Integer),
    Column("outcome", Text, nullable=False),
    Column("why", Text, nullable=False),
    # The beginning of the answer, for people who look for what went wrong.
    Column("answer", Text, nullable=False),
)

tickets: Final = Table(
    # What a receiver was told of an alert first, and by which id it knows it.  The key begins with what
    # tells most: as long as PostgreSQL has no statistics it takes any index that is begun by what it looks for.
    "tickets",
    metadata,
    Column("alert_id", String(128), primary_key=True),
    Column("endpoint", String(64), primary_key=True),
    Column("external_id", Text),
    Column("external_ref", Text),
    Column("told_ms", BigInteger, nullable=False),
    Column("last_message_id", String(128), nullable=False),
    Column("resolved", Boolean, nullable=False),
)
_named = tickets.c.external_id.is_not(None)
Index("tickets_by_external", tickets.c.endpoint, tickets.c.external_id,
      sqlite_where=_named, postgresql_where=_named)  # fmt: skip

cool_downs: Final = Table(
    # Which alert had the last word of a kind to a channel: another one within the cool-down is held back.
    "cool_downs",
    metadata,
    Column("subscriber_id", String(128), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("channel", String(64), primary_key=True),
    Column("alert_id", String(128), nullable=False),
    Column("event_ms", BigInteger, nullable=False),
)

slots: Final = Table(
    # The alerts that an account manager's day has taken, of as many as the capacity allows.
    "slots",
    metadata,
    Column("account_manager_id", String(128), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("alert_id", String(128), primary_key=True),
    Column("rank", Double, nullable=False),
)

work: Final = Table(
    # The people's half of an alert.
    "work",
    metadata,
    Column("alert_id", String(128), primary_key=True),
    Column("state", Text, nullable=False),
    Column("assignee", Text),
    Column("note", Text),
    Column("snoozed_until_ms", BigInteger),
    Column("snooze_reason", Text),
    Column("outcome", Text),
    Column("outcome_reason", Text),
    Column("updated_ms", BigInteger, nullable=False),
    # How often people have changed it: who changes it says which one they saw.
    Column("version", Integer, nullable=False),
)

work_events: Final = Table(
    # Every act, once: its id comes from whoever acted, so the same call a second time changes nothing.
    "work_events",
    metadata,
    Column("work_event_id", String(128), primary_key=True),
    Column("alert_id", String(128), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("act", Text, nullable=False),
    Column("origin", String(128), nullable=False),
    Column("body", JSON, nullable=False),
    Index("work_events_by_alert", "alert_id", "at_ms"),
)

reported: Final = Table(
    # Outcomes that people reported, on their way to the topic `outcomes`.
    "reported",
    metadata,
    Column("event_id", String(64), primary_key=True),
    Column("subscriber_id", String(128), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("sent_ms", BigInteger),
)

consumed: Final = Table(
    # How far the topic of alerts was taken in, in the same transaction as what came from it.
    "consumed",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
)

digests: Final = Table(
    # What an account manager was sent, by day and channel: a digest that is asked for again is not sent twice.
    "digests",
    metadata,
    Column("account_manager_id", String(128), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    # What it spoke of in event time, so that the next one begins where this one ended.
    Column("until_ms", BigInteger, nullable=False),
    Column("message_id", String(255), nullable=False),
    Column("sent_ms", BigInteger, nullable=False),
)

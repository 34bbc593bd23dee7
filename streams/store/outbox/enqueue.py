"""Enqueues deliveries: transitions and acts become rows for the endpoints they concern, in the caller's transaction.

Every message that concerns an endpoint becomes one row: to be sent, or with the reason why it is not.  A newer message
takes the place of an older one of the same alert that was not sent yet: after an outage a receiver hears once how
things stand, and nothing of what came and went meanwhile.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from msgspec import Struct, convert, field
from sqlalchemy import Connection, bindparam, select, update

from streams.core.contracts.effects import AlertChanged
from streams.core.notify.contact import (
    ContactRules,
    after_quiet_hours,
    concerns,
    expires_ms,
    is_stale,
    rank_of,
)
from streams.core.notify.endpoints import WAITING, DeliveryState, Endpoint, Filter, MessageType, SuppressedBy
from streams.core.notify.messages import ENDINGS, delivery_id, may_be_first, type_of
from streams.store.base.statements import RowValues, add, among, inline_value, parts
from streams.store.outbox import tables
from streams.store.outbox.contact_limits import CoolDowns, ManagerDays
from streams.store.run.tables import alerts as alert_table
from streams.store.run.tables import transitions as transition_table

_WHY: Final[dict[SuppressedBy, str]] = {
    "held_out": "held_out: nobody is told of this subscriber, so that the others can be compared with them",
    "contact_not_allowed": "contact_not_allowed: the subscriber does not want to be contacted",
    "cool_down": "cool_down: another alert of this subscriber and kind was told to this channel a short time before",
    "capacity": "capacity: the account manager's day is full of alerts that are worth more",
    "never_told": "never_told: the receiver never heard of this alert, and need not hear how it goes on",
    "stale_event": "stale_event: it happened longer ago than the rules of contact let anybody be told",
    "origin": "origin: the receiver said so itself",
}
SUPERSEDED: Final = "a newer message of the alert takes its place"
CAME_AND_WENT: Final = "the alert came and went before the receiver was told of it"
LOCKED_PART: Final = 20_000
"""Rows of so many alerts are locked at once, in their order, so that two who lock rows never wait for one another."""


class OutboxMessage(Struct, frozen=True, kw_only=True):
    """A message before anybody is told: what it says, of which alert as it stands, and by whose act.

    `origin` is the endpoint whose act it was, which needs not be told of it.
    """

    message_id: str
    type: MessageType
    changed: AlertChanged
    event_ms: int
    work_event_id: str | None = None
    origin: str | None = None


class EnqueueResult(Struct, frozen=True):
    """How many deliveries were written to be sent, and how many with a reason why they are not."""

    waiting: int = 0
    suppressed: int = 0


class _AlertDeliveryState(Struct):
    """How one endpoint stands with one alert: was it told, what waits for it, is an attempt under way."""

    is_told: bool = False
    is_busy: bool = False
    is_held: bool = False
    is_untouched: bool = True
    waiting: list[str] = field(default_factory=list)

    @property
    def has_begun(self) -> bool:
        return self.is_told or self.is_busy or bool(self.waiting)


def messages_of(transitions: Iterable[AlertChanged]) -> list[OutboxMessage]:
    """Return the messages that transitions make, in their order; most make none."""
    return [
        OutboxMessage(message_id=changed.transition_id, type=message, changed=changed, event_ms=changed.at_ms)
        for changed in transitions
        if (message := type_of(changed.change)) is not None
    ]


def not_yet_known(connection: Connection, transitions: Sequence[AlertChanged]) -> list[AlertChanged]:
    """Return the transitions that are not in the database, each once, as it was said first."""
    known: set[str] = set()
    column = transition_table.c.transition_id
    for part in parts(changed.transition_id for changed in transitions):
        known.update(connection.scalars(select(column).where(among(connection, column, part))))
    new: dict[str, AlertChanged] = {}
    for one in transitions:
        if one.transition_id not in known:
            new.setdefault(one.transition_id, one)
    return list(new.values())


def endpoints_told(connection: Connection) -> list[Endpoint]:
    """Return the endpoints that deliveries are written for, by name: those that are paused too."""
    table = tables.endpoints
    query = select(table.c.config).where(table.c.state != "disabled").order_by(table.c.name)
    return [convert(config, Endpoint) for config in connection.scalars(query)]


def enqueue(
    connection: Connection, notices: Sequence[OutboxMessage], rules: ContactRules, now_ms: int
) -> EnqueueResult:
    """Write the deliveries of messages that are new; the caller has made sure of that, and that nobody else writes."""
    if not notices:
        return EnqueueResult()
    endpoints = endpoints_told(connection)
    if not endpoints:
        return EnqueueResult()
    writing = _DeliveryWriter(connection, rules, now_ms, endpoints, notices)
    for notice in notices:
        for endpoint in endpoints:
            writing.tell(endpoint, notice)
    return writing.write(notices)


class _DeliveryWriter:
    """The deliveries of one batch, while it is worked off."""

    def __init__(
        self,
        connection: Connection,
        rules: ContactRules,
        now_ms: int,
        endpoints: Sequence[Endpoint],
        notices: Sequence[OutboxMessage],
    ) -> None:
        self._connection = connection
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._rules = rules
        self._now_ms = now_ms
        self._rows: dict[str, dict[str, object]] = {}
        self._changes: dict[str, tuple[DeliveryState, str, SuppressedBy | None]] = {}
        self._standings: dict[str, dict[str, _AlertDeliveryState]] = {}
        self._cool_downs = CoolDowns(connection, rules, {notice.changed.subscriber_id for notice in notices})
        self._days = ManagerDays(connection, rules)
        self._load({notice.changed.alert_id for notice in notices})

    def tell(self, endpoint: Endpoint, notice: OutboxMessage) -> None:
        """Write down whether an endpoint is told of a message; nothing where the message does not concern it."""
        changed, asked = notice.changed, endpoint.filter
        standing = self._delivery_state(endpoint.name, changed.alert_id)
        if asked.types and notice.type not in asked.types:
            return
        if not standing.has_begun and not _may_begin(asked, notice, standing):
            return
        why = self._why_not(endpoint, notice, standing)
        if why is not None:
            standing.is_held = True
            self._put(endpoint, notice, "suppressed", _WHY[why], why)
            return
        if endpoint.coalesce:
            for older in standing.waiting:
                self._set(older, "superseded", SUPERSEDED)
            standing.waiting.clear()
            standing.is_untouched = True
            if notice.type in ENDINGS and not standing.is_told and not standing.is_busy:
                self._put(endpoint, notice, "skipped", CAME_AND_WENT)
                return
        standing.waiting.append(self._put(endpoint, notice, "pending", ""))

    def write(self, notices: Sequence[OutboxMessage]) -> EnqueueResult:
        """Write all of it."""
        connection, now_ms = self._connection, self._now_ms
        add(connection, tables.messages, [_message(notice, now_ms) for notice in notices])
        add(connection, tables.deliveries, self._rows.values())
        if self._changes:
            table = tables.deliveries
            statement = (
                update(table)
                .where(table.c.delivery_id == bindparam("the_id"), table.c.state == "pending")
                .values(
                    state=bindparam("to"), why=bindparam("because"), suppressed_by=bindparam("by"), finished_ms=now_ms
                )
            )
            changes = [
                {"the_id": one, "to": to, "because": why, "by": by}
                for one, (to, why, by) in sorted(self._changes.items())
            ]
            connection.execute(statement, changes)
        self._cool_downs.write(connection)
        self._days.write(connection)
        states = [row["state"] for row in self._rows.values()]
        return EnqueueResult(states.count("pending"), states.count("suppressed"))

    def _why_not(self, endpoint: Endpoint, notice: OutboxMessage, standing: _AlertDeliveryState) -> SuppressedBy | None:
        """Return why an endpoint is not told, None if it is; who is told first is written into the books."""
        changed = notice.changed
        if notice.origin == endpoint.name:
            return "origin"
        if changed.held_out:
            return "held_out"
        if endpoint.contact and not changed.contact_allowed and not (standing.has_begun and notice.type in ENDINGS):
            return "contact_not_allowed"
        if is_stale(self._rules, notice.event_ms, self._now_ms):
            return "stale_event"
        if standing.has_begun:
            return None
        if not may_be_first(notice.type, changed.stage, endpoint.filter):
            return "never_told"
        # Who asks to leave is told of on that day, whatever was told shortly before.
        is_request = changed.stage == "requested"
        if endpoint.contact and not is_request and self._cool_downs.holds(changed, endpoint.channel):
            return "cool_down"
        if endpoint.capacity and not self._has_a_place(changed):
            return "capacity"
        if endpoint.contact:
            self._cool_downs.note(changed, endpoint.channel)
        return None

    def _has_a_place(self, changed: AlertChanged) -> bool:
        """Give an alert a place in its account manager's day, that of a lesser one if the day is full."""
        found = self._days.slot(changed)
        if found is None:
            return True
        slot, capacity = found
        taken, rank = self._days.ranks_of_day(slot), rank_of(changed)
        if changed.alert_id not in taken:
            if len(taken) >= capacity:
                giving_way = self._giving_way(taken, rank)
                if giving_way is None:
                    return False
                self._withdraw(giving_way)
                self._days.leave(slot, giving_way)
            self._days.take(slot, changed.alert_id, rank)
        return True

    def _giving_way(self, taken: dict[str, float], rank: float) -> str | None:
        """Return the least of a day's alerts of which nobody has heard, if it is worth less."""
        for alert_id, worth in sorted(taken.items(), key=lambda one: (one[1], one[0])):
            if worth >= rank:
                return None
            limited = [one for name, one in self._of(alert_id).items() if self._is_limited(name)]
            if all(not one.is_told and not one.is_busy and one.is_untouched for one in limited):
                return alert_id
        return None

    def _withdraw(self, alert_id: str) -> None:
        """Take back what waits to be told of an alert where the account manager's day bounds it."""
        standings = self._of(alert_id)
        for name, standing in standings.items():
            if self._is_limited(name) and standing.waiting:
                for waiting in standing.waiting:
                    self._set(waiting, "suppressed", _WHY["capacity"], "capacity")
                standing.waiting.clear()
                standing.is_held = True
        speaking = {self._endpoints[name].channel for name, one in standings.items() if self._speaks(name, one)}
        column = alert_table.c
        query = select(column.subscriber_id, column.kind).where(column.alert_id == alert_id)
        subscriber_id, kind = self._connection.execute(query).one()
        for channel in sorted({endpoint.channel for endpoint in self._endpoints.values()} - speaking):
            self._cool_downs.forget(alert_id, subscriber_id, kind, channel)

    def _is_limited(self, name: str) -> bool:
        endpoint = self._endpoints.get(name)
        return endpoint is not None and endpoint.capacity

    def _speaks(self, name: str, standing: _AlertDeliveryState) -> bool:
        """Say whether an endpoint that leads to contact is told of an alert."""
        endpoint = self._endpoints.get(name)
        return endpoint is not None and endpoint.contact and standing.has_begun

    def _put(
        self, endpoint: Endpoint, notice: OutboxMessage, state: DeliveryState, why: str, by: SuppressedBy | None = None
    ) -> str:
        now_ms, one = self._now_ms, delivery_id(endpoint.name, notice.message_id)
        self._rows[one] = {
            "delivery_id": one,
            "endpoint": endpoint.name,
            "message_id": notice.message_id,
            "alert_id": notice.changed.alert_id,
            "state": state,
            "why": why,
            "suppressed_by": by,
            "rank": rank_of(notice.changed),
            "attempts": 0,
            "next_attempt_ms": after_quiet_hours(endpoint.quiet_hours, now_ms),
            "expires_ms": expires_ms(self._rules, endpoint.ttl_hours, now_ms),
            "created_ms": now_ms,
            "finished_ms": None if state == "pending" else now_ms,
        }
        return one

    def _set(self, one: str, state: DeliveryState, why: str, by: SuppressedBy | None = None) -> None:
        row = self._rows.get(one)
        if row is None:
            self._changes[one] = (state, why, by)
        else:
            row.update(state=state, why=why, suppressed_by=by, finished_ms=self._now_ms)

    def _delivery_state(self, endpoint: str, alert_id: str) -> _AlertDeliveryState:
        return self._of(alert_id).setdefault(endpoint, _AlertDeliveryState())

    def _of(self, alert_id: str) -> dict[str, _AlertDeliveryState]:
        if alert_id not in self._standings:
            self._load({alert_id})
        return self._standings[alert_id]

    def _load(self, alert_ids: Collection[str]) -> None:
        """Read how all endpoints stand with some alerts."""
        self._standings |= {alert_id: {} for alert_id in alert_ids}
        listed, one, ticket = sorted(alert_ids), tables.deliveries.c, tables.tickets.c
        for start in range(0, len(listed), LOCKED_PART):
            # Locked before the tickets are read: what is being sent just now has then been told, or waits again.
            query = select(one.endpoint, one.alert_id, one.delivery_id, one.state, one.attempts)
            query = query.where(
                one.alert_id.in_(listed[start : start + LOCKED_PART]), one.state.in_(inline_value(WAITING))
            )
            for row in self._connection.execute(query.order_by(one.number).with_for_update()):
                standing = self._delivery_state(row.endpoint, row.alert_id)
                if row.state == "pending":
                    standing.waiting.append(row.delivery_id)
                    standing.is_untouched = standing.is_untouched and not row.attempts
                else:
                    standing.is_busy = True
        for part in parts(listed):
            told = select(ticket.endpoint, ticket.alert_id)
            told = told.where(ticket.endpoint.in_(sorted(self._endpoints)), ticket.alert_id.in_(part))
            for endpoint, alert_id in self._connection.execute(told):
                self._delivery_state(endpoint, alert_id).is_told = True
            held = select(one.endpoint, one.alert_id).where(one.alert_id.in_(part), one.state == "suppressed")
            for endpoint, alert_id in self._connection.execute(held.distinct()):
                self._delivery_state(endpoint, alert_id).is_held = True


def _may_begin(asked: Filter, notice: OutboxMessage, standing: _AlertDeliveryState) -> bool:
    """Say whether a message is of interest to an endpoint that was not told of the alert."""
    is_first = may_be_first(notice.type, notice.changed.stage, asked)
    return standing.is_held or (is_first and concerns(asked, notice.changed))


def _message(notice: OutboxMessage, now_ms: int) -> RowValues:
    return {
        "message_id": notice.message_id,
        "alert_id": notice.changed.alert_id,
        "type": notice.type,
        "event_ms": notice.event_ms,
        "transition_id": notice.changed.transition_id,
        "work_event_id": notice.work_event_id,
        "created_ms": now_ms,
    }

"""The work of people on alerts: one act after the other, each counted once; no event of the machine writes here."""

from collections.abc import Sequence
from typing import Any, Final, get_args

import msgspec
from msgspec.structs import asdict, replace
from sqlalchemy import Connection, insert, or_, select, update

from streams.core.contracts.effects import AlertChanged
from streams.core.notify.acts import WorkState, may_set, next_state
from streams.core.notify.contact import ContactRules
from streams.core.notify.endpoints import MessageType
from streams.core.notify.messages import ActName, act_message_id, type_of_act
from streams.shared.errors import InputError
from streams.store.base.statements import add, lock_outbox, parts
from streams.store.outbox import tables
from streams.store.outbox.claims import works_of
from streams.store.outbox.enqueue import OutboxMessage, enqueue
from streams.store.outbox.values import Act, ActResult, AlertWork
from streams.store.run.queries import transitions_by_id
from streams.store.run.tables import alerts

BY_ENDPOINT: Final = "endpoint:"
"""What an act's origin begins with where an endpoint reports it."""
BY_CLOCK: Final = "clock"
_ACTS: Final = get_args(ActName)
_SETTLING: Final = frozenset({"close", "reopen"})
_SNOOZED_FIELDS: Final = ("snoozed_until_ms", "snooze_reason")
_CLOSED_FIELDS: Final = ("outcome", "outcome_reason")


def act(connection: Connection, one: Act, rules: ContactRules, now_ms: int) -> ActResult:
    """Do what somebody does about an alert, once: the same act again, or one that means nothing now, changes nothing.

    Raises:
        InputError: there is no such alert, or the act sets what it may not.
    """
    _check(one)
    lock_outbox(connection)
    newest = connection.scalar(select(alerts.c.latest_transition_id).where(alerts.c.alert_id == one.alert_id))
    if newest is None:
        raise InputError(f"there is no alert {one.alert_id}")
    add(connection, tables.work, [{"alert_id": one.alert_id, **asdict(AlertWork())}])
    table, event = tables.work, tables.work_events
    before = works_of(connection, [one.alert_id])[one.alert_id]
    if connection.scalar(select(event.c.alert_id).where(event.c.work_event_id == one.act_id)) is not None:
        return ActResult(work=before, changed=False, why="this act was done before", repeated=True)
    if one.version is not None and one.version != before.version:
        return ActResult(
            work=before, changed=False, why=f"version {one.version} is not the newest: somebody has acted since"
        )
    now = _after(before, one, now_ms)
    if now is None:
        return ActResult(work=before, changed=False, why=f"{one.act} changes nothing where the work is {before.state}")
    connection.execute(update(table).where(table.c.alert_id == one.alert_id).values(**asdict(now)))
    body = {"act": one.act, "fields": one.fields, "from": before.state, "to": now.state}
    said = {"work_event_id": one.act_id, "alert_id": one.alert_id, "at_ms": one.at_ms, "origin": one.origin}
    connection.execute(insert(event).values(**said, act=one.act, body=body))
    _note_ticket(connection, one)
    message = type_of_act(one.act)
    if message is not None:
        changed = transitions_by_id(connection, [newest])[newest]
        enqueue(connection, [_notice(one, message, changed)], rules, now_ms)
    return ActResult(work=now, changed=True, why="")


def work(connection: Connection, alert_id: str) -> AlertWork:
    """Return what people made of an alert."""
    return works_of(connection, [alert_id]).get(alert_id, AlertWork())


def wake_snoozed(connection: Connection, rules: ContactRules, now_ms: int) -> int:
    """Wake every alert whose snooze has ended, and return how many did."""
    column = tables.work.c
    query = select(column.alert_id, column.snoozed_until_ms).where(
        column.state == "snoozed", column.snoozed_until_ms <= now_ms
    )
    woken = 0
    for alert_id, until_ms in connection.execute(query.order_by(column.alert_id)).all():
        act_id = f"wake|{alert_id}|{until_ms}"
        one = Act(act_id=act_id, alert_id=alert_id, at_ms=until_ms, act="wake", origin=BY_CLOCK, fields={})
        woken += act(connection, one, rules, now_ms).changed
    return woken


def wake_worse(connection: Connection, transitions: Sequence[AlertChanged], now_ms: int) -> None:
    """End the snooze of alerts that have become worse, or whose subscribers asked to leave; nothing else changes.

    Those who are told of the worsening need no second message about it.
    """
    worse = {one.alert_id: one for one in transitions if _is_worse(one)}
    column = tables.work.c
    for part in parts(sorted(worse)):
        snoozed = connection.scalars(
            select(column.alert_id).where(column.alert_id.in_(part), column.state == "snoozed").with_for_update()
        ).all()
        for alert_id in snoozed:
            one = worse[alert_id]
            before = works_of(connection, [alert_id])[alert_id]
            now = replace(_awake(before), state="open", updated_ms=now_ms, version=before.version + 1)
            connection.execute(update(tables.work).where(column.alert_id == alert_id).values(**asdict(now)))
            why = f"the risk rose to {one.band}" if one.change == "worsened" else one.why
            body = {"act": "wake", "fields": {}, "from": "snoozed", "to": "open", "why": why}
            event = {"work_event_id": f"wake|{one.transition_id}", "alert_id": alert_id, "at_ms": one.at_ms}
            add(connection, tables.work_events, [{**event, "act": "wake", "origin": BY_CLOCK, "body": body}])


def _is_worse(one: AlertChanged) -> bool:
    return one.change == "worsened" or (one.change == "restaged" and one.stage == "requested")


def _check(one: Act) -> None:
    if one.act not in _ACTS:
        raise InputError(f"{one.act} is no act", hint=f"acts are {', '.join(_ACTS)}")
    unknown = sorted(set(one.fields) - may_set(one.act))
    if unknown:
        allowed = ", ".join(sorted(may_set(one.act)))
        raise InputError(f"{one.act} does not set {unknown[0]}", hint=f"it sets {allowed}")
    if one.act == "snooze" and not isinstance(one.fields.get("snoozed_until_ms"), int):
        raise InputError("snooze needs snoozed_until_ms, the time at which the alert comes back")


def _after(before: AlertWork, one: Act, now_ms: int) -> AlertWork | None:
    """Return the work after an act, None where the act changes nothing."""
    state: WorkState | None = next_state(before.state, one.act)
    if state is None:
        return None
    kept = before
    if state != "snoozed":
        kept = _awake(kept)
    if state != "closed":
        kept = replace(kept, **dict.fromkeys(_CLOSED_FIELDS))
    fields = one.fields
    if before.state == state == "closed":
        # A ticket that is closed once more without a word on the outcome takes none away.
        fields = {name: value for name, value in fields.items() if value is not None}
    try:
        now: AlertWork = msgspec.convert(asdict(kept) | fields | {"state": state}, AlertWork)
    except msgspec.ValidationError as error:
        raise InputError(f"{one.act} cannot be done: {error}") from error
    return None if now == before else replace(now, updated_ms=now_ms, version=before.version + 1)


def _note_ticket(connection: Connection, one: Act) -> None:
    """Note that a receiver has closed its ticket, or opened it again, where it says so itself."""
    if one.act in _SETTLING and one.origin.startswith(BY_ENDPOINT):
        column = tables.tickets.c
        where = (column.endpoint == one.origin.removeprefix(BY_ENDPOINT), column.alert_id == one.alert_id)
        connection.execute(update(tables.tickets).where(*where).values(resolved=one.act == "close"))


def _awake(work: AlertWork) -> AlertWork:
    return replace(work, **dict.fromkeys(_SNOOZED_FIELDS))


def _notice(one: Act, message: MessageType, changed: AlertChanged) -> OutboxMessage:
    is_endpoints = one.origin.startswith(BY_ENDPOINT)
    return OutboxMessage(
        message_id=act_message_id(one.act_id),
        type=message,
        changed=changed,
        event_ms=one.at_ms,
        work_event_id=one.act_id,
        origin=one.origin.removeprefix(BY_ENDPOINT) if is_endpoints else None,
    )


def alert_by_ticket(connection: Connection, endpoint: str, external_id: str) -> str | None:
    """Return the alert that an endpoint knows by an id of its own."""
    column = tables.tickets.c
    known = or_(column.external_id == external_id, column.external_ref == external_id)
    query = select(column.alert_id).where(column.endpoint == endpoint, known).order_by(column.told_ms.desc())
    return connection.scalar(query.limit(1))


def report(connection: Connection, outcomes: Sequence[tuple[str, str, bytes]], now_ms: int) -> None:
    """Keep outcomes that people reported until they are sent: (event id, subscriber id, bytes), each once."""
    add(
        connection,
        tables.reported,
        [
            {"event_id": event_id, "subscriber_id": subscriber_id, "created_ms": now_ms, "body": body}
            for event_id, subscriber_id, body in outcomes
        ],
    )


def unsent_outcomes(connection: Connection, limit: int) -> list[tuple[str, str, bytes]]:
    """Return outcomes that were not sent yet, the oldest first."""
    column = tables.reported.c
    query = select(column.event_id, column.subscriber_id, column.body).where(column.sent_ms.is_(None))
    rows: list[Any] = list(connection.execute(query.order_by(column.created_ms, column.event_id).limit(limit)))
    return [(row[0], row[1], row[2]) for row in rows]


def note_outcomes_sent(connection: Connection, event_ids: Sequence[str], now_ms: int) -> None:
    """Note that outcomes were sent."""
    column = tables.reported.c
    for part in parts(event_ids):
        connection.execute(update(tables.reported).where(column.event_id.in_(part)).values(sent_ms=now_ms))

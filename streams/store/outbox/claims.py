"""Claims: dispatchers take deliveries and give them back, and a lease says who may send which.

A dispatcher that claims a delivery has it until its lease ends.  On PostgreSQL a claim skips rows that another one has
locked; on SQLite, which has one writer at a time, it begins with a write.  The HTTP call lies between two transactions,
and its result counts only for the holder of the lease.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from streams.core.contracts.effects import AlertChanged
from streams.core.notify.endpoints import WAITING
from streams.store.base.statements import among, inline_value, parts
from streams.store.outbox import tables
from streams.store.outbox.values import AlertWork, ClaimedDelivery, ClaimResult, Ticket
from streams.store.run.queries import transitions_by_id

_EXPIRED: Final = "it could not be delivered in time"
EXPIRING_ROUNDS: Final = 20
"""How often one claim looks for others where it found what had expired; the next claim goes on."""


class ClaimLimit(Struct, frozen=True):
    """How many deliveries an endpoint may be handed out now: first attempts, and those that were tried before."""

    fresh: int
    retries: int


def claim(
    connection: Connection, worker: str, now_ms: int, *, lease_ms: int, rooms: Mapping[str, ClaimLimit]
) -> ClaimResult:
    """Hand out what is due to endpoints that are active and have room, the first of each alert alone.

    First attempts come by rank, what was tried before by when it is due.  What is past its time becomes `expired`.
    """
    deliveries = tables.deliveries
    ours: list[Row[Any]] = []
    expired = 0
    for endpoint, is_half_open in _open_endpoints(connection, now_ms, rooms):
        room = rooms[endpoint]
        fresh, retries = (min(room.fresh, 1), min(room.retries, 1)) if is_half_open else (room.fresh, room.retries)
        found, late = _in_time(connection, _fresh(endpoint, now_ms, fresh), now_ms) if fresh > 0 else ([], 0)
        expired += late
        if retries > 0 and not (is_half_open and found):
            tried, late = _in_time(connection, _retries(endpoint, now_ms, retries), now_ms)
            found, expired = found + tried, expired + late
        ours += found
    if not ours:
        return ClaimResult([], expired)
    taken = (
        update(deliveries)
        .where(among(connection, deliveries.c.number, [row.number for row in ours]))
        .values(
            state="in_flight",
            attempts=deliveries.c.attempts + 1,
            lease_owner=worker,
            lease_until_ms=now_ms + lease_ms,
        )
    )
    try:
        with connection.begin_nested():
            connection.execute(taken)
    except IntegrityError:
        # Two at a time of one alert: another dispatcher was there first.  What is due comes again with the next claim.
        return ClaimResult([], expired)
    return ClaimResult(_claimed_deliveries(connection, ours), expired)


def _open_endpoints(connection: Connection, now_ms: int, rooms: Mapping[str, ClaimLimit]) -> list[tuple[str, bool]]:
    """Return the endpoints that may be told now, by name, and whether with a single probe: the circuit is half open."""
    table = tables.endpoints
    query = select(table.c.name, table.c.circuit, table.c.open_until_ms).where(
        table.c.state == "active", table.c.name.in_(sorted(rooms))
    )
    return [
        (name, circuit != "closed")
        for name, circuit, until_ms in connection.execute(query.order_by(table.c.name)).all()
        if circuit == "closed" or ((until_ms or 0) <= now_ms and _may_probe(connection, name, now_ms))
    ]


def _may_probe(connection: Connection, endpoint: str, now_ms: int) -> bool:
    """Say whether nobody else tries the endpoint, or is just about to."""
    name, column = tables.endpoints.c.name, tables.deliveries.c
    locked = select(name).where(name == endpoint).with_for_update(skip_locked=True)
    if connection.scalar(locked) is None:
        return False
    under_way = select(column.number).where(
        column.endpoint == endpoint, column.state == inline_value("in_flight"), column.lease_until_ms >= now_ms
    )
    return connection.execute(under_way.limit(1)).first() is None


def _in_time(connection: Connection, query: Select[Any], now_ms: int) -> tuple[list[Row[Any]], int]:
    """Return the rows of a query that are worth an attempt, and how many were not: they end, and others follow."""
    rows, expired = connection.execute(query).all(), 0
    for _ in range(EXPIRING_ROUNDS):
        late = [row.number for row in rows if row.expires_ms <= now_ms]
        if not late:
            break
        expired += len(late)
        ended = update(tables.deliveries).where(tables.deliveries.c.number.in_(late))
        over = {"state": "expired", "why": _EXPIRED, "finished_ms": now_ms, "lease_owner": None, "lease_until_ms": None}
        connection.execute(ended.values(over))
        rows = connection.execute(query).all()
    return [row for row in rows if row.expires_ms > now_ms], expired


def _select_due(endpoint: str) -> Select[Any]:
    """Select what may be claimed for an endpoint: of each alert the earliest that waits."""
    here, other = tables.deliveries, tables.deliveries.alias("other")
    before = select(other.c.number).where(
        other.c.endpoint == here.c.endpoint,
        other.c.alert_id == here.c.alert_id,
        other.c.number != here.c.number,
        other.c.state.in_(inline_value(WAITING)),
        # A later one is under way where this one is sent again by hand.
        or_(other.c.number < here.c.number, other.c.state == inline_value("in_flight")),
    )
    # The offset keeps this a look at an index for each row: a join over all that waits takes minutes where nothing is
    # known yet of how much that is.
    return (
        select(here)
        .where(here.c.endpoint == endpoint, ~before.offset(0).exists())
        .with_for_update(skip_locked=True, of=here)
    )


def _fresh(endpoint: str, now_ms: int, limit: int) -> Select[Any]:
    column = tables.deliveries.c
    return (
        _select_due(endpoint)
        .where(
            column.state == inline_value("pending"),
            column.attempts == inline_value(0),
            column.next_attempt_ms <= now_ms,
        )
        .order_by(column.rank.desc(), column.number)
        .limit(limit)
    )


def _retries(endpoint: str, now_ms: int, limit: int) -> Select[Any]:
    column = tables.deliveries.c
    return (
        _select_due(endpoint)
        .where(column.state.in_(inline_value(WAITING)), column.attempts > inline_value(0))
        .where(
            or_(
                and_(column.state != inline_value("in_flight"), column.next_attempt_ms <= now_ms),
                and_(column.state == inline_value("in_flight"), column.lease_until_ms < now_ms),
            )
        )
        .order_by(column.next_attempt_ms, column.number)
        .limit(limit)
    )


def _claimed_deliveries(connection: Connection, rows: Sequence[Row[Any]]) -> list[ClaimedDelivery]:
    """Return deliveries with all that a request is made of."""
    messages = {
        row.message_id: row
        for part in parts({row.message_id for row in rows})
        for row in connection.execute(
            select(tables.messages).where(among(connection, tables.messages.c.message_id, part))
        )
    }
    changes = transitions_by_id(connection, {message.transition_id for message in messages.values()})
    works = works_of(connection, {row.alert_id for row in rows})
    tickets = tickets_of(connection, {(row.endpoint, row.alert_id) for row in rows})
    return [
        claimed_from(row, messages[row.message_id], changes, works, tickets)
        for row in rows
        if messages[row.message_id].transition_id in changes
    ]


def claimed_from(
    row: Row[Any],
    message: Row[Any],
    changes: Mapping[str, AlertChanged],
    works: Mapping[str, AlertWork],
    tickets: Mapping[tuple[str, str], Ticket],
) -> ClaimedDelivery:
    """Put a delivery together from its rows; its attempt is the one that begins now."""
    return ClaimedDelivery(
        number=row.number,
        delivery_id=row.delivery_id,
        endpoint=row.endpoint,
        message_id=row.message_id,
        type=message.type,
        event_ms=message.event_ms,
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
        attempt=row.attempts + 1,
        state_before=row.state,
        transition=changes[message.transition_id],
        work=works.get(row.alert_id, AlertWork()),
        ticket=tickets.get((row.endpoint, row.alert_id)),
    )


def works_of(connection: Connection, alert_ids: Iterable[str]) -> dict[str, AlertWork]:
    """Return what people made of alerts; those that nobody has touched are left out."""
    table, names = tables.work, AlertWork.__struct_fields__
    found: dict[str, AlertWork] = {}
    for part in parts(sorted(alert_ids)):
        for row in connection.execute(select(table).where(among(connection, table.c.alert_id, part))).mappings():
            found[row["alert_id"]] = AlertWork(**{name: row[name] for name in names})
    return found


def tickets_of(connection: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Ticket]:
    """Return what endpoints know of alerts, by (endpoint, alert)."""
    table, names = tables.tickets, Ticket.__struct_fields__
    alerts: dict[str, list[str]] = {}
    for endpoint, alert_id in sorted(keys):
        alerts.setdefault(endpoint, []).append(alert_id)
    found: dict[tuple[str, str], Ticket] = {}
    for endpoint, listed in alerts.items():
        # One by one: PostgreSQL reads the whole table where it is asked for a list of pairs.
        for part in parts(listed):
            query = select(table).where(table.c.endpoint == endpoint, among(connection, table.c.alert_id, part))
            for row in connection.execute(query).mappings():
                found[endpoint, row["alert_id"]] = Ticket(**{name: row[name] for name in names})
    return found

"""Deliveries as people look at them: what waits, what was sent, and what is sent again."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, func, select, update

from streams.core.notify.endpoints import WAITING, SuppressedBy
from streams.core.times import WEEK_MS
from streams.shared.errors import InputError
from streams.store.base.statements import begins_with, inline_value, insert_into, lock_outbox
from streams.store.outbox import tables
from streams.store.outbox.claims import claimed_from, tickets_of, works_of
from streams.store.outbox.endpoint_rows import endpoint_row
from streams.store.outbox.values import AttemptRow, ClaimedDelivery, DeliveryRow
from streams.store.run.queries import transitions_by_id

RECOVERED: Final = ("failed", "expired", "unknown")
_AGAIN: Final = (*RECOVERED, "delivered", "skipped", "superseded", "suppressed")
_NEVER: Final[frozenset[SuppressedBy | None]] = frozenset({"held_out", "contact_not_allowed"})
_ASIDE: Final = ("superseded", "suppressed", "skipped")
_PREFIX_CHARS_MIN: Final = 4


class Backlog(Struct, frozen=True, kw_only=True):
    """What is still to be sent: due now, waiting in all, when the next is due (ms), and how much waits by endpoint."""

    due: int
    waiting: int
    next_due_ms: int | None
    by_endpoint: dict[str, int]


def positions(connection: Connection, topic: str) -> dict[int, int]:
    """Return by partition the next offset of a topic that was not taken in yet."""
    table = tables.consumed
    query = select(table.c.partition, table.c.next_offset).where(table.c.topic == topic)
    return {row.partition: row.next_offset for row in connection.execute(query)}


def advance(connection: Connection, ahead: Mapping[tuple[str, int], int]) -> None:
    """Move positions forwards, by (topic, partition); one that is further already stays."""
    if not ahead:
        return
    table = tables.consumed
    statement = insert_into(connection, table)
    offset = statement.excluded.next_offset
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(table.primary_key), set_={"next_offset": offset}, where=offset > table.c.next_offset
        ),
        [
            {"topic": topic, "partition": partition, "next_offset": next_offset}
            for (topic, partition), next_offset in sorted(ahead.items())
        ],
    )


def backlog(connection: Connection, now_ms: int) -> Backlog:
    """Return how much is to be sent to endpoints that are active."""
    one, endpoint = tables.deliveries.c, tables.endpoints
    active = select(endpoint.c.name).where(endpoint.c.state == "active")
    waiting = (one.state.in_(inline_value(WAITING)), one.endpoint.in_(active))
    due = connection.scalar(
        select(func.count()).where(*waiting, one.next_attempt_ms <= now_ms, one.state != "in_flight")
    )
    next_ms = connection.scalar(select(func.min(one.next_attempt_ms)).where(*waiting, one.state != "in_flight"))
    rows = connection.execute(select(one.endpoint, func.count().label("n")).where(*waiting).group_by(one.endpoint))
    by_endpoint = {row.endpoint: row.n for row in rows}
    return Backlog(due=due or 0, waiting=sum(by_endpoint.values()), next_due_ms=next_ms, by_endpoint=by_endpoint)


def deliveries(
    connection: Connection,
    *,
    states: Sequence[str] | None,
    endpoint: str | None,
    alert_id: str | None,
    from_ms: int | None,
    until_ms: int | None,
    limit: int | None,
) -> list[DeliveryRow]:
    """Return deliveries, the newest first."""
    one = tables.deliveries.c
    query = _rows().order_by(one.number.desc()).limit(limit)
    if states is not None:
        query = query.where(one.state.in_(states))
    for column, value in ((one.endpoint, endpoint), (one.alert_id, alert_id)):
        if value is not None:
            query = query.where(column == value)
    if from_ms is not None:
        query = query.where(one.created_ms >= from_ms)
    if until_ms is not None:
        query = query.where(one.created_ms < until_ms)
    return [_row(row) for row in connection.execute(query)]


def delivery(connection: Connection, delivery_id: str) -> tuple[DeliveryRow, list[AttemptRow]]:
    """Return a delivery by its id, or the beginning of it, with its attempts."""
    row = _row(_one(connection, _rows(), delivery_id))
    table = tables.attempts
    query = select(table).where(table.c.delivery_id == row.delivery_id).order_by(table.c.attempt)
    names = AttemptRow.__struct_fields__
    return row, [AttemptRow(**{name: one[name] for name in names}) for one in connection.execute(query).mappings()]


def facts(connection: Connection, delivery_id: str) -> ClaimedDelivery:
    """Return what the request of a delivery would be made of now."""
    row = _one(connection, select(tables.deliveries), delivery_id)
    message = connection.execute(select(tables.messages).where(tables.messages.c.message_id == row.message_id)).one()
    changes = transitions_by_id(connection, [message.transition_id])
    works, tickets = works_of(connection, [row.alert_id]), tickets_of(connection, [(row.endpoint, row.alert_id)])
    return claimed_from(row, message, changes, works, tickets)


def resend(connection: Connection, delivery_id: str, now_ms: int) -> DeliveryRow:
    """Let a delivery be sent again, whatever became of it; one that is on its way already is left alone."""
    lock_outbox(connection)
    row = _one(connection, _rows(), delivery_id)
    if row.state not in _AGAIN:
        raise InputError(f"delivery {row.delivery_id} is {row.state}", hint="it is sent without this")
    if row.suppressed_by in _NEVER:
        raise InputError(f"delivery {row.delivery_id} is held back for good: {row.why}")
    _again(connection, [row.delivery_id], now_ms)
    return delivery(connection, row.delivery_id)[0]


def recover(connection: Connection, endpoint: str, from_ms: int, until_ms: int, now_ms: int) -> int:
    """Let what failed between two times be sent again; of each alert the newest alone, unless all are wanted."""
    lock_outbox(connection)
    row, one = endpoint_row(connection, endpoint), tables.deliveries.c
    query = select(one.delivery_id).where(
        one.endpoint == endpoint, one.state.in_(RECOVERED), one.created_ms >= from_ms, one.created_ms < until_ms
    )
    if row.endpoint.coalesce:
        newest = select(func.max(one.number)).where(one.endpoint == endpoint, one.state.not_in(_ASIDE))
        query = query.where(one.number.in_(newest.group_by(one.alert_id)))
    found = list(connection.scalars(query))
    _again(connection, found, now_ms)
    return len(found)


def _again(connection: Connection, delivery_ids: Sequence[str], now_ms: int) -> None:
    """Begin anew: with all attempts, and a week for them."""
    column = tables.deliveries.c
    anew: dict[str, object] = {"state": "pending", "why": "sent again by hand", "suppressed_by": None}
    anew |= {"next_attempt_ms": now_ms, "attempts": 0, "expires_ms": now_ms + WEEK_MS}
    anew |= {"finished_ms": None, "lease_owner": None}
    for start in range(0, len(delivery_ids), 500):
        chosen = (column.delivery_id.in_(delivery_ids[start : start + 500]), column.state.in_(_AGAIN))
        connection.execute(update(tables.deliveries).where(*chosen).values(anew))


def _rows() -> Select[Any]:
    one, message = tables.deliveries, tables.messages
    return select(one, message.c.type).join(message, message.c.message_id == one.c.message_id)


def _row(row: Row[Any]) -> DeliveryRow:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return DeliveryRow(**{name: values[name] for name in DeliveryRow.__struct_fields__})


def _one(connection: Connection, query: Select[Any], delivery_id: str) -> Row[Any]:
    """Return the row of a delivery; raises `InputError` if there is none, or several begin so."""
    column = tables.deliveries.c.delivery_id
    rows = connection.execute(query.where(column == delivery_id)).all()
    if not rows and len(delivery_id) >= _PREFIX_CHARS_MIN:
        rows = connection.execute(query.where(begins_with(connection, column, delivery_id)).limit(2)).all()
    if len(rows) != 1:
        hint = "give more of it" if rows else "forewarn deliveries list shows them"
        raise InputError(
            f"{'several deliveries begin' if rows else 'there is no delivery'} with {delivery_id}", hint=hint
        )
    return rows[0]

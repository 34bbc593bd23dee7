"""Records the results of attempts: deliveries, attempts, and what receivers know of alerts from now on."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import convert
from sqlalchemy import ColumnElement, Connection, Integer, Row, bindparam, case, func, insert, select, tuple_, update

from streams.core.notify.endpoints import WAITING, Endpoint
from streams.core.notify.messages import ENDINGS
from streams.store.base.statements import among, insert_into, parts
from streams.store.outbox import tables
from streams.store.outbox.claims import tickets_of
from streams.store.outbox.enqueue import CAME_AND_WENT, LOCKED_PART, SUPERSEDED
from streams.store.outbox.values import FinishedAttempt

ANSWER_CHARS_MAX: Final = 2_000
Done = tuple[FinishedAttempt, Row[Any]]


def finish(connection: Connection, worker: str, finished: Sequence[FinishedAttempt], now_ms: int) -> int:
    """Write what came of attempts whose leases are still held by the worker; return how many those are."""
    column = tables.deliveries.c
    held: dict[str, Row[Any]] = {}
    listed = sorted(one.delivery_id for one in finished)
    for start in range(0, len(listed), LOCKED_PART):
        query = (
            select(column.number, column.delivery_id, column.endpoint, column.alert_id, column.message_id)
            .where(among(connection, column.delivery_id, listed[start : start + LOCKED_PART]))
            .where(column.lease_owner == worker)
            .where(column.state == "in_flight")
            .order_by(column.number)
            .with_for_update()
        )
        held |= {row.delivery_id: row for row in connection.execute(query)}
    ours = [(one, held[one.delivery_id]) for one in finished if one.delivery_id in held]
    if not ours:
        return 0
    statement = (
        update(tables.deliveries)
        .where(column.number == bindparam("the_number"))
        .values(
            {name: bindparam(f"to_{name}") for name in ("state", "why", "next_attempt_ms", "finished_ms")}
            | {"lease_owner": None, "lease_until_ms": None}
        )
    )
    connection.execute(statement, [_outcome(one, row.number, now_ms) for one, row in ours])
    _note_attempts(connection, [one for one, _ in ours if one.outcome is not None])
    _note_tickets(connection, [(one, row) for one, row in ours if one.state == "delivered"], now_ms)
    # Where nobody knows whether it arrived, what follows is not to be taken for the first that the receiver hears.
    again = [(one, row) for one, row in ours if one.state == "pending" and one.outcome != "timed_out"]
    _make_way(connection, again, now_ms)
    return len(ours)


def _outcome(one: FinishedAttempt, number: int, now_ms: int) -> dict[str, object]:
    return {
        "the_number": number,
        "to_state": one.state,
        "to_why": one.why,
        "to_next_attempt_ms": now_ms if one.next_attempt_ms is None else one.next_attempt_ms,
        "to_finished_ms": None if one.state in WAITING else now_ms,
    }


def _note_attempts(connection: Connection, tried: Sequence[FinishedAttempt]) -> None:
    """Write attempts down; where a delivery was sent again by hand their numbers go on."""
    if not tried:
        return
    table = tables.attempts
    last = select(func.coalesce(func.max(table.c.attempt), 0)).where(table.c.delivery_id == bindparam("of"))
    given, next_one = bindparam("given", type_=Integer), last.scalar_subquery() + 1
    names = ("delivery_id", "began_ms", "took_ms", "status", "outcome", "why")
    rows = [
        {name: getattr(one, name) for name in names}
        | {"of": one.delivery_id, "given": one.attempt, "answer": one.answer[:ANSWER_CHARS_MAX]}
        for one in tried
    ]
    columns: dict[str, ColumnElement[Any]] = {name: bindparam(name) for name in (*names, "answer")}
    number = case((given > next_one, given), else_=next_one)
    connection.execute(insert(table).values({**columns, "attempt": number}), rows)


def _make_way(connection: Connection, again: Sequence[Done], now_ms: int) -> None:
    """Let what is to be tried again make way for a newer message of its alert that was written meanwhile.

    The newer one waits as long as the older one would have.
    """
    if not again:
        return
    endpoint, one = tables.endpoints.c, tables.deliveries.c
    configs = select(endpoint.config).where(endpoint.name.in_(sorted({row.endpoint for _, row in again})))
    endpoints = [convert(config, Endpoint) for config in connection.scalars(configs)]
    names = {found.name for found in endpoints if found.coalesce}
    older = {(row.endpoint, row.alert_id): (done, row) for done, row in again if row.endpoint in names}
    for part in parts(sorted(older)):
        query = (
            select(one.number, one.endpoint, one.alert_id, one.next_attempt_ms, tables.messages.c.type)
            .join(tables.messages, tables.messages.c.message_id == one.message_id)
            .where(tuple_(one.endpoint, one.alert_id).in_(part), one.state == "pending")
            .order_by(one.number)
            .with_for_update(of=tables.deliveries)
        )
        newest: dict[tuple[str, str], Row[Any]] = {}
        newest |= {(row.endpoint, row.alert_id): row for row in connection.execute(query)}
        known = tickets_of(connection, part)
        for key in part:
            if newest[key].number != older[key][1].number:
                _supersede(connection, older[key], newest[key], now_ms, is_told=key in known)


def _supersede(connection: Connection, older: Done, newer: Row[Any], now_ms: int, *, is_told: bool) -> None:
    table = tables.deliveries
    done, row = older
    over = {"state": "superseded", "why": SUPERSEDED, "finished_ms": now_ms}
    connection.execute(update(table).where(table.c.number == row.number).values(over))
    if newer.type in ENDINGS and not is_told:
        after: dict[str, object] = {"state": "skipped", "why": CAME_AND_WENT, "finished_ms": now_ms}
    else:
        after = {"next_attempt_ms": max(newer.next_attempt_ms, done.next_attempt_ms or now_ms)}
    connection.execute(update(table).where(table.c.number == newer.number).values(after))


def _note_tickets(connection: Connection, told: Sequence[Done], now_ms: int) -> None:
    """Write down what receivers know of alerts from now on; an id that was given once stays."""
    rows = [
        {
            "endpoint": one.endpoint,
            "alert_id": row.alert_id,
            "external_id": one.ticket.external_id if one.ticket else None,
            "external_ref": one.ticket.external_ref if one.ticket else None,
            "told_ms": now_ms,
            "last_message_id": row.message_id,
            "resolved": one.action == "resolve",
        }
        for one, row in told
        if one.action is not None
    ]
    if not rows:
        return
    table = tables.tickets
    statement = insert_into(connection, table)
    new = statement.excluded
    kept = {name: func.coalesce(new[name], table.c[name]) for name in ("external_id", "external_ref")}
    moved = {name: new[name] for name in ("last_message_id", "resolved")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["endpoint", "alert_id"], set_=kept | moved), rows
    )


def release(connection: Connection, worker: str, delivery_ids: Iterable[str], now_ms: int) -> None:
    """Give deliveries back that were not sent; the attempt does not count."""
    column = tables.deliveries.c
    for part in parts(sorted(delivery_ids)):
        statement = update(tables.deliveries).where(
            column.delivery_id.in_(part), column.lease_owner == worker, column.state == "in_flight"
        )
        back = {"state": "pending", "attempts": column.attempts - 1, "next_attempt_ms": now_ms}
        connection.execute(statement.values(**back, lease_owner=None, lease_until_ms=None))

"""Endpoints in the database: added, changed, paused, with their circuit breakers; every change is written down."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from streams.core.notify.circuit import HEALTHY, CircuitBreaker, after_attempts, is_to_be_disabled
from streams.core.notify.endpoints import WAITING, Endpoint, EndpointState
from streams.shared.errors import InputError
from streams.store.base.statements import lock_outbox
from streams.store.outbox import tables
from streams.store.outbox.values import EndpointRow

_HEALTH = CircuitBreaker.__struct_fields__
_DISABLED_BY_FAILURES = "120 hours of nothing but failures"


def add_endpoint(connection: Connection, endpoint: Endpoint, sealed: bytes | None, now_ms: int) -> None:
    """Add an endpoint, active from now on; raises `InputError` if there is one of its name."""
    table = tables.endpoints
    if connection.scalar(select(table.c.name).where(table.c.name == endpoint.name)) is not None:
        raise InputError(
            f"there is an endpoint {endpoint.name} already",
            hint=f"choose another name, or remove it first: forewarn endpoints remove {endpoint.name}",
        )
    row = {"name": endpoint.name, "config": endpoint, "sealed": sealed, "state": "active", "why": ""}
    health = msgspec.structs.asdict(HEALTHY)
    connection.execute(insert(table).values(**row, created_ms=now_ms, updated_ms=now_ms, **health))
    _audit(connection, endpoint.name, "added", endpoint.preset, now_ms)


def endpoint_rows(connection: Connection) -> list[EndpointRow]:
    """Return all endpoints by name."""
    return [_row(row) for row in connection.execute(select(tables.endpoints).order_by(tables.endpoints.c.name))]


def endpoint_row(connection: Connection, name: str, *, lock: bool = False) -> EndpointRow:
    """Return one endpoint; raises `InputError` with the nearest name if there is none."""
    query = select(tables.endpoints).where(tables.endpoints.c.name == name)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        names = list(connection.scalars(select(tables.endpoints.c.name)))
        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else "forewarn endpoints list shows those that there are"
        raise InputError(f"there is no endpoint {name}", hint=hint)
    return _row(row)


def change_endpoint(
    connection: Connection, name: str, now_ms: int, audit: tuple[str, str], values: Mapping[str, object]
) -> None:
    """Set columns of an endpoint and write down what was changed; raises `InputError` if there is none."""
    endpoint_row(connection, name, lock=True)
    table = tables.endpoints
    connection.execute(update(table).where(table.c.name == name).values(**values, updated_ms=now_ms))
    _audit(connection, name, *audit, now_ms)


def set_state(connection: Connection, name: str, state: EndpointState, why: str, now_ms: int) -> None:
    """Let an endpoint be told, or not; one that becomes active again begins with a closed circuit."""
    health = msgspec.structs.asdict(HEALTHY) if state == "active" else {}
    change_endpoint(connection, name, now_ms, (state, why), {"state": state, "why": why, **health})


def remove_endpoint(connection: Connection, name: str, now_ms: int) -> None:
    """Remove an endpoint with what waited for it and what it knew; what was delivered stays."""
    lock_outbox(connection)
    endpoint_row(connection, name, lock=True)
    waiting, tickets = tables.deliveries.c, tables.tickets.c
    ended = {"state": "skipped", "why": "the endpoint was removed", "finished_ms": now_ms, "lease_owner": None}
    of_it = (waiting.endpoint == name, waiting.state.in_(WAITING))
    connection.execute(update(tables.deliveries).where(*of_it).values(**ended))
    connection.execute(delete(tables.tickets).where(tickets.endpoint == name))
    connection.execute(delete(tables.endpoints).where(tables.endpoints.c.name == name))
    _audit(connection, name, "removed", "", now_ms)


def note_health(connection: Connection, name: str, *, succeeded: int, failed: int, now_ms: int) -> EndpointRow:
    """Count successes and failures into an endpoint's circuit; after too long without a success it is disabled."""
    row = endpoint_row(connection, name, lock=True)
    before = CircuitBreaker(**{field: getattr(row, field) for field in _HEALTH})
    now = after_attempts(before, succeeded=succeeded, failed=failed, now_ms=now_ms)
    if now == before:
        return row
    table = tables.endpoints
    values: dict[str, Any] = msgspec.structs.asdict(now)
    if is_to_be_disabled(now) and row.state == "active":
        values |= {"state": "disabled", "why": _DISABLED_BY_FAILURES}
        _audit(connection, name, "disabled", _DISABLED_BY_FAILURES, now_ms)
    connection.execute(update(table).where(table.c.name == name).values(**values, updated_ms=now_ms))
    return endpoint_row(connection, name)


def _audit(connection: Connection, name: str, change: str, why: str, now_ms: int) -> None:
    connection.execute(insert(tables.endpoint_audit).values(name=name, at_ms=now_ms, change=change, why=why))


def _row(row: Row[Any]) -> EndpointRow:
    fields = {name: row._mapping[name] for name in EndpointRow.__struct_fields__ if name != "endpoint"}  # noqa: SLF001 - SQLAlchemy's public name for it
    return EndpointRow(endpoint=msgspec.convert(row.config, Endpoint), **fields)

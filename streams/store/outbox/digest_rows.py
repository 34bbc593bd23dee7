"""The facts of the daily digests, and which digests were sent."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Engine, Table, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from streams.core.contracts.effects import AlertChange, AlertChanged
from streams.store.base.connections import as_store_errors, name_of, open_engine, url_of
from streams.store.outbox import tables as sink_tables
from streams.store.outbox.values import AlertWork
from streams.store.run import tables

_INSERTS: Final[dict[str, Callable[[Table], sqlite.Insert | postgresql.Insert]]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
Conditions = tuple[ColumnElement[bool], ...]
_WORK: Final = AlertWork.__struct_fields__


class DigestCandidate(Struct, frozen=True, kw_only=True):
    """One alert as a digest sees it: how it stands, what people made of it, what happened to it in the time asked for.

    `is_beyond_capacity` says that its manager's day was full, and that no receiver of the day's tickets was told.
    """

    latest: AlertChanged
    work: AlertWork
    changes: frozenset[AlertChange]
    closed_ms: int | None
    is_beyond_capacity: bool


class SentDigest(Struct, frozen=True, kw_only=True):
    """A digest that was sent; `day` is that of its manager, in days since 1970."""

    account_manager_id: str
    channel: str
    day: int
    until_ms: int
    message_id: str
    sent_ms: int


class DigestStore:
    """The database as digests use it; use it in a `with` statement.  Every method raises `StoreError`."""

    def __init__(self, engine: Engine, name: str) -> None:
        """For `open` alone."""
        self._engine = engine
        self.name = name

    @classmethod
    def open(cls, place: str | Path) -> Self:
        """Open the database at a path (SQLite) or URL, which has to be there."""
        url = url_of(place)
        return cls(open_engine(url, create=False), name_of(url))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._engine.dispose()

    def matters(self, managers: Collection[str], since_ms: int, until_ms: int) -> dict[str, list[DigestCandidate]]:
        """Return by manager the alerts that fire, and those to which something happened from `since_ms` to `until_ms`.

        Alerts of the held-out, and of those who may not be contacted, are none of a manager's business.
        """
        if not managers:
            return {}
        with self._connect() as connection:
            changes = _changes(connection, managers, since_ms, until_ms)
            closed = _closed_alerts(connection, since_ms, until_ms)
            found: dict[str, list[DigestCandidate]] = {manager: [] for manager in managers}
            rows = _latest(connection, managers, since_ms, until_ms)
            crowded = _beyond_capacity(connection)
        for row in rows:
            latest = _transition(row)
            work = (
                AlertWork(**{name: getattr(row, f"work_{name}") for name in _WORK}) if row.work_version else AlertWork()
            )
            found[latest.account_manager_id or ""].append(
                DigestCandidate(
                    latest=latest,
                    work=work,
                    changes=frozenset(changes.get(latest.alert_id, ())),
                    closed_ms=closed.get(latest.alert_id),
                    is_beyond_capacity=latest.alert_id in crowded,
                )
            )
        return found

    def newest_before(self, account_manager_id: str, channel: str, before_day: int) -> SentDigest | None:
        """Return the newest digest that a manager was sent on an earlier day."""
        table = sink_tables.digests
        query = (
            select(table)
            .where(table.c.account_manager_id == account_manager_id, table.c.channel == channel)
            .where(table.c.day < before_day)
            .order_by(table.c.day.desc())
            .limit(1)
        )
        with self._connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else SentDigest(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name begins so

    def is_sent(self, account_manager_id: str, channel: str, day: int) -> bool:
        """Say whether a manager was sent the digest of a day."""
        table = sink_tables.digests
        where = (table.c.account_manager_id == account_manager_id, table.c.channel == channel, table.c.day == day)
        with self._connect() as connection:
            return connection.scalar(select(func.count()).select_from(table).where(*where)) == 1

    def note_sent(self, sent: SentDigest) -> None:
        """Write down that a digest was sent."""
        with as_store_errors(self.name), self._engine.begin() as connection:
            insert = _INSERTS[connection.dialect.name](sink_tables.digests)
            connection.execute(insert.on_conflict_do_nothing(), msgspec.structs.asdict(sent))

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with as_store_errors(self.name), self._engine.connect() as connection:
            yield connection


def _changes(
    connection: Connection, managers: Collection[str], since_ms: int, until_ms: int
) -> dict[str, set[AlertChange]]:
    columns = tables.transitions.c
    query = select(columns.alert_id, columns.change).where(*_in_period(managers, since_ms, until_ms))
    found: dict[str, set[AlertChange]] = {}
    for alert_id, change in connection.execute(query):
        found.setdefault(alert_id, set()).add(change)
    return found


def _closed_alerts(connection: Connection, since_ms: int, until_ms: int) -> dict[str, int]:
    columns = sink_tables.work.c
    query = select(columns.alert_id, columns.updated_ms).where(*_was_closed(since_ms, until_ms))
    return {row.alert_id: row.updated_ms for row in connection.execute(query)}


def _in_period(managers: Collection[str], since_ms: int, until_ms: int) -> Conditions:
    columns = tables.transitions.c
    return columns.account_manager_id.in_(sorted(managers)), columns.at_ms >= since_ms, columns.at_ms < until_ms


def _was_closed(since_ms: int, until_ms: int) -> Conditions:
    columns = sink_tables.work.c
    return columns.state == "closed", columns.updated_ms >= since_ms, columns.updated_ms < until_ms


def _beyond_capacity(connection: Connection) -> frozenset[str]:
    columns = sink_tables.deliveries.c
    crowded = (
        select(columns.alert_id)
        .join(tables.alerts, tables.alerts.c.alert_id == columns.alert_id)
        .where(columns.state == "suppressed", columns.suppressed_by == "capacity", tables.alerts.c.state == "firing")
    )
    ticketed = select(sink_tables.tickets.c.alert_id)
    return frozenset(connection.scalars(crowded)) - frozenset(connection.scalars(ticketed))


def _latest(connection: Connection, managers: Collection[str], since_ms: int, until_ms: int) -> list[Any]:
    """Return the newest transition of each alert that is meant, with its work."""
    alert, transition, work = tables.alerts.c, tables.transitions.c, sink_tables.work.c
    history = tables.transitions.alias("history")
    happened = select(history.c.alert_id).where(history.c.at_ms >= since_ms, history.c.at_ms < until_ms)
    closed = select(work.alert_id).where(*_was_closed(since_ms, until_ms))
    query = (
        select(
            *(transition[name] for name in AlertChanged.__struct_fields__ if name in transition),
            *(work[name].label(f"work_{name}") for name in _WORK),
        )
        .join(tables.alerts, alert.latest_transition_id == transition.transition_id)
        .outerjoin(sink_tables.work, work.alert_id == alert.alert_id)
        .where(transition.account_manager_id.in_(sorted(managers)), ~transition.held_out)
        .where(or_(alert.state == "firing", alert.alert_id.in_(happened), alert.alert_id.in_(closed)))
        .order_by(transition.alert_id)
    )
    if "contact_allowed" in transition:
        query = query.where(transition.contact_allowed)
    return list(connection.execute(query))


def _transition(row: Any) -> AlertChanged:  # noqa: ANN401 - a row of columns that are chosen as it is read
    fields = {name: getattr(row, name) for name in AlertChanged.__struct_fields__ if hasattr(row, name)}
    return msgspec.convert(fields, AlertChanged, str_keys=True)

"""The reading half of the store: rows back to the values that they were made from, equal to the last bit."""

import struct
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Result,
    Row,
    Select,
    String,
    Table,
    case,
    collate,
    func,
    or_,
    select,
    tuple_,
)

from streams.core.contracts.effects import AlertChanged, DeadLetter, LabelledExample, LateEvent, Stage
from streams.core.contracts.events import MarketEvent
from streams.core.scoring.models import ModelVersion
from streams.core.scoring.promotions import Promotion
from streams.store.base.statements import among, begins_with, parts
from streams.store.base.tables import THE_ROW
from streams.store.run import tables
from streams.store.run.batch import AlertPage, AlertRow, Checkpoint, MarketAnnouncement, Position, PredictionRow, Run

AnyColumns = tuple[Any, ...]
T = TypeVar("T", bound=msgspec.Struct)

ROWS_AT_ONCE: Final = 2_000


def checkpoint(connection: Connection) -> Checkpoint | None:
    """Return where the last commit left the run, all from one moment, since one transaction reads it."""
    row = connection.execute(select(tables.run).where(tables.run.c.id == THE_ROW)).one_or_none()
    if row is None:
        return None
    return Checkpoint(
        run=Run(**{name: getattr(row, name) for name in Run.__struct_fields__}),
        positions={
            place.source: Position(place.next_offset, place.last_ms, place.max_ms)
            for place in connection.execute(select(tables.positions))
        },
        stream_ms=row.stream_ms,
        counters=row.counters,
        trainer=connection.scalar(select(tables.trainer.c.body).where(tables.trainer.c.id == THE_ROW)),
    )


def states(connection: Connection) -> Iterator[tuple[str, bytes]]:
    """Yield (subscriber_id, packed state) in the order of the ids."""
    columns = tables.states.c
    query = _order(connection, select(columns.subscriber_id, columns.body), columns.subscriber_id)
    for row in _stream(connection, query):
        yield row[0], row[1]


def state(connection: Connection, subscriber_id: str) -> bytes | None:
    """Return one packed state."""
    columns = tables.states.c
    return connection.scalar(select(columns.body).where(columns.subscriber_id == subscriber_id))


def snapshots(connection: Connection, keys: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int, bytes]]:
    """Yield (subscriber_id, when it was taken, packed snapshot) of those that are there, in any order."""
    columns = tables.snapshots.c
    for part in parts(keys):
        named = tuple_(columns.subscriber_id, columns.at_ms).in_(part)
        for row in connection.execute(select(columns.subscriber_id, columns.at_ms, columns.body).where(named)):
            yield row[0], row[1], row[2]


def alerts(
    connection: Connection,
    *,
    alert_id: str | None = None,
    states: Collection[str] | None = None,
    band: str | None = None,
    kind: str | None = None,
    subscriber_id: str | None = None,
    held_out: bool | None = None,
    limit: int | None = None,
) -> list[AlertRow]:
    """Return alerts with their newest transition, by falling probability; of equals, the lower id first."""
    alert = tables.alerts.c
    query = _order(connection, _select_alerts().limit(limit), alert.probability.desc(), alert.alert_id)
    wanted = {"alert_id": alert_id, "band": band, "kind": kind, "subscriber_id": subscriber_id, "held_out": held_out}
    query = query.where(*(alert[name] == value for name, value in wanted.items() if value is not None))
    if states is not None:
        query = query.where(alert.state.in_(sorted(states)))
    return [_alert_row(row) for row in connection.execute(query)]


def alert_page(
    connection: Connection,
    *,
    states: Collection[str] | None,
    bands: Collection[str],
    kinds: Collection[str],
    stages: Collection[str] = (),
    held_out: bool,
    limit: int | None,
) -> AlertPage:
    """Return the alerts that ever fired (pending ones too where `states` names them), and how many there are.

    Those that fire come first, then what has most at stake; of equals, the lower id.
    """
    alert = tables.alerts.c
    has_fired = alert.fired_at_ms.is_not(None)
    chosen = [alert.held_out == held_out]
    narrowed = ((alert.band, bands), (alert.kind, kinds), (alert.stage, stages))
    chosen += [column.in_(sorted(wanted)) for column, wanted in narrowed if wanted]
    if states is None:
        chosen.append(has_fired)
    else:
        chosen += [alert.state.in_(sorted(states)), or_(has_fired, alert.state == "pending")]
    query = _select_alerts().where(*chosen).limit(limit)
    query = _order(connection, query, alert.is_firing.desc(), alert.urgency.desc(), alert.alert_id)
    rows = [_alert_row(row) for row in connection.execute(query)]
    if limit is None or len(rows) < limit:
        return AlertPage(rows=rows, total=len(rows))
    total = connection.scalar(select(func.count()).select_from(tables.alerts).where(*chosen))
    return AlertPage(rows=rows, total=total or 0)


def alert_ids(connection: Connection, prefix: str) -> list[str]:
    """Return the ids of the alerts that begin so, in their order."""
    column = tables.alerts.c.alert_id
    query = select(column).where(begins_with(connection, column, prefix))
    return list(connection.scalars(_order(connection, query, column)))


def transitions(connection: Connection, alert_id: str) -> list[AlertChanged]:
    """Return one alert's transitions in the order of their event times."""
    columns = tables.transitions.c
    query = _of(tables.transitions, AlertChanged).where(columns.alert_id == alert_id)
    query = _order(connection, query, columns.at_ms, columns.rank, columns.transition_id)
    return [_transition(row) for row in connection.execute(query)]


def transitions_by_id(connection: Connection, transition_ids: Iterable[str]) -> dict[str, AlertChanged]:
    """Return transitions by their ids; those that are not there are left out."""
    column = tables.transitions.c.transition_id
    found = [
        _transition(row)
        for part in parts(sorted(transition_ids))
        for row in connection.execute(_of(tables.transitions, AlertChanged).where(among(connection, column, part)))
    ]
    return {changed.transition_id: changed for changed in found}


def stages_at_firing(connection: Connection) -> dict[str, Stage]:
    """Return the stage at which each alert fired first."""
    columns = tables.transitions.c
    query = select(columns.alert_id, columns.stage).where(columns.change == "fired").order_by(columns.at_ms.desc())
    return {alert_id: stage for alert_id, stage in connection.execute(query)}  # noqa: C416 - rows are no pairs to a type checker


def models(connection: Connection) -> list[ModelVersion]:
    """Return all model versions."""
    columns = tables.models.c
    bodies = connection.scalars(_order(connection, select(columns.body), columns.name, columns.version))
    return [msgspec.convert(body, ModelVersion) for body in bodies]


def promotions(connection: Connection) -> list[Promotion]:
    """Return all promotions, in the order in which they were made."""
    columns = tables.promotions.c
    bodies = connection.scalars(select(columns.body).order_by(columns.number))
    return [msgspec.convert(body, Promotion) for body in bodies]


def market_events(connection: Connection) -> list[MarketAnnouncement]:
    """Return all messages about the market."""
    columns = tables.market_events.c
    query = _order(connection, select(columns.known_ms, columns.body), columns.known_ms, columns.digest)
    return [
        MarketAnnouncement(known_ms, msgspec.convert(body, MarketEvent)) for known_ms, body in connection.execute(query)
    ]


def predictions(
    connection: Connection, *, model_version: str | None, from_ms: int | None, until_ms: int | None
) -> Iterator[PredictionRow]:
    """Yield settled predictions by time of snapshot, then subscriber."""
    columns = tables.predictions.c
    query = _of(tables.predictions, PredictionRow).where(~columns.provisional)
    query = _order(connection, query, columns.snapshot_at_ms, columns.subscriber_id, columns.example_id)
    if model_version is not None:
        query = query.where(columns.model_version == model_version)
    if from_ms is not None:
        query = query.where(columns.snapshot_at_ms >= from_ms)
    if until_ms is not None:
        query = query.where(columns.snapshot_at_ms < until_ms)
    return _values(connection, query, PredictionRow)


def examples(connection: Connection) -> Iterator[LabelledExample]:
    """Yield all examples with their features, by when they were settled, subscriber and snapshot."""
    predictions, apart = tables.predictions.c, tables.example_features.c
    # A label that could be known before was settled when the horizon closed all the same, unless the subscriber left.
    settled_ms = case(
        (predictions.kind.in_(("port_out", "termination")), predictions.knowable_at_ms), else_=predictions.closed_at_ms
    )
    query = select(tables.predictions, apart.feature_table, apart.body).join(
        tables.example_features, apart.example_id == predictions.example_id
    )
    query = _order(
        connection, query, settled_ms, predictions.subscriber_id, predictions.snapshot_at_ms, predictions.example_id
    )
    for row in _stream(connection, query).mappings():
        fields = dict(row)
        body = fields.pop("body")
        yield LabelledExample(features=struct.unpack(f"<{len(body) // 8}d", body), **fields)


def dead_letters(connection: Connection, *, reason: str | None) -> Iterator[DeadLetter]:
    """Yield dead letters by where their records stood."""
    query = _by_place(connection, tables.dead_letters, DeadLetter)
    if reason is not None:
        query = query.where(tables.dead_letters.c.reason == reason)
    return _values(connection, query, DeadLetter)


def late_events(connection: Connection) -> Iterator[LateEvent]:
    """Yield late events by where their records stood."""
    return _values(connection, _by_place(connection, tables.late_events, LateEvent), LateEvent)


def _by_place(connection: Connection, table: Table, kind: type[msgspec.Struct]) -> Select[*AnyColumns]:
    return _order(connection, _of(table, kind), *table.primary_key)


def _order(connection: Connection, query: Select[*AnyColumns], *keys: ColumnElement[Any]) -> Select[*AnyColumns]:
    """Order a query, text byte by byte: PostgreSQL would order it as the language of the database does."""
    if connection.dialect.name == "postgresql":
        keys = tuple(collate(key, "C") if isinstance(key.type, String) else key for key in keys)
    return query.order_by(*keys)


def _of(table: Table, kind: type[msgspec.Struct]) -> Select[*AnyColumns]:
    """Select the columns that are the fields of a struct, in their order; one without a column has a default."""
    return select(*(table.c[name] for name in kind.__struct_fields__ if name in table.c))


def _select_alerts() -> Select[*AnyColumns]:
    """Select alerts as rows of their newest transitions, with when they fired and how often they have changed."""
    alert, history = tables.alerts.c, tables.transitions.alias("history")
    changes = select(func.count()).where(history.c.alert_id == alert.alert_id).scalar_subquery()
    return (
        _of(tables.transitions, AlertChanged)
        .add_columns(changes.label("changes"), alert.fired_at_ms)
        .join(tables.alerts, alert.latest_transition_id == tables.transitions.c.transition_id)
    )


def _alert_row(row: Row[*AnyColumns]) -> AlertRow:
    return AlertRow(latest=_transition(row), fired_at_ms=row.fired_at_ms, changes=row.changes)


def _stream(connection: Connection, query: Select[*AnyColumns]) -> Result[*AnyColumns]:
    return connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query)


def _values(connection: Connection, query: Select[*AnyColumns], kind: type[T]) -> Iterator[T]:
    for row in _stream(connection, query):
        yield kind(*row)


def _transition(row: Row[*AnyColumns]) -> AlertChanged:
    fields = dict(zip(AlertChanged.__struct_fields__, row, strict=False))
    # JSON has text for keys; the source numbers in `offsets` come back as the integers that they were.
    return msgspec.convert(fields, AlertChanged, str_keys=True)

"""Hop 7, the writing half: one batch into the tables, inside a transaction that the caller holds.

Ids decide what is new.  A record of something that happened is added once and never changed; the present state of the
run and of its subscribers is overwritten.  Nothing here reads a clock or depends on the order of arrival.
"""

import struct
from collections.abc import Iterable, Sequence
from hashlib import sha256
from operator import itemgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Table, bindparam, delete, func, or_, select, tuple_, update

from streams.core.contracts.effects import AlertChange, AlertChanged, LabelledExample
from streams.core.notify.contact import ContactRules, certainty_of
from streams.core.scoring.models import ModelVersion
from streams.core.scoring.promotions import Promotion
from streams.shared.errors import StoreError
from streams.store.base.statements import RowValues, add, insert_into, lock_outbox, replace, upsert
from streams.store.base.tables import THE_ROW
from streams.store.outbox.enqueue import EnqueueResult, enqueue, messages_of, not_yet_known
from streams.store.outbox.work_rows import wake_worse
from streams.store.run import tables
from streams.store.run.batch import Batch, MarketAnnouncement

CHANGE_RANK: Final[dict[AlertChange, int]] = {
    "opened": 0, "fired": 1, "worsened": 2, "eased": 3, "restaged": 3, "dropped": 4, "resolved": 5,
}  # fmt: skip
"""The order of two transitions of one alert at the same millisecond."""
REQUEST_RANK: Final = 4
"""That of a change of stage because of a request, which comes at once, behind what a wake at that moment found: as an
alert that is dropped, which never fired and has no change of stage."""


def write_batch(connection: Connection, batch: Batch, *, commits: int, rules: ContactRules, now_ms: int) -> None:
    """Write everything in the batch, provided that there have been exactly `commits` commits so far.

    Whom to tell of the alerts in it is part of it, by the rules of contact and the clock of the wall (ms).
    """
    claim = (
        update(tables.run)
        .where(tables.run.c.id == THE_ROW, tables.run.c.commits == commits)
        .values(commits=commits + 1, stream_ms=batch.stream_ms, counters=batch.counters)
    )
    # First of all: this takes the write lock, and a second writer finds out before it has done any harm.
    if connection.execute(claim).rowcount != 1:
        raise StoreError(
            "another process has written to this database since it was opened here",
            hint="let only one `forewarn run` use a database, then run again: it goes on from the last commit",
        )
    replace(connection, tables.positions, _positions(batch))
    _write_rows(connection, tables.states, sorted(batch.states, key=itemgetter(0)))
    _write_rows(connection, tables.snapshots, batch.snapshots)
    _end_snapshots(connection, batch.ended_snapshots)
    _forget(connection, batch.forgotten)
    write_transitions(connection, batch.transitions, rules, now_ms)
    add(connection, tables.predictions, _columns_of(tables.predictions, batch.examples))
    add(connection, tables.example_features, map(_features, batch.examples))
    add(connection, tables.late_events, _columns_of(tables.late_events, batch.late))
    add(connection, tables.dead_letters, _columns_of(tables.dead_letters, batch.dead))
    add(connection, tables.market_events, map(_market_event, batch.announced))
    _add_models(connection, batch.models)
    _add_promotions(connection, batch.promotions)
    if batch.trainer is not None:
        replace(connection, tables.trainer, [{"id": THE_ROW, "body": batch.trainer}])


def write_transitions(
    connection: Connection, transitions: Sequence[AlertChanged], rules: ContactRules, now_ms: int
) -> tuple[int, EnqueueResult]:
    """Write transitions, how their alerts stand now, and what endpoints are told; return how many were new."""
    if not transitions:
        return 0, EnqueueResult()
    lock_outbox(connection)
    new = not_yet_known(connection, transitions)
    if not new:
        return 0, EnqueueResult()
    add(connection, tables.transitions, (_transition(changed) for changed in new))
    _advance_alerts(connection, new)
    wake_worse(connection, new, now_ms)
    return len(new), enqueue(connection, messages_of(new), rules, now_ms)


def _write_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write many packed bodies at once, in the order in which they come; each row has a value for each column."""
    if not rows:
        return
    statement = upsert(connection, table, ("body",))
    compiled = statement.compile(dialect=connection.dialect)
    if connection.dialect.positional:
        # The rows are what the driver wants already; taking each apart and together again costs twice as
        # much time as writing it (200,000 states: 4 s against 2 s).
        connection.exec_driver_sql(compiled.string, list(rows))
    else:
        names = table.columns.keys()
        connection.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])


def _end_snapshots(connection: Connection, ended: Sequence[tuple[str, int]]) -> None:
    if ended:
        columns = tables.snapshots.c
        statement = delete(tables.snapshots).where(
            columns.subscriber_id == bindparam("ended"), columns.at_ms == bindparam("taken_ms")
        )
        connection.execute(statement, [{"ended": subscriber_id, "taken_ms": at_ms} for subscriber_id, at_ms in ended])


def _columns_of(table: Table, values: Iterable[msgspec.Struct]) -> list[RowValues]:
    names = table.columns.keys()
    return [{name: getattr(value, name) for name in names} for value in values]


def _positions(batch: Batch) -> list[RowValues]:
    return [{"source": source, **msgspec.structs.asdict(position)} for source, position in batch.positions.items()]


def _forget(connection: Connection, subscriber_ids: Sequence[str]) -> None:
    for table in (tables.states, tables.snapshots) if subscriber_ids else ():
        statement = delete(table).where(table.c.subscriber_id == bindparam("forgotten"))
        connection.execute(statement, [{"forgotten": subscriber_id} for subscriber_id in subscriber_ids])


def _transition(changed: AlertChanged) -> RowValues:
    return {**msgspec.structs.asdict(changed), "rank": rank_of_change(changed)}


def rank_of_change(changed: AlertChanged) -> int:
    """Return the rank of a transition among those of its alert at the same millisecond: the highest is the last."""
    is_request = changed.change == "restaged" and changed.stage == "requested"
    return REQUEST_RANK if is_request else CHANGE_RANK[changed.change]


def _advance_alerts(connection: Connection, transitions: Sequence[AlertChanged]) -> None:
    """Let each alert stand as its newest transition left it, whichever order the transitions come in."""
    if not transitions:
        return
    alerts = tables.alerts
    statement = insert_into(connection, alerts)
    excluded = statement.excluded
    newer = tuple_(excluded.latest_at_ms, excluded.latest_rank, excluded.latest_transition_id) > tuple_(
        alerts.c.latest_at_ms, alerts.c.latest_rank, alerts.c.latest_transition_id
    )
    moving = (
        "state", "band", "value_band", "probability", "latest_at_ms", "latest_rank", "latest_transition_id",
        "is_firing", "urgency", "stage",
    )  # fmt: skip
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[alerts.c.alert_id], set_={name: excluded[name] for name in moving}, where=newer
        ),
        [_alert(changed) for changed in transitions],
    )
    _note_firing(connection, transitions)


def _note_firing(connection: Connection, transitions: Sequence[AlertChanged]) -> None:
    """Note when alerts fired first, whichever of their transitions is the newest."""
    fired = [{"fired": one.alert_id, "first_ms": one.at_ms} for one in transitions if one.change == "fired"]
    if fired:
        column = tables.alerts.c
        is_first = or_(column.fired_at_ms.is_(None), column.fired_at_ms > bindparam("first_ms"))
        earliest = update(tables.alerts).where(column.alert_id == bindparam("fired"), is_first)
        connection.execute(earliest.values(fired_at_ms=bindparam("first_ms")), fired)


def urgency_of(changed: AlertChanged) -> float:
    """Return what an alert is sorted by for people: probability times value, and of no value by probability.

    The migration that brought the column computes the same, to the last bit, for all that was told before there were
    stages.
    """
    return certainty_of(changed) * (changed.value_at_risk_minor + 1)


def _alert(changed: AlertChanged) -> RowValues:
    return {
        "alert_id": changed.alert_id,
        "subscriber_id": changed.subscriber_id,
        "kind": changed.kind,
        "episode": changed.episode,
        "opened_at_ms": changed.opened_at_ms,
        "state": changed.state,
        "band": changed.band,
        "value_band": changed.value_band,
        "probability": changed.probability,
        "latest_at_ms": changed.at_ms,
        "latest_rank": rank_of_change(changed),
        "latest_transition_id": changed.transition_id,
        "held_out": changed.held_out,
        "is_firing": changed.state == "firing",
        "urgency": urgency_of(changed),
        "stage": changed.stage,
    }


def _features(example: LabelledExample) -> RowValues:
    packed = struct.pack(f"<{len(example.features)}d", *example.features)
    return {"example_id": example.example_id, "feature_table": example.feature_table, "body": packed}


def _market_event(announced: MarketAnnouncement) -> RowValues:
    """Return the row of a message, which is known by the hash of all that it says."""
    event = announced.event
    return {
        "digest": sha256(msgspec.json.encode(event)).hexdigest(),
        "entry_id": event.entry_id,
        "revision": event.revision,
        "known_ms": announced.known_ms,
        "body": event,
    }


def _add_models(connection: Connection, versions: Sequence[ModelVersion]) -> None:
    """Add model versions; the same number with other contents means that two different runs share a database."""
    models = tables.models
    for version in versions:
        where = (models.c.name == version.name, models.c.version == version.version)
        stored = connection.scalar(select(models.c.hash).where(*where))
        if stored is None:
            row = {name: getattr(version, name) for name in ("name", "version", "hash", "published_at_ms")}
            connection.execute(models.insert().values(**row, body=version))
        elif stored != version.hash:
            raise StoreError(
                f"model {version.name} version {version.version} is stored already, with other weights",
                hint="this run does not repeat the one that filled the database: start a new one with --db",
            )


def _add_promotions(connection: Connection, promotions: Sequence[Promotion]) -> None:
    """Add promotions behind those that are there; one that is there already is known by its hash."""
    table = tables.promotions
    for promotion in promotions:
        if connection.scalar(select(table.c.number).where(table.c.hash == promotion.hash)) is None:
            number = connection.scalar(select(func.count()).select_from(table))
            row = {"number": number, "at_ms": promotion.at_ms, "hash": promotion.hash, "body": promotion}
            connection.execute(table.insert().values(**row))

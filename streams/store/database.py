"""The store: one database that holds a run's states, alerts, models and positions, always all from one moment."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from time import time
from types import TracebackType
from typing import Self

import msgspec
from sqlalchemy import Engine, insert, select

from streams.core.contracts.effects import AlertChanged, DeadLetter, LabelledExample, LateEvent, Stage
from streams.core.notify.contact import WITHOUT_LIMITS, ContactRules
from streams.core.scoring.models import ModelVersion
from streams.core.scoring.promotions import Promotion
from streams.shared.errors import ModelError, StoreError
from streams.store.base.connections import as_store_errors, name_of, open_engine, url_of
from streams.store.base.tables import THE_ROW
from streams.store.commits import write_batch
from streams.store.run import queries, tables
from streams.store.run.batch import (
    NO_TIME_MS,
    AlertPage,
    AlertRow,
    Batch,
    Checkpoint,
    MarketAnnouncement,
    PredictionRow,
    Run,
)


class RunStore:
    """An open database; use it in a `with` statement, or call `close`.

    Every method raises `StoreError` with a message for people where the database fails.  One store writes at a
    time: the second of two that have the same database open is refused at its next commit.  What comes as an
    iterator is read as it is asked for, from the moment at which it was begun.
    """

    def __init__(self, engine: Engine, name: str, rules: ContactRules) -> None:
        """For `open` alone."""
        self._engine = engine
        self._rules = rules
        self.name = name
        with self._failures(), engine.connect() as connection:
            self._commits = connection.scalar(select(tables.run.c.commits).where(tables.run.c.id == THE_ROW))

    @classmethod
    def open(cls, place: str | Path, *, create: bool = True, rules: ContactRules = WITHOUT_LIMITS) -> Self:
        """Open the database at a path (SQLite) or URL, and make it first if it is not there and `create` is true.

        By the rules of contact the endpoints in it are told of what is committed.
        """
        url = url_of(place)
        return cls(open_engine(url, create=create), name_of(url), rules)

    def close(self) -> None:
        """Give the database free; afterwards the file at its path is all there is of it."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self, run: Run) -> None:
        """Write down what the run is; a database takes one run, which may be stopped and continued at will."""
        if self._commits is not None:
            raise StoreError(
                f"database {self.name} holds a run already", hint="continue that one, or name a new database after --db"
            )
        row = msgspec.structs.asdict(run) | {"stream_ms": NO_TIME_MS, "counters": {}, "commits": 0}
        with self._failures(), self._engine.begin() as connection:
            connection.execute(insert(tables.run).values(id=THE_ROW, **row))
        self._commits = 0

    def begin(self, run: Run) -> Checkpoint:
        """Start a run, or find it started by the same input, policy and tables; return where it stands.

        Raises:
            StoreError: the database holds another run.
        """
        checkpoint = self.load()
        if checkpoint is None:
            self.start(run)
            return Checkpoint(run=run, positions={}, stream_ms=NO_TIME_MS, counters={}, trainer=None)
        began = checkpoint.run
        for what, now, then in (
            ("input", run.input, began.input),
            ("topic", run.settings.get("topic") or "any", began.settings.get("topic") or "any"),
            ("policy", run.policy_version, began.policy_version),
            ("feature table", run.feature_table, began.feature_table),
            ("scorecard", run.settings.get("scorecard"), began.settings.get("scorecard")),
        ):
            if now != then:
                raise StoreError(
                    f"database {self.name} holds a run with another {what}: {then}, not {now}", hint="name a new one"
                )
        return checkpoint

    def commit(self, batch: Batch) -> None:
        """Write the whole batch in one transaction; the same batch a second time adds nothing."""
        if self._commits is None:
            raise RuntimeError("Store.start comes before Store.commit")
        with self._failures(), self._engine.begin() as connection:
            now_ms = int(time() * 1000)
            write_batch(connection, batch, commits=self._commits, rules=self._rules, now_ms=now_ms)
        self._commits += 1

    def load(self) -> Checkpoint | None:
        """Return where the last commit left the run, or None if no run was started here."""
        with self._failures(), self._engine.connect() as connection:
            return queries.checkpoint(connection)

    def states(self) -> Iterator[tuple[str, bytes]]:
        """Yield (subscriber_id, packed state) of every subscriber, in the order of their ids."""
        with self._failures(), self._engine.connect() as connection:
            yield from queries.states(connection)

    def state(self, subscriber_id: str) -> bytes | None:
        """Return one subscriber's packed state, or None if there is none."""
        with self._failures(), self._engine.connect() as connection:
            return queries.state(connection, subscriber_id)

    def snapshots(self, keys: Iterable[tuple[str, int]]) -> list[tuple[str, int, bytes]]:
        """Return (subscriber_id, when it was taken, packed snapshot) of those that wait here, in any order."""
        with self._failures(), self._engine.connect() as connection:
            return list(queries.snapshots(connection, keys))

    def alerts(
        self,
        states: Collection[str] | None = None,
        band: str | None = None,
        kind: str | None = None,
        subscriber_id: str | None = None,
        *,
        held_out: bool | None = None,
        limit: int | None = None,
    ) -> list[AlertRow]:
        """Return alerts as they stand now, the most probable leavers first; each argument narrows the choice."""
        with self._failures(), self._engine.connect() as connection:
            return queries.alerts(
                connection,
                states=states,
                band=band,
                kind=kind,
                subscriber_id=subscriber_id,
                held_out=held_out,
                limit=limit,
            )

    def alert_page(
        self,
        states: Collection[str] | None = None,
        bands: Collection[str] = (),
        kinds: Collection[str] = (),
        *,
        stages: Collection[str] = (),
        held_out: bool = False,
        limit: int | None = None,
    ) -> AlertPage:
        """Return the alerts that ever fired, firing ones first and then by what is at stake, and how many there are.

        Pending ones are among them where `states` names them.
        """
        with self._failures(), self._engine.connect() as connection:
            return queries.alert_page(
                connection, states=states, bands=bands, kinds=kinds, stages=stages, held_out=held_out, limit=limit
            )

    def alert_ids(self, prefix: str) -> list[str]:
        """Return the ids of the alerts that begin so, in their order."""
        with self._failures(), self._engine.connect() as connection:
            return queries.alert_ids(connection, prefix)

    def alert(self, alert_id: str) -> AlertRow | None:
        """Return one alert as it stands now, or None if no alert has this id."""
        with self._failures(), self._engine.connect() as connection:
            found = queries.alerts(connection, alert_id=alert_id)
        return found[0] if found else None

    def transitions(self, alert_id: str) -> list[AlertChanged]:
        """Return all that happened to one alert, the oldest first; nothing if no alert has this id."""
        with self._failures(), self._engine.connect() as connection:
            return queries.transitions(connection, alert_id)

    def stages_at_firing(self) -> dict[str, Stage]:
        """Return the stage at which each alert fired first."""
        with self._failures(), self._engine.connect() as connection:
            return queries.stages_at_firing(connection)

    def models(self) -> list[ModelVersion]:
        """Return every published model version, by name and number.

        Raises:
            ModelError: what is stored as one is none.
        """
        try:
            with self._failures(), self._engine.connect() as connection:
                return queries.models(connection)
        except msgspec.ValidationError as error:
            raise ModelError(
                f"database {self.name} holds a model version that cannot be read: {error}", hint="run into a new one"
            ) from error

    def promotions(self) -> list[Promotion]:
        """Return every promotion of a model line or version, in the order in which they were made."""
        with self._failures(), self._engine.connect() as connection:
            return queries.promotions(connection)

    def market_events(self) -> list[MarketAnnouncement]:
        """Return every message about the market, with the time from which the run knew it."""
        with self._failures(), self._engine.connect() as connection:
            return queries.market_events(connection)

    def predictions(
        self, *, model_version: str | None = None, from_ms: int | None = None, until_ms: int | None = None
    ) -> Iterator[PredictionRow]:
        """Yield settled predictions by time of snapshot: from `from_ms` on, before `until_ms` (ms since 1970 UTC)."""
        with self._failures(), self._engine.connect() as connection:
            yield from queries.predictions(connection, model_version=model_version, from_ms=from_ms, until_ms=until_ms)

    def examples(self) -> Iterator[LabelledExample]:
        """Yield every settled snapshot with its features as they were served, by when it was settled."""
        with self._failures(), self._engine.connect() as connection:
            yield from queries.examples(connection)

    def dead_letters(self, *, reason: str | None = None) -> Iterator[DeadLetter]:
        """Yield the records that could not be used, by topic, partition and offset."""
        with self._failures(), self._engine.connect() as connection:
            yield from queries.dead_letters(connection, reason=reason)

    def late_events(self) -> Iterator[LateEvent]:
        """Yield the events that came too late to count, by topic, partition and offset."""
        with self._failures(), self._engine.connect() as connection:
            yield from queries.late_events(connection)

    def _failures(self) -> AbstractContextManager[None]:
        return as_store_errors(self.name)

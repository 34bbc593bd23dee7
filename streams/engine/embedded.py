"""The whole system in one process: sources, `step`, the trainer and the store, without a broker.

Records come merged in event time.  Before the stream moves past a wake, the run gives the wake to its subscriber.  It
reads the market whole beforehand; each entry is in force from its event time on.  A commit writes all that has changed
since the last one (states, alerts, examples, versions, positions) in one transaction, so a run that is killed at any
point goes on from its last commit and ends with the same alerts.
"""

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from time import monotonic
from typing import Final, Protocol

from msgspec import Struct

from streams.core.contracts.decode import decode_broadcast
from streams.core.contracts.effects import (
    AlertChanged,
    DeadLetter,
    LabelledExample,
    LateEvent,
)
from streams.core.contracts.events import MARKET, BroadcastEvent, Event
from streams.core.contracts.source import TOPICS, topic_number
from streams.core.scoring.models import ModelVersion, UnusableModelError, check_version
from streams.core.scoring.promotions import Promotion
from streams.core.step import Context
from streams.engine.in_force import ContextTimeline
from streams.engine.subscribers import Subscribers
from streams.engine.timeline import Timeline, count
from streams.engine.waiting_snapshots import parts_of, snapshot_key
from streams.files.lines import DamagedInputError
from streams.files.sources import MergedSources, Source, decoder_of, merge_sources
from streams.shared.errors import InputError, ModelError
from streams.store.database import RunStore
from streams.store.run.batch import NO_TIME_MS, Batch, Checkpoint, MarketAnnouncement, Position, Run

COMMIT_RECORDS: Final = 1_000_000
COMMIT_S: Final = 20.0
PROGRESS_RECORDS: Final = 4096


class TrainerInterface(Protocol):
    """What the run needs of the trainer; the real one is `streams.learning.trainer`.

    `next_due_ms` is the event time at which `advance` has something to do.
    """

    next_due_ms: int

    def receive(self, example: LabelledExample, past_ms: int) -> object:
        """Queue a settled example; up to `past_ms` everything that was due is learned, and nothing is served anew."""

    def advance(self, stream_ms: int) -> list[ModelVersion]:
        """Learn all that is due by `stream_ms` and return the versions published on the way."""

    def take_promotions(self) -> list[Promotion]:
        """Hand out, once, what was promoted on the way."""

    def note_promotion(self, to: str) -> None:
        """Take note of what somebody else has promoted."""

    def snapshot(self) -> bytes:
        """Return everything that is needed to go on."""


class RunPlan(Struct, frozen=True, kw_only=True):
    """What a run is made of: what it reads, who learns, and by what it judges.

    `bytes_total` is 0 where nobody knows it.  `resume_trainer` makes the trainer out of the snapshot that an earlier
    run left, or a new one out of None.  `cold` serves until a version is published.
    """

    run: Run
    sources: tuple[Source, ...]
    market_sources: tuple[Source, ...]
    bytes_total: int
    resume_trainer: Callable[[bytes | None], TrainerInterface]
    cold: Context


class RunProgress(Struct, frozen=True):
    """How far a run has come: for a progress bar."""

    records: int
    bytes_read: int
    bytes_total: int
    event_ms: int
    alerts: int


class EmbeddedEngine:
    """One run over one database; `run` may be called once."""

    def __init__(
        self,
        store: RunStore,
        plan: RunPlan,
        checkpoint: Checkpoint,
        *,
        commit_records: int = COMMIT_RECORDS,
    ) -> None:
        """Restore what the checkpoint and the store hold."""
        self._store = store
        self._plan = plan
        self._checkpoint = checkpoint
        self._trainer = trainer = plan.resume_trainer(checkpoint.trainer)
        self._commit_records = commit_records
        self._in_force = in_force_of(store, plan.cold)
        self._subscribers = Subscribers(self._in_force.at(checkpoint.stream_ms)[0])
        self._transitions: list[AlertChanged] = []
        self._examples: list[LabelledExample] = []
        self._late: list[LateEvent] = []
        self._dead: list[DeadLetter] = []
        self._models: list[ModelVersion] = []
        self._promotions: list[Promotion] = []
        self._announced: list[MarketAnnouncement] = []
        self._bulletins: dict[str, Position] = {}
        self._committed_lines = {name: at.next_offset for name, at in checkpoint.positions.items()}
        self._timeline = Timeline(
            self._subscribers, self._in_force, self, stream_ms=checkpoint.stream_ms, schedule=trainer, meet=self._learn
        )
        self.counters = self._timeline.counters
        self.counters.update(checkpoint.counters)
        # Whoever promoted something did so between two runs, at the time that the first of them had come to.
        trainer.note_promotion(self._in_force.last_promoted)
        packed = ((subscriber_id.encode(), packed) for subscriber_id, packed in store.states())
        self._subscribers.restore(_StatesInMemory(store, packed))

    @property
    def stream_ms(self) -> int:
        """The latest event time (ms) that the run has come to."""
        return self._timeline.stream_ms

    @property
    def model_version(self) -> str:
        """The version that serves now."""
        return self._subscribers.context.scorer.version

    @property
    def subscribers(self) -> int:
        """How many subscribers are known."""
        return len(self._subscribers)

    def run(self, until_ms: int | None, progress: Callable[[RunProgress], None] | None) -> None:
        """Process every record before `until_ms` (all, if None), then commit; of the market all is read, and first.

        The garbage collector rests meanwhile: nothing here makes cycles, and its passes over millions of states
        would take longer than the work itself.
        """
        plan, at, received_ms = self._plan, self._checkpoint.positions, self._checkpoint.run.received_ms
        with (
            closing(merge_sources(plan.market_sources, at, received_ms, decode_broadcast)) as bulletins,
            closing(merge_sources(plan.sources, at, received_ms, decoder_of(plan.sources))) as merge,
            _no_collection(),
        ):
            self._read(bulletins)
            try:
                self._process(merge, until_ms, progress)
            except DamagedInputError as error:
                # What came out of the archive just before may be wrong, and only a whole copy can tell.
                raise error.after(self._committed_lines.get(error.source, 0)) from error
            except InputError:
                self._commit(merge)  # What came before the place that cannot be read is not lost.
                raise
            if until_ms is not None and until_ms > self.stream_ms > NO_TIME_MS:
                self._timeline.advance(until_ms)
            self._commit(merge)

    def _read(self, bulletins: MergedSources) -> None:
        """Take in all that was published about the market, which is known from its event time on, and not before."""
        for item in bulletins:
            if isinstance(item, BroadcastEvent):
                self._announce(item)
            elif isinstance(item, DeadLetter):
                self._bury(item)
        self._bulletins = bulletins.positions()

    def _announce(self, notice: BroadcastEvent) -> None:
        """Take in a message about the market: what comes late is known from now on."""
        count(self.counters, f"events:{MARKET}")
        known_ms = max(notice.at_ms, self.stream_ms)
        if self._in_force.announce(notice.body, known_ms):
            self._announced.append(MarketAnnouncement(known_ms, notice.body))
        self._timeline.refresh(self.stream_ms)

    def _process(
        self, merge: MergedSources, until_ms: int | None, progress: Callable[[RunProgress], None] | None
    ) -> None:
        begun_s, since_commit, records, timeline = monotonic(), 0, 0, self._timeline
        read = [0] * len(TOPICS)
        try:
            for item in merge:
                if isinstance(item, Event):
                    if item.at_ms > timeline.stream_ms:
                        if until_ms is not None and item.at_ms >= until_ms:
                            merge.put_back()
                            break
                        timeline.advance(item.at_ms)
                    read[topic_number(item.source)] += 1
                    timeline.apply(item)
                elif isinstance(item, BroadcastEvent):
                    self._announce(item)
                else:
                    self._bury(item)
                since_commit += 1
                if not since_commit % PROGRESS_RECORDS:
                    if progress is not None:
                        progress(self._progress(records + since_commit, merge))
                    if since_commit >= self._commit_records or monotonic() - begun_s > COMMIT_S:
                        self._count_read(read)
                        self._commit(merge)
                        records += since_commit
                        begun_s, since_commit = monotonic(), 0
        finally:
            self._count_read(read)

    def _progress(self, records: int, merge: MergedSources) -> RunProgress:
        alerts = self.counters.get("alerts", 0)
        return RunProgress(records, merge.bytes_read, self._plan.bytes_total, self.stream_ms, alerts)

    def _learn(self, at_ms: int) -> None:
        """Learn what is due by an event time; what is published and promoted on the way is in force from its date."""
        for version in self._trainer.advance(at_ms):
            self._models.append(version)
            self._in_force.publish(version)
        for promotion in self._trainer.take_promotions():
            self._promotions.append(promotion)
            self._in_force.promote(promotion)

    def take_example(self, example: LabelledExample, past_ms: int) -> None:
        """Give an example to the trainer, and keep it for the store."""
        self._trainer.receive(example, past_ms)
        self._examples.append(example)

    def take_alert(self, change: AlertChanged) -> None:
        """Keep an alert's transition for the store."""
        self._transitions.append(change)

    def take_late(self, late: LateEvent) -> None:
        """Keep a late event for the store."""
        self._late.append(late)

    def _bury(self, letter: DeadLetter) -> None:
        self._dead.append(letter)
        count(self.counters, f"dead:{letter.reason}")

    def _count_read(self, read: list[int]) -> None:
        for number, records in enumerate(read):
            if records:
                count(self.counters, f"events:{TOPICS[number]}", records)
            read[number] = 0

    def _commit(self, merge: MergedSources) -> None:
        """Write all that happened since the last commit, or nothing of it."""
        count(self.counters, "scored", self._subscribers.scored)
        self._subscribers.scored = 0
        waiting = self._subscribers.waiting
        batch = Batch(
            positions=merge.positions() | self._bulletins,
            stream_ms=self.stream_ms,
            counters=self.counters,
            states=[(subscriber_id, packed) for subscriber_id, packed in self._subscribers.packed_states() if packed],
            snapshots=[(*parts_of(key), body) for key, body in waiting.new.items()],
            ended_snapshots=[*map(parts_of, waiting.gone)],
            transitions=self._transitions,
            examples=self._examples,
            late=self._late,
            dead=self._dead,
            announced=self._announced,
            models=self._models,
            promotions=self._promotions,
            trainer=self._trainer.snapshot(),
        )
        self._store.commit(batch)
        self._committed_lines = {name: at.next_offset for name, at in batch.positions.items()}
        self._subscribers.note_written()
        for written in (
            self._transitions, self._examples, self._late, self._dead, self._models, self._promotions, self._announced,
        ):  # fmt: skip
            written.clear()


class _StatesInMemory(dict[bytes, bytes]):
    """Packed states until they are opened; snapshots stay in the database, where the commit has written them."""

    def __init__(self, store: RunStore, packed: Iterable[tuple[bytes, bytes]]) -> None:
        super().__init__(packed)
        self._store = store

    def read_snapshots(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found = self._store.snapshots(map(parts_of, keys))
        return {snapshot_key(subscriber_id, at_ms): body for subscriber_id, at_ms, body in found}

    def write_snapshots(self, new: Mapping[bytes, bytes], gone: Collection[bytes]) -> None:
        """Nothing is left to do."""


def in_force_of(store: RunStore, cold: Context) -> ContextTimeline:
    """Return what was in force when in a run: its versions and promotions, and what it knew of the market.

    Raises:
        ModelError: a version was changed after it was published, or learned on other features.
    """
    in_force = ContextTimeline(cold)
    try:
        for version in sorted(store.models(), key=_published_at_ms):
            check_version(version)
            in_force.publish(version)
    except UnusableModelError as error:
        raise ModelError(
            f"database {store.name} holds a model version that cannot be used: {error}", hint="run into a new one"
        ) from error
    for promotion in store.promotions():
        in_force.promote(promotion)
    for known in store.market_events():
        in_force.announce(known.event, known.known_ms)
    return in_force


def _published_at_ms(version: ModelVersion) -> int:
    return version.published_at_ms


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

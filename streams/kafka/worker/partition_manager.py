"""The partition manager of one worker: takes and drops partition tasks, feeds them, and writes what they change.

One lock orders everything, so a rebalance never comes into the middle of a write.  A write that fails ends the process:
memory is ahead of what is written then, and only a restart puts that right.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final, Generic, Protocol

from msgspec import Struct

from streams.core.contracts.source import SourceNumber, partition_number, source_at, topic_number
from streams.core.subscriber.packing import UnreadableStateError
from streams.kafka.client.admin import KafkaError
from streams.kafka.worker.checkpoint import BrokenCheckpointError
from streams.kafka.worker.faust_transport import PartitionOffsets, RecordBatch
from streams.kafka.worker.flood import FloodLimit
from streams.kafka.worker.health import HealthStatus
from streams.kafka.worker.owned_partitions import InFlightWrite, OwnedPartition, SeekPosition
from streams.kafka.worker.source_queues import LogRecord
from streams.kafka.worker.task_progress import C, TaskProgress, WriteFailedError
from streams.shared.exits import EXIT_INVARIANT, EXIT_IO, StoppedError

TURN_RECORDS: Final = 1_000
"""Records applied before others may have the loop: some 20 ms."""
WRITE_RECORDS: Final = 400_000
"""Records and wakes after which is written at once, however many states that are: what they publish waits in memory."""
WRITE_S: Final = 0.25
WRITE_BEHIND_S: Final = 40.0
"""How often is written while a backlog is worked off: a subscriber of whom much comes is written once for all of it,
and a worker that is killed has so much to do again."""
SEEK_AGAIN_S: Final = 5.0
LOST_S: Final = 2.0
"""For how long nothing may come before what was read and did not arrive counts as lost on the way."""
BEHIND_RECORDS: Final = 5_000
"""Records not applied yet from which on a partition number counts as being behind."""
WAITING_MAX: Final = 20_000
"""Records of one source that may wait for the other sources before its partition is paused."""


class Pace(Struct, frozen=True, kw_only=True):
    """When a partition is written: after so long, after so long while it works off a backlog, after so many records."""

    write_s: float = WRITE_S
    write_behind_s: float = WRITE_BEHIND_S
    write_records: int = WRITE_RECORDS

    def between_s(self, *, is_behind: bool) -> float:
        """Return how long a partition may wait from one write to the next."""
        return max(self.write_s, self.write_behind_s) if is_behind else self.write_s


class ConsumerControl(Protocol):
    """What the partition manager needs of the consumer."""

    def read_again(self, topic: str, partition: int, position: int) -> None:
        """Go back to a position of a source."""

    def pause(self, topic: str, partition: int, *, paused: bool) -> None:
        """Stop or go on fetching a source."""


class PartitionManager(Generic[C]):
    """The partitions of one worker; every method is called in the loop that the worker runs in."""

    def __init__(
        self,
        topics: Sequence[str],
        progress: TaskProgress[C],
        *,
        pace: Pace = Pace(),  # noqa: B008 - frozen
        flood: FloodLimit = FloodLimit(),  # noqa: B008 - frozen
        accepts_expired: bool = False,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Keep nothing yet; `topics` are the keyed ones as Kafka names them, in the order of their numbers.

        `clock` gives seconds that never go back.
        """
        self.keyed = frozenset(topics)
        self.written_records = 0
        self.joined = self.is_taking = False
        self._topics = tuple(topics)
        self._topic_numbers = {topic: number for number, topic in enumerate(topics)}
        self._progress = progress
        self._pace = pace
        self._flood = flood
        self._accepts_expired = accepts_expired
        self._say = say
        self._clock = clock
        self._lock = asyncio.Lock()
        self._accepted_s = self._clock()
        self._assigned: tuple[int, ...] | None = None
        self._write_ended_s: float | None = None
        self._owned: dict[int, OwnedPartition[C]] = {}
        self._seeks: dict[SourceNumber, SeekPosition] = {}
        self._paused: set[SourceNumber] = set()

    def source(self, topic: str, partition: int) -> SourceNumber:
        """Return the source number of a topic as it is named in Kafka."""
        return source_at(self._topic_numbers[topic], partition)

    def has_partitions(self) -> bool:
        """Say whether any partition is ours."""
        return bool(self._owned)

    def health_status(self, unreached_s: float = 0.0) -> HealthStatus:
        """Return how this worker stands, of which brokers were last heard `unreached_s` seconds ago."""
        return HealthStatus(
            partitions=self._assigned,
            restored=tuple(sorted(self._owned)),
            moved=tuple(sorted(number for number, owned in self._owned.items() if owned.has_moved)),
            written_s=None if self._write_ended_s is None else self._clock() - self._write_ended_s,
            unreached_s=unreached_s,
        )

    def unwritten_s(self) -> float:
        """Return for how long the oldest record that was applied has waited to be written."""
        now_s = self._clock()
        since = [owned.unwritten_since_s for owned in self._owned.values() if owned.unwritten_since_s is not None]
        since += [owned.writing.since_s for owned in self._owned.values() if owned.writing is not None]
        return now_s - min(since, default=now_s)

    def unmoved_s(self) -> float:
        """Return for how long a partition with records to apply has applied none; nobody does while one is taken."""
        now_s = self._clock()
        return 0.0 if self.is_taking else now_s - min((owned.moved_s for owned in self._owned.values()), default=now_s)

    async def take(self, assigned: Sequence[tuple[str, int]]) -> None:
        """Make every partition number ours that was assigned.

        Raises:
            StoppedError: not all topics of a number were assigned to us, or its states cannot be used.
        """
        async with self._lock:
            self.joined = self.is_taking = True
            self._assigned = tuple(sorted({partition for _, partition in assigned}))
            for partition in self._assigned:
                missing = self.keyed - {topic for topic, number in assigned if number == partition}
                if missing:
                    raise StoppedError(
                        EXIT_INVARIANT,
                        f"partition {partition} of {min(missing)} was not assigned with the others: "
                        "all keyed topics need the same number of partitions",
                    )
                await self._take(partition)
            for owned in self._owned.values():
                owned.moved_s = self._clock()  # The first of them have waited for the last.
            self._progress.settle(self._assigned)
            self.is_taking = False

    async def _take(self, partition: int) -> None:
        try:
            task = await self._progress.take(partition)
        except (KafkaError, OSError, TimeoutError) as error:
            raise StoppedError(
                EXIT_IO, f"partition {partition} cannot be taken: {type(error).__name__}: {error}"
            ) from error
        except (UnreadableStateError, BrokenCheckpointError) as error:
            raise StoppedError(EXIT_INVARIANT, f"partition {partition} cannot be restored: {error}") from error
        safe = {source: queue.applied for source, queue in task.queues.items()}
        self._owned[partition] = OwnedPartition(task, safe, written_s=self._clock(), moved_s=self._clock())

    async def drop(self, revoked: Sequence[tuple[str, int]]) -> None:
        """Write what is left to write, then give up every partition number that was revoked.

        Where tasks are suspended, they wait until the group has assigned the partitions anew: they may well come back.
        """
        async with self._lock:
            self._assigned = None  # Until the group has said what is ours next.
            for partition in sorted({number for _, number in revoked}):
                if partition in self._owned:
                    await self._write(self._owned[partition])
                    await self._arrive(self._owned[partition])
                    del self._owned[partition]
                    await self._progress.give_up(partition)

    async def write(self) -> None:
        """Write everything that was applied.

        Raises:
            StoppedError: a write failed.
        """
        async with self._lock:
            for owned in self._owned.values():
                await self._write(owned)
            for owned in self._owned.values():
                await self._arrive(owned)

    async def close(self) -> None:
        """Write what is left to write and give everything up, before the worker ends.

        Raises:
            StoppedError: a write failed.
        """
        await self.drop([(topic, partition) for partition in self._owned for topic in self.keyed])
        self._progress.settle(())

    def begin(self, topic: str, partition: int, reach: PartitionOffsets) -> int | None:
        """Return from where a source has to be read: from where its states stand; None if it is not ours.

        Raises:
            StoppedError: the log is not the one of which that was applied, or records have expired unread.
        """
        owned = self._owned.get(partition)
        if owned is None:
            return None
        source = self.source(topic, partition)
        queue = owned.task.queues[source]
        why = self._progress.misfit(f"{topic}/{partition}", queue.applied, reach)
        if why is not None:
            raise StoppedError(EXIT_INVARIANT, why)
        if 0 < queue.queued < reach.first:
            self.note_expired(topic, partition, queue.queued, reach.first)
        self._seeks.pop(source, None)
        return queue.queued

    def note_expired(self, topic: str, partition: int, start: int, first: int) -> None:
        """Take note that records have expired before anybody read them.

        Raises:
            StoppedError: unless that was accepted.
        """
        if not start:
            return  # A source that nobody has read yet begins where its log does.
        gone = f"{first - start:,} records of {topic}/{partition} ({start} to {first - 1}) have expired unread"
        if not self._accepts_expired:
            raise StoppedError(EXIT_INVARIANT, f"{gone}; restore them, or start once with --accept-expired")
        self._say(f"{gone}: accepted")

    def safe_offset(self, topic: str, partition: int) -> int | None:
        """Return the first offset that is not written yet, None if the partition is not ours."""
        owned = self._owned.get(partition)
        return None if owned is None else owned.safe[self.source(topic, partition)]

    async def accept(self, topic: str, partition: int, run: RecordBatch, reader: ConsumerControl) -> None:
        """Queue one run, then apply and write what can be.

        Raises:
            StoppedError: a write failed, or the bad records are too many.
        """
        async with self._lock:
            owned = self._owned.get(partition)
            if owned is None:
                return  # Revoked meanwhile: its next owner reads it.
            task, source = owned.task, self.source(topic, partition)
            self._accepted_s = self._clock()
            owned.ended.discard(source)
            records: Sequence[LogRecord] = run.records
            if not task.queue(source, run.start, records):
                self._read_again(source, task.queues[source].queued, reader)
                return
            self._seeks.pop(source, None)
            if task.waiting_count(source) > WAITING_MAX and source not in self._paused:
                self._paused.add(source)
                reader.pause(topic, partition, paused=True)
            await self._turn(owned)

    async def tick(
        self, ended: Mapping[tuple[str, int], int], lags: Mapping[int, int], reader: ConsumerControl
    ) -> None:
        """Let every partition apply and write what it can.

        `ended` are the sources read to their end, with where they stand then; `lags` how many records of each partition
        number have not been read yet.

        Raises:
            StoppedError: as `accept` does.
        """
        async with self._lock:
            is_quiet = self._clock() - self._accepted_s > LOST_S
            for partition, owned in self._owned.items():
                owned.ended.clear()
                owned.is_behind = (
                    lags.get(partition, 0) + sum(map(owned.task.waiting_count, owned.task.queues)) > BEHIND_RECORDS
                )
            for (topic, partition), position in ended.items():
                found, source = self._owned.get(partition), self.source(topic, partition)
                if found is None:
                    continue
                queued = found.task.queues[source].queued
                if queued >= position:
                    found.ended.add(source)
                elif is_quiet:  # All was handed over and nobody brings it: the last run was dropped on the way.
                    self._read_again(source, queued, reader)
            for owned in list(self._owned.values()):
                await self._turn(owned)
            self._go_on(reader)

    def _go_on(self, reader: ConsumerControl) -> None:
        """Fetch again from the sources whose records have been worked off."""
        for source in list(self._paused):
            partition = partition_number(source)
            owned = self._owned.get(partition)
            if owned is None or owned.task.waiting_count(source) < WAITING_MAX // 2:
                self._paused.discard(source)
                reader.pause(self._topics[topic_number(source)], partition, paused=False)

    def _read_again(self, source: SourceNumber, stands: int, reader: ConsumerControl) -> None:
        """Have the reader go back to where a source stands, unless it was told so a moment ago."""
        seek, now_s = self._seeks.get(source), self._clock()
        if seek is not None and seek.position == stands and now_s - seek.at_s < SEEK_AGAIN_S:
            return
        self._seeks[source] = SeekPosition(stands, now_s)
        reader.read_again(self._topics[topic_number(source)], partition_number(source), stands)

    async def _turn(self, owned: OwnedPartition[C]) -> None:
        """Apply all that can be applied; write when enough has gathered or waited for long enough."""
        task = owned.task
        while done := task.advance(owned.ended, TURN_RECORDS):
            # Before they are written to the dead letters.
            self._flood.refuse(task.partition, task.bad_run, task.bad_recent, task.recent, task.counters)
            owned.moved_s = self._clock()
            owned.unwritten += done
            if owned.unwritten_since_s is None:
                owned.unwritten_since_s = owned.moved_s
            is_worth_it = owned.is_worth_a_write(self._pace.write_records)
            await (self._write(owned) if is_worth_it else asyncio.sleep(0))
        if len(owned.ended) == len(task.queues):
            owned.moved_s = self._clock()  # Nothing is left to apply.
            owned.has_moved = owned.has_moved or not (owned.unwritten or owned.writing)
        if owned.writing is not None and owned.writing.future.done():
            await self._arrive(owned)
        write_s = self._pace.between_s(is_behind=owned.is_behind)
        if owned.writing is None and owned.unwritten and self._clock() - owned.written_s >= write_s:
            await self._write(owned)

    async def _write(self, owned: OwnedPartition[C]) -> None:
        """Begin to write what has changed, once what was begun before is written.

        What goes on meanwhile changes nothing of it; if it fails the process ends, and its memory with it.
        """
        await self._arrive(owned)
        changes: C | None = None
        for changes in owned.task.gather():
            if changes is None:  # A part of the packing is done.
                await asyncio.sleep(0)
        if changes is None:
            return
        owned.task.note_written()
        writing = asyncio.ensure_future(self._progress.write(owned.task.partition, changes))
        owned.writing = InFlightWrite(
            writing, changes.positions, owned.unwritten, owned.unwritten_since_s or self._clock()
        )
        owned.unwritten, owned.unwritten_since_s, owned.written_s = 0, None, self._clock()
        for _ in owned.task.trim_memory():  # Last, since whoever stops it has to find the write begun and noted.
            await asyncio.sleep(0)

    async def _arrive(self, owned: OwnedPartition[C]) -> None:
        """Wait until what was begun to be written is written, and take note of it."""
        if owned.writing is None:
            return
        try:
            await owned.writing.future
        except WriteFailedError as error:
            raise StoppedError(EXIT_IO, str(error)) from error
        owned.safe.update(owned.writing.positions)
        self.written_records += owned.writing.records
        owned.writing, owned.has_moved = None, True
        self._write_ended_s = self._clock()

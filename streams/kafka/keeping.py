"""Who keeps the partitions of one worker: takes and drops slots, feeds them runs, writes what they change.

One lock orders everything, so a rebalance never comes into the middle of a write.  A write that fails ends the process:
memory is ahead of the log then, and only a restart puts that right.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final, Protocol

from msgspec import Struct

from streams.core.events import PARTITIONS_MAX
from streams.core.state import UnreadableStateError
from streams.kafka.batches import Run
from streams.kafka.changelog import Changelog, WriteFailedError
from streams.kafka.slot import RECENT_RECORDS, BrokenMarkError, Logged, Slot

TURN_RECORDS: Final = 2_000
"""Records applied before others may have the loop: some 30 ms."""
WRITE_RECORDS: Final = 20_000
WRITE_S: Final = 0.25
SEEK_AGAIN_S: Final = 5.0
LOST_S: Final = 2.0
"""For how long nothing may come before what was read and did not arrive counts as lost on the way."""
WAITING_MAX: Final = 60_000
"""Records of one source that may wait for the other sources before its partition is paused."""


class Reader(Protocol):
    """What the keeper needs of the consumer."""

    async def read_again(self, topic: str, partition: int, position: int) -> None:
        """Go back to a position of a source."""

    def pause(self, topic: str, partition: int, *, paused: bool) -> None:
        """Stop or go on fetching a source."""


class Flood(Struct, frozen=True):
    """When bad records are so many that their source is broken: then stop, instead of draining the topic.

    `ratio` of the last thousand or two, or `run` of them one after the other.
    """

    ratio: float = 0.5
    run: int = 500


class Sought(Struct, frozen=True):
    """That a source was gone back to: its position, when (monotonic seconds), and a gap that was met behind it."""

    position: int
    at_s: float
    gap: tuple[int, int] | None = None


class StoppedError(Exception):
    """The worker has to end: the exit code, and the last line that it says."""

    def __init__(self, exit_code: int, line: str) -> None:
        """Keep both."""
        super().__init__(line)
        self.exit_code = exit_code


EXIT_FLOOD: Final = 65
EXIT_INVARIANT: Final = 70
EXIT_WRITE: Final = 74
EXIT_STALLED: Final = 75


class Keeping:
    """The slots of one worker; every method is called in the loop that the worker runs in."""

    def __init__(
        self,
        application: str,
        topics: Sequence[str],
        new_slot: Callable[[int], Slot],
        changelog: Changelog,
        *,
        write_s: float = WRITE_S,
        flood: Flood = Flood(),  # noqa: B008 - frozen
        say: Callable[[str], None] = print,
    ) -> None:
        """Keep nothing yet; `topics` are the keyed ones as Kafka names them, in the order of their numbers."""
        self.keyed = frozenset(topics)
        self.slots: dict[int, Slot] = {}
        self.unwritten_since_s: dict[int, float] = {}
        self.written_records = 0
        self.joined = False
        self._application = application
        self._topics = tuple(topics)
        self._bases = {topic: number * PARTITIONS_MAX for number, topic in enumerate(topics)}
        self._new_slot = new_slot
        self._changelog = changelog
        self._write_s = write_s
        self._flood = flood
        self._say = say
        self._lock = asyncio.Lock()
        self._accepted_s = monotonic()
        self._ended: dict[int, set[int]] = {}
        self._safe: dict[int, dict[int, int]] = {}
        self._since: dict[int, tuple[float, int]] = {}
        self._sought: dict[int, Sought] = {}
        self._paused: set[int] = set()

    def source(self, topic: str, partition: int) -> int:
        """Return the source number of a topic as it is named in Kafka."""
        return self._bases[topic] + partition

    async def take(self, assigned: Sequence[tuple[str, int]]) -> None:
        """Fence and restore every partition number that was assigned.

        Raises:
            StoppedError: not all topics of a number were assigned to us, or its states cannot be used.
        """
        async with self._lock:
            self.joined = True
            numbers = sorted({partition for _, partition in assigned})
            for partition in numbers:
                missing = self.keyed - {topic for topic, number in assigned if number == partition}
                if missing:
                    raise StoppedError(
                        EXIT_INVARIANT,
                        f"partition {partition} of {min(missing)} was not assigned with the others: "
                        "all keyed topics need the same number of partitions",
                    )
                await self._take(partition)

    async def _take(self, partition: int) -> None:
        slot = self._new_slot(partition)
        restored = await self._changelog.take(partition)
        try:
            slot.restore(restored.states.items())
        except (UnreadableStateError, BrokenMarkError) as error:
            raise StoppedError(EXIT_INVARIANT, f"partition {partition} cannot be restored: {error}") from error
        self.slots[partition] = slot
        self._ended[partition] = set()
        self._safe[partition] = {source: lane.applied for source, lane in slot.lanes.items()}
        self._since[partition] = (monotonic(), 0)
        rate = restored.records / restored.seconds if restored.seconds else 0.0
        self._say(
            f"partition {partition} restored: {len(slot.subscribers):,} subscribers from {restored.records:,} records "
            f"in {restored.seconds:.2f} s ({rate:,.0f}/s)"
        )

    async def drop(self, revoked: Sequence[tuple[str, int]]) -> None:
        """Write what is left to write, then give up every partition number that was revoked."""
        async with self._lock:
            for partition in sorted({number for _, number in revoked}):
                if partition in self.slots:
                    await self._write(self.slots[partition])
                    del self.slots[partition]
                    self.unwritten_since_s.pop(partition, None)
                await self._changelog.drop(partition)

    async def close(self) -> None:
        """Write what is left to write and give everything up, before the worker ends.

        Raises:
            StoppedError: a write failed.
        """
        await self.drop([(topic, partition) for partition in self.slots for topic in self.keyed])

    def begin(self, topic: str, partition: int, committed: int) -> None:
        """Check from where the reader starts.

        Raises:
            StoppedError: the group has committed further than the changelog goes: one of them is another's.
        """
        slot = self.slots.get(partition)
        if slot is None:
            return
        source = self.source(topic, partition)
        stands = slot.lanes[source].applied
        if committed > stands:
            raise StoppedError(
                EXIT_INVARIANT,
                f"the group {self._application} has committed offset {committed} of {topic}/{partition}, but the "
                f"changelog goes to {stands}: offsets without their states would lose subscribers silently",
            )
        self._sought.pop(source, None)

    def applied(self, topic: str, partition: int) -> int | None:
        """Return the next offset that is not yet safe, None if the partition is not ours."""
        safe = self._safe.get(partition) if partition in self.slots else None
        return None if safe is None else safe[self.source(topic, partition)]

    async def accept(self, topic: str, partition: int, run: Run, reader: Reader) -> None:
        """Queue one run, then apply and write what can be.

        Raises:
            StoppedError: a write failed, or the bad records are too many.
        """
        async with self._lock:
            slot = self.slots.get(partition)
            if slot is None:
                return  # Revoked meanwhile: its next owner reads it.
            source = self.source(topic, partition)
            self._accepted_s = monotonic()
            records: Sequence[Logged] = run.records
            self._ended[partition].discard(source)
            stands = slot.lanes[source].queued
            if self._is_doubtful(source, stands, records) or not slot.queue(source, run.start, records):
                await self._read_again(source, stands, reader)
                return
            self._sought.pop(source, None)
            if slot.waiting(source) > WAITING_MAX and source not in self._paused:
                self._paused.add(source)
                reader.pause(topic, partition, paused=True)
            await self._turn(slot)

    async def tick(self, ended: Mapping[tuple[str, int], int], reader: Reader) -> None:
        """Go on with every slot; `ended` are the sources read to their end, with the position at which that was so.

        Raises:
            StoppedError: as `accept` does.
        """
        async with self._lock:
            is_quiet = monotonic() - self._accepted_s > LOST_S
            for slot in self.slots.values():
                self._ended[slot.partition].clear()
            for (topic, partition), position in ended.items():
                slot_now, source = self.slots.get(partition), self.source(topic, partition)
                if slot_now is None:
                    continue
                queued = slot_now.lanes[source].queued
                if queued >= position:
                    self._ended[partition].add(source)
                elif is_quiet:  # All was handed over and nobody brings it: the last run was dropped on the way.
                    await self._read_again(source, queued, reader)
            for slot in list(self.slots.values()):
                await self._turn(slot)
            for source in list(self._paused):
                number, partition = divmod(source, PARTITIONS_MAX)
                paused = self.slots.get(partition)
                if paused is None or paused.waiting(source) < WAITING_MAX // 2:
                    self._paused.discard(source)
                    reader.pause(self._topics[number], partition, paused=False)

    def _is_doubtful(self, source: int, stands: int, records: Sequence[Logged]) -> bool:
        """Say whether a run that comes after we went back may have been fetched before that.

        A gap behind the place to which we went back is believed when it is met for the second time.
        """
        sought = self._sought.get(source)
        if sought is None or records[0].offset <= stands or sought.gap == (stands, records[0].offset):
            return False
        self._sought[source] = Sought(sought.position, 0.0, (stands, records[0].offset))
        return True

    async def _read_again(self, source: int, stands: int, reader: Reader) -> None:
        """Go back to where a source stands, unless we have just done so and the answer is on its way."""
        sought, now_s = self._sought.get(source), monotonic()
        if sought is not None and sought.position == stands and now_s - sought.at_s < SEEK_AGAIN_S:
            return
        self._sought[source] = Sought(stands, now_s, None if sought is None else sought.gap)
        number, partition = divmod(source, PARTITIONS_MAX)
        await reader.read_again(self._topics[number], partition, stands)

    async def _turn(self, slot: Slot) -> None:
        """Apply all that can be applied; write when enough has gathered or waited for long enough."""
        while done := slot.advance(self._ended[slot.partition], TURN_RECORDS):
            self._refuse_flood(slot)
            self.unwritten_since_s.setdefault(slot.partition, monotonic())
            since_s, gathered = self._since[slot.partition]
            self._since[slot.partition] = (since_s, gathered + done)
            if gathered + done >= WRITE_RECORDS:
                await self._write(slot)
            else:
                await asyncio.sleep(0)
        since_s, gathered = self._since[slot.partition]
        if gathered and monotonic() - since_s >= self._write_s:
            await self._write(slot)

    def _refuse_flood(self, slot: Slot) -> None:
        """Stop before a flood of bad records is written to the dead letters."""
        share = slot.bad_recent / slot.recent if slot.recent >= RECENT_RECORDS else 0.0
        if slot.bad_run >= self._flood.run or share >= self._flood.ratio:
            found = ", ".join(f"{n:,} {name[5:]}" for name, n in slot.counters.items() if name.startswith("dead:"))
            raise StoppedError(
                EXIT_FLOOD,
                f"a flood of bad records in partition {slot.partition}: {slot.bad_run:,} one after the other, "
                f"{share:.0%} of the last ones ({found}); put the producer right, or raise the limits",
            )

    async def _write(self, slot: Slot) -> None:
        changes = slot.changes()
        if changes is None:
            return
        try:
            await self._changelog.write(slot.partition, changes)
        except WriteFailedError as error:
            raise StoppedError(EXIT_WRITE, str(error)) from error
        slot.written()
        self._safe[slot.partition].update(changes.positions)
        self.written_records += self._since[slot.partition][1]
        self.unwritten_since_s.pop(slot.partition, None)
        self._since[slot.partition] = (monotonic(), 0)

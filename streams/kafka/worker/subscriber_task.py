"""The partition task that keeps subscribers: runs of records in, through `step` in event time, changes out.

A task does no I/O and reads no clock, so a test can drive it to any point and kill it there.  It queues runs by source
(a topic's partition) and takes records out merged by event time.  A source that has records in the log, but none here,
holds the others back; one that has been read to its end does not.  So a task applies a backlog in the order in which it
happened, and a wake comes after the events before it and before those after it.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from heapq import heappop, heappush, heapreplace
from typing import Final

from msgspec import Struct
from mypy_extensions import mypyc_attr

from streams.core.contracts.effects import AlertChanged, DeadLetter, LabelledExample, LateEvent
from streams.core.contracts.encode import output_record
from streams.core.contracts.events import Event
from streams.core.contracts.outputs import OutputRecord
from streams.core.contracts.source import TOPICS, SourceNumber, source_number, topic_number
from streams.core.step import Context
from streams.engine.in_force import ContextTimeline
from streams.engine.subscribers import PackedStore, Subscribers
from streams.engine.timeline import Timeline, count
from streams.kafka.worker.checkpoint import (
    CHECKPOINT_KEY,
    CHECKPOINT_VERSION,
    BrokenCheckpointError,
    TaskCheckpoint,
    read_checkpoint,
    write_checkpoint,
)
from streams.kafka.worker.source_queues import Erasure, LogRecord, SourceQueue

RECENT_RECORDS: Final = 1_000
PART_STATES: Final = 1_000
"""States that are packed without a pause: some 20 ms."""

_TOPIC_COUNT: Final = len(TOPICS)


class TaskChanges(Struct, frozen=True):
    """What one transaction writes: states by key (None erases), the checkpoint, and what is published."""

    states: list[tuple[bytes, bytes | None]]
    checkpoint: tuple[bytes, bytes]
    outputs: list[OutputRecord]
    positions: dict[SourceNumber, int]


@mypyc_attr(allow_interpreted_subclasses=True)
class RecordCounts:
    """Counts of the records of one partition number: by name for the checkpoint, and bad ones against a flood."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.counters: dict[str, int] = {}
        self.bad_run = self.bad_recent = self.recent = 0

    def rewind(self) -> None:
        """Forget what was found bad: it was judged by records that come again."""
        self.bad_run = self.bad_recent = self.recent = 0

    def _judge(self, records: int, bad: int) -> None:
        """Count the bad ones among the last records, which are the last `RECENT_RECORDS` or more."""
        self.bad_recent += bad
        self.recent += records
        if self.recent >= 2 * RECENT_RECORDS:
            self.recent //= 2
            self.bad_recent //= 2


class SubscriberTask(RecordCounts):
    """One partition number's subscribers and where its sources stand."""

    def __init__(
        self, partition: int, application: str, serving: ContextTimeline | Context, *, open_max: int | None = None
    ) -> None:
        """Begin with nobody, at the beginning of every source; a context that is given serves for ever.

        Beyond `open_max` states the others are packed as soon as they are written.
        """
        super().__init__()
        self.partition = partition
        contexts = serving if isinstance(serving, ContextTimeline) else ContextTimeline(serving)
        self.subscribers = Subscribers(contexts.at(0)[0], open_max)
        self._timeline = Timeline(self.subscribers, contexts, self)
        self.counters = self._timeline.counters
        self.queues = {
            source: SourceQueue(source, topic, partition, deque())
            for topic in TOPICS
            for source in (source_number(topic, partition),)
        }
        self._application = application
        self._heads: list[int] = []
        self._outputs: list[OutputRecord] = []
        self._moved = False

    @property
    def stream_ms(self) -> int:
        """The latest event time (ms) that this partition has come to."""
        return self._timeline.stream_ms

    @property
    def contents(self) -> str:
        """Whom it keeps, in words."""
        return f"{len(self.subscribers):,} subscribers"

    @property
    def changed_count(self) -> int:
        """How many states a write has to look at."""
        return self.subscribers.changed_count

    def restore(self, states: PackedStore) -> None:
        """Take over what was written: states by key, and the checkpoint.

        Raises:
            UnreadableStateError: a state is none, or of another version.
            BrokenCheckpointError: the checkpoint is missing among states, unreadable, or another application's.
        """
        checkpoint = states.pop(CHECKPOINT_KEY, None)
        self.subscribers.restore(states)
        if checkpoint is None:
            if len(self.subscribers):
                raise BrokenCheckpointError(
                    f"partition {self.partition} has states but no checkpoint: they are not all there"
                )
            return
        stored = read_checkpoint(checkpoint, self._application)
        self._timeline.stream_ms = stored.stream_ms
        self.counters.update(stored.counters)
        for source, position in stored.positions.items():
            queue = self.queues[source]
            queue.queued = queue.applied = position
            queue.newest_ms = stored.newest_ms.get(source, 0)

    def rewind(self) -> None:
        """Forget what was queued and not applied; what was applied has to be written."""
        super().rewind()
        self._heads.clear()
        for source, queue in self.queues.items():
            self.queues[source] = SourceQueue(
                source, queue.topic, queue.partition, deque(), queue.applied, queue.applied, newest_ms=queue.newest_ms
            )

    def queue(self, source: SourceNumber, start: int, records: Sequence[LogRecord]) -> bool:
        """Queue a run that begins where the reader stood at `start`.

        Returns False, and queues nothing, if records between the last run and this one went missing on the way: the
        caller has to read again from `queues[source].queued`.  Records that were queued before are left out.
        """
        queue = self.queues[source]
        if start > queue.queued:
            return False
        queued = queue.queued
        queue.waiting.extend(records if records[0].offset >= queued else [r for r in records if r.offset >= queued])
        queue.queued = max(queued, records[-1].offset + 1)
        queue.is_ended = False
        if queue.head is None:
            self._draw(queue)
        return True

    def waiting_count(self, source: SourceNumber) -> int:
        """Return how many records of a source wait."""
        queue = self.queues[source]
        return len(queue.waiting) + (queue.head is not None)

    def advance(self, ended: Collection[SourceNumber], limit: int) -> int:
        """Apply up to `limit` records and wakes in event time, return how many; `ended` have no more."""
        timeline = self._timeline
        timeline.refresh(timeline.stream_ms)
        heads, queues = self._heads, [*self.queues.values()]
        done, records, bad = 0, 0, 0
        for queue in queues:
            queue.is_ended = queue.source in ended
            if queue.head is None and (not queue.is_ended or (queue.waiting and not self._draw(queue))):
                return 0
        while heads and done < limit:
            queue = queues[heads[0] % _TOPIC_COUNT]
            item = queue.head
            if type(item) is Event:
                at_ms = queue.clock_ms
                if at_ms > timeline.stream_ms:
                    done += timeline.advance(at_ms, limit - done)
                    if timeline.stream_ms < at_ms:
                        break  # More have to wake first.
                queue.events += 1
                queue.newest_ms = max(queue.newest_ms, at_ms)
                self.bad_run = 0
                timeline.apply(item)
            elif type(item) is Erasure:
                self.subscribers.forget(item.subscriber_id)
                self.bad_run = 0
                count(self.counters, "erased")
            elif type(item) is DeadLetter:
                self.bad_run += 1
                bad += 1
                self._outputs.append(output_record(item))
                count(self.counters, f"dead:{item.reason}")
            queue.applied = queue.head_offset + 1
            queue.head = None
            records += 1
            done += 1
            if not self._draw(queue, replace=True) and not queue.is_ended:
                break  # What comes next of it may be older than what the others have.
        self._judge(records, bad)
        self._moved = self._moved or done > 0
        return done

    def changes(self) -> TaskChanges | None:
        """Return what has changed since `note_written` was last called, or None if nothing has."""
        found: TaskChanges | None = None
        for found in self.gather():  # noqa: B007 - the last one counts
            pass
        return found

    def gather(self) -> Iterator[TaskChanges | None]:
        """Yield None after every `PART_STATES` states, and then what has changed, if anything has.

        Between two parts others may have the loop, but not this task.
        """
        if not self._moved:
            return
        states: list[tuple[bytes, bytes | None]] = []
        for state in self.subscribers.packed_apart():
            states.append(state)
            if not len(states) % PART_STATES:
                yield None
        positions = {source: queue.applied for source, queue in self.queues.items() if queue.applied}
        count(self.counters, "scored", self.subscribers.scored)
        self.subscribers.scored = 0
        for queue in self.queues.values():
            if queue.events:
                count(self.counters, f"events:{queue.topic}", queue.events)
                queue.events = 0
        newest_ms = {source: queue.newest_ms for source, queue in self.queues.items() if queue.newest_ms}
        counters = dict(sorted(self.counters.items()))
        checkpoint = TaskCheckpoint(
            CHECKPOINT_VERSION, self._application, positions, self.stream_ms, counters, newest_ms
        )
        yield TaskChanges(states, write_checkpoint(checkpoint), list(self._outputs), positions)

    def note_written(self) -> None:
        """Note that the last `changes` are being written; if that fails, nobody may use this task again."""
        self.subscribers.note_written()
        self._outputs.clear()
        self._moved = False

    def trim_memory(self) -> Iterator[None]:
        """Pack states that are more than may be open, once all is written, in parts as `gather` does."""
        for number, _ in enumerate(self.subscribers.trim_memory(), 1):
            if not number % PART_STATES:
                yield

    def _draw(self, queue: SourceQueue, *, replace: bool = False) -> bool:
        """Decode the next record of a queue to its head, if there is one; without a time it has the last one's."""
        heads = self._heads
        if not queue.draw():
            if replace:
                heappop(heads)
            return False
        head = queue.clock_ms * _TOPIC_COUNT + topic_number(queue.source)
        if not replace:
            heappush(heads, head)
        elif (len(heads) > 1 and heads[1] < head) or (len(heads) > 2 and heads[2] < head):
            heapreplace(heads, head)
        else:
            heads[0] = head  # It is the first one still, as most are.
        return True

    def take_example(self, example: LabelledExample, past_ms: int) -> None:  # noqa: ARG002 - a trainer elsewhere learns
        """Publish an example."""
        self._outputs.append(output_record(example))

    def take_alert(self, change: AlertChanged) -> None:
        """Publish an alert's transition."""
        self._outputs.append(output_record(change))

    def take_late(self, late: LateEvent) -> None:
        """Leave a late event alone: it is counted, and lies in the log."""

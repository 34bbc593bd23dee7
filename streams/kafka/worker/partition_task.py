"""What the partition manager needs of the work on one partition, whatever the work is."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from streams.core.contracts.source import SourceNumber
from streams.engine.subscribers import PackedStore
from streams.kafka.worker.source_queues import LogRecord
from streams.kafka.worker.subscriber_task import TaskChanges


class SourceProgress(Protocol):
    """How far one source has come: the next offset to queue, and the next offset to apply."""

    queued: int
    applied: int


class ChangeSet(Protocol):
    """What one write holds.  The manager knows only the next offset of each source after the write."""

    @property
    def positions(self) -> Mapping[SourceNumber, int]:
        """The next offsets by the numbers of the sources."""


C_co = TypeVar("C_co", bound=ChangeSet, covariant=True)


class PartitionTask(Protocol[C_co]):
    """Takes runs of records and gives changes, without any I/O.

    A subscriber task keeps subscribers, a training task learns, an alert intake reads alerts.  `bad_run` is how many
    records in a row were bad, `bad_recent` how many of the last `recent` ones.
    """

    partition: int
    counters: dict[str, int]
    bad_run: int
    bad_recent: int
    recent: int

    @property
    def queues(self) -> Mapping[SourceNumber, SourceProgress]:
        """Its sources by their numbers."""

    @property
    def changed_count(self) -> int:
        """How many states a write has to look at."""

    def queue(self, source: SourceNumber, start: int, records: Sequence[LogRecord]) -> bool:
        """Queue a run that begins where the reader stood at `start`; False if something before it went missing."""

    def waiting_count(self, source: SourceNumber) -> int:
        """Return how many records of a source wait."""

    def advance(self, ended: Collection[SourceNumber], limit: int) -> int:
        """Apply up to `limit` records and wakes, return how many; `ended` are the sources without more."""

    def gather(self) -> Iterator[C_co | None]:
        """Yield None after each part of the packing, and last what has changed since `note_written`, if anything has.

        Between two parts the caller may give the loop to others, as long as they leave this work alone.
        """

    def note_written(self) -> None:
        """Note that the changes gathered last are being written; if that fails, nobody may use this task again."""

    def trim_memory(self) -> Iterator[None]:
        """Make room in memory, right after `note_written`, in parts as `gather` does."""


class StatefulTask(PartitionTask[TaskChanges], Protocol):
    """Work whose states lie in a changelog."""

    @property
    def contents(self) -> str:
        """What it holds, in words for people."""

    def restore(self, states: PackedStore) -> None:
        """Take over what was written, by its keys.

        Raises:
            UnreadableStateError: a state is none, or of another version.
            BrokenCheckpointError: the checkpoint is missing among states, unreadable, or another application's.
        """

    def rewind(self) -> None:
        """Forget what was queued and not applied; what was applied has to be written."""

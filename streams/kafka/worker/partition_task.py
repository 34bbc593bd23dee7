"""What the partition manager needs of the work on one partition number, whatever the work is."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from streams.core.contracts.source import SourceNumber
from streams.engine.subscribers import PackedStates
from streams.kafka.worker.source_queues import LogRecord
from streams.kafka.worker.subscriber_task import TaskChanges


class SourceProgress(Protocol):
    """One source of a partition number: up to which offset it was queued, and up to which applied."""

    queued: int
    applied: int


class PartitionTask(Protocol):
    """Runs of records in, changes out, without any I/O: a partition task keeps subscribers, a training task learns.

    `bad_run` counts the bad records one after the other, `bad_recent` those among the last `recent`.
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
    def held(self) -> str:
        """What it holds, in words for people."""

    @property
    def changed(self) -> int:
        """How many states a write has to look at."""

    def restore(self, states: PackedStates) -> None:
        """Take over what was written, by its keys.

        Raises:
            UnreadableStateError: a state is none, or of another version.
            BrokenCheckpointError: the checkpoint is missing among states, unreadable, or another application's.
        """

    def rewind(self) -> None:
        """Forget what was queued and not applied; what was applied has to be written."""

    def queue(self, source: SourceNumber, start: int, records: Sequence[LogRecord]) -> bool:
        """Queue a run that begins where the reader stood at `start`; False if something before it went missing."""

    def waiting(self, source: SourceNumber) -> int:
        """Return how many records of a source wait."""

    def advance(self, ended: Collection[SourceNumber], limit: int) -> int:
        """Apply up to `limit` records and wakes, return how many; `ended` are the sources without more."""

    async def gather(self) -> TaskChanges | None:
        """Return what has changed since `written` was last called, or None if nothing has.

        Others may have the loop meanwhile, and leave this work alone.
        """

    def written(self) -> None:
        """Note that what was gathered last is on its way; if it does not arrive, this work must not be used again."""

    async def trim_memory(self) -> None:
        """Make room in memory, right after `written`; others may have the loop meanwhile, and leave this work alone."""

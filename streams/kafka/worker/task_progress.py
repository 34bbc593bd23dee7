"""Where the progress of partitions is written and read back, as a partition manager sees it.

A changelog is such a place (`changelog_progress.py`: workers and the trainer), and so is a database
(`database_progress.py`: the notifier).  The manager knows neither.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from streams.kafka.worker.faust_transport import PartitionOffsets
from streams.kafka.worker.partition_task import ChangeSet, PartitionTask

C = TypeVar("C", bound=ChangeSet)


class WriteFailedError(RuntimeError):
    """A write was not committed, or it is not known that it was; the process must not go on with its memory."""


class TaskProgress(Protocol[C]):
    """One place for the progress of all partition numbers of a process.

    `take`, any number of `write`, `give_up`: in this order for each number, and one at a time but for the writes.
    """

    async def take(self, partition: int) -> PartitionTask[C]:
        """Make a partition number ours, and return the work on it as it was written last.

        Raises:
            KafkaError, OSError, TimeoutError: the place cannot be reached.
            UnreadableStateError, BrokenMarkError: what is written there cannot be used.
            StoppedError: the process has to end for a reason of the place's own.
        """

    def settle(self, partitions: Sequence[int]) -> None:
        """Take note that these are all that is ours, until `take` or `give_up` is called again."""

    def misfit(self, place: str, applied: int, reach: PartitionOffsets) -> str | None:
        """Return why a source cannot be the one that was applied up to an offset, None if it can; `place` names it."""

    async def write(self, partition: int, changes: C) -> None:
        """Write all changes of a partition number, or nothing of them.

        Raises:
            WriteFailedError, StoppedError: they may not have been written.
        """

    async def give_up(self, partition: int) -> None:
        """Leave a partition number to others; all of it is written."""

    async def is_reachable(self) -> bool:
        """Say whether a broker answers."""

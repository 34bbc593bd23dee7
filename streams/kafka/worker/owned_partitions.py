"""What the partition manager knows of each partition that it owns, and of each source that it reads again."""

import asyncio
from collections.abc import Mapping
from typing import Final, Generic

import msgspec
from msgspec import Struct

from streams.core.contracts.source import SourceNumber
from streams.kafka.worker.partition_task import PartitionTask
from streams.kafka.worker.task_progress import C

RECORDS_A_STATE: Final = 16
"""Records and wakes for each changed state from which on packing them all is a small part of the work."""
WORTH_RECORDS: Final = 100_000
"""Fewer are no reason to write, however few states have changed: a transaction has its price too."""


class SeekPosition(Struct, frozen=True):
    """A position to which the reader of a source went back, and when (monotonic seconds)."""

    position: int
    at_s: float


class InFlightWrite(Struct, frozen=True):
    """A write that has begun: its future, the next offsets after it, its records, and since when the first waits."""

    future: "asyncio.Future[None]"
    positions: Mapping[SourceNumber, int]
    records: int
    since_s: float


class OwnedPartition(Struct, Generic[C]):
    """One partition that this worker owns: its task, and how far that task is written.  Times are monotonic seconds.

    `safe` maps each source to the first offset that is not written yet.  `ended` are the sources that were read to
    their end.  `unwritten` counts the records applied since the write at `written_s`.  `moved_s` is when a record was
    applied last, or nothing waited.  `has_moved` says that since the worker owns the partition a write has ended, or
    nothing has waited.
    """

    task: PartitionTask[C]
    safe: dict[SourceNumber, int]
    written_s: float
    moved_s: float
    ended: set[SourceNumber] = msgspec.field(default_factory=set)
    unwritten: int = 0
    unwritten_since_s: float | None = None
    has_moved: bool = False
    writing: InFlightWrite | None = None
    is_behind: bool = False

    def is_worth_a_write(self, records_max: int) -> bool:
        """Say whether enough records were applied to write before the time; `records_max` are always enough."""
        worth = max(WORTH_RECORDS, RECORDS_A_STATE * self.task.changed_count)
        return self.unwritten >= min(records_max, worth)

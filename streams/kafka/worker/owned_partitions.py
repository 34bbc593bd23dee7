"""What the partition manager knows of each partition number that it owns, and of the sources that it reads again."""

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
    """That a source was gone back to: its position, and when (monotonic seconds)."""

    position: int
    at_s: float


class InFlightWrite(Struct, frozen=True):
    """A write that is on its way: up to which offsets of the sources, of how many records, waiting since when."""

    future: "asyncio.Future[None]"
    positions: Mapping[SourceNumber, int]
    records: int
    since_s: float


class OwnedPartition(Struct, Generic[C]):
    """One partition number that is ours: its task, and how far it is safe.

    `safe` has the next offset of each source that is not yet written, `ended` the sources that were read to their
    end, `unwritten` the records that were applied since `written_s`, `moved_s` when (monotonic seconds) something was
    applied last or nothing waited, `has_moved` that since it is ours something was written or nothing waited.
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
        """Say whether so much was applied that it is written before its time; `records_max` always are."""
        worth = max(WORTH_RECORDS, RECORDS_A_STATE * self.task.changed_count)
        return self.unwritten >= min(records_max, worth)

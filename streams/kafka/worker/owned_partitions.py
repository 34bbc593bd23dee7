"""What the partition manager knows of each partition number that it owns, and of the sources that it reads again."""

import asyncio
from typing import Final

import msgspec
from msgspec import Struct

from streams.core.contracts.source import SourceNumber
from streams.kafka.worker.local_store import StateStore
from streams.kafka.worker.partition_task import PartitionTask

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

    task: "asyncio.Future[None]"
    positions: dict[SourceNumber, int]
    records: int
    since_s: float


class OwnedPartition(Struct):
    """One partition number that is ours: its task, the store of its packed states, and how far it is safe.

    `safe` has the next offset of each source that is not yet in the log, `ended` the sources that were read to their
    end, `unwritten` the records that were applied since `written_s`, `moved_s` when (monotonic seconds) something was
    applied last or nothing waited, `has_moved` that since it is ours something was written or nothing waited.
    """

    slot: PartitionTask
    store: StateStore
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
        worth = max(WORTH_RECORDS, RECORDS_A_STATE * self.slot.changed)
        return self.unwritten >= min(records_max, worth)


class SuspendedTask(Struct, frozen=True):
    """A partition number that was given up, with all of it written: the checkpoint at offset `mark` is its own."""

    slot: PartitionTask
    store: StateStore
    mark: int


class SuspendedTasks:
    """What was given up a moment ago, until the group has said what is ours next: it may well be the same."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._parked: dict[int, SuspendedTask] = {}

    def put(self, kept: OwnedPartition, mark: int | None) -> None:
        """Keep a task that was given up; without a checkpoint in the log nothing tells whether it is still valid."""
        if mark is None:
            kept.store.close()
        else:
            self._parked[kept.slot.partition] = SuspendedTask(kept.slot, kept.store, mark)

    def take(self, partition: int) -> SuspendedTask | None:
        """Return a partition number, and forget it here."""
        return self._parked.pop(partition, None)

    def clear(self) -> None:
        """Let go of everything."""
        for parked in self._parked.values():
            parked.store.close()
        self._parked.clear()

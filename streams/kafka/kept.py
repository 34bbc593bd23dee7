"""What a keeper remembers of each partition number that is its own, and of the sources that it has gone back to."""

import asyncio

import msgspec
from msgspec import Struct

from streams.kafka.work import Work


class Sought(Struct, frozen=True):
    """That a source was gone back to: its position, and when (monotonic seconds)."""

    position: int
    at_s: float


class Writing(Struct, frozen=True):
    """A write that is on its way: up to which offsets of the sources, of how many records, waiting since when."""

    task: "asyncio.Future[None]"
    positions: dict[int, int]
    records: int
    since_s: float


class Kept(Struct):
    """One partition number that is ours: its slot, and how far what it has applied is safe (times: monotonic seconds).

    `safe` has the next offset of each source that is not yet in the log, `ended` the sources that were read to their
    end, `unwritten` the records that were applied since `written_s`, `moved_s` when something was applied last or
    nothing waited, `has_moved` that since it is ours something was written or nothing waited.
    """

    slot: Work
    safe: dict[int, int]
    written_s: float
    moved_s: float
    ended: set[int] = msgspec.field(default_factory=set)
    unwritten: int = 0
    unwritten_since_s: float | None = None
    has_moved: bool = False
    writing: Writing | None = None
    is_behind: bool = False

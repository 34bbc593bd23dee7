"""The source queues of a partition number: of each source the records that wait, the first one decoded."""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from streams.core.contracts.decode import decode_value
from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.events import Event
from streams.core.contracts.ids import PSEUDONYM
from streams.core.contracts.outputs import redrives_of
from streams.core.contracts.source import SourceNumber
from streams.core.subscriber.strays import LEAP_MS, LOOK_AHEAD, WHY_STRAY, is_stray

ASKED_MAX: Final = 1_000
"""Records after a leap among which events are looked for: a flood of bad ones does not hold the source for ever."""

_ERASING: Final = "subscribers"
"""The topic on which a key without a value erases the subscriber."""
_subscriber: Final = re.compile(PSEUDONYM.encode()).fullmatch
"""Any other key could be that of something else in the changelog."""


class LogRecord(Protocol):
    """A record as the log has it; `timestamp` is ms since 1970 UTC, `value` None where a key was erased."""

    @property
    def offset(self) -> int:
        """Its place in its partition."""

    @property
    def timestamp(self) -> int:
        """When it was received, as the log says."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its bytes."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """What was sent along with it; looked at only where it cannot be used."""


class Erasure(Struct, frozen=True, gc=False):
    """A subscriber of whom nothing is to be left."""

    subscriber_id: str


@dataclass(slots=True)
class SourceQueue:
    """One source's queue: the records that wait, the decoded one at its head, and how far it was queued and applied.

    `clock_ms` is the time of the last event that came to the head, `newest_ms` the latest that was applied (0: none).
    `is_ended` says that the log has no more of it.
    """

    source: SourceNumber
    topic: str
    partition: int
    waiting: deque[LogRecord]
    queued: int = 0
    applied: int = 0
    newest_ms: int = 0
    clock_ms: int = 0
    events: int = 0
    is_ended: bool = False
    head: Event | DeadLetter | Erasure | None = None
    head_offset: int = 0

    def draw(self) -> bool:
        """Decode the next record to the head; False if there is none, or none that can be judged before more have come.

        A record that leaps ahead is judged by those after it: some have to be here, unless the source has ended.
        """
        if not self.waiting:
            return False
        raw = self.waiting.popleft()
        value, offset = raw.value, raw.offset
        self.head_offset = offset
        if value is None and self.topic == _ERASING and (erased := _subscriber(raw.key or b"")):
            self.head = Erasure(erased[0].decode())
            return True
        item, clock_ms = decode_value(self.topic, self.partition, offset, value or b"", raw.timestamp), self.clock_ms
        if type(item) is Event:
            clock_ms = item.at_ms
            if clock_ms - self.newest_ms > LEAP_MS:
                ahead_ms = list(islice(self._times_ahead(), LOOK_AHEAD))
                if len(ahead_ms) < LOOK_AHEAD and len(self.waiting) < ASKED_MAX and not self.is_ended:
                    self.waiting.appendleft(raw)
                    return False
                if is_stray(clock_ms, self.newest_ms or None, ahead_ms):
                    item = DeadLetter(self.topic, self.partition, offset, "future_time", WHY_STRAY, value or b"")
                    clock_ms = self.clock_ms
        if type(item) is not Event:
            item = msgspec.structs.replace(item, key=raw.key, redrives=redrives_of(raw.headers))
        self.head, self.clock_ms = item, clock_ms
        return True

    def _times_ahead(self) -> Iterator[int]:
        """Yield the times of the events among the next records."""
        for raw in islice(self.waiting, ASKED_MAX):
            item = decode_value(self.topic, self.partition, raw.offset, raw.value or b"", raw.timestamp)
            if isinstance(item, Event):
                yield item.at_ms

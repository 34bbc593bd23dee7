"""What was published about the market, and what of it was known when: messages in, signals out.

The same messages give the same signals in any order and however often they come.  A message is known from its own
event time on (or from when it came, where that was later), so whoever works off old records does not know the future.
Of an entry the highest revision known counts; of equal revisions the one published last.
"""

from bisect import bisect_right
from typing import Final

import msgspec
from msgspec import Struct

from streams.core.contracts.decode import epoch_ms
from streams.core.contracts.events import MarketEvent
from streams.core.signals.signals import NO_SIGNALS, Signal, Signals, signal_of, signals_of
from streams.core.times import NEVER_MS

MESSAGES_MAX: Final = 4_096
"""Messages that are remembered; of more, those that were published first are forgotten."""
LAID_OUT_MAX: Final = 64
"""Moments whose signals are at hand: a few partitions stand near one another in time."""

_encode: Final = msgspec.json.Encoder().encode


class _MarketMessage(Struct, frozen=True, gc=False):
    """A message: from when it is known (ms), what it ranks by in its entry, and the signal that it makes, if any."""

    known_ms: int
    entry_id: str
    rank: tuple[int, int, str, bytes]
    signal: Signal | None


class Market:
    """The messages of one market; `edition` changes whenever what `at` answers may have changed."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.edition = 0
        self._messages: dict[bytes, _MarketMessage] = {}
        self._times_ms: list[int] | None = []
        self._by_bound: dict[int, Signals] = {}

    def __len__(self) -> int:
        """Return how many messages are remembered."""
        return len(self._messages)

    def take(self, event: MarketEvent, known_ms: int) -> bool:
        """Remember a message, known from its event time or `known_ms` on, whichever is later; say if it is news."""
        body, at_ms = _encode(event), epoch_ms(event.event_time)
        known_ms = max(known_ms, at_ms)
        before = self._messages.get(body)
        if before is not None and before.known_ms <= known_ms:
            return False
        rank = event.revision, at_ms, event.event_id, body
        self._messages[body] = _MarketMessage(known_ms, event.entry_id, rank, signal_of(event))
        if len(self._messages) > MESSAGES_MAX:
            oldest = min(self._messages, key=lambda body: self._messages[body].rank[1:])
            del self._messages[oldest]
            if oldest == body:
                return False
        self._invalidate()
        return before is None

    def forget(self, entry_id: str) -> bool:
        """Forget an entry as if it had never been published; say whether there was one."""
        bodies = [body for body, known in self._messages.items() if known.entry_id == entry_id]
        for body in bodies:
            del self._messages[body]
        if bodies:
            self._invalidate()
        return bool(bodies)

    def at(self, stream_ms: int) -> tuple[Signals, int]:
        """Return the signals that are known at an event time, and the event time (ms) at which more are."""
        times_ms = self._times()
        number = bisect_right(times_ms, stream_ms)
        return self._signals(number), times_ms[number] if number < len(times_ms) else NEVER_MS

    def of_version(self, version: str | None, at_ms: int) -> Signals | None:
        """Return the signals of a version that was in force just before `at_ms` or later, None if none had it."""
        if not version:
            return NO_SIGNALS
        times_ms = self._times()
        for number in range(bisect_right(times_ms, at_ms - 1), len(times_ms) + 1):
            signals = self._signals(number)
            if signals.version == version:
                return signals
        return None

    def _invalidate(self) -> None:
        self.edition += 1
        self._times_ms = None
        self._by_bound.clear()

    def _times(self) -> list[int]:
        if self._times_ms is None:
            self._times_ms = sorted({known.known_ms for known in self._messages.values()})
        return self._times_ms

    def _signals(self, number: int) -> Signals:
        """Return what is known between two changes: before the first one nothing."""
        if not number:
            return NO_SIGNALS
        made = self._by_bound.get(number)
        if made is None:
            at_ms = self._times()[number - 1]
            newest: dict[str, _MarketMessage] = {}
            for known in self._messages.values():
                best = newest.get(known.entry_id)
                if known.known_ms <= at_ms and (best is None or known.rank > best.rank):
                    newest[known.entry_id] = known
            made = signals_of((known.signal for known in newest.values() if known.signal is not None), at_ms)
            if len(self._by_bound) >= LAID_OUT_MAX:
                self._by_bound.clear()
            self._by_bound[number] = made
        return made

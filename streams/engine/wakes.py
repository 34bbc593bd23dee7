"""A calendar of wakes: who asked to be woken at which event time.  A restart rebuilds it from the states."""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final

from streams.core.times import NEVER_MS

EVERYBODY: Final = 2**62
"""More than can wait."""


class Wakes:
    """Subscribers by the event time that their states ask for; times are ms since 1970 UTC.

    A wake that is no longer wanted stays in the calendar: the state refuses it, since it asks for another time.
    `next_ms` is the earliest time that anybody waits for, `NEVER_MS` if nobody does.
    """

    __slots__ = ("_subscribers", "_times", "next_ms")

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self.next_ms = NEVER_MS
        self._times: list[int] = []
        self._subscribers: dict[int, list[str]] = {}

    def ask(self, at_ms: int, subscriber_id: str) -> None:
        """Note that a subscriber is to be woken once the stream has reached `at_ms`."""
        waiting = self._subscribers.get(at_ms)
        if waiting is None:
            heappush(self._times, at_ms)
            self.next_ms = self._times[0]
            self._subscribers[at_ms] = [subscriber_id]
        else:
            waiting.append(subscriber_id)

    def take_due(self, stream_ms: int) -> Iterator[tuple[int, list[str]]]:
        """Take out, in the order of time, whoever waits for `stream_ms` or earlier; those of one time as they asked."""
        while (taken := self.take(stream_ms, EVERYBODY)) is not None:
            yield taken

    def take(self, stream_ms: int, limit: int) -> tuple[int, list[str]] | None:
        """Take out up to `limit` of those who wait for the earliest time, None if that is later than `stream_ms`.

        >>> wakes = Wakes()
        >>> for who in "abc":
        ...     wakes.ask(5, who)
        >>> wakes.take(5, 2), wakes.take(5, 2), wakes.take(5, 2)
        ((5, ['a', 'b']), (5, ['c']), None)
        """
        at_ms = self.next_ms
        if at_ms > stream_ms or not self._times:
            return None
        waiting = self._subscribers[at_ms]
        if len(waiting) > limit:
            taken = waiting[:limit]
            del waiting[:limit]
            return at_ms, taken
        heappop(self._times)
        self.next_ms = self._times[0] if self._times else NEVER_MS
        return at_ms, self._subscribers.pop(at_ms)

"""Slips of time: a single record dated far ahead of its neighbours.

Whoever believed it would move the time of all that is merged with it for good, and make all that follows late.
"""

from collections.abc import Sequence
from typing import Final

from streams.core.times import DAY_MS

LEAP_DAYS: Final = 60
LEAP_MS: Final = LEAP_DAYS * DAY_MS
LOOK_AHEAD: Final = 8
"""How many of the events after a leap are asked."""

WHY_STRAY: Final = f"event_time is more than {LEAP_DAYS} days ahead of the events before it, and those after it go back"


def is_stray(at_ms: int, before_ms: int | None, ahead_ms: Sequence[int]) -> bool:
    """Say whether a time is a slip: far ahead of all before it, while most of those after it go back.

    `before_ms` is the latest time of its source before it (None for the first event, which is then compared with the
    earliest one after it), `ahead_ms` the times of the next few events, in order; all in ms.  A gap in the data is no
    slip, since the events after it stay there; nor is the last event of a source, since nothing speaks against it.

    >>> is_stray(9_000 * DAY_MS, 10 * DAY_MS, [11 * DAY_MS, 12 * DAY_MS])
    True
    >>> is_stray(100 * DAY_MS, 10 * DAY_MS, [101 * DAY_MS, 12 * DAY_MS, 102 * DAY_MS])
    False
    >>> is_stray(9_000 * DAY_MS, 10 * DAY_MS, []), is_stray(9_000 * DAY_MS, None, [11 * DAY_MS])
    (False, True)
    """
    if before_ms is None:
        before_ms = min(ahead_ms, default=at_ms)
    if at_ms - before_ms <= LEAP_MS:
        return False
    back = sum(later_ms - before_ms < at_ms - later_ms for later_ms in ahead_ms)
    return 2 * back > len(ahead_ms)

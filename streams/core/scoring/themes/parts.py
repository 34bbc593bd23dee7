"""What the features of several themes are made of.

Ratios are smoothed, so that nothing divides by zero and small counts stay small; every feature is finite and bounded.
No count stands alone: each is over time, over calls, over its own past or over the subscriber's own habit.
"""

from typing import Final

from streams.core.scoring.exact_math import exp
from streams.core.times import DAY_MS

FADE_DAYS: Final = 14.0
CONTRACT_DAYS: Final = 45.0
NEW_DAYS: Final = 90.0
OVERDUE_MAX: Final = 4.0
SURPRISE_MAX: Final = 8.0
YOUTH: Final = 1
CALLS_PRIOR: Final = 20
"""Answered calls without a drop that everybody is credited with, so that one drop in one call is no catastrophe."""


def change(now: float, before: float, prior: float) -> float:
    """Return how much more now is than before, between -1 and 1: tanh of half the log of their ratio.

    The prior is added to both.

    >>> change(3, 1, 0), change(0, 0, 1), change(0, 5, 0)
    (0.5, 0.0, -1.0)
    """
    return (now - before) / (now + before + prior + prior)


def freshness(at_ms: int, since_ms: int) -> float:
    """Return how fresh a thing is: 1 when it happens, falling by a factor of e in 14 days.

    >>> freshness(0, 0), round(freshness(14 * DAY_MS, 0), 3)
    (1.0, 0.368)
    """
    return exp(-max(at_ms - since_ms, 0) / DAY_MS / FADE_DAYS)


def nearness(at_ms: int, end_ms: int) -> float:
    """Return how near the end of a commitment is: 1 on its day, falling to 0 over 45 days either side.

    >>> nearness(0, 0), nearness(9 * DAY_MS, 0), nearness(0, 50 * DAY_MS)
    (1.0, 0.8, 0.0)
    """
    return max(0.0, 1.0 - abs(end_ms - at_ms) / DAY_MS / CONTRACT_DAYS)

"""Totals spread over a window of days, by rules that look at nothing but the total, the seed and the subscriber.

Every part of a subscriber (each column, each kind of event) draws from its own generator, so that the days of
one do not move when another changes, and no column can be read off the days of another.  Counts and seconds
add up exactly.  Nothing here can see the label: it is not an argument.
"""

from random import Random
from typing import Final

from streams.core.times import DAY_MS, HOUR_MS
from streams.imports.conversions import RefusedError

UNITS_MAX: Final = 1_000_000
DRAWN_UNITS_MAX: Final = 10_000
WAKING_FROM_MS: Final = 7 * HOUR_MS
WAKING_MS: Final = 16 * HOUR_MS
MOOD_MEMORY: Final = 0.8
"""How much of a day's liveliness lasts to the next: busy and quiet spells of about a week."""

MOOD_SPREAD: Final = 0.6
WEEKDAY_SPREAD: Final = 0.25
CALL_LENGTH_SPREAD: Final = 1.0
"""Standard deviation of the logarithm of a call's length; lengths of real calls are near to log-normal."""

_WEIGHT_STEPS: Final = 1 << 32


def generator(seed: int, subscriber_id: str, part: str) -> Random:
    """Return the generator of one part of one subscriber, the same on every machine.

    >>> generator(1, "s_0", "shift").random() == generator(1, "s_0", "shift").random()
    True
    """
    return Random(f"{seed}|{subscriber_id}|{part}")  # noqa: S311  # Seeded on purpose: a seed reproduces an import.


def day_weights(rng: Random, days: int) -> list[float]:
    """Return how lively each day of a window is: a habit per weekday, times spells that come and go."""
    weekdays = [rng.lognormvariate(0.0, WEEKDAY_SPREAD) for _ in range(7)]
    fresh = MOOD_SPREAD * (1.0 - MOOD_MEMORY**2) ** 0.5
    mood = rng.gauss(0.0, MOOD_SPREAD)
    weights = []
    for day in range(days):
        weights.append(weekdays[day % 7] * 2.718281828459045**mood)
        mood = MOOD_MEMORY * mood + rng.gauss(0.0, fresh)
    return weights


def units_by_day(rng: Random, total: int, weights: list[float]) -> list[int]:
    """Return `total` units (calls, messages) dealt to days by chance, each day in proportion to its weight.

    >>> sum(units_by_day(Random(1), 71, [1.0, 2.0, 0.5]))
    71
    """
    if not 0 <= total <= UNITS_MAX:
        raise RefusedError(f"a total is negative or more than {UNITS_MAX}")
    if total > DRAWN_UNITS_MAX:
        return in_proportion(total, weights)
    units = [0] * len(weights)
    for day in rng.choices(range(len(weights)), weights, k=total):
        units[day] += 1
    return units


def seconds_by_day(rng: Random, total: int, calls: list[int], weights: list[float]) -> list[int]:
    """Return `total` seconds dealt to the days that have calls, a second at least for each call where there is one.

    Seconds without any call, which a source may hold by mistake, follow the days' weights.

    >>> seconds_by_day(Random(1), 100, [0, 1, 0], [1.0, 1.0, 1.0])
    [0, 100, 0]
    """
    if total < 0:
        raise RefusedError("a total is negative")
    if not any(calls):
        return in_proportion(total, weights)
    floor = calls if total >= sum(calls) else [0] * len(calls)
    lengths = [sum(rng.lognormvariate(0.0, CALL_LENGTH_SPREAD) for _ in range(n)) for n in calls]
    return [least + more for least, more in zip(floor, in_proportion(total - sum(floor), lengths), strict=True)]


def in_proportion(total: int, weights: list[float]) -> list[int]:
    """Return whole shares of `total` in proportion to the weights, by largest remainder; they add up exactly.

    >>> in_proportion(10, [1.0, 1.0, 1.0])
    [4, 3, 3]
    """
    steps = [int(weight * _WEIGHT_STEPS) for weight in weights]
    whole = sum(steps)
    shares = [total * step // whole for step in steps]
    by_remainder = sorted(range(len(steps)), key=lambda day: (-(total * steps[day] % whole), day))
    for day in by_remainder[: total - sum(shares)]:
        shares[day] += 1
    return shares


def waking_ms(rng: Random, day: int) -> int:
    """Return a moment between 7:00 and 23:00 of a day, in milliseconds since the window's start."""
    return day * DAY_MS + WAKING_FROM_MS + rng.randrange(WAKING_MS)

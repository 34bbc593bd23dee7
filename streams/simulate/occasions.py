"""What happens to everybody at once in a story: terms, promotions, price changes, outages, cells that slowly decay.

An occasion is drawn with the world, so that all chunks live through the same ones and what is published of them can
be told.  Two simulations of different seeds have different occasions, apart from what the calendar sets.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from streams.simulate import rates
from streams.simulate.simulation import Simulation, Story

Bools = NDArray[np.bool_]

Kind = Literal["promotion", "price_change", "outage", "decay", "term", "graduation", "festival"]

TERM_STARTS: Final = ((2, 26), (9, 1))
BREAKS: Final = (((1, 13), (2, 25)), ((7, 6), (8, 31)))
"""(month, day) first and last day of the long breaks, by the calendar of a Chinese university."""
GRADUATION: Final = ((6, 20), (7, 10))
FESTIVALS: Final = (((2, 1), (2, 20)), ((5, 1), (5, 5)), ((7, 10), (8, 20)), ((10, 1), (10, 7)))
"""Spring Festival with its travel, Labour Day, the summer, National Day."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something that happens from `first` to `last` day in some areas (or to some cells, or plans).

    It becomes known `notice_days` before its first day, or that many after it where the number is negative; never
    where it is None.  `strength` is by how much: the factor on failing calls, the share that a price rises.
    """

    kind: Kind
    first: int
    last: int
    areas: Bools
    notice_days: int | None = None
    strength: float = 1.0
    cells: Bools | None = None
    plans: tuple[int, ...] = ()

    def runs(self, day: int) -> bool:
        """Return whether it runs on this day."""
        return self.first <= day <= self.last


Calendar = Callable[[np.random.Generator, Simulation], list[Occasion]]


def occasions_of(rng: np.random.Generator, settings: Simulation) -> tuple[Occasion, ...]:
    """Return the occasions of a story, by their first days; none for a story without, and none without drift."""
    calendar = _CALENDARS.get(settings.story)
    if calendar is None or not settings.drift:
        return ()
    return tuple(sorted(calendar(rng, settings), key=lambda occasion: occasion.first))


def _campus(rng: np.random.Generator, settings: Simulation) -> list[Occasion]:
    """Return breaks, graduations, and rivals' stands: everywhere when a term starts, now and then in between."""
    found = [
        Occasion("term", first, last, _everywhere(), 60)
        for first, last in spans(settings, (((2, 26), (7, 5)), ((9, 1), (12, 31)), ((1, 1), (1, 12))))
    ]
    found += [Occasion("graduation", first, last, _everywhere(), 60) for first, last in spans(settings, (GRADUATION,))]
    for first in starts(settings, TERM_STARTS):
        begins = first - int(rng.integers(0, 5))
        found.append(Occasion("promotion", begins, first + 18, _some(rng, 0.65), -1))
    found += [
        Occasion("promotion", begins, begins + int(rng.integers(7, 13)), _some(rng, 0.16), -1)
        for begins in _now_and_then(rng, settings.days, every=34)
    ]
    return found + [_outage(rng, begins) for begins in _now_and_then(rng, settings.days, every=70)]


def _second_sim(rng: np.random.Generator, settings: Simulation) -> list[Occasion]:
    """Return festivals, rivals' bundles in one region after the other, dearer tariffs, and a few outages."""
    found = [Occasion("festival", first, last, _everywhere(), 60) for first, last in spans(settings, FESTIVALS)]
    for begins in _now_and_then(rng, settings.days, every=95):
        dearer, rise = (int(rng.integers(0, 3)),), float(rng.uniform(0.08, 0.25))
        found.append(Occasion("price_change", begins, begins + 30, _everywhere(), 14, rise, plans=dearer))
    found += [
        Occasion("promotion", begins, begins + int(rng.integers(10, 28)), _some(rng, 0.3), -1)
        for begins in _now_and_then(rng, settings.days, every=26)
    ]
    return found + [_outage(rng, begins) for begins in _now_and_then(rng, settings.days, every=80)]


def _contract(rng: np.random.Generator, settings: Simulation) -> list[Occasion]:
    """Return price changes with a month's notice, outages by area, cells that decay for months, rivals' offers."""
    found = []
    for begins in _now_and_then(rng, settings.days, every=85):
        dearer = tuple(rng.choice((4, 5, 6, 7, 8, 9), 3, replace=False).tolist())
        rise = float(rng.uniform(0.06, 0.18))
        found.append(Occasion("price_change", begins, begins + 30, _everywhere(), 30, rise, plans=dearer))
    found += [_outage(rng, begins) for begins in _now_and_then(rng, settings.days, every=28)]
    cells = rates.AREAS * rates.CELLS_PER_AREA
    for begins in _now_and_then(rng, settings.days, every=30):
        worse, takes = rng.random(cells) < 0.03, int(rng.integers(50, 110))
        found.append(Occasion("decay", begins, begins + takes, _nowhere(), None, float(rng.uniform(6, 14)), worse))
    return found + [
        Occasion("promotion", begins, begins + int(rng.integers(14, 35)), _some(rng, 0.35), -1)
        for begins in _now_and_then(rng, settings.days, every=60)
    ]


_CALENDARS: Final[dict[Story, Calendar]] = {"campus": _campus, "second-sim": _second_sim, "contract": _contract}


def spans(
    settings: Simulation, calendar: tuple[tuple[tuple[int, int], tuple[int, int]], ...]
) -> Iterator[tuple[int, int]]:
    """Yield first and last day, counted from the simulation's start, of each span of a yearly calendar that it meets.

    >>> list(spans(Simulation(days=40), BREAKS))
    [(12, 55)]
    """
    begin = _first_date(settings)
    end = begin + timedelta(days=settings.days)
    for year in range(begin.year, end.year + 1):
        for (month, day), (last_month, last_day) in calendar:
            first, last = date(year, month, day), date(year, last_month, last_day)
            if last >= begin and first < end:
                yield (first - begin).days, (last - begin).days


def starts(settings: Simulation, days: tuple[tuple[int, int], ...]) -> Iterator[int]:
    """Yield each yearly day that the simulation meets, counted from its start.

    >>> list(starts(Simulation(days=300), TERM_STARTS))
    [56, 244]
    """
    for first, _ in spans(settings, tuple((day, day) for day in days)):
        yield first


def _first_date(settings: Simulation) -> date:
    return datetime.fromtimestamp(settings.start_ms / 1000, UTC).date()


def _now_and_then(rng: np.random.Generator, days: int, every: int) -> Iterator[int]:
    """Yield days about so far apart, of which nobody knows the next."""
    day = int(rng.integers(5, every))
    while day < days:
        yield day
        day += int(rng.integers(every // 2, every + every // 2))


def _outage(rng: np.random.Generator, begins: int) -> Occasion:
    strength = float(rng.uniform(6, 14))
    return Occasion("outage", begins, begins + int(rng.integers(1, 6)), _some(rng, 0.1), -1, strength)


def _some(rng: np.random.Generator, share: float) -> Bools:
    """Return about this share of the areas, and one at the least."""
    areas: Bools = rng.permutation(rates.AREAS) < max(share * rates.AREAS, 1)
    return areas


def _everywhere() -> Bools:
    return np.ones(rates.AREAS, dtype=np.bool_)


def _nowhere() -> Bools:
    return np.zeros(rates.AREAS, dtype=np.bool_)

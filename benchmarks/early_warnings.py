"""What becomes of early warnings, by the truth: the arithmetic behind `stories.py`."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.core.times import DAY_MS
from streams.simulate.truth import NEVER

Column = NDArray[Any]

HORIZON_MS: Final = 30 * DAY_MS
WEEK_DAYS: Final = 7.0


@dataclass(frozen=True)
class Truths:
    """One row a subscriber: who left at all, who of their own will, the last use before, and who was won back when."""

    left: Column
    voluntary: Column
    last_use_ms: Column
    back_ms: Column


@dataclass(frozen=True)
class WarningFigures:
    """How warnings did: `right`, `gone` and `week` are shares of them, or of the right ones; `warned` of the leavers.

    A figure is None where nothing can be counted.
    """

    warnings: int
    right: float | None
    gone: float | None
    lead_days: float | None
    week: float | None
    leavers: int
    warned: float | None


def is_right(truths: Truths, who: Column, at_ms: Column) -> Column:
    """Say of each warning whether its subscriber's last use, before leaving voluntarily, falls into the horizon."""
    last_ms = truths.last_use_ms[who]
    found: Column = truths.voluntary[who] & (at_ms < last_ms) & (last_ms <= at_ms + HORIZON_MS)
    return found


def is_gone(truths: Truths, who: Column, at_ms: Column) -> Column:
    """Say of each warning whether its subscriber had used the line for the last time, and was not won back yet."""
    back_ms = truths.back_ms[who]
    is_back = (back_ms != NEVER) & (back_ms <= at_ms)
    found: Column = truths.left[who] & (truths.last_use_ms[who] <= at_ms) & ~is_back
    return found


def warnings_on_a_budget(who: Column, at_ms: Column, score: Column, per_day: float) -> Column:
    """Return the rows to warn of: each day the highest scores, nobody twice within 30 days.

    `per_day` may be a fraction: by the end of the n-th day n times as many are warned of, rounded down, as far as there
    are candidates; what a day leaves over is not carried on.
    """
    day = at_ms // DAY_MS
    warned_ms: dict[int, int] = {}
    chosen: list[int] = []
    if not len(day):
        return np.array(chosen, dtype=np.int64)
    order = np.lexsort((who, -score, day))
    bounds = np.searchsorted(day[order], np.arange(int(day.min()), int(day.max()) + 2))
    for number in range(len(bounds) - 1):
        room = int((number + 1) * per_day + 1e-9) - int(number * per_day + 1e-9)
        for row in order[bounds[number] : bounds[number + 1]].tolist():
            if not room:
                break
            one, now_ms = int(who[row]), int(at_ms[row])
            if now_ms - warned_ms.get(one, now_ms - HORIZON_MS) >= HORIZON_MS:
                warned_ms[one] = now_ms
                chosen.append(row)
                room -= 1
    return np.array(sorted(chosen), dtype=np.int64)


def figures_of(truths: Truths, who: Column, at_ms: Column, from_ms: int, until_ms: int) -> WarningFigures:
    """Return how the warnings between two times (ms) did; leavers are those whose last use falls between them."""
    inside = (from_ms <= at_ms) & (at_ms < until_ms)
    who, at_ms = who[inside], at_ms[inside]
    right, gone = is_right(truths, who, at_ms), is_gone(truths, who, at_ms)
    lead = (truths.last_use_ms[who] - at_ms)[right] / DAY_MS
    leavers = truths.voluntary & (from_ms < truths.last_use_ms) & (truths.last_use_ms <= until_ms)
    warned = np.zeros(len(leavers), dtype=bool)
    warned[who[right]] = True
    count = int(leavers.sum())
    return WarningFigures(
        warnings=len(who),
        right=_share(right),
        gone=_share(gone),
        lead_days=float(np.median(lead)) if len(lead) else None,
        week=_share(lead >= WEEK_DAYS),
        leavers=count,
        warned=float((warned & leavers).sum() / count) if count else None,
    )


def _share(of: Column) -> float | None:
    return float(of.mean()) if len(of) else None

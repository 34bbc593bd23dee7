"""An adaptive window over days (ADWIN, Bifet and Gavaldà 2007), cut where something changed.

Every cut of the window in two is tried.  Where the means of the two sides differ by more than chance allows, the days
before the cut are forgotten.  ADWIN keeps examples in buckets of growing size and cuts between two; here a bucket is a
day, which is as fine as anybody looks, and its sums are whole numbers.  So the window is the same however the examples
of a day arrived, and its state is plain.
"""

from math import sqrt
from typing import Final

from msgspec import Struct

from streams.core.scoring.exact_math import log

DAYS_MAX: Final = 365
CONFIDENCE: Final = 0.002
"""About the chance of a cut on a day on which nothing had changed; ADWIN's delta, with River's default."""
LOSS_MAX: Final = 7.0
"""The bound is one for values of a limited range: what had been given less than one in a thousand counts as that."""
MILLI: Final = 1_000

Day = tuple[int, int, int]
"""How many examples, the sum of their values and that of their squares, in thousandths and their squares."""


class Cut(Struct, frozen=True):
    """Where a window was cut: how many days lay before, and the means on both sides."""

    days_before: int
    before: float
    after: float


def milli(loss: float) -> int:
    """Return a loss as the window takes it, in whole thousandths and at most `LOSS_MAX`.

    >>> milli(0.0123), milli(34.5)
    (12, 7000)
    """
    return round(min(loss, LOSS_MAX) * MILLI)


class DriftWindow(Struct, forbid_unknown_fields=True):
    """The days since the last change, `DAYS_MAX` at most."""

    days: list[Day] = []

    def add(self, day: Day) -> Cut | None:
        """Take in a day, which has one example at least; return where the window was cut, if it was.

        >>> window = DriftWindow()
        >>> cuts = [window.add((500, total, total * 900)) for total in [50_000] * 40 + [90_000] * 12]
        >>> [(n, cut.before, cut.after) for n, cut in enumerate(cuts) if cut]
        [(42, 0.1, 0.18)]
        >>> len(window.days)
        12
        """
        self.days.append(day)
        del self.days[:-DAYS_MAX]
        cut = cut_of(self.days)
        if cut is not None:
            del self.days[: cut.days_before]
        return cut


def cut_of(days: list[Day]) -> Cut | None:
    """Return the cut whose sides differ most for what chance allows, None if none differs by more.

    The bound is the paper's, by the variance of the window, with the logarithm of its length for the number of cuts.
    """
    if len(days) < 2:
        return None
    count, total, squares = (sum(column) for column in zip(*days, strict=True))
    mean = total / count
    variance = max(0.0, squares / count - mean * mean) / MILLI**2
    doubt = log(2.0 * log(count) / CONFIDENCE)
    most, found = 1.0, None
    before = before_total = 0
    for number, (day_count, day_total, _) in enumerate(days[:-1], 1):
        before, before_total = before + day_count, before_total + day_total
        share = 1.0 / before + 1.0 / (count - before)
        bound = sqrt(2.0 * share * variance * doubt) + 2.0 / 3.0 * share * doubt * LOSS_MAX
        left, right = before_total / before / MILLI, (total - before_total) / (count - before) / MILLI
        if abs(right - left) > most * bound:
            most, found = abs(right - left) / bound, Cut(number, left, right)
    return found

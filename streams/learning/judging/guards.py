"""Guards over what is served: changes of its log loss, and probabilities that come out too high or too low.

They look at the probabilities that were served, in the order of the days on which their horizons closed, and raise
notices for a person; they never touch what serves.  Two tests watch for a rise.  Page's cumulative sum (1954), which
River has as `PageHinkley`, is over days in standard deviations of the days before, and soon tells of a sudden rise.
The adaptive window (`drift_window`) compares the days since the last change among themselves, and tells of a slow one.
Both are numbers of our own, since River's detectors do not give their state as plain ones.
"""

from copy import copy
from math import sqrt
from typing import Final

from msgspec import Struct

from streams.core.contracts.effects import LabelledExample
from streams.core.times import DAY_MS
from streams.learning.judging.drift_window import Cut, DriftWindow, milli
from streams.learning.judging.verdicts import SERVED, MatureWeek, OperatorNotice
from streams.learning.judging.weeks import PATIENCE_MS
from streams.learning.queue import MICRO, loss_of

SETTLING_DAYS: Final = 14
SLACK: Final = 0.5
LIMIT: Final = 8.0
MOST: Final = 4.0
"""No day counts for more, so that one with few examples and a surprise is no drift: it takes three in a row."""
LEAST_DEVIATION: Final = 1e-3
CALIBRATED: Final = (0.8, 1.25)
POSITIVES_MIN: Final = 30
"""Of fewer leavers than these the ratio to what was expected is mostly chance."""


class RiseTest(Struct, forbid_unknown_fields=True):
    """Page's cumulative sum for a rise: how many values there were, their mean and squares, and the sum."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    total: float = 0.0

    def add(self, value: float) -> bool:
        """Take in a value, and say whether the values have risen; then it begins anew.

        >>> rise = RiseTest()
        >>> [rise.add(one) for one in [1.0, 1.1] * 10 + [1.6] * 3][-1]
        True
        >>> rise.count
        0
        """
        if self.count >= SETTLING_DAYS:
            deviation = max(sqrt(self.squares / self.count), LEAST_DEVIATION)
            self.total = max(0.0, self.total + min((value - self.mean) / deviation, MOST) - SLACK)
            if self.total > LIMIT:
                self.count, self.mean, self.squares, self.total = 0, 0.0, 0.0, 0.0
                return True
        self.count += 1
        apart = value - self.mean
        self.mean += apart / self.count
        self.squares += apart * (value - self.mean)
        return False


class ClosedDay(Struct, forbid_unknown_fields=True):
    """How many examples closed on a day, and their loss: in millionths, and as the adaptive window takes it."""

    count: int = 0
    loss_micro: int = 0
    loss_milli: int = 0
    squares: int = 0

    def add(self, loss: float) -> None:
        """Count the loss of one example."""
        bounded = milli(loss)
        self.count += 1
        self.loss_micro += round(loss * MICRO)
        self.loss_milli += bounded
        self.squares += bounded * bounded


class GuardsState(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of `Guards` as plain values."""

    closed_day: int
    days: dict[int, ClosedDay]
    rise: RiseTest
    window: DriftWindow


class Guards:
    """The days whose examples are not all there, and the two tests over those before."""

    def __init__(self) -> None:
        self._closed_day = 0
        self._days: dict[int, ClosedDay] = {}
        self._rise = RiseTest()
        self._window = DriftWindow()

    def take(self, example: LabelledExample) -> None:
        """Count the loss of what was served for a final example."""
        day = example.closed_at_ms // DAY_MS
        if example.provisional or day < self._closed_day:
            return
        self._days.setdefault(day, ClosedDay()).add(loss_of(example.probability, example.label))

    def watch(self, at_ms: int, weeks: list[MatureWeek]) -> list[OperatorNotice]:
        """Return what a person should look at, by the days over at an event time (ms) and newly mature weeks."""
        notices = []
        until = (at_ms - PATIENCE_MS) // DAY_MS
        self._closed_day = max(self._closed_day, until)
        for day in sorted(day for day in self._days if day < until):
            notices += self._close(at_ms, day, self._days.pop(day))
        for week in weeks:
            ratio = week.figures[SERVED].expected_over_observed
            if ratio is not None and week.positives >= POSITIVES_MIN and not CALIBRATED[0] <= ratio <= CALIBRATED[1]:
                figures = {"expected_over_observed": ratio, "positives": float(week.positives)}
                figures["week_ms"] = float(week.week_ms)
                what = f"what was served expected {ratio:.2f} times as many leavers as there were"
                notices.append(OperatorNotice(at_ms=at_ms, kind="calibration", what=what, figures=figures))
        return notices

    def _close(self, at_ms: int, day: int, closed: ClosedDay) -> list[OperatorNotice]:
        """Give a day to both tests, and return what they say of it."""
        notices = []
        loss, before = closed.loss_micro / MICRO / closed.count, self._rise.mean
        if self._rise.add(loss):
            what = f"the log loss of what was served has risen: {loss:.4f}, {before:.4f} on the days before"
            figures = {"log_loss": loss, "log_loss_before": before, "day_ms": float(day * DAY_MS)}
            notices.append(OperatorNotice(at_ms=at_ms, kind="drift", what=what, figures=figures))
        cut = self._window.add((closed.count, closed.loss_milli, closed.squares))
        if cut is not None and cut.after > cut.before:
            notices.append(_of_cut(at_ms, day, cut, len(self._window.days)))
        return notices

    def state(self) -> GuardsState:
        """Return everything as plain values."""
        return GuardsState(
            closed_day=self._closed_day,
            days={day: copy(closed) for day, closed in sorted(self._days.items())},
            rise=copy(self._rise),
            window=DriftWindow(list(self._window.days)),
        )

    def load(self, state: GuardsState) -> None:
        """Replace the content by that of a state."""
        self._closed_day, self._rise = state.closed_day, copy(state.rise)
        self._days = {day: copy(closed) for day, closed in state.days.items()}
        self._window = DriftWindow(list(state.window.days))


def _of_cut(at_ms: int, day: int, cut: Cut, days: int) -> OperatorNotice:
    """Return a notice of a rise that the adaptive window found on a day, and that has lasted so many days."""
    what = (
        f"the log loss of what was served has been higher for {days} days: {cut.after:.4f},"
        f" {cut.before:.4f} on the {cut.days_before} days before"
    )
    figures = {"log_loss": cut.after, "log_loss_before": cut.before, "days": float(days), "day_ms": float(day * DAY_MS)}
    return OperatorNotice(at_ms=at_ms, kind="drift", what=what, figures=figures)

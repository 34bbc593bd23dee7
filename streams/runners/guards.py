"""Guards over what is served: a rise of its log loss, and probabilities that come out too high or too low.

They look at the probabilities that were served, in the order of the days on which their horizons closed, and raise
notices for a person; they never touch what serves.  The test for a rise is Page's cumulative sum (1954), which River
has as `PageHinkley`, over days in standard deviations of the days before: here as four numbers of its own, since
River's detectors do not give their state as plain numbers.  ADWIN is left out for that reason: its window has no bound
that is known beforehand, so that one rebuilt from a bounded past would not be the same.
"""

from math import log, sqrt
from typing import Final

from msgspec import Struct

from streams.core.effects import LabelledExample
from streams.core.state import DAY_MS
from streams.runners.label_queue import LOSS_FLOOR, MICRO
from streams.runners.verdicts import SERVED, MatureWeek, OperatorNotice
from streams.runners.weeks import PATIENCE_MS

SETTLING_DAYS: Final = 14
SLACK: Final = 0.5
LIMIT: Final = 8.0
MOST: Final = 4.0
"""No day counts for more, so that one with few examples and a surprise is no drift: it takes three in a row."""
LEAST_DEVIATION: Final = 1e-3
CALIBRATED: Final = (0.8, 1.25)
POSITIVES_MIN: Final = 30
"""Of fewer leavers than these the ratio to what was expected is mostly chance."""


class Rise(Struct, forbid_unknown_fields=True):
    """Page's cumulative sum for a rise: how many values there were, their mean and squares, and the sum."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    total: float = 0.0

    def add(self, value: float) -> bool:
        """Take in a value, and say whether the values have risen; then it begins anew.

        >>> rise = Rise()
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


class GuardsState(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of `Guards` as plain values; days with how many examples closed on them and their loss in millionths."""

    closed_day: int
    days: dict[int, tuple[int, int]]
    rise: Rise


class Guards:
    """The days whose examples are not all there, and the sum over those before."""

    def __init__(self) -> None:
        self._closed_day = 0
        self._days: dict[int, tuple[int, int]] = {}
        self._rise = Rise()

    def take(self, example: LabelledExample) -> None:
        """Count the loss of what was served for a final example."""
        day = example.closed_at_ms // DAY_MS
        if example.provisional or day < self._closed_day:
            return
        likelihood = example.probability if example.label else 1.0 - example.probability
        count, loss_micro = self._days.get(day, (0, 0))
        self._days[day] = count + 1, loss_micro - round(log(max(likelihood, LOSS_FLOOR)) * MICRO)

    def watch(self, at_ms: int, weeks: list[MatureWeek]) -> list[OperatorNotice]:
        """Return what a person should look at, by the days over at an event time (ms) and newly mature weeks."""
        notices = []
        until = (at_ms - PATIENCE_MS) // DAY_MS
        self._closed_day = max(self._closed_day, until)
        for day in sorted(day for day in self._days if day < until):
            count, loss_micro = self._days.pop(day)
            loss, before = loss_micro / MICRO / count, self._rise.mean
            if self._rise.add(loss):
                figures = {"log_loss": loss, "log_loss_before": before, "day_ms": float(day * DAY_MS)}
                what = f"the log loss of what was served has risen: {loss:.4f}, {before:.4f} on the days before"
                notices.append(OperatorNotice(at_ms=at_ms, kind="drift", what=what, figures=figures))
        for week in weeks:
            ratio = week.figures[SERVED].expected_over_observed
            if ratio is not None and week.positives >= POSITIVES_MIN and not CALIBRATED[0] <= ratio <= CALIBRATED[1]:
                figures = {"expected_over_observed": ratio, "positives": float(week.positives)}
                figures["week_ms"] = float(week.week_ms)
                what = f"what was served expected {ratio:.2f} times as many leavers as there were"
                notices.append(OperatorNotice(at_ms=at_ms, kind="calibration", what=what, figures=figures))
        return notices

    def state(self) -> GuardsState:
        """Return everything as plain values."""
        rise = self._rise
        return GuardsState(
            closed_day=self._closed_day,
            days=dict(sorted(self._days.items())),
            rise=Rise(rise.count, rise.mean, rise.squares, rise.total),
        )

    def load(self, state: GuardsState) -> None:
        """Replace the content by that of a state."""
        self._closed_day, self._days, rise = state.closed_day, dict(state.days), state.rise
        self._rise = Rise(rise.count, rise.mean, rise.squares, rise.total)

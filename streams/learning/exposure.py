"""How often and how widely each feature was seen, and what follows: floors of scales, and bounds of shares.

A flag that is set in one row of a thousand has a standard deviation of 0.03, so that it lies thirty of them from its
mean, and a weight that would be modest elsewhere is thirty times as much there.  So a feature is divided at least by
a `deviations_max`-th of the range that was seen of it: whatever is sure of itself by a prior over standardised
weights, or by a step, is then as sure of a rare feature as of any other.

What few rows have told has a bound as well.  Where n rows all end alike, the odds are put at 2n + 1 to 1 (by Jeffreys'
prior).  So a feature that was n times away from where it mostly is may move the log-odds by log(1 + 2n), and by what
the scorecard gives it, since that was reviewed; and no feature by more than `share_max`.  The bound holds for a version
as it is published, wherever the feature was seen: its weight is cut, so that what serves stays linear and its shares
exact.

All examples count alike and only once, so all lines of a trainer have one exposure.
"""

from collections.abc import Sequence
from math import copysign
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from streams.core.scoring.exact_math import log1p
from streams.core.scoring.models import ModelVersion
from streams.learning.queue import GuardSettings, TrainerSettings

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]

ROWS_MAX: Final = 256
"""Rows are counted together: one by one the counting would take as long as a step of learning."""


class ExposureState(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of `FeatureExposure` as plain values; by feature the least and the largest value, and rows at each and at 0.

    Before the first row the lists are empty.
    """

    rows: int
    lows: list[float]
    highs: list[float]
    at_low: list[int]
    at_high: list[int]
    at_zero: list[int]


class FeatureExposure:
    """What was seen of each feature; `floors` is by feature what no scale is below, and changes in its place.

    Whoever takes in no example has the floors of the settings.
    """

    def __init__(self, settings: TrainerSettings, features: tuple[str, ...]) -> None:
        self.floors: Numbers = np.array([settings.least_scales.get(name, 0.0) for name in features], np.float64)
        self._least = self.floors.copy()
        guards = settings.guards or GuardSettings()
        self._share_max, self._deviations_max = guards.share_max, guards.deviations_max
        self._reviewed = [abs(guards.reviewed.get(name, 0.0)) for name in features]
        count = len(features)
        self._rows = 0
        self._lows: Numbers = np.full(count, np.inf)
        self._highs: Numbers = np.full(count, -np.inf)
        self._at_low: Counts = np.zeros(count, np.int64)
        self._at_high: Counts = np.zeros(count, np.int64)
        self._at_zero: Counts = np.zeros(count, np.int64)
        self._uncounted: list[Numbers] = []

    def take(self, values: tuple[float, ...]) -> None:
        """Count an example's features in the table's order."""
        given = np.array(values, np.float64)
        if ((given > self._highs) | (given < self._lows)).any():
            self._count()
            self._widen(given)
        self._uncounted.append(given)
        if len(self._uncounted) == ROWS_MAX:
            self._count()

    def _widen(self, given: Numbers) -> None:
        """Take in values beyond those that were seen: nothing has been at the new ends yet."""
        self._at_low[given < self._lows] = 0
        self._at_high[given > self._highs] = 0
        self._lows = np.minimum(self._lows, given)
        self._highs = np.maximum(self._highs, given)
        self._set_floors()

    def _set_floors(self) -> None:
        np.maximum(self._least, (self._highs - self._lows) / self._deviations_max, out=self.floors)

    def _count(self) -> None:
        if not self._uncounted:
            return
        table = np.array(self._uncounted)
        self._uncounted.clear()
        self._rows += len(table)
        self._at_low += (table == self._lows).sum(axis=0)
        self._at_high += (table == self._highs).sum(axis=0)
        self._at_zero += (table == 0.0).sum(axis=0)

    def seen(self) -> list[int]:
        """Return for each feature in how many examples it was not where it mostly is: at 0, or at one of its ends.

        >>> exposure = FeatureExposure(TrainerSettings(), ("flag", "number"))
        >>> for number in range(10):
        ...     exposure.take((float(number == 9), number / 7))
        >>> exposure.seen()
        [1, 9]
        """
        self._count()
        usual = np.maximum(np.maximum(self._at_low, self._at_high), self._at_zero)
        found: list[int] = (self._rows - usual).tolist()
        return found

    def cut(self, version: ModelVersion, bounds: list[float]) -> tuple[float, ...]:
        """Return a version's weights so cut that no share is over its bound wherever a feature was seen."""
        found = []
        rows = zip(version.weights, version.scales, self.reaches(version.means), bounds, strict=True)
        for weight, scale, reach, bound in rows:
            # Where there is no scale nothing is contributed.
            is_over = scale > 0.0 and abs(weight) * reach > bound * scale
            found.append(copysign(bound * scale / reach, weight) if is_over else weight)
        return tuple(found)

    def bounds(self, means: Sequence[float]) -> list[float]:
        """Return the most that each feature may contribute (logit): by how often it was seen, and by the scorecard."""
        found = []
        for n, slope, reach in zip(self.seen(), self._reviewed, self.reaches(means), strict=True):
            found.append(min(self._share_max, log1p(2.0 * n) + slope * reach))
        return found

    def reaches(self, means: Sequence[float]) -> list[float]:
        """Return how far each feature was seen from its mean; 0 before anything was seen."""
        if not self._rows and not self._uncounted:
            return [0.0] * len(means)
        centre = np.array(means)
        found: list[float] = np.maximum(np.maximum(self._highs - centre, centre - self._lows), 0.0).tolist()
        return found

    def state(self) -> ExposureState:
        """Return everything as plain values, the same ones for the same examples."""
        self._count()
        rows = self._rows
        return ExposureState(
            rows=rows,
            lows=self._lows.tolist() if rows else [],
            highs=self._highs.tolist() if rows else [],
            at_low=self._at_low.tolist() if rows else [],
            at_high=self._at_high.tolist() if rows else [],
            at_zero=self._at_zero.tolist() if rows else [],
        )

    def load(self, state: ExposureState) -> None:
        """Continue from a state of as many features."""
        if not state.rows:
            return
        self._rows = state.rows
        self._lows, self._highs = np.array(state.lows), np.array(state.highs)
        self._at_low, self._at_high, self._at_zero = map(np.array, (state.at_low, state.at_high, state.at_zero))
        self._set_floors()

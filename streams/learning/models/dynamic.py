"""Dynamic logistic regression: each weight with how uncertain it is, so that a label teaches as much as it can.

A Gaussian over the weights is kept and updated by each example as an extended Kalman filter does (Penny and Roberts
1999; McCormick, Raftery, Madigan and Burd 2012).  What is well known moves little and what is seldom seen moves much,
without a step size that would have to suit both; weeks of labels are worth what a regression over all of them is.
Time makes the weights uncertain again by `drift_per_day`, never more so than they were at first: so the model follows
drift, in days where many subscribers tell of it and in months where few do.

Every operation is elementwise or adds rows in their order, and sums over features are exact, so that the same examples
give the same bits wherever they are learned.
"""

from math import fsum, sqrt
from typing import Final

import numpy as np
from msgspec import UnsetType
from numpy.typing import NDArray

from streams.core.scoring.exact_math import exp, log
from streams.learning.exposure import FeatureExposure
from streams.learning.models.linear import ModelState, TrainerError, check_names, scales_of
from streams.learning.queue import TrainerSettings

Numbers = NDArray[np.float64]

INTERCEPT_VARIANCE: Final = 0.05
DEVIATIONS_MAX: Final = 1e3
"""What lies further from the mean teaches as if it lay there: a label that is taken back was never in the scales."""
LOGIT_MAX: Final = 30.0
"""Beyond this a logit is as good as certain, and its exponential would only cost precision."""
NO_SCALE: Final = 1e-200
"""In the place of a scale that there is none of: no root of a variance is as small."""


class _Workspace:
    """Where one example is worked out, made once: its distances, what it reaches, and views of both as columns."""

    def __init__(self, size: int) -> None:
        self.z: Numbers = np.ones(size)
        self.distances = self.z[1:]
        self.column = self.z[:, None]
        self.scales: Numbers = np.empty(size - 1)
        self.change: Numbers = np.empty(size - 1)
        self.sums: Numbers = np.empty(size + 1)
        self.reach = self.sums[:-1]
        self.reach_column = self.reach[:, None]
        self.table: Numbers = np.empty((size, size + 1))


class DynamicModel:
    """Weights in standardised space, the intercept first, and their covariance; features in the table's order.

    `_table` has a row for each weight, its covariances and last the weight itself, so that one pass over the rows gives
    both what an example reaches and its logit.
    """

    periods = 1.0

    def __init__(
        self, settings: TrainerSettings, features: tuple[str, ...], exposure: FeatureExposure | None = None
    ) -> None:
        check_names(settings, features)
        self.offset = log(settings.keep_negatives)
        self._exposure = FeatureExposure(settings, features) if exposure is None else exposure
        self._drift_per_day = settings.drift_per_day
        first = np.full(len(features) + 1, settings.prior_variance)
        first[0] = INTERCEPT_VARIANCE
        self._first_variances: Numbers = first
        intercept = log(settings.base_rate / (1.0 - settings.base_rate)) - self.offset
        weights = [intercept, *[settings.warm_start.get(name, 0.0) for name in features]]
        self._table: Numbers = np.column_stack([np.diag(first), weights])
        self._room = _Workspace(len(weights))
        self._means: Numbers = np.zeros(len(features))
        self._variances: Numbers = np.zeros(len(features))
        self._iterations = 0

    def learn(self, values: tuple[float, ...], label: bool, weight: float = 1.0) -> None:
        """Update the weights by one example; a negative weight takes a label back, and makes nothing less certain."""
        room, given = self._room, np.array(values)
        if weight > 0.0:
            self._scale(given)
        z = self._standard(given)
        if weight <= 0.0:
            self._blank()
        np.minimum(np.maximum(z, -DEVIATIONS_MAX, out=z), DEVIATIONS_MAX, out=z)
        np.multiply(self._table, room.column, out=room.table)
        # Row by row: BLAS adds as the processor likes.
        sums = np.add.reduce(room.table, axis=0, out=room.sums)
        chance = _chance(float(sums[-1]))
        information = chance * (1.0 - chance) * max(weight, 0.0)
        gain = 1.0 / (1.0 + information * _dot(room.reach, z))
        step = gain * weight * (label - chance)
        if information:
            # A product of one vector with itself, so that both halves of the matrix stay the same to the last bit; and
            # nothing is added in it, so that BLAS has no order to choose.
            root = sqrt(information * gain)
            sums *= root
            sums[-1] = -step / root
            self._table -= np.dot(room.reach_column, sums[None, :], out=room.table)
        else:
            self._table[:, -1] += room.reach * step

    def drift(self, days: float) -> None:
        """Let so many days have passed: what was learned is less certain now, and at most as uncertain as at first."""
        covariance = self._table[:, :-1]
        covariance = covariance + np.diag(np.full(len(covariance), self._drift_per_day * days))
        shrink = np.sqrt(np.minimum(1.0, self._first_variances / np.diagonal(covariance)))
        self._table[:, :-1] = covariance * np.multiply.outer(shrink, shrink)

    def predict(self, values: tuple[float, ...]) -> float:
        """Return the probability among the examples that are learned, before the correction for sampling."""
        z = self._standard(np.array(values))
        self._blank()
        return _chance(_dot(self._table[:, -1], z))

    def scales(self, variances: list[float]) -> tuple[float, ...]:
        """Return what the features are divided by, in their order; 0 if it never moved and has no least scale."""
        return scales_of(variances, self._exposure.floors.tolist())

    def state(self) -> ModelState:
        """Return the model's numbers; of the covariance one half with the diagonal, row by row."""
        return ModelState(
            intercept=float(self._table[0, -1]),
            iterations=self._iterations,
            weights=self._table[1:, -1].tolist(),
            means=self._means.tolist(),
            variances=self._variances.tolist(),
            covariance=self._table[np.triu_indices(len(self._table))].tolist(),
        )

    def load(self, state: ModelState) -> None:
        """Continue from the model's numbers.

        Raises:
            TrainerError: there is no covariance of so many weights.
        """
        size = len(state.weights) + 1
        if isinstance(state.covariance, UnsetType) or len(state.covariance) != size * (size + 1) // 2:
            raise TrainerError("the snapshot of a dynamic model has no covariance of its weights")
        half = np.zeros((size, size))
        half[np.triu_indices(size)] = state.covariance
        whole = half + half.T - np.diag(np.diagonal(half))
        self._table = np.column_stack([whole, [state.intercept, *state.weights]])
        self._means, self._variances = np.array(state.means), np.array(state.variances)
        self._iterations = state.iterations

    def _scale(self, given: Numbers) -> None:
        """Take an example into the running means and variances (Welford 1962)."""
        self._iterations = count = self._iterations + 1
        change = np.subtract(given, self._means, out=self._room.change)
        self._means += change / count
        change *= given - self._means
        change -= self._variances
        change /= count
        self._variances += change

    def _standard(self, given: Numbers) -> Numbers:
        """Return the features as distances from their means in scales, with the one of the intercept before them.

        No quotient overflows: a feature is at most `FEATURE_MAX`.  Where there is no scale, a feature has always been
        what it is, as long as this one is in the means: else see `_blank`.
        """
        room = self._room
        scales = np.sqrt(np.maximum(self._variances, 0.0, out=room.scales), out=room.scales)
        np.maximum(np.maximum(scales, self._exposure.floors, out=scales), NO_SCALE, out=scales)
        np.divide(np.subtract(given, self._means, out=room.distances), scales, out=room.distances)
        return room.z

    def _blank(self) -> None:
        """Let a feature have no say that has no scale."""
        room = self._room
        room.distances *= room.scales > NO_SCALE


def _dot(left: Numbers, right: Numbers) -> float:
    return fsum((left * right).tolist())


def _chance(logit: float) -> float:
    return 1.0 / (1.0 + exp(-max(-LOGIT_MAX, min(LOGIT_MAX, logit))))

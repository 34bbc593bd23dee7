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

from streams.core.elementary import exp, log
from streams.runners.label_queue import TrainerSettings
from streams.runners.learners import ModelState, TrainerError, check_names, scales_of

Numbers = NDArray[np.float64]

INTERCEPT_VARIANCE: Final = 0.05
DEVIATIONS_MAX: Final = 1e3
"""What lies further from the mean teaches as if it lay there: a label that is taken back was never in the scales."""
LOGIT_MAX: Final = 30.0
"""Beyond this a logit is as good as certain, and its exponential would only cost precision."""


class DynamicModel:
    """Weights in standardised space, the intercept first, and their covariance; features in the table's order."""

    periods = 1.0

    def __init__(self, settings: TrainerSettings, features: tuple[str, ...]) -> None:
        check_names(settings, features)
        self.offset = log(settings.keep_negatives)
        self._least: Numbers = np.array([settings.least_scales.get(name, 0.0) for name in features])
        self._drift_per_day = settings.drift_per_day
        first = np.full(len(features) + 1, settings.prior_variance)
        first[0] = INTERCEPT_VARIANCE
        self._first_variances: Numbers = first
        self._covariance: Numbers = np.diag(first)
        self._room: Numbers = np.empty_like(self._covariance)
        intercept = log(settings.base_rate / (1.0 - settings.base_rate)) - self.offset
        self._weights: Numbers = np.array([intercept, *[settings.warm_start.get(name, 0.0) for name in features]])
        self._means: Numbers = np.zeros(len(features))
        self._variances: Numbers = np.zeros(len(features))
        self._iterations = 0

    def learn(self, values: tuple[float, ...], label: bool, weight: float = 1.0) -> None:
        """Update the weights by one example; a negative weight takes a label back, and makes nothing less certain."""
        given = np.array(values)
        if weight > 0.0:
            self._scale(given)
        z = self._standard(given)
        np.minimum(np.maximum(z, -DEVIATIONS_MAX, out=z), DEVIATIONS_MAX, out=z)
        chance = _chance(_dot(self._weights, z))
        np.multiply(self._covariance, z[:, None], out=self._room)
        # Row by row: BLAS adds as the processor likes.
        reach = np.add.reduce(self._room, axis=0)
        information = chance * (1.0 - chance) * max(weight, 0.0)
        gain = 1.0 / (1.0 + information * _dot(reach, z))
        if information:
            # A product of one vector with itself, so that both halves of the matrix stay the same to the last bit.
            part = reach * sqrt(information * gain)
            np.multiply(part[:, None], part, out=self._room)
            self._covariance -= self._room
        self._weights = self._weights + reach * (gain * weight * (label - chance))

    def drift(self, days: float) -> None:
        """Let so many days have passed: what was learned is less certain now, and at most as uncertain as at first."""
        covariance = self._covariance
        covariance = covariance + np.diag(np.full(len(covariance), self._drift_per_day * days))
        shrink = np.sqrt(np.minimum(1.0, self._first_variances / np.diagonal(covariance)))
        self._covariance = covariance * np.multiply.outer(shrink, shrink)

    def predict(self, values: tuple[float, ...]) -> float:
        """Return the probability among the examples that are learned, before the correction for sampling."""
        return _chance(_dot(self._weights, self._standard(np.array(values))))

    def scales(self, variances: list[float]) -> tuple[float, ...]:
        """Return what the features are divided by, in their order; 0 if it never moved and has no least scale."""
        return scales_of(variances, self._least.tolist())

    def state(self) -> ModelState:
        """Return the model's numbers; of the covariance one half with the diagonal, row by row."""
        return ModelState(
            intercept=float(self._weights[0]),
            iterations=self._iterations,
            weights=self._weights[1:].tolist(),
            means=self._means.tolist(),
            variances=self._variances.tolist(),
            covariance=self._covariance[np.triu_indices(len(self._covariance))].tolist(),
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
        self._covariance = half + half.T - np.diag(np.diagonal(half))
        self._weights = np.array([state.intercept, *state.weights])
        self._means, self._variances = np.array(state.means), np.array(state.variances)
        self._iterations = state.iterations

    def _scale(self, given: Numbers) -> None:
        """Take an example into the running means and variances (Welford 1962)."""
        self._iterations = count = self._iterations + 1
        before = given - self._means
        self._means += before / count
        self._variances += (before * (given - self._means) - self._variances) / count

    def _standard(self, given: Numbers) -> Numbers:
        """Return the features as distances from their means in scales, with the one of the intercept before them.

        No quotient overflows: a feature is at most `FEATURE_MAX`, and the root of the smallest variance is 1e-162.
        """
        scales = np.maximum(np.sqrt(np.maximum(self._variances, 0.0)), self._least)
        found = np.zeros(len(given) + 1)
        found[0] = 1.0
        np.divide(given - self._means, scales, out=found[1:], where=scales > 0.0)
        return found


def _dot(left: Numbers, right: Numbers) -> float:
    return fsum((left * right).tolist())


def _chance(logit: float) -> float:
    return 1.0 / (1.0 + exp(-max(-LOGIT_MAX, min(LOGIT_MAX, logit))))

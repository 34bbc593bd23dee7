"""The recipes by which a model learns: each takes examples one at a time and is plain numbers at any moment.

`steady` is River's `StandardScaler | LogisticRegression` with a constant step: it never stops following drift.
`adagrad` shortens the step of a feature with all that it has moved by so far (Duchi, Hazan and Singer 2011): it settles
where `steady` goes on trembling, and follows drift the more slowly the longer it has learned.  `hazard` learns the
chance of leaving within one of several equal periods of the horizon, of which the horizon's chance follows: not from
when people left, since who goes quiet has no day of leaving, but from whether they did.

All of them bound what one example may move its own logit by, take a label back by the step that they would take on it
the other way round, and standardise with River's running means and variances, of which nothing is taken back.
"""

from collections.abc import Mapping
from math import fsum, sqrt
from typing import Any, Final, Protocol

import numpy as np
from msgspec import UNSET, Struct, UnsetType
from numpy.typing import NDArray
from river import linear_model, optim, preprocessing, utils

from streams.core.scoring.exact_math import exp, expm1, log, log1p
from streams.core.scoring.scorer import probability
from streams.learning.exposure import FeatureExposure
from streams.learning.queue import TrainerSettings

Numbers = NDArray[np.float64]

INTERCEPT_STEP: Final = 0.01
"""River's own default: the base rate may move faster than any weight, since every example tells about it."""
ADAGRAD_STEP: Final = 0.05
ADAGRAD_LEAST: Final = 1e-8
SURE: Final = 36.0
"""Beyond this, exp(x) - 1 is exp(x) to the last bit."""

RANKERS: Final[Mapping[str, str]] = {"recency": "top_up_silence", "quiet": "usage_silence"}
"""Rules that rank by one feature: what a model has to beat.  They give no probability, so they can serve nobody."""


class TrainerError(ValueError):
    """A trainer cannot be made or restored; the text says why."""


class ModelState(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of a model that later learning depends on; arrays in the order of the features.

    `squares` are the sums of squared gradients and `covariance` how uncertain the weights are, where a recipe keeps
    them.
    """

    intercept: float
    iterations: int
    weights: list[float]
    means: list[float]
    variances: list[float]
    squares: list[float] | UnsetType = UNSET
    covariance: list[float] | UnsetType = UNSET


class Model(Protocol):
    """What a trainer needs of a recipe; `values` are the features in the table's order.

    A published version has `offset` added to the model's intercept, which undoes the sampling, and its `periods`.
    """

    offset: float
    periods: float

    def learn(self, values: tuple[float, ...], label: bool, weight: float = 1.0) -> None:
        """Take one step on one example; a negative weight takes a label back."""

    def drift(self, days: float) -> None:
        """Let so many days have passed between two versions."""

    def predict(self, values: tuple[float, ...]) -> float:
        """Return the probability among the examples that are learned, before the correction for sampling."""

    def scales(self, variances: list[float]) -> tuple[float, ...]:
        """Return what the features are divided by, in their order; 0 if it never moved and has no least scale."""

    def state(self) -> ModelState:
        """Return the model's numbers."""

    def load(self, state: ModelState) -> None:
        """Continue from a model's numbers."""


def check_names(settings: TrainerSettings, features: tuple[str, ...]) -> None:
    """Refuse settings that name what is no feature, by raising `TrainerError`."""
    for setting, named in (
        ("warm_start", settings.warm_start),
        ("least_scales", settings.least_scales),
        ("without", settings.without),
    ):
        unknown = sorted(set(named) - set(features))
        if unknown:
            raise TrainerError(f"{setting} names {unknown[0]!r}, which is no feature")


def scales_of(variances: list[float], least: list[float]) -> tuple[float, ...]:
    """Return the standard deviations, none below its least one.

    >>> scales_of([4.0, 0.0, 0.0], [0.0, 0.5, 0.0])
    (2.0, 0.5, 0.0)
    """
    return tuple(max(sqrt(v) if v > 0.0 else 0.0, bound) for v, bound in zip(variances, least, strict=True))


class OnlineModel:
    """River's scaler and regression for a fixed list of features, with the bounded step."""

    def __init__(
        self, settings: TrainerSettings, features: tuple[str, ...], exposure: FeatureExposure | None = None
    ) -> None:
        check_names(settings, features)
        self.offset = log(settings.keep_negatives)
        self.periods = 1.0
        self._features = features
        self._exposure = FeatureExposure(settings, features) if exposure is None else exposure
        self._step = settings.step
        self._step_max = settings.step_max
        # Any, because the methods of both carry no types.
        self.scaler: Any = preprocessing.StandardScaler()
        self.regression: Any = linear_model.LogisticRegression(
            optimizer=optim.SGD(settings.step),
            intercept_init=log(settings.base_rate / (1.0 - settings.base_rate)) - log(settings.keep_negatives),
            intercept_lr=INTERCEPT_STEP,
        )
        self._set_weights([settings.warm_start.get(name, 0.0) for name in features])

    def _set_weights(self, weights: list[float]) -> None:
        # River offers no public way to set weights by feature; the order is fixed because the order of summation shows
        # in the last bit.
        self.regression._weights = utils.VectorDict(dict(zip(self._features, weights, strict=True)))  # noqa: SLF001

    def learn(self, values: tuple[float, ...], label: bool, weight: float = 1.0) -> None:
        """Take one step on one example; a negative weight takes a label back."""
        named = dict(zip(self._features, values, strict=True))
        if weight > 0.0:
            self.scaler.learn_one(named)
        standard = self._standard(named)
        # fsum, because the plain sum's last bit depends on the version of Python.
        reach = self._step * (1.0 + fsum([z * z for z in standard.values()]))
        bounded = 1.0 if reach <= self._step_max else self._step_max / reach
        self.regression.learn_one(standard, label, weight * bounded)
        if weight <= 0.0:
            # The count is the scaler's as well, which has not seen this one.
            self.regression.optimizer.n_iterations -= 1

    def drift(self, days: float) -> None:
        """Do nothing: its steps are what they are."""

    def predict(self, values: tuple[float, ...]) -> float:
        """Return River's own probability, before the correction for sampling."""
        named = dict(zip(self._features, values, strict=True))
        return float(self.regression.predict_proba_one(self._standard(named))[True])

    def _standard(self, named: dict[str, float]) -> dict[str, float]:
        standard: dict[str, float] = self.scaler.transform_one(named)
        for name, least in zip(self._features, self._exposure.floors.tolist(), strict=True):
            if self.scaler.vars[name] < least * least:
                standard[name] = (named[name] - self.scaler.means[name]) / least
        return standard

    def scales(self, variances: list[float]) -> tuple[float, ...]:
        """Return what the features are divided by, in their order; 0 if it never moved and has no least scale."""
        return scales_of(variances, self._exposure.floors.tolist())

    def state(self) -> ModelState:
        """Return the pipeline's numbers."""
        weights = self.regression.weights
        return ModelState(
            intercept=self.regression.intercept,
            iterations=self.regression.optimizer.n_iterations,
            weights=[weights[name] for name in self._features],
            means=[self.scaler.means.get(name, 0.0) for name in self._features],
            variances=[self.scaler.vars.get(name, 0.0) for name in self._features],
        )

    def load(self, state: ModelState) -> None:
        """Continue from the pipeline's numbers: every example counts once for every feature."""
        self.regression.intercept = state.intercept
        self.regression.optimizer.n_iterations = state.iterations
        self._set_weights(state.weights)
        self.scaler.counts.update(dict.fromkeys(self._features, state.iterations))
        self.scaler.means.update(zip(self._features, state.means, strict=True))
        self.scaler.vars.update(zip(self._features, state.variances, strict=True))


class PlainModel:
    """A linear model in plain numbers, over as many periods as told, whose steps shorten or do not.

    Over n periods the chance of leaving is p = 1 - (1 - h)^n with the hazard h = 1 / (1 + exp(-logit)).  With a share r
    of the negatives learned, that of an example that is learned is p / (p + r (1 - p)), whose likelihood is climbed:
    so the sampling is undone while learning, and a published version needs no correction.  With one period it is
    logistic regression with ln(r) in the intercept.
    """

    offset = 0.0

    def __init__(
        self,
        settings: TrainerSettings,
        features: tuple[str, ...],
        exposure: FeatureExposure | None = None,
        *,
        periods: float = 1.0,
        shortens: bool = False,
    ) -> None:
        check_names(settings, features)
        self.periods = periods
        self._shortens = shortens
        self._step = settings.step
        self._step_max = settings.step_max
        self._log_kept = log(settings.keep_negatives)
        self._exposure = FeatureExposure(settings, features) if exposure is None else exposure
        hazard = -expm1(log1p(-settings.base_rate) / periods)
        self._intercept = log(hazard / (1.0 - hazard))
        self._weights: Numbers = np.array([settings.warm_start.get(name, 0.0) for name in features])
        self._means: Numbers = np.zeros(len(features))
        self._variances: Numbers = np.zeros(len(features))
        self._squares: Numbers = np.zeros(len(features))
        self._iterations = 0

    def learn(self, values: tuple[float, ...], label: bool, weight: float = 1.0) -> None:
        """Take one step on one example; a negative weight takes a label back."""
        given = np.array(values)
        if weight > 0.0:
            self._scale(given)
        standard = self._standard(given)
        error = self._pull(self._logit(standard), label=label) * weight
        gradient = error * standard
        if self._shortens:
            if weight > 0.0:
                self._squares = self._squares + gradient * gradient
            moves = ADAGRAD_STEP * gradient / np.sqrt(self._squares + ADAGRAD_LEAST)
        else:
            moves = self._step * gradient
        first = INTERCEPT_STEP * error
        reach = abs(_exact_sum(first, moves * standard))
        most = self._step_max * abs(error)
        share = 1.0 if reach <= most else most / reach
        self._weights = self._weights + share * moves
        self._intercept += share * first

    def _scale(self, given: Numbers) -> None:
        self._iterations = count = self._iterations + 1
        apart = given - self._means
        self._means = self._means + apart / count
        self._variances = self._variances + (apart * (given - self._means) - self._variances) / count

    def _standard(self, given: Numbers) -> Numbers:
        scales = np.maximum(np.sqrt(np.maximum(self._variances, 0.0)), self._exposure.floors)
        return np.divide(given - self._means, scales, out=np.zeros(len(scales)), where=scales > 0.0)

    def _logit(self, standard: Numbers) -> float:
        return _exact_sum(self._intercept, self._weights * standard)

    def _pull(self, logit: float, *, label: bool) -> float:
        """Return the slope of the log-likelihood of a label over the logit."""
        chance = probability(logit, self.periods)
        # What the log-odds of p rise by with the logit: n h / p, of which 1 is left where both are next to nothing.
        steepness = self.periods * probability(logit) / chance if chance else 1.0
        return (label - self._among_learned(logit)) * steepness

    def _among_learned(self, logit: float) -> float:
        total = self.periods * (max(logit, 0.0) + log1p(exp(-abs(logit))))
        if total > SURE:
            return probability(total - self._log_kept)
        odds = log(expm1(total)) if total > 0.0 else log(self.periods) + logit
        return probability(odds - self._log_kept)

    def drift(self, days: float) -> None:
        """Do nothing: its steps are what they are."""

    def predict(self, values: tuple[float, ...]) -> float:
        """Return the probability among the examples that are learned, before the correction for sampling."""
        return self._among_learned(self._logit(self._standard(np.array(values))))

    def scales(self, variances: list[float]) -> tuple[float, ...]:
        """Return what the features are divided by, in their order; 0 if it never moved and has no least scale."""
        return scales_of(variances, self._exposure.floors.tolist())

    def state(self) -> ModelState:
        """Return the model's numbers."""
        return ModelState(
            intercept=self._intercept,
            iterations=self._iterations,
            weights=self._weights.tolist(),
            means=self._means.tolist(),
            variances=self._variances.tolist(),
            squares=self._squares.tolist() if self._shortens else UNSET,
        )

    def load(self, state: ModelState) -> None:
        """Continue from the model's numbers."""
        self._intercept, self._iterations = state.intercept, state.iterations
        self._weights, self._means, self._variances = map(np.array, (state.weights, state.means, state.variances))
        if not isinstance(state.squares, UnsetType):
            self._squares = np.array(state.squares)


def _exact_sum(first: float, others: Numbers) -> float:
    # fsum, because how NumPy adds depends on the machine; whatever it does by element has one result everywhere.
    return fsum([first, *others.tolist()])

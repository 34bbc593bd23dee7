"""Hop 5: features to a probability and its exact reasons.

A scorer is linear in the logit, so that a reason is no estimate: `logit = intercept + sum(contributions)`, where a
feature's contribution is its slope times its distance from the usual value.  The cold-start scorecard and a learned
model version become the same `Scorer`; nothing here knows how to learn.
"""

from dataclasses import dataclass
from typing import Final

from mypy_extensions import mypyc_attr

from streams.core.scoring.exact_math import exp, expm1, log1p

LOGIT_MAX: Final = 700.0
LOSS_FLOOR: Final = 1e-15
"""The least likelihood of an outcome, and so the bound on its log loss, wherever a loss is computed."""


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class Scorer:
    """A linear scorer over the feature table: `slopes` in logit per unit, `usual` what contributes nothing.

    Its probability is `probability(logit, periods)`.
    """

    version: Final[str]
    intercept: Final[float]
    slopes: Final[tuple[float, ...]]
    usual: Final[tuple[float, ...]]
    bias: Final[float]
    periods: Final[float]

    def __init__(  # noqa: PLR0917 - all that a scorer is
        self,
        version: str,
        intercept: float,
        slopes: tuple[float, ...],
        usual: tuple[float, ...],
        bias: float,
        periods: float = 1.0,
    ) -> None:
        self.version = version
        self.intercept = intercept
        self.slopes = slopes
        self.usual = usual
        self.bias = bias
        self.periods = periods

    def logit(self, features: tuple[float, ...]) -> float:
        """Return the log-odds of leaving for features in the table's order."""
        total = 0.0
        for i, slope in enumerate(self.slopes):
            total += slope * features[i]
        return self.bias + total

    def contributions(self, features: tuple[float, ...]) -> tuple[float, ...]:
        """Return each feature's share: with the intercept they add up to the logit within 1e-12."""
        return tuple([slope * (features[i] - self.usual[i]) for i, slope in enumerate(self.slopes)])


def probability(logit: float, periods: float = 1.0) -> float:
    """Return the probability of a logit, without overflow; over several periods, that it happens in one of them.

    >>> probability(0.0), probability(-1e9), probability(0.0, 2.0)
    (0.5, 0.0, 0.75)
    """
    if periods != 1.0:
        return -expm1(-periods * (max(logit, 0.0) + log1p(exp(-abs(logit)))))
    if logit < -LOGIT_MAX:
        return 0.0
    return 1.0 / (1.0 + exp(-logit))

"""Gradient boosting (LightGBM) as a contender: trained once, or every four weeks on a rolling window.

It has the same features, and labels whose horizon has closed: with early ones the end of its window would hold leavers
alone.  LightGBM is an extra; without it the contender says so and does not take part.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import numpy as np
from msgspec import Struct

from streams.core.state import DAY_MS
from streams.runners.contenders import Forecasts, Group, MissingError, by_scorecard
from streams.runners.contest_course import Course, Lesson, periods

ROUNDS: Final = 150
REFIT_MS: Final = 28 * DAY_MS
WINDOW_MS: Final = 180 * DAY_MS
POSITIVES_MIN: Final = 100
"""With fewer leavers boosting has nothing to split on; the scorecard serves until then."""
PARAMETERS: Final[dict[str, Any]] = {
    "objective": "binary", "learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 50, "feature_fraction": 0.5,
    "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 5.0, "max_bin": 127, "verbose": -1, "num_threads": 1,
    "seed": 1, "deterministic": True,
}  # fmt: skip


class Boosted(Struct, frozen=True, kw_only=True):
    """Boosting from the first labels that suffice, and again every four weeks if `refits`."""

    name: str
    what: str
    refits: bool
    positives_min: int = POSITIVES_MIN
    group: Group = "baseline"
    ranks_only: bool = False

    def forecast(self, course: Course) -> Forecasts:
        """Fit at the weekly dates at which it is time to, and forecast until the next fit."""
        lightgbm = _lightgbm()
        model: Any = None
        known, values = list[Lesson](), list[float]()
        fitted_ms, versions, first_ms = 0, 0, None
        for period in periods(course, matured=True):
            known.extend(period.lessons)
            if model is None or (self.refits and period.at_ms - fitted_ms >= REFIT_MS):
                window = [one for one in known if one.example.snapshot_at_ms > period.at_ms - WINDOW_MS]
                if sum(one.example.label for one in window) >= self.positives_min:
                    model, fitted_ms, versions = _fitted(lightgbm, window), period.at_ms, versions + 1
                    first_ms = first_ms or period.at_ms
            asked = [course.judged[place] for place in period.snapshots]
            if model is None:
                values.extend(by_scorecard(course, example) for example in asked)
            elif asked:
                values.extend(np.asarray(model.predict(np.array([e.features for e in asked]))).tolist())
        return Forecasts(tuple(values), versions, first_ms)


def _lightgbm() -> Any:  # noqa: ANN401 - a module that may be missing
    try:
        return import_module("lightgbm")
    except ImportError:
        raise MissingError("LightGBM is not installed: pip install 'forewarn[boost]'") from None


def _fitted(lightgbm: Any, window: Sequence[Lesson]) -> Any:  # noqa: ANN401 - as above
    features = np.array([lesson.example.features for lesson in window])
    label = np.array([lesson.example.label for lesson in window], dtype=np.float64)
    return lightgbm.train(PARAMETERS, lightgbm.Dataset(features, label), ROUNDS)


BOOSTED: Final = (
    Boosted(name="boosting_once", what="LightGBM, trained once on the first labels that suffice", refits=False),
    Boosted(name="boosting_monthly", what="LightGBM, trained anew every four weeks on 180 days of labels", refits=True),
)

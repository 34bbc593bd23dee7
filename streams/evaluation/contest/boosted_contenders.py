"""Gradient boosting (LightGBM) as a contender: trained once, or every four weeks on a rolling window.

It has the same features, and labels whose horizon has closed: with early ones the end of its window would hold leavers
alone.  LightGBM is an extra; without it the contender says so and does not take part.  Its settings are those of the
trainer's own yardstick (`boosting`), which keeps a bounded number of examples; this one has them all.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from msgspec import Struct

from streams.evaluation.contest.contenders import ContenderGroup, Forecasts, MissingContenderError, by_scorecard
from streams.evaluation.contest.course import Course, Lesson, periods
from streams.learning.models.boosting import POSITIVES_MIN, REFIT_MS, WINDOW_MS, fit_trees, lightgbm
from streams.learning.models.linear import TrainerError


class BoostingContender(Struct, frozen=True, kw_only=True):
    """Boosting from the first labels that suffice, and again every four weeks if `refits`."""

    name: str
    what: str
    refits: bool
    positives_min: int = POSITIVES_MIN
    group: ContenderGroup = "baseline"
    ranks_only: bool = False

    def forecast(self, course: Course) -> Forecasts:
        """Fit at the weekly dates at which it is time to, and forecast until the next fit."""
        try:
            module = lightgbm()
        except TrainerError as error:
            raise MissingContenderError(str(error)) from error
        model: Any = None
        known, values = list[Lesson](), list[float]()
        fitted_ms, versions, first_ms = 0, 0, None
        for period in periods(course, matured=True):
            known.extend(period.lessons)
            if model is None or (self.refits and period.at_ms - fitted_ms >= REFIT_MS):
                window = [one for one in known if one.example.snapshot_at_ms > period.at_ms - WINDOW_MS]
                if sum(one.example.label for one in window) >= self.positives_min:
                    model, fitted_ms, versions = _fit(module, window), period.at_ms, versions + 1
                    first_ms = first_ms or period.at_ms
            asked = [course.judged[place] for place in period.snapshots]
            if model is None:
                values.extend(by_scorecard(course, example) for example in asked)
            elif asked:
                values.extend(np.asarray(model.predict(np.array([e.features for e in asked]))).tolist())
        return Forecasts(tuple(values), versions, first_ms)


def _fit(module: Any, window: Sequence[Lesson]) -> Any:  # noqa: ANN401 - of a module that may be missing
    features = np.array([lesson.example.features for lesson in window])
    label = np.array([lesson.example.label for lesson in window], dtype=np.float64)
    return fit_trees(module, features, label)


BOOSTED: Final = (
    BoostingContender(
        name="boosting_once", what="LightGBM, trained once on the first labels that suffice", refits=False
    ),
    BoostingContender(
        name="boosting_monthly", what="LightGBM, trained anew every four weeks on 180 days of labels", refits=True
    ),
)

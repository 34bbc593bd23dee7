"""River's own models as contenders: as the library ships them, with the same labels at the same times.

They learn every label, without sampling, warm start or bounded step, and what they know at the weekly dates of
publication forecasts until the next one.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from river import forest, linear_model, preprocessing

from streams.core.scoring.features import NAMES
from streams.evaluation.contest.contenders import ContenderGroup, Features, Forecasts, by_scorecard
from streams.evaluation.contest.course import Course, periods

TREES: Final = 10
SEED: Final = 7


def _defaults() -> Any:  # noqa: ANN401 - River's pipelines carry no types
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def _forest() -> Any:  # noqa: ANN401 - as above
    return forest.ARFClassifier(n_models=TREES, seed=SEED)


class RiverContender(Struct, frozen=True, kw_only=True):
    """A model of River, made anew for each contest."""

    name: str
    what: str
    make: Callable[[], Any]
    group: ContenderGroup = "baseline"
    ranks_only: bool = False

    def forecast(self, course: Course) -> Forecasts:
        """Learn and forecast week by week; the scorecard serves until enough leavers were learned."""
        model, values, positives, versions, first_ms = self.make(), list[float](), 0, 0, None
        for period in periods(course, matured=False):
            for lesson in period.lessons:
                model.learn_one(_by_name(lesson.example.features), lesson.example.label)
                positives += lesson.example.label
            serves = positives >= course.settings.positives_min
            if serves and period.lessons:
                versions += 1
                first_ms = first_ms or period.at_ms
            for place in period.snapshots:
                example = course.judged[place]
                values.append(
                    _leaving_probability(model, example.features) if serves else by_scorecard(course, example)
                )
        return Forecasts(tuple(values), versions, first_ms)


def _by_name(features: Features) -> dict[str, float]:
    return dict(zip(NAMES, features, strict=True))


def _leaving_probability(model: Any, features: Features) -> float:  # noqa: ANN401 - as above
    # Trees that have met no leaver answer with a dictionary that has no True in it.
    return float(model.predict_proba_one(_by_name(features)).get(True, 0.0))


RIVER: Final = (
    RiverContender(
        name="river_logistic", what="River's scaler and logistic regression with their defaults", make=_defaults
    ),
    RiverContender(name="river_forest", what="River's adaptive random forest, 10 trees", make=_forest),
)

"""Makes a new model by the name of its recipe."""

from typing import assert_never

from streams.core.alerts.policy import Learner
from streams.learning.exposure import FeatureExposure
from streams.learning.models.dynamic import DynamicModel
from streams.learning.models.linear import Model, OnlineModel, PlainModel
from streams.learning.queue import TrainerSettings


def new_model(
    learner: Learner,
    settings: TrainerSettings,
    features: tuple[str, ...],
    periods: float,
    exposure: FeatureExposure | None = None,
) -> Model:
    """Return a model of a recipe that has learned nothing; `periods` are how many a hazard's horizon has.

    Its scales have the floors of an exposure, which sees each example before the model does.

    Raises:
        TrainerError: the settings name what is no feature.
    """
    match learner:
        case "steady":
            return OnlineModel(settings, features, exposure)
        case "adagrad":
            return PlainModel(settings, features, exposure, shortens=True)
        case "hazard":
            return PlainModel(settings, features, exposure, periods=periods)
        case "dynamic":
            return DynamicModel(settings, features, exposure)
        case _:
            assert_never(learner)

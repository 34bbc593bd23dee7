"""Makes a new model by the name of its recipe."""

from typing import assert_never

from streams.core.alerts.policy import Learner
from streams.learning.models.dynamic import DynamicModel
from streams.learning.models.linear import Model, OnlineModel, PlainModel
from streams.learning.queue import TrainerSettings


def new_model(learner: Learner, settings: TrainerSettings, features: tuple[str, ...], periods: float) -> Model:
    """Return a model of a recipe that has learned nothing; `periods` are how many a hazard's horizon has.

    Raises:
        TrainerError: the settings name what is no feature.
    """
    match learner:
        case "steady":
            return OnlineModel(settings, features)
        case "adagrad":
            return PlainModel(settings, features, shortens=True)
        case "hazard":
            return PlainModel(settings, features, periods=periods)
        case "dynamic":
            return DynamicModel(settings, features)
        case _:
            assert_never(learner)

"""Who takes part in a contest: the champion and its variants, which are trained as in a run, and rules from a feature.

A variant is the run's own trainer with other settings, or with features held at their usual values, so that they tell
nothing.  What the others are is in `river_contenders.py` and `boosted_contenders.py`.
"""

from collections.abc import Mapping, Sequence
from math import exp
from typing import Any, Final, Literal, Protocol

import msgspec
from msgspec import Struct

from streams.core.contracts.effects import LabelledExample
from streams.core.scoring.features import FEATURE_TABLE, NAMES, THEME_OF
from streams.core.scoring.models import ModelVersion, scorer_from
from streams.core.scoring.scorer import probability
from streams.evaluation.contest.course import EXPLICIT, Course
from streams.learning.lineup import LineupSettings
from streams.learning.trainer import Trainer

ContenderGroup = Literal["champion", "record", "challenger", "ablation", "rule", "baseline"]
Features = tuple[float, ...]

CROSSES: Final = (
    "complaint_open_and_drops",
    "complaint_overdue_and_drops",
    "contract_ending_and_drops",
    "contract_ending_and_usage_fall",
    "failed_top_up_and_overdue",
    "overdue_and_usage_fall",
    "competitor_offer_and_contract_ending",
    "competitor_offer_and_overdue",
    "school_out_and_usage_fall",
    "usage_surprise_and_prepaid",
    "voice_trend_and_youth",
    "data_over_habit_and_youth",
)
"""Features that are the product of two others, or of one and a condition."""
DROPS: Final = tuple(name for name in NAMES if name.startswith("drop") or name.endswith("_and_drops"))
COMPLAINTS: Final = tuple(name for name in NAMES if THEME_OF[name] == "complaints")


class MissingContenderError(Exception):
    """A contender cannot take part; the text says why, and what to install."""


class Forecasts(Struct, frozen=True):
    """What a contender would have served for each judged snapshot, in their order, and how many versions it made."""

    values: tuple[float, ...]
    versions: int
    first_ms: int | None = None


class Contender(Protocol):
    """One who is judged: what it is called and is, and what it would have served."""

    @property
    def name(self) -> str:
        """What it is called, in small letters."""

    @property
    def what(self) -> str:
        """What it is, in half a sentence."""

    @property
    def group(self) -> ContenderGroup:
        """What it is there for."""

    @property
    def ranks_only(self) -> bool:
        """Whether what it serves is an order and no probability."""

    def forecast(self, course: Course) -> Forecasts:
        """Return what it would have served at each judged snapshot; raises `MissingContenderError` if it cannot."""


class LinearContender(Struct, frozen=True, kw_only=True):
    """The run's own trainer with some settings changed, and some features held at their usual values."""

    name: str
    what: str
    group: ContenderGroup
    settings: Mapping[str, Any] = {}
    without: tuple[str, ...] = ()
    ranks_only: bool = False

    def forecast(self, course: Course) -> Forecasts:
        """Train as a run does, and forecast each snapshot with the version that was in force then."""
        settings = msgspec.convert(msgspec.to_builtins(course.settings) | self.settings, type(course.settings))
        # Alone, without the run's own challengers; the horizon is what a hazard's period is a part of.
        alone = LineupSettings(challengers=(), horizon_days=course.policy.label.horizon_days)
        trainer = Trainer(settings, NAMES, FEATURE_TABLE, alone if settings.learner == "hazard" else None)
        served = train_versions(trainer, course, self._constant_features(course))
        values = forecasts_in_force(served, course, self._constant_features(course))
        return Forecasts(values, len(served), served[0].published_at_ms if served else None)

    def _constant_features(self, course: Course) -> dict[int, float]:
        usual = course.scorecard.usual
        return {NAMES.index(name): usual[NAMES.index(name)] for name in self.without}


class RecordedContender(Struct, frozen=True, kw_only=True):
    """What the run itself served, as it stands in the examples: the champion's forecasts should be like it.

    They differ where the run learned later than it could have: it notices that a quiet subscriber's horizon has closed
    at that subscriber's next turn, which the examples do not tell.
    """

    name: str = "served"
    what: str = "what the run itself served"
    group: ContenderGroup = "record"
    ranks_only: bool = False

    def forecast(self, course: Course) -> Forecasts:
        """Return the recorded probabilities."""
        return Forecasts(tuple(example.probability for example in course.judged), 0)


class FeatureContender(Struct, frozen=True, kw_only=True):
    """One feature as the whole opinion: the larger it is, the sooner the subscriber leaves."""

    name: str
    what: str
    feature: str
    group: ContenderGroup = "rule"
    ranks_only: bool = True

    def forecast(self, course: Course) -> Forecasts:
        """Return the feature squeezed into 0 to 1 (1 - exp(-x)), which keeps the order."""
        place = NAMES.index(self.feature)
        return Forecasts(tuple(1.0 - exp(-max(e.features[place], 0.0)) for e in course.judged), 0)


def fix_features(features: Features, values: Mapping[int, float]) -> Features:
    """Return the features with some of them at fixed values, by place.

    >>> fix_features((1.0, 2.0), {1: 0.5})
    (1.0, 0.5)
    """
    if not values:
        return features
    changed = list(features)
    for place, value in values.items():
        changed[place] = value
    return tuple(changed)


def train_versions(trainer: Trainer, course: Course, fixed: Mapping[int, float]) -> list[ModelVersion]:
    """Return the versions that a trainer publishes if it gets each example when it was settled, as a run gives them."""
    versions: list[ModelVersion] = []
    for at_ms, example in course.settled:
        # Who wakes when something is due wakes before it, and an event comes after it.
        past_ms = at_ms if example.kind in EXPLICIT else at_ms - 1
        while trainer.next_due_ms <= past_ms:
            versions += trainer.advance(trainer.next_due_ms)
        shown = msgspec.structs.replace(example, features=fix_features(example.features, fixed)) if fixed else example
        trainer.receive(shown, past_ms)
    while trainer.next_due_ms <= course.end_ms:
        versions += trainer.advance(trainer.next_due_ms)
    return versions


def forecasts_in_force(
    versions: Sequence[ModelVersion], course: Course, fixed: Mapping[int, float]
) -> tuple[float, ...]:
    """Return each judged snapshot's probability by the last version dated before it; the scorecard's before any."""
    scorer, newer = course.scorecard, list(reversed(versions))
    found = []
    for example in course.judged:
        while newer and newer[-1].published_at_ms < example.snapshot_at_ms:
            scorer = scorer_from(newer.pop())
        found.append(probability(scorer.logit(fix_features(example.features, fixed)), scorer.periods))
    return tuple(found)


def by_scorecard(course: Course, example: LabelledExample) -> float:
    """Return what the scorecard gives for a snapshot: it serves wherever nothing was learned yet."""
    return probability(course.scorecard.logit(example.features))


CHAMPION: Final = LinearContender(name="champion", what="the policy's own settings", group="champion")

LINEAR: Final = (
    CHAMPION,
    LinearContender(
        name="steady", what="a constant step for each weight (stochastic gradient descent)", group="challenger",
        settings={"learner": "steady"},
    ),
    LinearContender(
        name="adagrad", what="a step for each weight that shrinks with use (AdaGrad)", group="challenger",
        settings={"learner": "adagrad"},
    ),
    LinearContender(
        name="hazard", what="leaving within a week, carried on to the horizon", group="challenger",
        settings={"learner": "hazard"},
    ),
    LinearContender(name="without_drops", what="no feature of dropped calls", group="ablation", without=DROPS),
    LinearContender(name="without_complaints", what="no feature of complaints", group="ablation", without=COMPLAINTS),
    LinearContender(
        name="without_crosses", what="no feature that is a product of two", group="ablation", without=CROSSES
    ),
    LinearContender(
        name="labels_at_close", what="every label learned when its horizon has closed, none before", group="ablation",
        settings={"learn_at": "close", "takes_provisional": False},
    ),
    LinearContender(
        name="labels_when_knowable", what="every label learned as soon as it is certain", group="ablation",
        settings={"learn_at": "knowable"},
    ),
    LinearContender(
        name="early_leavers", what="explicit leaving learned at once, all else when the horizon has closed",
        group="ablation", settings={"learn_at": {"port_out": "knowable", "termination": "knowable"}},
    ),
    LinearContender(
        name="sampled", what="a fifth of those who stayed is learned from", group="ablation",
        settings={"keep_negatives": 0.2},
    ),
)  # fmt: skip

RULES: Final = (
    FeatureContender(name="days_since_top_up", what="days since the last top-up", feature="top_up_silence"),
    FeatureContender(name="days_since_activity", what="days since the last activity", feature="usage_silence"),
    FeatureContender(
        name="top_up_overdue", what="days since the last top-up over the own usual gap", feature="top_up_overdue"
    ),
)

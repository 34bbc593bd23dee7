"""What an operator decides: when to score, what leaving means, when to warn, what to do about it.

A policy is one frozen value; every field has a default in `streams/defaults/policy.toml`, which
explains it.  Its version is the hash of its content, so two runs with one version decided alike.
"""

from hashlib import blake2b
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from streams.core.contracts.effects import ChurnKind, LabelKind, RiskBand, Stage, ValueBand
from streams.core.contracts.outputs import Probability
from streams.core.scoring.features import THEMES
from streams.core.subscriber.state import RARE_DAYS
from streams.core.times import DAY_MS, HOUR_MS

Days = Annotated[int, Meta(ge=1, le=3650)]
Hours = Annotated[int, Meta(ge=0, le=8760)]
LeastAmount = Annotated[int, Meta(ge=0)]
LearnAt = Literal["close", "knowable"]
Learner = Literal["steady", "adagrad", "hazard", "dynamic"]
PlayName = ChurnKind | Literal["requested", "lapsed"]
"""Alerts at risk have the play of their kind, the others that of their stage."""
YARDSTICK: Final = "boosting"
"""Boosted trees: judged beside the lines, never served."""


class TimePolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Event time: how late an event may be and still count."""

    lateness_days: Annotated[int, Meta(ge=0, le=30)]


class LabelPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The definition of leaving within `horizon_days` of a snapshot, and when a label is learned.

    `explicit`, `inactivity` and `value_loss` say which ways of leaving count.  `learn_at` is one time for all labels,
    or one by kind (those that are not named: at the close).  `surrogate_days` after a snapshot its first days are
    learned from already, and corrected at the close; 0 does not.  With `looks_ahead` nobody is a leaver who
    had been silent for `silent_days` at the snapshot, and was not seen again.
    """

    horizon_days: Days
    explicit: bool
    inactivity: bool
    value_loss: bool = False
    learn_at: LearnAt | dict[LabelKind, LearnAt]
    surrogate_days: Annotated[int, Meta(ge=0, le=3650)] = 0
    looks_ahead: bool = False
    silent_days: Annotated[int, Meta(ge=1, le=3650)] = 3

    @property
    def off(self) -> frozenset[str]:
        """The ways of leaving that do not count."""
        ways = {"explicit": self.explicit, "inactivity": self.inactivity, "value_loss": self.value_loss}
        return frozenset(name for name, counts in ways.items() if not counts)


class HoldoutPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The share of subscribers, drawn by their ids, of whom nobody is notified: they show what retention gains."""

    share: Annotated[float, Meta(ge=0.0, le=0.5)] = 0.0


NOBODY: Final = HoldoutPolicy()


class StagePolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What is told apart from being at risk; a policy of before there were stages tells nothing apart.

    A request to leave stands for `requested_for_days` unless it is answered or taken back; 0: requests are not told.
    Somebody has lapsed whose line was silent for more than `lapsed_after_days` and for more than `lapsed_gap_factor`
    times the own usual gap; 0 days: nobody has.
    """

    requested_for_days: Annotated[int, Meta(ge=0, le=3650)] = 0
    lapsed_after_days: Annotated[int, Meta(ge=0, le=3650)] = 0
    lapsed_gap_factor: Annotated[float, Meta(ge=1.0, le=100.0)] = 3.0


NO_STAGES: Final = StagePolicy()
_PLAYS_OF_STAGES: Final = frozenset({"requested", "lapsed"})


class SnapshotPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a score becomes a training example: every so often, while there was revenue in the last `active_days`."""

    after_days: Annotated[int, Meta(ge=0, le=365)]
    every_days: Days
    active_days: Days
    dormant_days: Days


class ScoringPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often a subscriber is scored, and at which hour (UTC) of the day."""

    every_hours: Annotated[int, Meta(ge=24, le=8760)]
    quiet_every_hours: Annotated[int, Meta(ge=24, le=8760)]
    quiet_below: Probability
    at_hour: Annotated[int, Meta(ge=0, le=23)]


class ValueBands(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What separates the value bands: revenue of 30 days in minor units."""

    mid_from_minor: LeastAmount
    high_from_minor: LeastAmount


class AlertRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When to warn, for one value band: thresholds, hold and clear times, and the pause after an episode."""

    open_at: Probability
    close_at: Probability
    hold_hours: Hours
    clear_hours: Hours
    cool_down_days: Annotated[int, Meta(ge=0, le=365)]


class AlertRules(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule for each value band."""

    low: AlertRule
    mid: AlertRule
    high: AlertRule


class RiskBands(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the risk bands begin; below `medium_from` the risk is low."""

    medium_from: Probability
    high_from: Probability
    critical_from: Probability


class Play(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to do about one kind of churn or one stage, and how soon: by the risk band's number of hours."""

    action: Annotated[str, Meta(min_length=1, max_length=200)]
    due_hours: dict[Literal["low", "medium", "high", "critical"], Annotated[int, Meta(ge=1, le=8760)]]


class TrainingPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How the model learns: recipe, step, sampling of negatives, base rate, when a version is published.

    `challengers` are recipes that learn beside it, and the `YARDSTICK` may be among them; `promotion` says who lets a
    recipe serve: a person, or the trainer.
    """

    learner: Learner = "steady"
    challengers: tuple[Learner | Literal["boosting"], ...] = ()
    promotion: Literal["manual", "automatic"] = "manual"
    step: Annotated[float, Meta(gt=0.0, le=1.0)]
    keep_negatives: Annotated[float, Meta(gt=0.0, le=1.0)]
    base_rate: Annotated[float, Meta(gt=0.0, lt=1.0)]
    publish_every_days: Days
    positives_min: Annotated[int, Meta(ge=1)]


class Policy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that may be decided without touching the code."""

    time: TimePolicy
    label: LabelPolicy
    snapshots: SnapshotPolicy
    scoring: ScoringPolicy
    value: ValueBands
    alerting: AlertRules
    risk: RiskBands
    training: TrainingPolicy
    holdout: HoldoutPolicy = NOBODY
    stage: StagePolicy = NO_STAGES
    kinds: dict[str, ChurnKind]
    plays: dict[PlayName, Play]
    version: str = ""

    @property
    def lateness_ms(self) -> int:
        """The lateness horizon in milliseconds."""
        return self.time.lateness_days * DAY_MS

    @property
    def longest_wait_ms(self) -> int:
        """The longest time (ms) between two scores of a subscriber: so late may a closed horizon be noticed."""
        return max(self.scoring.every_hours, self.scoring.quiet_every_hours) * HOUR_MS

    def rule(self, band: ValueBand) -> AlertRule:
        """Return the alerting rule of a value band."""
        if band == "high":
            return self.alerting.high
        return self.alerting.mid if band == "mid" else self.alerting.low

    def play(self, kind: ChurnKind, stage: Stage) -> Play:
        """Return what to do about an alert: the play of its stage, and where there is none, that of its kind."""
        at_risk = self.plays[kind]
        return at_risk if stage == "at_risk" else self.plays.get(stage, at_risk)

    def value_band(self, revenue_minor: float) -> ValueBand:
        """Return the value band of a 30-day revenue in minor units."""
        if revenue_minor >= self.value.high_from_minor:
            return "high"
        return "mid" if revenue_minor >= self.value.mid_from_minor else "low"

    def risk_band(self, probability: float) -> RiskBand:
        """Return the risk band of a probability."""
        if probability >= self.risk.critical_from:
            return "critical"
        if probability >= self.risk.high_from:
            return "high"
        return "medium" if probability >= self.risk.medium_from else "low"


class PolicyError(ValueError):
    """A policy cannot be used; the text names the field and what it should be."""


def policy_from_layers(*trees: dict[str, Any]) -> Policy:
    """Return the policy of nested mappings, each laid over the one before.

    Raises:
        PolicyError: a field is missing, unknown or out of range, or two of them contradict each other.
    """
    tree: dict[str, Any] = {}
    for overlay in trees:
        tree = _merge(tree, overlay)
    return policy_from(tree)


def policy_from(tree: dict[str, Any]) -> Policy:
    """Return the policy of a nested mapping, checked, with its version filled in.

    Raises:
        PolicyError: a field is missing, unknown or out of range, or two of them contradict each other.
    """
    content = {name: value for name, value in tree.items() if name != "version"}
    try:
        policy = msgspec.convert(content, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(f"the policy cannot be used: {error}") from error
    problem = _contradiction(policy)
    if problem:
        raise PolicyError(f"the policy contradicts itself: {problem}")
    decided = msgspec.to_builtins(policy)
    # Without what there was not before and decides nothing, so that what was published then has its version still.
    if policy.holdout == NOBODY:
        del decided["holdout"]
    if policy.stage == NO_STAGES:
        del decided["stage"]
        for name in _PLAYS_OF_STAGES & decided["plays"].keys():
            del decided["plays"][name]
    canonical = msgspec.json.encode(decided, order="sorted")
    return msgspec.structs.replace(policy, version="policy-" + blake2b(canonical, digest_size=4).hexdigest())


def _contradiction(policy: Policy) -> str | None:
    for band, rule in (("low", policy.alerting.low), ("mid", policy.alerting.mid), ("high", policy.alerting.high)):
        if rule.close_at >= rule.open_at:
            return f"alerting.{band}.close_at must be below alerting.{band}.open_at"
    if not policy.risk.medium_from < policy.risk.high_from < policy.risk.critical_from:
        return "risk.medium_from, high_from and critical_from must rise"
    if policy.value.mid_from_minor >= policy.value.high_from_minor:
        return "value.mid_from_minor must be below value.high_from_minor"
    if policy.training.learner in policy.training.challengers:
        return f"training.challengers names {policy.training.learner!r}, which is training.learner"
    label = policy.label
    if not (label.explicit or label.inactivity or label.value_loss):
        return "label.explicit, label.inactivity and label.value_loss cannot all be off"
    if label.surrogate_days >= label.horizon_days:
        return "label.surrogate_days must be below label.horizon_days"
    if policy.time.lateness_days > RARE_DAYS - 60:
        return f"time.lateness_days may be {RARE_DAYS - 60} at most"
    themes = [theme.name for theme in THEMES]
    unnamed = [name for name in themes if name not in policy.kinds]
    if unnamed:
        return f"kinds.{unnamed[0]} is missing"
    unknown = sorted(set(policy.kinds) - set(themes))
    if unknown:
        return f"kinds.{unknown[0]} is no theme; the themes are {', '.join(themes)}"
    return _unplayed(policy)


def _unplayed(policy: Policy) -> str | None:
    for name, play in sorted(policy.plays.items()):
        undated = [band for band in get_args(RiskBand) if band not in play.due_hours]
        if undated:
            return f"plays.{name}.due_hours.{undated[0]} is missing"
    wanted: set[PlayName] = set(policy.kinds.values())
    if policy.stage.requested_for_days:
        wanted.add("requested")
    if policy.stage.lapsed_after_days:
        wanted.add("lapsed")
    missing = sorted(wanted - set(policy.plays))
    return f"plays.{missing[0]} is missing" if missing else None


def _merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in overlay.items():
        below = merged.get(name)
        merged[name] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged

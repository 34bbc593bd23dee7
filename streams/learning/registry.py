"""The model registry: all versions that there are, which of them serves, and the promotions that a person makes."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from streams.core.alerts.policy import YARDSTICK
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.scoring.models import ModelVersion, scorer_from
from streams.core.scoring.promotions import (
    CHAMPION,
    Promotion,
    line_of,
    promoted_last,
    serving_periods,
    with_promotion_hash,
)
from streams.core.scoring.scorer import Scorer
from streams.learning.judging.verdicts import LineupStatus
from streams.shared.errors import InputError

WITNESSES: Final = {
    "recency": "is a ranking rule, which gives no probability",
    "quiet": "is a ranking rule, which gives no probability",
    YARDSTICK: "is a yardstick, which is judged and publishes no version",
}
"""What is judged beside the lines and can never serve, and why."""


class FeatureWeight(Struct, frozen=True):
    """What a feature weighs, in logit per standard deviation: in a version, and in the reviewed scorecard."""

    feature: str
    weight: float
    mean: float
    scale: float
    scorecard: float


class VersionDifference(Struct, frozen=True):
    """A number that differs between two versions; None where one of them has none."""

    name: str
    before: float | None
    after: float | None


class ModelRegistry(Struct, frozen=True, kw_only=True):
    """The versions by line and number, the promotions in their order, and the event time (ms) that is looked from."""

    versions: list[ModelVersion]
    promotions: list[Promotion]
    at_ms: int
    standing: LineupStatus = LineupStatus()

    @property
    def usable_versions(self) -> list[ModelVersion]:
        """The versions that were learned on the features that this program computes."""
        return [version for version in self.versions if version.feature_table == FEATURE_TABLE]

    @property
    def served_versions(self) -> list[tuple[int, ModelVersion]]:
        """What has served up to now, each with the event time (ms) from which it did."""
        dated = [(version.published_at_ms, version.served_as, version) for version in self.usable_versions]
        return [
            (from_ms, version) for from_ms, version in serving_periods(dated, self.promotions) if from_ms <= self.at_ms
        ]

    @property
    def serving_name(self) -> str | None:
        """The name of the version that serves now, None if none does."""
        served = self.served_versions
        return served[-1][1].served_as if served else None

    @property
    def promoted_name(self) -> str:
        """The line or the version that serves by the promotions up to now."""
        dated = [promotion for promotion in sorted(self.promotions, key=_at_ms) if promotion.at_ms <= self.at_ms]
        return promoted_last((version.served_as for version in self.usable_versions), dated)

    @property
    def lines(self) -> list[str]:
        """The names of all lines."""
        return list(dict.fromkeys(version.name for version in self.versions))


def find(registry: ModelRegistry, wanted: str) -> ModelVersion:
    """Return the version of a name, as scores have it or without its hash, or by the beginning of its hash.

    The name of a line is its newest version.

    Raises:
        InputError: there is no such version, or more than one.
    """
    if wanted in registry.lines:
        return [version for version in registry.versions if version.name == wanted][-1]
    found = [
        version
        for version in registry.versions
        if wanted in {version.served_as, f"{version.name}-{version.version}"}
        or (len(wanted) >= 6 and version.hash.startswith(wanted))
    ]
    if len(found) == 1:
        return found[0]
    if not registry.versions:
        raise InputError("no model version was published yet", hint="the scorecard serves until one is")
    last = ", ".join(_last_of(registry))
    raise InputError(f"{len(found) or 'no'} model versions are called {wanted!r}", hint=f"the newest are {last}")


def promotion_to(registry: ModelRegistry, wanted: str, at_ms: int) -> Promotion:
    """Return the promotion by which a line, or one version of it, serves from an event time (ms) on.

    Raises:
        InputError: there is no such line or version, it cannot serve here, or it serves already.
    """
    if wanted in WITNESSES:
        raise InputError(f"{wanted} {WITNESSES[wanted]}", hint=_choice(registry))
    version = find(registry, wanted)
    to = wanted if wanted in registry.lines else version.served_as
    if version.feature_table != FEATURE_TABLE:
        raise InputError(f"{to} was learned on {version.feature_table}, and this program computes {FEATURE_TABLE}")
    if to == registry.promoted_name:
        raise InputError(f"{to} serves already", hint=_choice(registry))
    return _new_promotion(
        registry, to, at_ms, {"serving": registry.serving_name or "scorecard", "newest": version.served_as}
    )


def rollback(registry: ModelRegistry, at_ms: int) -> Promotion:
    """Return the promotion that undoes the last one; if there was none, the one that pins the version before.

    Raises:
        InputError: nothing served before.
    """
    past = [promotion for promotion in registry.promotions if promotion.at_ms <= registry.at_ms]
    served = registry.served_versions
    if past and past[-1].before != registry.promoted_name:
        to = past[-1].before
    elif len(served) > 1:
        to = served[-2][1].served_as
    else:
        raise InputError("nothing served before that one could go back to", hint=_choice(registry))
    return _new_promotion(registry, to, at_ms, {"serving": registry.serving_name or "scorecard", "why": "rollback"})


def weights(version: ModelVersion, scorecard: Scorer) -> list[FeatureWeight]:
    """Return a version's weights beside the scorecard's, the heaviest first."""
    rows = [
        FeatureWeight(name, weight, mean, scale, slope * scale)
        for name, weight, mean, scale, slope in zip(
            version.features, version.weights, version.means, version.scales, scorecard.slopes, strict=True
        )
    ]
    return sorted(rows, key=lambda row: (-abs(row.weight), row.feature))


def agreement(version: ModelVersion, scorecard: Scorer) -> tuple[int, int]:
    """Return of how many features that the scorecard weighs a version has the sign, and how many they are.

    A feature that never moved has no say.
    """
    slopes = scorer_from(version).slopes
    both = [(mine, theirs) for mine, theirs in zip(slopes, scorecard.slopes, strict=True) if mine and theirs]
    return sum((mine > 0.0) == (theirs > 0.0) for mine, theirs in both), len(both)


def differences(before: ModelVersion, after: ModelVersion) -> dict[str, list[VersionDifference]]:
    """Return what differs between two versions, by kind of number, the largest first; metrics in their order."""
    parts = {"weights": _by_feature(before, after, "weights"), "scales": _by_feature(before, after, "scales")}
    parts["intercept"] = _differences({"intercept": before.intercept}, {"intercept": after.intercept})
    found = {name: sorted(changes, key=_size) for name, changes in parts.items()}
    return found | {"metrics": _differences(before.metrics, after.metrics)}


def _by_feature(before: ModelVersion, after: ModelVersion, what: str) -> list[VersionDifference]:
    one, other = (dict(zip(v.features, getattr(v, what), strict=True)) for v in (before, after))
    return _differences(one, other)


def _differences(one: dict[str, float], other: dict[str, float]) -> list[VersionDifference]:
    names = dict.fromkeys([*one, *other])
    return [
        VersionDifference(name, one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)
    ]


def _size(change: VersionDifference) -> tuple[float, str]:
    return -abs((change.after or 0.0) - (change.before or 0.0)), change.name


def _new_promotion(registry: ModelRegistry, to: str, at_ms: int, evidence: dict[str, float | str]) -> Promotion:
    latest = registry.standing.decisions
    judged = next((one for one in reversed(latest) if one.challenger == line_of(to)), None)
    if judged is not None:
        evidence |= {"verdict": judged.verdict, "verdict_why": judged.why}
    number = float(len(registry.promotions))
    return with_promotion_hash(
        Promotion(
            at_ms=at_ms, before=registry.promoted_name, to=to, by="operator", evidence=evidence | {"number": number}
        )
    )


def _choice(registry: ModelRegistry) -> str:
    names: Sequence[str] = registry.lines or [CHAMPION]
    return f"the lines are {', '.join(names)}; `forewarn model list` has their versions"


def _last_of(registry: ModelRegistry) -> list[str]:
    newest = {version.name: version.served_as for version in registry.versions}
    return list(newest.values())


def _at_ms(promotion: Promotion) -> int:
    return promotion.at_ms

"""What is published or shipped as plain numbers, and the way from it to a scorer: model versions and the scorecard."""

import tomllib
from collections.abc import Collection
from hashlib import sha256
from math import isfinite
from operator import mul
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from streams.core.scoring.features import FEATURE_TABLE, FEATURES, NAMES
from streams.core.scoring.scorer import Scorer

_UP_TO_ONE: Final = frozenset({"0 or 1", "0..1"})
Finite = Annotated[float, Meta(ge=-1e12, le=1e12)]


class UnusableModelError(ValueError):
    """A model version or a scorecard cannot be served; the text says why."""


class ForeignTableError(UnusableModelError):
    """A model version was learned on another feature table than this program computes."""

    def __init__(self, version: "ModelVersion") -> None:
        super().__init__(
            f"{version.name} version {version.version} was learned on {version.feature_table}, this program computes "
            f"{FEATURE_TABLE}"
        )
        self.version = version


class ModelVersion(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One published version of a linear model, whole and plain: its JSON is all that a scorer needs.

    `contribution_i = weights_i * (x_i - means_i) / scales_i`, and 0 where `scales_i` is 0.  With `periods` the
    logit is that of leaving within one of so many equal periods of the horizon; else it is that of the whole horizon.
    """

    name: str
    version: Annotated[int, Meta(ge=1)]
    parent: int | None
    feature_table: str
    features: tuple[str, ...]
    intercept: Finite
    weights: tuple[Finite, ...]
    means: tuple[Finite, ...]
    scales: tuple[Finite, ...]
    published_at_ms: int
    examples: int
    positives: int
    source_position: int
    metrics: dict[str, float]
    # Unset it is not in the JSON, so that the hashes of versions that know nothing of it hold.
    periods: Annotated[float, Meta(gt=0.0, le=1000.0)] | UnsetType = UNSET
    hash: str = ""

    @property
    def served_as(self) -> str:
        """The name that is written into every score made with this version."""
        return f"{self.name}-{self.version}-{self.hash[:8]}"


def version_hash(version: ModelVersion) -> str:
    """Return the SHA-256 of the version's canonical JSON without its hash."""
    return sha256(msgspec.json.encode(msgspec.structs.replace(version, hash=""), order="sorted")).hexdigest()


def with_version_hash(version: ModelVersion) -> ModelVersion:
    """Return the version with its content hash filled in."""
    return msgspec.structs.replace(version, hash=version_hash(version))


def read_version(data: bytes) -> ModelVersion:
    """Return the version that the JSON holds.

    Raises:
        UnusableModelError: it is no such JSON, its hash is not that of its content, or its numbers do not fit together.
    """
    try:
        version = msgspec.json.decode(data, type=ModelVersion)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnusableModelError(f"no model version: {error}") from error
    check_version(version)
    return version


def check_version(version: ModelVersion) -> None:
    """Refuse a version that is not whole.

    Raises:
        UnusableModelError: its hash is not that of its content, or its numbers do not fit together.
    """
    if version.hash != version_hash(version):
        raise UnusableModelError(
            f"{version.name} version {version.version} was changed after it was published: its hash differs"
        )
    count = len(version.features)
    if not len(version.weights) == len(version.means) == len(version.scales) == count:
        raise UnusableModelError(
            f"{version.name} version {version.version} has {count} features but other numbers of weights"
        )


def scorer_from(version: ModelVersion) -> Scorer:
    """Return the scorer that serves a model version.

    Raises:
        ForeignTableError: the version was learned on another feature table.
        UnusableModelError: it holds a number that is not finite.
    """
    if version.feature_table != FEATURE_TABLE or version.features != NAMES:
        raise ForeignTableError(version)
    slopes = tuple(w / s if s else 0.0 for w, s in zip(version.weights, version.scales, strict=True))
    periods = 1.0 if isinstance(version.periods, UnsetType) else version.periods
    return _scorer(version.served_as, version.intercept, slopes, version.means, periods)


def _scorer(
    name: str, intercept: float, slopes: tuple[float, ...], usual: tuple[float, ...], periods: float = 1.0
) -> Scorer:
    bias = intercept - sum(map(mul, slopes, usual))
    if not (isfinite(bias) and all(map(isfinite, slopes))):
        raise UnusableModelError(f"{name} holds a number that is not finite")
    return Scorer(name, intercept, slopes, usual, bias, periods)


class ScorecardWeight(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the scorecard: logit per unit of the feature above its usual value, the feature's spread, and why.

    What happens `seldom` is the same for everybody for months, so that its spread is the reviewer's guess.  A feature
    that foretells one `label` only has no weight where that label is switched off.
    """

    feature: str
    weight: Finite
    usual: Finite
    spread: Annotated[float, Meta(gt=0.0, le=1e6)]
    reason: Annotated[str, Meta(min_length=10)]
    seldom: bool = False
    label: Literal["explicit", "inactivity", "value_loss"] | UnsetType = UNSET


class Scorecard(Struct, frozen=True, forbid_unknown_fields=True):
    """The reviewed weights that serve until a model has learned enough.

    `idle` are the features of labels that are switched off: they have no weight, here and in what is learned.
    """

    intercept: Finite
    weights: tuple[ScorecardWeight, ...]
    idle: tuple[str, ...] = ()

    def scorer(self) -> Scorer:
        """Return what serves by the scorecard; its version is a hash of what is weighed.

        Raises:
            UnusableModelError: a number is not finite.
        """
        rows = {weight.feature: weight for weight in self.weights}
        slopes = tuple(rows[name].weight if name in rows else 0.0 for name in NAMES)
        usual = tuple(rows[name].usual if name in rows else 0.0 for name in NAMES)
        # Neither for which label a feature is weighed changes what it weighs, nor what is not weighed.
        weighed = [msgspec.structs.replace(row, label=UNSET) for row in self.weights]
        digest = sha256(msgspec.json.encode({"intercept": self.intercept, "weights": weighed}, order="sorted"))
        return _scorer(f"scorecard-{digest.hexdigest()[:8]}", self.intercept, slopes, usual)

    def slopes(self) -> dict[str, float]:
        """Return the weights by feature, per unit."""
        return {row.feature: row.weight for row in self.weights}

    def least_scales(self, deviations_max: float) -> dict[str, float]:
        """Return the least that a model divides the weighed features by: each one's spread.

        Of a share or a flag no two values shall lie more than `deviations_max` scales apart.
        """
        units = {feature.name: feature.unit for feature in FEATURES}
        return {
            row.feature: max(row.spread, 1.0 / deviations_max if units[row.feature] in _UP_TO_ONE else 0.0)
            for row in self.weights
        }

    def warm_start(self, least_scales: dict[str, float]) -> dict[str, float]:
        """Return where a model begins: weights per scale, which weigh what they do here until a feature has moved."""
        return {row.feature: row.weight * least_scales[row.feature] for row in self.weights}


def read_scorecard(text: str, labels_off: Collection[str] = ()) -> Scorer:
    """Return the scorer of a scorecard in TOML; raises `UnusableModelError` as `read_card` does."""
    return read_card(text, labels_off).scorer()


def read_card(text: str, labels_off: Collection[str] = ()) -> Scorecard:
    """Return the scorecard that TOML holds, without the features of labels that are switched off.

    Raises:
        UnusableModelError: it is no TOML, a field is wrong, or it weighs a feature that does not exist, or one twice.
    """
    card = _checked(text)
    idle = tuple(row.feature for row in card.weights if row.label in labels_off)
    weights = tuple(row for row in card.weights if row.feature not in idle)
    return Scorecard(card.intercept, weights, idle)


def _checked(text: str) -> Scorecard:
    try:
        card = msgspec.convert(tomllib.loads(text), Scorecard)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UnusableModelError(f"the scorecard cannot be used: {error}") from error
    names = [weight.feature for weight in card.weights]
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise UnusableModelError(f"the scorecard weighs {unknown[0]!r}, which is no feature")
    if len(set(names)) != len(names):
        raise UnusableModelError("the scorecard weighs a feature twice")
    return card

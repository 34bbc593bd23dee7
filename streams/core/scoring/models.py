"""What is published or shipped as plain numbers, and the way from it to a scorer: model versions and the scorecard."""

import tomllib
from hashlib import sha256
from math import isfinite
from operator import mul
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from streams.core.scoring.features import FEATURE_TABLE, NAMES
from streams.core.scoring.scorer import Scorer

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

    What happens `seldom` is the same for everybody for months, so that what was seen of it says nothing of its spread.
    """

    feature: str
    weight: Finite
    usual: Finite
    spread: Annotated[float, Meta(gt=0.0, le=1e6)]
    reason: Annotated[str, Meta(min_length=10)]
    seldom: bool = False


class Scorecard(Struct, frozen=True, forbid_unknown_fields=True):
    """The reviewed weights that serve until a model has learned enough."""

    intercept: Finite
    weights: tuple[ScorecardWeight, ...]


def read_scorecard(text: str) -> Scorer:
    """Return the scorer of a scorecard in TOML.

    Raises:
        UnusableModelError: it is no TOML, a field is wrong, or it weighs a feature that does not exist, or one twice.
    """
    card = _read_card(text)
    rows = {weight.feature: weight for weight in card.weights}
    slopes = tuple(rows[name].weight if name in rows else 0.0 for name in NAMES)
    usual = tuple(rows[name].usual if name in rows else 0.0 for name in NAMES)
    digest = sha256(msgspec.json.encode(card, order="sorted")).hexdigest()
    return _scorer(f"scorecard-{digest[:8]}", card.intercept, slopes, usual)


def read_warm_start(text: str) -> dict[str, float]:
    """Return where a model begins that starts from a scorecard: a weight for each feature, per standard deviation.

    Raises:
        UnusableModelError: as `read_scorecard` does.
    """
    return {row.feature: row.weight * row.spread for row in _read_card(text).weights}


def read_least_scales(text: str) -> dict[str, float]:
    """Return the least that a model divides a feature by that moves seldom: until it has, the scorecard's weight holds.

    Raises:
        UnusableModelError: as `read_scorecard` does.
    """
    return {row.feature: row.spread for row in _read_card(text).weights if row.seldom}


def _read_card(text: str) -> Scorecard:
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

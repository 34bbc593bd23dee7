"""What stands between a model and what serves: features without a weight, bounds of shares, the trial of a version.

Whatever it does it tells a person, since a model that has to be held back has learned something that is not so.
"""

from msgspec import Struct
from msgspec.structs import replace

from streams.core.scoring.models import ModelVersion
from streams.learning.exposure import ExposureState, FeatureExposure
from streams.learning.judging.verdicts import OperatorNotice
from streams.learning.models.linear import TrainerError
from streams.learning.queue import TrainerSettings
from streams.learning.trial import NewestSample, SampleRow


class VersionGuardsState(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of `VersionGuards` as plain values; `cut` has by line the features that its last version had cut."""

    exposure: ExposureState
    sample: list[SampleRow]
    cut: dict[str, list[str]]


class VersionGuards:
    """The guards of one trainer, whose lines all learn the same examples; without settings they let all pass."""

    def __init__(self, settings: TrainerSettings, features: tuple[str, ...]) -> None:
        self.exposure = FeatureExposure(settings, features)
        self._is_on = settings.guards is not None
        self._features = features
        self._sample = NewestSample(settings, len(features))
        self._idle = [place for place, name in enumerate(features) if name in settings.without]
        self._cut: dict[str, list[str]] = {}

    def without_idle(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Return an example's features of which those without a weight never move, so that they get none."""
        for place in self._idle:
            values = (*values[:place], 0.0, *values[place + 1 :])
        return values

    def take(self, example_id: str, values: tuple[float, ...], label: bool, date_ms: int) -> None:
        """Count an example that is about to be learned, before a date of versions (ms)."""
        if self._is_on:
            self.exposure.take(values)
            self._sample.take(example_id, values, label, date_ms)

    def examine(self, version: ModelVersion) -> tuple[ModelVersion | None, OperatorNotice | None]:
        """Return a version as it may serve, None if it must not, and what a person should know of that."""
        if not self._is_on:
            return version, None
        bounds = self.exposure.bounds(version.means)
        weights = self.exposure.cut(version, bounds)
        cut = {
            name: bound
            for name, bound, kept, learned in zip(self._features, bounds, weights, version.weights, strict=True)
            if kept != learned
        }
        passed = replace(version, weights=weights)
        failure = self._sample.failure(passed)
        if failure is not None:
            return None, self.withheld(version.published_at_ms, version.name, version.version, *failure)
        news = {name: bound for name, bound in cut.items() if name not in self._cut.get(version.name, ())}
        self._cut[version.name] = list(cut)
        if not news:
            return passed, None
        what = (
            f"{version.name} version {version.version} weighs {', '.join(news)} less than it learned to: "
            "so seldom seen, nothing may say so much"
        )
        return passed, OperatorNotice(at_ms=version.published_at_ms, kind="share", what=what, figures=news)

    def withheld(self, at_ms: int, name: str, number: int, why: str, figures: dict[str, float]) -> OperatorNotice:
        """Return what a person is told of a version that does not serve."""
        what = f"{name} version {number} is withheld, what serves stays: {why}"
        return OperatorNotice(at_ms=at_ms, kind="withheld", what=what, figures=figures)

    def state(self) -> VersionGuardsState | None:
        """Return everything as plain values, the same ones for the same examples; None without guards."""
        if not self._is_on:
            return None
        cut = {name: list(features) for name, features in self._cut.items()}
        return VersionGuardsState(exposure=self.exposure.state(), sample=self._sample.state(), cut=cut)

    def load(self, state: VersionGuardsState) -> None:
        """Continue from a state.

        Raises:
            TrainerError: it is of another number of features.
        """
        if not self._sample.fits(state.sample) or len(state.exposure.lows) not in {0, len(self._features)}:
            raise TrainerError("the snapshot's guards are of another number of features")
        self.exposure.load(state.exposure)
        self._sample.load(state.sample)
        self._cut = {name: list(features) for name, features in state.cut.items()}

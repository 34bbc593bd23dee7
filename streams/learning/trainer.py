"""The one trainer: learns settled examples in strict order and publishes numbered, plain model versions.

The champion is of the recipe that its settings name (`recipes`); `lineup` has what learns beside it.  Whatever the
recipe, a published version is linear in its logit, and plain.

*Sampling.* Every positive is learned and a share r of the negatives, chosen by a hash of the example's id.  That
multiplies the odds by 1/r and changes nothing else, so adding ln(r) to the intercept of the published version undoes it
exactly.  The scaler sees the sampled examples too: what is centred is what is learned from, the queue holds only what
will be learned, and on CDNOW a scaler that sees everything changed the AUC by less than 0.002.

*A bounded step.* In the recipes that take steps an example may move its own logit by `step_max` of its error at most.
Without it one outlier or a rarely set feature undoes weeks of learning.

*Event time.* Learning proceeds to whole ticks and versions are dated at multiples of `publish_every_ms`, so the same
examples give the same versions, to the last bit, however they were batched and wherever the process was killed.
"""

from math import isfinite
from typing import Final

import msgspec
from msgspec import UNSET, Struct

from streams.core.contracts.effects import LabelledExample
from streams.core.scoring.models import ModelVersion, with_version_hash
from streams.core.scoring.promotions import Promotion
from streams.core.times import DAY_MS, NEVER_MS
from streams.learning.judging.verdicts import OperatorNotice
from streams.learning.lineup import Lineup, LineupSettings, LineupState
from streams.learning.models.linear import Model, ModelState, TrainerError
from streams.learning.models.recipes import new_model
from streams.learning.queue import (
    MICRO,
    ExampleRefusal,
    ExampleSums,
    LabelQueue,
    QueueState,
    TrainerSettings,
    ceiling,
)
from streams.learning.version_guards import VersionGuards, VersionGuardsState

FORMAT: Final = 1


class TrainerCounts(Struct, frozen=True):
    """What a trainer has done so far; the served figures cover every settled example, kept for learning or not."""

    settled: int
    settled_positives: int
    served_log_loss: float | None
    served_expected: float
    learned: int
    learned_positives: int
    waiting: int
    repeated: int
    contradicted: int
    refused: dict[ExampleRefusal, int]
    withheld: int
    version: int


class TrainerState(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole trainer as plain values; its JSON is the checkpoint."""

    format: int
    settings: TrainerSettings
    features: list[str]
    feature_table: str
    clock_ms: int
    period_ms: int
    fresh: int
    learned: int
    positives: int
    version: int
    withheld: int
    settled: ExampleSums
    published: ExampleSums
    model: ModelState
    queue: QueueState
    lineup: LineupState | None = None
    guards: VersionGuardsState | None = None


class Trainer:
    """Examples in, model versions out; call `receive` for each example and `advance` when `next_due_ms` is reached.

    Two runs end with the same versions if both call `advance` when the stream's time first reaches `next_due_ms`, after
    the wakes up to there and before anything later; a call before that time does nothing, so further calls are free.
    `learned` counts the examples that were learned.
    """

    def __init__(
        self,
        settings: TrainerSettings,
        features: tuple[str, ...],
        feature_table: str,
        lineup: LineupSettings | None = None,
    ) -> None:
        if settings.publish_every_ms % settings.tick_ms:
            raise TrainerError("publish_every_ms must be a multiple of tick_ms")
        self.settings = settings
        self.features = features
        self.feature_table = feature_table
        self._guards = VersionGuards(settings, features)
        periods, exposure = (lineup or LineupSettings()).periods, self._guards.exposure
        self.model = new_model(settings.learner, settings, features, periods, exposure)
        self.lineup = None if lineup is None else Lineup(lineup, settings, features, exposure)
        self._promotions: list[Promotion] = []
        self.next_due_ms = NEVER_MS
        self._queue = LabelQueue(settings, feature_table, len(features))
        self._clock_ms = 0
        self._period_ms = 0
        self._fresh = 0
        self.learned = 0
        self._positives = 0
        self._version = 0
        self._withheld = 0
        self._settled = ExampleSums()
        self._published = ExampleSums()

    def receive(self, example: LabelledExample, past_ms: int | None = None) -> ExampleRefusal | None:
        """Queue an example until its time to be learned, and return why not if it was refused.

        Repeats and refused ones are counted.  `past_ms` is the stream's time up to which all is over, and everything
        that was due learned: what is settled late is learned after it, so that no version is dated before it serves.
        """
        tick = self._queue.put(example)
        if isinstance(tick, str):
            return tick
        if tick is not None:
            if self.lineup is not None:
                self.lineup.take(example, self._clock_ms)
            if past_ms is not None:
                self._clock_ms = max(self._clock_ms, past_ms // self.settings.tick_ms * self.settings.tick_ms)
            after = self._clock_ms + self.settings.tick_ms
            self.next_due_ms = min(self.next_due_ms, max(tick, after))
        return None

    def advance(self, stream_ms: int, most: int | None = None) -> list[ModelVersion]:
        """Learn what is due at stream time (ms), to the last whole tick; return the versions published on the way.

        After `most` examples it stops, and `next_due_ms` stays at or before the stream's time.  Whoever goes on with
        the same time, and receives nothing before that, learns in the same order as if it had not stopped.
        """
        versions: list[ModelVersion] = []
        if stream_ms < self.next_due_ms:
            return versions
        stops_at = None if most is None else self.learned + most
        now = stream_ms // self.settings.tick_ms * self.settings.tick_ms
        while True:
            tick = self._queue.next_tick()
            # What arrived too late for its own tick belongs to the first one after the clock.
            begins = max(tick, self._clock_ms + 1)
            more = tick <= now
            if self._period_ms and self._period_ms <= now and (not more or begins > self._period_ms):
                versions.extend(self._publish())
            if not more:
                break
            self._period_ms = self._period_ms or ceiling(begins, self.settings.publish_every_ms)
            if not self._learn(min(self._period_ms, now), stops_at):
                return versions
        self._clock_ms = now
        self._set_next_due()
        return versions

    def _learn(self, until_ms: int, stops_at: int | None) -> bool:
        """Learn what is due until a time (ms), and say whether that was all; the clock stands still until it is."""
        while self._queue.is_due(until_ms):
            if self.learned == stops_at:
                return False
            _, _, _, example_id, label, values, weight = self._queue.take()
            values = self._guards.without_idle(values)
            if weight > 0.0:
                self._guards.take(example_id, values, label, self._period_ms)
            self.model.learn(values, label, weight)
            if self.lineup is not None:
                self.lineup.learn(values, label, weight)
            self.learned += 1
            self._fresh += 1
            self._positives += label if weight > 0.0 else -label
        self._settled.add(self._queue.pop_settled(until_ms))
        self._clock_ms = until_ms
        return True

    def _set_next_due(self) -> None:
        tick = max(self._queue.next_tick(), self._clock_ms + self.settings.tick_ms)
        self.next_due_ms = min(tick, self._period_ms or NEVER_MS)

    def _publish(self) -> list[ModelVersion]:
        at_ms, fresh = self._period_ms, self._fresh
        self._period_ms = self._fresh = 0
        days = self.settings.publish_every_ms / DAY_MS
        self.model.drift(days)
        if self.lineup is not None:
            self.lineup.drift(days)
            self._promotions += self.lineup.settle(at_ms)
        if not fresh or self._positives < self.settings.positives_min:
            return []
        metrics = self._metrics()

        def make(name: str, number: int, model: Model) -> ModelVersion | None:
            judged = {} if self.lineup is None else self.lineup.metrics(name)
            return self._new_version(name, number, model, at_ms, metrics | judged)

        champion = make(self.settings.name, self._version + 1, self.model)
        if champion is None:
            self._withheld += 1
        else:
            self._version += 1
            self._published = self._settled.copy()
        if self.lineup is not None:
            return self.lineup.publish(champion, make)
        return [] if champion is None else [champion]

    def _new_version(
        self, name: str, number: int, model: Model, at_ms: int, metrics: dict[str, float]
    ) -> ModelVersion | None:
        """Return a model as a version that is dated to a time (ms), or None if it must not serve; a notice says why."""
        state = model.state()
        if not all(map(isfinite, (state.intercept, *state.weights, *state.means, *state.variances))):
            self._note(self._guards.withheld(at_ms, name, number, "a number in it is not finite", {}))
            return None
        version = ModelVersion(
            name=name,
            version=number,
            parent=number - 1 or None,
            feature_table=self.feature_table,
            features=self.features,
            intercept=state.intercept + model.offset,
            weights=tuple(state.weights),
            means=tuple(state.means),
            scales=model.scales(state.variances),
            published_at_ms=at_ms,
            examples=self.learned,
            positives=self._positives,
            source_position=self._settled.examples,
            metrics=metrics,
            periods=UNSET if model.periods == 1.0 else model.periods,
        )
        passed, notice = self._guards.examine(version)
        self._note(notice)
        return None if passed is None else with_version_hash(passed)

    def _note(self, notice: OperatorNotice | None) -> None:
        if notice is not None and self.lineup is not None:
            self.lineup.notices.append(notice)

    def take_promotions(self) -> list[Promotion]:
        """Hand out, once, what the trainer has promoted since it was last asked."""
        promotions, self._promotions = self._promotions, []
        return promotions

    def note_promotion(self, to: str) -> None:
        """Take note of what somebody else has promoted: a line, or one of its versions."""
        if self.lineup is not None:
            self.lineup.note_promotion(to)

    def _metrics(self) -> dict[str, float]:
        """Return how the served probabilities did: over all settled examples, and since the last version.

        Where all that was learned since the last version is provisional, nothing was settled.
        """
        metrics: dict[str, float] = {}
        for suffix, tally in (("", self._settled), ("_recent", self._settled.since(self._published))):
            if not tally.examples:
                continue
            metrics["settled" + suffix] = float(tally.examples)
            metrics["base_rate" + suffix] = tally.positives / tally.examples
            metrics["served_mean" + suffix] = tally.probability_micro / MICRO / tally.examples
            metrics["served_log_loss" + suffix] = tally.loss_micro / MICRO / tally.examples
        return metrics

    @property
    def counts(self) -> TrainerCounts:
        """What was done so far."""
        settled = self._settled
        return TrainerCounts(
            settled=settled.examples,
            settled_positives=settled.positives,
            served_log_loss=settled.loss_micro / MICRO / settled.examples if settled.examples else None,
            served_expected=settled.probability_micro / MICRO,
            learned=self.learned,
            learned_positives=self._positives,
            waiting=len(self._queue),
            repeated=self._queue.repeated,
            contradicted=self._queue.contradicted,
            refused=dict(self._queue.refused),
            withheld=self._withheld,
            version=self._version,
        )

    def state(self) -> TrainerState:
        """Return everything that is needed to go on as plain values, queue and remembered ids included."""
        return TrainerState(
            format=FORMAT,
            settings=self.settings,
            features=list(self.features),
            feature_table=self.feature_table,
            clock_ms=self._clock_ms,
            period_ms=self._period_ms,
            fresh=self._fresh,
            learned=self.learned,
            positives=self._positives,
            version=self._version,
            withheld=self._withheld,
            settled=self._settled,
            published=self._published,
            model=self.model.state(),
            queue=self._queue.state(),
            lineup=None if self.lineup is None else self.lineup.state(),
            guards=self._guards.state(),
        )

    def snapshot(self) -> bytes:
        """Return the state as JSON, floats exact."""
        return msgspec.json.encode(self.state())

    @classmethod
    def restore(cls, snapshot: bytes) -> "Trainer":
        """Return the trainer of a snapshot; it continues bit for bit as the one that made it would have.

        Raises:
            TrainerError: the snapshot is damaged or of another format.
        """
        try:
            state = msgspec.json.decode(snapshot, type=TrainerState)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TrainerError(f"no snapshot of a trainer: {error}") from error
        return cls.from_state(state)

    @classmethod
    def from_state(cls, state: TrainerState) -> "Trainer":
        """Return the trainer of a state.

        Raises:
            TrainerError: the state is of another format, or its parts do not fit together.
        """
        if state.format != FORMAT:
            raise TrainerError(f"the snapshot has format {state.format}, this program reads {FORMAT}")
        counts = {len(state.features), len(state.model.weights), len(state.model.means), len(state.model.variances)}
        if len(counts) > 1:
            raise TrainerError("the snapshot's features and weights differ in number")
        lineup = state.lineup
        settings = None if lineup is None else lineup.settings
        trainer = cls(state.settings, tuple(state.features), state.feature_table, settings)
        if trainer.lineup is not None and lineup is not None:
            trainer.lineup.load(lineup)
        trainer.model.load(state.model)
        if state.guards is not None:
            trainer._guards.load(state.guards)
        trainer._queue.load(state.queue)
        trainer._clock_ms = state.clock_ms
        trainer._period_ms = state.period_ms
        trainer._fresh = state.fresh
        trainer.learned = state.learned
        trainer._positives = state.positives
        trainer._version = state.version
        trainer._withheld = state.withheld
        trainer._settled = state.settled
        trainer._published = state.published
        trainer._set_next_due()
        return trainer

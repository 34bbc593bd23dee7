"""Settled examples wait here until their time to be learned: checked, known by id, sampled, ordered, bounded.

The order in which examples are handed out is that of (time to learn, subscriber, snapshot), whatever the order of their
arrival.  Nothing here depends on a clock, on a random number or on Python's own hash.
"""

from collections import OrderedDict
from hashlib import blake2b
from heapq import heappop, heappush
from math import isfinite
from operator import itemgetter
from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, Struct

from streams.core.alerts.policy import LearnAt, Learner
from streams.core.contracts.effects import LabelKind, LabelledExample
from streams.core.scoring.exact_math import log
from streams.core.scoring.scorer import LOSS_FLOOR
from streams.core.times import DAY_MS, HOUR_MS, NEVER_MS

ExampleRefusal = Literal["feature_table", "feature_count", "not_finite", "probability", "time_order", "queue_full"]
REFUSALS: Final[tuple[ExampleRefusal, ...]] = get_args(ExampleRefusal)

FEATURE_MAX: Final = 1e9
"""A feature beyond this is a fault upstream; its square would swamp the scaler for ever."""
WAIT_MAX_MS: Final = 400 * DAY_MS
"""No horizon is longer than this, so the number of ticks that can wait has a bound."""
MICRO: Final = 1_000_000
HASH_VALUES: Final = 2**64


def loss_of(probability: float, label: bool) -> float:
    """Return the log loss of a probability (0 to 1) that was served, with the same bits on every machine.

    >>> loss_of(1.0, label=True), round(loss_of(0.25, label=True), 4), round(loss_of(1.0, label=False), 1)
    (-0.0, 1.3863, 34.5)
    """
    return -log(max(probability if label else 1.0 - probability, LOSS_FLOOR))


class GuardSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a trainer lets no version do; each was chosen by what it costs and what it prevents.

    No value that was seen lies more than `deviations_max` scales from another.  No feature contributes more than
    `share_max` (logit), and less if it was seen seldom; `reviewed` has by feature the scorecard's slope (logit a unit),
    which it may contribute beyond that.  A version is tried on the newest `sample_rows` examples; `warns_from` is the
    least probability that opens an alert.
    """

    deviations_max: Annotated[float, Meta(gt=0.0)] = 8.0
    share_max: Annotated[float, Meta(gt=0.0)] = 5.0
    reviewed: dict[str, float] = {}
    sample_rows: Annotated[int, Meta(ge=1)] = 512
    warns_from: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.12


class TrainerSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a model learns; the defaults were measured on CDNOW and on a simulated rare-event stream with drift.

    `learner` is the recipe.  `learn_at` is when a label is learned, one time for all or by kind (others: at the close),
    and `takes_provisional` whether labels that were told before the close are, and corrected then.  What is learned at
    the close waits for `patience_ms` more: stayers are settled when they are scored next, and whoever learned at once
    would see the leavers of a day before its stayers, and take everybody for a leaver.
    `step` is the constant step of the gradient descent and `step_max` bounds what one example may move its own logit
    by, in units of its error: a feature that was zero for weeks has a standardised value of a hundred when it first
    moves, and an unbounded step of 0.01 would then throw the logit by a hundred.  `keep_negatives` is the share of
    negatives that are learned; take 1.0 where leaving is not rare.  `tick_ms` is the grain of event time in which
    learning proceeds, `publish_every_ms` a multiple of it.  `warm_start` gives first weights by feature in standardised
    space, `least_scales` by feature what no scale is below: a feature that was zero for everybody for months would have
    one of next to nothing when it first moves, and a weight over that would outweigh all others.  `without` names
    features that have no weight.  A trainer that began before there were guards has None of them, and goes on so.
    """

    name: str = "champion"
    learner: Learner = "steady"
    learn_at: LearnAt | dict[LabelKind, LearnAt] = "close"
    takes_provisional: bool = True
    patience_ms: Annotated[int, Meta(ge=0)] = 0
    prior_variance: Annotated[float, Meta(gt=0.0, le=10.0)] = 0.02
    drift_per_day: Annotated[float, Meta(ge=0.0, le=1.0)] = 1e-6
    step: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.01
    step_max: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.3
    base_rate: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.02
    keep_negatives: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.3
    positives_min: Annotated[int, Meta(ge=1)] = 50
    tick_ms: Annotated[int, Meta(ge=1)] = HOUR_MS
    publish_every_ms: Annotated[int, Meta(ge=1)] = 7 * DAY_MS
    remembered_ids: Annotated[int, Meta(ge=1)] = 100_000
    waiting_max: Annotated[int, Meta(ge=1)] = 1_000_000
    warm_start: dict[str, float] = {}
    least_scales: dict[str, float] = {}
    without: tuple[str, ...] = ()
    guards: GuardSettings | None = None


class ExampleSums(Struct, gc=False):
    """Whole-number sums over settled examples: exact, so their order cannot show in a model's metrics."""

    examples: int = 0
    positives: int = 0
    loss_micro: int = 0
    probability_micro: int = 0
    provisional: int = 0

    def count(self, label: bool, probability: float) -> None:
        """Add one example with the probability (0 to 1) that was served for it."""
        self.examples += 1
        self.positives += label
        self.loss_micro += round(loss_of(probability, label) * MICRO)
        self.probability_micro += round(probability * MICRO)

    @property
    def example_count(self) -> int:
        """How many examples it is of, provisional ones included."""
        return self.examples + self.provisional

    def add(self, other: "ExampleSums") -> None:
        """Add another tally to this one."""
        self.examples += other.examples
        self.positives += other.positives
        self.loss_micro += other.loss_micro
        self.probability_micro += other.probability_micro
        self.provisional += other.provisional

    def since(self, earlier: "ExampleSums") -> "ExampleSums":
        """Return what was added after an earlier copy of this tally."""
        return ExampleSums(
            self.examples - earlier.examples,
            self.positives - earlier.positives,
            self.loss_micro - earlier.loss_micro,
            self.probability_micro - earlier.probability_micro,
            self.provisional - earlier.provisional,
        )

    def copy(self) -> "ExampleSums":
        """Return a tally of the same sums."""
        return ExampleSums(self.examples, self.positives, self.loss_micro, self.probability_micro, self.provisional)


def digest_of(example_id: str) -> int:
    """Return 64 bits of an example's id by which it is known, and sampled: the same ones everywhere."""
    return int.from_bytes(blake2b(example_id.encode(), digest_size=8).digest())


WaitingExample = tuple[int, str, int, str, bool, tuple[float, ...], float]
"""Time to learn (ms), subscriber, snapshot (ms), example id, label, features, weight (-1 takes a label back)."""


class QueueState(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A queue as plain values; ids are 64-bit hashes, oldest first, the lowest bit of each being the label."""

    waiting: list[WaitingExample]
    ticks: list[tuple[int, ExampleSums]]
    ids: list[int]
    repeated: int
    contradicted: int
    refused: dict[ExampleRefusal, int]


def ceiling(at_ms: int, grain_ms: int) -> int:
    """Return the first multiple of the grain that is not before the time.

    >>> ceiling(1, 10), ceiling(10, 10), ceiling(11, 10)
    (10, 10, 20)
    """
    return -(-at_ms // grain_ms) * grain_ms


def refusal(example: LabelledExample, feature_table: str, feature_count: int) -> ExampleRefusal | None:
    """Return why an example cannot be learned from, or None.

    A single NaN would destroy a linear model for ever, so that every number is checked here, before it is kept.
    """
    if example.feature_table != feature_table:
        return "feature_table"
    if len(example.features) != feature_count:
        return "feature_count"
    # A sum that is finite and a maximum in bounds prove every member finite; NaN fails both comparisons.
    if not (isfinite(sum(example.features)) and _is_bounded(example.features)):
        return "not_finite"
    if not 0.0 <= example.probability <= 1.0:
        return "probability"
    soonest, latest = example.snapshot_at_ms, example.snapshot_at_ms + WAIT_MAX_MS
    if not (soonest <= example.knowable_at_ms <= latest and soonest <= example.closed_at_ms <= latest):
        return "time_order"
    return None


def _is_bounded(features: tuple[float, ...]) -> bool:
    return not features or (max(features) <= FEATURE_MAX and min(features) >= -FEATURE_MAX)


class LabelQueue:
    """Examples between the moment that settles them and the moment to learn them.

    An id that was seen is not taken again: a repeat is counted, and where its label contradicts the first one, the
    first stands and the contradiction is counted.  Negatives that are not kept are tallied and never stored.  When
    `waiting_max` examples wait, newcomers are refused, and counted, until some are learned.
    """

    def __init__(self, settings: TrainerSettings, feature_table: str, feature_count: int) -> None:
        self._settings = settings
        self._feature_table = feature_table
        self._feature_count = feature_count
        self._keep_below = int(settings.keep_negatives * HASH_VALUES)
        self._heap: list[WaitingExample] = []
        self._ticks: dict[int, ExampleSums] = {}
        self._ids: OrderedDict[int, bool] = OrderedDict()
        self.repeated = 0
        self.contradicted = 0
        self.refused: dict[ExampleRefusal, int] = dict.fromkeys(REFUSALS, 0)

    def __len__(self) -> int:
        """Return the number of examples that wait with their features."""
        return len(self._heap)

    def put(self, example: LabelledExample) -> int | ExampleRefusal | None:
        """Take an example; return the tick (ms) to learn it from, why it is refused, or None for a repeat."""
        why = refusal(example, self._feature_table, self._feature_count)
        if why is not None:
            self.refused[why] += 1
            return why
        if example.provisional and not self._settings.takes_provisional:
            return None
        digest = digest_of(example.example_id)
        known = self._ids.get(digest >> 1)
        if known is not None:
            self.repeated += 1
            self.contradicted += known is not example.label
            return None
        is_soon = self._is_soon(example)
        at_ms = example.knowable_at_ms if is_soon else example.closed_at_ms + self._settings.patience_ms
        lessons = self._lessons(example, digest)
        if lessons and len(self._heap) + len(lessons) > self._settings.waiting_max:
            self.refused["queue_full"] += 1
            return "queue_full"
        for label, weight in lessons:
            place = (at_ms, example.subscriber_id, example.snapshot_at_ms, example.example_id)
            heappush(self._heap, (*place, label, example.features, weight))
        self._remember(digest >> 1, example.label)
        tick = ceiling(at_ms, self._settings.tick_ms)
        tally = self._ticks.setdefault(tick, ExampleSums())
        if example.provisional:
            tally.provisional += 1
        else:
            tally.count(example.label, example.probability)
        return tick

    def _is_soon(self, example: LabelledExample) -> bool:
        """Say whether an example is learned as soon as its label is certain, before its horizon has closed."""
        learn_at = self._settings.learn_at
        at = learn_at if isinstance(learn_at, str) else learn_at.get(example.kind, "close")
        return example.provisional or at == "knowable"

    def _lessons(self, example: LabelledExample, digest: int) -> list[tuple[bool, float]]:
        """Return the labels to learn from an example with their weights: a wrong one that was told is taken back first.

        A snapshot's provisional and final example are sampled alike: nothing is taken back that was not learned.
        """
        label, provisional = example.label, example.corrects if self._settings.takes_provisional else None
        if example.provisional:
            digest = digest_of("e" + example.example_id[1:])
        is_kept = digest < self._keep_below
        lessons = [(label, 1.0)] if provisional is not label and (label or is_kept) else []
        return (
            [(provisional, -1.0), *lessons]
            if provisional not in {None, label} and (provisional or is_kept)
            else lessons
        )

    def _remember(self, half: int, label: bool) -> None:
        self._ids[half] = label
        if len(self._ids) > self._settings.remembered_ids:
            self._ids.popitem(last=False)

    def next_tick(self) -> int:
        """Return the first tick (ms) at which something is to be learned or counted; `NEVER_MS` when there is none."""
        return min(self._ticks, default=NEVER_MS)

    def is_due(self, until_ms: int) -> bool:
        """Say whether anything is to be learned at or before a time (ms)."""
        return bool(self._heap) and self._heap[0][0] <= until_ms

    def take(self) -> WaitingExample:
        """Hand out and forget what is to be learned first."""
        return heappop(self._heap)

    def pop_settled(self, until_ms: int) -> ExampleSums:
        """Return and forget the tally of all examples, kept or not, whose tick is at or before a time (ms)."""
        total = ExampleSums()
        for tick in [tick for tick in self._ticks if tick <= until_ms]:
            total.add(self._ticks.pop(tick))
        return total

    def state(self) -> QueueState:
        """Return the whole queue as plain values, the same ones for the same content."""
        return QueueState(
            waiting=sorted(self._heap),
            ticks=sorted(self._ticks.items(), key=itemgetter(0)),
            ids=[half << 1 | label for half, label in self._ids.items()],
            repeated=self.repeated,
            contradicted=self.contradicted,
            refused=dict(self.refused),
        )

    def load(self, state: QueueState) -> None:
        """Replace the content by that of a state; a sorted list is a heap."""
        self._heap = list(state.waiting)
        self._ticks = dict(state.ticks)
        self._ids = OrderedDict((entry >> 1, bool(entry & 1)) for entry in state.ids)
        self.repeated = state.repeated
        self.contradicted = state.contradicted
        self.refused = dict.fromkeys(REFUSALS, 0) | state.refused

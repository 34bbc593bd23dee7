"""Judging what lines of models would have served, by whole weeks of snapshots whose outcomes are all known.

For each settled example every line predicts with the version of its own that was in force at the snapshot, so that
nothing that was learned later helps.  A week counts when the horizon of its last snapshot has closed and another
week has passed: of a younger one mostly the leavers are known.  What is kept of a week does not grow with the number
of its examples: sums of log loss in millionths by block, and counts by block and by bin of the logit.

A block is a 64th of all subscribers, by a hash, so that a bootstrap over blocks keeps together what belongs together.
Sums are whole numbers, so their order cannot show.  Average precision and recall are exact up to ties within a bin,
which is 1/32 of a logit wide; a tie at the cut is shared out.  In which blocks the leavers of the riskiest 5 % are is
kept by quarters of a logit: of the one that the cut goes through, each block has its share.
"""

from bisect import bisect_left
from hashlib import blake2b
from math import ceil
from operator import mul
from typing import Final

from msgspec import Struct, UnsetType

from streams.core.alerts.policy import YARDSTICK
from streams.core.contracts.effects import LabelledExample
from streams.core.scoring.exact_math import log
from streams.core.scoring.models import ModelVersion
from streams.core.scoring.scorer import LOSS_FLOOR, probability
from streams.core.times import DAY_MS, WEEK_MS
from streams.learning.judging.verdicts import SERVED, Figures, MatureWeek
from streams.learning.models.boosting import BoostingTrainer
from streams.learning.models.linear import RANKERS
from streams.learning.queue import MICRO, loss_of

PATIENCE_MS: Final = 7 * DAY_MS
"""Whoever is quiet is scored, and so settled, once a week; before that leavers would be judged without the stayers."""
BLOCKS: Final = 64
BINS_PER_LOGIT: Final = 32
BIN_MAX: Final = 16 * BINS_PER_LOGIT
COARSE: Final = 8
"""Bins in a quarter of a logit."""
TOP_SHARE: Final = 0.05
HELD_MAX: Final = 500
LATE_MS: Final = 35 * DAY_MS
"""Versions are remembered for the horizon and this long: what is settled later still is not judged."""


class LinearPredictor(Struct, frozen=True, forbid_unknown_fields=True):
    """A version as far as predicting goes, and the event time (ms) from which it serves."""

    from_ms: int
    bias: float
    slopes: tuple[float, ...]
    periods: float


class LineSums(Struct, forbid_unknown_fields=True):
    """One line's sums over a week: loss by block, examples and leavers by bin, leavers by coarse bin and block."""

    loss_micro: list[int]
    expected_micro: int
    bins: dict[int, tuple[int, int]]
    found: dict[int, int]


class OpenWeek(Struct, forbid_unknown_fields=True):
    """A week's sums while it fills, the examples and the leavers by block."""

    examples: list[int]
    positives: list[int]
    lines: dict[str, LineSums]


class Blocks(Struct, frozen=True, forbid_unknown_fields=True):
    """What is left of a mature week for comparing lines, by block: for each line its loss and its leavers on top."""

    week_ms: int
    examples: list[int]
    positives: list[int]
    loss_micro: dict[str, list[int]]
    top: dict[str, list[float]]
    expected_micro: dict[str, int]


class DeferredExample(Struct, frozen=True, forbid_unknown_fields=True):
    """An example that was settled before all versions of its snapshot's time were there."""

    snapshot_at_ms: int
    subscriber_id: str
    label: bool
    probability: float
    features: tuple[float, ...]


class WeeksState(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of `Weeks` as plain values."""

    closed_ms: int
    lines: dict[str, list[LinearPredictor]]
    open: dict[int, OpenWeek]
    held: list[DeferredExample]
    unjudged: dict[str, int]


class Weeks:
    """The weeks that are not mature, and the versions that their snapshots are judged with.

    `names` are the lines; an example is judged when each of them had a version in force, so that all are judged by the
    same examples.  `unjudged` counts the others by why.  The yardstick is judged by the same examples in the weeks for
    all of which it had a fit, and in no others.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        features: tuple[str, ...],
        horizon_ms: int,
        boosting: BoostingTrainer | None = None,
    ) -> None:
        self._names = names
        self._boosting = boosting
        self._rankers = {name: features.index(by) for name, by in RANKERS.items() if by in features}
        self._horizon_ms = horizon_ms
        self._closed_ms = 0
        self._lines: dict[str, list[LinearPredictor]] = {name: [] for name in names}
        self._open: dict[int, OpenWeek] = {}
        self._deferred: list[DeferredExample] = []
        self.unjudged: dict[str, int] = {"no_version": 0, "too_late": 0, "too_many_held": 0}

    def publish(self, version: ModelVersion) -> None:
        """Let a version be in force for the snapshots after its date; forget those that no snapshot will ask for."""
        slopes = tuple(w / s if s else 0.0 for w, s in zip(version.weights, version.scales, strict=True))
        periods = 1.0 if isinstance(version.periods, UnsetType) else version.periods
        bias = version.intercept - sum(map(mul, slopes, version.means))
        lines = self._lines[version.name]
        lines.append(LinearPredictor(version.published_at_ms, bias, slopes, periods))
        oldest_ms = version.published_at_ms - self._horizon_ms - LATE_MS
        while len(lines) > 1 and lines[1].from_ms < oldest_ms:
            del lines[0]

    def take(self, example: LabelledExample, clock_ms: int) -> None:
        """Judge a final example, or hold it until all versions that its snapshot may ask for are there.

        They are once the learning has come to the snapshot: `clock_ms` is how far it has.
        """
        if example.provisional:
            return
        held = DeferredExample(
            example.snapshot_at_ms, example.subscriber_id, example.label, example.probability, example.features
        )
        if example.snapshot_at_ms <= clock_ms:
            self._judge(held)
        elif len(self._deferred) < HELD_MAX:
            self._deferred.append(held)
        else:
            self.unjudged["too_many_held"] += 1

    def mature(self, at_ms: int) -> list[tuple[MatureWeek, Blocks]]:
        """Return the weeks that are mature at an event time (ms), to which all is learned, the oldest first."""
        waiting = [held for held in self._deferred if held.snapshot_at_ms > at_ms]
        for held in self._deferred:
            if held.snapshot_at_ms <= at_ms:
                self._judge(held)
        self._deferred = waiting
        until_ms = (at_ms - PATIENCE_MS - self._horizon_ms) // WEEK_MS * WEEK_MS
        self._closed_ms = max(self._closed_ms, until_ms)
        due = sorted(week_ms for week_ms in self._open if week_ms < until_ms)
        return [_close_week(week_ms, self._open.pop(week_ms)) for week_ms in due]

    def _judge(self, held: DeferredExample) -> None:
        week_ms = held.snapshot_at_ms // WEEK_MS * WEEK_MS
        if week_ms < self._closed_ms:
            self.unjudged["too_late"] += 1
            return
        in_force: list[tuple[str, LinearPredictor]] = []
        for name in self._names:
            lines = self._lines[name]
            number = bisect_left(lines, held.snapshot_at_ms, key=_from_ms)
            if not number:
                self.unjudged["no_version"] += 1
                return
            in_force.append((name, lines[number - 1]))
        block = blake2b(held.subscriber_id.encode(), digest_size=1).digest()[0] % BLOCKS
        week = self._open.get(week_ms)
        if week is None:
            week = self._open[week_ms] = OpenWeek([0] * BLOCKS, [0] * BLOCKS, {})
        week.examples[block] += 1
        week.positives[block] += held.label
        for name, line in in_force:
            logit = line.bias + sum(map(mul, line.slopes, held.features))
            self._count(week, name, probability(logit, line.periods), held.label, block)
        self._count(week, SERVED, held.probability, held.label, block)
        boosted = None if self._boosting is None else self._boosting.chance(held.features, held.snapshot_at_ms)
        if boosted is not None:
            self._count(week, YARDSTICK, boosted, held.label, block)
        for name, place in self._rankers.items():
            _rank(_line_sums(week, name), held.features[place], held.label, block)

    def _count(self, week: OpenWeek, name: str, chance: float, label: bool, block: int) -> None:
        tallied = _line_sums(week, name)
        tallied.loss_micro[block] += round(loss_of(chance, label) * MICRO)
        tallied.expected_micro += round(chance * MICRO)
        bounded = min(max(chance, LOSS_FLOOR), 1.0 - LOSS_FLOOR)
        _rank(tallied, log(bounded / (1.0 - bounded)), label, block)

    def state(self) -> WeeksState:
        """Return everything as plain values, the same ones for the same content."""
        return WeeksState(
            closed_ms=self._closed_ms,
            lines={name: list(lines) for name, lines in self._lines.items()},
            open={week_ms: _sort_lines(week) for week_ms, week in sorted(self._open.items())},
            held=list(self._deferred),
            unjudged=dict(self.unjudged),
        )

    def load(self, state: WeeksState) -> None:
        """Replace the content by that of a state."""
        self._closed_ms = state.closed_ms
        self._lines = {name: list(state.lines.get(name, ())) for name in self._names}
        self._open = {week_ms: _sort_lines(week) for week_ms, week in state.open.items()}
        self._deferred = list(state.held)
        self.unjudged = dict(state.unjudged)


def _from_ms(line: LinearPredictor) -> int:
    return line.from_ms


def _line_sums(week: OpenWeek, name: str) -> LineSums:
    tallied = week.lines.get(name)
    if tallied is None:
        tallied = week.lines[name] = LineSums([0] * BLOCKS, 0, {}, {})
    return tallied


def _rank(tallied: LineSums, value: float, label: bool, block: int) -> None:
    number = min(max(round(value * BINS_PER_LOGIT), -BIN_MAX), BIN_MAX)
    count, positives = tallied.bins.get(number, (0, 0))
    tallied.bins[number] = count + 1, positives + label
    if label:
        place = (number + BIN_MAX) // COARSE * BLOCKS + block
        tallied.found[place] = tallied.found.get(place, 0) + 1


def _sort_lines(week: OpenWeek) -> OpenWeek:
    lines = {
        name: LineSums(
            list(t.loss_micro), t.expected_micro, dict(sorted(t.bins.items())), dict(sorted(t.found.items()))
        )
        for name, t in sorted(week.lines.items())
    }
    return OpenWeek(list(week.examples), list(week.positives), lines)


def _close_week(week_ms: int, week: OpenWeek) -> tuple[MatureWeek, Blocks]:
    examples, positives = sum(week.examples), sum(week.positives)
    judged = {name: one for name, one in sorted(week.lines.items()) if _is_of_all(one, examples)}
    figures: dict[str, Figures] = {}
    top: dict[str, list[float]] = {}
    for name, tallied in judged.items():
        precision, hits, top[name] = _ranking(tallied, examples, positives)
        is_rule = name in RANKERS
        figures[name] = Figures(
            log_loss=None if is_rule else sum(tallied.loss_micro) / MICRO / examples,
            average_precision=precision,
            recall=hits / positives if positives else None,
            expected_over_observed=None if is_rule or not positives else tallied.expected_micro / MICRO / positives,
        )
    models = {name: tallied for name, tallied in judged.items() if name not in RANKERS}
    return (
        MatureWeek(week_ms=week_ms, examples=examples, positives=positives, figures=figures),
        Blocks(
            week_ms,
            week.examples,
            week.positives,
            {name: tallied.loss_micro for name, tallied in models.items()},
            {name: top[name] for name in models},
            {name: tallied.expected_micro for name, tallied in models.items()},
        ),
    )


def _is_of_all(tallied: LineSums, examples: int) -> bool:
    return sum([count for count, _ in tallied.bins.values()]) == examples


def _ranking(tallied: LineSums, examples: int, positives: int) -> tuple[float | None, float, list[float]]:
    """Return the average precision, how many leavers are in the riskiest 5 %, and how many of them in each block."""
    left = ceil(round(TOP_SHARE * examples, 9))
    seen = found = 0
    area = 0.0
    by_coarse: dict[int, float] = {}
    whole: dict[int, int] = {}
    for number, (count, here) in sorted(tallied.bins.items(), reverse=True):
        seen += count
        found += here
        area += found / seen * here
        taken = min(count, left)
        left -= taken
        coarse = (number + BIN_MAX) // COARSE
        by_coarse[coarse] = by_coarse.get(coarse, 0.0) + here * taken / count
        whole[coarse] = whole.get(coarse, 0) + here
    top = [0.0] * BLOCKS
    for place, count in sorted(tallied.found.items()):
        coarse, block = divmod(place, BLOCKS)
        top[block] += count * by_coarse[coarse] / whole[coarse]
    return (area / positives if positives else None), sum(by_coarse.values()), top

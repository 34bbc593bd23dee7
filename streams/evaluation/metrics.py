"""How good the served probabilities were: ranking, calibration and their intervals, exact and free of the row order.

Everything is computed from (probability, label) pairs; ties are shared out evenly, so that no order of the rows can
flatter a model.  Whole-number weights stand for repeated rows, which is all that a bootstrap needs.  Definitions: AUC
as the Mann-Whitney probability; average precision as the sum of precision times the rise of recall, not the
trapezoid; ECE over bins of equal mass.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from math import ceil, fsum, log
from operator import itemgetter
from typing import Final

from msgspec import Struct

from streams.core.scoring.scorer import LOSS_FLOOR

SHARES: Final = (0.01, 0.05, 0.10)
BINS: Final = 20
WORD: Final = 2**64


class Prediction(Struct, frozen=True, gc=False):
    """A probability that was served and what came of it; `block` names what a bootstrap draws whole (a subscriber)."""

    probability: float
    label: bool
    block: str = ""


class TopShare(Struct, frozen=True):
    """The riskiest share of the rows: how many, how right, how much of the leaving, how much better than chance."""

    share: float
    count: int
    precision: float
    recall: float | None
    lift: float | None


class Bin(Struct, frozen=True):
    """One bin of a reliability diagram: rows (a tie may be cut), mean probability and share that left."""

    count: int
    expected: float
    observed: float


class Scores(Struct, frozen=True):
    """The scores of a set of predictions; None where one class is missing and the score has no meaning."""

    examples: int
    positives: int
    base_rate: float
    expected_over_observed: float | None
    auc: float | None
    average_precision: float | None
    top: tuple[TopShare, ...]
    brier: float
    log_loss: float
    ece: float


class Interval(Struct, frozen=True):
    """An estimate with its bootstrap percentile interval, and how many resamples had a value."""

    estimate: float | None
    low: float | None
    high: float | None
    resamples: int


ResampleWeights = Sequence[int]
Metric = Callable[[Sequence[float], Sequence[bool], ResampleWeights], float | None]
"""Probabilities, labels, whole-number weights of the same length to a score, or None where it has no meaning."""


def tie_counts(
    probabilities: Sequence[float], labels: Sequence[bool], weights: ResampleWeights | None
) -> list[tuple[float, int, int]]:
    """Return (probability, rows, positives) for each distinct probability, the highest first.

    >>> tie_counts([0.1, 0.9, 0.9], [False, True, False], None)
    [(0.9, 2, 1), (0.1, 1, 0)]
    """
    shares = weights if weights is not None else [1] * len(labels)
    rows = sorted(zip(probabilities, labels, shares, strict=True), key=itemgetter(0), reverse=True)
    ties: list[tuple[float, int, int]] = []
    for probability, tied in groupby(rows, key=itemgetter(0)):
        count = positives = 0
        for _, label, weight in tied:
            count += weight
            if label:
                positives += weight
        if count:
            ties.append((probability, count, positives))
    return ties


def auc(probabilities: Sequence[float], labels: Sequence[bool], weights: ResampleWeights | None = None) -> float | None:
    """Return the exact area under the ROC curve, ties counted half; None unless both classes are there.

    >>> auc([0.9, 0.5, 0.5, 0.1], [True, True, False, False])
    0.875
    """
    above = doubled = positives = 0
    for _, count, positive in tie_counts(probabilities, labels, weights):
        negative = count - positive
        doubled += negative * (2 * positives + positive)
        positives += positive
        above += negative
    return doubled / (2 * positives * above) if positives and above else None


def average_precision(
    probabilities: Sequence[float], labels: Sequence[bool], weights: ResampleWeights | None = None
) -> float | None:
    """Return the sum over distinct probabilities of precision times the rise of recall; None without positives.

    >>> average_precision([0.9, 0.8, 0.1], [True, False, True])
    0.8333333333333333
    """
    seen = found = 0
    area = 0.0
    for _, count, positive in tie_counts(probabilities, labels, weights):
        seen += count
        found += positive
        area += found / seen * positive
    return area / found if found else None


def top_share(
    probabilities: Sequence[float], labels: Sequence[bool], share: float, weights: ResampleWeights | None = None
) -> TopShare:
    """Return how good the riskiest `share` (0 to 1) of the rows is, rounded up to whole rows; a cut tie is shared out.

    Raises:
        ValueError: there are no rows, or the share is not above 0 and at most 1.

    >>> top_share([0.9, 0.8, 0.2, 0.1], [True, False, False, False], 0.5)
    TopShare(share=0.5, count=2, precision=0.5, recall=1.0, lift=2.0)
    """
    if not 0.0 < share <= 1.0:
        raise ValueError("share must be above 0 and at most 1")
    ties = tie_counts(probabilities, labels, weights)
    total = sum(count for _, count, _ in ties)
    positives = sum(positive for _, _, positive in ties)
    if not total:
        raise ValueError("there are no predictions")
    # Rounded first: 0.05 * 60 is 3.0000000000000004 to a computer, and its ceiling is 4.
    size = ceil(round(share * total, 9))
    left, found = size, 0.0
    for _, count, positive in ties:
        taken = min(count, left)
        found += positive * taken / count
        left -= taken
    precision = found / size
    return TopShare(
        share=share,
        count=size,
        precision=precision,
        recall=found / positives if positives else None,
        lift=precision * total / positives if positives else None,
    )


def recall_at(share: float) -> Metric:
    """Return the metric "recall in the riskiest share", for a bootstrap.

    >>> recall_at(0.5)([0.9, 0.1], [True, False], [1, 1])
    1.0
    """
    return lambda probabilities, labels, weights: top_share(probabilities, labels, share, weights).recall


def brier(probabilities: Sequence[float], labels: Sequence[bool], weights: ResampleWeights | None = None) -> float:
    """Return the mean squared error of the probabilities.

    >>> brier([0.5, 1.0], [True, True])
    0.125
    """
    return _mean([(p - label) ** 2 for p, label in zip(probabilities, labels, strict=True)], weights)


def log_loss(probabilities: Sequence[float], labels: Sequence[bool], weights: ResampleWeights | None = None) -> float:
    """Return the mean of -log of the probability given to what happened, which is taken as 1e-15 at least.

    >>> round(log_loss([0.5, 0.5], [True, False]), 4)
    0.6931
    """
    likelihoods = (p if label else 1.0 - p for p, label in zip(probabilities, labels, strict=True))
    return _mean([-log(max(likelihood, LOSS_FLOOR)) for likelihood in likelihoods], weights)


def _mean(values: Sequence[float], weights: ResampleWeights | None) -> float:
    """Return the weighted mean; by fsum, so that the order of the rows cannot show in the last bit."""
    shares = weights if weights is not None else [1] * len(values)
    total = sum(shares)
    if not total:
        raise ValueError("there are no predictions")
    return fsum(value * share for value, share in zip(values, shares, strict=True)) / total


def reliability(
    probabilities: Sequence[float], labels: Sequence[bool], bins: int = BINS, weights: ResampleWeights | None = None
) -> tuple[Bin, ...]:
    """Return bins of equal mass from the riskiest down: expected against observed; fewer rows than bins, fewer bins.

    Rows of one probability share their positives evenly where a bin's edge cuts through them.

    >>> reliability([0.8, 0.6, 0.2, 0.0], [True, False, False, False], bins=2)
    (Bin(count=2, expected=0.7, observed=0.5), Bin(count=2, expected=0.1, observed=0.0))
    """
    ties = tie_counts(probabilities, labels, weights)
    total = sum(count for _, count, _ in ties)
    bins = min(bins, total)
    edges = iter([total * number // bins for number in range(1, bins + 1)])
    made: list[Bin] = []
    begun = seen = 0
    edge, expected, observed = next(edges, 0), 0.0, 0.0
    for probability, count, positive in ties:
        left = count
        while left:
            taken = min(left, edge - seen)
            expected += probability * taken
            observed += positive * taken / count
            left -= taken
            seen += taken
            if seen == edge:
                size = seen - begun
                made.append(Bin(size, expected / size, observed / size))
                begun, expected, observed, edge = seen, 0.0, 0.0, next(edges, 0)
    return tuple(made)


def ece(
    probabilities: Sequence[float], labels: Sequence[bool], bins: int = BINS, weights: ResampleWeights | None = None
) -> float:
    """Return the expected calibration error: the mean gap between expected and observed over bins of equal mass.

    >>> ece([0.25] * 4, [True, False, False, False])
    0.0
    """
    made = reliability(probabilities, labels, bins, weights)
    if not made:
        raise ValueError("there are no predictions")
    return sum(b.count * abs(b.expected - b.observed) for b in made) / sum(b.count for b in made)


def summary(predictions: Sequence[Prediction], shares: Sequence[float] = SHARES, bins: int = BINS) -> Scores:
    """Return all scores of a set of predictions.

    Raises:
        ValueError: there are no predictions.

    >>> summary([Prediction(0.9, True), Prediction(0.1, False)]).auc
    1.0
    """
    if not predictions:
        raise ValueError("there are no predictions")
    probabilities = [p.probability for p in predictions]
    labels = [p.label for p in predictions]
    positives = sum(labels)
    return Scores(
        examples=len(labels),
        positives=positives,
        base_rate=positives / len(labels),
        expected_over_observed=fsum(probabilities) / positives if positives else None,
        auc=auc(probabilities, labels),
        average_precision=average_precision(probabilities, labels),
        top=tuple(top_share(probabilities, labels, share) for share in shares),
        brier=brier(probabilities, labels),
        log_loss=log_loss(probabilities, labels),
        ece=ece(probabilities, labels, bins),
    )


def words(seed: int) -> Iterator[int]:
    """Return an endless run of well mixed 64-bit numbers that depends on the seed alone (SplitMix64, Steele 2014).

    >>> from itertools import islice
    >>> [hex(word) for word in islice(words(0), 2)]
    ['0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4']
    """
    state = seed % WORD
    while True:
        state = (state + 0x9E3779B97F4A7C15) % WORD
        mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % WORD
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % WORD
        yield mixed ^ mixed >> 31


def resamples(blocks: Sequence[str], count: int, seed: int) -> Iterator[list[int]]:
    """Return `count` bootstrap resamples as how often each row was drawn; rows of one block are drawn together.

    >>> drawn = next(resamples(["a", "a", "b"], 1, seed=7))
    >>> drawn[0] == drawn[1], drawn[0] + drawn[2]
    (True, 2)
    """
    numbers = {block: number for number, block in enumerate(dict.fromkeys(sorted(blocks)))}
    places = [numbers[block] for block in blocks]
    source = words(seed)
    for _ in range(count):
        drawn = [0] * len(numbers)
        for _ in numbers:
            drawn[next(source) * len(numbers) >> 64] += 1
        yield [drawn[place] for place in places]


def bootstrap(
    predictions: Sequence[Prediction], metric: Metric, *, seed: int, count: int = 1000, level: float = 0.95
) -> Interval:
    """Return a metric with its block-bootstrap percentile interval; a block is drawn or left as a whole.

    `level` is the share of resamples inside the interval; resamples in which the metric has no value are left out.

    >>> bootstrap([Prediction(0.9, True, "a"), Prediction(0.1, False, "b")], auc, seed=1, count=50).high
    1.0
    """
    # Sorted once here, every later sort of the same rows is a single pass.
    rows = sorted(predictions, key=lambda p: (-p.probability, p.label, p.block))
    probabilities = [row.probability for row in rows]
    labels = [row.label for row in rows]
    values = (metric(probabilities, labels, drawn) for drawn in resamples([row.block for row in rows], count, seed))
    return _interval(metric(probabilities, labels, [1] * len(rows)), values, level)


def bootstrap_difference(
    first: Sequence[Prediction],
    second: Sequence[Prediction],
    metric: Metric,
    *,
    seed: int,
    count: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Return metric(first) - metric(second) with its paired block-bootstrap interval.

    Both hold the predictions of two models for the same rows in the same order; each resample draws the same rows of
    both, so that what is common to them cancels.

    Raises:
        ValueError: the two differ in length, labels or blocks.
    """
    labels, blocks = [p.label for p in first], [p.block for p in first]
    if labels != [p.label for p in second] or blocks != [p.block for p in second]:
        raise ValueError("the two sets of predictions must be for the same rows in the same order")
    one, other = [p.probability for p in first], [p.probability for p in second]

    def difference(drawn: ResampleWeights) -> float | None:
        left, right = metric(one, labels, drawn), metric(other, labels, drawn)
        return None if left is None or right is None else left - right

    return _interval(difference([1] * len(labels)), map(difference, resamples(blocks, count, seed)), level)


def _interval(estimate: float | None, values: Iterator[float | None], level: float) -> Interval:
    known = sorted(value for value in values if value is not None)
    if estimate is None or not known:
        return Interval(estimate, None, None, 0)
    tail = (1.0 - level) / 2.0
    return Interval(estimate, _quantile(known, tail), _quantile(known, 1.0 - tail), len(known))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return the linearly interpolated quantile of sorted values."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])

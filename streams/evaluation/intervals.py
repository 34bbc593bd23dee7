"""Bootstrap intervals of the main figures for many sets of predictions at once: all, each week, each segment.

Subscribers are drawn whole, since one subscriber's weeks resemble one another; and one draw serves all sets.  The
figures are those of `metrics`, over arrays that are sorted once.
"""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.core.scoring.scorer import LOSS_FLOOR
from streams.evaluation.judging import Intervals
from streams.evaluation.metrics import BINS, Interval, Prediction, Scores, resamples

LEVEL: Final = 0.95
SEED: Final = 1
"""Any fixed number, so that the same predictions always have the same intervals."""
SHARE: Final = 0.05

Array = NDArray[Any]


FIGURES: Final = Intervals.__struct_fields__


class RankedPredictions:
    """A set of predictions as arrays, the highest probability first; `numbers` gives each block's place in a draw."""

    def __init__(self, rows: Iterable[Prediction], numbers: dict[str, int]) -> None:
        # Sorted by everything, so that the order in which the rows came cannot show in the last bit of a sum.
        ranked = sorted(rows, key=lambda row: (-row.probability, row.label, row.block))
        self._blocks = np.array([numbers[row.block] for row in ranked], dtype=np.int64)
        self._expected = np.array([row.probability for row in ranked], dtype=np.float64)
        self._labels = np.array([row.label for row in ranked], dtype=np.float64)
        self._ends = np.flatnonzero(np.append(self._expected[1:] != self._expected[:-1], len(ranked) > 0))
        self._squared = (self._expected - self._labels) ** 2
        likelihoods = np.where(self._labels > 0.0, self._expected, 1.0 - self._expected)
        self._losses = -np.log(np.maximum(likelihoods, LOSS_FLOOR))

    def figures(self, drawn: Array) -> list[float]:
        """Return the figures in the order of `FIGURES` for how often each block was drawn; NaN if one has no meaning.

        >>> rows = [Prediction(0.9, True, "a"), Prediction(0.1, False, "b")]
        >>> [round(figure, 3) for figure in RankedPredictions(rows, {"a": 0, "b": 1}).figures(np.array([1, 1]))]
        [1.0, 1.0, 1.0, 0.01, 0.105, 0.1]
        """
        weights = drawn[self._blocks]
        seen = np.cumsum(weights)[self._ends]
        rows = int(seen[-1]) if len(seen) else 0
        if not rows:
            return [float("nan")] * len(FIGURES)
        found = np.cumsum(weights * self._labels)[self._ends]
        expected = np.cumsum(weights * self._expected)[self._ends]
        positives = float(found[-1])
        more = np.diff(found, prepend=0.0)
        fewer = np.diff(seen - found, prepend=0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            auc = float(np.divide(np.sum(fewer * (found - more / 2.0)), positives * (rows - positives)))
            precision = float(np.divide(np.sum(found / np.maximum(seen, 1) * more), positives))
            size = ceil(round(SHARE * rows, 9))
            recall = float(np.divide(_until([size], seen, found)[0], positives))
        edges = rows * np.arange(min(BINS, rows) + 1) // min(BINS, rows)
        gaps = np.abs(np.diff(_until(edges, seen, expected) - _until(edges, seen, found)))
        return [
            auc,
            precision,
            recall,
            float(weights @ self._squared) / rows,
            float(weights @ self._losses) / rows,
            float(np.sum(gaps)) / rows,
        ]


def _until(rows: Sequence[int] | Array, seen: Array, sums: Array) -> Array:
    """Return the sum over the first so many rows; a tie that is cut is shared out."""
    found: Array = np.interp(rows, np.append(0, seen), np.append(0.0, sums))
    return found


def intervals(
    sets: Sequence[tuple[Scores, Sequence[Prediction]]], *, count: int, seed: int = SEED
) -> list[Intervals | None]:
    """Return the intervals of each set around its scores, from the same `count` resamples; None of any for no count."""
    if not count:
        return [None] * len(sets)
    blocks = sorted({row.block for _, rows in sets for row in rows})
    numbers = {block: number for number, block in enumerate(blocks)}
    ranked = [RankedPredictions(rows, numbers) for _, rows in sets]
    values = np.array(
        [
            [one.figures(drawn) for one in ranked]
            for drawn in (np.array(weights, dtype=np.int64) for weights in resamples(blocks, count, seed))
        ]
    )
    return [_around(scores, values[:, place, :]) for place, (scores, _) in enumerate(sets)]


def _around(scores: Scores, values: Array) -> Intervals:
    recall = next(top.recall for top in scores.top if top.share == SHARE)
    estimates = (scores.auc, scores.average_precision, recall, scores.brier, scores.log_loss, scores.ece)
    return Intervals(*(percentiles(one, values[:, place]) for place, one in enumerate(estimates)))


def percentiles(estimate: float | None, values: Array) -> Interval:
    """Return an estimate between the percentiles of what its resamples gave; NaN among them is left out."""
    known = values[~np.isnan(values)]
    if estimate is None or not len(known):
        return Interval(estimate, None, None, 0)
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(known, (tail, 1.0 - tail))
    return Interval(estimate, float(low), float(high), len(known))

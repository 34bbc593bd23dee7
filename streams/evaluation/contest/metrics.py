"""Average precision and recall for a bootstrap of many rows: the core's definitions over arrays, sorted once.

A resample changes the weights alone, so the order of the probabilities and their ties are kept from one to the next.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.evaluation.metrics import Metric, ResampleWeights

Order = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


class RankCache:
    """Orders of the probabilities that were met, by the list that held them, and the labels' array."""

    def __init__(self) -> None:
        """Begin with none."""
        self._orders: list[tuple[Sequence[float], Order]] = []

    def ties(
        self, probabilities: Sequence[float], labels: Sequence[bool], weights: ResampleWeights
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return rows and positives down to the end of each tie, the highest probability first."""
        order, ends, marks = self._order(probabilities, labels)
        drawn = np.asarray(weights, dtype=np.int64)[order]
        return np.cumsum(drawn)[ends], np.cumsum(drawn * marks)[ends]

    def _order(self, probabilities: Sequence[float], labels: Sequence[bool]) -> Order:
        for known, order in self._orders:
            if known is probabilities:
                return order
        values = np.asarray(probabilities, dtype=np.float64)
        places = np.argsort(-values, kind="stable")
        ranked = values[places]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], len(ranked) > 0))
        order = places, ends, np.asarray(labels, dtype=np.int64)[places]
        self._orders.append((probabilities, order))
        return order


def average_precision() -> Metric:
    """Return `evaluation.average_precision` for one bootstrap.

    >>> average_precision()([0.9, 0.8, 0.1], [True, False, True], [1, 1, 1])
    0.8333333333333333
    """
    ranking = RankCache()

    def metric(probabilities: Sequence[float], labels: Sequence[bool], weights: ResampleWeights) -> float | None:
        seen, found = ranking.ties(probabilities, labels, weights)
        if not len(seen) or not found[-1]:
            return None
        area = found / np.maximum(seen, 1) * np.diff(found, prepend=0)
        return float(area.sum() / found[-1])

    return metric


def recall_at(share: float) -> Metric:
    """Return `evaluation.recall_at` for one bootstrap.

    >>> recall_at(0.5)([0.9, 0.1], [True, False], [1, 1])
    1.0
    """
    ranking = RankCache()

    def metric(probabilities: Sequence[float], labels: Sequence[bool], weights: ResampleWeights) -> float | None:
        seen, found = ranking.ties(probabilities, labels, weights)
        if not len(seen) or not found[-1]:
            return None
        size = ceil(round(share * int(seen[-1]), 9))
        last = int(np.searchsorted(seen, size))
        rows, hits = (int(seen[last - 1]), int(found[last - 1])) if last else (0, 0)
        cut = (int(found[last]) - hits) * (size - rows) / (int(seen[last]) - rows)
        return float((hits + cut) / int(found[-1]))

    return metric

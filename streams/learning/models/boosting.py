"""Boosted trees (LightGBM) beside the lines: fitted anew every four weeks, judged every week, and never served.

They are the yardstick of a trainer: what a learner would give that looks at half a year of settled examples at once.
What serves is linear, with exact reasons, and the same to the last bit on every machine.  Trees give no such reasons,
and how LightGBM adds depends on how it was built.  A fit is kept as plain numbers and evaluated here.

What is kept of the examples has a bound.  Of each class every second one goes, by a hash of its id, whenever there are
more than `ROWS_MAX`, and those that stay weigh so much the more; so it does not show in what order they came.
"""

from bisect import bisect_left
from collections.abc import Sequence
from importlib import import_module
from math import fsum
from struct import Struct as Layout
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from streams.core.alerts.policy import YARDSTICK
from streams.core.contracts.effects import LabelledExample
from streams.core.scoring.scorer import probability
from streams.core.times import DAY_MS
from streams.learning.models.linear import TrainerError
from streams.learning.queue import HASH_VALUES, digest_of

ROUNDS: Final = 150
REFIT_MS: Final = 28 * DAY_MS
WINDOW_MS: Final = 180 * DAY_MS
POSITIVES_MIN: Final = 100
"""With fewer leavers boosting has nothing to split on."""
ROWS_MAX: Final = 10_000
"""Of one class: with 52 features some 2 MB, and a fit of a second or two."""
PARAMETERS: Final[dict[str, Any]] = {
    "objective": "binary", "learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 50, "feature_fraction": 0.5,
    "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 5.0, "max_bin": 127, "verbose": -1, "num_threads": 1,
    "seed": 1, "deterministic": True,
}  # fmt: skip


class Tree(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A tree whose inner nodes are numbered from its root, 0, on, and its leaves from 0 on as well.

    A node asks whether its feature is at most its threshold, and leads `below` if it is, `above` if not: to the node of
    that number, or to the leaf of the number's complement (-1 is leaf 0).  `leaves` are in units of the logit.  A tree
    without nodes is its one leaf.
    """

    features: tuple[int, ...]
    thresholds: tuple[float, ...]
    below: tuple[int, ...]
    above: tuple[int, ...]
    leaves: tuple[float, ...]

    def value(self, features: Sequence[float]) -> float:
        """Return what the tree adds to the logit.

        >>> Tree((0,), (1.5,), (-1,), (-2,), (0.25, 0.75)).value([1.5])
        0.25
        """
        place = 0 if self.features else -1
        while place >= 0:
            is_below = features[self.features[place]] <= self.thresholds[place]
            place = self.below[place] if is_below else self.above[place]
        return self.leaves[~place]


class Fit(Struct, frozen=True, forbid_unknown_fields=True):
    """Trees that were fitted at an event time (ms), and by how many rows."""

    from_ms: int
    examples: int
    positives: int
    trees: tuple[Tree, ...]

    def chance(self, features: Sequence[float]) -> float:
        """Return the probability of leaving for features in the table's order."""
        return probability(fsum([tree.value(features) for tree in self.trees]))


TrainingRow = tuple[int, int, bool, bytes]
"""64-bit hash of the example's id, close of its horizon (ms), label, features as little-endian 32-bit floats."""


class BoostingState(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of `BoostingTrainer` as plain values; `halvings`: how often every second stayer, every second leaver went.

    `kept` is how many rows and fits there are, so that a missing one shows.
    """

    fitted_ms: int
    halvings: tuple[int, int]
    kept: tuple[int, int]
    rows: list[TrainingRow]
    fits: list[Fit]


class BoostingTrainer:
    """The rows to fit by, and the fits that snapshots may still be judged with.

    Raises:
        TrainerError: LightGBM is not installed.
    """

    def __init__(self, features: int, *, patience_ms: int, memory_ms: int) -> None:
        """Begin with nothing: rows are ripe `patience_ms` after their close, fits are kept for `memory_ms`."""
        self._lightgbm = lightgbm()
        self._layout = Layout(f"<{features}f")
        self._patience_ms = patience_ms
        self._memory_ms = memory_ms
        self._fitted_ms = 0
        self._halvings = [0, 0]
        self._rows: tuple[dict[int, TrainingRow], dict[int, TrainingRow]] = ({}, {})
        self.fits: list[Fit] = []

    def take(self, example: LabelledExample) -> None:
        """Keep a final example; what was told before the close is left out, since it is told of some sooner."""
        if example.provisional:
            return
        digest, label = digest_of(example.example_id), example.label
        if digest >= HASH_VALUES >> self._halvings[label]:
            return
        rows = self._rows[label]
        rows[digest] = digest, example.closed_at_ms, label, self._layout.pack(*example.features)
        while len(rows) > ROWS_MAX:
            self._halvings[label] += 1
            for gone in [one for one in rows if one >= HASH_VALUES >> self._halvings[label]]:
                del rows[gone]

    def refit(self, at_ms: int) -> None:
        """Fit at an event time (ms) if four weeks have passed, and enough leavers are ripe; forget what is too old."""
        if self._fitted_ms and at_ms < self._fitted_ms + REFIT_MS:
            return
        until_ms = at_ms - self._patience_ms
        for rows in self._rows:
            for digest in [digest for digest, row in rows.items() if row[1] < until_ms - WINDOW_MS]:
                del rows[digest]
        # By their hash, so that the order in which they came does not show.
        # Of what closes at this very moment some may be here and some not yet.
        ripe = sorted(row for rows in self._rows for row in rows.values() if row[1] < until_ms)
        if sum(row[2] for row in ripe) < POSITIVES_MIN:
            return
        self._fitted_ms = at_ms
        self.fits.append(self._fit(at_ms, ripe))
        while self.fits[1:] and self.fits[1].from_ms < at_ms - self._memory_ms:
            del self.fits[0]

    def _fit(self, at_ms: int, ripe: Sequence[TrainingRow]) -> Fit:
        features = np.frombuffer(b"".join([row[3] for row in ripe]), "<f4").reshape(len(ripe), -1)
        labels = np.array([row[2] for row in ripe], np.float64)
        weights = np.array([float(1 << self._halvings[row[2]]) for row in ripe])
        return Fit(at_ms, len(ripe), int(labels.sum()), trees_of(fit_trees(self._lightgbm, features, labels, weights)))

    def chance(self, features: Sequence[float], snapshot_at_ms: int) -> float | None:
        """Return the probability by the fit that was in force at a snapshot (ms), None if none was."""
        number = bisect_left(self.fits, snapshot_at_ms, key=_from_ms)
        return self.fits[number - 1].chance(features) if number else None

    def state(self) -> BoostingState:
        """Return everything as plain values, the same ones for the same content."""
        return BoostingState(
            fitted_ms=self._fitted_ms,
            halvings=(self._halvings[0], self._halvings[1]),
            kept=(sum(map(len, self._rows)), len(self.fits)),
            rows=sorted(row for rows in self._rows for row in rows.values()),
            fits=list(self.fits),
        )

    def load(self, state: BoostingState) -> None:
        """Replace the content by that of a state.

        Raises:
            TrainerError: a row or a fit is missing, or a row has another number of features.
        """
        if state.kept != (len(state.rows), len(state.fits)):
            raise TrainerError("the rows and fits of the yardstick are not all there")
        if any(len(row[3]) != self._layout.size for row in state.rows):
            raise TrainerError("the snapshot's examples for boosting have another number of features")
        self._fitted_ms, self._halvings = state.fitted_ms, list(state.halvings)
        self._rows = ({row[0]: row for row in state.rows if not row[2]}, {row[0]: row for row in state.rows if row[2]})
        self.fits = list(state.fits)


def lightgbm() -> Any:  # noqa: ANN401 - a module that may be missing
    """Return the module.

    Raises:
        TrainerError: it is not installed.
    """
    try:
        return import_module("lightgbm")
    except ImportError:
        raise TrainerError(f"{YARDSTICK} needs LightGBM: pip install 'forewarn[boost]'") from None


def fit_trees(
    module: Any,  # noqa: ANN401 - as above
    features: NDArray[np.floating[Any]],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> Any:  # noqa: ANN401 - as above
    """Return LightGBM's own model of rows with their labels."""
    return module.train(PARAMETERS, module.Dataset(features, labels, weight=weights), ROUNDS)


def trees_of(model: Any) -> tuple[Tree, ...]:  # noqa: ANN401 - as above
    """Return LightGBM's model as plain trees."""
    return tuple(_tree(one["tree_structure"]) for one in model.dump_model()["tree_info"])


def _tree(root: dict[str, Any]) -> Tree:
    nodes: list[dict[str, Any]] = []
    leaves: list[float] = []
    places: list[tuple[int, int]] = []

    def number_node(node: dict[str, Any]) -> int:
        if "leaf_value" in node:
            leaves.append(node["leaf_value"])
            return ~(len(leaves) - 1)
        number = len(nodes)
        nodes.append(node)
        places.append((0, 0))
        places[number] = number_node(node["left_child"]), number_node(node["right_child"])
        return number

    number_node(root)
    return Tree(
        features=tuple(node["split_feature"] for node in nodes),
        thresholds=tuple(node["threshold"] for node in nodes),
        below=tuple(below for below, _ in places),
        above=tuple(above for _, above in places),
        leaves=tuple(leaves),
    )


def _from_ms(fit: Fit) -> int:
    return fit.from_ms

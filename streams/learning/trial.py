"""The trial of a version before it is published: what it would have said of the newest examples.

They are those that were learned since the last date of versions, as many of them as there is room for, drawn by a hash
of their ids; where they are few, those of the time before join them.  So neither how records arrived nor where a
trainer was killed shows in who passes.

An online model is judged by examples that it has learned, so passing proves nothing.  Failing does: who cannot even
repeat what it was told, within wide bounds, is broken, and the version before it is the better one.
"""

from heapq import heappush, heapreplace
from math import fsum, sqrt
from operator import mul
from struct import Struct as Layout
from typing import Final

import numpy as np
from msgspec import UnsetType

from streams.core.scoring.models import ModelVersion
from streams.core.scoring.scorer import probability
from streams.learning.queue import GuardSettings, TrainerSettings, digest_of

TOO_MANY: Final = 3.0
"""A version that expects as many times more leavers than there were, beyond chance, is broken."""
TOO_FEW: Final = 10.0
"""So is one that expects as many times fewer: a new one does so for a while, where more leave than it was told."""
LEAST_ROWS: Final = 30
"""Of fewer examples hardly anything can be said but how much a feature contributes."""
HASH_MASK: Final = 0xFFFFFFFF
"""The lower half: the upper one decides which stayers are learned."""

SampleRow = tuple[int, int, bool, bytes]
"""Date of the versions after it (ms), negated 32-bit hash, label, features as little-endian 32-bit floats."""


Failure = tuple[str, dict[str, float]]
"""Why a version does not pass, in words and in figures."""


class NewestSample:
    """The newest examples, at most `sample_rows` of the guards."""

    def __init__(self, settings: TrainerSettings, features: int) -> None:
        self._guards = settings.guards or GuardSettings()
        self._kept = settings.keep_negatives
        self._layout = Layout(f"<{features}f")
        self._heap: list[SampleRow] = []

    def take(self, example_id: str, values: tuple[float, ...], label: bool, date_ms: int) -> None:
        """Keep an example that is learned before a date of versions (ms), if it is among the newest."""
        is_full = len(self._heap) >= self._guards.sample_rows
        place = date_ms, -(digest_of(example_id) & HASH_MASK)
        if is_full and place <= self._heap[0][:2]:
            return
        row = (*place, label, self._layout.pack(*values))
        if is_full:
            heapreplace(self._heap, row)
        else:
            heappush(self._heap, row)

    def failure(self, version: ModelVersion) -> Failure | None:
        """Return why a version should not serve, None if it may."""
        guards = self._guards
        slopes = [w / s if s else 0.0 for w, s in zip(version.weights, version.scales, strict=True)]
        rows = [(label, self._layout.unpack(packed)) for _, _, label, packed in sorted(self._heap)]
        return _largest_share(version, guards, slopes, rows) or self._unlikely(version, guards, slopes, rows)

    def _unlikely(
        self,
        version: ModelVersion,
        guards: GuardSettings,
        slopes: list[float],
        rows: list[tuple[bool, tuple[float, ...]]],
    ) -> Failure | None:
        """Judge how many leavers a version expects, and how many its alerts alone would promise."""
        if len(rows) < LEAST_ROWS:
            return None
        periods = 1.0 if isinstance(version.periods, UnsetType) else version.periods
        bias = version.intercept - fsum(map(mul, slopes, version.means))
        left = float(sum(label for label, _ in rows))
        expected, warned = [], []
        for label, values in rows:
            # A stayer stands for those that are not learned.
            weight = 1.0 if label else 1.0 / self._kept
            chance = probability(bias + fsum(map(mul, slopes, values)), periods)
            expected.append(weight * chance)
            warned.append(weight * (chance >= guards.warns_from))
        total, promised = fsum(expected), guards.warns_from * fsum(warned)
        least, most = left - 3.0 * sqrt(left) - 3.0, left + 3.0 * sqrt(left) + 3.0
        figures = {"examples": float(len(rows)), "left": left, "expected": total, "warned": fsum(warned)}
        among = f"of the newest {len(rows)} examples, of whom {left:.0f} left"
        if not least / TOO_FEW <= total <= most * TOO_MANY:
            return (f"it expects {total:.1f} to leave {among}", figures)
        if promised > most:
            return (f"it warns of {fsum(warned):.0f} {among}", figures)
        return None

    def state(self) -> list[SampleRow]:
        """Return the examples as plain values, in one order."""
        return sorted(self._heap)

    def load(self, rows: list[SampleRow]) -> None:
        """Replace the examples by those of a state; a sorted list is a heap."""
        self._heap = list(rows)

    def fits(self, rows: list[SampleRow]) -> bool:
        """Say whether the examples of a state have as many features as there are."""
        return all(len(row[3]) == self._layout.size for row in rows)


def _largest_share(
    version: ModelVersion, guards: GuardSettings, slopes: list[float], rows: list[tuple[bool, tuple[float, ...]]]
) -> Failure | None:
    if not rows:
        return None
    table = np.array([values for _, values in rows])
    largest: list[float] = np.abs((table - np.array(version.means)) * np.array(slopes)).max(axis=0).tolist()
    size, name = max(zip(largest, version.features, strict=True))
    # A row is kept in 32 bits, so that it may lie that little further out than what was seen.
    if size <= guards.share_max * (1.0 + 1e-6):
        return None
    return f"{name} alone would move a probability by {size:.1f} (logit)", {"share": size}

"""Annoyance: bad days add up and are forgotten, and whoever has had enough leaves.  Everybody has another threshold."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from streams.simulate.population import NO_DAY
from streams.simulate.world import Bools, Floats, Ints

KEPT: Final = 0.97
"""Of annoyance, after a day: half is forgotten after three weeks."""
BAD_DAY: Final = 1.0  # For a day on which so many of the calls failed, and two at the least.
BAD_SHARE: Final = 0.12
FAILED_TOP_UP: Final = 0.4
OVERDUE_DAY: Final = 0.5
RESIGNED: Final = 0.3
"""Share of people whom nothing drives away that an operator does."""
HALF_WAY: Final = 0.5


@dataclass(slots=True)
class Annoyance:
    """How annoyed each subscriber is, by the service and by the complaints that lie; `tolerance` is their own."""

    service: Floats
    complaint: Floats
    tolerance: Floats
    half_day: Ints

    @classmethod
    def start(cls, rng: np.random.Generator, count: int, tolerance: float, spread: float) -> "Annoyance":
        """Return calm people, whose tolerance has this median and this spread of its logarithm."""
        own = tolerance * np.exp(spread * rng.standard_normal(count))
        own[rng.random(count) < RESIGNED] = np.inf
        return cls(np.zeros(count), np.zeros(count), own, np.full(count, NO_DAY, dtype=np.int64))

    def live(self, day: int, failed: Floats, attempts: Floats, failed_top_ups: Floats, standing: Floats) -> None:
        """Let a day pass: what failed, and how the ticket stands (1 is past its promised date)."""
        bad = (failed >= 2) & (failed > BAD_SHARE * attempts)
        self.service *= KEPT
        self.service += BAD_DAY * bad + FAILED_TOP_UP * failed_top_ups
        self.complaint *= KEPT
        self.complaint += OVERDUE_DAY * (standing >= 1.0)
        half = self.level >= HALF_WAY * self.tolerance
        self.half_day = np.where(half, np.minimum(self.half_day, day), NO_DAY)

    @property
    def level(self) -> Floats:
        """Return how annoyed each is."""
        return self.service + self.complaint

    @property
    def enough(self) -> Bools:
        """Return who has had enough."""
        over: Bools = self.level >= self.tolerance
        return over

    def calm(self, who: Ints | Bools, share: float) -> None:
        """Leave some with this share of what they bear."""
        total = np.maximum(self.level[who], 1e-9)
        keep = np.minimum(share * np.where(np.isinf(self.tolerance[who]), total, self.tolerance[who]) / total, 1.0)
        self.service[who] *= keep
        self.complaint[who] *= keep

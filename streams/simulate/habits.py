"""What moves in a subscriber's behaviour from day to day and has nothing to do with leaving."""

from dataclasses import dataclass

import numpy as np

from streams.simulate import rates
from streams.simulate.population import NO_DAY, Population
from streams.simulate.world import Bools, Floats, Ints


@dataclass(slots=True)
class Habits:
    """One row a subscriber.

    `mood` is the log of the level of use; until `away_until` only `away_use` of it is left; `less_since` is the day
    from which a subscriber spends far less and stays; `suspended_until` that on which a bill is decided; `progress`
    grows towards `threshold`, at which the next top-up is due; `failed` says that the last attempt failed.
    """

    mood: Floats
    away_until: Ints
    away_use: Floats
    less_since: Ints
    suspended_until: Ints
    progress: Floats
    threshold: Floats
    failed: Bools

    @classmethod
    def start(cls, rng: np.random.Generator, population: Population) -> "Habits":
        """Return habits in their stationary state."""
        count = len(population)
        return cls(
            mood=rates.MOOD_SPREAD * rng.standard_normal(count),
            away_until=np.full(count, -NO_DAY, dtype=np.int64),
            away_use=np.ones(count),
            less_since=np.full(count, NO_DAY, dtype=np.int64),
            suspended_until=np.full(count, -NO_DAY, dtype=np.int64),
            progress=rng.random(count),
            threshold=thresholds(rng, population.regularity),
            failed=np.zeros(count, dtype=np.bool_),
        )


def thresholds(rng: np.random.Generator, regularity: Floats) -> Floats:
    """Draw how much progress the next top-ups need: 1 on average, the closer to it the more regular the subscriber."""
    return rng.gamma(regularity) / regularity

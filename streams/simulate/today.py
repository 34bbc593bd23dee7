"""One day of one chunk: what every part of the simulation works on."""

from dataclasses import dataclass

import numpy as np

from streams.simulate.causes import Memory
from streams.simulate.habits import Habits
from streams.simulate.latent import Latent
from streams.simulate.population import Population
from streams.simulate.truth import Ledger
from streams.simulate.world import Bools, World


@dataclass(frozen=True, slots=True)
class Today:
    """The day's number, the random stream, and the columns that change as it is lived through."""

    day: int
    rng: np.random.Generator
    world: World
    population: Population
    latent: Latent
    habits: Habits
    memory: Memory
    ledger: Ledger

    @property
    def day_ms(self) -> int:
        """Return the first moment of the day, ms since 1970 UTC."""
        return self.world.day_ms(self.day)

    def by_chance(self, chance: float) -> Bools:
        """Draw for each subscriber whether something of this chance happens."""
        drawn: Bools = self.rng.random(len(self.population)) < chance
        return drawn

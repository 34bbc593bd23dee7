"""Silences that are no leaving: travel, a summer at home, a season's work, a SIM in a drawer.  They end."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from streams.simulate.population import NO_DAY
from streams.simulate.truth import Ledger
from streams.simulate.world import Bools, Floats, Ints, World

TOLD_DAYS: Final = 5
"""A silence of fewer days is not worth a line of the truth."""


@dataclass(slots=True)
class Absences:
    """Who is away until which day, with what is left of their use; `why` is a position in `names`."""

    names: tuple[str, ...]
    since: Ints
    until: Ints
    use: Floats
    why: Ints

    @classmethod
    def none(cls, count: int, names: tuple[str, ...]) -> "Absences":
        """Return a base that is all at home."""
        return cls(
            names=names,
            since=np.full(count, NO_DAY, dtype=np.int64),
            until=np.full(count, -NO_DAY, dtype=np.int64),
            use=np.ones(count),
            why=np.zeros(count, dtype=np.int64),
        )

    def away(self, day: int) -> Bools:
        """Return who is away on a day."""
        is_away: Bools = (self.since <= day) & (self.until >= day)
        return is_away

    def begin(self, who: Ints, since: Ints, until: Ints, use: Floats, why: int) -> None:
        """Send some away, from and to these days."""
        self.since[who], self.until[who], self.use[who], self.why[who] = since, until, use, why

    def level(self, day: int) -> Floats:
        """Return what being away leaves of everybody's use."""
        return np.where(self.away(day), self.use, 1.0)

    def note_returns(self, ledger: Ledger, world: World, day: int, used: Ints) -> None:
        """Write down the silences that ended on this day, on which these have used or paid."""
        over = used[(self.since[used] < NO_DAY) & (self.until[used] < day)]
        quiet = over[(self.use[over] <= 0.0) & (day - self.since[over] >= TOLD_DAYS)]
        for row in quiet.tolist():
            from_ms = world.day_ms(int(self.since[row]))
            ledger.absences.append((row, from_ms, world.day_ms(day), self.names[int(self.why[row])]))
        self.since[over] = NO_DAY


def until_day(rng: np.random.Generator, first: Ints, shortest: int, longest: int) -> Ints:
    """Draw the last day of absences that begin on these days."""
    return first + rng.integers(shortest, longest, len(first)) - 1

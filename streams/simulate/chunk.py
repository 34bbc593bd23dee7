"""A chunk of subscribers, as every story has it: so many of them, lived through day by day, with the truth at the end.

Chunks are independent of one another (groups never span two), so that they can be run in any order, in parallel, or
one day of each in turn, and give the same events.
"""

from collections.abc import Iterator
from typing import Final, Protocol

from streams.simulate.columns import DayEvents
from streams.simulate.population import Population
from streams.simulate.simulation import Simulation
from streams.simulate.truth import Ledger, Truth
from streams.simulate.world import Floats, World

CHUNK_SUBSCRIBERS: Final = 5_000


class Chunk(Protocol):
    """Some subscribers and what becomes of them."""

    settings: Simulation
    world: World
    population: Population
    ledger: Ledger

    def days(self) -> Iterator[tuple[DayEvents, Floats | None]]:
        """Yield each day's events, and on every seventh day the true probability at its start (else None)."""

    def truths(self) -> list[Truth]:
        """Return the truth about every subscriber, once the days are over."""

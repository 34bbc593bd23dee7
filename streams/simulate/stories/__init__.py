"""Stories: how it comes about that subscribers leave.

They differ in that, and not in their rates; docs/simulator.md has what each is built from.
"""

from collections.abc import Callable
from typing import Final

from streams.simulate.chunk import Chunk
from streams.simulate.simulation import Simulation, Story
from streams.simulate.stories.campus import CampusChunk
from streams.simulate.stories.contract import ContractChunk
from streams.simulate.stories.hazard import HazardChunk
from streams.simulate.stories.second_sim import SecondSimChunk
from streams.simulate.world import World

DrawChunk = Callable[[Simulation, World, int], Chunk]

STORIES: Final[dict[Story, DrawChunk]] = {
    "hazard": HazardChunk.draw,
    "campus": CampusChunk,
    "second-sim": SecondSimChunk,
    "contract": ContractChunk,
}


def draw_chunk(settings: Simulation, world: World, number: int) -> Chunk:
    """Return chunk `number` of a simulation as its story has it, ready for its first day."""
    return STORIES[settings.story](settings, world, number)

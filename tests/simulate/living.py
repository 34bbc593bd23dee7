"""Live through a chunk of a story, and keep what its events and its truth tell, by row and day."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from streams.core.times import DAY_MS
from streams.simulate import Simulation, Story, draw_chunk
from streams.simulate.chunk import Chunk
from streams.simulate.columns import OUTCOME_CHANGES
from streams.simulate.truth import Truth
from streams.simulate.world import Bools, Floats, World, build_world

NEW_STORIES: tuple[Story, ...] = ("campus", "second-sim", "contract")


@dataclass(frozen=True)
class LivedStory:
    """A story as it was lived: `used` and `topped_up` are subscribers x days, outcomes are (row, ms, change)."""

    settings: Simulation
    world: World
    chunk: Chunk
    truths: list[Truth]
    used: Bools
    topped_up: Bools
    attempts: Floats
    failed: Floats
    outcomes: list[tuple[int, int, str]]
    complaints: list[tuple[int, int, int]]
    probabilities: dict[int, Floats]

    @property
    def months(self) -> float:
        return self.settings.days / 30

    def day_of(self, at_ms: int) -> int:
        return (at_ms - self.world.start_ms) // DAY_MS

    def leavers(self, *causes: str) -> list[int]:
        """Rows of those who left of their own will, for one of these causes if any are named."""
        return [
            row for row, truth in enumerate(self.truths) if truth.voluntary and (not causes or truth.why[0] in causes)
        ]


@cache
def lived(story: Story, subscribers: int = 1_500, days: int = 240, seed: int = 5) -> LivedStory:
    settings = Simulation(story=story, subscribers=subscribers, days=days, seed=seed)
    world = build_world(settings)
    chunk = draw_chunk(settings, world, 0)
    shape = (len(chunk.population), days)
    used, topped_up, attempts, failed = np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(shape), np.zeros(shape)
    outcomes, complaints, probabilities = [], [], {}
    for events, probability in chunk.days():
        usage, top_ups = events.usage, events.top_ups
        used[usage.who, events.day] = True
        attempts[usage.who, events.day] = usage.attempts
        failed[usage.who, events.day] = usage.dropped + usage.setup_failed
        topped_up[top_ups.who[top_ups.failure < 0], events.day] = True
        table = events.outcomes
        rows = zip(table.who.tolist(), table.at_ms.tolist(), table.change.tolist(), strict=True)
        outcomes += [(who, at_ms, OUTCOME_CHANGES[change]) for who, at_ms, change in rows]
        tickets = events.complaints
        complaints += list(zip(tickets.who.tolist(), tickets.at_ms.tolist(), tickets.expected_ms.tolist(), strict=True))
        if probability is not None:
            probabilities[events.day] = probability
    return LivedStory(
        settings, world, chunk, chunk.truths(), used, topped_up, attempts, failed, outcomes, complaints, probabilities
    )

"""A simulated operator: seeded, with a hidden truth, and as difficult as `benchmarks/ceiling.py` measured it to be."""

from streams.simulate.operator import Progress, chunk_count, draw_chunks, events_of, simulate
from streams.simulate.simulation import STORY_NAMES, Simulation, SimulationReport, Story
from streams.simulate.stories import draw_chunk

__all__ = [
    "STORY_NAMES",
    "Progress",
    "Simulation",
    "SimulationReport",
    "Story",
    "chunk_count",
    "draw_chunk",
    "draw_chunks",
    "events_of",
    "simulate",
]

"""A simulated operator: seeded, with a hidden truth, and as difficult as `benchmarks/ceiling.py` measured it to be."""

from streams.simulate.operator import Progress, chunk_count, draw_chunks, events_of, simulate
from streams.simulate.simulation import Simulation, SimulationReport

__all__ = ["Progress", "Simulation", "SimulationReport", "chunk_count", "draw_chunks", "events_of", "simulate"]

"""A simulated operator as topics and the truth about it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streams.app.progress import Progress, TellProgress
from streams.shared.compression import Compression
from streams.simulate.simulation import Simulation, SimulationReport


def simulate(
    out: Path,
    *,
    seed: int,
    subscribers: int,
    days: int,
    start_ms: int | None = None,
    progress: TellProgress | None = None,
    compression: Compression = "none",
    **faults: Any,  # noqa: ANN401 - checked by Simulation, field by field
) -> SimulationReport:
    """Write the topics of a simulated operator and the truth about it."""
    if start_ms is not None:
        faults["start"] = datetime.fromtimestamp(start_ms / 1000, UTC)
    settings = Simulation(seed=seed, subscribers=subscribers, days=days, compression=compression, **faults)
    from streams.simulate.operator import simulate as simulate_operator  # noqa: PLC0415 - as above, for NumPy

    return simulate_operator(settings, out, _day_progress(progress, settings))


def _day_progress(progress: TellProgress | None, settings: Simulation) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(Progress(done, done, total, settings.start_ms, 0))

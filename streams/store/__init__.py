"""The store: what a run has found out and how far it has come, committed together or not at all."""

from streams.store.database import RunStore
from streams.store.run.batch import (
    NO_TIME_MS,
    AlertRow,
    Batch,
    Checkpoint,
    MarketAnnouncement,
    Position,
    PredictionRow,
    Run,
)

__all__ = [
    "NO_TIME_MS",
    "AlertRow",
    "Batch",
    "Checkpoint",
    "MarketAnnouncement",
    "Position",
    "PredictionRow",
    "Run",
    "RunStore",
]

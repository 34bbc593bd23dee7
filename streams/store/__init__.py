"""The store: what a run has found out and how far it has come, committed together or not at all."""

from streams.store.database import Store
from streams.store.run.batch import NO_TIME_MS, AlertRow, Announced, Batch, Checkpoint, Position, Prediction, Run

__all__ = ["NO_TIME_MS", "AlertRow", "Announced", "Batch", "Checkpoint", "Position", "Prediction", "Run", "Store"]

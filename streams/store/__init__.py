"""The store: what a run has found out and how far it has come, committed together or not at all."""

from streams.store.batch import NO_TIME_MS, AlertRow, Announced, Batch, Checkpoint, Position, Prediction, Run
from streams.store.database import Store

__all__ = ["NO_TIME_MS", "AlertRow", "Announced", "Batch", "Checkpoint", "Position", "Prediction", "Run", "Store"]

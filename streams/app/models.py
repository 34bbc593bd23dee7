"""Joins what `forewarn model` needs: the versions in a database, and the promotions among them."""

from streams.app.policies import whole_scorecard
from streams.core.scoring.promotions import Promotion
from streams.core.scoring.scorer import Scorer
from streams.learning.judging.verdicts import MatureWeek, read_lineup_status
from streams.learning.registry import (
    FeatureWeight,
    ModelRegistry,
    VersionDifference,
    agreement,
    differences,
    find,
    promotion_to,
    rollback,
    weights,
)
from streams.shared.errors import StoreError
from streams.store.database import RunStore
from streams.store.run.batch import NO_TIME_MS, Batch, Checkpoint

__all__ = [
    "FeatureWeight",
    "MatureWeek",
    "ModelRegistry",
    "VersionDifference",
    "agreement",
    "differences",
    "find",
    "load_registry",
    "promote",
    "promotion_for",
    "scorecard",
    "weights",
]


def load_registry(db: str) -> ModelRegistry:
    """Return the versions in a database, as they stand at the time that its run has come to."""
    with RunStore.open(db, create=False) as store:
        return _registry(store, _newest_checkpoint(store))


def promote(db: str, wanted: str | None) -> Promotion:
    """Let a line or a version serve from where the run of a database stands, None for what served before.

    Raises:
        InputError: there is no such line or version, or it serves already.
        StoreError: nothing was run into the database yet, or a run is writing to it now.
    """
    with RunStore.open(db, create=False) as store:
        checkpoint = _newest_checkpoint(store)
        promotion = promotion_for(_registry(store, checkpoint), wanted, checkpoint.stream_ms)
        # A commit like any other, so that a run that is going on meanwhile finds out, and stops.
        store.commit(
            Batch(positions={}, stream_ms=checkpoint.stream_ms, counters=checkpoint.counters, promotions=[promotion])
        )
    return promotion


def scorecard() -> Scorer:
    """Return the reviewed scorecard, which every line begins from."""
    return whole_scorecard()


def promotion_for(registry: ModelRegistry, wanted: str | None, at_ms: int) -> Promotion:
    """Return the promotion of a line or a version from an event time (ms) on; of what served before, if it is None.

    Raises:
        InputError: there is no such line or version, or it serves already.
    """
    return rollback(registry, at_ms) if wanted is None else promotion_to(registry, wanted, at_ms)


def _registry(store: RunStore, checkpoint: Checkpoint) -> ModelRegistry:
    return ModelRegistry(
        versions=store.models(),
        promotions=store.promotions(),
        at_ms=checkpoint.stream_ms,
        standing=read_lineup_status(checkpoint.trainer),
    )


def _newest_checkpoint(store: RunStore) -> Checkpoint:
    checkpoint = store.load()
    if checkpoint is None or checkpoint.stream_ms == NO_TIME_MS:
        raise StoreError(
            f"database {store.name} holds no run yet", hint="`forewarn run --input ... --db ...` makes one"
        )
    return checkpoint

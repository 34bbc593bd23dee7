"""What a run has done: the figures that it ends with."""

from msgspec import Struct

from streams.engine.embedded import EmbeddedEngine
from streams.evaluation.judging import judge
from streams.store.database import RunStore
from streams.store.run.batch import NO_TIME_MS, Checkpoint


class RunSummary(Struct, frozen=True, kw_only=True):
    """What a database holds after a run, and how fast this run was."""

    events: dict[str, int]
    duplicates: int
    late: int
    unmatched: int
    dead_letters: dict[str, int]
    subscribers: int
    scored: int
    examples: int
    alerts_by_band: dict[str, int]
    alerts_by_kind: dict[str, int]
    alerts_held_out: int
    model_version: str
    prequential: dict[str, float]
    elapsed_s: float
    events_per_s: float
    stream_ms: int
    resumed: bool


def events_by_topic(counters: dict[str, int]) -> dict[str, int]:
    """Return the events read of each topic, out of a run's counters.

    >>> events_by_topic({"events:usage": 3, "late": 1})
    {'usage': 3}
    """
    return {name.removeprefix("events:"): n for name, n in counters.items() if name.startswith("events:")}


def summarise(store: RunStore, runner: EmbeddedEngine, before: Checkpoint, elapsed_s: float) -> RunSummary:
    """Return what the database holds now, and how fast the run was that went on from `before`."""
    counters = runner.counters
    events = events_by_topic(counters)
    read = sum(events.values()) - sum(events_by_topic(before.counters).values())
    by_band: dict[str, int] = {}
    by_kind: dict[str, int] = {}
    held_out = 0
    for row in store.alerts():
        if row.fired_at_ms is not None and row.latest.held_out:
            held_out += 1
        elif row.fired_at_ms is not None:
            by_band[row.latest.band] = by_band.get(row.latest.band, 0) + 1
            by_kind[row.latest.kind] = by_kind.get(row.latest.kind, 0) + 1
    return RunSummary(
        events=events,
        duplicates=counters.get("repeated", 0),
        late=counters.get("late", 0),
        unmatched=counters.get("unmatched", 0),
        dead_letters={name.removeprefix("dead:"): n for name, n in counters.items() if name.startswith("dead:")},
        subscribers=runner.subscribers,
        scored=counters.get("scored", 0),
        examples=counters.get("examples", 0),
        alerts_by_band=by_band,
        alerts_by_kind=by_kind,
        alerts_held_out=held_out,
        model_version=runner.model_version,
        prequential=prequential(store),
        elapsed_s=elapsed_s,
        events_per_s=read / elapsed_s if elapsed_s else 0.0,
        stream_ms=max(runner.stream_ms, 0),
        resumed=before.stream_ms != NO_TIME_MS,
    )


def prequential(store: RunStore) -> dict[str, float]:
    """Return how the probabilities served so far did, where their horizon has closed."""
    checkpoint = store.load()
    found = judge(store, checkpoint, None).overall if checkpoint is not None else None
    if found is None:
        return {}
    named = {
        "examples": float(found.examples),
        "left": found.base_rate,
        "AUC": found.auc,
        "AP": found.average_precision,
        "recall@5%": found.top[1].recall,
        "lift@10%": found.top[2].lift,
        "log loss": found.log_loss,
        "ECE": found.ece,
    }
    return {name: value for name, value in named.items() if value is not None}

"""A small operator to run, and everything that a database holds of a run, so that two runs can be compared."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from streams.app import new_trainer as new_trainers
from streams.app import policies, runs, simulations
from streams.app.runs import RunSummary
from streams.core.notify.endpoints import Endpoint
from streams.core.scoring.models import read_card
from streams.core.subscriber.packing import unpack_whole
from streams.defaults import read_default
from streams.learning.trainer import Trainer
from streams.shared.compression import Compression
from streams.store.database import RunStore
from streams.store.run.batch import Checkpoint
from streams.store.sink import Sink

LIVELY = """
[policy.label]
horizon_days = 14
looks_ahead = false

[policy.snapshots]
after_days = 14

[policy.training]
positives_min = 2

[policy.alerting.low]
open_at = 0.05
close_at = 0.03
cool_down_days = 7

[policy.alerting.mid]
open_at = 0.04
close_at = 0.03
cool_down_days = 7

[policy.alerting.high]
open_at = 0.03
close_at = 0.02
cool_down_days = 7
"""
"""A policy under which a small operator has many alerts, second episodes and several model versions.

Whoever is silent has left: a small operator has too few leavers otherwise.
"""
NO_STAGES = """
[policy.stage]
requested_for_days = 0
lapsed_after_days = 0
"""
"""What makes of a policy the one of before there were stages, with the version that it had then."""
WITHOUT_STAGES = LIVELY + NO_STAGES

CLEAN: dict[str, Any] = {"late": 0.0, "duplicated": 0.0, "reordered": 0.0, "malformed": 0.0}
FAULTY: dict[str, Any] = {"late": 0.01, "duplicated": 0.01, "reordered": 0.02, "malformed": 0.002}


def write_operator(
    folder: Path,
    *,
    subscribers: int = 150,
    days: int = 100,
    seed: int = 11,
    faults: dict[str, Any] = FAULTY,
    compression: Compression = "none",
    policy: str = LIVELY,
) -> Path:
    """Simulate into a folder that brings its own policy; drift is on."""
    simulations.simulate(folder, seed=seed, subscribers=subscribers, days=days, compression=compression, **faults)
    (folder / policies.DATASET_FILE).write_text(policy)
    return folder


def run(folder: Path | str, db: Path, **options: Any) -> RunSummary:
    return runs.run(str(folder), str(db), **options)


def with_endpoint(db: Path) -> Path:
    """Make a database with an endpoint that is told of everything, and return it."""
    with Sink.open(db) as sink:
        sink.add_endpoint(Endpoint(name="crm", preset="standard", url="https://crm.example.net/"), None, 0)
    return db


def contents(db: Path) -> dict[str, Any]:
    """Everything that a database holds of a run, by what it is called; the moment of the run itself is left out."""
    with RunStore.open(str(db), create=False) as store, Sink.open(str(db), create=False) as sink:
        checkpoint = store.load()
        assert checkpoint is not None
        alerts = store.alerts()
        return {
            "deliveries": sorted((one.delivery_id, one.state, one.why) for one in sink.deliveries()),
            "positions": checkpoint.positions,
            "stream time": checkpoint.stream_ms,
            "counters": checkpoint.counters,
            "trainer": checkpoint.trainer,
            "states": list(store.states()),
            "snapshots": snapshots_in(db),
            "alerts": alerts,
            "transitions": [store.transitions(alert.latest.alert_id) for alert in alerts],
            "models": store.models(),
            "promotions": store.promotions(),
            "market events": store.market_events(),
            "predictions": list(store.predictions()),
            "dead letters": list(store.dead_letters()),
            "late events": list(store.late_events()),
        }


def snapshots_in(db: Path) -> list[tuple[str, int, bytes]]:
    """Every snapshot that waits in a database; those that its states wait for, and no others."""
    with closing(sqlite3.connect(db)) as connection:
        found = connection.execute("SELECT subscriber_id, at_ms, body FROM snapshots ORDER BY subscriber_id, at_ms")
        snapshots = found.fetchall()
    with RunStore.open(str(db), create=False) as store:
        opened = {subscriber_id: unpack_whole(packed) for subscriber_id, packed in store.states()}
    awaited = {(who, one.at_ms) for who, (state, _) in opened.items() for one in state.watch.waiting}
    whole = {(who, one.at_ms) for who, (_, inside) in opened.items() for one in inside}
    assert {(who, at_ms) for who, at_ms, _ in snapshots} == awaited - whole
    return snapshots


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Name what is not the same, down to the last bit, in the contents of two databases."""
    return [name for name in one if one[name] != other[name]]


def checkpoint_of(db: Path) -> Checkpoint:
    with RunStore.open(str(db), create=False) as store:
        checkpoint = store.load()
        assert checkpoint is not None
        return checkpoint


@contextmanager
def as_before(trainer: Trainer) -> Iterator[None]:
    """Let what begins meanwhile begin as before there were guards: with a trainer's settings, a whole scorecard."""
    whole = read_card(read_default("scorecard.toml"))
    with (
        patch.object(new_trainers, "settings_of", lambda _: trainer.settings),
        patch.object(policies, "scorecard_for", lambda _: whole),
    ):
        yield

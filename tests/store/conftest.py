"""A store on a fresh file, opened by path and by URL, and makers of what is put into it."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streams.core.contracts.effects import AlertChanged, DeadLetter, Evidence, LabelledExample, LateEvent, Reason
from streams.core.contracts.events import MarketEvent
from streams.core.scoring.models import ModelVersion, with_version_hash
from streams.core.scoring.promotions import Promotion
from streams.core.scoring.promotions import with_promotion_hash as sealed_promotion
from streams.store import Batch, MarketAnnouncement, Position, Run, RunStore
from tests.postgres.databases import database_url, furnished, postgres, postgres_url

__all__ = ["database_url", "postgres", "postgres_url"]

RUN = Run(
    input="dump/",
    settings={"every": 1, "names": ["a"]},
    policy={"hold_hours": 24.5},
    policy_version="policy-1",
    feature_table="f00d",
    received_ms=1_700_000_000_000,
    started_ms=1_700_000_000_001,
)


def changed(alert: str = "a", change: str = "fired", at_ms: int = 1_000, **fields: object) -> AlertChanged:
    base: dict[str, Any] = {
        "alert_id": f"alert-{alert}",
        "transition_id": f"{alert}-{change}-{at_ms}",
        "subscriber_id": f"s_{alert}",
        "kind": "service_fault",
        "episode": 1,
        "state": {"opened": "pending", "dropped": "inactive", "resolved": "resolved"}.get(change, "firing"),
        "change": change,
        "why": "probability above the threshold for 24 hours",
        "at_ms": at_ms,
        "opened_at_ms": 500,
        "probability": 0.1 + 0.2,
        "logit": -0.8472978603872034,
        "intercept": -3.5,
        "threshold": 0.25,
        "band": "high",
        "value_band": "mid",
        "value_at_risk_minor": 12_345_678_901,
        "currency": "EUR",
        "reasons": (
            Reason("drops_up", "network", 1 / 3, {"drops_7d": 0.1}, (Evidence("drops", "1", 7.0, None, 7),)),
            Reason("quiet", "use", 1e-300, {}, ()),
        ),
        "action": "call",
        "due_at_ms": 2_000,
        "model_version": "champion-1-abcdef01",
        "feature_table": "f00d",
        "policy_version": "policy-1",
        "schema_version": "contracts-1",
        "offsets": {0: 17, 131_075: 4},
        "account_manager_id": "m1",
        "group_id": None,
        "area_id": None,
    }
    return AlertChanged(**{**base, **fields})


def example(number: int = 1, **fields: object) -> LabelledExample:
    base: dict[str, Any] = {
        "example_id": f"e{number}",
        "subscriber_id": f"s_{number}",
        "snapshot_at_ms": number * 1_000,
        "features": (1.0, 2.0),
        "feature_table": "f00d",
        "label": bool(number % 2),
        "kind": "stayed",
        "knowable_at_ms": 5_000,
        "closed_at_ms": 6_000,
        "probability": 1 / 3,
        "model_version": "scorecard-00000000",
    }
    return LabelledExample(**{**base, **fields})


def model(version: int = 1, intercept: float = -3.0) -> ModelVersion:
    return with_version_hash(
        ModelVersion(
            name="champion", version=version, parent=version - 1 or None, feature_table="f00d", features=("a", "b"),
            intercept=intercept, weights=(0.1, 1e-17), means=(0.3, 2.0), scales=(1.0, 0.0), published_at_ms=7_000,
            examples=10, positives=2, source_position=10, metrics={"log_loss": 0.1},
        )
    )  # fmt: skip


def promotion(**fields: object) -> MarketEvent:
    began = datetime(2024, 5, 1, tzinfo=timezone(timedelta(hours=8)))
    base: dict[str, Any] = {
        "event_id": "m1", "event_time": began, "entry_id": "p1", "entry_type": "competitor_promotion",
        "area_ids": ("north",), "segments": ("youth",), "valid_from": began, "source": "watch",
    }  # fmt: skip
    return MarketEvent(**{**base, **fields})


def batch(number: int = 1, **fields: object) -> Batch:
    base: dict[str, Any] = {
        "positions": {"usage/0": Position(number, 100, 200)},
        "stream_ms": number * 1_000,
        "counters": {"events": number},
    }
    return Batch(**{**base, **fields})


def promoted(to: str) -> Promotion:
    return sealed_promotion(Promotion(at_ms=9, before="champion", to=to, by="operator", evidence={"weeks": 4.0}))


def full_batch() -> Batch:
    return batch(
        states=[("s_b", b"\x00two"), ("s_a", b"one")],
        snapshots=[("s_b", 5, b"\x00body"), ("s_a", 5, b"a"), ("s_a", 7, b"b")],
        transitions=[changed(change="opened", at_ms=500), changed(), changed("b", "opened", 700)],
        examples=[example(1), example(2)],
        late=[LateEvent("s_a", "usage", 0, 3, "ev3", 4, 86_400)],
        dead=[DeadLetter("usage", 0, 5, "not_json", "no", b"\xff\x00"), DeadLetter("-", 0, 6, "empty", "", b"")],
        announced=[MarketAnnouncement(7, promotion()), MarketAnnouncement(9, promotion(revision=1, cancelled=True))],
        models=[model(1), model(2)],
        promotions=[promoted("hazard"), promoted("champion-1-01234567")],
        trainer=b'{"queue":[]}',
    )


def contents(store: RunStore) -> dict[str, object]:
    """Everything that can be read from a store."""
    alerts = store.alerts()
    return {
        "checkpoint": store.load(),
        "states": list(store.states()),
        "snapshots": sorted(store.snapshots([(who, at_ms) for who in ("s_a", "s_b") for at_ms in (5, 7, 9)])),
        "alerts": alerts,
        "transitions": {row.latest.alert_id: store.transitions(row.latest.alert_id) for row in alerts},
        "models": store.models(),
        "promotions": store.promotions(),
        "predictions": list(store.predictions()),
        "dead": list(store.dead_letters()),
        "late": list(store.late_events()),
    }


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    return SimpleNamespace(
        run=RUN,
        changed=changed,
        example=example,
        model=model,
        batch=batch,
        full_batch=full_batch,
        contents=contents,
        promotion=promotion,
    )


@pytest.fixture(params=["path", "url", pytest.param("postgresql", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    path = tmp_path / "run.db"
    return str(path) if request.param == "path" else f"sqlite:///{path}"


@pytest.fixture
def store(place: str) -> Iterator[RunStore]:
    with RunStore.open(furnished(place)) as opened:
        opened.start(RUN)
        yield opened


@pytest.fixture
def reopened(place: str, store: RunStore) -> Iterator[Callable[[], RunStore]]:
    """Open the database of `store` once more, as a later process would."""
    stores: list[RunStore] = []

    def reopen() -> RunStore:
        store.close()
        stores.append(RunStore.open(place, create=False))
        return stores[-1]

    yield reopen
    for opened in stores:
        opened.close()

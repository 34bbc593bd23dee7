"""The comparison of engines with a real broker and the engine that needs nothing installed."""

import asyncio
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.broker import Broker

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
GIVEN = Namespace(
    engines=["aiokafka-loop"], events=5_000, slow_events=500, subscribers=100, partitions=4, rounds=2, limit=120.0
)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("engines")


def test_the_yardstick_counts_every_event_exactly_once_in_each_round(engines: Any, broker: Broker) -> None:
    result = engines.compare(broker.address, GIVEN)
    measured = result["engines"]["aiokafka-loop"]
    assert "no_result" not in measured
    assert measured["states"] == 100
    assert measured["topic_events"] == 5_000
    assert len(measured["rounds_events_per_s"]) == 2


def test_an_engine_that_leaves_an_event_out_has_no_result(engines: Any, broker: Broker, prefix: str) -> None:
    traffic = import_module("traffic")
    name, few = f"{prefix}events", traffic.Traffic(subscribers=10, partitions=4)
    asyncio.run(traffic.produce(broker.address, name, few, 100))
    ends = asyncio.run(import_module("counted").ends(broker.address, name, 4))
    assert sum(ends) == 100
    topic = engines.BenchmarkTopic(brokers=broker.address, name=name, partitions=4, ends=ends)
    measured = engines.run(engines.ENGINES["aiokafka-loop"], topic, f"{prefix}count", 120.0)
    longer = engines.BenchmarkTopic(brokers=broker.address, name=name, partitions=4, ends=(ends[0] + 1, *ends[1:]))
    assert engines.judged(measured, topic, f"{prefix}count")["states"] == 10
    with pytest.raises(engines.NoResultError, match="its states count 100 events of 101"):
        engines.judged(measured, longer, f"{prefix}count")

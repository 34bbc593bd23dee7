"""The market on Kafka: the same alerts as in one process, read whole and followed, bad entries refused in words."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.app import simulations
from streams.core.contracts.encode import output_record
from streams.core.contracts.events import MARKET, Body, Event, MarketEvent
from streams.core.signals.signals import NO_SIGNALS
from streams.core.times import NEVER_MS
from streams.engine.in_force import MODELS, ContextTimeline
from streams.kafka.client.connection import ConnectionSettings
from streams.kafka.topics.broadcast import publish
from streams.kafka.worker.subscriber_task import SubscriberTask
from tests.cli.calling import call, lines
from tests.core.makers import at, entry, moment, numbered, profile, usage
from tests.engine.operators import CLEAN, LIVELY, contents, run
from tests.kafka.broker import Broker
from tests.kafka.worker.test_in_force import COLD, body, version
from tests.kafka.workers import Raw, Worker, prepare, read_topic, wait_until_applied

KEY = b"entry-1"


def written(event: MarketEvent) -> bytes:
    return msgspec.json.encode(event)


def known(serving: ContextTimeline, at_ms: int) -> list[str]:
    return [signal.entry_id for signal in serving.at(at_ms)[0].signals.everywhere]


def test_an_entry_is_in_force_from_its_event_time_on_beside_the_models_of_the_time() -> None:
    serving, model = ContextTimeline(COLD), version(1, at(3))
    assert serving.take(MODELS, model.served_as.encode(), body(model)) is None
    assert serving.take(MARKET, KEY, written(entry(at(2)))) is None
    assert serving.take(MARKET, b"later", written(entry(at(9), entry_id="later"))) is None
    assert [known(serving, at(day)) for day in (1, 2, 3, 9)] == [
        [],
        [KEY.decode()],
        [KEY.decode()],
        ["entry-1", "later"],
    ]
    assert [serving.at(at(day))[1] for day in (1, 2, 3, 9)] == [at(2), at(3), at(9), NEVER_MS]
    assert [serving.at(at(day))[0].scorer.version for day in (2, 3)] == [COLD.scorer.version, model.served_as]
    assert serving.newest_context().signals.version == serving.at(at(9))[0].signals.version
    assert serving.at(at(1))[0].signals is NO_SIGNALS


def test_what_is_said_twice_changes_nothing_and_a_key_without_a_value_forgets_the_entry() -> None:
    serving = ContextTimeline(COLD)
    serving.take(MARKET, KEY, written(entry(at(2))))
    edition = serving.edition
    assert serving.take(MARKET, KEY, written(entry(at(2)))) is None
    assert serving.take(MARKET, b"nobody's", None) is None
    assert serving.edition == edition
    assert serving.take(MARKET, KEY, None) is None
    assert (serving.edition, known(serving, at(3))) == (edition + 1, [])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"{", "not_json"),
        (b"", "empty"),
        (b'{"entry_id": "entry-1"}', "missing_field"),
        (written(entry(at(9))), "future_time"),
        (written(entry(at(0), valid_to=moment(at(-1)))), "bad_period: valid_to is before valid_from"),
        (written(entry(at(0), entry_id="another")), "its key is not its entry_id"),
    ],
)
def test_a_bad_entry_is_refused_in_words_and_changes_nothing(value: bytes, says: str) -> None:
    serving = ContextTimeline(COLD)
    serving.take(MARKET, KEY, written(entry(at(0))))
    before = serving.edition, serving.at(at(20))
    assert says in (serving.take(MARKET, KEY, value, at(2)) or "")
    assert (serving.edition, serving.at(at(20))) == before


def test_a_partition_knows_an_entry_from_its_time_on_whether_it_was_there_before_or_comes_meanwhile() -> None:
    bodies: list[Body] = [profile(at(0)), *(usage(at(day)) for day in range(1, 40))]
    offer = entry(at(20, 5))
    found = []
    for is_live in (False, True):
        serving = ContextTimeline(COLD)
        if not is_live:
            serving.take(MARKET, KEY, written(offer))
        task = SubscriberTask(0, "forewarn", serving)
        for event in numbered(bodies):
            assert isinstance(event, Event)
            if event.at_ms == at(20):
                serving.take(MARKET, KEY, written(offer))
            value = msgspec.json.encode(event.body)
            assert task.queue(event.source, event.offset, [Raw(event.offset, at(50), b"k", value)])
            while task.advance(set(task.queues), 100):
                pass
            is_known = task.subscribers.context.signals is not NO_SIGNALS
            assert is_known == (event.at_ms >= at(20, 5)), event.at_ms
        changes = task.changes()
        assert changes is not None
        found.append(changes.states)
    assert found[0] == found[1]


def test_the_same_operator_has_the_same_alerts_in_one_process_and_on_kafka(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """One partition and no trainer, so that both have one order of time and one scorer."""
    folder, policy, db = tmp_path / "events", tmp_path / "policy.toml", tmp_path / "run.db"
    start_ms = int(time.time()) // 86_400 * 86_400_000 - 75 * 86_400_000
    simulations.simulate(folder, seed=5, subscribers=80, days=70, start_ms=start_ms, **CLEAN)
    policy.write_text(LIVELY.replace("positives_min = 2", "positives_min = 1000000"))
    run(folder, db, policy_path=policy)
    expected = sorted(
        (json.loads(output_record(change).value) for alert in contents(db)["transitions"] for change in alert),
        key=_order,
    )
    where = ("--kafka", broker.address, "--prefix", prefix)
    asyncio.run(prepare(broker.address, prefix, 1))
    (sent,) = lines(call("produce", folder, *where, "--json"))
    published = (folder / f"{MARKET}.jsonl").read_bytes().splitlines()
    assert sent["records"][MARKET] == len(published)
    there = asyncio.run(read_topic(broker.address, prefix + MARKET))
    assert [record.value for record in there] == published
    assert [record.key.decode() for record in there] == [json.loads(line)["entry_id"] for line in published]
    count = sum(sent["records"].values()) - len(published)
    with Worker(broker.address, prefix, tmp_path, options=("--policy", str(policy))) as worker:
        left = wait_until_applied(broker.address, prefix, count)
        assert worker.stop() == 0, worker.words
    assert sorted(left.alerts, key=_order) == expected
    assert len({alert["signals_version"] for alert in expected}) > 2
    codes = {reason["code"] for alert in expected for reason in alert["reasons"][:2]}
    assert "competitor_offer" in codes


def _order(alert: dict[str, Any]) -> str:
    return str(alert["transition_id"])


def test_a_running_worker_takes_an_entry_and_refuses_bad_ones_in_one_line(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    asyncio.run(prepare(broker.address, prefix, 1))
    cluster = ConnectionSettings(brokers=broker.address)
    good = written(entry(at(0), entry_id="p-1"))
    asyncio.run(publish(cluster, prefix + MARKET, [(b"p-0", b"{"), (b"p-1", good)]))
    with Worker(broker.address, prefix, tmp_path) as worker:
        worker.wait_for("partition 0 restored")
        assert "market-events at offset 0 refused, what serves stays: not_json" in worker.words
        assert "signals-" in worker.words
        later = written(entry(at(1), entry_id="p-2"))
        asyncio.run(publish(cluster, prefix + MARKET, [(b"p-2", later), (b"p-3", later), (b"p-1", None)]))
        worker.wait_for("market-events: p-2 taken")
        worker.wait_for("market-events at offset 3 refused, what serves stays: its key is not its entry_id")
        worker.wait_for("market-events: p-1 withdrawn")
        assert worker.stop() == 0, worker.words


def test_a_bad_line_about_the_market_is_sent_under_its_entry_and_named_where_it_has_none(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    asyncio.run(prepare(broker.address, prefix, 1))
    where = ("--kafka", broker.address, "--prefix", prefix)
    file = tmp_path / f"{MARKET}.jsonl"
    file.write_bytes(written(entry(at(0))) + b'\n{"entry_id": "bad"}\n{"entry": 1}\n')
    answer = call("produce", file, *where, "--keep-bad")
    assert answer.exit_code == 3
    assert answer.stderr.startswith(f"error: {file}:3 has no entry_id that can be read (unknown_field)")
    assert "the 2 records before it were sent" in answer.stderr
    found = [record.key for record in asyncio.run(read_topic(broker.address, prefix + MARKET))]
    assert found == [b"entry-1", b"bad"]

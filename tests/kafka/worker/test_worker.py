"""Workers on a real broker: the same states and alerts as without one, and nothing lost or doubled by any kill."""

import asyncio
import random
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from streams.app import runs
from streams.core.contracts.events import INPUTS
from streams.core.contracts.outputs import rfc3339
from streams.engine.subscribers import SNAPSHOT
from tests.kafka.broker import Broker
from tests.kafka.workers import (
    LogContents,
    SentRecord,
    SupervisedWorker,
    Worker,
    assert_exact,
    changed,
    feed,
    folded,
    in_parts,
    left_in,
    prepare,
    send,
    wait_until_applied,
)

KILLS = 20


def fed_and_worked(broker: Broker, prefix: str, records: list[SentRecord], folder: Path) -> LogContents:
    """Send everything, and let one worker work it off."""
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, records))
    with Worker(broker.address, prefix, folder) as worker:
        left = wait_until_applied(broker.address, prefix, len(records))
        assert worker.stop() == 0, worker.words
    return left


def test_a_worker_leaves_exactly_what_an_offline_fold_of_the_log_gives(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    left = fed_and_worked(broker, prefix, fed, tmp_path)
    tasks = asyncio.run(folded(broker.address, prefix))
    states = {key: packed for task in tasks for key, packed in changed(task)}
    assert left.states == states
    assert left.alerts
    assert not [path for path in tmp_path.iterdir() if path.is_dir()], "a worker keeps nothing in files"
    assert_exact(broker.address, prefix, left, len(fed))


@pytest.mark.parametrize("store", ["memory", "disk"])
def test_twenty_kills_of_two_workers_lose_nothing_and_double_nothing(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path, store: str
) -> None:
    """Each worker in its turn is killed at a random moment while records keep coming; one seed decides when."""
    states = tmp_path / "states"
    states.mkdir()
    options = ["--store", str(states), "--open-max", "5"] if store == "disk" else ["--store", store]
    draw = random.Random(20)
    asyncio.run(prepare(broker.address, prefix))
    parts = in_parts(fed, KILLS + 1)
    workers = [SupervisedWorker(broker.address, prefix, tmp_path, name=f"w{n}", options=options) for n in range(2)]
    try:
        for each in workers:
            each.worker.wait_for("restored")
        for kill, part in enumerate(parts):
            asyncio.run(send(broker.address, prefix, part))
            if kill < KILLS:
                time.sleep(draw.uniform(0.0, 1.5))
                workers[kill % 2].restart()
        left = wait_until_applied(broker.address, prefix, len(fed), 150.0, supervised=workers)
    finally:
        for each in workers:
            each.worker.kill()
    assert_exact(broker.address, prefix, left, len(fed))
    assert not list(states.iterdir())


def test_a_flood_of_bad_records_stops_the_worker_before_it_drains_the_topic(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    flood = [SentRecord("usage", b"s_0", b'{"no": "usage"}')] * 3_000
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, [*fed[:2_000], *flood]))
    with Worker(broker.address, prefix, tmp_path) as worker:
        worker.process.wait(60)
        assert worker.process.returncode == 65
        last = worker.words.splitlines()[-1]
        assert last.startswith("stopped: a flood of bad records in partition ")
        assert "missing_field" in last or "unknown_field" in last
    left = asyncio.run(left_in(broker.address, prefix))
    assert len(left.dead) < len(flood)


def test_an_erased_subscriber_leaves_no_state(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    erased = next(record.key for record in fed if record.topic == "usage")
    first = [record for record in fed if record.key != b"unreadable"][:3_000]
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, first))
    with Worker(broker.address, prefix, tmp_path) as worker:
        before = wait_until_applied(broker.address, prefix, len(first))
        asyncio.run(send(broker.address, prefix, [SentRecord("subscribers", erased, None)]))
        after = wait_until_applied(broker.address, prefix, len(first) + 1)
        assert worker.stop() == 0
    assert erased in before.states
    assert subscribers(after) == subscribers(before) - {erased}
    assert not [key for key in after.states if key.startswith(erased)]
    with Worker(broker.address, prefix, tmp_path) as worker:
        worker.wait_for("partition 3 restored")
        assert f"{len(subscribers(after))} subscribers" in total_restored(worker.words)


def subscribers(left: LogContents) -> set[bytes]:
    """Return who has a state."""
    return {key for key in left.states if SNAPSHOT.encode() not in key}


def total_restored(words: str) -> str:
    """Add up what the partitions have restored."""
    counts = [int(found.replace(",", "")) for found in re.findall(r"restored: ([\d,]+) subscribers", words)]
    return f"{sum(counts)} subscribers"


def test_a_third_worker_joins_and_one_leaves_and_nothing_is_lost(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    """Records keep coming meanwhile; nobody has to be started again."""
    parts = in_parts(fed, 12)
    asyncio.run(prepare(broker.address, prefix))
    with (
        Worker(broker.address, prefix, tmp_path, name="one") as one,
        Worker(broker.address, prefix, tmp_path, name="two") as two,
    ):
        one.wait_for("restored")
        feed(broker.address, prefix, parts[:4])
        with Worker(broker.address, prefix, tmp_path, name="three") as three:
            for part in parts[4:8]:
                asyncio.run(send(broker.address, prefix, part))
                time.sleep(1.0)
            three.wait_for("restored")
            assert one.stop() == 0, one.words
            feed(broker.address, prefix, parts[8:])
            left = wait_until_applied(broker.address, prefix, len(fed))
            assert [two.process.poll(), three.process.poll()] == [None, None], (two.words, three.words)
            assert "as they were" in two.words, "what stays with a worker is not read anew"
    assert_exact(broker.address, prefix, left, len(fed))


def test_a_broker_that_is_killed_and_comes_back_costs_nothing(
    own_broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    """The worker goes on, or ends with a failed write and is started again: either way the states are exact."""
    parts = in_parts(fed, 24)
    asyncio.run(prepare(own_broker.address, prefix))
    with SupervisedWorker(own_broker.address, prefix, tmp_path, name="w") as supervised:
        supervised.worker.wait_for("partition 3 restored")
        feed(own_broker.address, prefix, parts[:12])
        own_broker.kill()
        time.sleep(8.0)
        own_broker.restart()
        feed(own_broker.address, prefix, parts[12:])
        left = wait_until_applied(own_broker.address, prefix, len(fed), 150.0, supervised=[supervised])
    assert_exact(own_broker.address, prefix, left, len(fed))


def test_a_worker_gives_the_alerts_that_the_embedded_engine_gives(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    """As long as nothing was learned, and up to where the slowest partition's time has come."""
    left = fed_and_worked(broker, prefix, fed, tmp_path)
    events = tmp_path / "events"
    events.mkdir()
    for topic in INPUTS:
        lines = [record.value for record in fed if record.topic == topic and record.value is not None]
        (events / f"{topic}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    unlearned = tmp_path / "policy.toml"
    unlearned.write_text("[policy.training]\npositives_min = 1000000000\n", "utf-8")
    database = tmp_path / "embedded.db"
    runs.run(str(events), str(database), policy_path=unlearned)
    until_ms = min(mark.stream_ms for mark in left.marks.values())
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT transition_id FROM transitions WHERE at_ms <= ?", (until_ms,)).fetchall()
    published = {alert["transition_id"] for alert in left.alerts if alert["event_time"] <= rfc3339(until_ms)}
    assert published == {transition for (transition,) in rows} != set()

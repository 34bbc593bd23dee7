"""What single sources do: stay silent, hold a transaction open, bring events late or from the future."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # aiokafka comes without types

from streams.core.contracts.outputs import rfc3339
from streams.kafka.client.partitioning import partition_of
from tests.kafka.broker import Broker
from tests.kafka.workers import (
    PARTITIONS,
    SentRecord,
    Worker,
    assert_exact,
    folded,
    left_in,
    prepare,
    send,
    wait_until_applied,
)

WEEK = "2024-01-07"
"""Before this time of a simulation's first week nothing can be late."""


def readable(fed: list[SentRecord], before: str = "9999") -> list[SentRecord]:
    """Return the records with a time before another."""
    return [record for record in fed if record.key != b"unreadable" and time_of(record) < before]


def time_of(record: SentRecord) -> str:
    """Return a record's event time as it is written."""
    return str(body_of(record)["event_time"])


def body_of(record: SentRecord) -> dict[str, Any]:
    """Return a record's fields."""
    body: dict[str, Any] = msgspec.json.decode(record.value or b"{}")
    return body


def again(record: SentRecord, event_id: str, moved: timedelta) -> SentRecord:
    """Return a record like another, with an id of its own and at another time."""
    body = body_of(record)
    moment = datetime.fromisoformat(body["event_time"]) + moved
    times = {name: moment.isoformat() for name in ("event_time", "requested_date", "confirmation_date") if name in body}
    return SentRecord(record.topic, record.key, msgspec.json.encode({**body, **times, "event_id": event_id}))


@asynccontextmanager
async def transaction(address: str, prefix: str, records: list[SentRecord]) -> AsyncIterator[None]:
    """Have records in the log in a transaction that is open until the end of the block."""
    producer = AIOKafkaProducer(bootstrap_servers=address, transactional_id=f"{prefix}slow-producer")
    await producer.start()
    try:
        async with producer.transaction():
            await asyncio.gather(*[await producer.send(prefix + r.topic, key=r.key, value=r.value) for r in records])
            yield
    finally:
        await producer.stop()


def test_partitions_and_topics_without_any_record_hold_back_nobody(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    busy = [r for r in readable(fed) if partition_of(r.key, PARTITIONS) == 1 and r.topic in {"usage", "top-ups"}]
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, busy))
    with Worker(broker.address, prefix, tmp_path) as worker:
        left = wait_until_applied(broker.address, prefix, len(busy), 20.0)
        assert worker.stop() == 0
    assert set(left.marks) == {1}
    assert_exact(broker.address, prefix, left, len(busy))


def test_an_open_transaction_holds_back_its_own_records_and_nobody_elses(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    """The last stable offset of its partitions stands still; what is behind it counts once it is committed."""
    records = readable(fed, WEEK)
    held = [record for record in records if record.topic == "usage"]
    first, behind = held[: len(held) // 2], held[len(held) // 2 :]
    others = [record for record in records if record.topic != "usage"]
    assert {partition_of(record.key, PARTITIONS) for record in first} == set(range(PARTITIONS))

    async def while_it_is_open(worker: Worker) -> None:
        async with transaction(broker.address, prefix, first):
            await send(broker.address, prefix, behind + others)
            await asyncio.to_thread(wait_until_applied, broker.address, prefix, len(others), 20.0)
            await asyncio.sleep(2.0)
            counted = (await left_in(broker.address, prefix)).counted
            assert sum(n for name, n in counted.items() if name.startswith("events:")) == len(others)
            assert "events:usage" not in counted
            assert worker.process.poll() is None

    asyncio.run(prepare(broker.address, prefix))
    with Worker(broker.address, prefix, tmp_path) as worker:
        worker.wait_for("partition 3 restored")
        asyncio.run(while_it_is_open(worker))
        left = wait_until_applied(broker.address, prefix, len(records), 20.0)
        assert worker.stop() == 0
    assert left.counted["events:usage"] == len(held)
    assert_exact(broker.address, prefix, left, len(records))


def test_late_and_repeated_events_are_counted_and_impossible_times_are_dead_letters(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    records = readable(fed)
    top_ups = [record for record in records if record.topic == "top-ups"][-40:]
    too_late = [again(record, f"late-{n}", timedelta(days=-20)) for n, record in enumerate(top_ups[:10])]
    in_time = [again(record, f"slow-{n}", timedelta(days=-3)) for n, record in enumerate(top_ups[10:20])]
    repeated = top_ups[20:30]
    absurd = [again(record, f"ahead-{n}", timedelta(days=36_500)) for n, record in enumerate(top_ups[30:35])]
    ancient = [again(record, f"ancient-{n}", timedelta(days=-36_500)) for n, record in enumerate(top_ups[35:])]
    more = [*absurd, *too_late, *reversed(in_time), *repeated, *ancient]
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, records))
    with Worker(broker.address, prefix, tmp_path) as worker:
        before = wait_until_applied(broker.address, prefix, len(records))
        asyncio.run(send(broker.address, prefix, more))
        left = wait_until_applied(broker.address, prefix, len(records) + len(more))
        assert worker.stop() == 0
    assert left.counted["late"] - before.counted.get("late", 0) == len(too_late)
    assert left.counted["repeated"] - before.counted.get("repeated", 0) == len(repeated)
    assert left.counted["dead:future_time"] == len(absurd)
    assert left.counted["dead:bad_time"] == len(ancient)
    assert {letter["reason"] for letter in left.dead} == {"future_time", "bad_time"}
    assert max(mark.stream_ms for mark in left.marks.values()) == max(mark.stream_ms for mark in before.marks.values())
    assert_exact(broker.address, prefix, left, len(records) + len(more))
    tasks = asyncio.run(folded(broker.address, prefix))
    for name in ("late", "repeated", "dead:future_time", "dead:bad_time"):
        assert left.counted.get(name, 0) == sum(task.counters.get(name, 0) for task in tasks)


def test_a_record_of_a_backlog_that_leaps_a_year_ahead_moves_nobodys_time(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    """It lies in the past when it is received, so only its neighbours tell that it is a slip."""
    records = readable(fed)
    slips: list[SentRecord] = []
    for partition in range(PARTITIONS):
        own = [r for r in records if r.topic == "top-ups" and partition_of(r.key, PARTITIONS) == partition]
        middle = own[len(own) // 2]
        slip = again(middle, f"slip-{partition}", timedelta(days=365))
        records.insert(records.index(middle) + 1, slip)
        slips.append(slip)
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, records))
    with Worker(broker.address, prefix, tmp_path) as worker:
        left = wait_until_applied(broker.address, prefix, len(records))
        assert worker.stop() == 0
    assert left.counted["dead:future_time"] == len(slips)
    assert left.counted.get("late", 0) == 0
    newest = max(map(time_of, readable(fed)))
    assert rfc3339(max(mark.stream_ms for mark in left.marks.values()))[:19] == newest[:19]
    assert_exact(broker.address, prefix, left, len(records))

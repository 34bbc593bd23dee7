"""What the log no longer has: a worker says so and stops, instead of going on as if nothing had been there."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import TopicPartition  # type: ignore[import-untyped]  # aiokafka comes without types
from aiokafka.admin import (  # type: ignore[import-untyped]  # as above
    AIOKafkaAdminClient,
)
from aiokafka.admin.records_to_delete import (  # type: ignore[import-untyped]  # as above
    RecordsToDelete,
)

from streams.kafka.client.connection import ConnectionSettings
from streams.kafka.topics.management import create
from tests.kafka.broker import Broker
from tests.kafka.workers import SentRecord, Worker, in_parts, prepare, send, wait_until_applied


async def expire(address: str, topic: str, partition: int) -> int:
    """Have all records of a partition deleted, as retention does; return up to which offset."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        tp = TopicPartition(topic, partition)
        return int((await admin.delete_records({tp: RecordsToDelete(before_offset=-1)}))[tp])
    finally:
        await admin.close()


async def make_anew(address: str, prefix: str, topic: str) -> None:
    """Delete a topic, and create it again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()
    await create(ConnectionSettings(brokers=address), prefix, 4, 1)


def worked_off(broker: Broker, prefix: str, records: list[SentRecord], folder: Path) -> None:
    """Have a worker apply some records, and end."""
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, records))
    with Worker(broker.address, prefix, folder) as worker:
        wait_until_applied(broker.address, prefix, len(records))
        assert worker.stop() == 0, worker.words


@pytest.mark.parametrize("is_accepted", [False, True], ids=["refused", "accepted"])
def test_records_that_expired_before_they_were_read_stop_the_worker_unless_that_is_accepted(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path, *, is_accepted: bool
) -> None:
    first, second, third = in_parts(fed, 3)
    worked_off(broker, prefix, first, tmp_path)
    asyncio.run(send(broker.address, prefix, second))
    topic = f"{prefix}usage"
    reached = asyncio.run(expire(broker.address, topic, 2))
    asyncio.run(send(broker.address, prefix, third))
    with Worker(broker.address, prefix, tmp_path, options=["--accept-expired"] if is_accepted else []) as worker:
        if is_accepted:
            worker.wait_for("have expired unread: accepted")
            lost = int(worker.words.split(f" records of {topic}/2")[0].splitlines()[-1].replace(",", ""))
            wait_until_applied(broker.address, prefix, len(fed) - lost)
            assert worker.stop() == 0
        else:
            assert worker.process.wait(60) == 70
            last = worker.words.splitlines()[-1]
            assert f"records of {topic}/2 (" in last
            assert f"to {reached - 1}) have expired unread; restore them, or start once with --accept-expired" in last


def test_a_topic_that_was_made_anew_stops_the_worker(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    worked_off(broker, prefix, fed[:2_000], tmp_path)
    asyncio.run(make_anew(broker.address, prefix, f"{prefix}usage"))
    with Worker(broker.address, prefix, tmp_path) as worker:
        assert worker.process.wait(60) == 70
        last = worker.words.splitlines()[-1]
    assert "the topic was made anew, or is another one" in last or "would lose subscribers silently" in last

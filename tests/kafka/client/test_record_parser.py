"""The parser's own records reach whoever asks for them, and nobody else."""

import asyncio
import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest
from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    TopicPartition,
)
from aiokafka.consumer import fetcher  # type: ignore[import-untyped]  # as above

from streams.kafka.client.record_parser import as_parsed, install_parsed_records
from tests.kafka.broker import Broker
from tests.kafka.workers import SentRecord, prepare, send

BEFORE_AND_AFTER = """
from aiokafka.consumer import fetcher
own = fetcher.PartitionRecords
import streams.app.notifier
from streams.kafka.client import record_parser as parsed
assert fetcher.PartitionRecords is own
parsed.install_parsed_records()
parsed.install_parsed_records()
assert fetcher.PartitionRecords is not own
"""


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install it, for one test."""
    monkeypatch.setattr(fetcher, "PartitionRecords", fetcher.PartitionRecords)
    install_parsed_records()


async def read(address: str, topic: str, **options: Any) -> list[Any]:
    """Return the first records of a topic."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest", **options)
    await consumer.start()
    try:
        fetched = await consumer.getmany(timeout_ms=10_000)
    finally:
        await consumer.stop()
    return [record for records in fetched.values() for record in records]


def test_a_consumer_that_asks_for_it_is_given_the_parsers_records_and_any_other_aiokafkas(
    broker: Broker, prefix: str
) -> None:
    asyncio.run(prepare(broker.address, prefix, 1))
    asyncio.run(
        send(broker.address, prefix, [SentRecord("usage", b"s_1", b"one"), SentRecord("usage", b"s_2", b"two")])
    )
    topic = f"{prefix}usage"
    plain = asyncio.run(read(broker.address, topic))
    parsed = asyncio.run(read(broker.address, topic, key_deserializer=as_parsed))
    assert [record.topic for record in plain] == [topic, topic]
    assert not any(hasattr(record, "topic") for record in parsed)
    facts = [(record.offset, record.timestamp, record.key, record.value) for record in parsed]
    assert facts == [(record.offset, record.timestamp, record.key, record.value) for record in plain]
    assert [fact[2:] for fact in facts] == [(b"s_1", b"one"), (b"s_2", b"two")]


def test_a_file_that_is_imported_changes_nothing_in_aiokafka_until_it_is_asked_to() -> None:
    subprocess.run([sys.executable, "-c", BEFORE_AND_AFTER], check=True)


async def in_transactions(address: str, topic: str, *fates: bool) -> None:
    """Send a batch of three records in each of some transactions, which are committed or aborted."""
    producer = AIOKafkaProducer(bootstrap_servers=address, transactional_id=topic)
    await producer.start()
    try:
        for number, is_committed in enumerate(fates):
            await producer.begin_transaction()
            batch = producer.create_batch()
            for part in range(3):
                batch.append(key=b"k", value=b"%d.%d" % (number, part), timestamp=None)
            await (await producer.send_batch(batch, topic, partition=0))
            await (producer.commit_transaction() if is_committed else producer.abort_transaction())
    finally:
        await producer.stop()


async def read_from(address: str, topic: str, first: int, **options: Any) -> tuple[list[tuple[int, bytes]], int]:
    """Return what is committed from an offset on, and where the reader stands then."""
    consumer = AIOKafkaConsumer(bootstrap_servers=address, isolation_level="read_committed", **options)
    await consumer.start()
    try:
        place, found = TopicPartition(topic, 0), []
        consumer.assign([place])
        consumer.seek(place, first)
        end = (await consumer.end_offsets([place]))[place]
        while await consumer.position(place) < end:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                found += [(record.offset, record.value) for record in records]
        return found, await consumer.position(place)
    finally:
        await consumer.stop()


def test_from_any_offset_both_see_the_same_committed_records_and_end_at_the_same_place(
    broker: Broker, prefix: str
) -> None:
    """Offsets: 0 to 2 and a marker, 4 to 6 (aborted) and a marker, 8 to 10 and a marker."""
    asyncio.run(prepare(broker.address, prefix, 1))
    topic = f"{prefix}usage"
    asyncio.run(in_transactions(broker.address, topic, True, False, True))
    whole = [(0, b"0.0"), (1, b"0.1"), (2, b"0.2"), (8, b"2.0"), (9, b"2.1"), (10, b"2.2")]
    for first in range(12):
        expected = [record for record in whole if record[0] >= first], 12
        assert asyncio.run(read_from(broker.address, topic, first)) == expected
        assert asyncio.run(read_from(broker.address, topic, first, key_deserializer=as_parsed)) == expected


def test_what_was_fetched_is_let_go_of_once_it_was_read_and_waits_for_no_collector(broker: Broker, prefix: str) -> None:
    asyncio.run(prepare(broker.address, prefix, 1))
    asyncio.run(send(broker.address, prefix, [SentRecord("usage", b"s_1", b"one")]))
    made: list[weakref.ref[Any]] = []

    class Watched(fetcher.PartitionRecords):  # type: ignore[misc]  # as above
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(weakref.ref(self))

    gc.collect()
    gc.disable()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fetcher, "PartitionRecords", Watched)
            records = asyncio.run(read(broker.address, f"{prefix}usage", key_deserializer=as_parsed))
        assert [record.value for record in records] == [b"one"]
        assert made
        assert [fetched() for fetched in made] == [None] * len(made)
    finally:
        gc.enable()

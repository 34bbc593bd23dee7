"""The parser's own records reach whoever asks for them, and nobody else."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]  # aiokafka comes without types

from streams.kafka.parsed import as_parsed
from tests.kafka.broker import Broker
from tests.kafka.workers import Fed, prepare, send


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
    asyncio.run(send(broker.address, prefix, [Fed("usage", b"s_1", b"one"), Fed("usage", b"s_2", b"two")]))
    topic = f"{prefix}usage"
    plain = asyncio.run(read(broker.address, topic))
    parsed = asyncio.run(read(broker.address, topic, key_deserializer=as_parsed))
    assert [record.topic for record in plain] == [topic, topic]
    assert not any(hasattr(record, "topic") for record in parsed)
    facts = [(record.offset, record.timestamp, record.key, record.value) for record in parsed]
    assert facts == [(record.offset, record.timestamp, record.key, record.value) for record in plain]
    assert [fact[2:] for fact in facts] == [(b"s_1", b"one"), (b"s_2", b"two")]

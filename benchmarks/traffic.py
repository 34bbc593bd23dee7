"""The topic that every engine reads: JSON events of three kinds, keyed by subscriber, the same for the same seed.

A shorter topic holds the first events of a longer one.  Nothing is compressed, so that no engine pays for another
library's decompression; retention is off, since a broker deletes by the records' time whatever has been read.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]  # aiokafka comes without types
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # as above
from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]  # as above
from msgspec import Struct

SEED = 1
BATCH_BYTES = 1 << 20
CHUNK_EVENTS = 20_000
KINDS = (
    (
        b'{"event_id":"0198c0de-0000-7000-8000-%012x","event_time":"2024-05-%02dT%02d:%02d:11.250Z","kind":"call-drops",'
        b'"subscriber_id":"%s","call_id":"c%x","service":"volte","direction":"originating","answered":true,'
        b'"duration_s":%d,"cause_for_term":"abnormalRelease","rat":"eutran","release_code":3,"cell_id":"460-00-1A2B3C4"}'
    ),
    (
        b'{"event_id":"0198c0de-0000-7000-8000-%012x","event_time":"2024-05-%02dT%02d:%02d:43.020Z","kind":"top-ups",'
        b'"subscriber_id":"%s","top_up_id":"u%x","status":"completed","amount_minor":%d,"currency":"CNY",'
        b'"channel":"app","payment_method":"wallet"}'
    ),
    (
        b'{"event_id":"0198c0de-0000-7000-8000-%012x","event_time":"2024-05-%02dT%02d:%02d:00.000Z","kind":"usage",'
        b'"subscriber_id":"%s","summary_id":"d%x","voice_attempts":9,"voice_answered":7,"voice_s":%d,"data_sessions":25,'
        b'"data_bytes":41234567,"sms_count":2}'
    ),
)
"""One document a kind: number, day, hour, minute, subscriber, number, a figure."""


class Traffic(Struct, frozen=True, kw_only=True):
    """What is in the topic, apart from how long it is."""

    subscribers: int
    partitions: int
    seed: int = SEED


def subscriber(number: int) -> bytes:
    """Return the number-th subscriber's id, as long as a pseudonym is."""
    return b"s_" + blake2b(number.to_bytes(8, "big"), digest_size=16).hexdigest().encode()


def events(traffic: Traffic) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield partition, key and value without end: every subscriber is as likely as every other, at any time."""
    everyone = [subscriber(number) for number in range(traffic.subscribers)]
    placed = [(key, (murmur2(key) & 0x7FFFFFFF) % traffic.partitions) for key in everyone]
    draw, number = random.Random(traffic.seed), 0
    while True:
        for key, partition in draw.choices(placed, k=CHUNK_EVENTS):
            minute = number // 60
            clock = (1 + minute // 1440 % 28, minute // 60 % 24, minute % 60)
            yield partition, key, KINDS[number % 3] % (number, *clock, key, number, number * 7919 % 3600)
            number += 1


async def make_topic(brokers: str, name: str, partitions: int) -> None:
    """Create the topic; nothing in it is ever deleted by age."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs={"retention.ms": "-1"})])
    finally:
        await admin.close()


async def produce(brokers: str, name: str, traffic: Traffic, count: int) -> int:
    """Create the topic with its first `count` events, and return how many bytes their values have."""
    await make_topic(brokers, name, traffic.partitions)
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", max_batch_size=BATCH_BYTES)
    await producer.start()
    size_bytes, waiting = 0, []
    try:
        batches = [producer.create_batch() for _ in range(traffic.partitions)]
        now_ms = int(time.time() * 1000)
        for partition, key, value in islice(events(traffic), count):
            size_bytes += len(value)
            if batches[partition].append(key=key, value=value, timestamp=now_ms) is None:
                batches[partition].close()
                waiting.append(await producer.send_batch(batches[partition], name, partition=partition))
                batches[partition] = producer.create_batch()
                batches[partition].append(key=key, value=value, timestamp=now_ms)
        for partition, batch in enumerate(batches):
            batch.close()
            waiting.append(await producer.send_batch(batch, name, partition=partition))
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()
    return size_bytes


async def wake(brokers: str) -> None:
    """Have the broker make its own topics for groups and transactions, so that no engine waits for it."""
    producer = AIOKafkaProducer(bootstrap_servers=brokers, transactional_id="engines-wake")
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, group_id="engines-wake", enable_auto_commit=False)
    await producer.start()
    await producer.stop()
    await consumer.start()
    await consumer.stop()


async def remove(brokers: str, part: str) -> None:
    """Delete every topic whose name has `part` in it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if part in name]
        if names:
            await admin.delete_topics(names)
    finally:
        await admin.close()

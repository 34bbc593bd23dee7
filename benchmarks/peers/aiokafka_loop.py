"""The bare job as one aiokafka loop with nothing around it: what Python can do here, and so the yardstick.

Fetch, fold, write, commit, in one coroutine.  The states that a fetch changed go to the changelog in one
transaction a partition, by a producer whose transactional id belongs to the partition; offsets follow.
"""

import asyncio
from importlib.metadata import version

import msgspec
from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRecord,
    TopicPartition,
)
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # as above
from job import PAIR, Job, Meter, from_command_line

States = dict[bytes, bytes]
Run = list[ConsumerRecord]

FETCH_BYTES = 16 << 20
PARTITION_FETCH_BYTES = 4 << 20
RUN_RECORDS = 20_000
BATCH_BYTES = 1 << 20


async def make_changelog(job: Job) -> str:
    """Create the changelog, which is compacted and has as many partitions as the events, and return its name."""
    name = f"{job.application}-state"
    admin = AIOKafkaAdminClient(bootstrap_servers=job.brokers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, job.partitions, 1, topic_configs={"cleanup.policy": "compact"})])
    finally:
        await admin.close()
    return name


async def make_producer(job: Job, partition: int) -> AIOKafkaProducer:
    """Return a started producer that alone may write this partition's states."""
    producer = AIOKafkaProducer(
        bootstrap_servers=job.brokers,
        transactional_id=f"{job.application}-{partition}",
        max_batch_size=BATCH_BYTES,
    )
    await producer.start()
    return producer


def fold(states: States, run: Run) -> States:
    """Return the states that a run of records changes; what was applied before is skipped, and `states` stays."""
    parse, pack, unpack = msgspec.json.Decoder().decode, PAIR.pack, PAIR.unpack
    changed: dict[bytes, tuple[int, int]] = {}
    for record in run:
        key, value = record.key, record.value
        if key is None or value is None:
            raise ValueError(f"record {record.offset} of partition {record.partition} has no key or no value")
        parse(value)
        state = changed.get(key)
        if state is None:
            packed = states.get(key)
            state = unpack(packed) if packed is not None else (0, -1)
        if record.offset > state[1]:
            changed[key] = (state[0] + 1, record.offset)
    return {key: pack(*state) for key, state in changed.items()}


async def write(producer: AIOKafkaProducer, changelog: str, partition: int, changed: States) -> None:
    """Write states in one transaction; when it returns, they are durable."""
    await producer.begin_transaction()
    batch, sent = producer.create_batch(), []
    for key, packed in changed.items():
        if batch.append(key=key, value=packed, timestamp=None) is None:
            batch.close()
            sent.append(await producer.send_batch(batch, changelog, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=packed, timestamp=None)
    batch.close()
    sent.append(await producer.send_batch(batch, changelog, partition=partition))
    await asyncio.gather(*sent)
    await producer.commit_transaction()


async def count(job: Job) -> None:
    """Do the whole job, and print what it took."""
    meter, changelog = Meter(job), await make_changelog(job)
    producers = [await make_producer(job, partition) for partition in range(job.partitions)]
    states: list[States] = [{} for _ in producers]
    consumer = AIOKafkaConsumer(
        job.topic,
        bootstrap_servers=job.brokers,
        group_id=job.application,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
    )
    await consumer.start()
    done = False
    try:
        while not done:
            fetched = await consumer.getmany(
                timeout_ms=int(job.commit * 1000), max_records=job.partitions * RUN_RECORDS
            )
            ends: dict[TopicPartition, int] = {}
            for partition, run in fetched.items():
                number = partition.partition
                changed = fold(states[number], run)
                await write(producers[number], changelog, number, changed)
                states[number].update(changed)  # Memory never runs ahead of the log.
                ends[partition] = run[-1].offset + 1
                done = meter.saw(len(run))
            if ends:
                await consumer.commit(ends)
        meter.stop()
    finally:
        await consumer.stop()
        for producer in producers:
            await producer.stop()
    meter.report(
        engine="aiokafka-loop",
        version=version("aiokafka"),
        changelog=changelog,
        state="pair",
        settings={"store": "memory", "guarantee": "states in a transaction a run, exact by their offsets"},
    )


if __name__ == "__main__":
    asyncio.run(count(from_command_line(__doc__)))

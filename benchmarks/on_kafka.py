"""An operator's records on a real broker, with the states of subscribers who have lived through 75 days before."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # aiokafka comes without types
from msgspec import Struct
from step import WARM_DAYS, Stream, Template, served

from streams.core.contracts.events import Record
from streams.core.step import Context
from streams.core.subscriber.packing import pack, unpack
from streams.kafka.client.connection import ConnectionSettings
from streams.kafka.client.partitioning import partition_of
from streams.kafka.topics.management import create
from streams.kafka.topics.specs import changelog_of
from streams.kafka.worker.changelog import Changelog
from streams.kafka.worker.checkpoint import CHECKPOINT_KEY, read_checkpoint
from streams.kafka.worker.process import WorkerSettings
from streams.kafka.worker.subscriber_task import SubscriberTask

BATCH_BYTES = 1 << 19
TRANSACTION_STATES = 20_000


class KafkaOperator(Struct, frozen=True, kw_only=True):
    """Where the topics are, and for how many subscribers."""

    brokers: str
    prefix: str
    subscribers: int
    partitions: int

    @property
    def settings(self) -> WorkerSettings:
        """What its workers are told."""
        return WorkerSettings(prefix=self.prefix)

    def records(self) -> Iterator[Record]:
        """Yield what reaches the operator after the days that its subscribers have lived through, without end."""
        stream, day = Stream(self.subscribers, seed=2), WARM_DAYS
        while True:
            yield from stream.day(day)
            day += 1


def fill(operator: KafkaOperator, templates: list[Template], events: int = 0) -> int:
    """Create the topics, write the states, and send the first records; return the states' bytes in the changelog.

    A process of its own does it, whose memory is the system's again before anything is measured.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        return apart.submit(_fill, operator, templates, events).result()


def _fill(operator: KafkaOperator, templates: list[Template], events: int) -> int:
    size_bytes = asyncio.run(prepare(operator, served(), templates))
    if events:
        asyncio.run(produce(operator, operator.records(), events))
    return size_bytes


async def prepare(operator: KafkaOperator, context: Context, templates: Sequence[Template]) -> int:
    """Create the topics, and write each subscriber's state as a worker would; return their bytes in the changelog."""
    await create(ConnectionSettings(brokers=operator.brokers), operator.prefix, operator.partitions, 1)
    group = operator.settings.group
    changelog = Changelog(group, changelog_of(group), operator.prefix, {"bootstrap_servers": operator.brokers})
    lived = [_at_home(template) for template in templates]
    shares: list[list[tuple[str, Template]]] = [[] for _ in range(operator.partitions)]
    for number, sid in enumerate(Stream(operator.subscribers, seed=2).ids):
        shares[partition_of(sid.encode(), operator.partitions)].append((sid, lived[number % len(lived)]))
    size_bytes = 0
    for partition, share in enumerate(shares):
        await changelog.fence(partition)
        task = SubscriberTask(partition, group, context)
        for i in range(0, len(share), TRANSACTION_STATES):
            for sid, template in share[i : i + TRANSACTION_STATES]:
                task.subscribers._states[sid] = unpack(template.packed)  # noqa: SLF001 - as if they had come by events
                for at_ms, body in template.snapshots.items():
                    task.subscribers.waiting.keep(sid, at_ms, body)
                task.subscribers._changed.add(sid)  # noqa: SLF001 - as above
            task._moved = True  # noqa: SLF001 - as above
            changes = task.changes()
            task.note_written()
            if changes is not None:
                size_bytes += sum(len(key) + len(value or b"") for key, value in changes.states)
                await changelog.write(partition, changes)
        await changelog.drop(partition)
    return size_bytes


async def counted(operator: KafkaOperator) -> dict[str, int]:
    """Return what the workers, which have ended, have counted: the sum of their marks in the changelog."""
    group = operator.settings.group
    changelog = Changelog(group, changelog_of(group), operator.prefix, {"bootstrap_servers": operator.brokers})
    total: Counter[str] = Counter()
    for partition in range(operator.partitions):
        await changelog.read(partition, states := dict[bytes, bytes]())
        total.update(read_checkpoint(states[CHECKPOINT_KEY], group).counters)
        await changelog.drop(partition)
    return dict(total)


def _at_home(template: Template) -> Template:
    """Return the state as it would be in a new log: no offset of it is applied yet."""
    state = unpack(template.packed)
    state.facts.offsets.clear()
    return Template(pack(state), template.snapshots)


async def produce(operator: KafkaOperator, records: Iterator[Record], count: int, *, per_s: float = 0.0) -> None:
    """Send the next `count` records, at a rate if one is given."""
    producer = AIOKafkaProducer(bootstrap_servers=operator.brokers, acks="all", max_batch_size=BATCH_BYTES, linger_ms=5)
    await producer.start()
    loop = asyncio.get_running_loop()
    try:
        begun_s, waiting = loop.time(), []
        for sent, record in enumerate(islice(records, count), start=1):
            key = record.value[record.value.index(b'"s_') + 1 :][:34]
            partition = partition_of(key, operator.partitions)
            waiting.append(
                await producer.send(operator.prefix + record.topic, key=key, value=record.value, partition=partition)
            )
            if sent % 500 == 0:
                late_s = begun_s + sent / per_s - loop.time() if per_s else 0.0
                await asyncio.sleep(max(0.0, late_s))
            if len(waiting) >= 100_000:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()

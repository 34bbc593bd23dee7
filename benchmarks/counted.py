"""Whether an engine counted every event once: its changelog, read as a restart would read it, against the topic.

An engine's word is not taken for it.  The newest value of each key must add up to the number of events, each
partition's highest "last offset" must be the topic's last, and the group's committed offsets must be its end.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]  # aiokafka comes without types
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]  # as above
from msgspec import Struct

_PAIR: Final = struct.Struct(">qq")
FETCH_BYTES = 64 << 20
PARTITION_FETCH_BYTES = 16 << 20


class BrokerCounts(Struct, frozen=True, kw_only=True):
    """What the broker has of an engine's work; offsets by partition are those of the next event."""

    events: int
    states: int
    changelog_records: int
    applied: tuple[int, ...]
    committed: tuple[int, ...]


class _SubscriberField(Struct):
    count: int
    offset: int


def _pair(value: bytes) -> tuple[int, int]:
    count, offset = _PAIR.unpack(value)
    return count, offset


def _named(decode: Callable[[bytes], _SubscriberField]) -> Callable[[bytes], tuple[int, int]]:
    def read(value: bytes) -> tuple[int, int]:
        state = decode(value)
        return state.count, state.offset

    return read


READERS: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "pair": _pair,
    "json": _named(msgspec.json.Decoder(_SubscriberField).decode),
    "msgpack": _named(msgspec.msgpack.Decoder(_SubscriberField).decode),
}
"""How the value of a state is read, by the name that a peer prints: what was counted, and the last offset."""


def _consumer(brokers: str) -> Any:  # noqa: ANN401 - aiokafka ships no types
    return AIOKafkaConsumer(
        bootstrap_servers=brokers,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
    )


async def ends(brokers: str, topic: str, partitions: int) -> tuple[int, ...]:
    """Return the offset behind the last record of each partition."""
    consumer = _consumer(brokers)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        found = await consumer.end_offsets(places)
        return tuple(found[place] for place in places)
    finally:
        await consumer.stop()


async def newest(brokers: str, changelog: str, partitions: int) -> tuple[list[dict[bytes, bytes | None]], int]:
    """Return the newest value of every key of each partition, and how many records were read."""
    states: list[dict[bytes, bytes | None]] = [{} for _ in range(partitions)]
    places = [TopicPartition(changelog, number) for number in range(partitions)]
    consumer, records = _consumer(brokers), 0
    await consumer.start()
    try:
        consumer.assign(places)
        waiting = {place: end for place, end in (await consumer.end_offsets(places)).items() if end}
        while waiting:
            for place, run in (await consumer.getmany(timeout_ms=500)).items():
                records += len(run)
                states[place.partition].update((record.key, record.value) for record in run)
            for place in [place for place, end in waiting.items() if await consumer.position(place) >= end]:
                del waiting[place]  # Where it stands, not what it read: a log may end with a transaction's marker.
    finally:
        await consumer.stop()
    return states, records


async def committed(brokers: str, group: str, topic: str, partitions: int) -> tuple[int, ...]:
    """Return the group's committed offset of each partition, 0 where there is none."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        found = await admin.list_consumer_group_offsets(group, partitions=places)
        return tuple(max(0, found[place].offset) for place in places)
    finally:
        await admin.close()


async def counted(brokers: str, topic: str, partitions: int, *, group: str, changelog: str, state: str) -> BrokerCounts:
    """Return what the broker has of the work of the group `group`; `state` names one of `READERS`."""
    read = READERS[state]
    states, records = await newest(brokers, changelog, partitions)
    pairs = [[read(value) for value in part.values() if value is not None] for part in states]
    return BrokerCounts(
        events=sum(count for part in pairs for count, _ in part),
        states=sum(map(len, pairs)),
        changelog_records=records,
        applied=tuple(max((offset for _, offset in part), default=-1) + 1 for part in pairs),
        committed=await committed(brokers, group, topic, partitions),
    )


def complaints(found: BrokerCounts, topic_ends: tuple[int, ...]) -> list[str]:
    """Return what is wrong with an engine's work, nothing if every event was counted once and all is durable."""
    wrong = []
    if found.events != sum(topic_ends):
        wrong.append(f"its states count {found.events:,} events of {sum(topic_ends):,}")
    if found.applied != topic_ends:
        wrong.append(f"its states end at the offsets {found.applied}, the topic at {topic_ends}")
    if found.committed != topic_ends:
        wrong.append(f"it committed {found.committed}, the topic ends at {topic_ends}")
    return wrong

"""Reads the newest records of topics and sees whether their producers use the right keys and partitions."""

import asyncio
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec
from aiokafka import ConsumerRecord, TopicPartition  # type: ignore[import-untyped]  # aiokafka comes without types
from msgspec import Struct

from streams.kafka.client.admin import reader
from streams.kafka.client.connection import ConnectionSettings
from streams.kafka.client.partitioning import partition_of

T = TypeVar("T")

SAMPLE_RECORDS: Final = 200
SAMPLE_S: Final = 20.0
_WAIT_MS: Final = 500


class TopicSample(Struct):
    """What was found among the newest records of one topic; records without a key lie anywhere, and rightly so."""

    records: int = 0
    elsewhere: int = 0
    other_key: int = 0


class _SubscriberField(Struct, frozen=True, gc=False):
    subscriber_id: str


_KEYED: Final = msgspec.json.Decoder(_SubscriberField)


def subscriber_of(value: bytes) -> str | None:
    """Return whom a record is about, None if it does not say; the rest of the record may be as it likes.

    >>> subscriber_of(b'{"subscriber_id": "s_1", "minutes": "many"}'), subscriber_of(b'{"subscriber_id": 7}')
    ('s_1', None)
    """
    keyed = _decode(_KEYED, value)
    return None if keyed is None else keyed.subscriber_id or None


class _EntryField(Struct, frozen=True, gc=False):
    entry_id: str


_ENTERED: Final = msgspec.json.Decoder(_EntryField)


def entry_of(value: bytes) -> str | None:
    """Return which entry a market event is about, None if it does not say; the rest of it may be as it likes.

    >>> entry_of(b'{"entry_id": "p-1", "operator": 7}'), entry_of(b"{}")
    ('p-1', None)
    """
    entered = _decode(_ENTERED, value)
    return None if entered is None else entered.entry_id or None


def _decode(reader: msgspec.json.Decoder[T], value: bytes) -> T | None:
    try:
        return reader.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


async def sample_topics(
    cluster: ConnectionSettings, partitions: Mapping[str, int], newest: int = SAMPLE_RECORDS
) -> dict[str, TopicSample]:
    """Look at the newest records of each partition of these topics; gives up after 20 s with what it has seen."""
    samples = {topic: TopicSample() for topic in partitions}
    places = [TopicPartition(topic, number) for topic, count in partitions.items() for number in range(count)]
    if not places or newest < 1:
        return samples
    async with reader(cluster) as consumer:
        first, last = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        open_places = {place for place in places if last[place] > first[place]}
        consumer.assign(list(open_places))
        for place in open_places:
            consumer.seek(place, max(first[place], last[place] - newest))
        try:
            async with asyncio.timeout(SAMPLE_S):
                while open_places:
                    for place, records in (await consumer.getmany(timeout_ms=_WAIT_MS)).items():
                        for record in records:
                            if record.offset < last[place]:
                                _look(samples[place.topic], record, partitions[place.topic])
                    # By position: a partition may end in a marker or in what compaction left out.
                    done = {place for place in open_places if await consumer.position(place) >= last[place]}
                    open_places -= done
                    consumer.pause(*done)
        except TimeoutError:
            pass  # Records that come faster than they can be looked at, or a partition without a leader.
    return samples


def _look(sample: TopicSample, record: ConsumerRecord, partitions: int) -> None:
    sample.records += 1
    if record.key is None:
        return
    sample.elsewhere += partition_of(record.key, partitions) != record.partition
    # A record without a value erases its subscriber, and says so with its key alone.
    subscriber = None if record.value is None else subscriber_of(record.value)
    sample.other_key += subscriber is not None and subscriber.encode() != record.key

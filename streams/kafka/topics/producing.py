"""Records from files to their topics: keyed by subscriber, in the order of event time over all topics.

A record about the whole market is keyed by its entry and goes first, since workers read those before all else.  A line
is sent as it is.  Only its subscriber and its time are read; the worker decides whether it is good, so that bad lines
become dead letters there as they do in `forewarn run`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, time
from typing import Final, Literal

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # aiokafka comes without types
from msgspec import Struct

from streams.core.contracts.decode import decode_any
from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.events import BROADCASTS, INPUTS, MARKET, BroadcastEvent, Event, Record
from streams.core.contracts.source import partition_number, topic_name
from streams.core.times import DAY_MS
from streams.core.token_bucket import UNBOUNDED, TokenBucket, spend, wait_ms
from streams.files.sources import SOURCES_MAX, Item, MergedSources, Source, discover, merge_sources
from streams.kafka.client.admin import (
    KafkaError,
    admin_client,
    error_text,
    missing_topic,
    partitions_of,
    settings_of,
    stop,
)
from streams.kafka.client.batcher import BATCH_BYTES, PATIENCE_S, Batches, RecordPlace
from streams.kafka.client.connection import ConnectionSettings, client_options
from streams.kafka.client.partitioning import partition_of
from streams.kafka.topics.management import uneven_partitions
from streams.kafka.topics.sampling import entry_of, subscriber_of
from streams.shared.errors import InputError, SettingsError

Stamp = Literal["event", "sending"]
TellSent = Callable[[int, int, int], None]
"""Called with records sent, bytes read and the event time reached (ms since 1970 UTC)."""

TELL_RECORDS: Final = 5_000
FLUSH_MS: Final = DAY_MS // 4
"""Event time after which all batches are sent, full or not: a topic with few records must not fall days behind."""
PACE_S: Final = 0.05
"""With a rate, what is due is sent this often."""

SENT: Final = (*INPUTS, *BROADCASTS)
"""The topics that files are sent to."""


class ProduceResult(Struct, frozen=True, kw_only=True):
    """What was sent and confirmed; `unusable` are lines that the worker will refuse, some of them without a key."""

    records: dict[str, int]
    unusable: int
    without_key: int
    bytes_read: int
    elapsed_s: float
    records_per_s: float


class _Line(Event, frozen=True, gc=False):
    """An event with the line that it was read from."""

    value: bytes


class _BroadcastLine(BroadcastEvent, frozen=True, gc=False):
    """A market event with the line that it was read from."""

    value: bytes


def sources_of(places: Sequence[str], topic: str | None = None) -> tuple[Source, ...]:
    """Return what there is to read at several places, each numbered by its position here.

    Raises:
        InputError: a place does not exist, holds no topic, or there are more files than can be open at once.
    """
    found = [source for place in places for source in discover(place, topic, SENT)]
    if len(found) > SOURCES_MAX:
        raise InputError(f"there are {len(found)} files, and at most {SOURCES_MAX} can be merged", hint="send fewer")
    return tuple(Source(source.topic, number, source.path) for number, source in enumerate(found))


async def produce(
    cluster: ConnectionSettings,
    prefix: str,
    sources: Sequence[Source],
    *,
    rate: float | None = None,
    keep_bad: bool = False,
    stamp: Stamp = "event",
    tell: TellSent | None = None,
) -> ProduceResult:
    """Send all records and wait until every one is confirmed by all replicas; `rate` is in records a second.

    Raises:
        SettingsError: Kafka cannot be reached, a topic is missing, or the topics do not have the same partitions.
        InputError: a line cannot be sent (its file and number are named), or Kafka takes no more.
    """
    begun_s = monotonic()
    topics = await _topics(cluster, prefix, {source.topic for source in sources if source.topic is not None})
    builder = _RecordBuilder(sources, topics, keep_bad=keep_bad, stamp=stamp, prefix=prefix)
    reading = merge_sources(sources, {}, builder.now_ms, _with_line)
    producer = AIOKafkaProducer(
        **client_options(cluster),
        enable_idempotence=True,
        acks="all",
        compression_type="zstd",
        max_batch_size=BATCH_BYTES,
    )
    await producer.start()
    batches = Batches(producer, PATIENCE_S)
    try:
        await _send_all(reading, builder, batches, rate, tell)
    except KafkaError as error:
        raise InputError(
            f"Kafka at {cluster.brokers} takes no more records after {batches.confirmed:,}: {error_text(error)}",
            hint="once it works, send all again: what has arrived already is known by its id and changes nothing",
        ) from error
    finally:
        reading.close()
        await stop(producer)
    elapsed_s = monotonic() - begun_s
    return ProduceResult(
        records=builder.records,
        unusable=builder.unusable,
        without_key=builder.without_key,
        bytes_read=reading.bytes_read,
        elapsed_s=elapsed_s,
        records_per_s=batches.confirmed / elapsed_s,
    )


class _Topic(Struct, frozen=True):
    """A topic that records are sent to: how many partitions it has, and how long it keeps a record (-1 for ever)."""

    name: str
    partitions: int
    retention_ms: int


class _RecordBuilder:
    """Makes of each item what is to be sent, refuses what cannot be, and counts."""

    def __init__(
        self, sources: Sequence[Source], topics: Mapping[str, _Topic], *, keep_bad: bool, stamp: Stamp, prefix: str
    ) -> None:
        self._sources = sources
        self._topics = topics
        self._keep_bad = keep_bad
        self._stamp = stamp
        self._prefix = prefix
        self.now_ms = int(time() * 1000)
        self.records: dict[str, int] = {}
        self.unusable = 0
        self.without_key = 0

    def build(self, item: Item) -> tuple[RecordPlace, bytes | None, bytes, int]:
        """Return where an item goes, its key, value and timestamp; raises `InputError` for a line to be refused."""
        if isinstance(item, DeadLetter):
            name, at_ms = item.topic, self.now_ms
            topic, key = self._bad(item)
            self.unusable += 1
        elif isinstance(item, _Line):
            name = topic_name(item.source)
            topic, key = self._topic(name), item.body.subscriber_id.encode()
            at_ms = self._timestamp_ms(item, topic)
        elif isinstance(item, _BroadcastLine):
            name = MARKET
            topic, key = self._topic(name), item.body.entry_id.encode("utf-8", "replace")
            at_ms = int(time() * 1000) if self._stamp == "sending" else min(item.at_ms, self.now_ms)
        else:
            raise TypeError("an event without its line")
        self.records[name] = self.records.get(name, 0) + 1
        if key is None:
            self.without_key += 1
            return (topic.name, self.without_key % topic.partitions), key, item.value, at_ms
        return (topic.name, partition_of(key, topic.partitions)), key, item.value, at_ms

    def _topic(self, name: str) -> _Topic:
        topic = self._topics.get(name)
        if topic is None:
            raise missing_topic(self._prefix + name)
        return topic

    def _timestamp_ms(self, line: _Line, topic: _Topic) -> int:
        """Return the timestamp of a record, which Kafka takes from the past only and deletes it by."""
        if self._stamp == "sending":
            return int(time() * 1000)
        if topic.retention_ms >= 0 and line.at_ms < self.now_ms - topic.retention_ms:
            raise InputError(
                f"{self._place(partition_number(line.source), line.offset)} is older than the "
                f"{topic.retention_ms / DAY_MS:g} days that topic {topic.name} keeps, and would be deleted at once",
                hint="--stamp sending dates records by the moment of sending",
            )
        return min(line.at_ms, self.now_ms)

    def _bad(self, letter: DeadLetter) -> tuple[_Topic, bytes | None]:
        place = self._place(letter.partition, letter.offset)
        if letter.topic not in SENT:
            raise InputError(f"{place} names no topic that there is", hint="each line needs a topic and a value")
        if letter.reason == "too_large":
            raise InputError(f"{place} is too large to be sent: {letter.detail}")
        if letter.topic == MARKET:
            return self._topic(MARKET), self._entry_key(letter, place)
        subscriber = subscriber_of(letter.value)
        if subscriber is None and not self._keep_bad:
            raise InputError(
                f"{place} has no subscriber_id that can be read ({letter.reason})",
                hint="--keep-bad sends such lines without a key, to become dead letters",
            )
        return self._topic(letter.topic), None if subscriber is None else subscriber.encode("utf-8", "replace")

    @staticmethod
    def _entry_key(letter: DeadLetter, place: str) -> bytes:
        """Return the key of a bad market event; a compacted topic takes nothing without one."""
        entry = entry_of(letter.value)
        if entry is None:
            raise InputError(
                f"{place} has no entry_id that can be read ({letter.reason})", hint="take the line out, or mend it"
            )
        return entry.encode("utf-8", "replace")

    def _place(self, number: int, offset: int) -> str:
        path = self._sources[number].path
        return f"{path or 'standard input'}:{offset + 1}"


async def _topics(cluster: ConnectionSettings, prefix: str, named: set[str]) -> dict[str, _Topic]:
    """Return the topics that there are; all that are named must be, and those with one key have the same partitions."""
    async with admin_client(cluster) as admin:
        there = await partitions_of(admin)
        counts = {name: len(there[prefix + name]) for name in SENT if prefix + name in there}
        for name in SENT:
            if name in named and name not in counts:
                raise missing_topic(prefix + name)
        problems = uneven_partitions({prefix + name: count for name, count in counts.items() if name in INPUTS})
        if problems:
            raise SettingsError(
                f"kafka_prefix: topic {problems[0].words()}", hint="`forewarn topics check` lists all that is wrong"
            )
        settings = await settings_of(admin, [prefix + name for name in counts])
    return {
        name: _Topic(prefix + name, count, int(settings[prefix + name].get("retention.ms", "-1")))
        for name, count in counts.items()
    }


async def _send_all(
    reading: MergedSources, builder: _RecordBuilder, batches: Batches, rate: float | None, tell: TellSent | None
) -> None:
    try:
        await _send_each(reading, builder, batches, rate, tell)
    except InputError as error:
        await batches.flush()
        raise InputError(f"{error}; the {batches.confirmed:,} records before it were sent") from error
    await batches.flush()


async def _send_each(
    reading: MergedSources, builder: _RecordBuilder, batches: Batches, rate: float | None, tell: TellSent | None
) -> None:
    due = TokenBucket(rate_per_s=rate, burst=UNBOUNDED, tokens=0.0, at_ms=_monotonic_ms()) if rate else None
    pace = max(1, int(rate * PACE_S)) if rate else 0
    sent, reached_ms, flushed_ms = 0, 0, 0
    for item in reading:
        await batches.add(*builder.build(item))
        sent += 1
        if isinstance(item, Event):
            reached_ms = item.at_ms
        if abs(reached_ms - flushed_ms) >= FLUSH_MS:
            await batches.flush()
            flushed_ms = reached_ms
        if due is not None and not sent % pace:
            await batches.flush()
            due = spend(due, pace)
            await asyncio.sleep(wait_ms(due, _monotonic_ms(), tokens=0) / 1_000)
        if tell is not None and (rate or not sent % TELL_RECORDS):
            tell(sent, reading.bytes_read, reached_ms)
    if tell is not None:
        tell(sent, reading.bytes_read, reached_ms)


def _monotonic_ms() -> int:
    return int(monotonic() * 1_000)


def _with_line(record: Record) -> Item:
    item = decode_any(record)
    if isinstance(item, DeadLetter):
        return item
    if isinstance(item, BroadcastEvent):
        return _BroadcastLine(item.partition, item.offset, item.at_ms, item.body, record.value)
    return _Line(item.source, item.offset, item.at_ms, item.body, record.value)

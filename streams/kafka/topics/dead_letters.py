"""Lists dead letters, and redrives them to where they came from once the cause is mended.

A record that is sent again and the note that it was (the letter's key without a value, in `dead-letters`) are one
transaction.  So whoever is interrupted gives the same command again: no letter is sent twice, and none is left out.
One process sends at a time, since a new one fences the former.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from time import monotonic
from typing import Any, Final, Literal

import msgspec
from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRecord,
    TopicPartition,
)
from aiokafka.errors import KafkaTimeoutError  # type: ignore[import-untyped]  # as above
from msgspec import Struct

from streams.core.contracts.decode import VALUE_BYTES_MAX
from streams.core.contracts.effects import DeadLetterReason
from streams.core.contracts.outputs import KEY, REDRIVEN, REDRIVES, DeadLetterMessage, redrives_of, rfc3339
from streams.kafka.client.admin import (
    STOPS_S,
    KafkaError,
    admin_client,
    error_text,
    missing_topic,
    partitions_of,
    reader,
    stop,
)
from streams.kafka.client.connection import ConnectionSettings, client_options
from streams.shared.errors import InputError

TOPIC: Final = "dead-letters"
BATCH_LETTERS: Final = 200
BATCH_BYTES: Final = 4 << 20
TRANSACTION_MS: Final = 30_000
"""When an interrupted transaction is given up: until then workers wait for what was sent after it."""
STALLED_S: Final = 30.0
PATIENCE_S: Final = 60.0
"""How long Kafka may take to confirm a transaction: an idempotent producer of aiokafka never gives up by itself."""
_WAIT_MS: Final = 500
_REQUEST_BYTES: Final = 2 << 20
_WHOLE_BYTES: Final = VALUE_BYTES_MAX - 1024
"""What fits into a topic again with one more header."""

RedriveRefusal = Literal["too_often", "too_large", "no_such_partition"]


class DeadLetterFilter(Struct, frozen=True, kw_only=True):
    """Which letters are meant; what is None is not asked about, `since_ms` is when the letter was written.

    Letters that were sent again are not, unless `with_sent`.
    """

    reasons: frozenset[str] | None = None
    topics: frozenset[str] | None = None
    since_ms: int | None = None
    with_sent: bool = False


class DeadLetterSummary(Struct, frozen=True, kw_only=True):
    """One dead letter, without its bytes: they may hold anything; `is_sent_again` once it was redriven."""

    topic: str
    partition: int
    offset: int
    reason: DeadLetterReason
    detail: str
    written_at: str
    size_bytes: int
    redrives: int
    is_sent_again: bool


class RedriveResult(Struct, frozen=True, kw_only=True):
    """What was sent again, by topic, or would be; and why the others were not."""

    sent: Mapping[str, int]
    refused: Mapping[RedriveRefusal, int]
    dry_run: bool


class _StoredLetter(Struct, frozen=True):
    """A letter as it lies in the log, with what it takes to send it again."""

    letter: DeadLetterSummary
    place: TopicPartition
    name: bytes
    key: bytes | None
    value: bytes


async def letters(cluster: ConnectionSettings, prefix: str, wanted: DeadLetterFilter) -> list[DeadLetterSummary]:
    """Return the letters that are there now, by when they were written.

    Raises:
        SettingsError: Kafka cannot be reached, or has no such topic.
        InputError: it gives no more.
    """
    places, _ = await _places(cluster, prefix)
    async with aclosing(_wanted_letters(cluster, places, wanted)) as each:
        found = [one.letter async for one in each]
    return sorted(found, key=lambda letter: (letter.written_at, letter.topic, letter.partition, letter.offset))


async def redrive(
    cluster: ConnectionSettings,
    prefix: str,
    wanted: DeadLetterFilter,
    *,
    redrives_max: int,
    limit: int | None = None,
    dry_run: bool = False,
) -> RedriveResult:
    """Send letters' records again, with their own bytes and keys to their own partitions, `limit` of them at most.

    Raises:
        SettingsError: Kafka cannot be reached, or a topic is missing.
        InputError: it takes no more; what was sent until then is said.
    """
    places, partitions = await _places(cluster, prefix)
    redriver = _Redriver(prefix, partitions, redrives_max)
    producer = None if dry_run else _producer(cluster, prefix)
    asyncio.get_running_loop().set_exception_handler(_ignore_kafka_failures)
    try:
        if producer is not None:
            await producer.start()  # Fences whoever sent before: what it has noted until now is seen below.
        async with aclosing(_wanted_letters(cluster, places, wanted)) as each:
            async for one in each:
                if not redriver.takes(one):
                    continue
                if limit is not None and redriver.taken >= limit:
                    break
                await redriver.put(producer, one)
        await redriver.flush(producer)
    except KafkaError as error:
        raise InputError(
            f"Kafka at {cluster.brokers} takes no more records after {redriver.sent.total():,} that were sent again: "
            f"{error_text(error)}",
            hint="give the same command again: none is sent twice",
        ) from error
    finally:
        if producer is not None:
            await _stop_producer(producer)
    return RedriveResult(sent=dict(redriver.sent), refused=dict(redriver.refused), dry_run=dry_run)


class _Redriver:
    """Gathers letters to transactions, refuses what cannot be sent again, and counts."""

    def __init__(self, prefix: str, partitions: Mapping[str, int], redrives_max: int) -> None:
        self._prefix = prefix
        self._partitions = partitions
        self._redrives_max = redrives_max
        self._waiting: list[_StoredLetter] = []
        self._bytes = 0
        self.taken = 0
        self.sent: Counter[str] = Counter()
        self.refused: Counter[RedriveRefusal] = Counter()

    def takes(self, one: _StoredLetter) -> bool:
        letter = one.letter
        refusal: RedriveRefusal | None = None
        if letter.redrives >= self._redrives_max:
            refusal = "too_often"
        elif letter.reason == "too_large" or letter.size_bytes > _WHOLE_BYTES:
            refusal = "too_large"
        elif letter.partition >= self._partitions.get(letter.topic, 0):
            refusal = "no_such_partition"
        if refusal is not None:
            self.refused[refusal] += 1
        return refusal is None

    async def put(self, producer: AIOKafkaProducer | None, one: _StoredLetter) -> None:
        self.taken += 1
        self._waiting.append(one)
        self._bytes += one.letter.size_bytes
        if len(self._waiting) >= BATCH_LETTERS or self._bytes >= BATCH_BYTES:
            await self.flush(producer)

    async def flush(self, producer: AIOKafkaProducer | None) -> None:
        """Send what waits in one transaction; without a producer it is only counted."""
        if producer is not None and self._waiting:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await producer.begin_transaction()
                    sent: list[asyncio.Future[object]] = []
                    for one in self._waiting:
                        await self._send(producer, one, sent)
                    await asyncio.gather(*sent)
                    await producer.commit_transaction()
            except TimeoutError:
                raise KafkaTimeoutError(f"nothing was confirmed within {PATIENCE_S:g} s") from None
        self.sent.update(one.letter.topic for one in self._waiting)
        self._waiting.clear()
        self._bytes = 0

    async def _send(self, producer: AIOKafkaProducer, one: _StoredLetter, sent: list["asyncio.Future[object]"]) -> None:
        letter = one.letter
        again = {
            "key": one.key,
            "value": one.value,
            "partition": letter.partition,
            "headers": [(REDRIVES, b"%d" % (letter.redrives + 1))],
        }
        note = {"key": one.name, "value": None, "partition": one.place.partition}
        for topic, record in ((self._prefix + letter.topic, again), (one.place.topic, note)):
            sent.append(await producer.send(topic, **record))


def _producer(cluster: ConnectionSettings, prefix: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        **client_options(cluster),
        transactional_id=f"{prefix}{TOPIC}-redrive",
        transaction_timeout_ms=TRANSACTION_MS,
        compression_type="zstd",
        max_request_size=_REQUEST_BYTES,
    )


async def _stop_producer(producer: AIOKafkaProducer) -> None:
    """Abort the open transaction and stop the producer; where no broker answers, the transaction times out there."""
    with suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(STOPS_S):
            if producer._txn_manager.is_in_transaction():  # noqa: SLF001 - told nowhere else
                await producer.abort_transaction()
    await stop(producer)


def _ignore_kafka_failures(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of failures in futures that nobody awaits: the first failure is raised, the others repeat it."""
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)


async def _places(cluster: ConnectionSettings, prefix: str) -> tuple[list[TopicPartition], dict[str, int]]:
    """Return the partitions of the dead letters, and how many each topic has that they are of."""
    async with admin_client(cluster) as admin:
        there = await partitions_of(admin)
    topic = prefix + TOPIC
    if topic not in there:
        raise missing_topic(topic)
    counts = {name: len(there[prefix + name]) for name in REDRIVEN if prefix + name in there}
    return [TopicPartition(topic, number) for number in range(len(there[topic]))], counts


async def _wanted_letters(
    cluster: ConnectionSettings, places: list[TopicPartition], wanted: DeadLetterFilter
) -> AsyncGenerator[_StoredLetter, None]:
    """Yield the letters that are wanted, up to where the log ends now; it is read twice, so that memory stays small."""
    async with reader(cluster, committed=True) as consumer:
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        noted: set[bytes] = set()
        async with aclosing(_records(consumer, ends)) as records:
            async for record in records:
                if record.value is None and record.key is not None:
                    noted.add(record.key)
        async with aclosing(_records(consumer, ends)) as records:
            async for record in records:
                one = _read(record, noted)
                if one is not None and _is_wanted(one.letter, record.timestamp, wanted):
                    yield one


async def _records(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]
) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield every record before the ends, from the beginning."""
    await consumer.seek_to_beginning(*ends)
    consumer.resume(*ends)
    moved_s, left = monotonic(), set(ends)
    while True:
        # By position: a partition may end in a transaction's marker, which nobody is given.
        done = {place for place in left if await consumer.position(place) >= ends[place]}
        consumer.pause(*done)
        left -= done
        if not left:
            return
        for place, records in (await consumer.getmany(*left, timeout_ms=_WAIT_MS)).items():
            moved_s = monotonic()
            for record in records:
                if record.offset < ends[place]:
                    yield record
        if monotonic() - moved_s > STALLED_S:
            raise InputError(f"the dead letters cannot be read to their end: nothing came for {STALLED_S:.0f} s")


def _read(record: ConsumerRecord, noted: set[bytes]) -> _StoredLetter | None:
    """Return a letter that is one of ours, None for a note and for what somebody else wrote here."""
    if record.key is None or record.value is None:
        return None
    try:
        message = _decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    headers = dict(record.headers)
    letter = DeadLetterSummary(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        reason=message.reason,
        detail=message.detail,
        written_at=rfc3339(record.timestamp),
        size_bytes=len(message.value),
        redrives=redrives_of(record.headers),
        is_sent_again=record.key in noted,
    )
    place = TopicPartition(record.topic, record.partition)
    return _StoredLetter(letter, place, record.key, headers.get(KEY), message.value)


def _is_wanted(letter: DeadLetterSummary, written_ms: int, wanted: DeadLetterFilter) -> bool:
    return (
        (wanted.with_sent or not letter.is_sent_again)
        and (wanted.reasons is None or letter.reason in wanted.reasons)
        and (wanted.topics is None or letter.topic in wanted.topics)
        and (wanted.since_ms is None or written_ms >= wanted.since_ms)
    )


_decode: Final = msgspec.json.Decoder(DeadLetterMessage).decode

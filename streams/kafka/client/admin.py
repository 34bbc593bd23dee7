"""What a Kafka cluster says about its topics, as values, and the requests that ask for it and that make topics."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    TopicPartition,
)
from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # as above
from aiokafka.admin.config_resource import (  # type: ignore[import-untyped]  # as above
    ConfigResource,
    ConfigResourceType,
)
from msgspec import Struct

from streams.kafka.client.connection import ConnectionSettings, check_connection, client_options
from streams.shared.errors import InputError, SettingsError

SETTINGS: Final = (
    "cleanup.policy",
    "retention.ms",
    "max.message.bytes",
    "min.insync.replicas",
    "compression.type",
    "min.compaction.lag.ms",
    "message.timestamp.type",
)
"""The settings of a topic that matter here."""

STOPS_S: Final = 2.0

_FENCED: Final = (kafka_errors.ProducerFenced, kafka_errors.InvalidProducerEpoch)

KafkaError: Final[type[Exception]] = kafka_errors.KafkaError
"""What every failure of aiokafka is."""


class TopicState(Struct, frozen=True, kw_only=True):
    """One topic as the cluster has it; `records` is an upper bound, since compaction and markers leave gaps."""

    topic: str
    partitions: int
    replication: int
    leaderless: int
    settings: Mapping[str, str]
    records: int


@asynccontextmanager
async def admin_client(cluster: ConnectionSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give an admin client of a cluster that was found to answer; closed at the end.

    Raises:
        SettingsError: the cluster cannot be reached, with the setting that is probably wrong.
        InputError: it was reached and then fails.
    """
    await check_connection(cluster)
    admin = AIOKafkaAdminClient(**client_options(cluster))
    try:
        await admin.start()
        yield admin
    except (kafka_errors.KafkaError, TimeoutError) as error:
        why = f"Kafka at {cluster.brokers} answers no more: {error_text(error)}"
        raise InputError(why, hint="try again") from error
    finally:
        await admin.close()


def error_text(error: BaseException) -> str:
    """Return a failure of Kafka in one line, without the names of classes where there are words.

    >>> error_text(kafka_errors.ProducerFenced())
    'another process took the same work over, or the transaction lasted too long'
    """
    if isinstance(error, _FENCED):
        return "another process took the same work over, or the transaction lasted too long"
    words = " ".join(str(error).split()).removeprefix(f"{type(error).__name__}: ")
    return words or type(error).__name__


def missing_topic(topic: str) -> SettingsError:
    """Return what to say about a topic that is not there."""
    return SettingsError(
        f"kafka_prefix: there is no topic {topic}", hint="`forewarn topics create` makes the topics with that prefix"
    )


async def partitions_of(admin: AIOKafkaAdminClient) -> dict[str, list[dict[str, Any]]]:
    """Return every topic that we may see with what the cluster says about its partitions."""
    # All topics and not those by name: a broker may create what it is asked about by name.
    return {found["topic"]: found["partitions"] for found in await admin.describe_topics()}


async def settings_of(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return what is set, or is the default, for each of these topics."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(SETTINGS)) for topic in topics]
    settings: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources) if resources else ():
        for code, message, _, topic, entries in response.resources:
            if code:
                raise kafka_errors.for_code(code)(message or f"topic {topic}")
            settings[topic] = {entry[0]: entry[1] for entry in entries}
    return settings


async def states_of(
    admin: AIOKafkaAdminClient, cluster: ConnectionSettings, topics: Sequence[str]
) -> dict[str, TopicState]:
    """Return those of the topics that exist, as they are."""
    found = {topic: parts for topic, parts in (await partitions_of(admin)).items() if topic in topics}
    settings = await settings_of(admin, found)
    counts = await record_counts(cluster, {topic: len(parts) for topic, parts in found.items()})
    return {
        topic: TopicState(
            topic=topic,
            partitions=len(parts),
            replication=min((len(part["replicas"]) for part in parts), default=0),
            leaderless=sum(part["leader"] < 0 for part in parts),
            settings=settings[topic],
            records=counts[topic],
        )
        for topic, parts in found.items()
    }


async def record_counts(cluster: ConnectionSettings, partitions: Mapping[str, int]) -> dict[str, int]:
    """Return for each topic how far its last offsets are from its first, over so many partitions."""
    places = [TopicPartition(topic, number) for topic, count in partitions.items() for number in range(count)]
    counts = dict.fromkeys(partitions, 0)
    if places:
        async with reader(cluster) as consumer:
            first, last = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        for place in places:
            counts[place.topic] += last[place] - first[place]
    return counts


@asynccontextmanager
async def reader(cluster: ConnectionSettings, *, committed: bool = False) -> AsyncIterator[AIOKafkaConsumer]:
    """Give a consumer that belongs to no group and commits nothing, and may see `committed` records only."""
    consumer = AIOKafkaConsumer(
        **client_options(cluster),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed" if committed else "read_uncommitted",
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer; one whose records nobody takes would wait for ever, and is given up."""
    try:
        async with asyncio.timeout(STOPS_S):
            await producer.stop()
    except (KafkaError, TimeoutError):
        await producer.client.close()


async def create_topics(
    admin: AIOKafkaAdminClient, topics: Iterable[tuple[str, int, int, dict[str, str]]]
) -> dict[str, Exception | None]:
    """Ask for topics of (name, partitions, replicas, settings); return for each None, or why there is none."""
    wanted = [NewTopic(name, count, replicas, topic_configs=configs) for name, count, replicas, configs in topics]
    response = await admin.create_topics(wanted)
    return {
        topic: kafka_errors.for_code(code)(message or "") if code else None
        for topic, code, message in response.topic_errors
    }

"""Reads the topic `models` once and whole: the versions and the promotions in it."""

from time import monotonic
from typing import Final

from aiokafka import TopicPartition  # type: ignore[import-untyped]  # aiokafka comes without types

from streams.core.scoring.models import ModelVersion, UnusableModelError, read_version
from streams.core.scoring.promotions import KEY_BEGINS, Promotion, read_promotion
from streams.engine.in_force import MODELS
from streams.kafka.client.admin import KafkaError, admin_client, error_text, partitions_of, reader
from streams.kafka.client.connection import ConnectionSettings
from streams.shared.errors import InputError, SettingsError

STALLED_S: Final = 30.0
_WAIT_MS: Final = 500

VersionRecord = tuple[bytes, bytes | None]


async def read_versions(cluster: ConnectionSettings, prefix: str) -> tuple[list[ModelVersion], list[Promotion]]:
    """Return the versions by line and number, and the promotions in the order in which they were published.

    Raises:
        SettingsError: the cluster cannot be reached, or the topic is not there.
        InputError: the topic cannot be read to its end.
    """
    topic = prefix + MODELS
    async with admin_client(cluster) as admin:
        if topic not in await partitions_of(admin):
            raise SettingsError(f"topic {topic} is missing", hint="forewarn topics create")
    records: list[VersionRecord] = []
    tp = TopicPartition(topic, 0)
    try:
        async with reader(cluster, committed=True) as consumer:
            consumer.assign([tp])
            end, moved_s = (await consumer.end_offsets([tp]))[tp], monotonic()
            # To a position: the log may end in a transaction's marker, which nobody is given.
            while await consumer.position(tp) < end:
                found = (await consumer.getmany(timeout_ms=_WAIT_MS)).get(tp, [])
                records += [(record.key or b"", record.value) for record in found]
                moved_s = monotonic() if found else moved_s
                if monotonic() - moved_s > STALLED_S:
                    raise InputError(f"topic {topic} cannot be read to its end")
    except (KafkaError, TimeoutError) as error:
        raise InputError(f"topic {topic} cannot be read: {error_text(error)}") from error
    return parse_versions(records)


def parse_versions(records: list[VersionRecord]) -> tuple[list[ModelVersion], list[Promotion]]:
    """Return what is left of records of the topic; what cannot be read serves nobody, and is left out."""
    versions: dict[bytes, ModelVersion] = {}
    promotions: dict[bytes, Promotion] = {}
    for key, value in records:
        if value is None:
            versions.pop(key, None)
            promotions.pop(key, None)
            continue
        try:
            if key.startswith(KEY_BEGINS):
                promotions[key] = read_promotion(value)
            else:
                versions[key] = read_version(value)
        except UnusableModelError:
            continue
    return sorted(versions.values(), key=lambda one: (one.name, one.version)), list(promotions.values())

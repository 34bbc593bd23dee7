"""What every worker reads whole before it takes partitions, and follows from then on: models, policies, the market."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final

from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaProducer,
    TopicPartition,
)

from streams.core.contracts.events import MARKET
from streams.engine.in_force import MODELS, POLICIES, ContextTimeline
from streams.kafka.client.admin import KafkaError, admin_client, error_text, partitions_of, reader, stop
from streams.kafka.client.connection import ConnectionSettings, client_options
from streams.shared.errors import InputError, SettingsError

TOPICS: Final = (MODELS, POLICIES, MARKET)
NAMED: Final = "models, policies and market-events"
STALLED_S: Final = 30.0
_WAIT_MS: Final = 500


class BroadcastReader:
    """Reads the broadcast topics of one cluster into what serves, and says what it took and what it refused."""

    def __init__(
        self, cluster: ConnectionSettings, prefix: str, serving: ContextTimeline, say: Callable[[str], None]
    ) -> None:
        """Keep whom to tell; nothing is read yet."""
        self.serving = serving
        self._cluster = cluster
        self._prefix = prefix
        self._say = say
        self._next = {TopicPartition(prefix + topic, 0): 0 for topic in TOPICS}

    async def read(self) -> None:
        """Read everything that was committed by now.

        Raises:
            InputError: a topic cannot be read to its end.
        """
        try:
            async with self._open_reader() as consumer:
                ends = await consumer.end_offsets(list(self._next))
                moved_s = monotonic()
                # To a position: the log may end in a transaction's marker, which nobody is given.
                while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                    if await self._take(consumer):
                        moved_s = monotonic()
                    if monotonic() - moved_s > STALLED_S:
                        raise InputError(f"the topics {NAMED} cannot be read to their ends")
        except (KafkaError, TimeoutError) as error:
            raise InputError(f"the topics {NAMED} cannot be read: {error_text(error)}") from error
        if self.serving.foreign_count:
            self._say(f"{MODELS} refused, what serves stays: {self.serving.foreign_ones()}")

    async def follow(self) -> None:
        """Go on reading from where `read` came to, for ever.

        Raises:
            KafkaError: a topic cannot be read any more; a broker that is away for a while is waited for.
        """
        async with self._open_reader() as consumer:
            while True:
                await self._take(consumer, is_new=True)

    async def _take(self, consumer: Any, *, is_new: bool = False) -> int:  # noqa: ANN401 - aiokafka comes without types
        count = 0
        for tp, records in (await consumer.getmany(timeout_ms=_WAIT_MS)).items():
            topic = tp.topic.removeprefix(self._prefix)
            for record in records:
                self._offer(topic, record, is_new=is_new)
                self._next[tp] = record.offset + 1
            count += len(records)
        return count

    def _offer(self, topic: str, record: Any, *, is_new: bool) -> None:  # noqa: ANN401 - as above
        key = (record.key or b"").decode("utf-8", "replace")
        before, foreign = self.serving.edition, self.serving.foreign_count
        why = self.serving.take(topic, record.key or b"", record.value, record.timestamp)
        if self.serving.foreign_count > foreign and not is_new:
            return  # There may be years of them, and `read` says so in one line.
        if why is not None:
            self._say(f"{topic} at offset {record.offset} refused, what serves stays: {' '.join(why.split())}")
        elif is_new and self.serving.edition != before:
            self._say(f"{topic}: {key} {'withdrawn' if record.value is None else 'taken'}")

    @asynccontextmanager
    async def _open_reader(self) -> AsyncIterator[Any]:
        async with reader(self._cluster, committed=True) as consumer:
            consumer.assign(list(self._next))
            for tp, offset in self._next.items():
                if offset:
                    consumer.seek(tp, offset)
            yield consumer


async def publish(cluster: ConnectionSettings, topic: str, records: Sequence[tuple[bytes, bytes | None]]) -> None:
    """Write records to a broadcast topic, and wait until all replicas have confirmed them.

    Raises:
        SettingsError: the cluster cannot be reached, or the topic is not there.
        InputError: it does not take them.
    """
    async with admin_client(cluster) as admin:
        if topic not in await partitions_of(admin):
            raise SettingsError(f"topic {topic} is missing", hint="forewarn topics create")
    producer = AIOKafkaProducer(**client_options(cluster), acks="all", enable_idempotence=True)
    try:
        await producer.start()
        await asyncio.gather(*[await producer.send(topic, value, key=key) for key, value in records])
    except (KafkaError, TimeoutError) as error:
        raise InputError(f"topic {topic} takes nothing: {error_text(error)}") from error
    finally:
        await stop(producer)

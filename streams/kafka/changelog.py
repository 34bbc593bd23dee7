"""The states of a partition number in the log: restored by whoever takes it, written by nobody else.

Each partition number has a producer of its own, whose transactional id belongs to the number and not to the process:
whoever takes it fences the former owner, so that a frozen worker that wakes cannot overwrite newer states (KIP-98).
States, their mark and what is published go into one transaction: all of it is in the log, or nothing.
"""

import asyncio
from time import perf_counter
from typing import Any, Final

from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    TopicPartition,
)
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]  # as above
from msgspec import Struct

from streams.kafka.parsed import as_parsed
from streams.kafka.slot import Changes

BATCH_BYTES: Final = 1 << 20
LETTER_BYTES: Final = 2 << 20
"""The most that a record may have: a dead letter with the largest bad record in base64."""
FETCH_BYTES: Final = 64 << 20
PARTITION_FETCH_BYTES: Final = 16 << 20
CLOSE_S: Final = 5.0
STALLED_S: Final = 30.0


class WriteFailedError(RuntimeError):
    """A transaction was not committed, or it is not known that it was; the process must not go on with its memory."""


class Restored(Struct, frozen=True):
    """What the changelog of one partition holds, and how long it took to read."""

    states: dict[bytes, bytes]
    records: int
    seconds: float


class Changelog:
    """The changelog topic of one application, and the producers of the partitions that this process has taken."""

    def __init__(self, application: str, topic: str, prefix: str, options: dict[str, Any]) -> None:
        """Keep names and connection; `prefix` stands before the names of the output topics."""
        self._application = application
        self._topic = topic
        self._prefix = prefix
        self._options = options
        self._producers: dict[int, Any] = {}

    async def take(self, partition: int) -> Restored:
        """Fence the former owner of a partition, then read its states to the present end.

        Raises:
            KafkaError: the broker cannot be reached, or refuses.
        """
        await self.drop(partition)
        producer = AIOKafkaProducer(
            transactional_id=f"{self._application}-{partition}",
            max_batch_size=BATCH_BYTES,
            max_request_size=LETTER_BYTES,
            compression_type=None,
            linger_ms=0,
            **self._options,
        )
        await producer.start()
        self._producers[partition] = producer
        return await self._read(partition)

    async def write(self, partition: int, changes: Changes) -> None:
        """Write all changes of a partition, or nothing of them.

        Raises:
            WriteFailedError: they may not have been written: another process has taken the partition, or the broker
                cannot be reached.
        """
        producer = self._producers.get(partition)
        if producer is None:
            raise WriteFailedError(f"partition {partition} is not ours to write")
        try:
            await producer.begin_transaction()
            sent = await self._send_states(producer, partition, changes)
            for output in changes.outputs:
                topic = self._prefix + output.topic
                headers = list(output.headers)
                sent.append(await producer.send(topic, key=output.key, value=output.value, headers=headers))
            await asyncio.gather(*sent)
            await producer.commit_transaction()
        except (KafkaError, OSError, TimeoutError) as error:
            raise WriteFailedError(
                f"partition {partition} could not be written: {type(error).__name__}: {error}"
            ) from error

    async def is_reachable(self) -> bool:
        """Say whether a broker answers; True if nobody is there to ask for us."""
        producer = next(iter(self._producers.values()), None)
        return producer is None or bool(await producer.client.force_metadata_update())

    async def drop(self, partition: int) -> None:
        """Give a partition up; what was not committed is aborted by whoever takes it next."""
        producer = self._producers.pop(partition, None)
        if producer is not None:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await producer.stop()
            except (KafkaError, OSError, TimeoutError):
                return  # It is closed as well as it can be; the next owner fences it.

    async def _send_states(self, producer: Any, partition: int, changes: Changes) -> list[Any]:  # noqa: ANN401 - untyped
        """Append the states and then the mark to batches of their own, and return the futures of the sent ones."""
        sent, batch = [], producer.create_batch()
        for key, value in (*changes.states, changes.mark):
            if batch.append(key=key, value=value, timestamp=None) is None:
                batch.close()
                sent.append(await producer.send_batch(batch, self._topic, partition=partition))
                batch = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None) is None:
                    raise WriteFailedError(f"a state of {len(value or b'')} bytes is larger than a batch may be")
        batch.close()
        sent.append(await producer.send_batch(batch, self._topic, partition=partition))
        return sent

    async def _read(self, partition: int) -> Restored:
        consumer = AIOKafkaConsumer(
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            key_deserializer=as_parsed,
            **self._options,
        )
        states: dict[bytes, bytes] = {}
        records = 0
        try:
            await consumer.start()
            begun_s = moved_s = perf_counter()
            tp = TopicPartition(self._topic, partition)
            consumer.assign([tp])
            end = (await consumer.end_offsets([tp]))[tp]
            # To a position, not to "the last offset": the log may end in a transaction's marker, which nobody is given.
            while await consumer.position(tp) < end:
                for run in (await consumer.getmany(tp, timeout_ms=1000)).values():
                    moved_s = perf_counter()
                    records += len(run)
                    for record in run:
                        if record.value is None:
                            states.pop(record.key, None)
                        else:
                            states[record.key] = record.value
                if perf_counter() - moved_s > STALLED_S:
                    raise KafkaError(f"the changelog of partition {partition} cannot be read to its end at {end}")
        finally:
            await consumer.stop()
        return Restored(states, records, perf_counter() - begun_s)

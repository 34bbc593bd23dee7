"""Faust fed with batches: one message for each fetched run of a partition, and offsets that we account for ourselves.

Registered as the transport `forewarn://` (entry point `faust.transports`).  For the topics that its app names as keyed,
three things differ from Faust's own transport:

- `getmany` hands over a whole run of records as one message, with the position at which it begins.  Faust drops queued
  messages without a word while partitions move; from the position the receiver sees that a run went missing.
- What is committed is what the keeper says was applied and written, not what an agent has acknowledged.
- A partition is taken (fenced and restored) before Faust may fetch from it, and dropped before anybody else gets it.

Partitions are assigned by range, so that one number of all keyed topics goes to one worker.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Final, Protocol, cast

import faust
from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaConsumer,
    ConsumerRecord,
)
from aiokafka.coordinator.assignors.range import (  # type: ignore[import-untyped]  # as above
    RangePartitionAssignor,
)
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types import Message as FaustMessage
from msgspec import Struct

RUN_RECORDS: Final = 20_000
FETCH_WAIT_MS: Final = 250
FETCH_BYTES: Final = 32 << 20
PARTITION_FETCH_BYTES: Final = 4 << 20


class Run(Struct, frozen=True):
    """The records of one fetch of one partition; `start` is where the reader stood before them."""

    start: int
    records: Sequence[Any]


class Keeper(Protocol):
    """What the transport needs of whoever owns the partitions' states."""

    keyed: frozenset[str]

    async def take(self, assigned: Sequence[tuple[str, int]]) -> None:
        """Fence and restore what was assigned; (topic, partition) pairs of keyed topics."""

    async def drop(self, revoked: Sequence[tuple[str, int]]) -> None:
        """Give up what was revoked."""

    def begin(self, topic: str, partition: int, committed: int) -> None:
        """Note from which committed offset (0 = none) the reader starts."""

    def applied(self, topic: str, partition: int) -> int | None:
        """Return the next offset that is not yet safe, None if the partition is not ours."""

    async def close(self) -> None:
        """Write and give up everything."""


class KeyedApp(faust.App):
    """A Faust app that knows who keeps its keyed partitions, and how aiokafka's clients connect."""

    keeper: Keeper
    options: dict[str, Any]

    async def on_stop(self) -> None:
        """Have the last states written before Faust leaves the group."""
        await self.keeper.close()
        await super().on_stop()


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread around aiokafka's consumer, with a consumer that suits runs."""

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:  # noqa: ARG002 - Faust's own
        app = cast("KeyedApp", self.app)
        conf = app.conf
        self._assignor = RangePartitionAssignor
        return AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            partition_assignment_strategy=[RangePartitionAssignor],
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            **app.options,
        )


class Consumer(driver.Consumer):
    """Faust's consumer, except for the keyed topics."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's own signature
        """Begin with nothing handed over."""
        super().__init__(*args, **kwargs)
        self._read_offset = _ReadOffsets(self.keeper.keyed)
        self._stands: dict[TP, int] = {}
        self._read_to: dict[TP, int] = {}

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def keeper(self) -> Keeper:
        """Who keeps the keyed partitions."""
        return cast("KeyedApp", self.app).keeper

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, FaustMessage]]:  # noqa: ASYNC109 - Faust's own
        """Yield one message for each run of a keyed partition, and for each record of any other."""
        fetched, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if fetched is None or self.should_stop or not self.flow_active:
            return
        keyed = self.keeper.keyed
        runs = [(tp, run) for tp, records in fetched.items() if tp.topic in keyed for run in self._runs(tp, records)]
        single = {tp: records for tp, records in fetched.items() if tp.topic not in keyed}
        for tp, run in runs:
            if self._is_active(tp, active):
                yield tp, self._run_message(tp, run)
                if self._has_moved_on(generation):
                    return
        for tp, record in self.scheduler.iterate(single):
            if self._is_active(tp, active):
                yield tp, self._to_message(tp, record)

    async def perform_seek(self) -> None:
        """Go to the committed offsets, as Faust does after every assignment."""
        await super().perform_seek()
        for tp, offset in list(self._read_offset.items()):
            if tp.topic in self.keeper.keyed:
                self._stands[tp] = offset or 0
                self.keeper.begin(tp.topic, tp.partition, offset or 0)

    async def read_again(self, tp: TP, position: int) -> None:
        """Go back to `position`: what was handed over since then was dropped on the way."""
        await self.seek(tp, position)
        self._stands[tp] = position

    async def ended(self) -> dict[TP, int]:
        """Return the keyed partitions that were read to their end, with the offset up to which records came of it.

        The log may end in a transaction's marker, which nobody is given: then the reader stands behind the last record,
        and has to have stood there before, so that nothing is on its way from its thread to here.
        """
        before = self._read_to
        self._read_to = await self._thread.call_thread(self._positions_at_the_end)
        return {
            tp: position if before.get(tp) != position else self._stands.get(tp, 0)
            for tp, position in self._read_to.items()
        }

    async def _positions_at_the_end(self) -> dict[TP, int]:
        reader = self._thread._ensure_consumer()  # noqa: SLF001 - Faust keeps aiokafka's consumer to itself
        found = {}
        for tp in reader.assignment():
            highwater = reader.highwater(tp) if tp.topic in self.keeper.keyed else None
            if highwater is not None and (position := await reader.position(tp)) >= highwater:
                found[TP(tp.topic, tp.partition)] = position
        return found

    def _has_moved_on(self, generation: int) -> bool:
        return not self.flow_active or self.app.consumer_generation_id != generation

    def _is_active(self, tp: TP, active: set[TP] | None) -> bool:
        return active is None or tp in active or tp in self._buffered_partitions

    def _runs(self, tp: TP, records: Sequence[ConsumerRecord]) -> list[Run]:
        """Cut a fetch into runs; where they begin is noted now, before anybody else may move the reader."""
        runs = []
        for i in range(0, len(records), RUN_RECORDS):
            part = records[i : i + RUN_RECORDS]
            runs.append(Run(self._stands.get(tp, 0), part))
            self._stands[tp] = part[-1].offset + 1
        return runs

    def _run_message(self, tp: TP, run: Run) -> FaustMessage:
        message = self._to_message(tp, run.records[0])
        message.key = None
        message.value = cast("bytes", run)  # Any value will do: the codec is `raw`.
        return message

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.keeper.keyed:
            return super()._new_offset(tp)
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self.keeper.applied(tp.topic, tp.partition)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Take what was assigned before Faust lets anything be fetched."""
        await self.keeper.take(_keyed(assigned, self.keeper.keyed))
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let Faust empty its queues, then give up what was revoked."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._stands.pop(tp, None)
        await self.keeper.drop(_keyed(revoked, self.keeper.keyed))


class Transport(driver.Transport):
    """The transport behind `forewarn://`."""

    Consumer: ClassVar[type[Consumer]] = Consumer


class _ReadOffsets(dict[TP, int | None]):
    """Faust's note of what it has read: none for keyed topics, since it drops what lies before it without a word."""

    def __init__(self, keyed: frozenset[str]) -> None:
        super().__init__()
        self._keyed = keyed

    def __getitem__(self, tp: TP) -> int | None:
        return None if tp.topic in self._keyed else super().__getitem__(tp)

    def __missing__(self, tp: TP) -> None:
        return None


def _keyed(tps: set[TP], keyed: frozenset[str]) -> list[tuple[str, int]]:
    return sorted((tp.topic, tp.partition) for tp in tps if tp.topic in keyed)

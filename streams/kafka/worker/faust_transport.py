"""Faust's transport for batches: one message for each fetched run of a partition, and offsets of our own account.

Registered as the transport `forewarn://` (entry point `faust.transports`).  All topics of its app are keyed ones, and
four things differ from Faust's own transport:

- `getmany` hands over a whole run of records as one message, with the position at which it begins.  Faust drops queued
  messages without a word while partitions move; from the position the receiver sees that a run went missing.
- A partition is taken (fenced and restored) before anything is fetched from it, and dropped before anybody else gets
  it.  It is read from where its states stand, whatever the group has committed.
- It commits the offsets that the partition manager has applied and written, not those that an agent acknowledged.
- aiokafka's consumer runs in the loop of the app and not in a thread of its own, so that a position and the records
  that were read up to it are always seen together.

Partitions are assigned by range, so that one number of all keyed topics goes to one worker; an app of one topic may
have them assigned otherwise.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol, cast

import faust
from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaConsumer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from aiokafka.coordinator.assignors.abstract import (  # type: ignore[import-untyped]  # as above
    AbstractPartitionAssignor,
)
from aiokafka.coordinator.assignors.range import (  # type: ignore[import-untyped]  # as above
    RangePartitionAssignor,
)
from aiokafka.errors import (  # type: ignore[import-untyped]  # as above
    CommitFailedError,
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
)
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata  # type: ignore[import-untyped]  # as above
from faust.transport import consumer as base
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from faust.types import Message as FaustMessage
from msgspec import Struct

from streams.kafka.client.record_parser import as_parsed
from streams.kafka.worker.health import HealthStatus

RUN_RECORDS: Final = 20_000
FETCH_WAIT_MS: Final = 250
FETCH_BYTES: Final = 32 << 20
PARTITION_FETCH_BYTES: Final = 1 << 20
IDLE_S: Final = 0.1


class RecordBatch(Struct, frozen=True):
    """The records of one fetch of one partition; `start` is where the reader stood before them."""

    start: int
    records: Sequence[Any]


class PartitionOffsets(Struct, frozen=True):
    """What there is of a partition: the group's committed offset (None: none), the log's first offset and its end."""

    committed: int | None
    first: int
    end: int


class PartitionOwner(Protocol):
    """What the transport needs of whoever owns the partitions' states."""

    keyed: frozenset[str]

    async def take(self, assigned: Sequence[tuple[str, int]]) -> None:
        """Fence and restore what was assigned; (topic, partition) pairs of keyed topics."""

    async def drop(self, revoked: Sequence[tuple[str, int]]) -> None:
        """Give up what was revoked."""

    def begin(self, topic: str, partition: int, reach: PartitionOffsets) -> int | None:
        """Return from which offset the reader has to start, None if the partition is not ours."""

    def safe_offset(self, topic: str, partition: int) -> int | None:
        """Return the first offset that is not written yet, None if the partition is not ours."""

    def note_expired(self, topic: str, partition: int, start: int, first: int) -> None:
        """Take note that the records from `start` to before `first` are gone from the log, unread."""

    def note_unreadable(self, error: Exception) -> None:
        """Take note that the log cannot be read."""

    async def write(self) -> None:
        """Write everything that was applied."""

    async def close(self) -> None:
        """Write and give up everything."""


class KeyedApp(faust.App):
    """A Faust app that knows who keeps its keyed partitions, how it stands, and how aiokafka's clients connect.

    Faust begins an app's tasks when partitions were assigned for the first time; those `at_once` do not wait for that.
    By `assignors` the group gives its members partitions: by range, one number of all topics goes to one member.
    """

    owner: PartitionOwner
    options: dict[str, Any]
    health_status: Callable[[], HealthStatus]
    assignors: Sequence[type[AbstractPartitionAssignor]] = (RangePartitionAssignor,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's own signature
        """Begin with nothing to be done at once."""
        super().__init__(*args, **kwargs)
        self.at_once: list[Callable[[], Coroutine[Any, Any, None]]] = []

    async def on_start(self) -> None:
        """Begin with what is to be done at once."""
        await super().on_start()
        for task in self.at_once:
            self.add_future(task())

    def _create_directories(self) -> None:
        """Make none: nothing of ours is kept in files."""

    async def on_stop(self) -> None:
        """Have the last states written and their offsets committed before Faust leaves the group."""
        await self.owner.write()
        await self.consumer.commit()
        await self.owner.close()
        await super().on_stop()


class RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka comes without types
    """Tells Faust what the group's coordinator has decided."""

    def __init__(self, consumer: "Consumer") -> None:
        """Keep whom to tell."""
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Give up partitions."""
        self._consumer.app.on_rebalance_start()
        await self._consumer.on_partitions_revoked(_faust_tps(revoked))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take partitions."""
        generation = self._consumer.generation
        self._consumer.app.consumer_generation_id = generation
        self._consumer.stay_alive()
        await self._consumer.on_partitions_assigned(_faust_tps(assigned), generation)


class Consumer(base.Consumer):
    """Faust's consumer of keyed topics, around aiokafka's in the same loop."""

    consumer_stopped_errors: ClassVar[tuple[type[BaseException], ...]] = (ConsumerStoppedError,)
    _reader: AIOKafkaConsumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's own signature
        """Begin with nothing handed over."""
        super().__init__(*args, **kwargs)
        self._read_offset = _ReadOffsets()
        self._stands: dict[TP, int] = {}

    @property
    def owner(self) -> PartitionOwner:
        """Who keeps the keyed partitions."""
        return cast("KeyedApp", self.app).owner

    @property
    def generation(self) -> int:
        """The number of the group's present assignment."""
        return int(self._reader._coordinator.generation)  # noqa: SLF001 - aiokafka tells it nowhere else

    def stay_alive(self) -> None:
        """Begin with heartbeats now: aiokafka would after the restore, which may take longer than a session."""
        self._reader._coordinator._start_heartbeat_task()  # noqa: SLF001 - aiokafka finds it running then

    async def on_start(self) -> None:
        """Connect."""
        app = cast("KeyedApp", self.app)
        conf = app.conf
        self._reader = AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            partition_assignment_strategy=app.assignors,
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
            key_deserializer=as_parsed,
            **app.options,
        )
        await self._reader.start()

    async def on_stop(self) -> None:
        """Commit what is safe, and leave the group."""
        await super().on_stop()
        await self._reader.stop()

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group with these topics."""
        self._reader.subscribe(topics=sorted(topics), listener=RebalanceListener(self))

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, FaustMessage]]:  # noqa: ASYNC109 - Faust's own
        """Yield one message for each run that has come."""
        if not self.flow_active:
            await self.wait(cast("Any", self.can_resume_flow))
        active = [_kafka_tp(tp) for tp in self._get_active_partitions()]
        if not active:
            await self.sleep(IDLE_S)
            return
        try:
            fetched = await self._reader.getmany(*active, timeout_ms=int(timeout * 1000))
        except KafkaError as error:
            if not isinstance(error, ConsumerStoppedError):
                self.owner.note_unreadable(error)
            raise
        # What is dropped from here on leaves a gap, by which the partition manager finds that it is missing.
        runs = [(tp, run) for key, records in fetched.items() for tp, run in self._runs(key, records)]
        generation = self.app.consumer_generation_id
        for tp, run in runs:
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if run.start < run.records[0].offset:
                await self._refuse_expired(tp, run)
            yield tp, self._to_message(tp, run)

    def _runs(self, key: TopicPartition, records: Sequence[ConsumerRecord]) -> Iterator[tuple[TP, RecordBatch]]:
        """Cut a fetch into runs; nothing else may run between the fetch and this."""
        tp = TP(key.topic, key.partition)
        if tp not in self._stands:
            return  # Fetched before anybody has said from where: it will be read from there.
        for i in range(0, len(records), RUN_RECORDS):
            part = records[i : i + RUN_RECORDS]
            start, self._stands[tp] = self._stands[tp], part[-1].offset + 1
            yield tp, RecordBatch(start, part)

    async def _refuse_expired(self, tp: TP, run: RecordBatch) -> None:
        """Tell the markers of transactions, which take offsets too, from records that have expired unread."""
        key = _kafka_tp(tp)
        first = (await self._reader.beginning_offsets([key]))[key]
        if first > run.start:
            self.owner.note_expired(tp.topic, tp.partition, run.start, first)

    async def perform_seek(self) -> None:
        """Go to where the states stand, as Faust does to the committed offsets after every assignment."""
        keys = sorted(self._reader.assignment())
        *positions, first, end = await asyncio.gather(
            *map(self._reader.committed, keys), self._reader.beginning_offsets(keys), self._reader.end_offsets(keys)
        )
        committed = dict(zip(keys, positions, strict=True))
        for key in keys:
            reach = PartitionOffsets(committed[key], first[key], end[key])
            position = self.owner.begin(key.topic, key.partition, reach)
            if position is not None:
                self._committed_offset[TP(key.topic, key.partition)] = committed[key] or None
                self.read_again(TP(key.topic, key.partition), position)

    def read_again(self, tp: TP, position: int) -> None:
        """Go back to `position`: what was handed over since then was dropped on the way."""
        self._reader.seek(_kafka_tp(tp), position)
        self._stands[tp] = position

    async def progress(self) -> tuple[dict[TP, int], dict[int, int]]:
        """Return the partitions that were read to their end, with the offset up to which records were handed over.

        The log may end in a transaction's marker, which nobody is given: then the reader stands behind the last record.
        An open transaction's records count when it is committed.  The second value is how many records of each number
        have not been read yet.
        """
        ended: dict[TP, int] = {}
        lags: dict[int, int] = {}
        for tp, stands in list(self._stands.items()):
            key = _kafka_tp(tp)
            if key not in self._reader.assignment() or self._reader.highwater(key) is None:
                continue
            stable = self._reader.last_stable_offset(key)
            end = self._reader.highwater(key) if stable is None or stable < 0 else stable
            lag = end - await self._reader.position(key)
            lags[tp.partition] = lags.get(tp.partition, 0) + max(0, lag)
            if lag <= 0:
                ended[tp] = stands
        return ended, lags

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:  # noqa: ANN401, ARG002 - Faust's own
        return iter(list(self._stands))

    def _new_offset(self, tp: TP) -> int | None:
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self.owner.safe_offset(tp.topic, tp.partition)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            await self._reader.commit({_kafka_tp(tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()})
        except (CommitFailedError, IllegalStateError) as error:
            self.log.info("Not committed, its next owner will: %s", error)
            return False
        return True

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Take what was assigned before Faust lets anything be fetched."""
        await self.owner.take(sorted((tp.topic, tp.partition) for tp in assigned))
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let Faust empty its queues, then give up what was revoked."""
        for tp in revoked:
            self._stands.pop(tp, None)
        await super().on_partitions_revoked(revoked)
        await self.owner.drop(sorted((tp.topic, tp.partition) for tp in revoked))

    def assignment(self) -> set[TP]:
        """Return what the group has given us."""
        return _faust_tps(self._reader.assignment()) if hasattr(self, "_reader") else set()

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: `health_status` tells whether reads are committed; Faust only warns how long asking took."""

    def close(self) -> None:
        """Do nothing: the reader is stopped with the consumer."""

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:  # noqa: ANN401 - a run here
        first = record.records[0]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            first.offset,
            first.timestamp / 1000.0,
            first.timestamp_type,
            [],
            None,
            record,
            first.checksum,
            -1,
            -1,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def _not_asked_for(self, *_: object, **__: object) -> Any:  # noqa: ANN401 - it returns nothing
        raise RuntimeError("an app of keyed topics has no tables, no replies and no topics of its own")

    create_topic = key_partition = topic_partitions = _not_asked_for
    position = highwater = highwaters = earliest_offsets = _not_asked_for
    seek_to_committed = seek_wait = _seek = _getmany = _not_asked_for


class Transport(driver.Transport):
    """The transport behind `forewarn://`."""

    Consumer: ClassVar[type[Consumer]] = Consumer


class _ReadOffsets(dict[TP, int | None]):
    """Faust's note of what it has read: none, since it drops what lies before it without a word."""

    def __getitem__(self, _: TP) -> int | None:
        return None


def _kafka_tp(tp: TP) -> TopicPartition:
    return TopicPartition(tp.topic, tp.partition)


def _faust_tps(tps: Iterable[TopicPartition]) -> set[TP]:
    return {TP(tp.topic, tp.partition) for tp in tps}

"""The bare job in Forewarn's own engine: its transport, its keeper, its changelog, with counting in place of `step`."""

import asyncio
import signal
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from importlib.metadata import version

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # aiokafka comes without types
from job import PAIR, Job, Meter, from_command_line

from streams.core.contracts.source import SourceNumber, source_at
from streams.engine.subscribers import PackedStates
from streams.kafka.client.connection import ConnectionSettings
from streams.kafka.worker.checkpoint import CHECKPOINT_KEY
from streams.kafka.worker.faust_transport import KeyedApp
from streams.kafka.worker.partition_manager import PartitionManager
from streams.kafka.worker.process import WorkerSettings, make_app, run_app
from streams.kafka.worker.source_queues import LogRecord, SourceQueue
from streams.kafka.worker.subscriber_task import TaskChanges

POLL_S = 0.02


class CountingTask:
    """A partition task that counts records by their key, and knows by its states what it has counted.

    It has the shape of `StatefulTask`.
    """

    def __init__(self, partition: int, meter: Meter) -> None:
        """Begin with nothing."""
        self.partition = partition
        self.counters: dict[str, int] = {}
        self.bad_run = self.bad_recent = self.recent = 0
        self._source = source_at(0, partition)
        self.queues = {self._source: SourceQueue(self._source, "", partition, deque())}
        self._packed: dict[bytes, bytes] = {}
        self._changed: dict[bytes, tuple[int, int]] = {}
        self._meter = meter
        self._parse = msgspec.json.Decoder().decode

    def restore(self, states: PackedStates) -> None:
        """Take in what was written."""
        self._packed.update((key, value) for key, value in states.items() if key != CHECKPOINT_KEY)
        queue = self.queues[self._source]
        queue.queued = queue.applied = max((PAIR.unpack(v)[1] + 1 for v in self._packed.values()), default=0)

    @property
    def contents(self) -> str:
        """What it keeps, in words."""
        return f"{len(self._packed):,} pairs"

    @property
    def changed_count(self) -> int:
        """How many pairs a write would have in it."""
        return len(self._changed)

    def rewind(self) -> None:
        """Forget what was queued and not applied."""
        queue = self.queues[self._source]
        queue.waiting.clear()
        queue.queued = queue.applied

    def queue(self, source: SourceNumber, start: int, records: Sequence[LogRecord]) -> bool:
        """Queue a run, unless one before it is missing."""
        queue = self.queues[source]
        if start > queue.queued:
            return False
        queue.waiting.extend(records)
        queue.queued = max(queue.queued, records[-1].offset + 1)
        return True

    def waiting_count(self, source: SourceNumber) -> int:
        """Return how many records wait."""
        return len(self.queues[source].waiting)

    def advance(self, ended: Collection[SourceNumber], limit: int) -> int:  # noqa: ARG002 - one source waits for no other
        """Count up to `limit` records."""
        queue, changed, packed, parse = self.queues[self._source], self._changed, self._packed, self._parse
        waiting, done = queue.waiting, min(limit, len(queue.waiting))
        for _ in range(done):
            record = waiting.popleft()
            key, offset = record.key, record.offset
            assert key is not None
            assert record.value is not None
            parse(record.value)
            state = changed.get(key)
            if state is None:
                known = packed.get(key)
                state = PAIR.unpack(known) if known is not None else (0, -1)
            if offset > state[1]:
                changed[key] = (state[0] + 1, offset)
            queue.applied = offset + 1
        if done:
            self._meter.saw(done)
        return done

    def gather(self) -> Iterator[TaskChanges | None]:
        """Yield the states that changed, in one part."""
        if not self._changed:
            return
        packed = {key: PAIR.pack(*pair) for key, pair in self._changed.items()}
        self._packed.update(packed)
        mark = (CHECKPOINT_KEY, PAIR.pack(0, -1))
        yield TaskChanges([*packed.items()], mark, [], {self._source: self.queues[self._source].applied})

    def note_written(self) -> None:
        """Note that the last changes are safe."""
        self._changed.clear()

    def trim_memory(self) -> Iterator[None]:
        """Yield nothing: all counts stay in memory."""
        return iter(())


async def make_changelog(job: Job) -> None:
    """Create the changelog, which is compacted and has as many partitions as the events."""
    admin = AIOKafkaAdminClient(bootstrap_servers=job.brokers)
    await admin.start()
    try:
        name, settings = f"{job.application}-state", {"cleanup.policy": "compact", "max.message.bytes": "8388608"}
        await admin.create_topics([NewTopic(name, job.partitions, 1, topic_configs=settings)])
    finally:
        await admin.close()


def count(job: Job) -> None:
    """Do the whole job, and print what it took."""
    asyncio.run(make_changelog(job))
    asyncio.set_event_loop(asyncio.new_event_loop())
    meter = Meter(job)
    settings = WorkerSettings(application=job.application, write_behind_s=job.commit)
    app, manager = make_app(
        settings, ConnectionSettings(brokers=job.brokers), [job.topic], lambda n: CountingTask(n, meter)
    )

    @app.task  # type: ignore[untyped-decorator]  # Faust's decorators have no types
    async def finish() -> None:
        await _until_all_is_safe(job, meter, app, manager)
        meter.stop()
        meter.report(
            engine="forewarn",
            version=version("forewarn"),
            changelog=f"{job.application}-state",
            state="pair",
            settings={"store": "memory", "guarantee": "states in a transaction, exact by their offsets"},
        )
        signal.raise_signal(signal.SIGTERM)

    run_app(app)


async def _until_all_is_safe(job: Job, meter: Meter, app: KeyedApp, manager: PartitionManager[TaskChanges]) -> None:
    while meter.seen < job.events or manager.written_records < job.events:  # noqa: ASYNC110 - plain numbers, polled
        await asyncio.sleep(POLL_S)
    await app.consumer.commit()


if __name__ == "__main__":
    count(from_command_line(__doc__))

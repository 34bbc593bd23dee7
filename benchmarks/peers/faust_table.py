"""The bare job in stock Faust: one agent, one Table with its changelog, Faust's own transport and commits.

The settings are those that make it fastest while it keeps what it has of guarantees: the table in memory, raw keys and
values (its codecs cost more than `msgspec` and `struct`), no web server, no leader topic.  It is slow enough that a
part of the traffic is all it gets; its pace does not depend on how long the topic is.
"""

import asyncio
import logging
import signal
from contextlib import suppress
from importlib.metadata import version

import faust
import msgspec
from aiokafka import TopicPartition  # type: ignore[import-untyped]  # aiokafka comes without types
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]  # as above
from faust.types import StreamT
from job import PAIR, POLL_S, Job, Meter, from_command_line

TABLE = "counts"


def make_app(job: Job) -> faust.App:
    """Return the app without its agent."""
    return faust.App(
        job.application,
        broker=f"kafka://{job.brokers}",
        datadir=job.folder,
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        topic_partitions=job.partitions,
        topic_disable_leader=True,
        web_enabled=False,
        stream_wait_empty=False,
        broker_commit_interval=job.commit,
        producer_linger=0.02,
        consumer_auto_offset_reset="earliest",
    )


class EndOfStream:
    """Has everything written and committed after the last event, stops the clock and ends the worker."""

    def __init__(self, app: faust.App, job: Job, meter: Meter) -> None:
        """Keep what it takes; `connect` comes before the first event, so that the broker is at hand after the last."""
        self._app, self._job, self._meter = app, job, meter
        self._partitions = [TopicPartition(job.topic, number) for number in range(job.partitions)]

    async def connect(self) -> None:
        """Connect to the broker as an outsider, apart from the app's own connections."""
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self._job.brokers)
        await self._admin.start()

    def begin(self) -> None:
        """Begin without waiting: the agent has to go on, or its last event would never be done."""
        self._task = asyncio.create_task(self._end())

    async def _end(self) -> None:
        while not await self._is_committed():
            await self._app.producer.flush()
            await self._app.commit({self._job.topic})
            await asyncio.sleep(POLL_S)
        self._meter.stop()
        await self._admin.close()
        signal.raise_signal(signal.SIGTERM)  # A worker ends by a signal: stopping the app leaves it waiting.

    async def _is_committed(self) -> bool:
        committed = await self._admin.list_consumer_group_offsets(self._job.application, partitions=self._partitions)
        return self._job.events <= sum(max(0, int(at.offset)) for at in committed.values())


def count(job: Job) -> None:
    """Do the whole job, and print what it took."""
    app, meter = make_app(job), Meter(job)
    ending = EndOfStream(app, job, meter)
    table = app.Table(TABLE, partitions=job.partitions, key_type=bytes, value_type=bytes)
    parse, pack, unpack = msgspec.json.Decoder().decode, PAIR.pack, PAIR.unpack

    app.task(ending.connect)

    @app.agent(app.topic(job.topic, partitions=job.partitions, key_type=bytes, value_type=bytes))
    async def _count(stream: StreamT[bytes]) -> None:
        async for event in stream.events():
            parse(event.value)
            packed = table.get(event.key)
            counted = unpack(packed)[0] if packed is not None else 0
            table[event.key] = pack(counted + 1, event.message.offset)
            if meter.saw():
                ending.begin()

    logging.disable(logging.INFO)  # A worker leaves the root logger at DEBUG, which costs two formatted lines an event.
    with suppress(SystemExit):  # The worker would end the program.
        faust.Worker(app, loglevel="WARNING", redirect_stdouts=False).execute_from_commandline()
    meter.report(
        engine="faust",
        version=version("faust-streaming"),
        changelog=f"{job.application}-{TABLE}-changelog",
        state="pair",
        settings={"store": "memory", "guarantee": "at_least_once"},
    )


if __name__ == "__main__":
    count(from_command_line(__doc__))

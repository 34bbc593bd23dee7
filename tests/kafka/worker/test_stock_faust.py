"""The failing control: stock Faust counts wrongly under kills that cost the same job in our engine nothing."""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import Struct as Layout

from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # aiokafka comes without types

from streams.kafka.worker.checkpoint import CHECKPOINT_KEY
from tests.kafka.broker import Broker
from tests.kafka.workers import PARTITIONS, SESSION_S, SentRecord, read_topic, send, until

PEERS = Path(__file__).parents[3] / "benchmarks/peers"
PAIR = Layout(">qq")
"""How both engines keep a subscriber: how many records were counted, and the offset of the last one."""
KEYS = 50
PART = 3_000
KILLS = 2
COMMIT_S = 5.0

STOCK = f"""
import faust_table
made = faust_table.make_app
def with_a_short_session(job):
    app = made(job)
    app.conf.broker_session_timeout, app.conf.broker_heartbeat_interval = {SESSION_S}, {SESSION_S} / 3
    return app
faust_table.make_app = with_a_short_session
faust_table.count(faust_table.from_command_line(None))
"""
OURS = f"""
import forewarn_bare
told = forewarn_bare.WorkerSettings
forewarn_bare.WorkerSettings = lambda **given: told(session_s={SESSION_S}, **given)
forewarn_bare.count(forewarn_bare.from_command_line(None))
"""
ENGINES = {"stock": (STOCK, "counts-changelog"), "ours": (OURS, "state")}


class CountingJob:
    """The counting of one topic's records by one engine, which can be killed and started again."""

    def __init__(self, broker: Broker, prefix: str, folder: Path, name: str) -> None:
        self.address, self.topic, self.group = broker.address, f"{prefix}{name}", f"{prefix}{name}-job"
        script, changelog = ENGINES[name]
        self.changelog = f"{self.group}-{changelog}"
        self.said = folder / f"{name}.txt"
        options = {
            "brokers": self.address, "topic": self.topic, "partitions": PARTITIONS, "application": self.group,
            "events": (KILLS + 1) * PART, "commit": COMMIT_S, "folder": folder,
        }  # fmt: skip
        words = [str(word) for option, value in options.items() for word in (f"--{option}", value)]
        path = f"import sys; sys.path.insert(0, {str(PEERS)!r})\n"
        self._command = [sys.executable, "-c", path + script, *words]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the engine."""
        with self.said.open("ab") as out:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)

    def counted(self) -> int:
        """Return how many records the states in the log say were counted."""
        states = {record.key: record.value for record in asyncio.run(read_topic(self.address, self.changelog))}
        return sum(PAIR.unpack(value)[0] for key, value in states.items() if key != CHECKPOINT_KEY)

    async def committed(self) -> int:
        """Return how many records the group says are done."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            return sum(max(0, at.offset) for at in (await admin.list_consumer_group_offsets(self.group)).values())
        finally:
            await admin.close()

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something; what the engine has said explains a failure."""
        until(is_so, 60.0, lambda: self.said.read_text("utf-8", "replace")[-2_000:])


async def make_topic(address: str, topic: str) -> None:
    """Create the topic of the records."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1)])
    await admin.close()


def counted_under_kills(job: CountingJob) -> int:
    """Return what is counted in the end, with a kill in the middle of each part but the last."""
    draw = random.Random(8)
    asyncio.run(make_topic(job.address, job.topic))
    try:
        job.start()
        for part in range(KILLS + 1):
            records = [SentRecord("", b"key-%d" % draw.randrange(KEYS), b'{"n":%d}' % n) for n in range(PART)]
            asyncio.run(send(job.address, job.topic, records))
            if part < KILLS:
                job.wait_until(lambda part=part: job.counted() >= part * PART + PART // 2)  # type: ignore[misc]  # a default that binds
                time.sleep(draw.uniform(0.0, 0.3))
                job.kill()
                job.start()
        everything = (KILLS + 1) * PART
        job.wait_until(lambda: asyncio.run(job.committed()) >= everything)
        return job.counted()
    finally:
        job.kill()


def test_under_the_same_kills_stock_faust_counts_wrongly_and_this_engine_exactly(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    with ThreadPoolExecutor() as both:
        stock, ours = both.map(counted_under_kills, [CountingJob(broker, prefix, tmp_path, name) for name in ENGINES])
    assert ours == (KILLS + 1) * PART
    assert stock != (KILLS + 1) * PART
    print(f"stock Faust counted {stock}, this engine {ours}, of {(KILLS + 1) * PART}")

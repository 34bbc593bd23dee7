"""Workers as processes of their own, what they are fed, what they leave in the log, and what it should be."""

import asyncio
import signal
import subprocess
import sys
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import msgspec
from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    TopicPartition,
)
from msgspec import Struct

from streams.core.alerts.policy import policy_from_layers
from streams.core.contracts.events import INPUTS
from streams.core.scoring.models import read_scorecard
from streams.core.step import Context
from streams.core.subscriber.facts import Facts
from streams.core.subscriber.packing import unpack
from streams.core.subscriber.snapshots import unpack_snapshot
from streams.defaults import read_default
from streams.engine.subscribers import SNAPSHOT
from streams.kafka.client.connection import ConnectionSettings
from streams.kafka.topics.management import create
from streams.kafka.worker.checkpoint import CHECKPOINT_KEY, TaskCheckpoint, read_checkpoint
from streams.kafka.worker.subscriber_task import SubscriberTask

APPLICATION = "forewarn"
PARTITIONS = 4
SESSION_S = 6.0


class Raw(Struct, frozen=True):
    """A record as the log has it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class SentRecord(Struct, frozen=True):
    """One record as it was sent."""

    topic: str
    key: bytes
    value: bytes | None


class Worker:
    """One `forewarn worker`, or a script in its place."""

    def __init__(
        self,
        address: str,
        prefix: str,
        folder: Path,
        *,
        script: str | None = None,
        name: str = "w",
        options: Sequence[str] = (),
    ) -> None:
        """Start it; what it says goes to a file in the folder."""
        self.said = folder / f"{name}-{time.monotonic_ns()}.txt"
        begin = ["-c", script] if script else ["-m", "streams.cli"]
        arguments = ["worker", "--kafka", address, "--prefix", prefix, "--session", str(SESSION_S), *options]
        with self.said.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *begin, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder
            )

    def __enter__(self) -> Self:
        """Return the worker."""
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        """Kill what is left of it; if the test failed, add what it said to the failure."""
        ended = self.process.poll()
        self.kill()
        if error is not None:
            state = "was still running" if ended is None else f"had ended with {ended}"
            error.add_note(f"the worker {state} and had said:\n{self.words[-2000:]}")

    def kill(self) -> None:
        """End it as a power cut does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(30)

    def freeze(self) -> None:
        """Let it stand still, as a paused machine does."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it stood."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """Tell it to stop, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    @property
    def words(self) -> str:
        """All that it has said so far."""
        return self.said.read_text("utf-8", "replace")

    def wait_for(self, text: str, timeout_s: float = 40.0) -> None:
        """Wait until it has said something."""
        until(lambda: text in self.words, timeout_s, lambda: f"no {text!r} in:\n{self.words[-2000:]}")


class SupervisedWorker:
    """A worker that is started again when it has ended for a reason that a restart mends."""

    def __init__(
        self,
        address: str,
        prefix: str,
        folder: Path,
        *,
        name: str,
        options: Sequence[str] = (),
        script: str | None = None,
    ) -> None:
        """Start it."""
        self._start = partial(Worker, address, prefix, folder, name=name, options=options, script=script)
        self.worker = self._start()
        self.ends: list[str] = []

    def __enter__(self) -> Self:
        """Return the supervised worker."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what is left of it."""
        self.worker.kill()

    def look_after(self) -> None:
        """Start it again if it has ended."""
        ended = self.worker.process.poll()
        if ended is None:
            return
        last = self.worker.words.splitlines()[-1]
        # While no broker is there, one that is started says so and ends like any command without its broker.
        assert ended in {74, 75} or (ended == 2 and "error: kafka: nothing listens" in last), self.worker.words
        self.ends.append(f"{ended} {last}")
        self.restart()

    def restart(self) -> None:
        """Kill it and start it anew."""
        self.worker.kill()
        self.worker = self._start()


def until(is_so: Any, timeout_s: float, otherwise: Any) -> None:
    """Wait until something is so; fail with the words of `otherwise`."""
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s, otherwise()
        time.sleep(0.1)


def read_fed(folder: Path) -> list[SentRecord]:
    """Return the records of a simulated operator in the order of their event times, the unreadable ones first."""
    found: list[tuple[str, int, SentRecord]] = []
    for topic in INPUTS:
        for number, line in enumerate((folder / f"{topic}.jsonl").read_bytes().splitlines()):
            try:
                body = msgspec.json.decode(line)
                key, at = str(body["subscriber_id"]).encode(), str(body["event_time"])
            except (msgspec.DecodeError, KeyError, TypeError):
                key, at = b"unreadable", ""
            found.append((at, number, SentRecord(topic, key, line)))
    return [fed for _, _, fed in sorted(found, key=lambda row: (row[0], row[2].topic, row[1]))]


async def prepare(address: str, prefix: str, partitions: int = PARTITIONS) -> None:
    """Make the topics."""
    await create(ConnectionSettings(brokers=address), prefix, partitions, 1)


async def send(address: str, prefix: str, records: Iterable[SentRecord]) -> None:
    """Send records, and wait until they are confirmed."""
    producer = AIOKafkaProducer(bootstrap_servers=address, linger_ms=5, max_batch_size=1 << 18)
    await producer.start()
    try:
        sent = [await producer.send(prefix + fed.topic, key=fed.key, value=fed.value) for fed in records]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def read_topic(address: str, topic: str) -> list[Any]:
    """Return the committed records of a topic, each partition in its order."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=address, isolation_level="read_committed", enable_auto_commit=False, group_id=None
    )
    await consumer.start()
    try:
        tps = [TopicPartition(topic, n) for n in sorted(await _partitions(consumer, topic))]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(tps)
        found: dict[Any, list[Any]] = {tp: [] for tp in tps}
        while [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
            for tp, records in (await consumer.getmany(timeout_ms=300)).items():
                found[tp] += [record for record in records if record.offset < ends[tp]]
        return [record for tp in tps for record in found[tp]]
    finally:
        await consumer.stop()


async def _partitions(consumer: Any, topic: str) -> set[int]:
    await consumer._client.force_metadata_update()
    return set(consumer._client.cluster.partitions_for_topic(topic) or range(PARTITIONS))


class LogContents(Struct, frozen=True):
    """What the workers left in the log: states by subscriber, marks by partition, and what they published."""

    states: Mapping[bytes, bytes]
    marks: Mapping[int, TaskCheckpoint]
    alerts: Sequence[dict[str, Any]]
    examples: Sequence[dict[str, Any]]
    dead: Sequence[dict[str, Any]]

    @property
    def counted(self) -> dict[str, int]:
        """The counters of all partitions together."""
        total: dict[str, int] = defaultdict(int)
        for mark in self.marks.values():
            for name, count in mark.counters.items():
                total[name] += count
        return dict(total)

    @property
    def events(self) -> int:
        """How many records were applied, good and bad."""
        counted = self.counted
        return sum(n for name, n in counted.items() if name.startswith(("events:", "dead:")) or name == "erased")


async def left_in(address: str, prefix: str) -> LogContents:
    """Read what the workers have left."""
    states: dict[bytes, bytes] = {}
    marks: dict[int, TaskCheckpoint] = {}
    for record in await read_topic(address, f"{prefix}{APPLICATION}-state"):
        if record.key == CHECKPOINT_KEY:
            marks[record.partition] = read_checkpoint(record.value, prefix + APPLICATION)
        elif record.value is None:
            states.pop(record.key, None)
        else:
            states[record.key] = record.value
    published = [
        [msgspec.json.decode(record.value) for record in await read_topic(address, prefix + topic) if record.value]
        for topic in ("alerts", "examples", "dead-letters")
    ]
    return LogContents(states, marks, *published)


def cold_context() -> Context:
    """Return what a worker serves before any model was published."""
    policy = policy_from_layers(tomllib.loads(read_default("policy.toml")))
    return Context(read_scorecard(read_default("scorecard.toml"), policy.label.off), policy)


async def folded(address: str, prefix: str, partitions: int = PARTITIONS) -> list[SubscriberTask]:
    """Return the tasks after all that is in the log, worked off in one go without any broker: the oracle."""
    tasks = [SubscriberTask(number, prefix + APPLICATION, cold_context()) for number in range(partitions)]
    for topic in INPUTS:
        runs: dict[int, list[Raw]] = defaultdict(list)
        for record in await read_topic(address, prefix + topic):
            runs[record.partition].append(Raw(record.offset, record.timestamp, record.key, record.value))
        for number, run in runs.items():
            source = next(s for s, queue in tasks[number].queues.items() if queue.topic == topic)
            assert tasks[number].queue(source, 0, run)
    for task in tasks:
        while task.advance(set(task.queues), 100_000):
            pass
    return tasks


def assert_exact(address: str, prefix: str, left: LogContents, records: int) -> None:
    """Hold everything that workers left against an offline fold of the log."""
    tasks = asyncio.run(folded(address, prefix))
    assert left.events == records
    assert facts_of(left.states) == facts_of(states_of(tasks))
    for published, name in ((left.alerts, "transition_id"), (left.examples, "example_id")):
        ids = [message[name] for message in published]
        assert len(ids) == len(set(ids))
    places = [(letter["topic"], letter["partition"], letter["offset"]) for letter in left.dead]
    assert len(places) == len(set(places)) == sum(n for c, n in left.counted.items() if c.startswith("dead:"))


def states_of(tasks: Sequence[SubscriberTask]) -> dict[bytes, bytes]:
    """Return the states that tasks would write, by their keys."""
    return {key: packed for task in tasks for key, packed in changed(task) if packed}


def facts_of(states: Mapping[bytes, bytes]) -> dict[bytes, Facts]:
    """Return what the events add up to, by subscriber; no snapshot may be missing, and none left over."""
    snapshots: dict[bytes, set[int]] = defaultdict(set)
    whole: dict[bytes, bytes] = {}
    for key, packed in states.items():
        name, is_snapshot, at_ms = key.partition(SNAPSHOT.encode())
        if is_snapshot:
            unpack_snapshot(packed, int(at_ms))
            snapshots[name].add(int(at_ms))
        else:
            whole[key] = packed
    opened = {key: unpack(packed) for key, packed in whole.items()}
    waiting = {key: {snapshot.at_ms for snapshot in state.watch.waiting} for key, state in opened.items()}
    assert snapshots == {k: w for k, w in waiting.items() if w}
    return {key: state.facts for key, state in opened.items()}


def changed(task: SubscriberTask) -> list[tuple[bytes, bytes | None]]:
    """Return the states that a task would write."""
    changes = task.changes()
    return [] if changes is None else changes.states


def in_parts(records: list[SentRecord], count: int) -> list[list[SentRecord]]:
    """Return the records in so many parts, in their order."""
    share = len(records) // count + 1
    return [records[i : i + share] for i in range(0, len(records), share)]


def feed(address: str, prefix: str, parts: Sequence[list[SentRecord]]) -> None:
    """Send the parts at a pace at which no topic gets a week ahead of the others."""
    for part in parts:
        asyncio.run(send(address, prefix, part))
        time.sleep(0.2)


def wait_until_applied(
    address: str, prefix: str, count: int, timeout_s: float = 90.0, *, supervised: Sequence[SupervisedWorker] = ()
) -> LogContents:
    """Wait until so many records were applied, and return what is left then."""
    found: list[LogContents] = []

    def is_so() -> bool:
        for each in supervised:
            each.look_after()
        found[:] = [asyncio.run(left_in(address, prefix))]
        return found[0].events >= count

    until(is_so, timeout_s, lambda: f"{found[0].events} of {count} records applied")
    return found[0]

"""What keeps the states exact, each protection switched off once: then the same test has to fail."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.kafka.broker import Broker
from tests.kafka.workers import (
    SESSION_S,
    SentRecord,
    Worker,
    assert_exact,
    feed,
    in_parts,
    left_in,
    prepare,
    send,
    wait_until_applied,
)

RUN = "import sys; from streams.cli import main; sys.argv[0] = 'forewarn'; main()"

FREEZES_BEFORE_A_WRITE = """
import os
import signal
from streams.kafka.worker import changelog
write = changelog.Changelog.write
begun = under_way = 0
async def frozen_once_when_no_other_is_under_way(self, partition, changes):
    global begun, under_way
    begun += 1
    if begun > 4 and not under_way and len(changes.states) > 20:
        begun = -1_000_000
        print("freezes with states that are not written", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        await write(self, partition, changes)
        print("wrote them", flush=True)
        return
    under_way += 1
    await write(self, partition, changes)
    under_way -= 1
changelog.Changelog.write = frozen_once_when_no_other_is_under_way
"""
WITHOUT_FENCING = """
import uuid
from streams.kafka.worker import changelog
producer = changelog.AIOKafkaProducer
def with_an_id_of_its_own(*, transactional_id, **options):
    return producer(transactional_id=transactional_id + uuid.uuid4().hex, **options)
changelog.AIOKafkaProducer = with_an_id_of_its_own
"""
DROPS_A_RUN = """
from streams.kafka.worker import faust_transport
handed = faust_transport.Consumer.getmany
runs = 0
async def with_one_run_dropped(self, timeout):
    global runs
    async for tp, message in handed(self, timeout):
        runs += 1
        if runs != 9:
            yield tp, message
faust_transport.Consumer.getmany = with_one_run_dropped
"""
WITHOUT_CHAIN = """
from streams.kafka.worker import subscriber_task
queue = subscriber_task.SubscriberTask.queue
subscriber_task.SubscriberTask.queue = lambda self, source, start, records: queue(self, source, 0, records)
"""
FETCHES_TOO_EARLY = """
from streams.kafka.worker import faust_transport
seek = faust_transport.Consumer.perform_seek
async def after_records_have_come(self):
    while not await self._reader.getmany(timeout_ms=500):
        pass
    await seek(self)
faust_transport.Consumer.perform_seek = after_records_have_come
"""
WITHOUT_GOING_BACK = """
from streams.kafka.worker import faust_transport
faust_transport.Consumer.read_again = lambda self, tp, position: self._stands.__setitem__(tp, position)
"""
NEVER_COMMITS = """
from streams.kafka.worker import faust_transport
faust_transport.Consumer._new_offset = lambda self, tp: None
"""
WITHOUT_APPLIED_OFFSETS = """
from streams.kafka.worker import subscriber_task
restore = subscriber_task.SubscriberTask.restore
def from_the_committed_offsets(self, states):
    restore(self, states)
    for queue in self.queues.values():
        queue.queued = queue.applied = 0
subscriber_task.SubscriberTask.restore = from_the_committed_offsets
"""


def scripted(*parts: str) -> str:
    """Return a worker's script with parts of it replaced."""
    return "\n".join((*parts, RUN))


def check(address: str, prefix: str, records: int, *, holds: bool) -> None:
    """Hold what is left in the log against the oracle; with a protection off it must not hold."""
    left = asyncio.run(left_in(address, prefix))
    if holds:
        assert_exact(address, prefix, left, records)
    else:
        with pytest.raises(AssertionError):
            assert_exact(address, prefix, left, records)


@pytest.mark.parametrize("fenced", [True, False], ids=["fenced", "not fenced"])
def test_a_frozen_worker_that_wakes_writes_nothing(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path, *, fenced: bool
) -> None:
    """Frozen past its session with states that it has not written: the other one takes over, and they stay out."""
    parts = in_parts(fed, 24)
    script = scripted(FREEZES_BEFORE_A_WRITE) if fenced else scripted(FREEZES_BEFORE_A_WRITE, WITHOUT_FENCING)
    asyncio.run(prepare(broker.address, prefix))
    with Worker(broker.address, prefix, tmp_path, script=script, name="frozen") as frozen:
        frozen.wait_for("partition 3 restored")
        feed(broker.address, prefix, parts[:10])
        frozen.wait_for("freezes with states that are not written")
        heir_script = scripted() if fenced else scripted(WITHOUT_FENCING)
        with Worker(broker.address, prefix, tmp_path, script=heir_script, name="heir") as heir:
            heir.wait_for("partition 3 restored", 4 * SESSION_S + 20)
            feed(broker.address, prefix, parts[10:])
            wait_until_applied(broker.address, prefix, len(fed))
            heir.freeze()
            frozen.thaw()
            if fenced:
                assert frozen.process.wait(30) == 74, frozen.words
                assert "stopped: partition" in frozen.words.splitlines()[-1]
                assert "wrote them" not in frozen.words
            else:
                frozen.wait_for("wrote them")
            frozen.kill()
    check(broker.address, prefix, len(fed), holds=fenced)


@pytest.mark.parametrize("chained", [True, False], ids=["chained", "not chained"])
def test_a_run_that_was_dropped_on_the_way_is_read_again(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path, *, chained: bool
) -> None:
    """Faust drops queued messages without a word while partitions move; here one is dropped for certain."""
    script = scripted(DROPS_A_RUN) if chained else scripted(DROPS_A_RUN, WITHOUT_CHAIN)
    asyncio.run(prepare(broker.address, prefix))
    with Worker(broker.address, prefix, tmp_path, script=script) as worker:
        worker.wait_for("partition 3 restored")
        feed(broker.address, prefix, in_parts(fed, 20))
        if chained:
            wait_until_applied(broker.address, prefix, len(fed))
        else:
            time.sleep(3.0)
        assert worker.process.poll() is None, worker.words
    check(broker.address, prefix, len(fed), holds=chained)


@pytest.mark.parametrize("goes_back", [True, False], ids=["goes back", "does not go back"])
def test_what_was_fetched_before_the_states_said_from_where_is_read_again(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path, *, goes_back: bool
) -> None:
    """Faust may fetch between an assignment and its seek, and the group has committed nothing to go back to."""
    script = scripted(FETCHES_TOO_EARLY) if goes_back else scripted(FETCHES_TOO_EARLY, WITHOUT_GOING_BACK)
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, fed))
    with Worker(broker.address, prefix, tmp_path, script=script) as worker:
        if goes_back:
            wait_until_applied(broker.address, prefix, len(fed))
        else:
            worker.wait_for("restored")
            time.sleep(5.0)
        assert worker.process.poll() is None, worker.words
    check(broker.address, prefix, len(fed), holds=goes_back)


@pytest.mark.parametrize("remembered", [True, False], ids=["remembered", "not remembered"])
def test_what_was_applied_is_not_applied_again_after_a_kill(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path, *, remembered: bool
) -> None:
    """The group's offsets were never committed, so a worker that is started again is handed everything again."""
    parts = in_parts(fed, 20)
    script = scripted(NEVER_COMMITS) if remembered else scripted(NEVER_COMMITS, WITHOUT_APPLIED_OFFSETS)
    asyncio.run(prepare(broker.address, prefix))
    for share in (parts[:10], parts[10:]):
        with Worker(broker.address, prefix, tmp_path, script=script) as worker:
            worker.wait_for("partition 3 restored")
            feed(broker.address, prefix, share)
            wait_until_applied(broker.address, prefix, sum(map(len, share)))
    time.sleep(1.0)
    if remembered:
        with Worker(broker.address, prefix, tmp_path, script=script):
            wait_until_applied(broker.address, prefix, len(fed))
    check(broker.address, prefix, len(fed), holds=remembered)

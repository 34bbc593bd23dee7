"""The watchdog ends a worker in which nothing moves although it should, at its deadline and not before."""

import asyncio
from pathlib import Path

import pytest

from streams.kafka.worker.process import Watchdog, WorkerSettings
from streams.shared.exits import StoppedError
from tests.kafka.benches import Clock, FakeChangelog
from tests.kafka.broker import Broker
from tests.kafka.worker.test_protections import scripted
from tests.kafka.workers import SentRecord, Worker, prepare, send, wait_until_applied

HEARS_NOTHING = """
import msgspec
from streams.kafka.worker import faust_transport
from streams.kafka.worker import process as worker
async def unheard(self, topics):
    pass
faust_transport.Consumer.subscribe = unheard
told = worker.Watchdog.__init__
def impatient(self, settings, *others):
    told(self, msgspec.structs.replace(settings, unassigned_s=3.0), *others)
worker.Watchdog.__init__ = impatient
worker.WATCH_S = 1.0
"""

RESTORES_SLOWLY = """
import asyncio, msgspec
from streams.kafka.worker import changelog
from streams.kafka.worker import process as worker
read = changelog.Changelog.read
async def slowly(self, partition, states):
    await asyncio.sleep(2.0)
    return await read(self, partition, states)
changelog.Changelog.read = slowly
told = worker.Watchdog.__init__
def impatient(self, settings, *others):
    told(self, msgspec.structs.replace(settings, rebalance_s=4.0, unmoved_s=4.0), *others)
worker.Watchdog.__init__ = impatient
worker.WATCH_S = 0.5
"""


class StubManager:
    """What the watchdog asks of a partition manager."""

    def __init__(self) -> None:
        self.joined = True
        self.stalled_s = self.waiting_s = 0.0

    def unmoved_s(self) -> float:
        """Return for how long nothing was applied."""
        return self.stalled_s

    def unwritten_s(self) -> float:
        """Return for how long nothing was written."""
        return self.waiting_s


DEADLINES = {
    "held": (300.0, "partitions have been moving for 300 s"),
    "unassigned": (300.0, "the group gave no answer for 300 s"),
    "lost": (120.0, "no broker has answered for 120 s"),
    "unmoved": (120.0, "records wait, but none was applied for 120 s"),
    "unwritten": (120.0, "records are applied, but nothing was written for 120 s"),
}


@pytest.mark.parametrize("case", DEADLINES)
def test_the_watchdog_ends_a_worker_in_which_nothing_moves_and_not_before_its_deadline(case: str) -> None:
    deadline_s, words = DEADLINES[case]
    stub, changelog, clock = StubManager(), FakeChangelog(), Clock()
    watchdog = Watchdog(WorkerSettings(), stub, changelog, clock)  # type: ignore[arg-type]  # all that it asks for
    stub.joined, changelog.answers = case != "unassigned", case != "lost"

    async def look_after(wait_s: float) -> None:
        clock.now_s += wait_s
        stub.stalled_s += wait_s * (case == "unmoved")
        stub.waiting_s += wait_s * (case == "unwritten")
        await watchdog.look(is_held=case == "held")

    asyncio.run(look_after(deadline_s))
    assert watchdog.unreached_s() == (deadline_s if case == "lost" else 0.0)
    with pytest.raises(StoppedError) as stop:
        asyncio.run(look_after(0.1))
    assert (stop.value.exit_code, str(stop.value)) == (75, words)


def test_the_watchdog_leaves_a_worker_alone_that_moves() -> None:
    clock = Clock()
    watchdog = Watchdog(WorkerSettings(), StubManager(), FakeChangelog(), clock)  # type: ignore[arg-type]  # as above
    for held in (False, True, False, True):
        clock.now_s += 299.0
        asyncio.run(watchdog.look(is_held=held))


def test_a_worker_that_the_group_never_answers_ends(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """Also before the first assignment, when Faust has not begun an app's tasks."""
    asyncio.run(prepare(broker.address, prefix))
    with Worker(broker.address, prefix, tmp_path, script=scripted(HEARS_NOTHING)) as unheard:
        assert unheard.process.wait(30) == 75
        assert unheard.words.splitlines()[-1] == "stopped: the group gave no answer for 3 s"


def test_a_restore_may_take_longer_than_a_session_and_than_partitions_may_move(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, fed[:500]))
    with Worker(broker.address, prefix, tmp_path, script=scripted(RESTORES_SLOWLY)) as worker:
        wait_until_applied(broker.address, prefix, 500)
        assert worker.words.count("partition 3 restored") == 1
        assert worker.stop() == 0, worker.words

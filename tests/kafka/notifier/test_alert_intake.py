"""The notifier's work and its place in the database, without a broker: what is written when, and what is refused."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.encode import output_record
from streams.core.contracts.outputs import OutputRecord
from streams.core.contracts.source import source_at
from streams.core.notify.contact import ContactRules
from streams.kafka.notifier.alert_intake import AlertBatch, AlertIntake
from streams.kafka.notifier.alert_records import read_alert
from streams.kafka.notifier.database_progress import DatabaseProgress
from streams.kafka.notifier.notifier import PACE
from streams.kafka.worker.faust_transport import PartitionOffsets, RecordBatch
from streams.kafka.worker.flood import FloodLimit
from streams.kafka.worker.partition_manager import PartitionManager
from streams.shared.exits import EXIT_IO, StoppedError
from streams.store.sink import Sink
from tests.kafka.benches import FakeReader
from tests.kafka.workers import Raw
from tests.sink.alerts_told import BEGAN_MS, told

TOPIC = "p.alerts"
GOOD, BAD = "good", "bad"


def records(kinds: Sequence[str], first: int = 0) -> list[Raw]:
    """Return records of the log, each of an alert of its own."""
    values = {number: output_record(told(number, "fired", BEGAN_MS)).value for number in range(len(kinds))}
    return [Raw(first + number, 0, b"k", values[number] if kind == GOOD else b"{") for number, kind in enumerate(kinds)]


class FakePublisher:
    """Takes note of what is confirmed, and of how much stood in the database then; or fails."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.published: list[tuple[OutputRecord, dict[int, int]]] = []
        self.failure: Exception | None = None

    async def publish(self, messages: Sequence[OutputRecord]) -> None:
        if self.failure is not None:
            raise self.failure
        self.published += [(message, self._sink.positions("alerts")) for message in messages]


class NotifierBench:
    """A partition manager of partition 0 of the alerts over a database of its own."""

    def __init__(self, sink: Sink, *, flood: FloodLimit | None = None, accepts_expired: bool = False) -> None:
        self.sink, self.publisher, self.reader = sink, FakePublisher(sink), FakeReader()
        self.said: list[str] = []
        progress = DatabaseProgress(
            TOPIC,
            sink,
            ContactRules(),
            self.publisher,  # type: ignore[arg-type]  # what is needed of it
            self.said.append,
        )
        self.manager: PartitionManager[AlertBatch] = PartitionManager(
            [TOPIC],
            progress,
            pace=PACE,
            flood=flood or FloodLimit(),
            accepts_expired=accepts_expired,
            say=self.said.append,
        )

    async def take_in(self, log: Sequence[Raw]) -> None:
        """Be given the partition and a run of it, and write it."""
        await self.manager.take([(TOPIC, 0)])
        await self.manager.accept(TOPIC, 0, RecordBatch(log[0].offset, log), self.reader)
        await self.manager.write()

    def stands(self) -> int:
        """Return where the database stands."""
        return self.sink.positions("alerts").get(0, 0)


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    """Return an empty database."""
    return Sink.open(tmp_path / "sink.db")


def intake(log: Sequence[Raw], stands: int = 0) -> AlertIntake:
    """Return the work on records that are queued."""
    work = AlertIntake(0, stands)
    assert work.queue(source_at(0, 0), log[0].offset, log)
    return work


def test_what_is_read_is_gathered_once_with_where_it_ends() -> None:
    log = records([GOOD, BAD, GOOD], first=5)
    work = intake(log, stands=6)
    while work.advance((), 1_000):
        pass
    (batch,) = work.gather()
    assert batch == AlertBatch([read_alert(log[2], 0)], [read_alert(log[1], 0)], {source_at(0, 0): 8})  # type: ignore[list-item]
    work.note_written()
    assert list(work.gather()) == []
    assert isinstance(batch, AlertBatch)
    assert len(batch.transitions) == 1


def test_a_run_behind_a_gap_is_not_queued() -> None:
    assert not AlertIntake(0, 5).queue(source_at(0, 0), 6, records([GOOD], first=6))


@pytest.mark.parametrize(("bad", "is_flood"), [(9, False), (10, True)])
def test_bad_records_in_a_row_are_counted_although_good_ones_follow_in_the_same_run(
    sink: Sink, bad: int, *, is_flood: bool
) -> None:
    bench = NotifierBench(sink, flood=FloodLimit(ratio=1.0, run=10))
    log = records([GOOD] * 20 + [BAD] * bad + [GOOD] * 20)
    if is_flood:
        with pytest.raises(StoppedError, match=r"a flood of bad records in partition 0: 10 .*\(10 not_json\)") as stop:
            asyncio.run(bench.take_in(log))
        assert stop.value.exit_code == 65
        assert bench.publisher.published == []
    else:
        asyncio.run(bench.take_in(log))
        assert len(bench.publisher.published) == bad
        assert bench.stands() == len(log)


def test_a_share_of_bad_records_is_a_flood_with_good_ones_between(sink: Sink) -> None:
    bench = NotifierBench(sink, flood=FloodLimit(ratio=0.5, run=1_000))
    with pytest.raises(StoppedError, match="50% of the last ones"):
        asyncio.run(bench.take_in(records([BAD, GOOD] * 1_000)))


def test_a_dead_letter_is_confirmed_before_the_position_moves(sink: Sink) -> None:
    bench = NotifierBench(sink)
    log = records([GOOD, BAD])
    asyncio.run(bench.take_in(log))
    letter = read_alert(log[1], 0)
    assert isinstance(letter, DeadLetter)
    assert bench.publisher.published == [(output_record(letter), {})]
    assert bench.stands() == 2
    assert bench.manager.safe_offset(TOPIC, 0) == 2


def test_a_dead_letter_that_is_not_confirmed_holds_the_position_back(sink: Sink) -> None:
    bench = NotifierBench(sink)
    bench.publisher.failure = StoppedError(EXIT_IO, "Kafka cannot be written")
    with pytest.raises(StoppedError, match="Kafka cannot be written"):
        asyncio.run(bench.take_in(records([GOOD, BAD])))
    assert bench.stands() == 0
    assert bench.manager.safe_offset(TOPIC, 0) == 0


@pytest.mark.parametrize("committed", [None, 0, 900])
def test_reading_begins_where_the_database_stands_whatever_the_group_has_committed(
    sink: Sink, committed: int | None
) -> None:
    sink.record([], ContactRules(), 0, {("alerts", 0): 40})
    bench = NotifierBench(sink)
    asyncio.run(bench.manager.take([(TOPIC, 0)]))
    assert bench.manager.begin(TOPIC, 0, PartitionOffsets(committed, 0, 1_000)) == 40
    assert bench.said == ["partitions of p.alerts: 0 from 40"]


@pytest.mark.parametrize(
    ("reach", "words"),
    [
        (
            PartitionOffsets(None, 0, 39),
            "ends at 39, but 40 of its records are taken in: the topic was made anew, or the database",
        ),
        (PartitionOffsets(None, 42, 50), r"2 records of p.alerts/0 \(40 to 41\) have expired unread; restore them"),
    ],
    ids=["ends before", "expired"],
)
def test_a_topic_that_does_not_fit_the_database_is_refused(sink: Sink, reach: PartitionOffsets, words: str) -> None:
    sink.record([], ContactRules(), 0, {("alerts", 0): 40})
    bench = NotifierBench(sink)
    asyncio.run(bench.manager.take([(TOPIC, 0)]))
    with pytest.raises(StoppedError, match=words) as stop:
        bench.manager.begin(TOPIC, 0, reach)
    assert stop.value.exit_code == 70


def test_records_that_expired_are_passed_over_where_that_is_accepted(sink: Sink) -> None:
    sink.record([], ContactRules(), 0, {("alerts", 0): 40})
    bench = NotifierBench(sink, accepts_expired=True)
    log = records([GOOD], first=42)

    async def run() -> None:
        await bench.manager.take([(TOPIC, 0)])
        assert bench.manager.begin(TOPIC, 0, PartitionOffsets(None, 42, 43)) == 40
        await bench.manager.accept(TOPIC, 0, RecordBatch(40, log), bench.reader)
        await bench.manager.write()

    asyncio.run(run())
    assert bench.said[-1] == "2 records of p.alerts/0 (40 to 41) have expired unread: accepted"
    assert bench.stands() == 43


def lose(sink: Sink, folder: Path) -> None:
    """Put something in the place of a database that is none."""
    sink.close()
    for file in folder.iterdir():
        file.unlink()
    (folder / "sink.db").mkdir()


def test_a_database_that_fails_ends_the_notifier_as_a_broker_does(sink: Sink, tmp_path: Path) -> None:
    bench = NotifierBench(sink)

    async def run() -> None:
        await bench.manager.take([(TOPIC, 0)])
        lose(sink, tmp_path)
        await bench.manager.accept(TOPIC, 0, RecordBatch(0, records([GOOD])), bench.reader)
        await bench.manager.write()

    with pytest.raises(StoppedError) as stop:
        asyncio.run(run())
    assert stop.value.exit_code == 74

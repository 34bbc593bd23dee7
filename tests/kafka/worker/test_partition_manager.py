"""The partition manager without a broker: what it asks of the reader, when it stops, what is safe, and what stalls."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest
from aiokafka.errors import KafkaConnectionError  # type: ignore[import-untyped]  # aiokafka comes without types

from streams.kafka.worker import owned_partitions
from streams.kafka.worker import partition_manager as manager
from streams.kafka.worker.checkpoint import CHECKPOINT_KEY
from streams.kafka.worker.faust_transport import PartitionOffsets
from streams.kafka.worker.flood import FloodLimit
from streams.kafka.worker.owned_partitions import RECORDS_A_STATE, WORTH_RECORDS, OwnedPartition
from streams.kafka.worker.partition_manager import LOST_S, SEEK_AGAIN_S, WRITE_RECORDS
from streams.kafka.worker.partition_task import PartitionTask
from streams.kafka.worker.subscriber_task import TaskChanges
from streams.kafka.worker.task_progress import WriteFailedError
from streams.shared.exits import StoppedError
from tests.kafka.benches import PREFIX, TOPICS, Bench, Clock
from tests.kafka.workers import SentRecord

USAGE, TOP_UPS = PREFIX + "usage", PREFIX + "top-ups"


@pytest.fixture(scope="module")
def records(fed: list[SentRecord]) -> list[SentRecord]:
    """Return some good records of a small operator."""
    return [record for record in fed if record.key != b"unreadable"][:600]


def test_what_was_applied_is_safe_only_once_it_was_written(records: list[SentRecord]) -> None:
    bench = Bench(records)

    async def run() -> tuple[int | None, int | None]:
        await bench.take()
        for topic in [topic for topic, run in bench.log.items() if run]:
            await bench.accept(topic)
        before = bench.manager.safe_offset(USAGE, 0)
        await bench.tick()
        await bench.manager.write()
        return before, bench.manager.safe_offset(USAGE, 0)

    assert asyncio.run(run()) == (0, len(bench.log[USAGE]))
    assert bench.manager.written_records >= len(records)
    assert bench.manager.safe_offset(USAGE, 1) is None


def test_a_write_that_fails_stops_the_worker_and_moves_nothing(records: list[SentRecord]) -> None:
    bench = Bench(records)

    async def run() -> StoppedError:
        await bench.take()
        bench.changelog.failure = WriteFailedError("another has taken it")
        with pytest.raises(StoppedError, match="another has taken it") as stop:
            await bench.work_off()
        return stop.value

    assert asyncio.run(run()).exit_code == 74
    assert bench.manager.safe_offset(USAGE, 0) == 0
    assert bench.manager.health_status().moved == ()


def test_a_run_behind_a_gap_is_asked_for_again_and_not_twice_at_once(records: list[SentRecord]) -> None:
    clock = Clock()
    bench = Bench(records, clock=clock)

    async def run() -> list[int]:
        asked = []
        await bench.take()
        await bench.accept(USAGE, 0, 10)
        for wait_s in (0.0, SEEK_AGAIN_S - 0.1, 0.2):
            clock.now_s += wait_s
            await bench.accept(USAGE, 20, 30)
            asked.append(len(bench.reader.again))
        await bench.accept(USAGE, 10, 20)  # What was missing has come, so the next gap is a new one.
        await bench.accept(USAGE, 30, 40)
        return [*asked, len(bench.reader.again)]

    assert asyncio.run(run()) == [1, 1, 2, 3]
    assert bench.reader.again == [(USAGE, 0, 10), (USAGE, 0, 10), (USAGE, 0, 20)]


def test_what_was_read_and_never_arrived_is_read_again_once_nothing_comes_any_more(records: list[SentRecord]) -> None:
    clock = Clock()
    bench = Bench(records, clock=clock)

    async def run() -> list[int]:
        asked = []
        await bench.take()
        await bench.accept(USAGE, 0, 10)
        for wait_s in (0.0, LOST_S, 0.1):
            clock.now_s += wait_s
            await bench.tick({USAGE: 15, TOP_UPS: 0})
            asked.append(len(bench.reader.again))
        return asked

    assert asyncio.run(run()) == [0, 0, 1]
    assert bench.reader.again == [(USAGE, 0, 10)]


@pytest.mark.parametrize(
    ("changed", "worth"),
    [(0, WORTH_RECORDS), (1_000, WORTH_RECORDS), (20_000, 20_000 * RECORDS_A_STATE), (1_000_000, WRITE_RECORDS)],
)
def test_few_states_are_written_sooner_than_many_and_none_later_than_the_limit(changed: int, worth: int) -> None:
    task = cast("PartitionTask[TaskChanges]", SimpleNamespace(changed_count=changed))
    ours = OwnedPartition(task, {}, written_s=0.0, moved_s=0.0, unwritten=worth - 1)
    assert not ours.is_worth_a_write(WRITE_RECORDS)
    ours.unwritten += 1
    assert ours.is_worth_a_write(WRITE_RECORDS)
    ours.unwritten = 50
    assert ours.is_worth_a_write(50)


@pytest.mark.parametrize(("worth", "is_written"), [(100, True), (1_000_000, False)])
def test_a_backlog_is_written_once_that_is_worth_it_although_no_time_passes(
    worth: int, is_written: bool, monkeypatch: pytest.MonkeyPatch, records: list[SentRecord]
) -> None:
    monkeypatch.setattr(owned_partitions, "WORTH_RECORDS", worth)
    monkeypatch.setattr(owned_partitions, "RECORDS_A_STATE", 0)
    bench = Bench(records, clock=Clock())

    async def run() -> None:
        await bench.take()
        for topic in [topic for topic, run in bench.log.items() if run]:
            await bench.accept(topic)
        await bench.tick()

    asyncio.run(run())
    assert (bench.changelog.writes[0] > 0) is is_written


def test_a_source_that_is_far_ahead_of_the_others_is_paused_until_it_has_been_worked_off(
    monkeypatch: pytest.MonkeyPatch, records: list[SentRecord]
) -> None:
    monkeypatch.setattr(manager, "WAITING_MAX", 50)
    bench = Bench(records)

    async def run() -> list[int]:
        counts = []
        await bench.take()
        for start in (0, 50, 51):
            await bench.accept(USAGE, start, start + (50 if not start else 1))
            counts.append(len(bench.reader.paused))
        await bench.tick({})  # The other topics have more to come, so nothing can be applied.
        counts.append(len(bench.reader.paused))
        await bench.tick({topic: 0 if topic != USAGE else 52 for topic in TOPICS})
        return counts

    assert asyncio.run(run()) == [0, 1, 1, 1]
    assert bench.reader.paused == [(USAGE, True), (USAGE, False)]


def test_a_paused_source_that_was_given_up_is_not_left_paused(
    monkeypatch: pytest.MonkeyPatch, records: list[SentRecord]
) -> None:
    monkeypatch.setattr(manager, "WAITING_MAX", 50)
    bench = Bench(records)

    async def run() -> None:
        await bench.take()
        await bench.accept(USAGE, 0, 60)
        await bench.manager.drop([(topic, 0) for topic in TOPICS])
        await bench.tick({})

    asyncio.run(run())
    assert bench.reader.paused == [(USAGE, True), (USAGE, False)]
    assert bench.changelog.dropped == [0]


@pytest.mark.parametrize(("count", "stops"), [(9, False), (10, True)])
def test_bad_records_one_after_the_other_stop_the_worker_before_they_are_written(count: int, *, stops: bool) -> None:
    bench = Bench([SentRecord("usage", b"s", b"{")] * count, flood=FloodLimit(run=10))

    async def run() -> None:
        await bench.take()
        await bench.work_off()

    if stops:
        with pytest.raises(StoppedError, match=r"10 one after the other.*\(10 not_json\)") as stop:
            asyncio.run(run())
        assert stop.value.exit_code == 65
    else:
        asyncio.run(run())
    assert len(bench.changelog.outputs) == (0 if stops else count)


@pytest.mark.parametrize(("every", "stops"), [(3, False), (2, True)])
def test_a_share_of_bad_records_stops_the_worker_even_with_good_ones_between(
    records: list[SentRecord], every: int, *, stops: bool
) -> None:
    good = [record for record in records if record.topic == "usage"][:1]
    mixed = [SentRecord("usage", b"s", b"{") if not n % every else good[0] for n in range(2_000)]
    bench = Bench(mixed, flood=FloodLimit(ratio=0.5, run=1_000))

    async def run() -> None:
        await bench.take()
        await bench.work_off()

    if stops:
        with pytest.raises(StoppedError, match="50% of the last ones") as stop:
            asyncio.run(run())
        assert stop.value.exit_code == 65
    else:
        asyncio.run(run())


def worked_off(records: Sequence[SentRecord], *, accepts_expired: bool = False) -> Bench:
    """Return a partition manager that has applied and written all these records."""
    bench = Bench(records, accepts_expired=accepts_expired)

    async def run() -> None:
        await bench.take()
        await bench.work_off()

    asyncio.run(run())
    return bench


def test_a_source_is_read_from_where_its_states_stand_whatever_was_committed(records: list[SentRecord]) -> None:
    bench = worked_off(records)
    stands = len(bench.log[USAGE])
    assert bench.manager.begin(USAGE, 0, bench.reach(committed=stands - 5)) == stands
    assert bench.manager.begin(USAGE, 0, bench.reach(committed=None)) == stands
    assert bench.manager.begin(USAGE, 0, bench.reach(committed=stands, first=stands, end=stands)) == stands
    assert bench.manager.begin(USAGE, 1, bench.reach()) is None


@pytest.mark.parametrize(
    ("committed", "first", "end", "words"),
    [
        (1, 0, 0, "has committed offset {over} of p.usage/0, but the changelog goes to {stands}"),
        (0, 0, -1, "p.usage/0 ends at {under}, but {stands} of its records are applied"),
        (0, 1, 9, r"1 records of p.usage/0 \({stands} to {stands}\) have expired unread; restore them"),
    ],
    ids=["committed further", "ends before", "expired"],
)
def test_a_source_that_does_not_fit_its_states_is_refused(
    records: list[SentRecord], committed: int, first: int, end: int, words: str
) -> None:
    bench = worked_off(records)
    stands = len(bench.log[USAGE])
    reach = PartitionOffsets(stands + committed, stands + first, stands + end)
    with pytest.raises(StoppedError, match=words.format(stands=stands, over=stands + 1, under=stands - 1)) as stop:
        bench.manager.begin(USAGE, 0, reach)
    assert stop.value.exit_code == 70


def test_records_that_expired_are_passed_over_where_that_is_accepted(records: list[SentRecord]) -> None:
    bench = worked_off(records, accepts_expired=True)
    stands = len(bench.log[USAGE])
    assert bench.manager.begin(USAGE, 0, bench.reach(committed=stands, first=stands + 7)) == stands
    assert bench.said[-1] == f"7 records of p.usage/0 ({stands} to {stands + 6}) have expired unread: accepted"


def test_a_source_that_nobody_has_read_begins_where_its_log_does() -> None:
    bench = worked_off(())
    assert bench.manager.begin(USAGE, 0, bench.reach(first=400)) == 0
    bench.manager.note_expired(USAGE, 0, 0, 400)
    with pytest.raises(StoppedError, match="have expired unread"):
        bench.manager.note_expired(USAGE, 0, 1, 400)


def test_a_number_of_which_a_topic_is_missing_is_refused() -> None:
    bench = Bench()
    with pytest.raises(StoppedError, match=r"partition 0 of p\.usage was not assigned") as stop:
        asyncio.run(bench.manager.take([(topic, 0) for topic in TOPICS if topic != USAGE]))
    assert stop.value.exit_code == 70


def test_states_that_cannot_be_used_are_a_broken_invariant_and_a_log_that_cannot_be_read_is_not() -> None:
    bench = Bench()
    bench.changelog.states[0] = {CHECKPOINT_KEY: b"\xc1"}
    with pytest.raises(StoppedError, match="partition 0 cannot be restored") as stop:
        asyncio.run(bench.take())
    assert stop.value.exit_code == 70
    bench.changelog.failure = KafkaConnectionError("gone")
    with pytest.raises(StoppedError, match=r"partition 0 cannot be taken: .*gone") as stop:
        asyncio.run(bench.take())
    assert stop.value.exit_code == 74


def test_a_run_of_a_partition_that_was_given_up_is_left_to_its_next_owner(records: list[SentRecord]) -> None:
    bench = Bench(records)
    asyncio.run(bench.accept(USAGE))
    assert not bench.manager.has_partitions()
    assert bench.manager.safe_offset(USAGE, 0) is None


def test_how_a_worker_stands_follows_what_it_is_given(records: list[SentRecord]) -> None:
    clock = Clock()
    bench = Bench(records, clock=clock)

    async def run() -> list[tuple[tuple[int, ...] | None, bool, float | None]]:
        found = []

        def look() -> None:
            standing = bench.manager.health_status(unreached_s=1.0)
            assert standing.unreached_s == 1.0
            found.append((standing.partitions, standing.why_not is None, standing.written_s))

        look()
        await bench.take()
        look()
        await bench.work_off()
        clock.now_s += 9.0
        look()
        await bench.manager.drop([(topic, 0) for topic in TOPICS])
        look()
        await bench.manager.take([])
        look()
        return found

    assert asyncio.run(run()) == [(None, False, None), ((0,), False, None), ((0,), True, 9.0), (None, False, 9.0),
                                  ((), True, 9.0)]  # fmt: skip


def test_only_a_partition_with_records_to_apply_stalls(records: list[SentRecord]) -> None:
    """Twice the sources that have more to come hold back the records that are there."""
    clock = Clock()
    bench = Bench(records, clock=clock)
    nothing = dict.fromkeys(TOPICS, 0)

    async def run() -> list[float]:
        found = [bench.manager.unmoved_s()]
        await bench.take()
        await bench.accept(USAGE, 0, 10)
        for ended in ({}, {TOP_UPS: 0}, nothing | {USAGE: 10}, nothing | {USAGE: 10}):
            clock.now_s += 50.0
            await bench.tick(ended)
            found.append(bench.manager.unmoved_s())
        return found

    assert asyncio.run(run()) == [0.0, 50.0, 100.0, 0.0, 0.0]


@pytest.mark.parametrize("another", [False, True], ids=["nobody has written", "another has written"])
def test_a_partition_that_comes_back_is_restored_only_if_another_has_written_to_it(
    records: list[SentRecord], *, another: bool
) -> None:
    bench, disturbed = Bench(records), Bench(records)
    asyncio.run(disturbed.given_up_and_given_back(another=another))
    asyncio.run(bench.worked_off())
    assert disturbed.changelog.reads == 1 + another
    assert disturbed.changelog.fenced == [0, 0]
    assert disturbed.changelog.states == bench.changelog.states
    assert sorted(disturbed.changelog.outputs, key=repr) == sorted(bench.changelog.outputs, key=repr)


def test_what_was_given_up_and_does_not_come_back_is_let_go(records: list[SentRecord]) -> None:
    bench = Bench(records)

    async def run() -> None:
        await bench.worked_off()
        await bench.manager.drop([(topic, 0) for topic in TOPICS])
        await bench.manager.take([])
        await bench.take()

    asyncio.run(run())
    assert bench.changelog.reads == 2

"""The work of one partition without a broker: any cut into runs, any kill and any lost run end in the same states."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.alerts.labels import SILENT
from streams.core.contracts.events import INPUTS
from streams.core.contracts.source import SourceNumber, source_number
from streams.core.subscriber.packing import UnreadableStateError, unpack
from streams.kafka.worker.checkpoint import CHECKPOINT_KEY, BrokenCheckpointError
from streams.kafka.worker.local_store import InMemoryStore, LmdbStore, StateStore
from streams.kafka.worker.subscriber_task import SubscriberTask, TaskChanges
from tests.core.makers import outcome
from tests.kafka.workers import Raw, SentRecord, cold_context, facts_of

PARTITION = 3
APPLICATION = "forewarn"
BATCHES = 5
LEAVINGS = source_number("outcomes", PARTITION)

Log = dict[SourceNumber, list[Raw]]


class FakeLog:
    """What would be in the log: states, and everything that was published."""

    def __init__(self) -> None:
        self.states: dict[bytes, bytes] = {}
        self.outputs: list[bytes] = []

    def take(self, changes: TaskChanges | None) -> None:
        """Write one transaction."""
        if changes is None:
            return
        for key, value in (*changes.states, changes.checkpoint):
            if value is None:
                self.states.pop(key, None)
            else:
                self.states[key] = value
        self.outputs += [output.value for output in changes.outputs]


def new_task(
    written: FakeLog | None = None, open_max: int | None = None, store: StateStore | None = None
) -> SubscriberTask:
    task = SubscriberTask(PARTITION, APPLICATION, cold_context(), open_max=open_max)
    states: StateStore = InMemoryStore() if store is None else store
    for key, value in ({} if written is None else written.states).items():
        states[key] = value
    task.restore(states)
    return task


def log_of(records: Sequence[SentRecord]) -> Log:
    """Return the records as one partition of the log has them."""
    log: Log = defaultdict(list)
    for fed in records:
        run = log[source_number(fed.topic, PARTITION)]
        run.append(Raw(len(run), 2**62, fed.key, fed.value))
    return log


def apply(task: SubscriberTask, log: Log) -> None:
    """Read everything from where the task stands, and apply it."""
    for source, records in log.items():
        assert task.queue(source, 0, records)
    while task.advance(set(task.queues), 1_000):
        pass


def rest(task: SubscriberTask) -> None:
    """Pack whoever is open beyond what may be."""
    for _ in task.trim_memory():
        pass


def finish(task: SubscriberTask, log: Log, written: FakeLog) -> FakeLog:
    """Read everything from where the task stands, apply it, and write it."""
    apply(task, log)
    written.take(task.changes())
    task.note_written()
    rest(task)
    return written


@pytest.fixture(scope="module")
def log(fed: list[SentRecord]) -> Log:
    """Return the first part of a small operator's records, all in one partition."""
    return log_of(fed[:5_000])


@pytest.mark.interpreted
def test_whoever_packs_many_states_pauses_for_others_and_packs_the_same(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [new_task(), new_task(), new_task()]
    for task in tasks:
        apply(task, log)
    whole = tasks[0].changes()
    assert whole is not None
    monkeypatch.setattr("streams.kafka.worker.subscriber_task.PART_STATES", 10)
    *parts, last = tasks[1].gather()
    assert parts == [None] * (len(whole.states) // 10)
    assert len(parts) > 3
    assert last == whole
    assert tasks[2].changes() == whole


@pytest.mark.interpreted
def test_whoever_is_interrupted_while_packing_packs_everything_again(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that counted as written without having been would be missing at the next restore."""
    tasks = [new_task(), new_task()]
    for task in tasks:
        apply(task, log)
    monkeypatch.setattr("streams.kafka.worker.subscriber_task.PART_STATES", 10)
    interrupted = tasks[0].gather()
    for _ in range(3):
        next(interrupted)
    del interrupted  # As a task does that is cancelled.
    again = tasks[0].changes()
    assert again == tasks[1].changes()
    assert again is not None
    assert any(b"@" in key for key, _ in again.states)


def test_a_slot_that_has_applied_nothing_gathers_nothing() -> None:
    assert list(new_task().gather()) == []


@pytest.fixture(scope="module")
def in_one_go(log: Log) -> FakeLog:
    """Return what is written when nothing happens."""
    return finish(new_task(), log, FakeLog())


@pytest.mark.slow
@settings(max_examples=15)
@given(data=st.data(), open_max=st.sampled_from([None, 0, 3, 20]))
def test_any_cut_into_runs_and_turns_ends_in_the_same_bytes(
    data: st.DataObject, log: Log, in_one_go: FakeLog, open_max: int | None
) -> None:
    task, written, stands = new_task(open_max=open_max), FakeLog(), dict.fromkeys(log, 0)
    while open_sources := [source for source, records in log.items() if stands[source] < len(records)]:
        source = data.draw(st.sampled_from(open_sources))
        count = data.draw(st.integers(100, 900))
        assert task.queue(source, stands[source], log[source][stands[source] : stands[source] + count])
        stands[source] += count
        ended = {s for s in task.queues if s not in log or stands[s] >= len(log[s])}
        task.advance(ended, data.draw(st.integers(1, 500)))
        if data.draw(st.booleans()):
            written.take(task.changes())
            task.note_written()
            rest(task)
    finish(task, {}, written)
    assert written.states == in_one_go.states
    assert sorted(written.outputs) == sorted(in_one_go.outputs)


@pytest.mark.slow
@settings(max_examples=15)
@given(data=st.data(), open_max=st.sampled_from([None, 0, 3, 20]), is_on_disk=st.booleans())
def test_a_kill_at_any_point_between_two_writes_changes_nothing(
    data: st.DataObject,
    log: Log,
    in_one_go: FakeLog,
    tmp_path_factory: pytest.TempPathFactory,
    open_max: int | None,
    *,
    is_on_disk: bool,
) -> None:
    written = FakeLog()
    for _ in range(BATCHES):
        store = LmdbStore(tmp_path_factory.getbasetemp()) if is_on_disk else InMemoryStore()
        task = new_task(written, open_max, store)
        for source, records in log.items():
            assert task.queue(source, 0, records)
        task.advance(set(task.queues), data.draw(st.integers(0, 400)))
        if data.draw(st.booleans()):
            written.take(task.changes())
            task.note_written()
            rest(task)
        task.advance(set(task.queues), data.draw(st.integers(0, 400)))  # Killed with this in memory.
        store.close()
    finish(new_task(written), log, written)
    assert written.states == in_one_go.states
    assert sorted(written.outputs) == sorted(in_one_go.outputs)


def test_a_run_behind_a_lost_one_is_refused_and_one_that_overlaps_is_not_applied_twice(log: Log) -> None:
    source, records = max(log.items(), key=lambda pair: len(pair[1]))
    task = new_task()
    assert task.queue(source, 0, records[:10])
    assert not task.queue(source, 20, records[20:30])
    assert task.queues[source].queued == 10
    assert task.queue(source, 5, records[5:15])
    assert task.advance(set(task.queues), 100) == 15


def test_a_source_that_has_more_to_come_holds_the_others_back(log: Log) -> None:
    source, records = max(log.items(), key=lambda pair: len(pair[1]))
    task = new_task()
    task.queue(source, 0, records[:10])
    other = next(iter(task.queues.keys() - {source}))
    assert task.advance(set(task.queues) - {other}, 100) == 0
    assert task.advance(set(task.queues), 100) == 10


def test_what_is_restored_is_what_was_written(log: Log, in_one_go: FakeLog) -> None:
    task = new_task(in_one_go)
    assert task.changes() is None
    assert len(task.subscribers) == len(facts_of({k: v for k, v in in_one_go.states.items() if k != CHECKPOINT_KEY}))
    assert {source: queue.applied for source, queue in task.queues.items() if queue.applied} == {
        source: len(records) for source, records in log.items()
    }


def test_states_without_their_checkpoint_or_with_another_applications_are_refused(in_one_go: FakeLog) -> None:
    states = {key: value for key, value in in_one_go.states.items() if key != CHECKPOINT_KEY}
    with pytest.raises(BrokenCheckpointError):
        new_task().restore(InMemoryStore(states))
    with pytest.raises(BrokenCheckpointError, match="cannot be read"):
        new_task().restore(InMemoryStore({CHECKPOINT_KEY: b"\xc1"}))
    other = SubscriberTask(PARTITION, "another", cold_context())
    with pytest.raises(BrokenCheckpointError, match="'forewarn', not of 'another'"):
        other.restore(InMemoryStore(in_one_go.states))


def left_by(log: Log, in_one_go: FakeLog) -> tuple[bytes, Raw]:
    """Return somebody of whom snapshots wait, and the record of a leaving of theirs behind all others.

    They had not fallen silent before any of those snapshots: such a one waits on.
    """
    waiting = (key.partition(b"@")[0] for key in reversed(in_one_go.states) if b"@" in key)
    who = next(key for key in waiting if all(row.told < SILENT for row in unpack(in_one_go.states[key]).watch.waiting))
    newest_ms = max(unpack(packed).facts.newest_ms for packed in subscribers_of(in_one_go).values())
    body = msgspec.to_builtins(outcome(newest_ms + 1, "port_out_completed", subscriber_id=who.decode()))
    value = msgspec.json.encode({name: value for name, value in body.items() if value is not None})
    return who, Raw(len(log.get(LEAVINGS, ())), 2**62, who, value)


def subscribers_of(written: FakeLog) -> dict[bytes, bytes]:
    """Return the states alone."""
    return {key: packed for key, packed in written.states.items() if b"@" not in key and key != CHECKPOINT_KEY}


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_snapshot_that_is_missing_or_damaged_stops_the_partition_when_it_is_needed(
    kind: str, log: Log, in_one_go: FakeLog, tmp_path: Path
) -> None:
    who, leaving = left_by(log, in_one_go)
    for body, why in ((None, "is missing"), (b"\xc1", "cannot be read")):
        written = FakeLog()
        for key, packed in in_one_go.states.items():
            if not key.startswith(who + b"@"):
                written.states[key] = packed
            elif body is not None:
                written.states[key] = body
        task = new_task(written, store=InMemoryStore() if kind == "memory" else LmdbStore(tmp_path))
        assert task.queue(LEAVINGS, leaving.offset, [leaving])
        with pytest.raises(UnreadableStateError, match=f"the snapshot of .* {why}"):
            task.advance(set(task.queues), 100)


def test_a_leaving_ends_the_wait_of_its_snapshots_in_the_log_too(log: Log, in_one_go: FakeLog) -> None:
    who, leaving = left_by(log, in_one_go)
    task, written = new_task(in_one_go), FakeLog()
    written.states |= in_one_go.states
    assert task.queue(LEAVINGS, leaving.offset, [leaving])
    finish(task, {}, written)
    ended = [key for key in in_one_go.states if key.startswith(who + b"@")]
    assert ended
    assert not [key for key in written.states if key.startswith(who + b"@")]
    examples = [msgspec.json.decode(output) for output in written.outputs if b"example_id" in output]
    assert {(e["subscriber_id"], e["kind"]) for e in examples} == {(who.decode(), "port_out")}
    assert len(examples) == len(ended)
    assert len(written.states) == len(in_one_go.states) - len(ended)


def test_no_more_states_stay_open_than_may(log: Log) -> None:
    task = new_task(open_max=5)
    finish(task, log, FakeLog())
    assert len(task.subscribers._states) == 5 < len(task.subscribers)


@pytest.mark.interpreted
def test_others_have_the_loop_while_many_states_are_packed_and_who_stops_it_loses_nothing(
    log: Log, in_one_go: FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.kafka.worker.subscriber_task.PART_STATES", 10)
    task, written = new_task(open_max=5), FakeLog()
    apply(task, log)
    written.take(task.changes())
    task.note_written()
    interrupted = task.trim_memory()
    next(interrupted)
    del interrupted
    spare = len(task.subscribers._states) - 5
    assert len(task.subscribers) - len(task.subscribers._states) == 10
    assert task.changes() is None
    assert sum(1 for _ in task.trim_memory()) == spare // 10 > 3
    finish(task, {}, written)
    assert written.states == in_one_go.states


def test_a_key_without_a_value_erases_the_subscriber_in_its_turn(in_one_go: FakeLog) -> None:
    source = source_number("subscribers", PARTITION)
    erased = next(key.partition(b"@")[0] for key in in_one_go.states if b"@" in key)
    task, written = new_task(in_one_go), FakeLog()
    written.states |= in_one_go.states
    stands = task.queues[source].queued
    assert task.queue(source, stands, [Raw(stands, 2**62, erased, None)])
    finish(task, {}, written)
    assert not [key for key in written.states if key.startswith(erased)]
    assert new_task(written).counters["erased"] == 1
    assert set(INPUTS) == {queue.topic for queue in task.queues.values()}


@pytest.mark.parametrize("of", ["a snapshot", "the checkpoint", "nobody", "nothing"])
def test_a_key_that_is_no_subscriber_erases_nothing_and_is_a_dead_letter(of: str, in_one_go: FakeLog) -> None:
    source = source_number("subscribers", PARTITION)
    snapshot = next(key for key in in_one_go.states if b"@" in key)
    key = {"a snapshot": snapshot, "the checkpoint": CHECKPOINT_KEY, "nobody": b"s_" + bytes(600), "nothing": None}[of]
    task, written = new_task(in_one_go), FakeLog()
    written.states |= in_one_go.states
    stands = task.queues[source].queued
    assert task.queue(source, stands, [Raw(stands, 2**62, key, None)])
    finish(task, {}, written)
    assert {k: v for k, v in written.states.items() if k != CHECKPOINT_KEY} == {
        k: v for k, v in in_one_go.states.items() if k != CHECKPOINT_KEY
    }
    assert new_task(written).counters["dead:empty"] == new_task(in_one_go).counters.get("dead:empty", 0) + 1
    assert len(written.outputs) == 1

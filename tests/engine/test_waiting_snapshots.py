"""What waiting snapshots hold: wherever it lies, and whenever it is written, the same follows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.effects import Effect, LabelledExample, SnapshotDropped, SnapshotTaken
from streams.core.contracts.events import Event, Wake
from streams.core.step import Context
from streams.core.subscriber.packing import UnreadableStateError, pack
from streams.core.subscriber.snapshots import pack_snapshot
from streams.engine.subscribers import PackedInMemory, PackedStore, Subscribers, logged_key
from streams.engine.waiting_snapshots import WaitingSnapshots, parts_of, snapshot_key
from streams.kafka.worker.local_store import LmdbStore
from tests.core.makers import SUBSCRIBER, at, numbered, outcome, scorecard, usage
from tests.core.strategies import arrivals, eager, histories, modest
from tests.core.test_step import COMPLAINING, Tale


def subscribers_of(store: PackedStore, open_max: int | None = None) -> Subscribers:
    made = Subscribers(Context(scorecard(), eager()), open_max)
    made.restore(store)
    return made


def wakes_before(subscribers: Subscribers, event: Event) -> Iterator[tuple[int, list[str]]]:
    while (due := subscribers.wakes.take(event.at_ms, 1_000)) is not None:
        yield due


@modest(40)
@given(data=st.data())
def test_whether_snapshots_wait_in_memory_or_on_a_disk_the_same_follows_and_the_same_is_written(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    events = numbered(data.draw(arrivals(data.draw(histories(max_size=14)))))
    disk = LmdbStore(tmp_path_factory.getbasetemp(), fresh_max=2, snapshots_max=2)
    kept, moved = subscribers_of(PackedInMemory()), subscribers_of(disk, open_max=0)
    log: dict[bytes, bytes] = {}

    def write() -> None:
        for key, packed in moved.packed_apart():
            if packed is None:
                log.pop(key, None)
            else:
                log[key] = packed
        moved.note_written()
        assert list(moved.trim_memory()) or not len(moved)

    for event in events:
        for at_ms, asking in wakes_before(kept, event):
            assert moved.wake(at_ms, asking) == kept.wake(at_ms, asking)
        for _ in wakes_before(moved, event):
            pass
        if data.draw(st.booleans()):
            write()
        assert moved.give(SUBSCRIBER, event) == kept.give(SUBSCRIBER, event)
    write()
    assert log == dict(kept.packed_apart())
    disk.close()


def test_a_subscriber_who_is_forgotten_leaves_no_snapshot_behind(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    subscribers = subscribers_of(store)
    for number, event in enumerate(numbered([usage(at(day)) for day in range(1, 40)])):
        for at_ms, asking in wakes_before(subscribers, event):
            subscribers.wake(at_ms, asking)
        subscribers.give(SUBSCRIBER, event)
        if number == 20:
            subscribers.note_written()
    waiting = [*subscribers.waiting.new]
    subscribers.note_written()
    keys = [snapshot_key(SUBSCRIBER, one.at_ms) for one in subscribers._states[SUBSCRIBER].watch.waiting]
    assert waiting
    assert store.read_snapshots(keys).keys() == set(keys)
    subscribers.forget(SUBSCRIBER)
    assert dict(subscribers.packed_apart()) == {SUBSCRIBER.encode(): None} | {logged_key(key): None for key in keys}
    subscribers.note_written()
    assert store.read_snapshots(keys) == {}
    store.close()


def test_what_is_taken_and_ended_between_two_writes_is_never_written() -> None:
    store = PackedInMemory()
    waiting = WaitingSnapshots(store)
    body = pack_snapshot(5, (1.5,), "f", 0.5, "m", 0)
    assert waiting.finish("s_1", (SnapshotTaken(5, body), SnapshotTaken(6, body)), scorecard()) == ()
    assert waiting.finish("s_1", (SnapshotDropped(5),), scorecard()) == ()
    assert list(waiting.changes()) == [(snapshot_key("s_1", 6), body)]
    waiting.note_written()
    assert dict(store) == {b"s_1@6": body}
    waiting.drop("s_1", 6)
    assert list(waiting.changes()) == [(snapshot_key("s_1", 6), None)]
    waiting.note_written()
    assert not store
    assert list(waiting.changes()) == []


def test_a_snapshot_that_is_nowhere_is_an_error_that_names_its_time() -> None:
    tale = Tale(COMPLAINING).days(1, 40)
    tale.waiting = WaitingSnapshots(PackedInMemory())
    with pytest.raises(UnreadableStateError, match=r"the snapshot of \d+ is missing"):
        tale.tell(outcome(at(41), "port_out_completed"))


def test_the_keys_of_a_day_lie_together_whoever_the_snapshots_are_of() -> None:
    keys = [snapshot_key(who, at_ms) for at_ms in (1, 255, 256, 2**40) for who in ("s_0", "s_f")]
    assert sorted(keys) == keys
    assert [parts_of(key) for key in keys][:2] == [("s_0", 1), ("s_f", 1)]


def test_an_example_has_the_features_that_were_served_wherever_they_lay(tmp_path: Path) -> None:
    found: list[list[Effect]] = []
    for store in (PackedInMemory(), LmdbStore(tmp_path)):
        tale = Tale(scorecard())
        tale.waiting = WaitingSnapshots(store)
        for day in range(1, 90):
            tale.tell(usage(at(day)))
            tale.waiting.note_written()
        found.append(tale.effects)
    assert found[0] == found[1]
    assert sum(isinstance(effect, LabelledExample) for effect in found[0]) > 3
    assert pack(tale.known)


def test_a_wake_for_nobody_changes_nothing() -> None:
    subscribers = subscribers_of(PackedInMemory())
    assert subscribers.wake(5, [SUBSCRIBER]) == []
    assert list(subscribers.give(SUBSCRIBER, Wake(SUBSCRIBER, 5))) == []

"""A record that leaps far ahead of its neighbours is a dead letter on Kafka as in a file, wherever a run is cut."""

import json
from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.decode import decode
from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.events import Event
from streams.core.contracts.outputs import rfc3339
from streams.core.contracts.source import SourceNumber, source_number
from streams.core.subscriber.strays import LOOK_AHEAD
from streams.core.times import DAY_MS
from streams.files.cursors import Cursor
from streams.kafka.worker.source_queues import ASKED_MAX, SourceQueue
from streams.kafka.worker.subscriber_task import SubscriberTask
from streams.store import Position
from tests.kafka.worker.test_subscriber_task import PARTITION, FakeLog, new_task
from tests.kafka.workers import Raw

RECEIVED_MS = 2**62
TOP_UPS = source_number("top-ups", PARTITION)
BEGIN_DAY = 9_000

Line = int | str
"""A day on which somebody topped up, or a line that is none."""


def line(number: int, day: Line) -> bytes:
    """Return a record as it was sent."""
    if isinstance(day, str):
        return day.encode()
    body = {
        "event_id": f"e{number}", "event_time": rfc3339((BEGIN_DAY + day) * DAY_MS), "subscriber_id": "s_" + "0" * 32,
        "top_up_id": f"t{number}", "status": "completed", "amount_minor": 500, "currency": "EUR", "channel": "app",
    }  # fmt: skip
    return json.dumps(body).encode()


def raws(days: Sequence[Line]) -> list[Raw]:
    return [Raw(number, RECEIVED_MS, b"s_" + b"0" * 32, line(number, day)) for number, day in enumerate(days)]


def slot_and_others(written: FakeLog | None = None) -> tuple[SubscriberTask, set[SourceNumber]]:
    """Return a task that goes on from what was written, and all its sources but one, which have ended."""
    task = new_task(written)
    return task, task.queues.keys() - {TOP_UPS}


def applied(task: SubscriberTask, ended: Collection[SourceNumber]) -> int:
    """Apply what can be, wakes too; return how many records of the source are applied by then."""
    while task.advance(ended, 100):
        pass
    return task.queues[TOP_UPS].applied


def save(task: SubscriberTask, written: FakeLog) -> None:
    """Write what has changed."""
    written.take(task.changes())
    task.note_written()


def letters(written: FakeLog) -> list[tuple[int, str]]:
    """Return where the dead letters were that were written, and why."""
    bodies = [msgspec.json.decode(output) for output in written.outputs]
    return [(body["offset"], body["reason"]) for body in bodies if "detail" in body]


def letters_of(task: SubscriberTask) -> list[tuple[int, str]]:
    """Return the same of what the task would write first."""
    save(task, written := FakeLog())
    return letters(written)


@pytest.mark.parametrize(
    ("days", "strays"),
    [
        ([1, 2, 9_000, 3, 4], [2]),
        ([9_000, 1, 2, 3], [0]),
        ([1, 2, 9_000, "?", 9_000, 3, 4, 5], [2, 4]),
        ([1, 2, 70, 71, 3, 72, 73], []),
        ([1, 62, 63], []),
        ([100, 1, 101, 102], []),
        ([1, 2, 9_000], []),
        ([1, 62, 2, 3], [1]),
    ],
    ids=["one", "at the start", "two", "a gap with a late record", "a gap", "an early second", "the last", "just over"],
)
def test_a_leap_that_the_next_records_do_not_follow_is_a_dead_letter(days: list[Line], strays: list[int]) -> None:
    task, _ = slot_and_others()
    assert task.queue(TOP_UPS, 0, raws(days))
    assert applied(task, set(task.queues)) == len(days)
    assert [offset for offset, reason in letters_of(task) if reason == "future_time"] == strays
    assert task.queues[TOP_UPS].newest_ms == max(
        (BEGIN_DAY + day) * DAY_MS for n, day in enumerate(days) if isinstance(day, int) and n not in strays
    )


def test_a_leap_does_not_move_the_time_of_the_others() -> None:
    task, _ = slot_and_others()
    task.queue(TOP_UPS, 0, raws([1, 9_000, 2, 3]))
    applied(task, set(task.queues))
    assert task.stream_ms == (BEGIN_DAY + 3) * DAY_MS


def test_a_leap_waits_for_the_records_that_judge_it() -> None:
    task, others = slot_and_others()
    days: list[Line] = [*range(1, 2 + LOOK_AHEAD), 9_000, *range(20, 20 + LOOK_AHEAD)]
    log, leap = raws(days), days.index(9_000)
    task.queue(TOP_UPS, 0, log[: leap + LOOK_AHEAD])
    assert applied(task, others) == leap
    task.queue(TOP_UPS, leap + LOOK_AHEAD, log[leap + LOOK_AHEAD :])
    assert applied(task, others) == len(days)
    assert letters_of(task) == [(leap, "future_time")]


def test_a_leap_at_the_end_is_believed_once_nothing_more_comes() -> None:
    task, others = slot_and_others()
    task.queue(TOP_UPS, 0, raws([*range(1, 12), 9_000]))
    assert applied(task, others) == 11
    assert applied(task, set(task.queues)) == 12
    assert letters_of(task) == []


def test_after_a_restart_a_leap_is_still_measured_from_what_came_before_it() -> None:
    """Its neighbours alone would not tell: they are less than 60 days behind it."""
    days: list[Line] = [*range(1, 13), 80, *([30] * LOOK_AHEAD)]
    log, written = raws(days), FakeLog()
    task, others = slot_and_others()
    task.queue(TOP_UPS, 0, log[:12])
    assert applied(task, others) == 12
    save(task, written)
    task, others = slot_and_others(written)
    assert task.queues[TOP_UPS].newest_ms == (BEGIN_DAY + 12) * DAY_MS
    task.queue(TOP_UPS, 12, log[12:])
    assert applied(task, others) == len(log)
    assert letters_of(task) == [(12, "future_time")]


def test_bad_records_after_a_leap_do_not_hold_it_for_ever() -> None:
    task, others = slot_and_others()
    days: list[Line] = [*range(1, 12), 9_000, *(["?"] * (ASKED_MAX - 1))]
    log = raws([*days, "?"])
    task.queue(TOP_UPS, 0, log[:-1])
    assert applied(task, others) == 11
    task.queue(TOP_UPS, len(days), log[-1:])
    assert applied(task, others) == len(log)


LINES = st.lists(st.integers(0, 30) | st.integers(60, 200) | st.just(9_000) | st.just("?"), max_size=40)


@given(LINES)
def test_the_log_and_a_file_are_read_alike(days: list[Line]) -> None:
    queue = SourceQueue(TOP_UPS, "top-ups", PARTITION, deque(raws(days)))
    drawn = []
    queue.is_ended = True
    while queue.draw():
        drawn.append(queue.head)
        if isinstance(queue.head, Event):
            queue.newest_ms = max(queue.newest_ms, queue.clock_ms)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "top-ups.jsonl"
        path.write_bytes(b"\n".join(line(number, day) for number, day in enumerate(days)))
        cursor = Cursor("top-ups", PARTITION, path, position=Position(0), received_ms=RECEIVED_MS, decode=decode)
        read = []
        while not cursor.ended:
            cursor.fill()
            read += cursor.items
            cursor.start = len(cursor.items)
        cursor.close()
    of_letters = [[item.offset for item in items if isinstance(item, DeadLetter)] for items in (drawn, read)]
    assert of_letters[0] == of_letters[1]
    assert len(drawn) == len(read) == len(days)


@pytest.mark.slow
@given(days=LINES, data=st.data())
def test_whatever_runs_are_cut_and_whoever_is_killed_the_same_records_are_strays(
    days: list[Line], data: st.DataObject
) -> None:
    log, undisturbed, written = raws(days), FakeLog(), FakeLog()

    def finish(into: FakeLog) -> None:
        task, others = slot_and_others(into)
        stands = task.queues[TOP_UPS].queued
        if log[stands:]:
            task.queue(TOP_UPS, stands, log[stands:])
        applied(task, others | {TOP_UPS})
        save(task, into)

    finish(undisturbed)
    for _ in range(3):
        task, others = slot_and_others(written)
        stands = task.queues[TOP_UPS].queued
        while stands < len(log):
            count = data.draw(st.integers(1, 12))
            task.queue(TOP_UPS, stands, log[stands : stands + count])
            stands += count
            task.advance(others | ({TOP_UPS} if stands >= len(log) else set()), data.draw(st.integers(1, 30)))
            if data.draw(st.booleans()):
                save(task, written)
        # Killed here: what was not written is done again.
    finish(written)
    assert letters(written) == letters(undisturbed)
    again, whole = (new_task(each).queues[TOP_UPS] for each in (written, undisturbed))
    assert (again.applied, again.newest_ms) == (whole.applied, whole.newest_ms)

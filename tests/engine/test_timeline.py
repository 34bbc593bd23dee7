"""How stream time advances: what falls due at which moment, in which order, and where a limit stops."""

from collections.abc import Sequence
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.effects import AlertChanged, Effect, LabelledExample, LateEvent, RepeatedEvent
from streams.core.step import Context
from streams.core.times import NEVER_MS
from streams.engine.subscribers import Subscribers
from streams.engine.timeline import EffectReceiver, Timeline
from streams.engine.wakes import EVERYBODY, Wakes

MOMENTS = st.integers(1, 12)


class FakeContexts:
    """Contexts that are their dates: the one of 7 serves from 7 on, that of 0 from the beginning."""

    def __init__(self, *dates_ms: int) -> None:
        self.edition = 0
        self.dates_ms = sorted(dates_ms)

    def publish(self, at_ms: int) -> None:
        self.dates_ms = sorted([*self.dates_ms, at_ms])
        self.edition += 1

    def at(self, stream_ms: int) -> tuple[Context, int]:
        before = [date_ms for date_ms in self.dates_ms if date_ms <= stream_ms]
        after = [date_ms for date_ms in self.dates_ms if date_ms > stream_ms]
        return cast("Context", max(before, default=0)), min(after, default=NEVER_MS)


class FakeSubscribers:
    """Subscribers that write down who woke when, with which context, and ask again where they are told to."""

    def __init__(self, log: list[tuple[object, ...]], again: dict[str, int] | None = None) -> None:
        self.wakes = Wakes()
        self.context: object = None
        self.log = log
        self.again = again or {}

    def wake(self, at_ms: int, subscriber_ids: Sequence[str]) -> list[Effect]:
        for name in subscriber_ids:
            self.log.append(("wake", at_ms, name, self.context))
            if name in self.again:
                self.wakes.ask(at_ms + self.again.pop(name), name)
        return [RepeatedEvent() for _ in subscriber_ids]


class FakeTrainer:
    """A trainer with dates of its own, which publishes at each of them."""

    def __init__(self, log: list[tuple[object, ...]], contexts: FakeContexts, *dates_ms: int) -> None:
        self.log = log
        self.contexts = contexts
        self.dates_ms = sorted(set(dates_ms))
        self.next_due_ms = self.dates_ms[0] if self.dates_ms else NEVER_MS

    def learn(self, at_ms: int) -> None:
        due = [date_ms for date_ms in self.dates_ms if date_ms <= at_ms]
        self.dates_ms = [date_ms for date_ms in self.dates_ms if date_ms > at_ms]
        self.next_due_ms = self.dates_ms[0] if self.dates_ms else NEVER_MS
        for date_ms in due:
            self.log.append(("learn", at_ms))
            self.contexts.publish(date_ms)


class Effects:
    """Takes effects and keeps nothing."""

    def take_example(self, example: LabelledExample, past_ms: int) -> None: ...

    def take_alert(self, change: AlertChanged) -> None: ...

    def take_late(self, late: LateEvent) -> None: ...


def timeline_of(
    wakes: dict[str, int],
    contexts: FakeContexts,
    learns: Sequence[int] = (),
    again: dict[str, int] | None = None,
) -> tuple[Timeline, list[tuple[object, ...]]]:
    log: list[tuple[object, ...]] = []
    subscribers = FakeSubscribers(log, again)
    for name, at_ms in wakes.items():
        subscribers.wakes.ask(at_ms, name)
    trainer = FakeTrainer(log, contexts, *learns)
    receiver: EffectReceiver = Effects()
    made = Timeline(cast("Subscribers", subscribers), contexts, receiver, schedule=trainer, meet=trainer.learn)
    return made, log


def serving(timeline: Timeline) -> int:
    """Return the date of the context that serves."""
    return cast("int", timeline.subscribers.context)


def test_at_one_moment_a_wake_comes_first_then_the_learning_then_the_new_context() -> None:
    timeline, log = timeline_of({"a": 5, "b": 6}, FakeContexts(), [5])
    timeline.advance(6)
    assert log == [("wake", 5, "a", 0), ("learn", 5), ("wake", 6, "b", 5)]
    assert timeline.stream_ms == 6


def test_who_wakes_at_the_very_date_of_a_context_wakes_before_it_and_who_comes_later_after_it() -> None:
    timeline, log = timeline_of({"a": 7, "b": 8}, FakeContexts(7))
    timeline.advance(7)
    assert serving(timeline) == 7
    timeline.advance(8)
    assert log == [("wake", 7, "a", 0), ("wake", 8, "b", 7)]


def test_a_limit_leaves_stream_time_where_it_is_and_the_next_call_goes_on() -> None:
    timeline, log = timeline_of({"a": 3, "b": 3, "c": 4}, FakeContexts())
    assert timeline.advance(9, 1) == 1
    assert (timeline.stream_ms, [entry[2] for entry in log]) == (0, ["a"])
    assert timeline.advance(9, 2) == 2
    assert timeline.stream_ms == 0
    assert timeline.advance(9, 2) == 0
    assert (timeline.stream_ms, [entry[2] for entry in log]) == (9, ["a", "b", "c"])


def test_what_is_published_while_time_stands_still_serves_after_a_refresh() -> None:
    contexts = FakeContexts()
    timeline, _ = timeline_of({}, contexts)
    timeline.advance(5)
    contexts.publish(4)
    timeline.refresh(timeline.stream_ms)
    assert serving(timeline) == 4


@given(
    wakes=st.dictionaries(st.sampled_from("abcdefgh"), MOMENTS),
    again=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 4)),
    dates=st.lists(MOMENTS, max_size=4),
    learns=st.lists(MOMENTS, max_size=4),
    stops=st.lists(MOMENTS, min_size=1, max_size=6),
    limit=st.sampled_from([1, 2, EVERYBODY]),
)
def test_however_the_way_is_cut_what_happens_on_it_is_the_same(
    *, wakes: dict[str, int], again: dict[str, int], dates: list[int], learns: list[int], stops: list[int], limit: int
) -> None:
    whole, expected = timeline_of(wakes, FakeContexts(*dates), learns, dict(again))
    whole.advance(20)
    cut, log = timeline_of(wakes, FakeContexts(*dates), learns, dict(again))
    for to_ms in [*sorted(stops), 20]:
        while cut.stream_ms < to_ms:
            cut.advance(to_ms, limit)
    assert log == expected
    assert cut.counters == whole.counters
    assert serving(cut) == serving(whole)
    times = [cast("int", entry[1]) for entry in expected]
    assert times == sorted(times)
    for entry in expected:
        if entry[0] == "wake":
            at_ms, context = cast("int", entry[1]), cast("int", entry[3])
            assert context == max((date for date in [*dates, *learns] if date < at_ms), default=0)

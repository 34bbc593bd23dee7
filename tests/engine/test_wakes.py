"""Who asked to be woken when: everybody in time, whatever was asked for in between."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.times import NEVER_MS
from streams.engine.wakes import Wakes

WISHES = st.lists(st.tuples(st.integers(1, 30), st.sampled_from("abcd")))


def test_nobody_waits_at_first() -> None:
    wakes = Wakes()
    assert wakes.next_ms == NEVER_MS
    assert list(wakes.take_due(10)) == []


def test_whoever_waits_for_the_very_moment_is_due_and_who_waits_for_the_next_is_not() -> None:
    wakes = Wakes()
    wakes.ask(10, "a")
    wakes.ask(11, "b")
    assert list(wakes.take_due(9)) == []
    assert list(wakes.take_due(10)) == [(10, ["a"])]
    assert wakes.next_ms == 11


def test_those_of_one_moment_come_together_as_they_asked() -> None:
    wakes = Wakes()
    for name in "cab":
        wakes.ask(10, name)
    assert list(wakes.take_due(10)) == [(10, ["c", "a", "b"])]


def test_a_wake_that_is_asked_for_while_others_are_given_still_has_its_turn() -> None:
    wakes, turns = Wakes(), []
    wakes.ask(10, "a")
    for at_ms, names in wakes.take_due(30):
        turns.append((at_ms, names))
        if at_ms < 30:
            wakes.ask(at_ms + 10, "a")
    assert turns == [(10, ["a"]), (20, ["a"]), (30, ["a"])]


@given(WISHES, st.integers(0, 31))
def test_all_who_asked_come_in_the_order_of_time_whenever_the_stream_stops(
    wishes: list[tuple[int, str]], stop: int
) -> None:
    wakes = Wakes()
    for at_ms, name in wishes:
        wakes.ask(at_ms, name)
    first, rest = list(wakes.take_due(stop)), list(wakes.take_due(31))
    assert all(at_ms <= stop for at_ms, _ in first)
    assert all(at_ms > stop for at_ms, _ in rest)
    given_turns = [(at_ms, name) for at_ms, names in first + rest for name in names]
    assert given_turns == sorted(wishes, key=lambda wish: wish[0])


@given(WISHES)
def test_the_order_in_which_they_asked_changes_nobodys_time(wishes: list[tuple[int, str]]) -> None:
    """After a restart they ask in the order of their ids, not in that of the first run."""
    one, other = Wakes(), Wakes()
    for at_ms, name in wishes:
        one.ask(at_ms, name)
    for at_ms, name in sorted(wishes, key=lambda wish: (wish[1], wish[0])):
        other.ask(at_ms, name)
    turns, others = ([(at_ms, sorted(names)) for at_ms, names in wakes.take_due(31)] for wakes in (one, other))
    assert turns == others

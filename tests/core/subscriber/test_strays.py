"""Slips of time: what is far ahead of its neighbours is told from a gap in the data."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.subscriber.strays import LEAP_MS, LOOK_AHEAD, is_stray

TIMES = st.integers(0, 2**42)
AHEAD = st.lists(TIMES, max_size=LOOK_AHEAD)


@given(TIMES, st.integers(-LEAP_MS, LEAP_MS), AHEAD)
def test_who_leaps_no_further_than_allowed_is_believed_whatever_comes_after(
    before_ms: int, leap_ms: int, ahead_ms: list[int]
) -> None:
    assert not is_stray(before_ms + leap_ms, before_ms, ahead_ms)


@given(TIMES, st.integers(LEAP_MS + 1, 2**42), st.integers(1, LOOK_AHEAD))
def test_a_gap_after_which_time_stays_where_it_leapt_to_is_no_slip(before_ms: int, leap_ms: int, count: int) -> None:
    at_ms = before_ms + leap_ms
    assert not is_stray(at_ms, before_ms, [at_ms + number for number in range(count)])


@given(TIMES, st.integers(LEAP_MS + 1, 2**42), st.integers(1, LOOK_AHEAD))
def test_a_leap_after_which_time_goes_back_is_a_slip(before_ms: int, leap_ms: int, count: int) -> None:
    assert is_stray(before_ms + leap_ms, before_ms, [before_ms + number for number in range(count)])


@given(TIMES, AHEAD)
def test_the_first_event_is_compared_with_the_earliest_after_it(at_ms: int, ahead_ms: list[int]) -> None:
    assert is_stray(at_ms, None, ahead_ms) is is_stray(at_ms, min(ahead_ms, default=at_ms), ahead_ms)

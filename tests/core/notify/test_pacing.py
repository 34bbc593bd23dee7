"""The pace of an endpoint: the rate holds over any time, and retries never starve what is fresh."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.notify.pacing import DeliveryPace, full_pace, take_tokens
from streams.core.token_bucket import full_bucket

TAKES = st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 50), st.integers(0, 50)), max_size=60)


def test_a_full_bucket_gives_a_second_at_once_and_then_the_rate() -> None:
    first = take_tokens(full_pace(10.0, 0), 0, fresh=99, retries=0)
    assert first.fresh == 10
    assert take_tokens(first.pace, 99, fresh=99, retries=0).fresh == 0
    assert take_tokens(first.pace, 350, fresh=99, retries=0).fresh == 3
    assert take_tokens(first.pace, 10**9, fresh=99, retries=0).fresh == 10


@pytest.mark.parametrize(("fresh", "retries", "given_out"), [
    (100, 100, (5, 5)), (3, 100, (3, 7)), (100, 2, (8, 2)), (0, 100, (0, 10)), (100, 0, (10, 0)), (2, 3, (2, 3)),
])  # fmt: skip
def test_retries_get_half_while_fresh_ones_wait_and_all_that_these_leave(
    fresh: int, retries: int, given_out: tuple[int, int]
) -> None:
    taken = take_tokens(full_pace(10.0, 0), 0, fresh=fresh, retries=retries)
    assert (taken.fresh, taken.retries) == given_out


def test_one_token_at_a_time_goes_to_the_two_kinds_by_turns() -> None:
    pace, kinds = full_pace(1.0, 0), ""
    for second in range(6):
        taken = take_tokens(pace, second * 1_000, fresh=9, retries=9)
        pace = taken.pace
        kinds += "f" * taken.fresh + "r" * taken.retries
    assert kinds == "rfrfrf"


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    pace = take_tokens(full_pace(10.0, 5_000), 5_000, fresh=10, retries=0).pace
    assert take_tokens(pace, 0, fresh=9, retries=9).pace == pace


@given(st.floats(0.01, 1_000), st.floats(0, 500), TAKES)
def test_no_more_is_given_out_than_rate_and_burst_allow(
    rate: float, burst: float, takes: list[tuple[int, int, int]]
) -> None:
    pace, now_ms, total = DeliveryPace(full_bucket(rate, 0, burst)), 0, 0
    for passed_ms, fresh, retries in takes:
        now_ms += passed_ms
        taken = take_tokens(pace, now_ms, fresh=fresh, retries=retries)
        assert 0 <= taken.fresh <= fresh
        assert 0 <= taken.retries <= retries
        if taken.pace.bucket.tokens >= 1:
            assert (taken.fresh, taken.retries) == (fresh, retries), "a token is left only where nobody wants it"
        total += taken.fresh + taken.retries
        pace = taken.pace
        assert 0 <= pace.bucket.tokens <= pace.bucket.burst
    assert total <= max(1.0, burst) + rate * now_ms / 1_000 + 1e-6


@given(st.floats(0.1, 1_000), st.lists(st.integers(0, 3_000), max_size=80))
def test_while_fresh_ones_wait_retries_never_get_more_than_half(rate: float, times: list[int]) -> None:
    pace, now_ms, fresh, retries = full_pace(rate, 0), 0, 0, 0
    for passed_ms in times:
        now_ms += passed_ms
        taken = take_tokens(pace, now_ms, fresh=10**9, retries=10**9)
        pace, fresh, retries = taken.pace, fresh + taken.fresh, retries + taken.retries
        assert retries <= fresh + 1
        assert fresh <= retries + 1

"""The bucket of tokens: the rate holds over any time, and retries never starve what is fresh."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.notify.pacing import TokenBucket, full_bucket, take_tokens, wait_ms

TAKES = st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 50), st.integers(0, 50)), max_size=60)


def test_a_full_bucket_gives_a_second_at_once_and_then_the_rate() -> None:
    first = take_tokens(full_bucket(10.0, 0), 0, fresh=99, retries=0)
    assert first.fresh == 10
    assert take_tokens(first.bucket, 99, fresh=99, retries=0).fresh == 0
    assert take_tokens(first.bucket, 350, fresh=99, retries=0).fresh == 3
    assert take_tokens(first.bucket, 10**9, fresh=99, retries=0).fresh == 10


@pytest.mark.parametrize(("fresh", "retries", "given_out"), [
    (100, 100, (5, 5)), (3, 100, (3, 7)), (100, 2, (8, 2)), (0, 100, (0, 10)), (100, 0, (10, 0)), (2, 3, (2, 3)),
])  # fmt: skip
def test_retries_get_half_while_fresh_ones_wait_and_all_that_these_leave(
    fresh: int, retries: int, given_out: tuple[int, int]
) -> None:
    taken = take_tokens(full_bucket(10.0, 0), 0, fresh=fresh, retries=retries)
    assert (taken.fresh, taken.retries) == given_out


def test_one_token_at_a_time_goes_to_the_two_kinds_by_turns() -> None:
    bucket, kinds = full_bucket(1.0, 0), ""
    for second in range(6):
        taken = take_tokens(bucket, second * 1_000, fresh=9, retries=9)
        bucket = taken.bucket
        kinds += "f" * taken.fresh + "r" * taken.retries
    assert kinds == "rfrfrf"


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    bucket = take_tokens(full_bucket(10.0, 5_000), 5_000, fresh=10, retries=0).bucket
    assert take_tokens(bucket, 0, fresh=9, retries=9).bucket == bucket


@given(st.floats(0.01, 1_000), st.floats(0, 500), TAKES)
def test_no_more_is_given_out_than_rate_and_burst_allow(
    rate: float, burst: float, takes: list[tuple[int, int, int]]
) -> None:
    bucket, now_ms, total = full_bucket(rate, 0, burst), 0, 0
    for passed_ms, fresh, retries in takes:
        now_ms += passed_ms
        taken = take_tokens(bucket, now_ms, fresh=fresh, retries=retries)
        assert 0 <= taken.fresh <= fresh
        assert 0 <= taken.retries <= retries
        if taken.bucket.tokens >= 1:
            assert (taken.fresh, taken.retries) == (fresh, retries), "a token is left only where nobody wants it"
        total += taken.fresh + taken.retries
        bucket = taken.bucket
        assert 0 <= bucket.tokens <= bucket.burst
    assert total <= max(1.0, burst) + rate * now_ms / 1_000 + 1e-6


@given(st.floats(0.1, 1_000), st.lists(st.integers(0, 3_000), max_size=80))
def test_while_fresh_ones_wait_retries_never_get_more_than_half(rate: float, times: list[int]) -> None:
    bucket, now_ms, fresh, retries = full_bucket(rate, 0), 0, 0, 0
    for passed_ms in times:
        now_ms += passed_ms
        taken = take_tokens(bucket, now_ms, fresh=10**9, retries=10**9)
        bucket, fresh, retries = taken.bucket, fresh + taken.fresh, retries + taken.retries
        assert retries <= fresh + 1
        assert fresh <= retries + 1


@given(st.floats(0.01, 1_000), st.floats(0, 5), st.integers(0, 10**6))
def test_after_the_wait_there_is_a_token(rate: float, tokens: float, now_ms: int) -> None:
    bucket = TokenBucket(rate_per_s=rate, burst=5.0, tokens=tokens, at_ms=500)
    pause_ms = wait_ms(bucket, now_ms)
    later = max(now_ms, 500) + pause_ms
    assert take_tokens(bucket, later + 1, fresh=1, retries=0).fresh == 1
    if pause_ms > 1:
        assert take_tokens(bucket, later - 2, fresh=1, retries=0).fresh == 0

"""The bucket of tokens: the rate holds over any time, nothing is saved up beyond the burst, and a debt is paid."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.token_bucket import UNBOUNDED, TokenBucket, full_bucket, refill, spend, wait_ms


def test_a_full_bucket_has_what_a_second_brings_or_its_burst_and_never_less_than_one() -> None:
    assert full_bucket(10.0, 0).tokens == 10
    assert full_bucket(10.0, 0, 3).tokens == 3
    assert full_bucket(0.1, 0).tokens == 1


def test_it_fills_at_its_rate_up_to_its_burst() -> None:
    bucket = spend(full_bucket(10.0, 0), 10)
    assert refill(bucket, 350).tokens == 3.5
    assert refill(bucket, 10**9).tokens == 10


def test_a_clock_that_goes_back_changes_nothing() -> None:
    bucket = spend(full_bucket(10.0, 5_000), 4)
    assert refill(bucket, 0) == bucket


@given(st.floats(0.01, 1_000), st.floats(-50, 5), st.integers(0, 10**6), st.floats(0, 5))
def test_after_the_wait_there_is_what_was_waited_for_and_not_before(
    rate: float, tokens: float, now_ms: int, wanted: float
) -> None:
    bucket = TokenBucket(rate_per_s=rate, burst=5.0, tokens=tokens, at_ms=500)
    pause_ms = wait_ms(bucket, now_ms, wanted)
    later = max(now_ms, 500) + pause_ms
    assert refill(bucket, later + 1).tokens >= wanted
    if pause_ms > 1:
        assert refill(bucket, later - 2).tokens < wanted


@given(st.floats(0.5, 5_000), st.lists(st.tuples(st.integers(1, 50), st.integers(0, 3_000)), max_size=60))
def test_who_sends_first_and_waits_for_the_debt_keeps_the_rate_over_any_stalls(
    rate: float, sends: list[tuple[int, int]]
) -> None:
    bucket = TokenBucket(rate_per_s=rate, burst=UNBOUNDED, tokens=0.0, at_ms=0)
    now_ms, sent = 0, 0
    for count, stalled_ms in sends:
        now_ms += stalled_ms
        sent += count
        bucket = spend(bucket, count)
        due_ms = sent / rate * 1_000
        waited_ms = wait_ms(bucket, now_ms, tokens=0)
        assert max(0, due_ms - now_ms) - 1e-3 <= waited_ms <= max(0, due_ms - now_ms) + 1
        now_ms += waited_ms

"""The circuit of an endpoint, its longer and longer pauses, and the 120 hours after which it is disabled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.notify.circuit import (
    DISABLED_AFTER_MS,
    FAILURES_TO_OPEN,
    HEALTHY,
    OPEN_S,
    CircuitBreaker,
    after_attempts,
    allowed_deliveries,
    current_state,
    due_warning,
    is_to_be_disabled,
)
from streams.core.times import HOUR_MS

OPEN = CircuitBreaker(circuit="open", failures=5, first_failure_ms=0, open_until_ms=5_000)


def failed(health: CircuitBreaker, now_ms: int, count: int = 1) -> CircuitBreaker:
    return after_attempts(health, succeeded=0, failed=count, now_ms=now_ms)


@pytest.mark.parametrize(
    ("before", "succeeded", "failures", "now_ms", "expected"),
    [
        (HEALTHY, 0, 0, 7, HEALTHY),
        (HEALTHY, 3, 0, 7, HEALTHY),
        (HEALTHY, 0, 1, 7, CircuitBreaker(failures=1, first_failure_ms=7)),
        (CircuitBreaker(failures=1, first_failure_ms=7), 0, 1, 9, CircuitBreaker(failures=2, first_failure_ms=7)),
        (CircuitBreaker(failures=4, first_failure_ms=7), 1, 1, 9, HEALTHY),
        (CircuitBreaker(failures=4, first_failure_ms=0), 0, 1, 0, OPEN),
        (HEALTHY, 0, 40, 0, OPEN),
        (OPEN, 0, 3, 4_999, OPEN),
        (OPEN, 1, 0, 4_999, HEALTHY),
        (OPEN, 1, 0, 5_000, HEALTHY),
        (OPEN, 0, 1, 5_000, CircuitBreaker(circuit="open", failures=6, first_failure_ms=0, open_until_ms=35_000)),
        (
            CircuitBreaker(circuit="half_open", failures=6, first_failure_ms=0, open_until_ms=9),
            0, 1, 10_000,
            CircuitBreaker(circuit="open", failures=7, first_failure_ms=0, open_until_ms=130_000),
        ),
        (CircuitBreaker(circuit="half_open", failures=6, first_failure_ms=0), 1, 0, 10_000, HEALTHY),
    ],
)  # fmt: skip
def test_each_line_of_the_table_of_states(
    before: CircuitBreaker, succeeded: int, failures: int, now_ms: int, expected: CircuitBreaker
) -> None:
    assert after_attempts(before, succeeded=succeeded, failed=failures, now_ms=now_ms) == expected


def test_the_pause_grows_with_each_probe_that_fails_up_to_a_quarter_of_an_hour() -> None:
    health, pauses = failed(HEALTHY, 0, FAILURES_TO_OPEN), []
    for _ in range(7):
        now_ms = health.open_until_ms or 0
        pauses.append(now_ms)
        health = failed(health, now_ms)
    assert [after - before for before, after in zip([0, *pauses], pauses, strict=False)] == [
        wait_s * 1_000 for wait_s in (*OPEN_S, OPEN_S[-1], OPEN_S[-1])
    ]


def test_while_it_is_open_nothing_is_sent_and_then_one_probe() -> None:
    assert allowed_deliveries(HEALTHY, 0, in_flight=3, in_flight_max=8) == 5
    assert allowed_deliveries(HEALTHY, 0, in_flight=9, in_flight_max=8) == 0
    assert allowed_deliveries(OPEN, 4_999, in_flight=0, in_flight_max=8) == 0
    assert (current_state(OPEN, 4_999), current_state(OPEN, 5_000)) == ("open", "half_open")
    assert allowed_deliveries(OPEN, 5_000, in_flight=0, in_flight_max=8) == 1
    assert allowed_deliveries(OPEN, 5_000, in_flight=1, in_flight_max=8) == 0


def test_an_endpoint_that_only_fails_is_warned_of_three_times_and_disabled_after_120_hours() -> None:
    health, warnings = failed(HEALTHY, 0, FAILURES_TO_OPEN), []
    for hour in range(1, 121):
        before, health = health, failed(health, hour * HOUR_MS)
        if due_warning(before, health) is not None:
            warnings.append((hour, due_warning(before, health), is_to_be_disabled(health)))
    assert warnings == [(60, 50, False), (84, 70, False), (108, 90, False), (120, 100, True)]


def test_one_success_begins_the_120_hours_anew() -> None:
    health = failed(failed(HEALTHY, 0, FAILURES_TO_OPEN), DISABLED_AFTER_MS - 1)
    assert health.warned_percent == 90
    assert after_attempts(health, succeeded=1, failed=9, now_ms=DISABLED_AFTER_MS) == HEALTHY


def test_two_failures_with_a_quiet_week_between_them_disable_nothing() -> None:
    health = failed(failed(HEALTHY, 0), 2 * DISABLED_AFTER_MS)
    assert (health.circuit, health.warned_percent) == ("closed", 0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 20 * HOUR_MS)), max_size=60))
def test_whatever_happens_the_parts_of_the_health_agree(happenings: list[tuple[int, int, int]]) -> None:
    health, now_ms = HEALTHY, 0
    for succeeded, failures, passed_ms in happenings:
        now_ms += passed_ms
        before, health = health, after_attempts(health, succeeded=succeeded, failed=failures, now_ms=now_ms)
        assert (health.circuit == "open") == (health.open_until_ms is not None) == (health.failures >= FAILURES_TO_OPEN)
        assert (health.failures == 0) == (health.first_failure_ms is None)
        assert health == HEALTHY if succeeded else health.warned_percent >= before.warned_percent
        if health.open_until_ms is not None:
            assert health.open_until_ms <= now_ms + OPEN_S[-1] * 1_000
        assert 0 <= allowed_deliveries(health, now_ms, in_flight=0, in_flight_max=8) <= 8

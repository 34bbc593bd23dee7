"""The retry table with times given by hand: what is tried again, when, and what is given up."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.notify.retry import (
    ATTEMPTS_MAX,
    RETRY_AFTER_S_MAX,
    SCHEDULE_S,
    Answer,
    Failure,
    RetryDecision,
    judge,
)

FOREVER_MS = 10**12
SENT: tuple[Failure, ...] = ("timed_out", "cut_off", "garbled")
UNSENT: tuple[Failure, ...] = ("unresolved", "unreachable", "tls", "connect_timeout")
ANSWERS = st.one_of(
    st.builds(Answer, status=st.integers(100, 999), retry_after_s=st.none() | st.floats(0, 1e9)),
    st.builds(Answer, failure=st.sampled_from([*SENT, *UNSENT, "blocked", "unsendable"]), why=st.text(max_size=20)),
)


def judged(answer: Answer, **changes: Any) -> RetryDecision:
    said: dict[str, Any] = {
        "attempt": 1, "began_ms": 0, "expires_ms": FOREVER_MS, "jitter": 0.5,
        "creates": False, "idempotent": True, "ambiguous": "retry",
    }  # fmt: skip
    return judge(answer, **(said | changes))


def waits_s(answer: Answer, **changes: Any) -> list[float]:
    verdicts = [judged(answer, attempt=attempt, **changes) for attempt in range(1, ATTEMPTS_MAX + 1)]
    return [verdict.next_attempt_ms / 1_000 for verdict in verdicts if verdict.next_attempt_ms is not None]


def test_an_unavailable_receiver_is_tried_by_the_table_and_then_given_up() -> None:
    assert waits_s(Answer(status=503)) == [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
    last = judged(Answer(status=503), attempt=ATTEMPTS_MAX)
    assert (last.state, last.next_attempt_ms) == ("failed", None)
    assert last.why == "answered 503; that was the last of 10 attempts"


def test_the_whole_table_takes_a_little_more_than_three_days() -> None:
    assert sum(SCHEDULE_S) == 75 * 3_600 + 35 * 60 + 5


@pytest.mark.parametrize(("jitter", "factor"), [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)])
def test_every_wait_is_spread_by_a_fifth_to_either_side(jitter: float, factor: float) -> None:
    assert waits_s(Answer(status=500), jitter=jitter) == pytest.approx([wait_s * factor for wait_s in SCHEDULE_S[1:]])


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_success_is_delivered_and_good_for_the_endpoint(status: int) -> None:
    verdict = judged(Answer(status=status), attempt=ATTEMPTS_MAX, expires_ms=0)
    assert (verdict.state, verdict.outcome, verdict.endpoint) == ("delivered", "delivered", "succeeded")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_failure_that_may_pass(status: int) -> None:
    verdict = judged(Answer(status=status))
    assert (verdict.state, verdict.outcome, verdict.endpoint) == ("pending", "failed", "failed")
    assert verdict.why == f"answered {status}: redirects are not followed; next attempt in 5 s"


def test_a_receiver_that_is_gone_is_disabled_at_once() -> None:
    verdict = judged(Answer(status=410))
    assert (verdict.state, verdict.outcome, verdict.endpoint) == ("failed", "refused", "disable")


@pytest.mark.parametrize("status", [400, 402, 404, 405, 406, 413, 415, 422, 431, 451])
def test_a_message_that_is_not_taken_stops_and_somebody_is_warned(status: int) -> None:
    verdict = judged(Answer(status=status))
    assert (verdict.state, verdict.outcome, verdict.endpoint) == ("failed", "refused", "warn")
    assert verdict.why.endswith("not tried again")


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_get_a_second_chance_and_a_warning_with_the_first(status: int) -> None:
    first, second = judged(Answer(status=status)), judged(Answer(status=status), attempt=2)
    assert (first.state, first.next_attempt_ms, first.endpoint) == ("pending", 5_000, "warn")
    assert (second.state, second.endpoint) == ("failed", "warn")


@pytest.mark.parametrize("status", [408, 409, 423, 425, 500, 502, 503, 504, 599, 100, 999])
def test_what_may_pass_is_tried_again_and_counts_against_the_endpoint(status: int) -> None:
    verdict = judged(Answer(status=status))
    assert (verdict.state, verdict.endpoint) == ("pending", "failed")


@pytest.mark.parametrize("answer", [Answer(status=429), Answer(failure="timed_out"), Answer(failure="connect_timeout")])
def test_a_receiver_that_is_overloaded_gets_a_minute_at_least(answer: Answer) -> None:
    assert waits_s(answer, jitter=0.0)[:2] == [60, 240]


@pytest.mark.parametrize(("asked_s", "attempt", "wait_s"), [
    (0, 1, 60), (90, 1, 90), (3_600, 1, 3_600), (10**9, 1, RETRY_AFTER_S_MAX),
    (1, 4, 7_200), (10_000, 4, 10_000), (10**9, 4, 14_400),
])  # fmt: skip
def test_retry_after_is_obeyed_within_the_table_and_twice_of_it_or_an_hour(
    asked_s: float, attempt: int, wait_s: float
) -> None:
    verdict = judged(Answer(status=429, retry_after_s=asked_s), attempt=attempt)
    assert verdict.next_attempt_ms == wait_s * 1_000


def test_nothing_is_tried_after_it_has_expired() -> None:
    in_time = judged(Answer(status=503), began_ms=1_000, expires_ms=6_001)
    late = judged(Answer(status=503), began_ms=1_000, expires_ms=6_000)
    assert (in_time.state, in_time.next_attempt_ms) == ("pending", 6_000)
    assert (late.state, late.next_attempt_ms) == ("expired", None)
    assert "expires" in late.why


@pytest.mark.parametrize("failure", UNSENT)
def test_a_create_that_never_left_is_simply_tried_again(failure: Failure) -> None:
    verdict = judged(Answer(failure=failure), creates=True, idempotent=False, ambiguous="hold")
    assert verdict.state == "pending"
    assert verdict.outcome == ("timed_out" if failure == "connect_timeout" else "unreachable")


@pytest.mark.parametrize(
    "answer", [*(Answer(failure=failure) for failure in SENT), Answer(status=502), Answer(status=504)]
)
def test_a_create_of_which_nobody_knows_follows_the_endpoints_policy(answer: Answer) -> None:
    def said(policy: str, **changes: Any) -> tuple[str, int | None]:
        verdict = judged(
            answer, **({"creates": True, "idempotent": False, "ambiguous": policy, "jitter": 0.0} | changes)
        )
        return verdict.state, verdict.next_attempt_ms

    assert said("hold") == ("unknown", None)
    assert said("retry") == ("pending", 60_000)
    assert said("reconcile") == ("unknown", 60_000)
    assert said("reconcile", attempt=ATTEMPTS_MAX) == ("unknown", None)
    assert said("reconcile", expires_ms=60_000) == ("unknown", None)
    assert said("retry", attempt=ATTEMPTS_MAX) == ("failed", None)
    for harmless in ({"idempotent": True}, {"creates": False}):
        assert said("hold", **harmless)[0] == "pending"


@pytest.mark.parametrize(("failure", "outcome"), [("blocked", "blocked"), ("unsendable", "unrendered")])
def test_what_our_own_settings_forbid_is_not_tried_again(failure: Failure, outcome: str) -> None:
    verdict = judged(Answer(failure=failure, why="blocked by the egress policy: 10.0.0.1 is an address private"))
    assert (verdict.state, verdict.outcome, verdict.endpoint) == ("failed", outcome, "warn")
    assert verdict.why.startswith("blocked by the egress policy: ")


@given(
    answer=ANSWERS,
    attempt=st.integers(1, 30),
    began_ms=st.integers(0, 10**13),
    left_ms=st.integers(-(10**9), 10**9),
    jitter=st.floats(0, 1, exclude_max=True),
    creates=st.booleans(),
    idempotent=st.booleans(),
    ambiguous=st.sampled_from(["retry", "reconcile", "hold"]),
)
def test_whatever_comes_back_the_verdict_holds_together(
    answer: Answer, attempt: int, began_ms: int, left_ms: int, **others: Any
) -> None:
    expires_ms = began_ms + left_ms
    verdict = judge(answer, attempt=attempt, began_ms=began_ms, expires_ms=expires_ms, **others)
    assert verdict.why
    assert (verdict.state == "delivered") == (verdict.endpoint == "succeeded") == (answer.status in range(200, 300))
    assert verdict.state in {"delivered", "pending", "failed", "expired", "unknown"}
    if verdict.state == "pending":
        assert verdict.next_attempt_ms is not None
        assert attempt < ATTEMPTS_MAX
    if verdict.next_attempt_ms is not None:
        assert verdict.state in {"pending", "unknown"}
        assert began_ms + 4_000 <= verdict.next_attempt_ms < expires_ms
        assert verdict.next_attempt_ms - began_ms <= max(2 * 1.2 * SCHEDULE_S[attempt], RETRY_AFTER_S_MAX) * 1_000
    if verdict.state == "unknown":
        assert others["creates"]
        assert not others["idempotent"]

"""What becomes of a delivery after an attempt: a table of answers, and one function that reads it.

The waits are those of Standard Webhooks 1.0.0, each spread by a fifth to either side so that what failed together does
not come back together.  A message is never tried after its own expiry.
"""

from typing import Final, Literal

from msgspec import Struct

from streams.core.notify.endpoints import Ambiguous, DeliveryState

Failure = Literal["blocked", "unsendable", "unresolved", "unreachable", "tls", "connect_timeout",
                  "timed_out", "cut_off", "garbled"]  # fmt: skip
"""Why there was no answer; with the last three the request had been sent, and may have been carried out."""

AttemptOutcome = Literal["delivered", "refused", "failed", "timed_out", "unreachable", "blocked", "unrendered"]
EndpointSignal = Literal["succeeded", "failed", "neutral", "disable", "warn"]
"""What an attempt says of its endpoint; `warn`: the endpoint is up, and somebody has to change a setting."""

SCHEDULE_S: Final = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""How long after the failure of the one before each attempt begins; the first one begins at once."""

ATTEMPTS_MAX: Final = len(SCHEDULE_S)
JITTER: Final = 0.2
OVERLOADED_S_MIN: Final = 60
RETRY_AFTER_S_MAX: Final = 3_600
"""A receiver may ask for this much patience at any time, and later for twice what the table says."""

AUTH_ATTEMPTS: Final = 2
RECONCILE_S: Final = 60


class Answer(Struct, frozen=True, kw_only=True):
    """What came back: a status, or a failure and never both; `why` says the failure in words, without secrets.

    `headers` have small letters in their names.  `body` is the beginning of the body.
    """

    status: int | None = None
    failure: Failure | None = None
    why: str = ""
    retry_after_s: float | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class RetryDecision(Struct, frozen=True, kw_only=True):
    """What becomes of the delivery, why in words, when it is tried again, and what this says of the endpoint."""

    state: DeliveryState
    why: str
    next_attempt_ms: int | None
    outcome: AttemptOutcome
    endpoint: EndpointSignal


class _RetryRule(Struct, frozen=True):
    """How one kind of answer is taken; `attempts` is how many a message gets, `is_unknown` that it may have arrived."""

    outcome: AttemptOutcome
    endpoint: EndpointSignal
    attempts: int = ATTEMPTS_MAX
    wait_s_min: int = 0
    is_unknown: bool = False
    advice: str = ""


_RETRIED: Final = _RetryRule("failed", "failed")
_REFUSED: Final = _RetryRule("refused", "warn", attempts=1, advice="the receiver does not take this message")
_NOT_LET_IN: Final = _RetryRule("refused", "warn", attempts=AUTH_ATTEMPTS, advice="the credentials are not accepted")
_MOVED: Final = _RetryRule("failed", "failed", advice="redirects are not followed")
_BY_GATEWAY: Final = _RetryRule("failed", "failed", is_unknown=True)

_BY_STATUS: Final[dict[int, _RetryRule]] = {
    401: _NOT_LET_IN,
    403: _NOT_LET_IN,
    # 409: with an idempotency key, the first call with it is still being worked on.
    **dict.fromkeys((408, 409, 423, 425), _RETRIED),
    410: _RetryRule("refused", "disable", attempts=1, advice="the receiver is gone for good"),
    429: _RetryRule("failed", "failed", wait_s_min=OVERLOADED_S_MIN),
    502: _BY_GATEWAY,
    504: _RetryRule("timed_out", "failed", wait_s_min=OVERLOADED_S_MIN, is_unknown=True),
}
_BY_HUNDRED: Final[dict[int, _RetryRule]] = {3: _MOVED, 4: _REFUSED}
_BY_FAILURE: Final[dict[Failure, _RetryRule]] = {
    "blocked": _RetryRule("blocked", "warn", attempts=1),
    "unsendable": _RetryRule("unrendered", "warn", attempts=1),
    "unresolved": _RetryRule("unreachable", "failed"),
    "unreachable": _RetryRule("unreachable", "failed"),
    "tls": _RetryRule("unreachable", "failed"),
    "connect_timeout": _RetryRule("timed_out", "failed", wait_s_min=OVERLOADED_S_MIN),
    "timed_out": _RetryRule("timed_out", "failed", wait_s_min=OVERLOADED_S_MIN, is_unknown=True),
    "cut_off": _RetryRule("failed", "failed", is_unknown=True),
    "garbled": _RetryRule("failed", "failed", is_unknown=True),
}


def judge(
    answer: Answer,
    *,
    attempt: int,
    began_ms: int,
    expires_ms: int,
    jitter: float,
    creates: bool,
    idempotent: bool,
    ambiguous: Ambiguous,
) -> RetryDecision:
    """Return what follows from the answer to attempt number `attempt`, which counts from 1; `jitter` is in [0, 1).

    `creates` says that the call made a ticket, `idempotent` that making it twice is harmless: where it is not and
    nobody knows whether the call was carried out, `ambiguous` decides.

    >>> verdict = judge(Answer(status=503), attempt=1, began_ms=0, expires_ms=10**9, jitter=0.5, creates=True,
    ...                 idempotent=True, ambiguous="retry")
    >>> verdict.state, verdict.next_attempt_ms, verdict.why
    ('pending', 5000, 'answered 503; next attempt in 5 s')
    """
    if answer.status is not None and 200 <= answer.status < 300:
        why = f"answered {answer.status}"
        return RetryDecision(
            state="delivered", why=why, next_attempt_ms=None, outcome="delivered", endpoint="succeeded"
        )
    rule = _rule_of(answer)
    said = f"answered {answer.status}" if answer.failure is None else answer.why or answer.failure.replace("_", " ")
    said = f"{said}: {rule.advice}" if rule.advice else said

    def verdict(state: DeliveryState, why: str, wait_s: float | None = None) -> RetryDecision:
        next_ms = None if wait_s is None else began_ms + round(wait_s * 1_000)
        return RetryDecision(
            state=state, why=f"{said}; {why}", next_attempt_ms=next_ms, outcome=rule.outcome, endpoint=rule.endpoint
        )

    is_in_doubt = rule.is_unknown and creates and not idempotent
    if is_in_doubt and ambiguous == "hold":
        return verdict("unknown", "nobody knows whether it arrived, and a person has to decide")
    is_last = attempt >= rule.attempts
    if is_in_doubt and ambiguous == "reconcile":
        if is_last or began_ms + RECONCILE_S * 1_000 >= expires_ms:
            return verdict("unknown", "nobody knows whether it arrived, and there is no time left to look")
        return verdict("unknown", f"whether it arrived is looked up in {RECONCILE_S} s", RECONCILE_S)
    if is_last:
        return verdict("failed", "not tried again" if attempt == 1 else f"that was the last of {attempt} attempts")
    wait_s = _wait_s(attempt, max(rule.wait_s_min, RECONCILE_S if is_in_doubt else 0), jitter, answer.retry_after_s)
    if began_ms + round(wait_s * 1_000) >= expires_ms:
        return verdict("expired", "it expires before the next attempt")
    return verdict("pending", f"next attempt in {wait_s:.0f} s", wait_s)


def _rule_of(answer: Answer) -> _RetryRule:
    if answer.failure is not None:
        return _BY_FAILURE[answer.failure]
    status = answer.status or 0
    return _BY_STATUS.get(status) or _BY_HUNDRED.get(status // 100, _RETRIED)


def _wait_s(attempt: int, wait_s_min: int, jitter: float, retry_after_s: float | None) -> float:
    base = max(wait_s_min, SCHEDULE_S[attempt] * (1 - JITTER + 2 * JITTER * jitter))
    if retry_after_s is None:
        return base
    return min(max(retry_after_s, base), max(2 * base, RETRY_AFTER_S_MAX))

"""How an endpoint does: a circuit that opens when it fails, and a count of the time in which it did nothing else.

Five failures in a row open it, and nothing is sent.  After a while one delivery is tried: if that fails too the next
while is longer, and the first success closes it.  After 120 hours of nothing but failures the endpoint is disabled,
with warnings on the way; who is warned and what disabling means is for others to say.
"""

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from streams.core.times import HOUR_MS

CircuitState = Literal["closed", "open", "half_open"]

FAILURES_TO_OPEN: Final = 5
OPEN_S: Final = (5, 30, 120, 300, 900)
"""For how long it is open: the first time, and after each probe that failed; the last one holds from then on."""

DISABLED_AFTER_MS: Final = 120 * HOUR_MS
WARNED_PERCENTS: Final = (50, 70, 90, 100)
"""At which parts of that time somebody is warned; at 100 the endpoint is disabled."""


class CircuitBreaker(Struct, frozen=True, kw_only=True):
    """The circuit as it is kept with its endpoint.

    `failures` are those in a row, counted one by one up to the opening and then one for each probe.
    `first_failure_ms` is when the row began.  `warned_percent` is the last of `WARNED_PERCENTS` that was reached.
    """

    circuit: CircuitState = "closed"
    failures: int = 0
    first_failure_ms: int | None = None
    open_until_ms: int | None = None
    warned_percent: int = 0


HEALTHY: Final = CircuitBreaker()


def current_state(health: CircuitBreaker, now_ms: int) -> CircuitState:
    """Return how the circuit stands now: one that has been open for its time is half open.

    >>> current_state(CircuitBreaker(circuit="open", open_until_ms=10), 10)
    'half_open'
    """
    is_over = health.circuit == "open" and now_ms >= (health.open_until_ms or 0)
    return "half_open" if is_over else health.circuit


def allowed_deliveries(health: CircuitBreaker, now_ms: int, *, in_flight: int, in_flight_max: int) -> int:
    """Return how many more deliveries may be sent now: none while it is open, one probe while it is half open.

    >>> allowed_deliveries(CircuitBreaker(circuit="open", open_until_ms=10), 10, in_flight=0, in_flight_max=8)
    1
    """
    most = {"closed": in_flight_max, "open": 0, "half_open": 1}[current_state(health, now_ms)]
    return max(0, most - in_flight)


def after_attempts(health: CircuitBreaker, *, succeeded: int, failed: int, now_ms: int) -> CircuitBreaker:
    """Return how the endpoint does after so many successes and failures, of which nobody knows the order.

    Any success closes the circuit.  Failures that come in while it is open are of calls that were under way.
    """
    if succeeded:
        return HEALTHY
    if not failed:
        return health
    circuit = current_state(health, now_ms)
    first_ms = now_ms if health.first_failure_ms is None else health.first_failure_ms
    health = replace(health, circuit=circuit, first_failure_ms=first_ms)
    if circuit == "half_open":
        health = _open(health, health.failures + 1, now_ms)
    elif circuit == "closed":
        failures = min(health.failures + failed, FAILURES_TO_OPEN)
        health = _open(health, failures, now_ms) if failures == FAILURES_TO_OPEN else replace(health, failures=failures)
    return health if health.circuit == "closed" else _note_warnings(health, now_ms)


def due_warning(before: CircuitBreaker, now: CircuitBreaker) -> int | None:
    """Return the percentage of its time that the endpoint has just used up, None where there is nothing new to say.

    >>> due_warning(CircuitBreaker(warned_percent=50), CircuitBreaker(warned_percent=70))
    70
    """
    return now.warned_percent if now.warned_percent > before.warned_percent else None


def is_to_be_disabled(health: CircuitBreaker) -> bool:
    """Say whether there were nothing but failures for too long.

    >>> is_to_be_disabled(CircuitBreaker(warned_percent=90))
    False
    """
    return health.warned_percent >= 100


def _open(health: CircuitBreaker, failures: int, now_ms: int) -> CircuitBreaker:
    open_s = OPEN_S[min(failures - FAILURES_TO_OPEN, len(OPEN_S) - 1)]
    return replace(health, circuit="open", failures=failures, open_until_ms=now_ms + open_s * 1_000)


def _note_warnings(health: CircuitBreaker, now_ms: int) -> CircuitBreaker:
    failing_ms = now_ms - (now_ms if health.first_failure_ms is None else health.first_failure_ms)
    reached = [percent for percent in WARNED_PERCENTS if failing_ms * 100 >= percent * DISABLED_AFTER_MS]
    return replace(health, warned_percent=max([health.warned_percent, *reached]))

"""The queue of one endpoint: what a dispatcher claimed for it, how fast it sends, and how many it claims ahead."""

from collections import deque
from typing import Final

from msgspec import Struct

from streams.core.notify import circuit, pacing
from streams.core.token_bucket import wait_ms
from streams.sink.dispatch.endpoint_registry import Receiver
from streams.store.outbox.values import ClaimedDelivery
from streams.store.sink import ClaimLimit

AHEAD_MAX: Final = 256
"""How many deliveries are claimed before there is a connection for them, at a receiver that takes all it is sent."""


class LeasedDelivery(Struct, frozen=True):
    """A claimed delivery; after `begin_by_s`, on the clock of the loop, the lease no longer covers an attempt."""

    claimed: ClaimedDelivery
    begin_by_s: float


class EndpointQueue:
    """The deliveries that a dispatcher has claimed for one endpoint, and how many it may claim next.

    It claims ahead by as many deliveries as have arrived since the last failure.  First attempts and retries are
    claimed apart: where a claim brought fewer than were asked for, that kind is dry until more may have become due.
    """

    def __init__(self, receiver: Receiver, now_ms: int) -> None:
        self.receiver = receiver
        self.leased: deque[LeasedDelivery] = deque()
        self.in_flight = 0
        self.ahead = 0
        self.pace = pacing.full_pace(receiver.endpoint.rate_per_s, now_ms)
        self.is_dry_of_fresh = False
        self.is_dry_of_retries = False
        self.is_done = False
        self._turn = 0
        self._unnoted = 0

    def update(self, receiver: Receiver, now_ms: int) -> None:
        """Take in what is said of the receiver now."""
        if receiver.endpoint.rate_per_s != self.pace.bucket.rate_per_s:
            self.pace = pacing.full_pace(receiver.endpoint.rate_per_s, now_ms)
        self.receiver = receiver

    @property
    def claimed_count(self) -> int:
        """How many deliveries are claimed and not finished."""
        return len(self.leased) + self.in_flight

    def is_open(self, now_ms: int) -> bool:
        """Say whether it may be sent to now, as far as that is known here."""
        return self.receiver.row.state == "active" and circuit.current_state(self.receiver.health, now_ms) != "open"

    @property
    def is_in_doubt(self) -> bool:
        """Whether failures that are not written down yet would open the circuit."""
        return self._unnoted > 0 and self.receiver.health.failures + self._unnoted >= circuit.FAILURES_TO_OPEN

    def room(self, now_ms: int) -> ClaimLimit | None:
        """Return how many deliveries to claim now, None where a question to the database is not worth it."""
        is_dry = self.is_dry_of_fresh and self.is_dry_of_retries
        if is_dry or self.is_done or self.is_in_doubt or not self.is_open(now_ms):
            return None
        most = self.receiver.endpoint.in_flight_max + self.ahead
        limit = circuit.allowed_deliveries(
            self.receiver.health, now_ms, in_flight=self.claimed_count, in_flight_max=most
        )
        if limit == 0 or (self.leased and limit * 4 < most):
            return None
        given = pacing.take_tokens(
            self.pace,
            now_ms,
            fresh=0 if self.is_dry_of_fresh else limit,
            retries=0 if self.is_dry_of_retries else limit,
        )
        retries = min(given.retries, max(limit - given.fresh, (limit + self._turn) // 2))
        fresh = min(given.fresh, limit - retries)
        return ClaimLimit(fresh, retries) if fresh or retries else None

    def took(self, asked: ClaimLimit, claimed: list[ClaimedDelivery], begin_by_s: float, now_ms: int) -> None:
        """Take in what a claim brought."""
        retries = sum(1 for one in claimed if one.attempt > 1)
        fresh = len(claimed) - retries
        self.pace = pacing.take_tokens(self.pace, now_ms, fresh=fresh, retries=retries).pace
        self.is_dry_of_fresh = self.is_dry_of_fresh or fresh < asked.fresh
        self.is_dry_of_retries = self.is_dry_of_retries or retries < asked.retries
        self._turn ^= 1
        self.leased.extend(LeasedDelivery(one, begin_by_s) for one in claimed)

    def look_again(self) -> None:
        """Forget that nothing was due, and ask again."""
        self.is_dry_of_fresh = self.is_dry_of_retries = False

    def wait_ms(self, now_ms: int) -> int | None:
        """Return when the rate lets it go on, None where something else holds it up or nothing does."""
        if self.is_done or not self.is_open(now_ms) or (self.is_dry_of_fresh and self.is_dry_of_retries):
            return None
        return wait_ms(self.pace.bucket, now_ms) or None

    def note_success(self) -> None:
        """Claim one delivery more ahead from now on."""
        self.ahead = min(AHEAD_MAX, self.ahead + 1)
        self._unnoted = 0

    def note_failure(self, *, counts: bool) -> None:
        """Claim nothing ahead, since nobody else can send what waits here; `counts` says that the circuit counts it."""
        self.ahead = 0
        self._unnoted += counts

    def note_written_failures(self, failed: int) -> None:
        """Note that the database knows so many of the failures now."""
        self._unnoted = max(0, self._unnoted - failed)

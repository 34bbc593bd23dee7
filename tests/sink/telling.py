"""A dispatcher without a network, for tests of what the database hands out and takes in."""

from collections.abc import Sequence
from typing import Any

from streams.core.notify.contact import ContactRules
from streams.core.notify.endpoints import Endpoint
from streams.core.notify.messages import action_of
from streams.store.outbox.values import ClaimedDelivery, DeliveryRow, FinishedAttempt, Ticket
from streams.store.sink import ClaimLimit, Sink
from tests.sink.alerts_told import BEGAN_MS

RULES = ContactRules()
NOW_MS = BEGAN_MS + 60_000
LEASE_MS = 90_000
PLENTY = ClaimLimit(10_000, 10_000)


def add(sink: Sink, *names: str, **fields: Any) -> None:
    for name in names:
        sink.add_endpoint(Endpoint(name=name, preset="standard", url="https://crm.example", **fields), None, NOW_MS)


def claim(sink: Sink, now_ms: int = NOW_MS, worker: str = "w", room: ClaimLimit = PLENTY) -> list[ClaimedDelivery]:
    """Claim all that is due, at every endpoint."""
    rooms = {row.endpoint.name: room for row in sink.endpoints()}
    return sink.claim(worker, now_ms, lease_ms=LEASE_MS, rooms=rooms).handed


def finished(
    claimed: ClaimedDelivery, state: str = "delivered", now_ms: int = NOW_MS, **fields: Any
) -> FinishedAttempt:
    """Return what came of an attempt: by default it arrived."""
    action = action_of(claimed.type, claimed.ticket)
    is_told = state == "delivered"
    ticket = Ticket(external_id=None, external_ref=None, told_ms=now_ms, resolved=action == "resolve")
    base: dict[str, Any] = {
        "delivery_id": claimed.delivery_id, "endpoint": claimed.endpoint, "attempt": claimed.attempt, "state": state,
        "why": state, "next_attempt_ms": None, "action": action, "outcome": "delivered" if is_told else "failed",
        "began_ms": now_ms, "took_ms": 1, "status": 200 if is_told else 503, "answer": "",
        "ticket": ticket if is_told else None,
    }  # fmt: skip
    return FinishedAttempt(**{**base, **fields})


def send(sink: Sink, now_ms: int = NOW_MS, **fields: Any) -> list[ClaimedDelivery]:
    """Claim all that is due and say that it arrived, or what `fields` say."""
    claimed = claim(sink, now_ms)
    assert sink.finish("w", [finished(one, now_ms=now_ms, **fields) for one in claimed], now_ms) == len(claimed)
    return claimed


def stands(sink: Sink, **chosen: Any) -> list[tuple[str, str]]:
    """Return (type, state) of deliveries, the oldest first."""
    return [(row.type.removeprefix("alert."), row.state) for row in rows(sink, **chosen)]


def rows(sink: Sink, **chosen: Any) -> Sequence[DeliveryRow]:
    return sink.deliveries(**chosen)[::-1]


def whys(sink: Sink, **chosen: Any) -> list[str]:
    """Return the first word of why each delivery stands as it does, empty where there is nothing to say."""
    return [row.why.partition(":")[0] for row in rows(sink, **chosen)]

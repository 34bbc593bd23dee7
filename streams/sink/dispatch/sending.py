"""One delivery from claim to result: rendered, signed, sent, and judged."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from streams.core.notify.endpoints import Action, DeliveryState
from streams.core.notify.messages import action_of
from streams.core.notify.retry import Answer, AttemptOutcome, EndpointSignal, RetryDecision, judge
from streams.sink.dispatch.endpoint_queue import LeasedDelivery
from streams.sink.dispatch.endpoint_registry import Receiver, with_signature
from streams.sink.http.client import Client
from streams.sink.http.request import REDACTED
from streams.sink.presets import RenderFailure, Request
from streams.store.outbox.values import ClaimedDelivery, FinishedAttempt, Ticket

ANSWER_CHARS_MAX: Final = 500
_NEVER_SENT: Final = "nothing was ever told"
_DEFECT: Final = "a defect of Forewarn"
_LOOKED_UP: Final = "the receiver has it already"


class AttemptResult(Struct, frozen=True):
    """What came of an attempt, and what it says of the endpoint; `status` and `outcome` are in `finished`."""

    finished: FinishedAttempt
    signal: EndpointSignal


class Sender:
    """Sends deliveries; `now_ms` is the clock of the wall, and `jitter` gives numbers in [0, 1)."""

    def __init__(self, client: Client, now_ms: Callable[[], int], jitter: Callable[[], float]) -> None:
        self._client = client
        self._now_ms = now_ms
        self._jitter = jitter

    async def attempt(self, receiver: Receiver, claimed: ClaimedDelivery) -> AttemptResult:
        """Make one attempt; it ends with a value, whatever happens."""
        began_ms = self._now_ms()
        action = action_of(claimed.type, claimed.ticket)
        if action is None:
            return _unsent_result(claimed, began_ms, "skipped", _NEVER_SENT)
        try:
            if _is_in_doubt(receiver, claimed, action):
                known = await self._resolve_doubt(receiver, claimed, action, began_ms)
                if known is not None:
                    return known
            return await self._call(receiver, claimed, action, began_ms)
        except Exception as error:  # noqa: BLE001 - one message that we cannot handle stops no other
            answer = Answer(failure="unsendable", why=f"{_DEFECT}: {type(error).__name__}")
            verdict = self._verdict(receiver, claimed, action, answer, began_ms)
            return self._attempt_result(receiver, claimed, action, answer=answer, verdict=verdict, began_ms=began_ms)

    async def _call(self, receiver: Receiver, claimed: ClaimedDelivery, action: Action, began_ms: int) -> AttemptResult:
        request = receiver.prepared.render(claimed, action, now_ms=began_ms, secret=receiver.auth)
        if isinstance(request, RenderFailure):
            answer = Answer(failure="unsendable", why=request.why)
        else:
            request = with_signature(receiver, request, claimed.message_id, began_ms)
            answer = await self._client.send(request, receiver.endpoint)
        verdict = self._verdict(receiver, claimed, action, answer, began_ms)
        ticket = self._ticket(receiver, claimed, action, answer) if verdict.state == "delivered" else None
        return self._attempt_result(
            receiver, claimed, action, answer=answer, verdict=verdict, began_ms=began_ms, ticket=ticket
        )

    async def _resolve_doubt(
        self, receiver: Receiver, claimed: ClaimedDelivery, action: Action, began_ms: int
    ) -> AttemptResult | None:
        """Return what is known of a create that may have arrived, None if it did not and is to be sent."""
        policy = receiver.prepared.ambiguous
        if policy == "retry":
            return None
        if policy == "hold":
            why = "nobody knows whether it arrived, and a person has to decide"
            return _unsent_result(claimed, began_ms, "unknown", why)
        request = receiver.prepared.lookup(claimed, secret=receiver.auth)
        if not isinstance(request, Request):
            return _unsent_result(
                claimed, began_ms, "unknown", request.why if request else "there is no way to look it up"
            )
        answer = await self._client.send(request, receiver.endpoint)
        if answer.status is None or not 200 <= answer.status < 300:
            return self._not_looked_up(receiver, claimed, answer, began_ms)
        match receiver.prepared.matches(answer.body, claimed):
            case []:
                return None
            case [(external_id, reference)]:
                ticket = Ticket(external_id=external_id, external_ref=reference, told_ms=self._now_ms(), resolved=False)
                known = _verdict_of("delivered", _LOOKED_UP, "delivered", "succeeded")
                return self._attempt_result(
                    receiver, claimed, action, answer=answer, verdict=known, began_ms=began_ms, ticket=ticket
                )
            case None:
                return _unsent_result(claimed, began_ms, "unknown", "what the lookup answered cannot be read")
            case several:
                return _unsent_result(
                    claimed, began_ms, "unknown", f"the receiver has {len(several)} tickets of the alert"
                )

    def _not_looked_up(
        self, receiver: Receiver, claimed: ClaimedDelivery, answer: Answer, began_ms: int
    ) -> AttemptResult:
        verdict = judge(
            answer, attempt=claimed.attempt, began_ms=began_ms, expires_ms=claimed.expires_ms,
            jitter=self._jitter(), creates=False, idempotent=True, ambiguous="retry",
        )  # fmt: skip
        known = RetryDecision(
            state="unknown",
            why=f"looking it up: {verdict.why}",
            next_attempt_ms=verdict.next_attempt_ms,
            outcome=verdict.outcome,
            endpoint=verdict.endpoint,
        )
        return self._attempt_result(receiver, claimed, None, answer=answer, verdict=known, began_ms=began_ms)

    def _verdict(
        self, receiver: Receiver, claimed: ClaimedDelivery, action: Action, answer: Answer, began_ms: int
    ) -> RetryDecision:
        return judge(
            answer, attempt=claimed.attempt, began_ms=began_ms, expires_ms=claimed.expires_ms,
            jitter=self._jitter(), creates=action == "create", idempotent=receiver.prepared.idempotent,
            ambiguous=receiver.prepared.ambiguous,
        )  # fmt: skip

    def _ticket(self, receiver: Receiver, claimed: ClaimedDelivery, action: Action, answer: Answer) -> Ticket:
        external_id, reference = receiver.prepared.capture(
            action, answer.status or 0, dict(answer.headers), answer.body
        )
        known = claimed.ticket
        return Ticket(
            external_id=external_id or (known.external_id if known else None),
            external_ref=reference or (known.external_ref if known else None),
            told_ms=self._now_ms(),
            resolved=action == "resolve",
        )

    def _attempt_result(
        self,
        receiver: Receiver,
        claimed: ClaimedDelivery,
        action: Action | None,
        *,
        answer: Answer,
        verdict: RetryDecision,
        began_ms: int,
        ticket: Ticket | None = None,
    ) -> AttemptResult:
        is_done = verdict.state == "delivered"
        finished = FinishedAttempt(
            delivery_id=claimed.delivery_id,
            endpoint=claimed.endpoint,
            attempt=claimed.attempt,
            state=verdict.state,
            why=verdict.why,
            next_attempt_ms=_next_ms(claimed, verdict.state, verdict.next_attempt_ms),
            action=action,
            outcome=verdict.outcome,
            began_ms=began_ms,
            took_ms=max(0, self._now_ms() - began_ms),
            status=answer.status,
            answer="" if is_done else _answer_text(answer.body, receiver),
            ticket=ticket,
        )
        return AttemptResult(finished, verdict.endpoint)


def _is_in_doubt(receiver: Receiver, claimed: ClaimedDelivery, action: Action) -> bool:
    """Say whether a create may have arrived already: it was left open, or whoever sent it is gone."""
    if claimed.state_before == "unknown":
        return True
    return claimed.state_before == "in_flight" and action == "create" and not receiver.prepared.idempotent


class UnsentDeliveries(Struct, frozen=True):
    """What was claimed and not sent: ids to be released, and creates in doubt, which stay in doubt."""

    released: list[str]
    undecided: list[FinishedAttempt]


def sort_unsent(unsent: Sequence[LeasedDelivery], receivers: Mapping[str, Receiver], now_ms: int) -> UnsentDeliveries:
    """Return how deliveries are given back that were claimed and not sent."""
    released, undecided = list[str](), list[FinishedAttempt]()
    for held in unsent:
        claimed, receiver = held.claimed, receivers.get(held.claimed.endpoint)
        action = action_of(claimed.type, claimed.ticket)
        if claimed.state_before == "unknown" or (receiver and action and _is_in_doubt(receiver, claimed, action)):
            why = "nobody has looked yet whether it arrived"
            undecided.append(_unsent_result(claimed, now_ms, "unknown", why, next_attempt_ms=now_ms).finished)
        else:
            released.append(claimed.delivery_id)
    return UnsentDeliveries(released, undecided)


def _unsent_result(
    claimed: ClaimedDelivery, began_ms: int, state: DeliveryState, why: str, next_attempt_ms: int | None = None
) -> AttemptResult:
    finished = FinishedAttempt(
        delivery_id=claimed.delivery_id, endpoint=claimed.endpoint, attempt=claimed.attempt, state=state, why=why,
        next_attempt_ms=_next_ms(claimed, state, next_attempt_ms), action=None, outcome=None, began_ms=began_ms,
        took_ms=0, status=None, answer="",
    )  # fmt: skip
    return AttemptResult(finished, "neutral")


def _next_ms(claimed: ClaimedDelivery, state: DeliveryState, next_attempt_ms: int | None) -> int | None:
    """Return when a delivery is looked at again: one that waits for a person, when it expires."""
    return claimed.expires_ms if state == "unknown" and next_attempt_ms is None else next_attempt_ms


def _verdict_of(state: DeliveryState, why: str, outcome: AttemptOutcome, signal: EndpointSignal) -> RetryDecision:
    return RetryDecision(state=state, why=why, next_attempt_ms=None, outcome=outcome, endpoint=signal)


def _answer_text(body: bytes, receiver: Receiver) -> str:
    """Return the beginning of an answer for people, without secrets that it repeats, and as any database takes it."""
    text = body.decode("utf-8", "replace").replace("\x00", " ")
    for secret in (receiver.auth, *(key.secret for key in receiver.secrets.signing)):
        if secret:
            text = text.replace(secret, REDACTED)
    return text[:ANSWER_CHARS_MAX]

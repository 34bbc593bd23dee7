"""What the sink's database hands out and takes in: plain frozen values."""

from typing import Any, Literal

from msgspec import Struct

from streams.core.contracts.effects import AlertChanged
from streams.core.notify.circuit import CircuitState
from streams.core.notify.endpoints import Action, DeliveryState, Endpoint, EndpointState, MessageType
from streams.core.notify.retry import AttemptOutcome


class EndpointRow(Struct, frozen=True, kw_only=True):
    """An endpoint as it stands: what was said of it, its sealed secrets, and how it has done."""

    endpoint: Endpoint
    sealed: bytes | None
    state: EndpointState
    why: str
    created_ms: int
    updated_ms: int
    circuit: CircuitState
    failures: int
    first_failure_ms: int | None
    open_until_ms: int | None
    warned_percent: int


class AlertWork(Struct, frozen=True, kw_only=True):
    """What people made of an alert; `version` 0 where nobody has touched it."""

    state: Literal["open", "acknowledged", "in_progress", "snoozed", "closed"] = "open"
    assignee: str | None = None
    note: str | None = None
    snoozed_until_ms: int | None = None
    snooze_reason: str | None = None
    outcome: str | None = None
    outcome_reason: str | None = None
    updated_ms: int = 0
    version: int = 0


class Ticket(Struct, frozen=True, kw_only=True):
    """What a receiver knows of an alert; `external_id` is None where it gave none."""

    external_id: str | None
    external_ref: str | None
    told_ms: int
    resolved: bool


class ClaimedDelivery(Struct, frozen=True, kw_only=True):
    """A delivery that is ours until its lease ends, with all that a request is made of.

    `attempt` counts from 1.  `transition` is the one that the message tells of; for an act of people, the newest one
    when they acted.  `ticket` is None where the receiver was told nothing of the alert yet.
    """

    number: int
    delivery_id: str
    endpoint: str
    message_id: str
    type: MessageType
    event_ms: int
    created_ms: int
    expires_ms: int
    attempt: int
    state_before: DeliveryState
    transition: AlertChanged
    work: AlertWork
    ticket: Ticket | None


class FinishedAttempt(Struct, frozen=True, kw_only=True):
    """What came of one attempt, and what becomes of its delivery.

    `ticket` is what the receiver knows from now on (None: as before); an attempt whose lease was lost changes nothing.
    `state` is pending where it is tried again at `next_attempt_ms`.  `action` is what was asked for, None where
    nothing was sent.
    """

    delivery_id: str
    endpoint: str
    attempt: int
    state: DeliveryState
    why: str
    next_attempt_ms: int | None
    action: Action | None
    outcome: AttemptOutcome | None
    began_ms: int
    took_ms: int
    status: int | None
    answer: str
    ticket: Ticket | None = None


class ClaimResult(Struct, frozen=True):
    """What a claim brought: deliveries to send, and how many others ended because they were past their time."""

    handed: list[ClaimedDelivery]
    expired: int


class DeliveryRow(Struct, frozen=True, kw_only=True):
    """A delivery as it stands, for people."""

    delivery_id: str
    endpoint: str
    message_id: str
    alert_id: str
    type: MessageType
    state: DeliveryState
    why: str
    attempts: int
    created_ms: int
    next_attempt_ms: int
    expires_ms: int
    finished_ms: int | None


class AttemptRow(Struct, frozen=True, kw_only=True):
    """One attempt, for people."""

    attempt: int
    began_ms: int
    took_ms: int
    status: int | None
    outcome: str
    why: str
    answer: str


class Act(Struct, frozen=True, kw_only=True):
    """What somebody does about an alert: `act_id` is theirs, so that the same call twice is one act.

    `origin` is who: `endpoint:NAME` or `person:ID`.  `fields` are those of `AlertWork` that the act sets; `version` is
    the one that they saw, None where they did not say.
    """

    act_id: str
    alert_id: str
    at_ms: int
    act: Literal["acknowledge", "start", "assign", "note", "snooze", "wake", "close", "reopen"]
    origin: str
    fields: dict[str, Any]
    version: int | None = None


class ActResult(Struct, frozen=True, kw_only=True):
    """What came of an act: the work as it is now, and whether the act changed it; `why` says why it did not.

    `repeated` says that the same act was done before.
    """

    work: AlertWork
    changed: bool
    why: str
    repeated: bool = False

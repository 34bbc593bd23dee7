"""What arrives: the input contracts as frozen values, field for field the files in `schemas/json/`.

Each struct accepts and refuses exactly what its schema does (`tests/contracts/` proves it).  A field's
name, unit and enumeration are the standard's own (`x-std` in the schema names the clause), durations
are seconds (`_s`), money is integer minor units (`_minor`), times are RFC 3339 with an offset.
"""

from datetime import datetime
from typing import Annotated, Final, Literal, final

from msgspec import Meta, Struct

from streams.core.contracts.ids import PSEUDONYM, PSEUDONYM_CHARS, must_be_pseudonymous
from streams.core.contracts.source import SourceNumber
from streams.core.times import EventMs

INT32_MAX: Final = 2**31 - 1
INT53_MAX: Final = 2**53 - 1

SubscriberId = Annotated[
    str, Meta(min_length=PSEUDONYM_CHARS, max_length=PSEUDONYM_CHARS, extra_json_schema={"pattern": PSEUDONYM})
]
"""Its characters are looked at by `must_be_pseudonymous`, when a struct that has one is made."""
EventId = Annotated[str, Meta(min_length=1, max_length=64)]
Reference = Annotated[str, Meta(min_length=1, max_length=64)]
Code = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
Timestamp = Annotated[datetime, Meta(tz=True)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", min_length=3, max_length=3)]
Count = Annotated[int, Meta(ge=0, le=65_535)]
DaySeconds = Annotated[int, Meta(ge=0, le=360_000)]
CallSeconds = Annotated[int, Meta(ge=0, le=INT32_MAX)]
Minor = Annotated[int, Meta(ge=0, le=INT32_MAX)]
SignedMinor = Annotated[int, Meta(ge=-INT32_MAX, le=INT32_MAX)]
Bytes = Annotated[int, Meta(ge=0, le=INT53_MAX)]
Revision = Annotated[int, Meta(ge=0, le=255)]

Percent = Annotated[int, Meta(ge=0, le=100)]
Places = Annotated[tuple[Reference, ...], Meta(max_length=256)]

Provenance = Literal["observed", "reconstructed"]
Segment = Literal["consumer", "youth", "sme", "enterprise", "government", "iot"]
CustomerReason = Literal[
    "price", "competitor_offer", "coverage", "call_quality", "data_quality", "customer_service", "billing", "moved",
    "deceased", "end_of_contract", "non_payment", "fraud", "business_closure", "prepaid_inactivity", "unknown",
]  # fmt: skip
ProductStatus = Literal[
    "created", "pendingActive", "cancelled", "active", "pendingTerminate", "terminated", "suspended", "aborted",
]  # fmt: skip


class _OfSubscriber(Struct, frozen=True, gc=False):
    """What holds of all that is about one subscriber, whose fields stand in the order of their schemas."""

    __post_init__ = must_be_pseudonymous  # type: ignore[misc]  # It wants a method; a frame around it costs as much.


class CallDrop(_OfSubscriber, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A call that the network ended, refused or could not set up (3GPP TS 32.298 CauseForTerm)."""

    event_id: EventId
    event_time: Timestamp
    subscriber_id: SubscriberId
    provenance: Provenance = "observed"
    call_id: Reference
    kind: Literal["dropped", "setup_failed", "blocked"]
    service: Literal["cs_voice", "volte", "vonr", "vowifi", "video"]
    direction: Literal["originating", "terminating"]
    answered: bool
    duration_s: CallSeconds
    cause_for_term: Literal[
        "normalRelease", "unsuccessfulCallAttempt", "abnormalRelease", "cAMELInitCallRelease",
        "managementIntervention", "unknown",
    ]  # fmt: skip
    rat: Literal["geran", "utran", "eutran", "nr", "wlan", "unknown"]
    release_protocol: Literal["Q.850", "SIP", "RELEASE_CAUSE", "FAILURE_CAUSE", "S1AP-RNL", "NGAP-RNL"] | None = None
    release_code: Annotated[int, Meta(ge=0, le=999)] | None = None
    qci: Annotated[int, Meta(ge=1, le=255)] | None = None
    cell_id: Reference | None = None
    area_id: Reference | None = None
    roaming: bool = False


class Usage(_OfSubscriber, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """One subscriber's day: the denominator that call drops are divided by; `event_time` is the day's end."""

    event_id: EventId
    event_time: Timestamp
    subscriber_id: SubscriberId
    provenance: Provenance = "observed"
    period_start: Timestamp
    period_end: Timestamp
    voice_attempts: Count
    voice_answered: Count
    voice_s: DaySeconds
    voice_dropped: Count | None = None
    voice_setup_failed: Count | None = None
    data_sessions: Count | None = None
    data_bytes: Bytes | None = None
    sms_count: Count | None = None
    on_net_s: DaySeconds | None = None
    roaming_days: Annotated[int, Meta(ge=0, le=1)] | None = None
    revision: Revision = 0


class TopUp(_OfSubscriber, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """Money put on a prepaid balance, or the attempt (TMF654 TopupBalance)."""

    event_id: EventId
    event_time: Timestamp
    subscriber_id: SubscriberId
    provenance: Provenance = "observed"
    top_up_id: Reference
    status: Literal["created", "completed", "failed", "cancelled"]
    amount_minor: Minor
    currency: Currency
    channel: Literal[
        "app", "web", "ussd", "ivr", "sms", "retail", "agent", "atm", "bank", "third_party", "unknown",
    ]  # fmt: skip
    requested_date: Timestamp | None = None
    confirmation_date: Timestamp | None = None
    usage_type: Literal["monetary", "voice", "data", "sms", "other"] = "monetary"
    payment_method: Literal["cash", "card", "wallet", "bank_transfer", "voucher", "loan", "unknown"] | None = None
    voucher_used: bool = False
    is_auto_topup: bool = False
    recurring_period: Literal["weekly", "fortnightly", "monthly"] | None = None
    bonus_minor: Minor = 0
    failure_reason: (
        Literal[
            "payment_declined", "voucher_invalid", "voucher_used", "limit_exceeded", "timeout", "barred",
            "system_error", "other",
        ]
        | None
    ) = None  # fmt: skip
    balance_before_minor: SignedMinor | None = None
    balance_after_minor: SignedMinor | None = None
    valid_until: Timestamp | None = None
    requestor: Literal["self", "other_party", "agent", "operator"] = "self"


class Complaint(_OfSubscriber, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A whole trouble ticket as it stood after one change (TMF621 TroubleTicket)."""

    event_id: EventId
    event_time: Timestamp
    subscriber_id: SubscriberId
    provenance: Provenance = "observed"
    ticket_id: Reference
    change: Literal[
        "created", "status_changed", "attribute_changed", "information_required", "resolved", "deleted",
    ]  # fmt: skip
    ticket_type: Literal["complaint", "incident", "request", "dispute"]
    category: Literal[
        "coverage", "call_quality", "call_drop", "data_speed", "billing", "top_up", "unwanted_vas", "roaming",
        "device", "number_portability", "customer_service", "privacy", "other",
    ]  # fmt: skip
    channel: Literal[
        "app", "web", "hotline", "store", "social", "regulator", "email", "account_manager", "chat", "unknown",
    ]  # fmt: skip
    status: Literal[
        "acknowledged", "rejected", "pending", "held", "inProgress", "cancelled", "closed", "resolved",
    ]  # fmt: skip
    creation_date: Timestamp
    last_update: Timestamp
    status_change_reason: Code | None = None
    priority: Literal["critical", "high", "medium", "low"] | None = None
    severity: Literal["critical", "major", "minor"] | None = None
    requested_resolution_date: Timestamp | None = None
    expected_resolution_date: Timestamp | None = None
    resolution_date: Timestamp | None = None
    sla_breached: bool | None = None
    reopened_count: Revision = 0
    satisfaction: Annotated[int, Meta(ge=1, le=5)] | None = None
    related_call_id: Reference | None = None
    related_problem_id: Reference | None = None
    note_ref: Reference | None = None


class Subscriber(_OfSubscriber, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A subscriber's profile as it stood after a change (TMF637 Product, TMF629 Customer)."""

    event_id: EventId
    event_time: Timestamp
    subscriber_id: SubscriberId
    provenance: Provenance = "observed"
    product_status: ProductStatus
    status_reason: Code | None = None
    payment_type: Literal["prepaid", "postpaid", "hybrid"]
    segment: Segment
    plan_id: Reference
    plan_name: Name | None = None
    monthly_fee_minor: Minor
    currency: Currency
    start_date: Timestamp
    contract_end_date: Timestamp | None = None
    account_manager_id: Reference | None = None
    group_id: Reference | None = None
    group_type: Literal["company", "campus", "dorm", "family", "none"] = "none"
    area_id: Reference | None = None
    device_rat_max: Literal["geran", "utran", "eutran", "nr", "unknown"] = "unknown"
    multi_sim: bool | None = None
    profiling_consent: bool = True
    contact_allowed: bool = True
    pseudonym_key_version: Annotated[int, Meta(ge=1, le=65_535)] = 1


class Outcome(_OfSubscriber, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """What became of a subscriber: the only source of explicit labels (TMF622 order, TMF683 interaction)."""

    event_id: EventId
    event_time: Timestamp
    subscriber_id: SubscriberId
    provenance: Provenance = "observed"
    order_id: Reference
    change: Literal[
        "activated", "plan_changed", "suspended", "resumed", "port_in_completed", "port_out_requested",
        "port_out_rejected", "port_out_cancelled", "port_out_completed", "termination_requested",
        "termination_cancelled", "terminated", "win_back", "contacted", "retained",
    ]  # fmt: skip
    product_status: ProductStatus | None = None
    requested_date: Timestamp | None = None
    effective_date: Timestamp | None = None
    voluntary: bool | None = None
    reason: CustomerReason = "unknown"
    reason_source: Literal["stated", "inferred", "system"] = "system"
    recipient_operator: Code | None = None
    alert_id: Reference | None = None
    contact_channel: Literal["call", "sms", "app_push", "email", "visit", "store"] | None = None
    contact_outcome: (
        Literal[
            "accepted", "declined", "undecided", "not_reached", "wrong_number", "do_not_contact", "issue_fixed",
            "no_action",
        ]
        | None
    ) = None  # fmt: skip
    offer_id: Reference | None = None
    offer_cost_minor: Minor | None = None
    holdout: bool = False


class MarketEvent(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """What is known of something that happens to a whole market: about everybody, so its key is `entry_id`.

    It is known from `event_time` on, when it was published, and may speak of the future.  The highest `revision` of an
    entry counts; one that is `cancelled` withdraws the entry.  No area or segment means all of them.
    """

    event_id: EventId
    event_time: Timestamp
    entry_id: Reference
    entry_type: Literal[
        "competitor_promotion", "own_promotion", "price_change", "outage", "public_holiday", "school_term",
        "regulation", "event",
    ]  # fmt: skip
    operator: Code | None = None
    area_ids: Places = ()
    segments: Annotated[tuple[Segment, ...], Meta(max_length=6)] = ()
    valid_from: Timestamp
    valid_to: Timestamp | None = None
    headline_price_minor: Minor | None = None
    discount_pct: Percent | None = None
    switching_bonus_minor: Minor | None = None
    confidence: Literal["confirmed", "reported", "rumour"] = "reported"
    source: Code
    revision: Revision = 0
    cancelled: bool = False


Body = CallDrop | Usage | TopUp | Complaint | Subscriber | Outcome

INPUTS: Final[dict[str, type[Body]]] = {
    "call-drops": CallDrop,
    "usage": Usage,
    "top-ups": TopUp,
    "complaints": Complaint,
    "subscribers": Subscriber,
    "outcomes": Outcome,
}
"""Topic to contract, in the order of their numbers (`source.TOPICS`)."""

MARKET: Final = "market-events"
BROADCASTS: Final[dict[str, type[MarketEvent]]] = {MARKET: MarketEvent}
"""Topic to contract of what is about no subscriber: every worker reads it whole."""


class Record(Struct, frozen=True, gc=False):
    """Bytes as a source hands them over; `received_ms` bounds how far in the future an event may lie."""

    topic: str
    partition: int
    offset: int
    value: bytes
    received_ms: int


class Event(Struct, frozen=True, gc=False):
    """A decoded record: where it stood, when it happened (ms since 1970 UTC), what it says."""

    source: SourceNumber
    offset: int
    at_ms: EventMs
    body: Body


class BroadcastEvent(Struct, frozen=True, gc=False):
    """A decoded record about a whole market: where it stood, when it was published (ms, UTC), what it says."""

    partition: int
    offset: int
    at_ms: int
    body: MarketEvent


@final
class Wake(Struct, frozen=True, gc=False):
    """The subscriber's own partition has reached the time that the state asked to be woken at."""

    subscriber_id: str
    at_ms: int

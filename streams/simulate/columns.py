"""Events as columns: one table a topic and day, before they become values or lines.

In all of them `who` is the row of the subscriber in its chunk and `at_ms` the event time, ms since 1970 UTC.
Codes are positions in the tuple of words beside them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from streams.simulate.world import Bools, Floats, Ints

DROP_KINDS: Final = ("dropped", "setup_failed", "blocked")
DROPPED, SETUP_FAILED, BLOCKED = range(3)
TOP_UP_CHANNELS: Final = ("app", "third_party", "retail", "web", "ussd")
PAYMENT_METHODS: Final = ("wallet", "wallet", "cash", "card", "voucher")
TOP_UP_FAILURES: Final = ("payment_declined", "timeout", "limit_exceeded", "system_error")
COMPLAINT_CHANGES: Final = ("created", "status_changed", "resolved")
CREATED, STATUS_CHANGED, RESOLVED = range(3)
COMPLAINT_STATUSES: Final = ("acknowledged", "inProgress", "resolved", "closed", "pending")
CATEGORIES: Final = (
    "call_drop", "call_quality", "coverage", "data_speed", "billing", "top_up", "unwanted_vas", "customer_service",
    "device", "other",
)  # fmt: skip
COMPLAINT_CHANNELS: Final = (
    "hotline", "app", "store", "web", "chat", "social", "email", "regulator", "account_manager",
)  # fmt: skip
PRIORITIES: Final = ("low", "medium", "high")
REASONS: Final = (
    "unknown", "call_quality", "customer_service", "competitor_offer", "end_of_contract", "billing", "price", "moved",
    "non_payment", "fraud", "deceased", "business_closure", "prepaid_inactivity",
)  # fmt: skip
(
    UNKNOWN, CALL_QUALITY, CUSTOMER_SERVICE, COMPETITOR_OFFER, END_OF_CONTRACT, BILLING, PRICE, MOVED,
    NON_PAYMENT, FRAUD, DECEASED, BUSINESS_CLOSURE, PREPAID_INACTIVITY,
) = range(13)  # fmt: skip
OUTCOME_CHANGES: Final = (
    "activated", "plan_changed", "suspended", "resumed", "port_in_completed", "port_out_requested",
    "port_out_rejected", "port_out_cancelled", "port_out_completed", "termination_requested", "terminated",
    "termination_cancelled", "win_back", "retained",
)  # fmt: skip
(
    ACTIVATED, PLAN_CHANGED, SUSPENDED, RESUMED, PORT_IN_COMPLETED, PORT_OUT_REQUESTED, PORT_OUT_REJECTED,
    PORT_OUT_CANCELLED, PORT_OUT_COMPLETED, TERMINATION_REQUESTED, TERMINATED,
    TERMINATION_CANCELLED, WIN_BACK, RETAINED,
) = range(14)  # fmt: skip
STATUSES: Final = ("active", "suspended", "terminated")
ACTIVE, STOPPED, ENDED = range(3)


@dataclass(frozen=True, slots=True)
class CallDrops:
    """Calls that the network ended or did not set up; `cell` is the cell's position in the world."""

    who: Ints
    at_ms: Ints
    kind: Ints
    cell: Ints
    duration_s: Ints
    originating: Bools
    device: Ints


@dataclass(frozen=True, slots=True)
class UsageDays:
    """A day's use of those who used anything: a day without activity has no summary, for nobody."""

    who: Ints
    at_ms: Ints
    attempts: Ints
    answered: Ints
    voice_s: Ints
    dropped: Ints
    setup_failed: Ints
    sessions: Ints
    data_bytes: Ints
    texts: Ints

    def calls_by_subscriber(self, count: int) -> tuple[Floats, Floats, Floats]:
        """Return the dropped calls, those that failed to set up, and all attempts of each of `count` subscribers."""
        dropped, setup_failed, attempts = (
            np.bincount(self.who, weights=column, minlength=count).astype(np.float64)
            for column in (self.dropped, self.setup_failed, self.attempts)
        )
        return dropped, setup_failed, attempts


@dataclass(frozen=True, slots=True)
class TopUps:
    """Top-ups, completed (`failure` is -1) or failed."""

    who: Ints
    at_ms: Ints
    amount_minor: Ints
    channel: Ints
    failure: Ints
    auto: Bools

    def failed_by_subscriber(self, count: int) -> Floats:
        """Return the failed top-ups of each of `count` subscribers."""
        return np.bincount(self.who[self.failure >= 0], minlength=count).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Complaints:
    """Tickets as they stood after a change; `resolved_ms` is 0 and `satisfaction` 0 where there is none yet."""

    who: Ints
    at_ms: Ints
    ticket: Ints
    change: Ints
    status: Ints
    category: Ints
    channel: Ints
    priority: Ints
    created_ms: Ints
    expected_ms: Ints
    resolved_ms: Ints
    reopened: Ints
    satisfaction: Ints


@dataclass(frozen=True, slots=True)
class Profiles:
    """Profiles as they stood after a change; what does not change is read from the population."""

    who: Ints
    at_ms: Ints
    status: Ints
    plan: Ints
    contract_end: Ints


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of subscribers; `voluntary` is -1 where the question makes no sense."""

    who: Ints
    at_ms: Ints
    change: Ints
    reason: Ints
    voluntary: Ints


@dataclass(frozen=True, slots=True)
class DayEvents:
    """All that the subscribers of a chunk did on one day, each table ordered by its subscribers' rows."""

    day: int
    usage: UsageDays
    call_drops: CallDrops
    top_ups: TopUps
    complaints: Complaints
    profiles: Profiles
    outcomes: Outcomes


def ints(*values: Floats | Ints | Bools) -> Ints:
    """Join arrays of any number type into one of integers.

    >>> ints(np.array([1.0]), np.array([True])).tolist()
    [1, 1]
    """
    return np.concatenate(values).astype(np.int64) if values else np.empty(0, dtype=np.int64)

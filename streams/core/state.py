"""What is remembered of one subscriber: plain data, versioned, and the form in which it is packed.

`Facts` is what the events add up to and depends on nothing but the set of accepted events; `Watch` is where
the scoring, the alert and the label queue stand and depends on when the state was woken.  Both are working
copies that the core changes in place; `packing` is the border.
"""

from array import array
from typing import Final

from msgspec import Struct, field

from streams.core.effects import AlertStateName, ChurnKind, RiskBand
from streams.core.usage_days import parted

STATE_VERSION: Final = 1
DAY_MS: Final = 86_400_000
NEVER_MS: Final = 2**62
"""Later than any event."""

USAGE_DAYS: Final = 42
"""Day buckets kept for usage: two windows of 14 days, a 30-day denominator, and the lateness horizon."""

RARE_DAYS: Final = 70
"""Days kept for top-ups, failed calls and complaints: two windows of 30 days and the lateness horizon."""

FORGETTING_DAYS: Final = 7
"""What is out of every window is dropped once in so many days, on days that the calendar fixes: when a subscriber's
events come in does not decide what is kept."""

IDS_MAX: Final = 512
TICKETS_MAX: Final = 16
"""Of more tickets, open or settled, those are kept of which the newest snapshot is the newest, whatever the order of
arrival.  A rule that let an open ticket go before a settled one could not be kept in any order: what settles later
makes room for what was forgotten before."""

PENDING_MAX: Final = 64

_NO_DAYS: Final = array("Q", bytes(8 * USAGE_DAYS))


class Profile(Struct, array_like=True, gc=False, frozen=True):
    """The part of the newest `subscribers` record that is used; codes are indices, money is minor units."""

    at_ms: int
    status: int
    payment: int
    segment: int
    monthly_fee_minor: int
    currency: str
    start_ms: int
    contract_end_ms: int
    flags: int
    account_manager_id: str | None
    group_id: str | None
    area_id: str | None


class Ticket(Struct, array_like=True, gc=False, frozen=True):
    """The newest known snapshot of one complaint: when it was taken, opened and due (0 = no date)."""

    at_ms: int
    is_open: bool
    created_ms: int
    due_ms: int
    reopened: int


class Facts(Struct, gc=False):
    """Everything that the accepted events add up to; the same for every interleaving of them.

    `days` holds the last `USAGE_DAYS` days of usage up to `usage_day`, each as one number (`usage_days.py`), the n-th
    day since 1970 at n modulo `USAGE_DAYS`.  The rows of top-ups, failed calls and complaints lie one after the other,
    in one array each.  What every event needs stands first, in few cache lines.
    """

    first_ms: int
    newest_ms: int
    usage_day: int = 0
    days: "array[int]" = field(default_factory=lambda: array("Q", _NO_DAYS))
    revisions: dict[int, int] = field(default_factory=dict)
    offsets: dict[int, int] = field(default_factory=dict)
    last_active_ms: int = 0
    answered_total: int = 0
    voice_s_total: int = 0
    data_level_total: int = 0
    usage_days_total: int = 0
    first_usage_day: int = 0
    dropped_total: int = 0
    top_ups_total: int = 0
    top_up_days_total: int = 0
    amount_minor_total: int = 0
    complaints_total: int = 0
    top_ups: "array[int]" = field(default_factory=lambda: array("q"))
    failed_calls: "array[int]" = field(default_factory=lambda: array("q"))
    complaints: "array[int]" = field(default_factory=lambda: array("q"))
    first_top_up_ms: int = 0
    last_top_up_ms: int = 0
    last_failed_top_up_ms: int = 0
    last_drop_ms: int = 0
    last_complaint_ms: int = 0
    currency: str = ""
    profile: Profile | None = None
    tickets: dict[int, Ticket] = field(default_factory=dict)
    life_at_ms: int = 0
    life: int = 0
    asked_at_ms: int = 0
    asked: bool = False
    recent_ids: dict[int, int] = field(default_factory=dict)

    @property
    def days_in_order(self) -> "array[int]":
        """The days of usage, the newest last."""
        oldest = (self.usage_day + 1) % USAGE_DAYS
        return self.days[oldest:] + self.days[:oldest]

    @property
    def voice_s(self) -> list[int]:
        """Answered seconds by day, the newest last."""
        return [parted(day)[0] for day in self.days_in_order]

    @property
    def answered(self) -> list[int]:
        """Answered calls by day, the newest last."""
        return [parted(day)[1] for day in self.days_in_order]

    @property
    def data_level(self) -> list[int]:
        """Data level by day, the newest last."""
        return [parted(day)[2] for day in self.days_in_order]

    @property
    def active_days(self) -> int:
        """Days with activity as bits, the newest lowest."""
        return sum(parted(day)[3] << age for age, day in enumerate(reversed(self.days_in_order)))


class AlertState(Struct, array_like=True, gc=False, frozen=True):
    """Where the subscriber's alert stands; times are event times in ms, 0 where nothing happened yet.

    A firing one has been in lower bands than its `band` since `lower_since_ms`, the highest of them `lower_band`.  The
    last two are new: an alert that was packed without them has not been in a lower band.
    """

    state: AlertStateName = "inactive"
    episode: int = 0
    kind: ChurnKind = "natural"
    band: RiskBand = "low"
    opened_at_ms: int = 0
    below_since_ms: int = 0
    cool_until_ms: int = 0
    lower_since_ms: int = 0
    lower_band: RiskBand = "low"


class Pending(Struct, array_like=True, gc=False):
    """A snapshot that waits for its outcome: the features as served (packed doubles) and the score that was served.

    `treated` and `told` are places in `TREATMENTS` and `TOLD`, `band` is the value band at the snapshot.  The last
    three are new: a snapshot that was packed without them has zeros.
    """

    at_ms: int
    features: bytes
    feature_table: str
    probability: float
    model_version: str
    first_revenue_ms: int = 0
    treated: int = 0
    told: int = 0
    band: int = 0


INACTIVE: Final = AlertState()


class Watch(Struct, gc=False):
    """Where scoring, the alert and the label queue of one subscriber stand.

    `first_revenue_ms` is that of the newest waiting snapshot, at hand for every event.
    """

    next_wake_ms: int = 0
    scored_at_ms: int = 0
    snapshot_at_ms: int = 0
    probability: float = 0.0
    alert: AlertState = INACTIVE
    pending: list[Pending] = field(default_factory=list)
    first_revenue_ms: int = 0


class SubscriberState(Struct, gc=False):
    """One subscriber: facts and watch."""

    facts: Facts
    watch: Watch


class PackedState(Struct, array_like=True, gc=False):
    """The wire form of a state: one msgpack array, the version and the wake that it asks for first."""

    version: int
    next_wake_ms: int
    newest_ms: int
    usage_day: int
    planes: int
    days: bytes
    revisions: dict[int, int]
    top_ups: list[int]
    failed_calls: list[int]
    complaints: list[int]
    totals: tuple[int, int, int, int, int, int, int, int, int, int]
    ages: list[int | None]
    currency: str
    profile: Profile | None
    tickets: dict[int, Ticket]
    life_at_ms: int
    life: int
    asked_at_ms: int
    asked: bool
    recent_ids: dict[int, int]
    offsets: dict[int, int]
    probability: float
    alert: AlertState | None
    pending: list[Pending]


class PackedHead(Struct, array_like=True, gc=False):
    """What stands first in a packed state."""

    version: int
    next_wake_ms: int


def new_state(at_ms: int) -> SubscriberState:
    """Return the state of a subscriber first heard of at `at_ms`.

    >>> new_state(5).facts.newest_ms
    5
    """
    return SubscriberState(Facts(at_ms, at_ms), Watch())

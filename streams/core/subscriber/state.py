"""What is remembered of one subscriber as it is packed, the values in it, and how much of each is kept.

`facts` has the same while it is worked on, `packing` is the border between the two.
"""

from typing import Final

from msgspec import Struct

from streams.core.contracts.effects import AlertStateName, ChurnKind, RiskBand, Stage
from streams.core.contracts.source import SourceNumber
from streams.core.times import DayNumber, EventMs

STATE_VERSION: Final = 1
"""Later than any event."""

USAGE_DAYS: Final = 42
"""Day buckets kept for usage: two windows of 14 days, a 30-day denominator, and the lateness horizon."""

RARE_DAYS: Final = 70
"""Days kept for top-ups, failed calls and complaints: two windows of 30 days and the lateness horizon."""

TOP_UP_WIDTH: Final = 4
"""Numbers in a top-up row: day, completed, amount, failed."""
FAILED_CALL_WIDTH: Final = 3
"""Numbers in a failed-call row: day, dropped, set-up failed or blocked."""
COMPLAINT_WIDTH: Final = 2
"""Numbers in a complaint row: day, opened."""

FORGETTING_DAYS: Final = 7
"""What is out of every window is dropped once in so many days, on days that the calendar fixes: when a subscriber's
events come in does not decide what is kept."""

IDS_MAX: Final = 512
TICKETS_MAX: Final = 16
"""Of more tickets, open or settled, those are kept of which the newest snapshot is the newest, whatever the order of
arrival.  A rule that let an open ticket go before a settled one could not be kept in any order: what settles later
makes room for what was forgotten before."""

PENDING_MAX: Final = 64


class Profile(Struct, array_like=True, gc=False, frozen=True):
    """The part of the newest `subscribers` record that is used; codes are indices, money is minor units."""

    at_ms: EventMs
    status: int
    payment: int
    segment: int
    monthly_fee_minor: int
    currency: str
    start_ms: EventMs
    contract_end_ms: EventMs
    flags: int
    account_manager_id: str | None
    group_id: str | None
    area_id: str | None


class ComplaintState(Struct, array_like=True, gc=False, frozen=True):
    """The newest known snapshot of one complaint: when it was taken, opened and due (0 = no date)."""

    at_ms: EventMs
    is_open: bool
    created_ms: EventMs
    due_ms: EventMs
    reopened: int


class AlertState(Struct, array_like=True, gc=False, frozen=True):
    """Where the subscriber's alert stands; times are event times in ms, 0 where nothing happened yet.

    A firing one has been in lower bands than its `band` since `lower_since_ms`, the highest of them `lower_band`.  The
    last three are new: an alert that was packed without them has not been in a lower band, and is at risk.
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
    stage: Stage = "at_risk"


class PendingSnapshot(Struct, array_like=True, gc=False):
    """The wire form of a snapshot that waits for its outcome, in two halves that stand apart and share the time.

    In its own record are the features as served (packed doubles), the score that was served and the value band then;
    in the state, with empty features, what has happened since: `treated` and `told` are places in `TREATMENTS` and
    `PROVISIONAL_LABELS`, the latter with `SILENT` added where the subscriber had fallen silent.  A state of before has
    both halves.  The last three are new: what was packed without them has zeros.
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


class Waiting(Struct, gc=False, frozen=True):
    """What a state remembers of one waiting snapshot: a row of `Watch.pending`, with names."""

    at_ms: int
    first_revenue_ms: int
    treated: int
    told: int


INACTIVE: Final = AlertState()


class PackedState(Struct, array_like=True, gc=False):
    """The wire form of a state: one msgpack array, the version and the wake that it asks for first."""

    version: int
    next_wake_ms: int
    newest_ms: EventMs
    usage_day: DayNumber
    planes: int
    days: bytes
    revisions: dict[DayNumber, int]
    top_ups: list[int]
    failed_calls: list[int]
    complaints: list[int]
    totals: tuple[int, ...]
    ages: list[int | None]
    currency: str
    profile: Profile | None
    tickets: dict[int, ComplaintState]
    life_at_ms: EventMs
    life: int
    asked_at_ms: EventMs
    asked: bool
    recent_ids: dict[int, DayNumber]
    offsets: dict[SourceNumber, int]
    probability: float
    alert: AlertState | None
    pending: list[PendingSnapshot]


class PackedHead(Struct, array_like=True, gc=False):
    """What stands first in a packed state."""

    version: int
    next_wake_ms: int

"""What is remembered of one subscriber while it is worked on; the core changes it in place.

`Facts` is what the events add up to and depends on nothing but the set of accepted events; `Watch` is where the
scoring, the alert and the label queue stand and depends on when the state was woken.  They are dataclasses, since those
become native classes where this is compiled: their numbers lie side by side then, and not each somewhere else.
"""

from array import array
from dataclasses import dataclass, field
from typing import Final

from mypy_extensions import mypyc_attr

from streams.core.contracts.source import SourceNumber
from streams.core.subscriber.state import (
    INACTIVE,
    USAGE_DAYS,
    AlertState,
    ComplaintState,
    Profile,
    Waiting,
)
from streams.core.subscriber.usage_days import unpack_day
from streams.core.times import NO_DAY, UNSET_MS, DayNumber, EventMs

PENDING_WIDTH: Final = 4
"""Numbers in a row of `Watch.pending`."""

_NO_DAYS: Final = array("Q", bytes(8 * USAGE_DAYS))


@mypyc_attr(acyclic=True)
@dataclass(slots=True)
class Totals:
    """What is counted over the whole time that a subscriber is known.

    A new total goes to the end, and needs no other place: `packing` writes them in this order, which never changes, and
    a state of before has the default.
    """

    answered: int = 0
    voice_s: int = 0
    data_level: int = 0
    usage_days: int = 0
    first_usage_day: DayNumber = NO_DAY
    dropped: int = 0
    top_ups: int = 0
    top_up_days: int = 0
    amount_minor: int = 0
    complaints: int = 0


@mypyc_attr(acyclic=True)
@dataclass(slots=True)
class Times:
    """When things happened for the first or the last time.

    `suspended_by_wish_ms` is the last time that an outcome said that the line was suspended for a reason of the
    subscriber's own, `suspended_ms` that any other outcome or a profile said so.

    A new time goes to the end, and needs no other place: `packing` writes them in this order, which never changes, and
    a state of before has the default.
    """

    first_ms: EventMs
    first_top_up_ms: EventMs = UNSET_MS
    last_top_up_ms: EventMs = UNSET_MS
    last_failed_top_up_ms: EventMs = UNSET_MS
    last_active_ms: EventMs = UNSET_MS
    last_drop_ms: EventMs = UNSET_MS
    last_complaint_ms: EventMs = UNSET_MS
    suspended_ms: EventMs = UNSET_MS
    suspended_by_wish_ms: EventMs = UNSET_MS


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class Facts:
    """Everything that the accepted events add up to; the same for every interleaving of them.

    `days` holds the last `USAGE_DAYS` days of usage up to `usage_day`, each as one number (`usage_days.py`), the n-th
    day since 1970 at n modulo `USAGE_DAYS`.  The rows of top-ups, failed calls and complaints lie one after the other,
    in one array each.  A new count is a field of `Totals`, a new time one of `Times`: both pack themselves.
    """

    newest_ms: EventMs
    usage_day: DayNumber
    days: "array[int]"
    revisions: dict[DayNumber, int]
    offsets: dict[SourceNumber, int]
    totals: Totals
    times: Times
    top_ups: "array[int]"
    failed_calls: "array[int]"
    complaints: "array[int]"
    currency: str
    profile: Profile | None
    tickets: dict[int, ComplaintState]
    life_at_ms: EventMs
    life: int
    asked_at_ms: EventMs
    asked: bool
    recent_ids: dict[int, DayNumber]

    def __init__(
        self,
        *,
        newest_ms: EventMs,
        times: Times,
        totals: Totals | None = None,
        usage_day: DayNumber = NO_DAY,
        days: "array[int] | None" = None,
        revisions: dict[DayNumber, int] | None = None,
        offsets: dict[SourceNumber, int] | None = None,
        top_ups: "array[int] | None" = None,
        failed_calls: "array[int] | None" = None,
        complaints: "array[int] | None" = None,
        currency: str = "",
        profile: Profile | None = None,
        tickets: dict[int, ComplaintState] | None = None,
        life_at_ms: EventMs = UNSET_MS,
        life: int = 0,
        asked_at_ms: EventMs = UNSET_MS,
        asked: bool = False,
        recent_ids: dict[int, DayNumber] | None = None,
    ) -> None:
        """Take each field by its name.  Written out: one that dataclass makes is interpreted where this is compiled."""
        self.newest_ms = newest_ms
        self.times = times
        self.totals = Totals() if totals is None else totals
        self.usage_day = usage_day
        self.days = array("Q", _NO_DAYS) if days is None else days
        self.revisions = {} if revisions is None else revisions
        self.offsets = {} if offsets is None else offsets
        self.top_ups = array("q") if top_ups is None else top_ups
        self.failed_calls = array("q") if failed_calls is None else failed_calls
        self.complaints = array("q") if complaints is None else complaints
        self.currency = currency
        self.profile = profile
        self.tickets = {} if tickets is None else tickets
        self.life_at_ms = life_at_ms
        self.life = life
        self.asked_at_ms = asked_at_ms
        self.asked = asked
        self.recent_ids = {} if recent_ids is None else recent_ids

    @property
    def days_in_order(self) -> "array[int]":
        """The days of usage, the newest last."""
        oldest = (self.usage_day + 1) % USAGE_DAYS
        return self.days[oldest:] + self.days[:oldest]

    @property
    def voice_s(self) -> list[int]:
        """Answered seconds by day, the newest last."""
        return [unpack_day(day)[0] for day in self.days_in_order]

    @property
    def answered(self) -> list[int]:
        """Answered calls by day, the newest last."""
        return [unpack_day(day)[1] for day in self.days_in_order]

    @property
    def data_level(self) -> list[int]:
        """Data level by day, the newest last."""
        return [unpack_day(day)[2] for day in self.days_in_order]

    @property
    def active_days(self) -> int:
        """Days with activity as bits, the newest lowest."""
        return sum(unpack_day(day)[3] << age for age, day in enumerate(reversed(self.days_in_order)))


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class Watch:
    """Where scoring, the alert and the label queue of one subscriber stand.

    Each waiting snapshot has a row of `pending`, the oldest first: when it was taken, its first revenue event (0 = none
    yet), what was done about the subscriber (`TREATMENTS`), and what its label was said to be (`TOLD`).  What the
    snapshot holds lies in a store.  `first_revenue_ms` is that of the newest, at hand for every event.
    """

    next_wake_ms: int
    scored_at_ms: int
    snapshot_at_ms: int
    probability: float
    alert: AlertState
    pending: "array[int]"
    first_revenue_ms: int

    def __init__(
        self,
        *,
        next_wake_ms: int = 0,
        scored_at_ms: int = 0,
        snapshot_at_ms: int = 0,
        probability: float = 0.0,
        alert: AlertState = INACTIVE,
        pending: "array[int] | None" = None,
        first_revenue_ms: int = 0,
    ) -> None:
        """Take each field by its name; written out as `Facts` is."""
        self.next_wake_ms, self.scored_at_ms, self.snapshot_at_ms = next_wake_ms, scored_at_ms, snapshot_at_ms
        self.probability, self.alert = probability, alert
        self.pending = array("q") if pending is None else pending
        self.first_revenue_ms = first_revenue_ms

    @property
    def waiting(self) -> list[Waiting]:
        """The rows of `pending`, each with names."""
        rows = self.pending
        return [Waiting(*rows[i : i + PENDING_WIDTH]) for i in range(0, len(rows), PENDING_WIDTH)]


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class SubscriberState:
    """One subscriber: facts and watch; `noted` is a mark of whoever keeps the state, and no part of it."""

    facts: Facts
    watch: Watch
    noted: int = field(compare=False)

    def __init__(self, facts: Facts, watch: Watch) -> None:
        self.facts = facts
        self.watch = watch
        self.noted = 0


def new_facts(at_ms: EventMs) -> Facts:
    """Return the facts of a subscriber first heard of at `at_ms`."""
    return Facts(newest_ms=at_ms, times=Times(at_ms))


def new_state(at_ms: EventMs) -> SubscriberState:
    """Return the state of a subscriber first heard of at `at_ms`.

    >>> new_state(5).facts.newest_ms
    5
    """
    return SubscriberState(new_facts(at_ms), Watch())

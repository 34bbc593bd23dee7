"""What is remembered of one subscriber while it is worked on; the core changes it in place.

`Facts` is what the events add up to and depends on nothing but the set of accepted events; `Watch` is where the
scoring, the alert and the label queue stand and depends on when the state was woken.  They are dataclasses, since those
become native classes where this is compiled: their numbers lie side by side then, and not each somewhere else.
"""

from array import array
from dataclasses import dataclass, field
from typing import Final

from mypy_extensions import mypyc_attr

from streams.core.state import INACTIVE, USAGE_DAYS, AlertState, Pending, Profile, Ticket
from streams.core.usage_days import parted

_NO_DAYS: Final = array("Q", bytes(8 * USAGE_DAYS))


@mypyc_attr(acyclic=True)
@dataclass(slots=True)
class Facts:
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


@mypyc_attr(acyclic=True)
@dataclass(slots=True)
class Watch:
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


@mypyc_attr(acyclic=True)
@dataclass(slots=True)
class SubscriberState:
    """One subscriber: facts and watch."""

    facts: Facts
    watch: Watch


def new_state(at_ms: int) -> SubscriberState:
    """Return the state of a subscriber first heard of at `at_ms`.

    >>> new_state(5).facts.newest_ms
    5
    """
    return SubscriberState(Facts(at_ms, at_ms), Watch())

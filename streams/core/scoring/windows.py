"""The sums over windows of days that features are made of, and what is noticed of the market.

Windows end at the moment of scoring: "the last n days" are the n whole days before today and today so far; "before"
is the window of the same length that ends where it begins.
"""

from array import array
from dataclasses import dataclass
from typing import Final

from mypy_extensions import mypyc_attr

from streams.core.signals.signals import NO_EXPOSURE, NO_SIGNALS, MarketExposure, Signals
from streams.core.subscriber.facts import Facts
from streams.core.subscriber.state import RARE_DAYS, USAGE_DAYS
from streams.core.subscriber.usage_days import (
    ACTIVE_MASK,
    ANSWERED_MASK,
    ANSWERED_SHIFT,
    LEVEL_MASK,
    LEVEL_SHIFT,
    VOICE_SHIFT,
)
from streams.core.times import DAY_MS

GAP_DAYS_PRIOR: Final = 30.0
"""The top-up gap assumed of somebody unknown; it weighs as much as one gap of one's own."""
PREPAID: Final = 0

_UsageSums = tuple[int, int, int, int, int, int, int, int, int, int]
_TopUpSums = tuple[int, int, int, int, int, int, int, int, int]
_NO_USAGE: Final[_UsageSums] = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class Measures:
    """The sums over windows that several themes need, and what is `seen` of the market; days and ms as in the state."""

    day: int
    age_days: float
    silent_days: float
    gap_days: float
    overdue: float
    top_ups_14: int
    top_ups_14_before: int
    top_ups_30: int
    top_ups_30_before: int
    minor_14: int
    minor_14_before: int
    minor_30: int
    minor_30_before: int
    failed_30: int
    voice_7: int
    voice_7_before: int
    voice_14: int
    voice_14_before: int
    voice_30: int
    answered_7: int
    answered_14: int
    answered_30: int
    active_14: int
    data_7: int
    data_7_before: int
    drops_7: int
    drops_30: int
    unset_30: int
    revenue_30: float
    revenue_30_before: float
    band: int
    band_before: int
    complaint_open_since_ms: int
    complaint_overdue: bool
    seen: MarketExposure

    def __init__(  # noqa: PLR0917 - written out, since one that dataclass makes is interpreted where this is compiled
        self, day: int, age_days: float, silent_days: float, gap_days: float, overdue: float, top_ups_14: int,
        top_ups_14_before: int, top_ups_30: int, top_ups_30_before: int, minor_14: int, minor_14_before: int,
        minor_30: int, minor_30_before: int, failed_30: int, voice_7: int, voice_7_before: int, voice_14: int,
        voice_14_before: int, voice_30: int, answered_7: int, answered_14: int, answered_30: int, active_14: int,
        data_7: int, data_7_before: int, drops_7: int, drops_30: int, unset_30: int, revenue_30: float,
        revenue_30_before: float, band: int, band_before: int, complaint_open_since_ms: int, complaint_overdue: bool,
        seen: MarketExposure,
    ) -> None:  # fmt: skip
        self.day, self.age_days, self.silent_days = day, age_days, silent_days
        self.gap_days, self.overdue, self.failed_30 = gap_days, overdue, failed_30
        self.top_ups_14, self.top_ups_14_before = top_ups_14, top_ups_14_before
        self.top_ups_30, self.top_ups_30_before = top_ups_30, top_ups_30_before
        self.minor_14, self.minor_14_before = minor_14, minor_14_before
        self.minor_30, self.minor_30_before = minor_30, minor_30_before
        self.voice_7, self.voice_7_before, self.voice_30 = voice_7, voice_7_before, voice_30
        self.voice_14, self.voice_14_before, self.active_14 = voice_14, voice_14_before, active_14
        self.answered_7, self.answered_14, self.answered_30 = answered_7, answered_14, answered_30
        self.data_7, self.data_7_before, self.seen = data_7, data_7_before, seen
        self.drops_7, self.drops_30, self.unset_30 = drops_7, drops_30, unset_30
        self.revenue_30, self.revenue_30_before = revenue_30, revenue_30_before
        self.band, self.band_before = band, band_before
        self.complaint_open_since_ms, self.complaint_overdue = complaint_open_since_ms, complaint_overdue


def measure(f: Facts, at_ms: int, bands: tuple[int, int], signals: Signals = NO_SIGNALS) -> Measures:
    """Return the window sums of the facts seen from `at_ms`; `bands` are where the mid and high value band begin."""
    day = at_ms // DAY_MS
    n14, n14b, n30, n30b, m14, m14b, m30, m30b, failed = _top_up_windows(f.top_ups, day)
    drops_7, drops_30, unset_30 = _failed_call_windows(f.failed_calls, day)
    v7, v7b, v14b, v30, a7, a14, a30, active, d7, d7b = _usage_windows(f, day) if f.usage_day else _NO_USAGE
    age_ms = at_ms - f.first_ms
    silent_days = age_days = (age_ms if age_ms > 0 else 0) / DAY_MS
    gap_days = GAP_DAYS_PRIOR
    last = f.last_top_up_ms
    if last:
        silent_days = (at_ms - last if at_ms > last else 0) / DAY_MS
        gap_days = ((last - f.first_top_up_ms) / DAY_MS + GAP_DAYS_PRIOR) / f.top_up_days_total
    since, overdue = _open_complaints(f, at_ms) if f.tickets else (0, False)
    profile = f.profile
    fee = profile.monthly_fee_minor if profile is not None and profile.payment != PREPAID else 0
    now_minor, before_minor = float(m30 + fee), float(m30b + fee)
    return Measures(
        day, age_days, silent_days, gap_days, silent_days / gap_days,
        n14, n14b, n30, n30b, m14, m14b, m30, m30b, failed,
        v7, v7b, v7 + v7b, v14b, v30, a7, a14, a30, active, d7, d7b, drops_7, drops_30, unset_30,
        now_minor, before_minor, band_of(now_minor, bands), band_of(before_minor, bands), since, overdue,
        NO_EXPOSURE if signals is NO_SIGNALS else signals.seen(profile, at_ms),
    )  # fmt: skip


def band_of(revenue_minor: float, bands: tuple[int, int]) -> int:
    """Return 0, 1 or 2 for a low, mid or high revenue of 30 days.

    >>> [band_of(minor, (2000, 6000)) for minor in (0, 2000, 6000)]
    [0, 1, 2]
    """
    return (revenue_minor >= bands[0]) + (revenue_minor >= bands[1])


def complaints_70(f: Facts, day: int) -> int:
    """Return the complaints of the 70 days before `day`; rows may be older, since only an event prunes them."""
    rows = f.complaints
    return sum(rows[i + 1] for i in range(0, len(rows), 2) if rows[i] >= day - RARE_DAYS)


def _open_complaints(f: Facts, at_ms: int) -> tuple[int, bool]:
    """Return when the oldest open complaint was made (0 = none is open) and whether one is past its due date."""
    since, overdue = 0, False
    for ticket in f.tickets.values():
        if ticket.is_open:
            since = min(since or ticket.created_ms, ticket.created_ms)
            overdue = overdue or 0 < ticket.due_ms < at_ms
    return since, overdue


def _usage_windows(f: Facts, day: int) -> _UsageSums:
    """Sum answered seconds and calls, data levels and active days over the windows, all fields of a day at once."""
    quiet = day - f.usage_day
    if quiet >= USAGE_DAYS:
        return _NO_USAGE
    i, days = USAGE_DAYS - 1 + quiet, f.days_in_order
    last_7, before_7 = _total(days[i - 7 : i + 1]), _total(days[i - 14 : i - 7])
    before_14, last_14 = _total(days[i - 28 : i - 14]), last_7 + before_7
    last_30 = last_14 + before_14 + _total(days[i - 30 : i - 28])
    return (
        last_7 >> VOICE_SHIFT,
        before_7 >> VOICE_SHIFT,
        before_14 >> VOICE_SHIFT,
        last_30 >> VOICE_SHIFT,
        last_7 >> ANSWERED_SHIFT & ANSWERED_MASK,
        last_14 >> ANSWERED_SHIFT & ANSWERED_MASK,
        last_30 >> ANSWERED_SHIFT & ANSWERED_MASK,
        last_14 & ACTIVE_MASK,
        last_7 >> LEVEL_SHIFT & LEVEL_MASK,
        before_7 >> LEVEL_SHIFT & LEVEL_MASK,
    )


def _total(days: "array[int]") -> int:
    """Add up, as sum() does; that is not compiled, and slow with numbers of this size."""
    total = 0
    for day in days:
        total += day
    return total


def _top_up_windows(rows: "array[int]", day: int) -> _TopUpSums:
    """Sum top-ups over the windows: their number, their amount, and the failed ones of 30 days."""
    n14 = n28 = n30 = n60 = minor14 = minor28 = minor30 = minor60 = failed30 = 0
    numbers = rows.tolist()
    for i in range(len(numbers) - 4, -1, -4):
        age, n, minor = day - numbers[i], numbers[i + 1], numbers[i + 2]
        if age > 60:
            break
        if age > 30:
            n60 += n
            minor60 += minor
            continue
        failed30 += numbers[i + 3]
        if age <= 14:
            n14 += n
            minor14 += minor
        elif age <= 28:
            n28 += n
            minor28 += minor
        else:
            n30 += n
            minor30 += minor
    return (n14, n28, n14 + n28 + n30, n60, minor14, minor28, minor14 + minor28 + minor30, minor60, failed30)


def _failed_call_windows(rows: "array[int]", day: int) -> tuple[int, int, int]:
    drops_7 = drops_30 = unset_30 = 0
    for i in range(len(rows) - 3, -1, -3):
        age = day - rows[i]
        if age > 30:
            break
        drops_30 += rows[i + 1]
        unset_30 += rows[i + 2]
        if age <= 7:
            drops_7 += rows[i + 1]
    return drops_7, drops_30, unset_30

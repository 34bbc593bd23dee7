"""The sums over windows of days that features are made of, and what is noticed of the market.

Windows end at the moment of scoring: "the last n days" are the n whole days before today and today so far; "before"
is the window of the same length that ends where it begins.
"""

from array import array
from typing import Final

from mypy_extensions import mypyc_attr

from streams.core.signals.signals import NO_EXPOSURE, NO_SIGNALS, MarketExposure, Signals
from streams.core.subscriber.facts import Facts
from streams.core.subscriber.state import COMPLAINT_WIDTH, FAILED_CALL_WIDTH, RARE_DAYS, TOP_UP_WIDTH, USAGE_DAYS
from streams.core.subscriber.usage_days import (
    ACTIVE_MASK,
    ANSWERED_MASK,
    ANSWERED_SHIFT,
    LEVEL_MASK,
    LEVEL_SHIFT,
    VOICE_SHIFT,
)
from streams.core.times import DAY_MS, UNSET_MS, DayNumber, EventMs

GAP_DAYS_PRIOR: Final = 30.0
"""The top-up gap assumed of somebody unknown; it weighs as much as one gap of one's own."""
PREPAID: Final = 0


@mypyc_attr(acyclic=True)
class Measures:
    """The sums over windows that several themes need, and what is `seen` of the market.

    `minor` is money in minor units, `voice` answered seconds, `data` levels (`usage_days.py`); the other numbers are
    counts.  A new measure is a line here and an assignment by its name in the function that computes it.
    """

    day: DayNumber
    age_days: float = 0.0
    silent_days: float = 0.0
    gap_days: float = GAP_DAYS_PRIOR
    overdue: float = 0.0
    top_ups_14: int = 0
    top_ups_14_before: int = 0
    top_ups_30: int = 0
    top_ups_30_before: int = 0
    minor_14: int = 0
    minor_14_before: int = 0
    minor_30: int = 0
    minor_30_before: int = 0
    failed_30: int = 0
    voice_7: int = 0
    voice_7_before: int = 0
    voice_14: int = 0
    voice_14_before: int = 0
    voice_30: int = 0
    answered_7: int = 0
    answered_14: int = 0
    answered_30: int = 0
    active_14: int = 0
    data_7: int = 0
    data_7_before: int = 0
    drops_7: int = 0
    drops_30: int = 0
    unset_30: int = 0
    revenue_30: float = 0.0
    revenue_30_before: float = 0.0
    band: int = 0
    band_before: int = 0
    complaint_open_since_ms: EventMs = UNSET_MS
    complaint_overdue: bool = False
    seen: MarketExposure

    def __init__(self, day: DayNumber, seen: MarketExposure) -> None:
        """Begin with nothing measured."""
        self.day = day
        self.seen = seen


def measure(f: Facts, at_ms: int, bands: tuple[int, int], signals: Signals = NO_SIGNALS) -> Measures:
    """Return the window sums of the facts seen from `at_ms`; `bands` are where the mid and high value band begin."""
    seen = NO_EXPOSURE if signals is NO_SIGNALS else signals.seen(f.profile, at_ms)
    measures = Measures(DayNumber(at_ms // DAY_MS), seen)
    _measure_gaps(measures, f, at_ms)
    _measure_top_ups(measures, f.top_ups)
    _measure_failed_calls(measures, f.failed_calls)
    if f.usage_day:
        _measure_usage(measures, f)
    if f.tickets:
        _measure_complaints(measures, f, at_ms)
    _measure_revenue(measures, f, bands)
    return measures


def band_of(revenue_minor: float, bands: tuple[int, int]) -> int:
    """Return 0, 1 or 2 for a low, mid or high revenue of 30 days.

    >>> [band_of(minor, (2000, 6000)) for minor in (0, 2000, 6000)]
    [0, 1, 2]
    """
    return (revenue_minor >= bands[0]) + (revenue_minor >= bands[1])


def complaints_70(f: Facts, day: int) -> int:
    """Return the complaints of the 70 days before `day`; rows may be older, since only an event prunes them."""
    rows = f.complaints
    return sum(rows[i + 1] for i in range(0, len(rows), COMPLAINT_WIDTH) if rows[i] >= day - RARE_DAYS)


def _measure_gaps(measures: Measures, f: Facts, at_ms: int) -> None:
    """Measure how long the subscriber is known, and how long without a top-up against the usual gap."""
    times = f.times
    age_ms = at_ms - times.first_ms
    measures.age_days = measures.silent_days = (age_ms if age_ms > 0 else 0) / DAY_MS
    last_ms = times.last_top_up_ms
    if last_ms:
        measures.silent_days = (at_ms - last_ms if at_ms > last_ms else 0) / DAY_MS
        known_days = (last_ms - times.first_top_up_ms) / DAY_MS
        measures.gap_days = (known_days + GAP_DAYS_PRIOR) / f.totals.top_up_days
    measures.overdue = measures.silent_days / measures.gap_days


def _measure_revenue(measures: Measures, f: Facts, bands: tuple[int, int]) -> None:
    """Measure the revenue of 30 days: top-ups, and the monthly fee of who is billed."""
    profile = f.profile
    fee = profile.monthly_fee_minor if profile is not None and profile.payment != PREPAID else 0
    measures.revenue_30 = float(measures.minor_30 + fee)
    measures.revenue_30_before = float(measures.minor_30_before + fee)
    measures.band = band_of(measures.revenue_30, bands)
    measures.band_before = band_of(measures.revenue_30_before, bands)


def _measure_complaints(measures: Measures, f: Facts, at_ms: int) -> None:
    """Measure when the oldest open complaint was made, and whether one is past its due date."""
    since_ms = UNSET_MS
    for ticket in f.tickets.values():
        if ticket.is_open:
            since_ms = min(since_ms or ticket.created_ms, ticket.created_ms)
            measures.complaint_overdue = measures.complaint_overdue or 0 < ticket.due_ms < at_ms
    measures.complaint_open_since_ms = since_ms


def _measure_usage(measures: Measures, f: Facts) -> None:
    """Sum answered seconds and calls, data levels and active days over the windows, all fields of a day at once."""
    quiet = measures.day - f.usage_day
    if quiet >= USAGE_DAYS:
        return
    i, days = USAGE_DAYS - 1 + quiet, f.days_in_order
    last_7, before_7 = _total(days[i - 7 : i + 1]), _total(days[i - 14 : i - 7])
    before_14, last_14 = _total(days[i - 28 : i - 14]), last_7 + before_7
    last_30 = last_14 + before_14 + _total(days[i - 30 : i - 28])
    measures.voice_7 = last_7 >> VOICE_SHIFT
    measures.voice_7_before = before_7 >> VOICE_SHIFT
    measures.voice_14 = measures.voice_7 + measures.voice_7_before
    measures.voice_14_before = before_14 >> VOICE_SHIFT
    measures.voice_30 = last_30 >> VOICE_SHIFT
    measures.answered_7 = last_7 >> ANSWERED_SHIFT & ANSWERED_MASK
    measures.answered_14 = last_14 >> ANSWERED_SHIFT & ANSWERED_MASK
    measures.answered_30 = last_30 >> ANSWERED_SHIFT & ANSWERED_MASK
    measures.active_14 = last_14 & ACTIVE_MASK
    measures.data_7 = last_7 >> LEVEL_SHIFT & LEVEL_MASK
    measures.data_7_before = before_7 >> LEVEL_SHIFT & LEVEL_MASK


def _total(days: "array[int]") -> int:
    """Add up, as sum() does; that is not compiled, and slow with numbers of this size."""
    total = 0
    for day in days:
        total += day
    return total


def _measure_top_ups(measures: Measures, rows: "array[int]") -> None:
    """Sum top-ups over the windows: their number, their amount, and the failed ones of 30 days."""
    n14 = n28 = n30 = n60 = minor14 = minor28 = minor30 = minor60 = failed30 = 0
    numbers, day = rows.tolist(), measures.day
    for i in range(len(numbers) - TOP_UP_WIDTH, -1, -TOP_UP_WIDTH):
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
    measures.top_ups_14, measures.minor_14 = n14, minor14
    measures.top_ups_14_before, measures.minor_14_before = n28, minor28
    measures.top_ups_30, measures.minor_30 = n14 + n28 + n30, minor14 + minor28 + minor30
    measures.top_ups_30_before, measures.minor_30_before = n60, minor60
    measures.failed_30 = failed30


def _measure_failed_calls(measures: Measures, rows: "array[int]") -> None:
    for i in range(len(rows) - FAILED_CALL_WIDTH, -1, -FAILED_CALL_WIDTH):
        age = measures.day - rows[i]
        if age > 30:
            break
        measures.drops_30 += rows[i + 1]
        measures.unset_30 += rows[i + 2]
        if age <= 7:
            measures.drops_7 += rows[i + 1]

"""How far it has come with a subscriber, as far as that can be known: asked to leave, at risk, or lapsed.

A request is a fact and no finding of the model.  Silence is measured against the subscriber's own habit: who was silent
for as long before, and came back, is expected back.  Both are functions of the facts alone, so that neither the order
in which events arrive nor when somebody looks decides what is known at a moment.
"""

from typing import Final

from streams.core.alerts.labels import is_suspended, last_revenue_ms
from streams.core.alerts.policy import StagePolicy
from streams.core.contracts.effects import Stage
from streams.core.scoring.windows import GAP_DAYS_PRIOR
from streams.core.subscriber.facts import Facts
from streams.core.subscriber.state import TOP_UP_WIDTH, USAGE_DAYS
from streams.core.subscriber.usage_days import ACTIVE_MASK
from streams.core.times import DAY_MS

_NO_HABIT: Final = float("inf")


def stage_of(facts: Facts, at_ms: int, rule: StagePolicy) -> Stage:
    """Return how far it has come with a subscriber, seen from `at_ms`; who is suspended cannot use the line."""
    if has_asked(facts, at_ms, rule):
        return "requested"
    return "lapsed" if has_lapsed(facts, at_ms, rule) and not is_suspended(facts) else "at_risk"


def has_asked(facts: Facts, at_ms: int, rule: StagePolicy) -> bool:
    """Say whether a request to leave stands: not answered, not taken back, and not older than the policy counts it."""
    return facts.asked and at_ms - facts.asked_at_ms < rule.requested_for_days * DAY_MS


def has_lapsed(facts: Facts, at_ms: int, rule: StagePolicy) -> bool:
    """Say whether the line has been silent beyond the subscriber's own habit, and for the policy's days at least."""
    silent_ms = at_ms - last_revenue_ms(facts)
    if not rule.lapsed_after_days or silent_ms <= rule.lapsed_after_days * DAY_MS:
        return False
    return silent_ms > rule.lapsed_gap_factor * usual_gap_days(facts) * DAY_MS


def usual_gap_days(facts: Facts) -> float:
    """Return the gap between days of use or payment that is usual for a subscriber; infinite where nothing is known.

    It is the longest gap that is remembered, or the mean one of the whole time if that is more: the mean is smoothed by
    one gap of 30 days, so that a few days of use make no habit.
    """
    totals, times = facts.totals, facts.times
    if totals.usage_days:
        known_days = (times.last_active_ms - totals.first_usage_day * DAY_MS) / DAY_MS
        mean_days = (known_days + GAP_DAYS_PRIOR) / totals.usage_days
    elif totals.top_up_days:
        known_days = (times.last_top_up_ms - times.first_top_up_ms) / DAY_MS
        mean_days = (known_days + GAP_DAYS_PRIOR) / totals.top_up_days
    else:
        return _NO_HABIT
    longest = float(_longest_gap_days(facts))
    return longest if longest > mean_days else mean_days


def _longest_gap_days(facts: Facts) -> int:
    """Return the longest gap between remembered days of use or payment, the one that memory begins in included."""
    days = _remembered_days(facts)
    longest = before = 0
    if facts.totals.usage_days and facts.totals.first_usage_day <= facts.usage_day - USAGE_DAYS:
        before = facts.usage_day - USAGE_DAYS  # The line was used by then: the gap is this long at least.
    for day in days:
        if before and day - before > longest:
            longest = day - before
        before = day
    return longest


def _remembered_days(facts: Facts) -> list[int]:
    """Return the days with use or a completed top-up, in order; where use is known, those of its buckets alone."""
    rows, days = facts.top_ups, set[int]()
    oldest = facts.usage_day - USAGE_DAYS + 1 if facts.usage_day else 0
    for i in range(0, len(rows), TOP_UP_WIDTH):
        if rows[i + 1] and rows[i] >= oldest:
            days.add(rows[i])
    if facts.usage_day:
        buckets = facts.days
        for day in range(oldest, facts.usage_day + 1):
            if buckets[day % USAGE_DAYS] & ACTIVE_MASK:
                days.add(day)
    return sorted(days)

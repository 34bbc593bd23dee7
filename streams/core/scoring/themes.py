"""The features' functions: one for each theme, in the order of the table in `features.py`.

Ratios are smoothed, so that nothing divides by zero and small counts stay small; every feature is finite and bounded.
No count stands alone: each is over time, over calls, over its own past or over the subscriber's own habit.  The themes
that everybody has write `change` out, since a call costs as much as what it does.
"""

from math import exp, log, log1p
from typing import Final

from streams.core.scoring.windows import PREPAID, Measures, complaints_70
from streams.core.signals.signals import NO_EXPOSURE
from streams.core.subscriber.facts import Facts
from streams.core.times import DAY_MS

SURPRISE_MAX: Final = 8.0
HABIT_MAX: Final = 0.985
SUSPENDED: Final = 6
LOW_BAND: Final = 0
HIGH_BAND: Final = 2
YOUTH: Final = 1
FADE_DAYS: Final = 14.0
CONTRACT_DAYS: Final = 45.0
NEW_DAYS: Final = 90.0
CALLS_PRIOR: Final = 20
"""Answered calls without a drop that everybody is credited with, so that one drop in one call is no catastrophe."""


_QUIET_MARKET: Final[tuple[float, ...]] = (0.0, 0.0, 0.0, 0.0)


def change(now: float, before: float, prior: float) -> float:
    """Return how much more now is than before, between -1 and 1: tanh of half the log of their ratio.

    The prior is added to both.

    >>> change(3, 1, 0), change(0, 0, 1), change(0, 5, 0)
    (0.5, 0.0, -1.0)
    """
    return (now - before) / (now + before + prior + prior)


def usual_minor(f: Facts) -> float:
    """Return the subscriber's usual top-up and one unit more, in minor units; 100 for who never topped up."""
    return f.amount_minor_total / f.top_ups_total + 1.0 if f.top_ups_total else 100.0


def rhythm(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:  # noqa: ARG001 - one signature for every theme
    """Compute the rhythm theme: top-ups against the subscriber's own habit; zeros for who never topped up."""
    days = f.top_up_days_total
    if not days:
        return (0.0,) * 8
    age_days, silent_days, n14, n30 = m.age_days, m.silent_days, m.top_ups_14, m.top_ups_30
    n14_before, n30_before = m.top_ups_14_before, m.top_ups_30_before
    surprise = days * log((age_days + 30.0) / (age_days - silent_days + 30.0))
    return (
        log1p(silent_days),
        log1p(m.overdue),
        silent_days / (age_days + 1.0),
        surprise if surprise < SURPRISE_MAX else SURPRISE_MAX,
        log1p(30.0 / m.gap_days),
        days / (days + 3.0),
        (n14 - n14_before) / (n14 + n14_before + 2.0),
        (n30 - n30_before) / (n30 + n30_before + 2.0),
    )


def value(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:  # noqa: ARG001 - one signature for every theme
    """Compute the value theme: money now against before, and the fall from a band to a lower one."""
    usual, m14, m30 = usual_minor(f), m.minor_14, m.minor_30
    m14_before, m30_before = m.minor_14_before, m.minor_30_before
    return (
        (m14 - m14_before) / (m14 + m14_before + usual + usual),
        (m30 - m30_before) / (m30 + m30_before + usual + usual),
        change(m30 / m.top_ups_30, usual, 1.0) if m.top_ups_30 else 0.0,
        log1p(m.revenue_30 / 1000.0),
        float(m.band),
        1.0 if m.band_before == HIGH_BAND and m.band == LOW_BAND and m.age_days > 60.0 else 0.0,
    )


def usage(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the usage theme: how much the line is used, against its own past; zeros where no usage is reported."""
    if not f.usage_day:
        return (0.0,) * 15
    span_days = f.usage_day - f.first_usage_day + 1
    days, days_30 = (14, 30 if span_days > 30 else span_days) if span_days > 14 else (span_days, span_days)
    idle_ms = at_ms - f.last_active_ms
    idle_days = (idle_ms if idle_ms > 0 else 0) / DAY_MS if f.last_active_ms else m.age_days
    known_days = f.usage_days_total
    surprise = 0.0
    if idle_days > 1.0:
        habit = known_days / (span_days + 1.0)
        surprise = (idle_days - 1.0) * -log1p(-habit if habit < HABIT_MAX else -HABIT_MAX)
    active = m.active_14 / days
    v7, v7_before, v14, v14_before = m.voice_7, m.voice_7_before, m.voice_14, m.voice_14_before
    data_7, data_7_before = m.data_7, m.data_7_before
    if surprise > SURPRISE_MAX:
        surprise = SURPRISE_MAX
    voice_trend = (v14 - v14_before) / (v14 + v14_before + 1200.0)
    calls_over_habit = change(m.answered_14 / days, f.answered_total / span_days, 0.2)
    calls = m.answered_30 / days_30
    seldom = 1.0 / (1.0 + calls)
    data_over_habit = (data_7 + data_7_before) / days / 8.0 - f.data_level_total / span_days / 8.0
    profile = f.profile
    is_youth = profile is not None and profile.segment == YOUTH
    return (
        log1p(idle_days),
        surprise,
        surprise if profile is not None and profile.payment == PREPAID else 0.0,
        (v7 - v7_before) / (v7 + v7_before + 1200.0),
        voice_trend,
        voice_trend if is_youth else 0.0,
        calls_over_habit,
        -calls_over_habit if calls_over_habit < 0.0 else 0.0,
        active,
        active - known_days / span_days,
        log1p(calls),
        seldom * seldom * seldom * seldom,
        (data_7 - data_7_before) / 56.0,
        data_over_habit,
        data_over_habit if is_youth else 0.0,
    )


def service(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:  # noqa: ARG001 - one signature for every theme
    """Compute the service theme: failures per call and per session hour (3GPP TS 32.450 retainability)."""
    drops, unset, calls = m.drops_30, m.unset_30, m.answered_30 + CALLS_PRIOR
    ratio = drops / calls
    habit = f.dropped_total / (f.answered_total + CALLS_PRIOR)
    return (
        log1p(100.0 * ratio),
        log1p(drops * 3600.0 / (m.voice_30 + 3600.0)),
        log1p(100.0 * unset / (calls + unset)) if unset else 0.0,
        change(m.drops_7 / (m.answered_7 + CALLS_PRIOR), ratio, 0.01),
        change(ratio, habit, 0.01),
        m.seen.outage,
    )


def complaints(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the complaints theme: open, overdue and repeated complaints, and how fresh the last one is."""
    if not f.complaints_total and not f.tickets:
        return (0.0,) * 8
    since, overdue = m.complaint_open_since_ms, m.complaint_overdue
    is_open = 1.0 if since else 0.0
    repeated = complaints_70(f, m.day) - 1
    drops = log1p(100.0 * m.drops_30 / (m.answered_30 + CALLS_PRIOR))
    return (
        is_open,
        log1p(max(at_ms - since, 0) / DAY_MS) if since else 0.0,
        1.0 if overdue else 0.0,
        log1p(repeated) if repeated > 0 else 0.0,
        exp(-max(at_ms - f.last_complaint_ms, 0) / DAY_MS / FADE_DAYS) if f.last_complaint_ms else 0.0,
        is_open * drops,
        drops if overdue else 0.0,
        30.0 * f.complaints_total / (m.age_days + 30.0),
    )


def contract(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the contract theme: how near the end of the commitment is, alone and with what makes it matter."""
    asked = exp(-max(at_ms - f.asked_at_ms, 0) / DAY_MS / FADE_DAYS) if f.asked else 0.0
    profile = f.profile
    if profile is None or not profile.contract_end_ms:
        return (asked, 0.0, 0.0, 0.0, 0.0)
    days_left = (profile.contract_end_ms - at_ms) / DAY_MS
    near = max(0.0, 1.0 - abs(days_left) / CONTRACT_DAYS)
    return (
        asked,
        1.0 if days_left > 0.0 else 0.0,
        near,
        near * log1p(100.0 * m.drops_30 / (m.answered_30 + CALLS_PRIOR)),
        near * max(0.0, -change(m.voice_14, m.voice_14_before, 600.0)),
    )


def payment(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the payment theme: failed top-ups per attempt, and how fresh the last failure is."""
    if not f.last_failed_top_up_ms:
        return (0.0, 0.0, 0.0)
    share = m.failed_30 / (m.failed_30 + m.top_ups_30 + 1.0)
    unmended = f.last_failed_top_up_ms > f.last_top_up_ms
    return (
        share,
        exp(-max(at_ms - f.last_failed_top_up_ms, 0) / DAY_MS / FADE_DAYS) if unmended else 0.0,
        share * min(m.overdue, 4.0),
    )


def tenure(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the tenure theme: who the subscriber is, and for how long."""
    profile = f.profile
    if profile is None:
        days = m.age_days
        return (log1p(days / 365.0), max(0.0, 1.0 - days / NEW_DAYS), 0.0, 0.0, 0.0, 0.0, 0.0)
    days = max(at_ms - profile.start_ms, 0) / DAY_MS
    return (
        log1p(days / 365.0),
        max(0.0, 1.0 - days / NEW_DAYS),
        1.0,
        1.0 if profile.payment == PREPAID else 0.0,
        1.0 if profile.segment == YOUTH else 0.0,
        1.0 if profile.status == SUSPENDED else 0.0,
        log1p(profile.monthly_fee_minor / 1000.0),
    )


def fading(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:  # noqa: ARG001 - one signature for every theme
    """Compute the fading theme: signs of going that mean more together than alone."""
    late = (m.overdue if m.overdue < 4.0 else 4.0) if f.top_ups_total else 0.0
    fall = -change(m.voice_14, m.voice_14_before, 600.0) if m.voice_14 < m.voice_14_before else 0.0
    return (late * fall, late / (1.0 + m.age_days / NEW_DAYS))


def market(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the market theme: a competitor's offer alone and with what makes it matter; zeros if all is quiet."""
    seen = m.seen
    if seen is NO_EXPOSURE:
        return _QUIET_MARKET
    near = late = fall = 0.0
    offer, profile = seen.offer, f.profile
    if offer:
        if profile is not None and profile.contract_end_ms:
            near = max(0.0, 1.0 - abs(profile.contract_end_ms - at_ms) / DAY_MS / CONTRACT_DAYS)
        if f.top_ups_total:
            late = min(m.overdue, 4.0)
    if seen.school_out and m.voice_14 < m.voice_14_before:
        fall = -change(m.voice_14, m.voice_14_before, 600.0)
    return (offer, offer * near, offer * late, fall)

"""Hop 4: a subscriber's facts as numbers, in one documented table.

A theme is one function that returns its features in the order of the table; `feature_vector` joins them.  Ratios are
smoothed, so that nothing divides by zero and small counts stay small; every feature is finite and bounded.  No count
stands alone: each is over time, over calls, over its own past or over the subscriber's own habit.  "Against" is `change`, -1 to 1.
"""

from collections.abc import Callable
from hashlib import blake2b
from math import exp, log, log1p
from typing import Final

from msgspec import Struct

from streams.core.state import DAY_MS, Facts
from streams.core.windows import PREPAID, Measures, complaints_70, measure

SURPRISE_MAX: Final = 8.0
HABIT_MAX: Final = 0.985
SUSPENDED: Final = 6
YOUTH: Final = 1
FADE_DAYS: Final = 14.0
CONTRACT_DAYS: Final = 45.0
NEW_DAYS: Final = 90.0
CALLS_PRIOR: Final = 20
"""Answered calls without a drop that everybody is credited with, so that one drop in one call is no catastrophe."""


class Feature(Struct, frozen=True):
    """One row of the feature table."""

    name: str
    unit: str
    definition: str


class Theme(Struct, frozen=True):
    """Features that tell one story, with the function that computes them in this order."""

    name: str
    compute: Callable[[Facts, int, Measures], tuple[float, ...]]
    features: tuple[Feature, ...]


def change(now: float, before: float, prior: float) -> float:
    """Return how much more now is than before, between -1 and 1: tanh of half the log of (now + prior) / (before + prior).

    >>> change(3, 1, 0), change(0, 0, 1), change(0, 5, 0)
    (0.5, 0.0, -1.0)
    """
    return (now - before) / (now + before + prior + prior)


def rhythm(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:  # noqa: ARG001 - one signature for every theme
    """Compute the rhythm theme: top-ups against the subscriber's own habit; zeros for who never topped up."""
    days = f.top_up_days_total
    if not days:
        return (0.0,) * 9
    surprise = days * log((m.age_days + 30.0) / (m.age_days - m.silent_days + 30.0))
    return (
        log1p(m.silent_days),
        log1p(m.overdue),
        m.silent_days / (m.age_days + 1.0),
        surprise if surprise < SURPRISE_MAX else SURPRISE_MAX,
        log1p(30.0 / m.gap_days),
        days / (days + 3.0),
        change(m.top_ups_7, m.top_ups_7_before, 1.0),
        change(m.top_ups_14, m.top_ups_14_before, 1.0),
        change(m.top_ups_30, m.top_ups_30_before, 1.0),
    )


def value(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:  # noqa: ARG001 - one signature for every theme
    """Compute the value theme: money now against before, and the fall from a band to a lower one."""
    usual = f.amount_minor_total / f.top_ups_total + 1.0 if f.top_ups_total else 100.0
    size = m.minor_30 / m.top_ups_30 if m.top_ups_30 else usual
    return (
        change(m.minor_7, m.minor_7_before, usual),
        change(m.minor_14, m.minor_14_before, usual),
        change(m.minor_30, m.minor_30_before, usual),
        change(size, usual, 1.0),
        log1p(m.revenue_30 / 1000.0),
        float(m.band),
        float(m.band_before - m.band) if m.band_before > m.band and m.age_days > 60.0 else 0.0,
    )


def usage(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the usage theme: how much the line is used, against its own past; zeros where no usage is reported."""
    if not f.usage_day:
        return (0.0,) * 10
    span_days = max(f.usage_day - f.first_usage_day + 1, 1)
    idle_days = max(at_ms - f.last_active_ms, 0) / DAY_MS if f.last_active_ms else m.age_days
    habit = f.usage_days_total / (span_days + 1.0)
    surprise = (idle_days - 1.0) * -log1p(-habit if habit < HABIT_MAX else -HABIT_MAX) if idle_days > 1.0 else 0.0
    data_14 = (m.data_7 + m.data_7_before) / 112.0
    return (
        log1p(idle_days),
        surprise if surprise < SURPRISE_MAX else SURPRISE_MAX,
        change(m.voice_7, m.voice_7_before, 600.0),
        change(m.voice_14, m.voice_14_before, 600.0),
        change(m.answered_14 / 14.0, f.answered_total / span_days, 0.2),
        m.active_14 / 14.0,
        m.active_14 / 14.0 - f.usage_days_total / span_days,
        log1p(m.answered_30 / 30.0),
        (m.data_7 - m.data_7_before) / 56.0,
        data_14 - f.data_level_total / span_days / 8.0,
    )


def service(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:  # noqa: ARG001 - one signature for every theme
    """Compute the service theme: failures per call and per session hour (3GPP TS 32.450 retainability)."""
    ratio = m.drops_30 / (m.answered_30 + CALLS_PRIOR)
    habit = f.dropped_total / (f.answered_total + CALLS_PRIOR)
    return (
        log1p(100.0 * ratio),
        log1p(m.drops_30 * 3600.0 / (m.voice_30 + 3600.0)),
        log1p(100.0 * m.unset_30 / (m.answered_30 + m.unset_30 + CALLS_PRIOR)),
        change(m.drops_7 / (m.answered_7 + CALLS_PRIOR), ratio, 0.01),
        change(ratio, habit, 0.01),
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
    late = min(m.overdue, 4.0) if f.top_ups_total else 0.0
    fall = -change(m.voice_14, m.voice_14_before, 600.0)
    fall = fall if fall > 0.0 else 0.0
    usual = f.amount_minor_total / f.top_ups_total + 1.0 if f.top_ups_total else 100.0
    poorer = -change(m.minor_30, m.minor_30_before, usual)
    return (
        late * fall,
        late * poorer if poorer > 0.0 else 0.0,
        fall * poorer if poorer > 0.0 else 0.0,
        late / (1.0 + m.age_days / NEW_DAYS),
    )


THEMES: Final = (
    Theme("rhythm", rhythm, (
        Feature("top_up_silence", "log days", "log(1 + days since the last completed top-up)"),
        Feature("top_up_overdue", "log own gaps", "log(1 + days since the last top-up over the usual gap, which is smoothed by one gap of 30 days)"),
        Feature("top_up_silence_share", "share", "days since the last top-up over days known"),
        Feature("top_up_surprise", "nats", "top-up days x log((30 + days known) / (30 + days known until the last)): the BG/NBD odds of being gone (Fader, Hardie and Lee 2005), at most 8"),
        Feature("top_up_habit", "log per 30 days", "log(1 + top-ups that the usual gap makes in 30 days)"),
        Feature("top_up_experience", "share", "top-up days / (top-up days + 3)"),
        Feature("top_ups_trend_7d", "-1..1", "top-ups of the last 7 days against the 7 before"),
        Feature("top_ups_trend_14d", "-1..1", "top-ups of the last 14 days against the 14 before"),
        Feature("top_ups_trend_30d", "-1..1", "top-ups of the last 30 days against the 30 before"),
    )),
    Theme("value", value, (
        Feature("amount_trend_7d", "-1..1", "amount of the last 7 days against the 7 before, smoothed by one usual top-up"),
        Feature("amount_trend_14d", "-1..1", "amount of the last 14 days against the 14 before"),
        Feature("amount_trend_30d", "-1..1", "amount of the last 30 days against the 30 before"),
        Feature("top_up_size", "-1..1", "mean top-up of the last 30 days against the lifetime mean"),
        Feature("revenue_30d", "log thousand minor", "log(1 + revenue of 30 days / 1000): top-ups, and the fee unless prepaid"),
        Feature("value_band", "0..2", "value band of the last 30 days: low, mid, high"),
        Feature("value_fall", "bands", "bands lost against the 30 days before, once 60 days are known: value loss"),
    )),
    Theme("usage", usage, (
        Feature("usage_silence", "log days", "log(1 + days since the last day with activity)"),
        Feature("usage_surprise", "nats", "days without activity beyond one, times -log(1 - lifetime share of active days), at most 8"),
        Feature("voice_trend_7d", "-1..1", "answered seconds of the last 7 days against the 7 before, smoothed by 10 minutes"),
        Feature("voice_trend_14d", "-1..1", "answered seconds of the last 14 days against the 14 before"),
        Feature("calls_over_habit", "-1..1", "answered calls a day in 14 days against the lifetime mean"),
        Feature("active_share", "share", "days with activity of the last 14"),
        Feature("active_share_over_habit", "share", "active_share less the lifetime share"),
        Feature("calls_per_day", "log per day", "log(1 + answered calls a day in 30 days)"),
        Feature("data_trend_7d", "doublings", "mean daily data of the last 7 days against the 7 before, in doublings"),
        Feature("data_over_habit", "doublings", "mean daily data of the last 14 days against the lifetime mean, in doublings"),
    )),
    Theme("service", service, (
        Feature("drop_ratio", "log percent", "log(1 + 100 x dropped / (answered + 20)) in 30 days"),
        Feature("drops_per_session_hour", "log per hour", "log(1 + dropped per hour of answered time in 30 days)"),
        Feature("setup_failure_ratio", "log percent", "log(1 + 100 x failed or blocked set-ups / (attempts + 20)) in 30 days"),
        Feature("drop_ratio_rise", "-1..1", "dropped per answered call in 7 days against 30"),
        Feature("drop_ratio_over_habit", "-1..1", "dropped per answered call in 30 days against the lifetime"),
    )),
    Theme("complaints", complaints, (
        Feature("complaint_open", "0 or 1", "a complaint is open"),
        Feature("complaint_open_age", "log days", "log(1 + days since the oldest open complaint was made)"),
        Feature("complaint_overdue", "0 or 1", "an open complaint is past its due date"),
        Feature("complaint_repeated", "log per 70 days", "log(complaints in 70 days), 0 for none or one"),
        Feature("complaint_fresh", "0..1", "exp(-days since the last complaint / 14)"),
        Feature("complaint_open_and_drops", "log percent", "complaint_open x drop_ratio"),
        Feature("complaint_overdue_and_drops", "log percent", "complaint_overdue x drop_ratio"),
        Feature("complaint_rate", "per 30 days", "complaints per 30 days known"),
    )),
    Theme("contract", contract, (
        Feature("asked_to_leave", "0..1", "exp(-days since a port-out or termination was asked for / 14), 0 once answered or won back"),
        Feature("contract_bound", "0 or 1", "a commitment runs"),
        Feature("contract_ending", "0..1", "1 on the day the commitment ends, falling to 0 over 45 days either side"),
        Feature("contract_ending_and_drops", "log percent", "contract_ending x drop_ratio"),
        Feature("contract_ending_and_usage_fall", "-1..1", "contract_ending x fall of voice_trend_14d"),
    )),
    Theme("payment", payment, (
        Feature("failed_top_up_share", "share", "failed top-ups over attempts + 1 in 30 days"),
        Feature("failed_top_up_unmended", "0..1", "exp(-days since a failed top-up / 14), 0 once one succeeded"),
        Feature("failed_top_up_and_overdue", "own gaps", "failed_top_up_share x top-up lateness in own gaps (at most 4)"),
    )),
    Theme("tenure", tenure, (
        Feature("tenure", "log years", "log(1 + years since the start date, or since first heard of)"),
        Feature("tenure_new", "0..1", "1 at the start, falling to 0 at 90 days"),
        Feature("profile_known", "0 or 1", "a profile was received"),
        Feature("prepaid", "0 or 1", "the plan is prepaid"),
        Feature("youth", "0 or 1", "the segment is youth"),
        Feature("suspended", "0 or 1", "the product is suspended"),
        Feature("monthly_fee", "log thousand minor", "log(1 + monthly fee / 1000)"),
    )),
    Theme("fading", fading, (
        Feature("overdue_and_usage_fall", "own gaps", "top-up lateness in own gaps (at most 4) x fall of voice_trend_14d"),
        Feature("overdue_and_less_money", "own gaps", "top-up lateness in own gaps (at most 4) x fall of amount_trend_30d"),
        Feature("usage_fall_and_less_money", "-1..1", "fall of voice_trend_14d x fall of amount_trend_30d"),
        Feature("overdue_while_new", "own gaps", "top-up lateness in own gaps (at most 4) / (1 + days known / 90)"),
    )),
)  # fmt: skip
"""The feature table: every theme, every feature, in the order of the vector."""

FEATURES: Final = tuple(feature for theme in THEMES for feature in theme.features)
NAMES: Final = tuple(feature.name for feature in FEATURES)
THEME_OF: Final = {feature.name: theme.name for theme in THEMES for feature in theme.features}


def table_version(themes: tuple[Theme, ...]) -> str:
    """Return the identity of a feature table: a hash of its themes, names, units, definitions and their order.

    >>> table_version(THEMES) == FEATURE_TABLE != table_version(THEMES[::-1])
    True
    """
    rows = (f"{theme.name}|{f.name}|{f.unit}|{f.definition}" for theme in themes for f in theme.features)
    return "features-" + blake2b("\n".join(rows).encode(), digest_size=4).hexdigest()


FEATURE_TABLE: Final = table_version(THEMES)
"""The table's identity: a model is served only to the table that it was learned on."""


def vector(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Return the features in the table's order, all finite."""
    return (
        *rhythm(f, at_ms, m),
        *value(f, at_ms, m),
        *usage(f, at_ms, m),
        *service(f, at_ms, m),
        *complaints(f, at_ms, m),
        *contract(f, at_ms, m),
        *payment(f, at_ms, m),
        *tenure(f, at_ms, m),
        *fading(f, at_ms, m),
    )


def feature_vector(f: Facts, at_ms: int, bands: tuple[int, int]) -> tuple[float, ...]:
    """Return the features of the facts seen from `at_ms`; `bands` are where the mid and the high value band begin.

    >>> from streams.core.state import new_state
    >>> len(feature_vector(new_state(0).facts, 0, (2000, 6000))) == len(NAMES)
    True
    """
    return vector(f, at_ms, measure(f, at_ms, bands))

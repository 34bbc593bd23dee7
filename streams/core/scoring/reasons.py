"""Why a probability is what it is: the logit's shares by theme, each with the measurement behind it.

A reason is exact, since the scorer is linear: the contributions of all reasons and the intercept add up to the logit.
Its code is that of the feature that weighs most in it; its evidence is the value now, the subscriber's own usual
value and the window.  What has changed since the newest waiting snapshot is as exact: both shares are those of one
scorer, so the changes of all reasons add up to the difference of the two logits.
"""

from collections.abc import Callable
from itertools import accumulate
from operator import sub
from typing import Final

import msgspec

from streams.core.contracts.effects import Evidence, Reason
from streams.core.scoring.features import FEATURE_TABLE, NAMES, THEMES
from streams.core.scoring.scorer import Scorer
from streams.core.scoring.windows import Measures, complaints_70
from streams.core.subscriber.facts import Facts
from streams.core.subscriber.snapshots import features_of
from streams.core.subscriber.state import PendingSnapshot
from streams.core.times import DAY_MS

CODES: Final = {
    "rhythm": "topup_gap", "value": "topup_amount_down", "usage": "usage_down", "service": "drop_rate_up",
    "complaints": "complaint_recent", "contract": "contract_ending", "payment": "topup_failed",
    "tenure": "customer_profile", "fading": "several_signs", "market": "competitor_offer",
}  # fmt: skip
CODES_BY_FEATURE: Final = {
    "top_ups_trend_14d": "topup_frequency_down", "top_ups_trend_30d": "topup_frequency_down",
    "value_fall": "value_loss", "setup_failure_ratio": "setup_failures_up", "complaint_open": "complaint_open",
    "complaint_open_age": "complaint_open", "complaint_open_and_drops": "complaint_open",
    "complaint_overdue": "complaint_unresolved_sla", "complaint_overdue_and_drops": "complaint_unresolved_sla",
    "complaint_repeated": "complaint_repeat", "complaint_rate": "complaint_repeat",
    "asked_to_leave": "port_out_query", "tenure_new": "new_subscriber", "suspended": "suspended",
    "outage_near": "outage", "school_out_and_usage_fall": "school_out",
}  # fmt: skip
MEASURES: Final = frozenset({
    ("answered_calls", "calls"), ("answered_calls", "per 14 days"), ("complaint_overdue", "0 or 1"),
    ("complaints", "complaints"), ("days_since_activity", "days"), ("days_since_competitor_offer", "days"),
    ("days_since_outage", "days"), ("days_since_request_to_leave", "days"), ("days_since_top_up", "days"),
    ("days_to_contract_end", "days"), ("dropped_calls", "calls"), ("dropped_calls", "percent of answered"),
    ("failed_top_ups", "percent of attempts"), ("open_complaint_age", "days"), ("revenue", "minor units"),
    ("tenure", "days"), ("top_ups", "per 30 days"), ("voice_time", "seconds per 14 days"),
})  # fmt: skip
"""Every measure that is evidence of something, with its unit."""


def reasons(  # noqa: PLR0917 - one score's whole circumstances
    scorer: Scorer,
    features: tuple[float, ...],
    facts: Facts,
    at_ms: int,
    m: Measures,
    waiting: PendingSnapshot | None = None,
) -> tuple[Reason, ...]:
    """Return one reason for each theme, the heaviest first; with the intercept they add up to the logit.

    Changes are those since `waiting`, the subscriber's newest snapshot.
    """
    shares = scorer.contributions(features)
    why = reasons_now(shares, facts, at_ms, m)
    return why if waiting is None else changed_since(waiting, why, shares, scorer)


def changed_since(
    snapshot: PendingSnapshot, why: tuple[Reason, ...], shares: tuple[float, ...], scorer: Scorer
) -> tuple[Reason, ...]:
    """Return reasons with what has changed since a snapshot; one of another feature table says nothing.

    `shares` are the contributions now, by the same scorer.
    """
    if snapshot.feature_table != FEATURE_TABLE:
        return why
    since_ms, moves = snapshot.at_ms, tuple(map(sub, shares, scorer.contributions(features_of(snapshot))))
    changes = {theme: sum(moves[begin:end]) for theme, begin, end in _LAYOUT}
    return tuple([msgspec.structs.replace(one, change=changes[one.theme], since_ms=since_ms) for one in why])


def reasons_now(shares: tuple[float, ...], facts: Facts, at_ms: int, m: Measures) -> tuple[Reason, ...]:
    """Return one reason for each theme, the heaviest first, without what has changed; `shares` are contributions."""
    found = []
    for theme, begin, end in _LAYOUT:
        total, most, least = 0.0, begin, begin
        parts: dict[str, float] = {}
        for i in range(begin, end):
            share = shares[i]
            total += share
            if share > shares[most]:
                most = i
            if share < shares[least]:
                least = i
            if share:
                parts[NAMES[i]] = share
        code = CODES_BY_FEATURE.get(NAMES[most if total > 0 else least], CODES[theme])
        found.append(Reason(code, theme, total, parts, _EVIDENCE[theme](facts, at_ms, m)))
    return tuple(sorted(found, key=lambda reason: (-reason.contribution, reason.theme)))


def _layout() -> tuple[tuple[str, int, int], ...]:
    ends = list(accumulate(len(theme.features) for theme in THEMES))
    return tuple((theme.name, end - len(theme.features), end) for theme, end in zip(THEMES, ends, strict=True))


_LAYOUT: Final = _layout()
"""Each theme with where its features begin and end in the vector."""


def _rate(count: float, days: float, per_days: float) -> float | None:
    """Return a count as so many in `per_days`, or None before a week is known."""
    return round(count * per_days / days, 6) if days >= 7.0 else None


def _rhythm(f: Facts, at_ms: int, m: Measures) -> tuple[Evidence, ...]:  # noqa: ARG001 - one signature
    if not f.totals.top_ups:
        return ()
    return (
        _since_top_up(f, m),
        Evidence("top_ups", "per 30 days", m.top_ups_30, _rate(f.totals.top_ups, m.age_days, 30.0), 30),
    )


def _since_top_up(f: Facts, m: Measures) -> Evidence:
    gap = round(m.gap_days, 6) if f.totals.top_up_days > 1 else None
    return Evidence("days_since_top_up", "days", round(m.silent_days, 6), gap, None)


def _value(f: Facts, at_ms: int, m: Measures) -> tuple[Evidence, ...]:  # noqa: ARG001 - one signature
    if not m.revenue_30 and not m.revenue_30_before:
        return ()
    before = m.revenue_30_before if m.age_days >= 60.0 else None
    return (Evidence("revenue", "minor units", m.revenue_30, before, 30),)


def _usage(f: Facts, at_ms: int, m: Measures) -> tuple[Evidence, ...]:
    if not f.usage_day:
        return ()
    idle = max(at_ms - f.times.last_active_ms, 0) / DAY_MS if f.times.last_active_ms else m.age_days
    return (
        Evidence("answered_calls", "per 14 days", m.answered_14, _rate(f.totals.answered, _usage_days(f), 14.0), 14),
        _voice_time(f, m),
        Evidence("days_since_activity", "days", round(idle, 6), None, None),
    )


def _voice_time(f: Facts, m: Measures) -> Evidence:
    return Evidence("voice_time", "seconds per 14 days", m.voice_14, _rate(f.totals.voice_s, _usage_days(f), 14.0), 14)


def _usage_days(f: Facts) -> int:
    return max(f.usage_day - f.totals.first_usage_day + 1, 1)


def _service(f: Facts, at_ms: int, m: Measures) -> tuple[Evidence, ...]:  # noqa: ARG001 - one signature
    outage: tuple[Evidence, ...] = ()
    if m.seen.outage:
        outage = (Evidence("days_since_outage", "days", round(m.seen.outage_days, 6), None, None),)
    if not m.answered_30 and not m.drops_30:
        return outage
    calls = max(m.answered_30, m.drops_30)
    usual = round(100.0 * f.totals.dropped / max(f.totals.answered, f.totals.dropped), 6) if f.totals.dropped else 0.0
    return (
        Evidence("dropped_calls", "percent of answered", round(100.0 * m.drops_30 / calls, 6), usual, 30),
        Evidence("dropped_calls", "calls", m.drops_30, None, 30),
        Evidence("answered_calls", "calls", m.answered_30, None, 30),
        *outage,
    )


def _complaints(f: Facts, at_ms: int, m: Measures) -> tuple[Evidence, ...]:
    if not f.totals.complaints and not m.complaint_open_since_ms:
        return ()
    age = (at_ms - m.complaint_open_since_ms) / DAY_MS if m.complaint_open_since_ms else 0.0
    return (
        Evidence("complaints", "complaints", complaints_70(f, m.day), None, 70),
        Evidence("open_complaint_age", "days", round(age, 6), None, None),
        Evidence("complaint_overdue", "0 or 1", float(m.complaint_overdue), None, None),
    )


def _contract(f: Facts, at_ms: int, m: Measures) -> tuple[Evidence, ...]:  # noqa: ARG001 - one signature
    found: tuple[Evidence, ...] = ()
    if f.asked:
        found += (
            Evidence("days_since_request_to_leave", "days", round((at_ms - f.asked_at_ms) / DAY_MS, 6), None, None),
        )
    if f.profile is not None and f.profile.contract_end_ms:
        days_left = round((f.profile.contract_end_ms - at_ms) / DAY_MS, 6)
        found += (Evidence("days_to_contract_end", "days", days_left, None, None),)
    return found


def _payment(f: Facts, at_ms: int, m: Measures) -> tuple[Evidence, ...]:  # noqa: ARG001 - one signature
    if not m.failed_30:
        return ()
    return (
        Evidence("failed_top_ups", "percent of attempts", 100.0 * m.failed_30 / (m.failed_30 + m.top_ups_30), None, 30),
    )


def _tenure(f: Facts, at_ms: int, m: Measures) -> tuple[Evidence, ...]:  # noqa: ARG001 - one signature
    start_ms = f.profile.start_ms if f.profile is not None else f.times.first_ms
    return (Evidence("tenure", "days", round(max(at_ms - start_ms, 0) / DAY_MS, 6), None, None),)


def _fading(f: Facts, at_ms: int, m: Measures) -> tuple[Evidence, ...]:  # noqa: ARG001 - one signature
    top_up = (_since_top_up(f, m),) if f.totals.top_ups else ()
    return (*top_up, _voice_time(f, m)) if f.usage_day else top_up


def _market(f: Facts, at_ms: int, m: Measures) -> tuple[Evidence, ...]:
    found: tuple[Evidence, ...] = ()
    if m.seen.offer:
        found = (
            Evidence("days_since_competitor_offer", "days", round(m.seen.offer_days, 6), None, None),
            *_contract(f, at_ms, m)[-1:],
        )
    if m.seen.school_out and f.usage_day:
        found += (_voice_time(f, m),)
    return found


_EVIDENCE: Final[dict[str, Callable[[Facts, int, Measures], tuple[Evidence, ...]]]] = {
    "rhythm": _rhythm, "value": _value, "usage": _usage, "service": _service, "complaints": _complaints,
    "contract": _contract, "payment": _payment, "tenure": _tenure, "fading": _fading, "market": _market,
}  # fmt: skip

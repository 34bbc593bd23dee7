"""The market theme: a competitor's offer alone and with what makes it matter, and holidays."""

from typing import Final

from streams.core.scoring.themes.feature import Feature
from streams.core.scoring.themes.parts import OVERDUE_MAX, change, nearness
from streams.core.scoring.windows import Measures
from streams.core.signals.signals import NO_EXPOSURE
from streams.core.subscriber.facts import Facts

MARKET: Final = (
    Feature(
        "competitor_offer",
        "0..1",
        "the strongest competitor promotion that runs in the subscriber's area and segment: 1 when it begins, "
        "falling to 0 over 90 days; times 0.75 if reported, 0.25 if a rumour",
    ),
    Feature("competitor_offer_and_contract_ending", "0..1", "competitor_offer x contract_ending"),
    Feature(
        "competitor_offer_and_overdue",
        "own gaps",
        "competitor_offer x top-up lateness in own gaps (at most 4)",
    ),
    Feature(
        "school_out_and_usage_fall",
        "-1..1",
        "fall of voice_trend_14d, youth segment, while a public holiday runs or no known school term does",
    ),
)
_QUIET_MARKET: Final = (0.0,) * len(MARKET)


def market(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the market theme; zeros if all is quiet."""
    seen = m.seen
    if seen is NO_EXPOSURE:
        return _QUIET_MARKET
    near = late = school_out_and_usage_fall = 0.0
    competitor_offer, profile = seen.offer, f.profile
    if competitor_offer:
        if profile is not None and profile.contract_end_ms:
            near = nearness(at_ms, profile.contract_end_ms)
        if f.totals.top_ups:
            late = min(m.overdue, OVERDUE_MAX)
    competitor_offer_and_contract_ending = competitor_offer * near
    competitor_offer_and_overdue = competitor_offer * late
    if seen.school_out and m.voice_14 < m.voice_14_before:
        school_out_and_usage_fall = -change(m.voice_14, m.voice_14_before, 600.0)
    return (
        competitor_offer,
        competitor_offer_and_contract_ending,
        competitor_offer_and_overdue,
        school_out_and_usage_fall,
    )

"""The contract theme: how near the end of the commitment is, alone and with what makes it matter."""

from typing import Final

from streams.core.scoring.exact_math import log1p
from streams.core.scoring.themes.feature import Feature
from streams.core.scoring.themes.parts import CALLS_PRIOR, change, freshness, nearness
from streams.core.scoring.windows import Measures
from streams.core.subscriber.facts import Facts

CONTRACT: Final = (
    Feature(
        "asked_to_leave",
        "0..1",
        "exp(-days since a port-out or termination was asked for / 14), 0 once answered or won back",
    ),
    Feature("contract_bound", "0 or 1", "a commitment runs"),
    Feature("contract_ending", "0..1", "1 on the day the commitment ends, falling to 0 over 45 days either side"),
    Feature("contract_ending_and_drops", "log percent", "contract_ending x drop_ratio"),
    Feature("contract_ending_and_usage_fall", "-1..1", "contract_ending x fall of voice_trend_14d"),
)


def contract(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the contract theme; zeros, but for who has asked to leave, where no commitment is known."""
    asked_to_leave = freshness(at_ms, f.asked_at_ms) if f.asked else 0.0
    contract_bound = contract_ending = contract_ending_and_drops = contract_ending_and_usage_fall = 0.0
    profile = f.profile
    if profile is not None and profile.contract_end_ms:
        contract_bound = 1.0 if profile.contract_end_ms > at_ms else 0.0
        contract_ending = nearness(at_ms, profile.contract_end_ms)
        contract_ending_and_drops = contract_ending * log1p(100.0 * m.drops_30 / (m.answered_30 + CALLS_PRIOR))
        contract_ending_and_usage_fall = contract_ending * max(0.0, -change(m.voice_14, m.voice_14_before, 600.0))
    return (
        asked_to_leave,
        contract_bound,
        contract_ending,
        contract_ending_and_drops,
        contract_ending_and_usage_fall,
    )

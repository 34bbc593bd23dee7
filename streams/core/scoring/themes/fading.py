"""The fading theme: signs of going that mean more together than alone."""

from typing import Final

from streams.core.scoring.themes.feature import Feature
from streams.core.scoring.themes.parts import NEW_DAYS, OVERDUE_MAX, change
from streams.core.scoring.windows import Measures
from streams.core.subscriber.facts import Facts

FADING: Final = (
    Feature(
        "overdue_and_usage_fall",
        "own gaps",
        "top-up lateness in own gaps (at most 4) x fall of voice_trend_14d",
    ),
    Feature("overdue_while_new", "own gaps", "top-up lateness in own gaps (at most 4) / (1 + days known / 90)"),
)


def fading(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:  # noqa: ARG001 - one signature for every theme
    """Compute the fading theme."""
    late = (m.overdue if m.overdue < OVERDUE_MAX else OVERDUE_MAX) if f.totals.top_ups else 0.0
    fall = -change(m.voice_14, m.voice_14_before, 600.0) if m.voice_14 < m.voice_14_before else 0.0
    overdue_and_usage_fall = late * fall
    overdue_while_new = late / (1.0 + m.age_days / NEW_DAYS)
    return overdue_and_usage_fall, overdue_while_new

"""The rhythm theme: top-ups against the subscriber's own habit."""

from typing import Final

from streams.core.scoring.exact_math import log, log1p
from streams.core.scoring.themes.feature import Feature
from streams.core.scoring.themes.parts import SURPRISE_MAX, change
from streams.core.scoring.windows import Measures
from streams.core.subscriber.facts import Facts

RHYTHM: Final = (
    Feature("top_up_silence", "log days", "log(1 + days since the last completed top-up)"),
    Feature(
        "top_up_overdue",
        "log own gaps",
        "log(1 + days since the last top-up over the usual gap, which is smoothed by one gap of 30 days)",
    ),
    Feature("top_up_silence_share", "share", "days since the last top-up over days known"),
    Feature(
        "top_up_surprise",
        "nats",
        "top-up days x log((30 + days known) / (30 + days known until the last)): the BG/NBD odds of "
        "being gone (Fader, Hardie and Lee 2005), at most 8",
    ),
    Feature("top_up_habit", "log per 30 days", "log(1 + top-ups that the usual gap makes in 30 days)"),
    Feature("top_up_experience", "share", "top-up days / (top-up days + 3)"),
    Feature("top_ups_trend_14d", "-1..1", "top-ups of the last 14 days against the 14 before"),
    Feature("top_ups_trend_30d", "-1..1", "top-ups of the last 30 days against the 30 before"),
)
_NEVER_TOPPED_UP: Final = (0.0,) * len(RHYTHM)


def rhythm(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:  # noqa: ARG001 - one signature for every theme
    """Compute the rhythm theme; zeros for who never topped up."""
    days = f.totals.top_up_days
    if not days:
        return _NEVER_TOPPED_UP
    age_days, silent_days = m.age_days, m.silent_days
    top_up_silence = log1p(silent_days)
    top_up_overdue = log1p(m.overdue)
    top_up_silence_share = silent_days / (age_days + 1.0)
    surprise = days * log((age_days + 30.0) / (age_days - silent_days + 30.0))
    top_up_surprise = surprise if surprise < SURPRISE_MAX else SURPRISE_MAX
    top_up_habit = log1p(30.0 / m.gap_days)
    top_up_experience = days / (days + 3.0)
    top_ups_trend_14d = change(m.top_ups_14, m.top_ups_14_before, 1.0)
    top_ups_trend_30d = change(m.top_ups_30, m.top_ups_30_before, 1.0)
    return (
        top_up_silence,
        top_up_overdue,
        top_up_silence_share,
        top_up_surprise,
        top_up_habit,
        top_up_experience,
        top_ups_trend_14d,
        top_ups_trend_30d,
    )

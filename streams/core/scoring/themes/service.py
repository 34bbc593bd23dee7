"""The service theme: failures per call and per session hour (3GPP TS 32.450 retainability)."""

from typing import Final

from streams.core.scoring.exact_math import log1p
from streams.core.scoring.themes.feature import Feature
from streams.core.scoring.themes.parts import CALLS_PRIOR, change
from streams.core.scoring.windows import Measures
from streams.core.subscriber.facts import Facts

SERVICE: Final = (
    Feature("drop_ratio", "log percent", "log(1 + 100 x dropped / (answered + 20)) in 30 days"),
    Feature("drops_per_session_hour", "log per hour", "log(1 + dropped per hour of answered time in 30 days)"),
    Feature(
        "setup_failure_ratio",
        "log percent",
        "log(1 + 100 x failed or blocked set-ups / (attempts + 20)) in 30 days",
    ),
    Feature("drop_ratio_rise", "-1..1", "dropped per answered call in 7 days against 30"),
    Feature("drop_ratio_over_habit", "-1..1", "dropped per answered call in 30 days against the lifetime"),
    Feature(
        "outage_near",
        "0..1",
        "1 while an outage lasts in the subscriber's area, falling to 0 over 30 days after it; times 0.75 "
        "if reported, 0.25 if a rumour",
    ),
)


def service(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:  # noqa: ARG001 - one signature for every theme
    """Compute the service theme."""
    drops, unset, calls = m.drops_30, m.unset_30, m.answered_30 + CALLS_PRIOR
    ratio = drops / calls
    habit = f.totals.dropped / (f.totals.answered + CALLS_PRIOR)
    drop_ratio = log1p(100.0 * ratio)
    drops_per_session_hour = log1p(drops * 3600.0 / (m.voice_30 + 3600.0))
    setup_failure_ratio = log1p(100.0 * unset / (calls + unset)) if unset else 0.0
    drop_ratio_rise = change(m.drops_7 / (m.answered_7 + CALLS_PRIOR), ratio, 0.01)
    drop_ratio_over_habit = change(ratio, habit, 0.01)
    outage_near = m.seen.outage
    return (
        drop_ratio,
        drops_per_session_hour,
        setup_failure_ratio,
        drop_ratio_rise,
        drop_ratio_over_habit,
        outage_near,
    )

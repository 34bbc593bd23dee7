"""The usage theme: how much the line is used, against its own past."""

from typing import Final

from streams.core.scoring.exact_math import log1p
from streams.core.scoring.themes.feature import Feature
from streams.core.scoring.themes.parts import SURPRISE_MAX, YOUTH, change
from streams.core.scoring.windows import PREPAID, Measures
from streams.core.subscriber.facts import Facts
from streams.core.times import DAY_MS

USAGE: Final = (
    Feature("usage_silence", "log days", "log(1 + days since the last day with activity)"),
    Feature(
        "usage_surprise",
        "nats",
        "days without activity beyond one, times -log(1 - lifetime share of active days), at most 8",
    ),
    Feature("usage_surprise_and_prepaid", "nats", "usage_surprise, if the plan is prepaid"),
    Feature(
        "voice_trend_7d",
        "-1..1",
        "answered seconds of the last 7 days against the 7 before, smoothed by 10 minutes",
    ),
    Feature("voice_trend_14d", "-1..1", "answered seconds of the last 14 days against the 14 before"),
    Feature("voice_trend_and_youth", "-1..1", "voice_trend_14d, if the segment is youth"),
    Feature("calls_over_habit", "-1..1", "answered calls a day in 14 days against the lifetime mean"),
    Feature("calls_fall", "0..1", "how far calls_over_habit is below 0: a fall tells more than a rise"),
    Feature("active_share", "share", "days with activity of the last 14 (of the days known, while fewer)"),
    Feature("active_share_over_habit", "share", "active_share less the lifetime share"),
    Feature("calls_per_day", "log per day", "log(1 + answered calls a day in 30 days)"),
    Feature(
        "calls_seldom",
        "0..1",
        "(1 + answered calls a day in 30 days) to the power of -4: 1 for who calls nobody",
    ),
    Feature(
        "data_trend_7d",
        "doublings",
        "mean daily data of the last 7 days against the 7 before, in doublings",
    ),
    Feature(
        "data_over_habit",
        "doublings",
        "mean daily data of the last 14 days against the lifetime mean, in doublings",
    ),
    Feature("data_over_habit_and_youth", "doublings", "data_over_habit, if the segment is youth"),
)
HABIT_MAX: Final = 0.985
_NO_USAGE_REPORTED: Final = (0.0,) * len(USAGE)


def usage(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:
    """Compute the usage theme; zeros where no usage is reported."""
    if not f.usage_day:
        return _NO_USAGE_REPORTED
    span_days = f.usage_day - f.totals.first_usage_day + 1
    days, days_30 = (14, 30 if span_days > 30 else span_days) if span_days > 14 else (span_days, span_days)
    idle_ms = at_ms - f.times.last_active_ms
    idle_days = (idle_ms if idle_ms > 0 else 0) / DAY_MS if f.times.last_active_ms else m.age_days
    known_days, profile = f.totals.usage_days, f.profile
    is_youth = profile is not None and profile.segment == YOUTH
    data_7, data_7_before = m.data_7, m.data_7_before
    usage_silence = log1p(idle_days)
    usage_surprise = 0.0
    if idle_days > 1.0:
        habit = known_days / (span_days + 1.0)
        usage_surprise = (idle_days - 1.0) * -log1p(-habit if habit < HABIT_MAX else -HABIT_MAX)
    if usage_surprise > SURPRISE_MAX:
        usage_surprise = SURPRISE_MAX
    usage_surprise_and_prepaid = usage_surprise if profile is not None and profile.payment == PREPAID else 0.0
    voice_trend_7d = change(m.voice_7, m.voice_7_before, 600.0)
    voice_trend_14d = change(m.voice_14, m.voice_14_before, 600.0)
    voice_trend_and_youth = voice_trend_14d if is_youth else 0.0
    calls_over_habit = change(m.answered_14 / days, f.totals.answered / span_days, 0.2)
    calls_fall = -calls_over_habit if calls_over_habit < 0.0 else 0.0
    active_share = m.active_14 / days
    active_share_over_habit = active_share - known_days / span_days
    calls = m.answered_30 / days_30
    calls_per_day = log1p(calls)
    seldom = 1.0 / (1.0 + calls)
    calls_seldom = seldom * seldom * seldom * seldom
    data_trend_7d = (data_7 - data_7_before) / 56.0
    data_over_habit = (data_7 + data_7_before) / days / 8.0 - f.totals.data_level / span_days / 8.0
    data_over_habit_and_youth = data_over_habit if is_youth else 0.0
    return (
        usage_silence,
        usage_surprise,
        usage_surprise_and_prepaid,
        voice_trend_7d,
        voice_trend_14d,
        voice_trend_and_youth,
        calls_over_habit,
        calls_fall,
        active_share,
        active_share_over_habit,
        calls_per_day,
        calls_seldom,
        data_trend_7d,
        data_over_habit,
        data_over_habit_and_youth,
    )

"""The value theme: money now against before, and the fall from a band to a lower one."""

from typing import Final

from streams.core.scoring.exact_math import log1p
from streams.core.scoring.themes.feature import Feature
from streams.core.scoring.themes.parts import change
from streams.core.scoring.windows import Measures
from streams.core.subscriber.facts import Facts
from streams.core.subscriber.snapshots import HIGH_BAND, LOW_BAND

VALUE: Final = (
    Feature(
        "amount_trend_14d",
        "-1..1",
        "amount of the last 14 days against the 14 before, smoothed by one usual top-up",
    ),
    Feature("amount_trend_30d", "-1..1", "amount of the last 30 days against the 30 before"),
    Feature("top_up_size", "-1..1", "mean top-up of the last 30 days against the lifetime mean"),
    Feature(
        "revenue_30d",
        "log thousand minor",
        "log(1 + revenue of 30 days / 1000): top-ups, and the fee unless prepaid",
    ),
    Feature("value_band", "0..2", "value band of the last 30 days: low, mid, high"),
    Feature(
        "value_fall",
        "0 or 1",
        "from the high band to the low one within 30 days, once 60 are known: value loss",
    ),
)


def value(f: Facts, at_ms: int, m: Measures) -> tuple[float, ...]:  # noqa: ARG001 - one signature for every theme
    """Compute the value theme."""
    usual = usual_minor(f)
    amount_trend_14d = change(m.minor_14, m.minor_14_before, usual)
    amount_trend_30d = change(m.minor_30, m.minor_30_before, usual)
    top_up_size = change(m.minor_30 / m.top_ups_30, usual, 1.0) if m.top_ups_30 else 0.0
    revenue_30d = log1p(m.revenue_30 / 1000.0)
    value_band = float(m.band)
    value_fall = 1.0 if m.band_before == HIGH_BAND and m.band == LOW_BAND and m.age_days > 60.0 else 0.0
    return amount_trend_14d, amount_trend_30d, top_up_size, revenue_30d, value_band, value_fall


def usual_minor(f: Facts) -> float:
    """Return the subscriber's usual top-up and one unit more, in minor units; 100 for who never topped up."""
    return f.totals.amount_minor / f.totals.top_ups + 1.0 if f.totals.top_ups else 100.0

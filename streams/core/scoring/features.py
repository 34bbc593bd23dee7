"""Hop 4: a subscriber's facts as numbers, in one documented table.

A theme is one function (`themes.py`) that returns its features in the order of the table; `vector` joins them.
"Against" is `change`, -1 to 1.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from streams.core.scoring.themes import (
    complaints,
    contract,
    fading,
    market,
    payment,
    rhythm,
    service,
    tenure,
    usage,
    value,
)
from streams.core.scoring.windows import Measures, measure
from streams.core.signals.signals import NO_SIGNALS, Signals
from streams.core.subscriber.facts import Facts


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


THEMES: Final = (
    Theme(
        "rhythm",
        rhythm,
        (
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
        ),
    ),
    Theme(
        "value",
        value,
        (
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
        ),
    ),
    Theme(
        "usage",
        usage,
        (
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
        ),
    ),
    Theme(
        "service",
        service,
        (
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
        ),
    ),
    Theme(
        "complaints",
        complaints,
        (
            Feature("complaint_open", "0 or 1", "a complaint is open"),
            Feature("complaint_open_age", "log days", "log(1 + days since the oldest open complaint was made)"),
            Feature("complaint_overdue", "0 or 1", "an open complaint is past its due date"),
            Feature("complaint_repeated", "log per 70 days", "log(complaints in 70 days), 0 for none or one"),
            Feature("complaint_fresh", "0..1", "exp(-days since the last complaint / 14)"),
            Feature("complaint_open_and_drops", "log percent", "complaint_open x drop_ratio"),
            Feature("complaint_overdue_and_drops", "log percent", "complaint_overdue x drop_ratio"),
            Feature("complaint_rate", "per 30 days", "complaints per 30 days known"),
        ),
    ),
    Theme(
        "contract",
        contract,
        (
            Feature(
                "asked_to_leave",
                "0..1",
                "exp(-days since a port-out or termination was asked for / 14), 0 once answered or won back",
            ),
            Feature("contract_bound", "0 or 1", "a commitment runs"),
            Feature(
                "contract_ending", "0..1", "1 on the day the commitment ends, falling to 0 over 45 days either side"
            ),
            Feature("contract_ending_and_drops", "log percent", "contract_ending x drop_ratio"),
            Feature("contract_ending_and_usage_fall", "-1..1", "contract_ending x fall of voice_trend_14d"),
        ),
    ),
    Theme(
        "payment",
        payment,
        (
            Feature("failed_top_up_share", "share", "failed top-ups over attempts + 1 in 30 days"),
            Feature("failed_top_up_unmended", "0..1", "exp(-days since a failed top-up / 14), 0 once one succeeded"),
            Feature(
                "failed_top_up_and_overdue",
                "own gaps",
                "failed_top_up_share x top-up lateness in own gaps (at most 4)",
            ),
        ),
    ),
    Theme(
        "tenure",
        tenure,
        (
            Feature("tenure", "log years", "log(1 + years since the start date, or since first heard of)"),
            Feature("tenure_new", "0..1", "1 at the start, falling to 0 at 90 days"),
            Feature("profile_known", "0 or 1", "a profile was received"),
            Feature("prepaid", "0 or 1", "the plan is prepaid"),
            Feature("youth", "0 or 1", "the segment is youth"),
            Feature("suspended", "0 or 1", "the product is suspended"),
            Feature("monthly_fee", "log thousand minor", "log(1 + monthly fee / 1000)"),
        ),
    ),
    Theme(
        "fading",
        fading,
        (
            Feature(
                "overdue_and_usage_fall",
                "own gaps",
                "top-up lateness in own gaps (at most 4) x fall of voice_trend_14d",
            ),
            Feature("overdue_while_new", "own gaps", "top-up lateness in own gaps (at most 4) / (1 + days known / 90)"),
        ),
    ),
    Theme(
        "market",
        market,
        (
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
        ),
    ),
)
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
        *market(f, at_ms, m),
    )


def feature_vector(f: Facts, at_ms: int, bands: tuple[int, int], signals: Signals = NO_SIGNALS) -> tuple[float, ...]:
    """Return the features of the facts seen from `at_ms`; `bands` are where the mid and the high value band begin.

    >>> from streams.core.subscriber.facts import new_state
    >>> len(feature_vector(new_state(0).facts, 0, (2000, 6000))) == len(NAMES)
    True
    """
    return vector(f, at_ms, measure(f, at_ms, bands, signals))

"""Reasons and their evidence as an account manager would say them."""

from collections.abc import Callable
from typing import Final

from streams.cli.words import about, money, number
from streams.core.effects import AlertChanged, Evidence, Reason

SHARE_SHOWN: Final = 0.1
"""Of the heaviest reason: what adds less than this is left to `explain`."""

CODES: Final = {
    "competitor_offer": "a rival's offer",
    "complaint_open": "open complaint",
    "complaint_recent": "recent complaint",
    "complaint_repeat": "repeated complaints",
    "complaint_unresolved_sla": "complaint past its due date",
    "contract_ending": "contract",
    "outage": "outage in the area",
    "port_out_query": "asked to leave",
    "customer_profile": "kind of customer",
    "drop_rate_up": "dropped calls",
    "new_subscriber": "new customer",
    "several_signs": "several signs at once",
    "school_out": "school holiday",
    "setup_failures_up": "calls not set up",
    "suspended": "suspended",
    "topup_amount_down": "money spent",
    "topup_failed": "failed top-ups",
    "topup_frequency_down": "fewer top-ups",
    "topup_gap": "top-up gap",
    "usage_down": "use of the line",
    "value_loss": "fall in value",
}

SELF_EVIDENT: Final = frozenset({"outage", "suspended"})
"""Codes that the theme's first measurement does not speak about."""

Phrase = Callable[[Evidence, str], str]


def evidence_words(evidence: Evidence, currency: str) -> str:
    """Return one measurement in words: its value, the window, and the subscriber's own usual one.

    A measurement without a phrase of its own is still given whole.

    >>> evidence_words(Evidence("days_since_top_up", "days", 41.2, 12.0, None), "EUR")
    'none for 41 days (usually every 12)'
    >>> evidence_words(Evidence("revenue", "minor units", 1200, 3000, 30), "EUR")
    '12.00 EUR in 30 days (30.00 EUR before)'
    >>> evidence_words(Evidence("quality_of_video", "MOS", 2.5, 4.0, 7), "EUR")
    'quality of video 2.5 MOS in 7 days (usually 4)'
    """
    phrase = _PHRASES.get((evidence.measure, evidence.unit))
    if phrase is not None:
        return phrase(evidence, currency)
    words = f"{evidence.measure.replace('_', ' ')} {number(evidence.value)} {evidence.unit.replace('_', ' ')}".rstrip()
    return words + _window(evidence) + _usually(evidence)


def reason_words(reason: Reason, currency: str) -> str:
    """Return a reason with its first measurement.

    >>> reason_words(Reason("tenure", "tenure", 0.1, {}, ()), "EUR")
    'tenure'
    """
    words = CODES.get(reason.code, reason.code.replace("_", " "))
    if not reason.evidence or reason.code in SELF_EVIDENT:
        return words
    return f"{words}: {evidence_words(reason.evidence[0], currency)}"


def raising(change: AlertChanged) -> list[Reason]:
    """Return the reasons that raise the risk and can be shown, the heaviest first, without what hardly counts."""
    shown = [r for r in change.reasons if r.contribution > 0.0 and r.evidence]
    least = SHARE_SHOWN * max((r.contribution for r in shown), default=0.0)
    return sorted((r for r in shown if r.contribution >= least), key=lambda r: (-r.contribution, r.code))


def _window(evidence: Evidence) -> str:
    return "" if evidence.window_days is None else f" in {evidence.window_days} days"


def _usually(evidence: Evidence, unit: str = "") -> str:
    return "" if evidence.baseline is None else f" (usually {about(evidence.baseline)}{unit})"


def _counted(evidence: Evidence, noun: str) -> str:
    words = noun.removesuffix("s") if evidence.value == 1 else noun
    return f"{number(evidence.value)} {words}{_window(evidence)}{_usually(evidence)}"


def _days(value: float) -> str:
    whole = round(value)
    return f"{whole:,} day" if whole == 1 else f"{whole:,} days"


def _minutes(seconds: float) -> str:
    return f"{round(seconds / 60):,}"


def _since_top_up(evidence: Evidence, currency: str) -> str:  # noqa: ARG001 - one signature for every phrase
    usual = "" if evidence.baseline is None else f" (usually every {about(evidence.baseline)})"
    return f"none for {_days(evidence.value)}{usual}"


def _revenue(evidence: Evidence, currency: str) -> str:
    before = "" if evidence.baseline is None else f" ({money(round(evidence.baseline), currency)} before)"
    return f"{money(round(evidence.value), currency)}{_window(evidence)}{before}"


def _voice(evidence: Evidence, currency: str) -> str:  # noqa: ARG001 - one signature for every phrase
    usual = "" if evidence.baseline is None else f" (usually {_minutes(evidence.baseline)})"
    return f"{_minutes(evidence.value)} minutes{_window(evidence)}{usual}"


def _contract_end(evidence: Evidence, currency: str) -> str:  # noqa: ARG001 - one signature for every phrase
    if evidence.value < 0:
        return f"ended {_days(-evidence.value)} ago"
    return f"ends in {_days(evidence.value)}"


def _tenure(evidence: Evidence, currency: str) -> str:  # noqa: ARG001 - one signature for every phrase
    if evidence.value < 730:
        return f"with us for {_days(evidence.value)}"
    return f"with us for {evidence.value / 365.25:.0f} years"


_PHRASES: Final[dict[tuple[str, str], Phrase]] = {
    ("answered_calls", "calls"): lambda e, _: _counted(e, "calls"),
    ("answered_calls", "per 14 days"): lambda e, _: _counted(e, "calls"),
    ("complaint_overdue", "0 or 1"): lambda e, _: "past its due date" if e.value else "not past its due date",
    ("complaints", "complaints"): lambda e, _: _counted(e, "complaints"),
    ("days_since_activity", "days"): lambda e, _: f"inactive for {_days(e.value)}",
    ("days_since_competitor_offer", "days"): lambda e, _: f"for {_days(e.value)}",
    ("days_since_outage", "days"): lambda e, _: f"outage over for {_days(e.value)}" if e.value else "outage not over",
    ("days_since_top_up", "days"): _since_top_up,
    ("days_to_contract_end", "days"): _contract_end,
    ("dropped_calls", "calls"): lambda e, _: _counted(e, "dropped calls"),
    ("dropped_calls", "percent of answered"): lambda e, _: (
        f"{about(e.value)} % of calls{_window(e)}{_usually(e, ' %')}"
    ),
    ("failed_top_ups", "percent of attempts"): lambda e, _: f"{about(e.value)} % of attempts{_window(e)}",
    ("open_complaint_age", "days"): lambda e, _: f"open for {_days(e.value)}" if e.value else "none open",
    ("revenue", "minor units"): _revenue,
    ("tenure", "days"): _tenure,
    ("top_ups", "per 30 days"): lambda e, _: _counted(e, "top-ups"),
    ("voice_time", "seconds per 14 days"): _voice,
}

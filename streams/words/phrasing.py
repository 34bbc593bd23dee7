"""Sentences: a reason and its evidence in the words of a language, as an account manager would say them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from streams.core.contracts.effects import AlertChanged, Evidence, Reason
from streams.words.numbers import about, major, number
from streams.words.wording import OTHER_CURRENCY, EvidenceWords, LanguageCatalogue, Quantity

LEADING: Final[dict[str, tuple[str, str] | None]] = {
    "topup_gap": ("days_since_top_up", "days"),
    "topup_frequency_down": ("top_ups", "per 30 days"),
    "topup_amount_down": ("revenue", "minor units"),
    "value_loss": ("revenue", "minor units"),
    "usage_down": ("answered_calls", "per 14 days"),
    "drop_rate_up": ("dropped_calls", "percent of answered"),
    "setup_failures_up": None,
    "outage": ("days_since_outage", "days"),
    "complaint_recent": ("complaints", "complaints"),
    "complaint_open": ("open_complaint_age", "days"),
    "complaint_unresolved_sla": ("open_complaint_age", "days"),
    "complaint_repeat": ("complaints", "complaints"),
    "contract_ending": ("days_to_contract_end", "days"),
    "port_out_query": ("days_since_request_to_leave", "days"),
    "topup_failed": ("failed_top_ups", "percent of attempts"),
    "customer_profile": ("tenure", "days"),
    "new_subscriber": ("tenure", "days"),
    "suspended": None,
    "several_signs": ("days_since_top_up", "days"),
    "competitor_offer": ("days_since_competitor_offer", "days"),
    "school_out": ("voice_time", "seconds per 14 days"),
}
"""The measurement that a reason's sentence speaks of; None where none of its theme's says anything about it."""

YEARS_FROM_DAYS: Final = 730.0
YEAR_DAYS: Final = 365.25
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_COUNTED: Final[dict[tuple[str, str], str]] = {
    ("answered_calls", "calls"): "answered_calls",
    ("answered_calls", "per 14 days"): "calls",
    ("complaints", "complaints"): "complaints",
    ("dropped_calls", "calls"): "dropped_calls",
    ("dropped_calls", "percent of answered"): "percent",
    ("failed_top_ups", "percent of attempts"): "percent",
    ("top_ups", "per 30 days"): "top_ups",
    ("voice_time", "seconds per 14 days"): "minutes",
}
"""What a measure counts; the others are days, money, or a yes or no."""


def reason_name(code: str, words: LanguageCatalogue) -> str:
    """Return what a reason is called; a code that the words do not know, with its underscores as blanks."""
    known = words.reasons.get(code)
    return known.name if known is not None else code.replace("_", " ")


def reason_text(reason: Reason, currency: str, words: LanguageCatalogue) -> str:
    """Return a reason as a sentence: with its leading measurement, or alone where that was not taken."""
    known = words.reasons.get(reason.code)
    if known is None:
        return _capitalised(reason_name(reason.code, words))
    leading = LEADING[reason.code]
    for evidence in reason.evidence:
        if (evidence.measure, evidence.unit) == leading:
            return _capitalised(known.sentence.format(evidence=evidence_text(evidence, currency, words)))
    return _capitalised(known.alone)


def evidence_text(evidence: Evidence, currency: str, words: LanguageCatalogue) -> str:
    """Return one measurement in words: its value, the window, and the subscriber's own usual one where there is one.

    A measurement without words of its own is still given whole.
    """
    known = words.evidence.get(evidence.measure, {}).get(evidence.unit)
    if known is None:
        return _unknown_measure(evidence, words)
    template, write = _template(evidence, known), _writer(evidence, currency, words)
    fields = {"amount": write(evidence.value, False)}
    if evidence.baseline is not None:
        fields["usual_amount"] = write(evidence.baseline, True)
        fields["usual"] = _bare(evidence, evidence.baseline) or fields["usual_amount"]
    if evidence.window_days is not None:
        fields["window"] = quantity_text("days", f"{evidence.window_days:,}", words)
    try:
        return template.format(**fields)
    except KeyError:  # Its window was not written down, as with whatever another version of the program has made.
        return _unknown_measure(evidence, words)


def quantity_text(what: str, digits: str, words: LanguageCatalogue) -> str:
    """Return so many of something."""
    quantity: Quantity = words.quantities[what]
    return {"0": quantity.zero, "1": quantity.one}.get(digits, quantity.many).format(n=digits)


def money_text(minor: int, currency: str, words: LanguageCatalogue) -> str:
    """Return an amount of minor units in its currency."""
    template = words.money.get(currency, words.money[OTHER_CURRENCY])
    return template.format(number=major(minor, currency), currency=currency).rstrip()


def day_text(at_ms: int, words: LanguageCatalogue) -> str:
    """Return the day of a time in UTC."""
    return _date_text(words.dates.day, at_ms)


def moment_text(at_ms: int, words: LanguageCatalogue) -> str:
    """Return a time in UTC to the minute."""
    return _date_text(words.dates.moment, at_ms)


def percent_digits(share: float) -> str:
    """Return a probability as digits of a percentage, never rounded up to certainty.

    >>> percent_digits(0.873), percent_digits(0.0312), percent_digits(0.9999), percent_digits(0.0), percent_digits(1.0)
    ('87', '3.1', '99.9', '0', '100.0')
    """
    hundredths = min(share * 100.0, 99.9) if share < 1.0 else 100.0
    return f"{hundredths:.1f}" if 0.0 < hundredths < 10.0 or hundredths > 99.0 else f"{hundredths:.0f}"


def percent_text(share: float, words: LanguageCatalogue) -> str:
    """Return a probability as a percentage, as the language writes one."""
    return quantity_text("percent", percent_digits(share), words)


def why_text(changed: AlertChanged, words: LanguageCatalogue) -> str:
    """Return why an alert changed: the words of its code, and its own where it has none."""
    return changed.why if changed.why_code is None else words.whys[changed.why_code]


def action_text(changed: AlertChanged, words: LanguageCatalogue) -> str:
    """Return what to do about an alert: the words of its code; an operator's own action as it is."""
    return changed.action if changed.action_code is None else words.actions[changed.action_code]


def _date_text(template: str, at_ms: int) -> str:
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return template.format(year=at.year, month=at.month, day=at.day, hour=at.hour, minute=at.minute)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _template(evidence: Evidence, known: EvidenceWords) -> str:
    if evidence.value == 0 and known.zero is not None:
        return known.zero
    if evidence.value < 0 and known.negative is not None:
        return known.negative
    return known.plain if evidence.baseline is None or known.usual is None else known.usual


def _writer(evidence: Evidence, currency: str, words: LanguageCatalogue) -> Callable[[float, bool], str]:
    """Return what writes a value of this measure with what it counts; a usual value is not exact, and written so."""
    if evidence.unit == "minor units":
        return lambda value, _: money_text(round(value), currency, words)
    if evidence.unit == "days":
        return lambda value, is_usual: _days_text(value, words, is_usual=is_usual)
    what = _COUNTED.get((evidence.measure, evidence.unit))
    if what is None:
        return lambda value, _: number(value)
    return lambda value, is_usual: quantity_text(what, _digits(what, value, is_usual=is_usual), words)


def _bare(evidence: Evidence, value: float) -> str:
    """Return a usual value without what it counts, nothing where the two are not apart."""
    what = "days" if evidence.unit == "days" else _COUNTED.get((evidence.measure, evidence.unit))
    return "" if what is None else _digits(what, value, is_usual=True)


def _digits(what: str, value: float, *, is_usual: bool) -> str:
    if what == "minutes":
        return f"{round(value / 60):,}"
    return about(value) if is_usual or what == "percent" else number(value)


def _days_text(value: float, words: LanguageCatalogue, *, is_usual: bool) -> str:
    days = abs(value)
    if is_usual:
        return quantity_text("days", about(days), words)
    if days >= YEARS_FROM_DAYS:
        return quantity_text("years", f"{days / YEAR_DAYS:,.0f}", words)
    return quantity_text("days", f"{round(days):,}", words)


def _unknown_measure(evidence: Evidence, words: LanguageCatalogue) -> str:
    measure, unit = evidence.measure.replace("_", " "), evidence.unit.replace("_", " ")
    value = number(evidence.value)
    if evidence.baseline is None:
        return words.around["unknown"].format(measure=measure, value=value, unit=unit)
    return words.around["unknown_usual"].format(measure=measure, value=value, unit=unit, usual=about(evidence.baseline))

"""Values in the words of an account manager: times, money, kinds of churn, probabilities."""

from datetime import UTC, datetime, timedelta
from typing import Final

KINDS: Final[dict[str, str]] = {
    "natural": "fading away",
    "involuntary": "cannot pay",
    "competitive": "drawn by a rival",
    "service_fault": "let down by service",
    "value_loss": "spending less",
}
BAND_STYLES: Final = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "green"}
BANDS: Final = ("critical", "high", "medium", "low")
"""Risk bands, the worst first."""

MINOR_DIGITS: Final = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV"), 0),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""ISO 4217: digits after the point where they are not two."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(at_ms: int) -> str:
    """Return a time in UTC to the minute.

    >>> moment(1_750_000_000_000)
    '2025-06-15 15:06'
    """
    return f"{_EPOCH + timedelta(milliseconds=at_ms):%Y-%m-%d %H:%M}"


def day(at_ms: int) -> str:
    """Return the day of a time in UTC.

    >>> day(1_750_000_000_000)
    '2025-06-15'
    """
    return f"{_EPOCH + timedelta(milliseconds=at_ms):%Y-%m-%d}"


def money(minor: int, currency: str) -> str:
    """Return an amount of minor units in its currency (ISO 4217).

    >>> money(123_456, "EUR"), money(500, "JPY"), money(1_500, "KWD")
    ('1,234.56 EUR', '500 JPY', '1.500 KWD')
    """
    digits = MINOR_DIGITS.get(currency, 2)
    return f"{minor / 10**digits:,.{digits}f} {currency}".rstrip()


def number(value: float) -> str:
    """Return a number as short as it stays honest: three significant digits, whole numbers whole.

    >>> number(41.0), number(0.0312), number(1234.5), number(3.14159), number(0.0)
    ('41', '0.0312', '1,234', '3.14', '0')
    """
    if value == int(value) or abs(value) >= 1000:
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.3g}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """Return a probability as a percentage, never rounded up to certainty.

    >>> percent(0.873), percent(0.0312), percent(0.9999), percent(0.0)
    ('87 %', '3.1 %', '99.9 %', '0 %')
    """
    hundredths = min(share * 100.0, 99.9) if share < 1.0 else 100.0
    return f"{hundredths:.1f} %" if 0.0 < hundredths < 10.0 or hundredths > 99.0 else f"{hundredths:.0f} %"


def about(value: float) -> str:
    """Return a number to two significant digits, whole from ten on.

    >>> about(30.68), about(8.32), about(0.971), about(1234.0)
    ('31', '8.3', '0.97', '1,234')
    """
    return f"{round(value):,}" if abs(value) >= 10 else f"{value:.2g}"

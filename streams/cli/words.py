"""Values as people read them, in every language alike: times, numbers, probabilities."""

from datetime import UTC, datetime, timedelta
from typing import Final

from streams.words.numbers import about, number
from streams.words.phrasing import percent_digits

__all__ = ["BANDS", "BAND_STYLES", "about", "day", "moment", "number", "percent"]

BAND_STYLES: Final = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "green"}
BANDS: Final = ("critical", "high", "medium", "low")
"""Risk bands, the worst first."""

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


def percent(share: float) -> str:
    """Return a probability as a percentage, never rounded up to certainty.

    >>> percent(0.873), percent(0.0312), percent(0.9999), percent(0.0)
    ('87 %', '3.1 %', '99.9 %', '0 %')
    """
    return f"{percent_digits(share)} %"

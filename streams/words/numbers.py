"""Numbers as people read them: short, and no more exact than they are."""

from typing import Final

MINOR_DIGITS: Final = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV"), 0),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""ISO 4217: digits after the point where they are not two."""


def major(minor: int, currency: str) -> str:
    """Return an amount of minor units as a number of the currency's own unit (ISO 4217).

    >>> major(123_456, "EUR"), major(500, "JPY"), major(1_500, "KWD")
    ('1,234.56', '500', '1.500')
    """
    digits = MINOR_DIGITS.get(currency, 2)
    return f"{minor / 10**digits:,.{digits}f}"


def number(value: float) -> str:
    """Return a number as short as it stays honest: three significant digits, whole numbers whole.

    >>> number(41.0), number(0.0312), number(1234.5), number(3.14159), number(0.0)
    ('41', '0.0312', '1,234', '3.14', '0')
    """
    if value == int(value) or abs(value) >= 999.5:
        return f"{round(value):,}" if abs(value) < 1e15 else f"{value:.3g}"
    return _short(value, 3)


def about(value: float) -> str:
    """Return a number to two significant digits, whole from ten on.

    >>> about(30.68), about(8.32), about(0.971), about(1234.0), about(0.00002)
    ('31', '8.3', '0.97', '1,234', '0.00002')
    """
    return f"{round(value):,}" if abs(value) >= 10 else _short(value, 2)


def _short(value: float, digits: int) -> str:
    """Return so many significant digits without an exponent, and six places at most where there would be one."""
    text = f"{value:.{digits}g}"
    return f"{value:.6f}".rstrip("0").rstrip(".") if "e" in text else text

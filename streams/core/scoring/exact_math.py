"""Exponentials and logarithms that give the same bits on every machine.

Those of the C library need not: one processor multiplies and adds in one step and another in two, and the last bit
differs.  These use additions, multiplications and divisions alone, which IEEE 754 rounds in one way, so that the same
events give the same features, and the same examples the same models.  Reductions and coefficients are those of fdlibm
(Sun Microsystems 1993).
`exp` and `log` are within one unit in the last place, the other two within four.
"""

from math import frexp, inf, isnan, ldexp
from typing import Final

_LOG2_HIGH: Final = 0.6931471803691238
"""The logarithm of 2 in 33 bits, so that products with whole numbers up to 2048 are exact."""
_LOG2_LOW: Final = 1.9082149292705877e-10
_LOG2_E: Final = 1.4426950408889634
_ROOT_HALF: Final = 0.7071067811865476
_SMALL: Final = 0.35
"""About half of the logarithm of 2: within it `exp` doubles or halves nothing."""
_EXP_MIN: Final = -745.13
_EXP_MAX: Final = 709.78
_INVERSES: Final = tuple(1.0 / n for n in range(14, 0, -1))
"""Of 14 to 1, for Taylor's series of the exponential by Horner's rule."""


def exp(x: float) -> float:
    """Return e to the power of x; infinite beyond the greatest float.

    >>> exp(0.0), exp(2.0), exp(-1000.0), exp(710.0)
    (1.0, 7.38905609893065, 0.0, inf)
    """
    if not _EXP_MIN < x < _EXP_MAX:
        return x if isnan(x) else 0.0 if x < 0.0 else inf
    twos = round(x * _LOG2_E)
    high, low = x - twos * _LOG2_HIGH, twos * _LOG2_LOW
    rest = high - low
    square = rest * rest
    even = rest - square * (
        0.16666666666666602
        + square
        * (
            -0.0027777777777015593
            + square * (6.613756321437934e-05 + square * (-1.6533902205465252e-06 + square * 4.1381367970572385e-08))
        )
    )
    return ldexp(1.0 - ((low - rest * even / (2.0 - even)) - high), twos)


def expm1(x: float) -> float:
    """Return e to the power of x less one, exact for small ones too.

    >>> expm1(1e-20), expm1(0.0), expm1(-1000.0)
    (1e-20, 0.0, -1.0)
    """
    if not -_SMALL < x < _SMALL:
        return exp(x) - 1.0
    grown = 0.0
    for inverse in _INVERSES:
        grown = x * inverse * (1.0 + grown)
    return grown


def log(x: float) -> float:
    """Return the natural logarithm.

    Raises:
        ValueError: x is not above zero, or not finite.

    >>> log(1.0), log(10.0), log(0.5)
    (0.0, 2.302585092994046, -0.6931471805599453)
    """
    if not 0.0 < x < inf:
        raise ValueError(f"{x} has no logarithm")
    part, twos = frexp(x)
    if part < _ROOT_HALF:
        part, twos = 2.0 * part, twos - 1
    apart = part - 1.0
    ratio = apart / (2.0 + apart)
    square = ratio * ratio
    fourth = square * square
    odd = square * (
        0.6666666666666735
        + fourth * (0.2857142874366239 + fourth * (0.1818357216161805 + fourth * 0.14798198605116586))
    )
    even = fourth * (0.3999999999940942 + fourth * (0.22222198432149784 + fourth * 0.15313837699209373))
    half = 0.5 * apart * apart
    return twos * _LOG2_HIGH - ((half - (ratio * (half + (odd + even)) + twos * _LOG2_LOW)) - apart)


def log1p(x: float) -> float:
    """Return the natural logarithm of 1 + x, exact for small ones too (Kahan's way, after Goldberg 1991).

    >>> log1p(1e-20), log1p(0.0), log1p(1.0)
    (1e-20, 0.0, 0.6931471805599453)
    """
    more = 1.0 + x
    return x if more == 1.0 else log(more) * (x / (more - 1.0))

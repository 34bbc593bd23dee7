"""Exponentials and logarithms: exact to the last places, and the same bits on every machine."""

import math
from collections.abc import Callable
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.scoring import exact_math as elementary
from tests.plainer import PLAINER, output_of, why_not_plainer

DIGITS = 40
BITS = """
from random import Random
from streams.core.scoring.exact_math import exp, expm1, log, log1p
random = Random(1)
for _ in range(5_000):
    x = random.uniform(-40.0, 40.0)
    print(exp(x).hex(), expm1(x / 50.0).hex(), log(x * x).hex(), log1p(x * x).hex())
"""


def units_off(found: float, exact: Decimal) -> float:
    """Return by how many units in the last place a result is wrong."""
    return float(abs(Decimal(found) - exact) / Decimal(math.ulp(float(exact))))


@given(st.floats(-700.0, 700.0))
def test_the_exponential_is_within_a_unit_in_the_last_place(x: float) -> None:
    with localcontext(prec=DIGITS):
        assert units_off(elementary.exp(x), Decimal(x).exp()) <= 1.0


@given(st.floats(1e-300, 1e300))
def test_the_logarithm_is_within_a_unit_in_the_last_place(x: float) -> None:
    with localcontext(prec=DIGITS):
        assert units_off(elementary.log(x), Decimal(x).ln()) <= 1.0


@given(st.floats(0.01, 2.0) | st.floats(1e-12, 1e-6), st.sampled_from([-1.0, 1.0]))
def test_the_exponential_less_one_and_its_inverse_are_exact_near_zero_too(size: float, sign: float) -> None:
    x = size * sign
    with localcontext(prec=DIGITS):
        assert units_off(elementary.expm1(x), Decimal(x).exp() - 1) <= 4.0
        if x > -1.0:
            assert units_off(elementary.log1p(x), (1 + Decimal(x)).ln()) <= 4.0


@given(st.floats(1e-15, 1e12) | st.floats(-0.985, -1e-15))
def test_the_logarithm_of_one_and_more_is_exact_wherever_features_use_it(x: float) -> None:
    with localcontext(prec=DIGITS):
        assert units_off(elementary.log1p(x), (1 + Decimal(x)).ln()) <= 4.0


@given(st.floats(0.0, 1e12))
def test_the_logarithm_of_one_and_more_is_not_below_zero(x: float) -> None:
    assert elementary.log1p(x) >= elementary.log1p(0.0) == 0.0


@pytest.mark.parametrize("x", [0.0, -0.0, 5e-324, 1e-17, math.inf, -math.inf, 709.9, -745.2, -744.4, -708.5])
@pytest.mark.parametrize(("found", "theirs"), [(elementary.exp, math.exp), (elementary.expm1, math.expm1)])
def test_at_the_ends_it_is_what_the_library_says(
    x: float, found: Callable[[float], float], theirs: Callable[[float], float]
) -> None:
    try:
        expected = theirs(x)
    except OverflowError:
        expected = math.inf
    assert found(x) == pytest.approx(expected, rel=1e-15)


def test_what_is_no_number_stays_none() -> None:
    assert math.isnan(elementary.exp(math.nan))
    assert math.isnan(elementary.expm1(math.nan))


@pytest.mark.parametrize("x", [0.0, -1.0, math.inf, -math.inf, math.nan])
def test_what_has_no_logarithm_is_an_error(x: float) -> None:
    with pytest.raises(ValueError, match="has no logarithm"):
        elementary.log(x)


def test_a_machine_that_rounds_once_more_finds_the_same_bits() -> None:
    if why := why_not_plainer():
        pytest.skip(why)
    assert output_of(BITS, **PLAINER) == output_of(BITS)

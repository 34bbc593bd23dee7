"""A day of usage as one number: its data level against decimals of many digits."""

from decimal import ROUND_FLOOR, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.events import INT53_MAX
from streams.core.subscriber.usage_days import LEVEL_MAX, data_level

DIGITS = 60
MEGABYTE = 10**6


def exact_level(data_bytes: int) -> int:
    """Return eight times the binary logarithm of 1 + megabytes, rounded, at most 255."""
    with localcontext(prec=DIGITS):
        eighths = 8 * (1 + Decimal(data_bytes) / MEGABYTE).ln() / Decimal(2).ln()
        return min(int((eighths + Decimal("0.5")).to_integral_value(ROUND_FLOOR)), LEVEL_MAX)


def first_of(level: int) -> int:
    """Return the fewest bytes that are nearer to a level than to the one below it, within a byte."""
    with localcontext(prec=DIGITS):
        return int(MEGABYTE * (((2 * level - 1) * Decimal(2).ln() / 16).exp() - 1))


@pytest.mark.parametrize("level", range(1, LEVEL_MAX + 1))
def test_a_level_begins_at_the_byte_at_which_the_logarithm_is_rounded_to_it(level: int) -> None:
    least = first_of(level)
    for data_bytes in range(least - 2, least + 3):
        assert data_level(data_bytes) == exact_level(data_bytes)
    assert (data_level(least), data_level(least + 1)) == (level - 1, level)


@given(st.integers(0, INT53_MAX) | st.integers(0, 10**9))
def test_the_level_is_eight_times_the_binary_logarithm_of_the_megabytes_and_one_more(data_bytes: int) -> None:
    assert data_level(data_bytes) == exact_level(data_bytes)


def test_a_day_without_data_has_the_level_0() -> None:
    assert data_level(None) == data_level(0) == 0

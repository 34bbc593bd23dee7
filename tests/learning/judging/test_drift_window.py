"""The adaptive window over days: it sees a change when River's ADWIN does, and is quiet where there is none."""

from math import log
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.drift import ADWIN

from streams.learning.judging.drift_window import (
    CONFIDENCE,
    DAYS_MAX,
    LOSS_MAX,
    MILLI,
    Cut,
    Day,
    DriftWindow,
    cut_of,
    milli,
)

EXAMPLES = 300
"""Each day."""
SERVED = 0.02
"""The probability that is served for everybody, whatever happens."""


def losses(seed: int, rates: list[float]) -> list[list[float]]:
    """Return the log losses of each day's examples; somebody leaves with the day's rate."""
    draw = Random(seed).random
    return [[-log(SERVED if draw() < rate else 1.0 - SERVED) for _ in range(EXAMPLES)] for rate in rates]


def summed(day: list[float]) -> Day:
    bounded = [milli(loss) for loss in day]
    return len(bounded), sum(bounded), sum(one * one for one in bounded)


def cuts(days: list[list[float]]) -> dict[int, Cut]:
    """Return the cuts by the day on which they were found."""
    window = DriftWindow()
    return {number: cut for number, day in enumerate(days) if (cut := window.add(summed(day)))}


def by_river(days: list[list[float]]) -> list[int]:
    """Return the days on which River's ADWIN, fed with the same losses one by one, finds a change."""
    adwin: Any = ADWIN(delta=CONFIDENCE)  # type: ignore[no-untyped-call]  # River's own is untyped
    found: list[int] = []
    for number, day in enumerate(days):
        for loss in day:
            adwin.update(loss / LOSS_MAX)
            if adwin.drift_detected and number not in found:
                found.append(number)
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("before", "after"), [(0.02, 0.04), (0.02, 0.032), (0.04, 0.02)])
def test_a_change_is_seen_when_rivers_adwin_sees_it(seed: int, before: float, after: float) -> None:
    days = losses(seed, [before] * 60 + [after] * 60)
    (first, cut), *_ = cuts(days).items()
    river = next(day for day in by_river(days) if day >= 60)
    assert 60 <= first <= river + 14
    assert (cut.after > cut.before) == (after > before)


@pytest.mark.parametrize("seed", range(20))
def test_where_nothing_changes_nothing_is_cut(seed: int) -> None:
    assert cuts(losses(seed, [0.02] * 200)) == {}


def test_a_cut_forgets_what_lay_before_it_and_the_next_change_is_measured_from_there() -> None:
    window = DriftWindow()
    found = [window.add(summed(day)) for day in losses(1, [0.02] * 60 + [0.05] * 40 + [0.02] * 40)]
    rise, fall = [cut for cut in found if cut is not None]
    assert rise.after > rise.before
    assert fall.after < fall.before
    at_five_percent = 0.05 * -log(SERVED) + 0.95 * -log(1.0 - SERVED)
    assert fall.before == pytest.approx(at_five_percent, rel=0.1)
    assert len(window.days) < 60


def test_a_window_holds_a_year_at_most() -> None:
    window = DriftWindow()
    for _ in range(DAYS_MAX + 50):
        assert window.add((10, 10 * 80, 10 * 6_400)) is None
    assert len(window.days) == DAYS_MAX


def test_one_day_has_no_two_sides() -> None:
    assert cut_of([]) is None
    assert cut_of([(1, 7_000, 49_000_000)]) is None


def test_a_loss_without_bound_counts_as_the_greatest() -> None:
    assert milli(-log(1e-15)) == round(LOSS_MAX * MILLI)


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 7_000)), max_size=30), st.integers(0, 30))
def test_a_window_goes_on_after_its_state_was_written_as_if_it_had_not_been(
    days: list[tuple[int, int]], at: int
) -> None:
    whole, parted = DriftWindow(), DriftWindow()
    for number, (count, each) in enumerate(days):
        day = (count, count * each, count * each * each)
        if number == at:
            parted = msgspec.json.decode(msgspec.json.encode(parted), type=DriftWindow)
        assert whole.add(day) == parted.add(day)
    assert whole == parted

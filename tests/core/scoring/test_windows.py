"""Window sums against the list of events, day by day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.events import Body
from streams.core.scoring.windows import band_of, complaints_70, measure
from streams.core.subscriber.facts import Facts
from streams.core.subscriber.state import USAGE_DAYS
from streams.core.times import DAY_MS
from tests.core import naive
from tests.core.makers import BANDS, at, call_drop, complaint, facts_of, top_up, usage
from tests.core.strategies import modest, reached

WAITS = (0, 1, 7, 8, 14, 15, 28, 29, 30, 31, 60, 61, 70, 71)
Story = tuple[list[Body], Facts]


@modest(65)
@given(reached(), st.integers(0, 100 * DAY_MS) | st.sampled_from([n * DAY_MS for n in WAITS]))
def test_every_window_equals_the_sum_over_the_events_of_its_days(story: Story, wait_ms: int) -> None:
    bodies, facts = story
    at_ms = facts.newest_ms + wait_ms
    measured = measure(facts, at_ms, BANDS)
    history = naive.History(bodies)
    expected = naive.windows(history, at_ms, BANDS)
    if facts.profile is not None and history.profile_times.count(facts.profile.at_ms) > 1:
        for name in ("revenue_30", "revenue_30_before", "band", "band_before"):  # Which of equal times wins is free.
            del expected[name]
    assert {name: getattr(measured, name) for name in expected} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("age_days", "windows"), [(0, {14, 30}), (14, {14, 30}), (15, {30}), (30, {30}), (31, set())])
def test_a_top_up_counts_in_the_windows_that_reach_its_day(age_days: int, windows: set[int]) -> None:
    measured = measure(facts_of(top_up(at(0))), at(age_days), BANDS)
    assert {n for n in (14, 30) if getattr(measured, f"top_ups_{n}")} == windows


@pytest.mark.parametrize(
    ("age_days", "windows"),
    [(14, set()), (15, {14}), (28, {14}), (29, set()), (30, set()), (31, {30}), (60, {30}), (61, set())],
)
def test_the_window_before_begins_where_the_window_ends(age_days: int, windows: set[int]) -> None:
    measured = measure(facts_of(top_up(at(0))), at(age_days), BANDS)
    assert {n for n in (14, 30) if getattr(measured, f"top_ups_{n}_before")} == windows


def test_a_usage_day_is_the_day_that_its_summary_covers_not_the_one_it_ends_on() -> None:
    facts = facts_of(usage(at(1), voice_s=70))
    assert measure(facts, at(7, 23), BANDS).voice_7 == 70
    assert measure(facts, at(8), BANDS).voice_7 == 0


@pytest.mark.parametrize("days_back", range(11))
def test_windows_seen_from_before_the_newest_usage_day_leave_out_the_days_after(days_back: int) -> None:
    facts = facts_of(*(usage(at(day), event_id=f"u{day}", voice_s=1) for day in range(1, 41)))
    measured = measure(facts, at(39 - days_back), BANDS)
    assert (measured.voice_7, measured.voice_14, measured.active_14) == (8, 15, 15)


def test_usage_is_forgotten_once_its_buckets_are_out_of_reach() -> None:
    facts = facts_of(usage(at(1)))
    measured = measure(facts, at(USAGE_DAYS), BANDS)
    assert (measured.voice_30, measured.active_14) == (0, 0)


def test_failed_calls_older_than_30_days_are_in_no_window() -> None:
    facts = facts_of(call_drop(at(0)), call_drop(at(0, 1), kind="blocked"), call_drop(at(30)))
    measured = measure(facts, at(31), BANDS)
    assert (measured.drops_7, measured.drops_30, measured.unset_30) == (1, 1, 0)


def test_complaints_of_70_days_are_counted_even_where_nothing_came_since_to_prune_the_older_ones() -> None:
    facts = facts_of(complaint(at(0)), complaint(at(10)))
    assert [complaints_70(facts, at(day) // DAY_MS) for day in (10, 70, 71, 80, 81)] == [2, 2, 1, 1, 0]


@given(st.integers(0, 10_000))
def test_a_value_band_begins_at_its_edge(revenue_minor: int) -> None:
    assert band_of(revenue_minor, BANDS) == sum(revenue_minor >= edge for edge in BANDS)

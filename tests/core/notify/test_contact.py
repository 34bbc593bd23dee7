"""Rules of contact: how they are read, whose day it is, and when hours are quiet."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.core.notify.contact import (
    ContactError,
    ContactRules,
    Manager,
    after_quiet_hours,
    capacity_of,
    concerns,
    cools_down,
    day_of,
    rank_of,
    rules_from,
)
from streams.core.notify.endpoints import Filter, QuietHours
from streams.core.times import DAY_MS, HOUR_MS
from tests.sink.alerts_told import told


def test_rules_are_laid_over_one_another_and_managers_are_added_up() -> None:
    first = {"cool_down_days": 3, "managers": {"a": {"email": "a@example.net"}, "b": {}}}
    rules = rules_from([first, {"capacity_per_day": 9}, {"managers": {"b": {"capacity_per_day": 2}}}])
    assert (rules.cool_down_days, rules.capacity_per_day) == (3, 9)
    assert rules.managers == {"a": Manager(email="a@example.net"), "b": Manager(capacity_per_day=2)}
    assert rules_from([]) == ContactRules()


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"cool_down": 3}, "unknown field `cool_down`"),
        ({"cool_down_days": -1}, r"\$.cool_down_days"),
        ({"managers": 7}, r"\$.managers"),
        (
            {"managers": {"a": {"time_zone": "Mars/Olympus"}}},
            "managers.a.time_zone: there is no time zone 'Mars/Olympus'",
        ),
        ({"managers": {"a": {"language": "fr"}}}, r"\$.managers\[...\].language"),
    ],
)
def test_bad_rules_are_refused_with_what_is_wrong(tree: dict[str, object], problem: str) -> None:
    with pytest.raises(ContactError, match=problem):
        rules_from([{}, tree])


def test_a_managers_own_capacity_comes_before_that_of_all() -> None:
    rules = ContactRules(capacity_per_day=5, managers={"a": Manager(capacity_per_day=0), "b": Manager()})
    assert [capacity_of(rules, one) for one in ("a", "b", "c", None)] == [0, 5, 5, None]
    assert capacity_of(ContactRules(), "a") is None


def test_a_day_begins_where_the_manager_is() -> None:
    rules = ContactRules(managers={"west": Manager(time_zone="America/New_York")})
    assert [day_of(rules, "west", hour * HOUR_MS) for hour in (0, 4, 5, 29)] == [-1, -1, 0, 1]
    assert [day_of(rules, "nobody", hour * HOUR_MS) for hour in (0, 23, 24)] == [0, 0, 1]


def test_an_endpoint_is_concerned_by_all_that_it_asked_for_together() -> None:
    one = told(1, band="high", value_band="mid", kind="natural", account_manager_id="m")
    asked = Filter(min_band="high", value_bands=("mid",), kinds=("natural",), account_managers=("m",))
    assert concerns(Filter(), one)
    assert concerns(asked, one)
    for other in ({"band": "medium"}, {"value_band": "low"}, {"kind": "involuntary"}, {"account_manager_id": None}):
        assert not concerns(asked, replace(one, **other))


def test_what_is_at_stake_is_probability_times_value_and_all_of_it_for_who_has_asked_to_leave() -> None:
    assert rank_of(told(1, probability=0.5, value_at_risk_minor=300)) == 150.0
    assert rank_of(told(1, probability=0.5, value_at_risk_minor=300, stage="lapsed")) == 150.0
    assert rank_of(told(1, probability=0.5, value_at_risk_minor=300, stage="requested")) == 300.0


def test_an_endpoint_may_ask_for_stages_and_no_band_bars_a_request() -> None:
    risky, asking = told(1, band="low"), told(1, band="low", stage="requested")
    assert [concerns(Filter(stages=("requested", "lapsed")), one) for one in (risky, asking)] == [False, True]
    assert [concerns(Filter(min_band="high"), one) for one in (risky, asking)] == [False, True]


def test_a_cool_down_counts_both_ways_and_can_be_none() -> None:
    rules = ContactRules(cool_down_days=2)
    assert [cools_down(rules, 10 * DAY_MS, day * DAY_MS) for day in (8, 9, 10, 11, 12)] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert not cools_down(ContactRules(cool_down_days=0), 0, 0)


@pytest.mark.parametrize(
    ("begins", "ends", "at", "until"),
    [
        ("21:00", "08:00", "2024-05-01T20:59", "2024-05-01T20:59"),
        ("21:00", "08:00", "2024-05-01T21:00", "2024-05-02T08:00"),
        ("21:00", "08:00", "2024-05-02T07:59", "2024-05-02T08:00"),
        ("21:00", "08:00", "2024-05-02T08:00", "2024-05-02T08:00"),
        ("12:30", "14:00", "2024-05-01T13:00", "2024-05-01T14:00"),
        ("12:30", "14:00", "2024-05-01T12:29", "2024-05-01T12:29"),
        ("09:00", "09:00", "2024-05-01T09:00", "2024-05-01T09:00"),
        # The nights in which clocks are changed.
        ("21:00", "08:00", "2024-03-30T23:00", "2024-03-31T08:00"),
        ("21:00", "08:00", "2024-10-26T23:00", "2024-10-27T08:00"),
    ],
)
def test_quiet_hours_end_by_the_clock_of_the_place(begins: str, ends: str, at: str, until: str) -> None:
    zone = ZoneInfo("Europe/Zurich")

    def ms(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)

    quiet = QuietHours(begins=begins, ends=ends, time_zone="Europe/Zurich")
    assert after_quiet_hours(quiet, ms(at)) == ms(until)


def test_without_quiet_hours_nothing_waits() -> None:
    assert after_quiet_hours(None, 7) == 7


CLOCKS = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))


@given(CLOCKS, CLOCKS, st.sampled_from(("UTC", "Europe/Zurich", "Asia/Kathmandu")), st.integers(0, 2 * 10**12))
def test_what_waits_waits_for_less_than_a_day_and_not_again(begins: str, ends: str, zone: str, at_ms: int) -> None:
    quiet = QuietHours(begins=begins, ends=ends, time_zone=zone)
    until_ms = after_quiet_hours(quiet, at_ms)
    assert at_ms <= until_ms <= at_ms + 25 * HOUR_MS
    assert until_ms == at_ms or after_quiet_hours(quiet, until_ms) == until_ms

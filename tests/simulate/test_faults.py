from collections import Counter

import pytest

from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.events import Event
from streams.core.times import DAY_MS
from streams.simulate import Simulation, draw_chunks, events_of
from streams.simulate.faults import DAMAGES, damage_line
from streams.simulate.world import build_world
from tests.simulate.writing import TOPICS, SimulatedFolder

LINE = b'{"event_id":"a","event_time":"2024-01-01T00:00:00Z","subscriber_id":"s_00000000000000000000000000000000"}'


def test_each_fault_strikes_at_its_rate(rough: SimulatedFolder) -> None:
    events = sum(rough.report.events.values())
    for fault in ("late", "duplicated", "reordered", "malformed"):
        wanted = getattr(rough.settings, fault)
        assert rough.report.faults[fault] / events == pytest.approx(wanted, rel=0.15), fault


def test_no_good_record_is_ever_lost(rough: SimulatedFolder) -> None:
    (chunk,) = draw_chunks(rough.settings, build_world(rough.settings))
    made = {event.body.event_id for day in events_of(chunk, 0) for event in day}
    read = {event.body.event_id for topic in TOPICS for event in rough.events(topic)}
    assert read >= made
    assert len(made) == sum(rough.report.events.values())


def test_what_is_damaged_is_refused_or_lies_in_the_year_2100(rough: SimulatedFolder) -> None:
    items = [item for topic in TOPICS for item in rough.decoded(topic)]
    letters = Counter(item.reason for item in items if isinstance(item, DeadLetter))
    assert letters.total() == rough.report.faults["malformed"]
    assert set(letters) == {"not_json", "missing_field", "unknown_field", "wrong_type", "bad_time", "future_time"}


def test_duplicates_are_the_same_record_again(rough: SimulatedFolder) -> None:
    ids = Counter(event.body.event_id for topic in TOPICS for event in rough.events(topic))
    assert ids.total() - len(ids) == rough.report.faults["duplicated"]
    assert set(ids.values()) == {1, 2}


def test_late_records_are_behind_by_days_and_some_by_more_than_a_week(rough: SimulatedFolder) -> None:
    behind_days = list[float]()
    for topic in TOPICS:
        newest_ms = 0
        for event in rough.events(topic):
            newest_ms = max(newest_ms, event.at_ms)
            behind_days.append((newest_ms - event.at_ms) / DAY_MS)
    late = [days for days in behind_days if days > 1.0]
    assert rough.report.faults["late"] * 0.5 < len(late) < rough.report.faults["late"] * 1.2
    assert any(days > 7.0 for days in late)
    assert max(late) < 12.5


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("where", [0.0, 0.5, 0.99])
def test_a_damaged_line_is_one_line_and_not_the_good_one(damage: str, where: float) -> None:
    line = damage_line(LINE, damage, where)
    assert line
    assert line != LINE
    assert b"\n" not in line


@pytest.mark.slow
def test_without_faults_records_and_events_are_the_same(clean: SimulatedFolder) -> None:
    assert all(isinstance(item, Event) for topic in TOPICS for item in clean.decoded(topic))
    assert Simulation(late=0).late == 0

"""What the simulated operator publishes about its market: what the world does, no sooner than it could be known."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from streams.core.contracts.decode import decode_broadcast
from streams.core.contracts.events import MARKET, BroadcastEvent, MarketEvent, Record
from streams.core.subscriber.state import Profile
from streams.core.times import DAY_MS, UNSET_MS
from streams.simulate import Simulation, operator, simulate
from streams.simulate.market import market_events
from streams.simulate.world import World, build_world
from tests.core.makers import at_ms_of, market_of, moment
from tests.simulate.writing import CLEAN, END_MS, SimulatedFolder, lines_of

YEAR = Simulation(subscribers=40, days=400, seed=3, late=0, duplicated=0, reordered=0, malformed=0)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(YEAR)


@pytest.mark.slow
def test_every_line_is_read_by_the_contract_in_the_order_of_publication(clean: SimulatedFolder) -> None:
    lines = lines_of(clean.out, MARKET)
    notices = [decode_broadcast(Record(MARKET, 0, n, line, END_MS)) for n, line in enumerate(lines)]
    read = [notice.body for notice in notices if isinstance(notice, BroadcastEvent)]
    assert len(read) == len(lines) == clean.report.market_events > 4
    assert read == [msgspec.convert(msgspec.to_builtins(e), MarketEvent) for e in market_events(build_world(CLEAN))]
    assert [at_ms_of(e) for e in read] == sorted(at_ms_of(e) for e in read)


def test_publishing_changes_nothing_else_that_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Simulation(subscribers=120, days=25, seed=3)
    simulate(settings, tmp_path / "with")
    monkeypatch.setattr(operator, "market_events", lambda _: [])
    simulate(settings, tmp_path / "without")
    names = {path.name for path in (tmp_path / "with").iterdir()}
    assert names - {path.name for path in (tmp_path / "without").iterdir()} == {f"{MARKET}.jsonl"}
    for name in names - {f"{MARKET}.jsonl"}:
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes(), name


def test_without_drift_nothing_happens_and_an_earlier_file_is_gone(tmp_path: Path) -> None:
    simulate(Simulation(subscribers=20, days=25), tmp_path)
    assert (tmp_path / f"{MARKET}.jsonl").exists()
    report = simulate(Simulation(subscribers=20, days=25, drift=False), tmp_path)
    assert report.market_events == 0
    assert not (tmp_path / f"{MARKET}.jsonl").exists()


def test_the_promotion_and_the_outage_are_those_of_the_world_and_known_once_they_began(world: World) -> None:
    published = market_events(world)
    for kind, (first, last, areas) in (("competitor_promotion", world.promotion), ("outage", world.outage)):
        begun, ended = (event for event in published if event.entry_type == kind)
        assert world.day_ms(first) < at_ms_of(begun) < world.day_ms(first) + DAY_MS
        assert begun.valid_to is None
        assert ended.valid_from == begun.valid_from == moment(world.day_ms(first))
        assert ended.valid_to == moment(world.day_ms(last + 1))
        assert (begun.revision, ended.revision) == (0, 1)
        assert set(ended.area_ids) == {name for name, hit in zip(world.area_ids, areas, strict=True) if hit}
    assert [e.confidence for e in published if e.entry_type == "competitor_promotion"] == ["reported", "confirmed"]


def test_school_is_out_on_just_the_days_on_which_students_are_away(world: World) -> None:
    market = market_of(*market_events(world))
    student = msgspec.structs.replace(_profile(), segment=1)
    exams = {(1, day) for day in range(2, 13)} | {(6, day) for day in range(20, 31)} | {(7, day) for day in range(1, 6)}
    for day in range(world.days):
        at_ms = world.day_ms(day) + DAY_MS // 2
        today = datetime.fromtimestamp(at_ms / 1000, UTC)
        is_away = world.campus_use(day) < 1.0 and (today.month, today.day) not in exams
        assert market.at(at_ms)[0].seen(student, at_ms).school_out == is_away, today


def _profile() -> Profile:
    return Profile(UNSET_MS, 0, 0, 0, 0, "CNY", UNSET_MS, UNSET_MS, 0, None, None, None)


def test_the_calendar_is_known_two_months_ahead_or_from_the_beginning(world: World) -> None:
    for event in market_events(world):
        if event.source == "calendar":
            ahead_ms = at_ms_of(msgspec.structs.replace(event, event_time=event.valid_from)) - at_ms_of(event)
            assert at_ms_of(event) == world.start_ms or ahead_ms == 60 * DAY_MS

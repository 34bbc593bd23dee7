from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.events import Event, Usage
from streams.shared.compression import Compression
from streams.shared.errors import InputError, SettingsError
from streams.simulate import Simulation, chunk_count, draw_chunk, draw_chunks, events_of, simulate
from streams.simulate.chunk import CHUNK_SUBSCRIBERS
from streams.simulate.world import build_world
from tests.simulate.writing import CLEAN, TOPICS, SimulatedFolder, written

SMALL = Simulation(subscribers=120, days=25, seed=3)


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.mark.parametrize("compression", ["none", "gz", "zst"])
def test_the_same_settings_write_the_same_bytes(tmp_path: Path, compression: Compression) -> None:
    settings = Simulation(subscribers=120, days=25, seed=3, malformed=0.01, compression=compression)
    first, second = written(tmp_path / "a", settings), written(tmp_path / "b", settings)
    assert files(first.out) == files(second.out)
    assert set(files(first.out)) >= {"truth.jsonl", "truth-probabilities.jsonl"}


def test_another_seed_is_another_operator(tmp_path: Path) -> None:
    simulate(SMALL, tmp_path / "a")
    simulate(Simulation(subscribers=120, days=25, seed=4), tmp_path / "b")
    a, b = files(tmp_path / "a"), files(tmp_path / "b")
    assert all(a[name] != b[name] for name in a if a[name])


@pytest.mark.slow
def test_every_line_is_read_by_the_contract_when_nothing_is_malformed(clean: SimulatedFolder) -> None:
    letters = [item for topic in TOPICS for item in clean.decoded(topic) if isinstance(item, DeadLetter)]
    assert letters == []


def test_the_report_counts_what_was_written(clean: SimulatedFolder) -> None:
    assert clean.report.events == {topic: len(clean.lines(topic)) for topic in TOPICS}
    assert clean.report.records == sum(clean.report.events.values())
    assert clean.report.bytes_written == sum(len(content) for content in files(clean.out).values())
    assert clean.report.faults == {}
    assert clean.report.events_per_s > 0


@pytest.mark.slow
def test_event_ids_are_unique_in_each_topic(clean: SimulatedFolder) -> None:
    for topic in TOPICS:
        ids = [event.body.event_id for event in clean.events(topic)]
        assert len(ids) == len(set(ids)), topic


def test_files_are_in_order_of_event_time_when_nothing_is_late(clean: SimulatedFolder) -> None:
    for topic in TOPICS:
        times = [event.at_ms for event in clean.events(topic)]
        assert times == sorted(times), topic


def test_usage_agrees_with_the_failed_calls_that_it_counts(clean: SimulatedFolder) -> None:
    failed = sum(
        (usage.voice_dropped or 0) + (usage.voice_setup_failed or 0)
        for event in clean.events("usage")
        if isinstance(usage := event.body, Usage)
    )
    assert failed == len(clean.lines("call-drops"))


@pytest.mark.slow
def test_the_same_events_come_out_in_process_and_in_files(clean: SimulatedFolder) -> None:
    (chunk,) = draw_chunks(CLEAN, build_world(CLEAN))
    by_id = {event.body.event_id: event.body for day in events_of(chunk, 0) for event in day}
    read = {event.body.event_id: event.body for topic in TOPICS for event in clean.events(topic)}
    assert by_id == read


def test_in_process_events_are_ordered_and_their_offsets_count_up() -> None:
    chunk = draw_chunk(SMALL, build_world(SMALL), 0)
    latest_ms, offsets = 0, dict[int, int]()
    for day in events_of(chunk, 0):
        for event in day:
            assert type(event) is Event
            assert event.at_ms >= latest_ms
            assert event.offset == offsets.get(event.source, -1) + 1
            latest_ms, offsets[event.source] = event.at_ms, event.offset


def test_a_chunk_can_be_drawn_without_those_before_it() -> None:
    settings = Simulation(subscribers=CHUNK_SUBSCRIBERS + 50, days=10, seed=3)
    world = build_world(settings)
    assert chunk_count(settings) == 2
    alone = [event for day in events_of(draw_chunk(settings, world, 1), 1) for event in day]
    in_turn = [event for day in events_of(list(draw_chunks(settings, world))[1], 1) for event in day]
    assert alone == in_turn
    assert len(alone) > 50


def test_several_chunks_are_written_in_order_of_arrival(tmp_path: Path) -> None:
    settings = Simulation(
        subscribers=CHUNK_SUBSCRIBERS + 500, days=3, seed=3, late=0, duplicated=0, reordered=0, malformed=0
    )
    wrote = written(tmp_path, settings)
    times = [event.at_ms for event in wrote.events("call-drops")]
    assert times == sorted(times)
    assert len(wrote.truths()) == settings.subscribers


def test_progress_is_told_after_every_day(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    simulate(SMALL, tmp_path, lambda day, days: told.append((day, days)))
    assert told == [(day, 25) for day in range(1, 26)]


def test_an_earlier_simulation_is_replaced_whatever_its_compression(tmp_path: Path) -> None:
    simulate(Simulation(subscribers=50, days=5, compression="gz"), tmp_path)
    simulate(Simulation(subscribers=50, days=5), tmp_path)
    assert not list(tmp_path.glob("*.gz"))


def test_a_folder_with_somebodys_own_topics_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "usage.jsonl").write_text("{}")
    with pytest.raises(InputError, match="which no simulation wrote"):
        simulate(SMALL, tmp_path)
    assert (tmp_path / "usage.jsonl").read_text() == "{}"


def test_a_file_in_the_folders_place_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="name another one"):
        simulate(SMALL, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subscribers": 0}, "subscribers is 0, and should be from 1"),
        ({"days": 0}, "days is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"late": 0.6}, "late is 0.6, and should be a share"),
        ({"start": datetime(2024, 1, 1)}, "start has no time zone"),  # noqa: DTZ001
        ({"start": datetime(2024, 1, 1, 5, tzinfo=UTC)}, "should be a midnight"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Simulation(**change)  # type: ignore[arg-type]  # Wrong values are what is tested.


def test_a_start_in_another_time_zone_is_taken_if_it_is_midnight_in_utc() -> None:
    east = timezone(timedelta(hours=8))
    assert Simulation(start=datetime(2024, 1, 1, 8, tzinfo=east)).start_ms == Simulation().start_ms


@pytest.mark.parametrize(("subscribers", "days"), [(1, 1), (1, 40), (7, 3)])
def test_the_smallest_operators_work(tmp_path: Path, subscribers: int, days: int) -> None:
    wrote = written(tmp_path, Simulation(subscribers=subscribers, days=days))
    assert len(wrote.truths()) == subscribers

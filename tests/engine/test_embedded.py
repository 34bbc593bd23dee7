"""The embedded runner: stopped and resumed, fed more, in any packing and any process, it ends with the same alerts."""

import gzip
import io
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from streams.app import policies, progress
from streams.core.contracts.decode import decode
from streams.core.contracts.events import INPUTS, MARKET, Event, MarketEvent
from streams.core.contracts.source import topic_name
from streams.core.subscriber.packing import unpack, unpack_whole
from streams.core.subscriber.snapshots import pack_apart
from streams.core.times import DAY_MS
from streams.files.sources import discover, merge_sources
from streams.learning.trainer import Trainer
from streams.store.base.connections import upgrade
from tests.core import makers
from tests.engine.operators import (
    LIVELY,
    WITHOUT_STAGES,
    as_before,
    checkpoint_of,
    contents,
    differing,
    run,
    snapshots_in,
    write_operator,
)

START_MS = 1_704_067_200_000
TOPICS = [*INPUTS, MARKET]


def day(number: float) -> int:
    return START_MS + round(number * DAY_MS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_operator(tmp_path_factory.mktemp("operator") / "events", subscribers=80, days=80, seed=5)


@pytest.fixture(scope="module")
def straight(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one run over everything leaves behind."""
    db = tmp_path_factory.mktemp("straight") / "run.db"
    run(folder, db)
    found = contents(db)
    assert len(found["alerts"]) > 30
    assert len(found["models"]) > 1
    return found


def lines_of(folder: Path) -> dict[str, list[bytes]]:
    return {topic: (folder / f"{topic}.jsonl").read_bytes().splitlines(keepends=True) for topic in TOPICS}


def copy_of(folder: Path, to: Path, lines: dict[str, list[bytes]]) -> Path:
    """Write lines as a folder with the same policy."""
    to.mkdir(exist_ok=True)
    for topic, written in lines.items():
        (to / f"{topic}.jsonl").write_bytes(b"".join(written))
    (to / policies.DATASET_FILE).write_text((folder / policies.DATASET_FILE).read_text())
    return to


def begun_before(db: Path, folder: Path) -> dict[tuple[str, int], bytes]:
    """Make a database of version 4 with the first 45 days of a folder, and return the snapshots that wait in it.

    The version that it is of has made it, with `run(folder, db, until_ms=day(45))`, and its states have their snapshots
    in themselves.
    """
    text = gzip.decompress(Path(__file__).with_name("released").joinpath("v4.run.sql.gz").read_bytes()).decode()
    with closing(sqlite3.connect(db)) as connection:
        connection.executescript(text)
        connection.execute("UPDATE run SET input = ?", [str(folder.resolve())])
        connection.commit()
        states = connection.execute("SELECT subscriber_id, body FROM states").fetchall()
    assert upgrade(str(db)) == 4
    return {(who, one.at_ms): pack_apart(one) for who, packed in states for one in unpack_whole(packed)[1]}


def test_a_run_that_had_its_snapshots_in_its_states_goes_on_and_ends_as_a_straight_one(tmp_path: Path) -> None:
    folder = write_operator(tmp_path / "events", subscribers=16, days=70, seed=5, policy=WITHOUT_STAGES)
    before, straight = tmp_path / "before.db", tmp_path / "straight.db"
    old = begun_before(before, folder)
    assert len(old) > 16
    trained = checkpoint_of(before).trainer
    assert trained is not None
    with as_before(Trainer.restore(trained)):
        run(folder, straight, until_ms=day(45))
        assert old.keys() == {(who, at_ms) for who, at_ms, _ in snapshots_in(straight)}
        run(folder, straight)
    assert run(folder, before).resumed
    one, other = contents(straight), contents(before)
    assert [(p.example_id, p.kind) for p in one["predictions"]] == [
        (p.example_id, p.kind) for p in other["predictions"]
    ]
    assert [alert.latest.transition_id for alert in one["alerts"]] == [a.latest.transition_id for a in other["alerts"]]
    assert [name for name, _ in one["states"]] == [name for name, _ in other["states"]]
    assert [row[:2] for row in one["snapshots"]] == [row[:2] for row in other["snapshots"]]
    kept = {(who, at_ms): body for who, at_ms, body in other["snapshots"]}
    assert all(old[key] == kept[key] for key in old.keys() & kept.keys())


@pytest.mark.slow
@pytest.mark.parametrize("stops", [[day(41)], [day(3.1), day(30) + 1, day(30.5), day(77)]])
def test_a_run_stopped_at_a_time_and_taken_up_again_equals_a_straight_one(
    folder: Path, straight: dict[str, Any], tmp_path: Path, stops: list[int]
) -> None:
    db = tmp_path / "run.db"
    resumed = [run(folder, db, until_ms=at_ms).resumed for at_ms in stops]
    resumed.append(run(folder, db).resumed)
    assert resumed == [False, *[True] * len(stops)]
    assert differing(straight, contents(db)) == []


@pytest.mark.slow
def test_a_run_until_a_time_takes_nothing_from_that_time_on_and_wakes_everybody_due_by_then(
    folder: Path, tmp_path: Path
) -> None:
    at_ms, db = day(50.5), tmp_path / "run.db"
    run(folder, db, until_ms=at_ms)
    found = contents(db)
    states = {name: unpack(packed) for name, packed in found["states"]}
    assert found["stream time"] == at_ms
    assert max(state.facts.newest_ms for state in states.values()) < at_ms
    assert all(position.last_ms < at_ms for position in found["positions"].values())
    assert min(state.watch.next_wake_ms for state in states.values() if state.watch.next_wake_ms) > at_ms


@pytest.mark.slow
def test_a_run_until_after_the_end_lets_that_time_pass_once(folder: Path, tmp_path: Path) -> None:
    at_once, in_steps = tmp_path / "once.db", tmp_path / "steps.db"
    run(folder, at_once, until_ms=day(120))
    for at_ms in (None, day(90), day(120), day(85), None):
        run(folder, in_steps, until_ms=at_ms)
    assert contents(at_once)["stream time"] == day(120)
    assert differing(contents(at_once), contents(in_steps)) == []


@pytest.mark.slow
def test_stopping_at_every_day_of_a_month_changes_nothing(
    folder: Path, straight: dict[str, Any], tmp_path: Path
) -> None:
    db = tmp_path / "run.db"
    for number in range(25, 56):
        run(folder, db, until_ms=day(number))
    run(folder, db)
    assert differing(straight, contents(db)) == []


@pytest.mark.slow
def test_running_again_with_nothing_new_changes_nothing(folder: Path, straight: dict[str, Any], tmp_path: Path) -> None:
    db = tmp_path / "run.db"
    first = run(folder, db)
    again = run(folder, db)
    assert differing(straight, contents(db)) == []
    assert again.resumed
    assert again.events_per_s == 0.0
    same = {name: value for name, value in msgspec.structs.asdict(first).items() if name not in {
        "elapsed_s", "events_per_s", "resumed",
    }}  # fmt: skip
    assert {name: getattr(again, name) for name in same} == same


@pytest.mark.slow
@pytest.mark.parametrize("at_day", [20, 47])
def test_files_that_grew_are_read_on_from_where_they_ended(
    folder: Path, straight: dict[str, Any], tmp_path: Path, at_day: int
) -> None:
    """Everything that had arrived by one moment was there at first; the rest is appended later."""
    sources = discover(str(folder))
    whole, first = lines_of(folder), dict.fromkeys(TOPICS, 0)
    merge = merge_sources(sources, {}, day(4_000), decode)
    for item in merge:
        if isinstance(item, Event) and item.at_ms >= day(at_day):
            merge.put_back()
            break
    for source in sources:
        assert source.topic is not None
        first[source.topic] = merge.positions()[source.name].next_offset
    merge.close()
    published = [msgspec.json.decode(line, type=MarketEvent) for line in whole[MARKET]]
    first[MARKET] = sum(makers.at_ms_of(one) < day(at_day) for one in published)

    growing, db = tmp_path / "growing", tmp_path / "run.db"
    copy_of(folder, growing, {topic: whole[topic][: first[topic]] for topic in TOPICS})
    run(growing, db)
    assert 0 < checkpoint_of(db).stream_ms < day(at_day)
    copy_of(folder, growing, whole)
    assert run(growing, db).resumed
    assert differing(straight, contents(db)) == []


@pytest.mark.slow
def test_a_last_line_without_its_end_is_read_once(folder: Path, straight: dict[str, Any], tmp_path: Path) -> None:
    lines = lines_of(folder)
    for written in lines.values():
        written[-1] = written[-1].rstrip(b"\n")
    db = tmp_path / "run.db"
    run(copy_of(folder, tmp_path / "events", lines), db)
    run(tmp_path / "events", db)
    assert differing(straight, contents(db)) == []


@pytest.mark.slow
def test_two_runs_leave_the_same_behind_to_the_last_bit(folder: Path, straight: dict[str, Any], tmp_path: Path) -> None:
    run(folder, tmp_path / "run.db")
    again = contents(tmp_path / "run.db")
    assert differing(straight, again) == []
    packed = [msgspec.msgpack.encode(sorted((k, v) for k, v in found.items())) for found in (straight, again)]
    assert packed[0] == packed[1]


@pytest.mark.slow
def test_the_size_of_a_commit_changes_nothing(
    folder: Path, straight: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.engine.embedded.PROGRESS_RECORDS", 37)
    run(folder, tmp_path / "run.db", commit_records=100)
    assert differing(straight, contents(tmp_path / "run.db")) == []


@pytest.mark.slow
def test_the_seed_of_pythons_hashes_changes_nothing(folder: Path, straight: dict[str, Any], tmp_path: Path) -> None:
    for seed in ("0", "1", "4294967295"):
        db = tmp_path / f"{seed}.db"
        code = "import sys; from streams.app import runs; runs.run(*sys.argv[1:])"
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(folder), str(db)], env=environment, check=True)
        assert differing(straight, contents(db)) == []


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_packed_input_gives_what_plain_input_gives(
    folder: Path, straight: dict[str, Any], tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = tmp_path / "packed"
    copy_of(folder, packed, {})
    for topic in TOPICS:
        (packed / f"{topic}.jsonl{suffix}").write_bytes(pack((folder / f"{topic}.jsonl").read_bytes()))
    run(packed, tmp_path / "run.db")
    assert differing(straight, contents(tmp_path / "run.db")) == []


@pytest.mark.slow
def test_a_topic_cut_into_partitions_by_subscriber_gives_the_same_alerts(
    folder: Path, straight: dict[str, Any], tmp_path: Path
) -> None:
    split = copy_of(
        folder, tmp_path / "split", {topic: lines for topic, lines in lines_of(folder).items() if topic != "usage"}
    )
    (split / "usage").mkdir()
    parts: tuple[list[bytes], list[bytes]] = ([], [])
    for line in lines_of(folder)["usage"]:
        parts[b'"subscriber_id":"s_' in line and line.partition(b'"s_')[2][0] % 2].append(line)
    for number, part in enumerate(parts):
        (split / "usage" / f"part-{number}.jsonl").write_bytes(b"".join(part))
    run(split, tmp_path / "run.db")
    assert without_places(contents(tmp_path / "run.db")) == without_places(straight)


def without_places(found: dict[str, Any]) -> list[list[Any]]:
    """All transitions without the offsets of the records behind them, in the order of the alerts' ids."""
    replace = msgspec.structs.replace
    transitions = [[replace(change, offsets={}) for change in alert] for alert in found["transitions"]]
    return sorted(transitions, key=lambda alert: str(alert[0].alert_id))


def envelopes(folder: Path) -> bytes:
    """All good records of a folder in the order in which the folder is read, the market first, each with its topic."""
    lines, merge = lines_of(folder), merge_sources(discover(str(folder)), {}, day(4_000), decode)
    written = [b'{"topic":"market-events","value":%s}\n' % line.strip() for line in lines[MARKET]]
    for item in merge:
        if isinstance(item, Event):
            topic = topic_name(item.source)
            written.append(b'{"topic":"%s","value":%s}\n' % (topic.encode(), lines[topic][item.offset].strip()))
    return b"".join(written)


def stdin_of(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_standard_input_gives_the_alerts_that_the_folder_gives(
    folder: Path, straight: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(LIVELY)
    stdin_of(monkeypatch, envelopes(folder))
    run("-", tmp_path / "run.db", policy_path=policy)
    found = contents(tmp_path / "run.db")
    assert without_places(found) == without_places(straight)
    assert found["predictions"] == straight["predictions"]
    assert found["models"] == straight["models"]


@pytest.mark.slow
def test_standard_input_that_is_given_again_is_read_on_from_where_it_was_left(
    folder: Path, straight: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, data = tmp_path / "policy.toml", envelopes(folder)
    policy.write_text(LIVELY)
    for until_ms in (day(33), None):
        stdin_of(monkeypatch, data)
        run("-", tmp_path / "run.db", policy_path=policy, until_ms=until_ms)
    assert without_places(contents(tmp_path / "run.db")) == without_places(straight)


@pytest.mark.slow
def test_progress_ends_near_the_end_and_never_goes_back(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.engine.embedded.PROGRESS_RECORDS", 100)
    told: list[progress.Progress] = []
    summary = run(folder, tmp_path / "run.db", progress=told.append, commit_records=300)
    records = [one.records for one in told]
    # Told every 100 records, whatever a commit does in between.
    assert records == list(range(100, 100 * len(told) + 1, 100))
    read = sum(summary.events.values()) + sum(summary.dead_letters.values())
    assert records[-1] <= read < records[-1] + 100
    assert all(one.bytes_done <= one.bytes_total for one in told)
    assert [one.event_ms for one in told] == sorted(one.event_ms for one in told)
    assert [one.alerts for one in told] == sorted(one.alerts for one in told)

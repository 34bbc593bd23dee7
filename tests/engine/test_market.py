"""What is published about the market in an embedded run: in force from its event time, kept, and never lost."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.app import lookbacks, policies
from streams.core.contracts.events import INPUTS, MARKET, MarketEvent
from streams.core.times import DAY_MS
from tests.core import makers
from tests.engine.operators import CLEAN, contents, differing, run, write_operator

START_MS = 1_704_067_200_000


def day(number: float) -> int:
    return START_MS + round(number * DAY_MS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_operator(tmp_path_factory.mktemp("operator") / "events", subscribers=80, days=80, seed=5, faults=CLEAN)


@pytest.fixture(scope="module")
def straight(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one run over everything leaves behind."""
    db = tmp_path_factory.mktemp("straight") / "run.db"
    run(folder, db)
    return contents(db)


def published(folder: Path) -> list[bytes]:
    return (folder / f"{MARKET}.jsonl").read_bytes().splitlines(keepends=True)


def copy_of(folder: Path, to: Path, lines: Sequence[bytes]) -> Path:
    """The folder with other lines about the market."""
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    (to / f"{MARKET}.jsonl").write_bytes(b"".join(lines))
    return to


def alerts_of(found: dict[str, Any]) -> list[Any]:
    return [change for alert in found["transitions"] for change in alert]


@pytest.mark.slow
def test_a_run_serves_each_alert_with_the_signals_of_its_time(folder: Path, straight: dict[str, Any]) -> None:
    times = [makers.at_ms_of(msgspec.json.decode(line, type=MarketEvent)) for line in published(folder)]
    assert len(times) == straight["counters"][f"events:{MARKET}"] == len(straight["market events"])
    market = makers.market_of(*(known.event for known in straight["market events"]))
    for change in alerts_of(straight):
        versions = {market.at(at_ms)[0].version or None for at_ms in (change.at_ms - 1, change.at_ms)}
        assert change.signals_version in versions
    assert any(reason.code == "competitor_offer" for change in alerts_of(straight) for reason in change.reasons[:3])


@pytest.mark.slow
@pytest.mark.parametrize("stops", [[day(36)], [day(3.1), day(48.25), day(48.3), day(60)]])
def test_a_run_stopped_and_taken_up_again_equals_a_straight_one(
    folder: Path, straight: dict[str, Any], tmp_path: Path, stops: list[int]
) -> None:
    db = tmp_path / "run.db"
    for at_ms in stops:
        run(folder, db, until_ms=at_ms)
    run(folder, db)
    assert differing(straight, contents(db)) == []


@pytest.mark.slow
def test_what_was_read_is_known_when_the_file_is_gone(folder: Path, straight: dict[str, Any], tmp_path: Path) -> None:
    passing, db = copy_of(folder, tmp_path / "passing", published(folder)), tmp_path / "run.db"
    run(passing, db, until_ms=day(20))
    (passing / f"{MARKET}.jsonl").unlink()
    run(passing, db)
    assert differing(straight, contents(db)) in ([], ["positions"])
    alert = next(a.latest for a in straight["alerts"] if a.latest.signals_version)
    assert lookbacks.explain(str(db), alert.alert_id, str(passing)).recomputed == alert


@pytest.mark.slow
def test_neither_the_order_of_the_lines_nor_doubled_ones_change_an_alert(
    folder: Path, straight: dict[str, Any], tmp_path: Path
) -> None:
    lines = published(folder)
    turned, db = copy_of(folder, tmp_path / "turned", [*lines[::-1], *lines[:3]]), tmp_path / "run.db"
    run(turned, db)
    found = contents(db)
    assert differing(straight, found) in (["positions", "counters"], ["counters"])
    assert found["counters"][f"events:{MARKET}"] == len(lines) + 3


@pytest.mark.slow
def test_entries_that_are_added_while_the_run_stood_still_serve_from_their_time(
    folder: Path, straight: dict[str, Any], tmp_path: Path
) -> None:
    lines = published(folder)
    late = [line for line in lines if makers.at_ms_of(msgspec.json.decode(line, type=MarketEvent)) >= day(40)]
    early = [line for line in lines if line not in late]
    assert early
    assert late
    growing, db = copy_of(folder, tmp_path / "growing", early), tmp_path / "run.db"
    run(growing, db, until_ms=day(40))
    (growing / f"{MARKET}.jsonl").write_bytes(b"".join(early + late))
    run(growing, db)
    assert differing(straight, contents(db)) in ([], ["positions"])


@pytest.mark.slow
def test_an_entry_that_comes_late_serves_from_when_it_came_and_every_alert_is_still_explained(
    folder: Path, tmp_path: Path
) -> None:
    growing, db = copy_of(folder, tmp_path / "growing", published(folder)[:1]), tmp_path / "run.db"
    run(growing, db, until_ms=day(60))
    (growing / f"{MARKET}.jsonl").write_bytes(b"".join(published(folder)))
    run(growing, db)
    found = contents(db)
    known_ms = {known.event.event_id: known.known_ms for known in found["market events"]}
    assert known_ms["m-promotion-1-0"] == day(60)
    alerts = [alert.latest for alert in found["alerts"]]
    assert {alert.signals_version for alert in alerts if alert.at_ms > day(60)} - {None}
    for alert in alerts[:12]:
        assert lookbacks.explain(str(db), alert.alert_id).equal, alert.alert_id


def test_bad_lines_become_dead_letters_once_and_the_good_ones_serve(
    folder: Path, straight: dict[str, Any], tmp_path: Path
) -> None:
    ends_first = json.loads(published(folder)[0]) | {"valid_to": "2001-01-01T00:00:00Z"}
    bad = [b"{\n", b'{"entry_id":"x"}\n', json.dumps(ends_first).encode() + b"\n"]
    mixed, db = copy_of(folder, tmp_path / "mixed", [*bad, *published(folder)]), tmp_path / "run.db"
    run(mixed, db, until_ms=day(30))
    run(mixed, db)
    found = contents(db)
    assert [(letter.topic, letter.offset, letter.reason) for letter in found["dead letters"]] == [
        (MARKET, 0, "not_json"), (MARKET, 1, "missing_field"), (MARKET, 2, "bad_period"),
    ]  # fmt: skip
    assert found["dead letters"][0].value == b"{"
    assert alerts_of(found) == alerts_of(straight)


@pytest.mark.slow
def test_lines_that_name_their_topic_may_be_about_the_market(
    folder: Path, straight: dict[str, Any], tmp_path: Path
) -> None:
    """The market first, then all records of one file, as `cat` would give them: the order of the rest is its own."""
    lines: list[tuple[int, str, bytes]] = []
    for topic in (*INPUTS, MARKET):
        for line in (folder / f"{topic}.jsonl").read_bytes().splitlines():
            at = "" if topic == MARKET else json.loads(line)["event_time"]
            lines.append((makers.at_ms_of(msgspec.json.decode(line, type=INPUTS[topic])) if at else 0, topic, line))
    lines.sort(key=lambda one: (one[0], [*INPUTS, MARKET].index(one[1])))
    dump = tmp_path / "dump.jsonl"
    dump.write_bytes(b"".join(b'{"topic":"%s","value":%s}\n' % (topic.encode(), line) for _, topic, line in lines))
    policy, db = folder / policies.DATASET_FILE, tmp_path / "run.db"
    run(dump, db, policy_path=policy, until_ms=day(50))
    run(dump, db, policy_path=policy)
    found = contents(db)
    assert found["market events"] == straight["market events"]
    numbers = [(c.alert_id, c.change, c.probability, c.signals_version) for c in alerts_of(found)]
    assert numbers == [(c.alert_id, c.change, c.probability, c.signals_version) for c in alerts_of(straight)]


def scored(db: Path, at_ms: int) -> dict[str, float]:
    return {score.subscriber_id: score.probability for score in lookbacks.scores(str(db), at_ms)}


@pytest.mark.slow
@pytest.mark.parametrize("at_day", [37.5, 48.25, 50, 70])
def test_the_scores_of_a_past_moment_know_the_market_of_that_moment(
    folder: Path, tmp_path: Path, at_day: float
) -> None:
    whole, stopped = tmp_path / "run.db", tmp_path / "stopped.db"
    run(folder, whole)
    run(folder, stopped, until_ms=day(at_day))
    assert scored(whole, day(at_day)) == scored(stopped, day(at_day))
    silent, db = copy_of(folder, tmp_path / "silent", []), tmp_path / "silent.db"
    run(silent, db)
    assert scored(db, day(at_day)) != scored(whole, day(at_day))

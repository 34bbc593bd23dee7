"""The parts joined: what may be resumed, and what bad input, a bad policy or a bad wish is answered with."""

import gzip
import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.app import alert_lists, lookbacks, policies, runs
from streams.core.scoring.models import ModelVersion, with_version_hash
from streams.core.times import DAY_MS
from streams.files.sources import discover
from streams.shared.errors import InputError, ModelError, SettingsError, StoreError
from streams.store.database import RunStore
from tests.core import makers
from tests.engine.operators import CLEAN, LIVELY, checkpoint_of, contents, differing, run, write_operator

START_MS = makers.START_MS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small operator without faults: every record is good."""
    events = tmp_path_factory.mktemp("operator") / "events"
    return write_operator(events, subscribers=40, days=60, seed=5, faults=CLEAN)


@pytest.fixture(scope="module")
def undamaged(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    db = tmp_path_factory.mktemp("undamaged") / "run.db"
    run(folder, db)
    return contents(db)


def copy_of(folder: Path, to: Path, **other: Callable[[list[bytes]], list[bytes]]) -> Path:
    """Copy a folder; `usage=change` has the lines of that topic changed on the way."""
    to.mkdir()
    for path in folder.iterdir():
        lines = path.read_bytes().splitlines(keepends=True)
        change = other.get(path.name.removesuffix(".jsonl").replace("-", "_"))
        (to / path.name).write_bytes(b"".join(change(lines) if change else lines))
    return to


# What may be resumed


@pytest.fixture
def begun(folder: Path, tmp_path: Path) -> Path:
    """A database with a run that has come half way."""
    db = tmp_path / "run.db"
    run(folder, db, until_ms=START_MS + 30 * DAY_MS)
    return db


def refused(db: Path, match: str, call: Callable[[], object]) -> None:
    """Assert that a call is refused in words that say what to do, and that nothing was written."""
    before = contents(db)
    with pytest.raises(StoreError, match=match) as caught:
        call()
    assert str(caught.value).endswith("; name a new one")
    assert differing(before, contents(db)) == []


def test_another_input_is_refused(folder: Path, begun: Path, tmp_path: Path) -> None:
    other = copy_of(folder, tmp_path / "other")
    refused(begun, "holds a run with another input", lambda: run(other, begun))


def test_another_policy_is_refused(folder: Path, begun: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[risk]\nhigh_from = 0.3\n")
    refused(begun, "holds a run with another policy", lambda: run(folder, begun, policy_path=policy))


def test_another_feature_table_is_refused(folder: Path, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "FEATURE_TABLE", "features-0")
    refused(begun, "holds a run with another feature table", lambda: run(folder, begun))


def test_another_topic_is_refused(folder: Path, begun: Path) -> None:
    refused(begun, "holds a run with another topic", lambda: run(folder, begun, topic="usage"))


def test_the_same_input_and_policy_by_other_names_are_the_same(
    folder: Path, begun: Path, undamaged: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "same.toml"
    policy.write_text(LIVELY)
    monkeypatch.chdir(folder.parent)
    assert run(folder.name, begun, policy_path=policy).resumed
    assert differing(undamaged, contents(begun)) == []


def test_an_input_that_shrank_is_refused_and_nothing_is_lost(
    folder: Path, undamaged: dict[str, Any], tmp_path: Path
) -> None:
    events, db = copy_of(folder, tmp_path / "events"), tmp_path / "run.db"
    run(events, db)
    whole = (events / "usage.jsonl").read_bytes()
    (events / "usage.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:100]))
    with pytest.raises(InputError, match="has 100 lines, but the last run had read"):
        run(events, db)
    (events / "usage.jsonl").write_bytes(whole)
    run(events, db)
    assert differing(undamaged, contents(db)) == []


def test_a_database_without_a_run_says_how_to_get_one(tmp_path: Path) -> None:
    db = tmp_path / "empty.db"
    RunStore.open(str(db)).close()
    for ask in (lambda: list(lookbacks.scores(str(db), 0)), lambda: lookbacks.explain(str(db), "a_1")):
        with pytest.raises(StoreError, match="holds no run yet; `forewarn run"):
            ask()


# One file, and what it holds


def test_a_file_of_a_named_topic_is_explained_and_scored_as_that_topic(folder: Path, tmp_path: Path) -> None:
    file, policy, db = tmp_path / "dump-of-monday.jsonl", tmp_path / "policy.toml", tmp_path / "run.db"
    file.write_bytes((folder / "usage.jsonl").read_bytes())
    policy.write_text(LIVELY)
    summary = run(file, db, topic="usage", policy_path=policy)
    assert list(summary.events) == ["usage"]
    assert not summary.dead_letters
    (alert, *_) = contents(db)["alerts"]
    assert lookbacks.explain(str(db), alert.latest.alert_id).equal
    assert list(lookbacks.scores(str(db), summary.stream_ms - 5 * DAY_MS))


def test_an_alert_may_be_named_by_the_beginning_of_its_id(folder: Path, tmp_path: Path) -> None:
    db = tmp_path / "run.db"
    run(folder, db)
    ids = sorted(alert.latest.alert_id for alert in contents(db)["alerts"])
    assert lookbacks.explain(str(db), ids[0][:20]).stored.alert_id == ids[0]
    for name in ("a_", "a_nothing", ids[0] + "0"):
        with pytest.raises(InputError, match=re.escape(f"no alert with the id {name}")):
            lookbacks.explain(str(db), name)


# Bad records: each a dead letter with its reason, and every good one counts


def usage_at(at_ms: int, **changes: Any) -> bytes:
    return msgspec.json.encode(makers.usage(at_ms, **changes)) + b"\n"


GOOD = msgspec.json.decode(usage_at(START_MS + 30 * DAY_MS))

BAD_LINES: list[tuple[str, bytes]] = [
    ("not_json", b'{"event_id": "u1", "event\n'),
    ("not_json", b"\xff\xfe\x00\x81 not text\n"),
    ("not_json", b'{"event_id": "\xe9t\xe9", "x": 1}\n'),
    ("not_json", b"event_id,event_time,subscriber_id\n"),
    ("not_json", b"[" * 5_000 + b"\n"),
    ("unknown_field", msgspec.json.encode(GOOD | {"mood": "bad"}) + b"\n"),
    ("missing_field", msgspec.json.encode({k: v for k, v in GOOD.items() if k != "subscriber_id"}) + b"\n"),
    ("wrong_type", msgspec.json.encode(GOOD | {"voice_s": "long"}) + b"\n"),
    ("wrong_type", b"17\n"),
    ("wrong_type", b"null\n"),
    ("out_of_range", msgspec.json.encode(GOOD | {"voice_s": -1}) + b"\n"),
    ("out_of_range", msgspec.json.encode(GOOD | {"subscriber_id": "+49 170 1234567"}) + b"\n"),
    ("bad_time", msgspec.json.encode(GOOD | {"event_time": "yesterday"}) + b"\n"),
    ("bad_time", msgspec.json.encode(GOOD | {"event_time": "2024-02-01T00:00:00"}) + b"\n"),
    ("bad_period", msgspec.json.encode(GOOD | {"period_start": "2023-01-01T00:00:00Z"}) + b"\n"),
    ("future_time", usage_at(4_102_444_800_000)),
    ("too_large", b'{"event_id": "' + b"u" * (1 << 20) + b'"}\n'),
]


@pytest.mark.slow
@pytest.mark.parametrize(("reason", "line"), BAD_LINES, ids=[f"{n}_{r}" for n, (r, _) in enumerate(BAD_LINES)])
def test_a_bad_line_is_a_dead_letter_with_its_reason_and_takes_no_good_one_along(
    folder: Path, undamaged: dict[str, Any], tmp_path: Path, reason: str, line: bytes
) -> None:
    """It stands in the middle, where a time of its own would move the stream's."""
    events = copy_of(folder, tmp_path / "events", usage=lambda lines: [*lines[:700], line, *lines[700:]])
    summary = run(events, tmp_path / "run.db")
    found = contents(tmp_path / "run.db")
    (letter,) = found["dead letters"]
    assert (letter.topic, letter.partition, letter.offset, letter.reason) == ("usage", 0, 700, reason)
    assert line.rstrip(b"\n").startswith(letter.value)
    assert "170" not in letter.detail
    assert summary.dead_letters == {reason: 1}
    assert summary.events == {k.removeprefix("events:"): n for k, n in undamaged["counters"].items() if "events:" in k}
    # Offsets moved by one, so all that follows from good records is compared without them.
    assert without_offsets(found) == without_offsets(undamaged)
    assert found["predictions"] == undamaged["predictions"]
    assert found["models"] == undamaged["models"]


def without_offsets(found: dict[str, Any]) -> list[Any]:
    return [msgspec.structs.replace(change, offsets={}) for alert in found["transitions"] for change in alert]


def test_all_bad_lines_together_at_every_place_change_nothing_for_the_good_ones(
    folder: Path, undamaged: dict[str, Any], tmp_path: Path
) -> None:
    bad = [line for _, line in BAD_LINES]

    def mixed(lines: list[bytes]) -> list[bytes]:
        return [*bad, *(line for pair in zip(lines, bad * len(lines), strict=False) for line in pair), *bad]

    few = copy_of(folder, tmp_path / "events", top_ups=mixed, outcomes=mixed, complaints=mixed)
    summary = run(few, tmp_path / "run.db")
    found = contents(tmp_path / "run.db")
    assert sum(summary.dead_letters.values()) == len(found["dead letters"]) > 200
    assert summary.events == {k.removeprefix("events:"): n for k, n in undamaged["counters"].items() if "events:" in k}
    assert without_offsets(found) == without_offsets(undamaged)


def test_blank_lines_are_nothing_at_all(folder: Path, undamaged: dict[str, Any], tmp_path: Path) -> None:
    events = copy_of(folder, tmp_path / "events", usage=lambda lines: [b"\n", *lines, b"  \n", b"\n"])
    summary = run(events, tmp_path / "run.db")
    assert not summary.dead_letters
    assert without_offsets(contents(tmp_path / "run.db")) == without_offsets(undamaged)


def test_empty_files_are_no_records_and_no_failure(tmp_path: Path) -> None:
    for topic in ("usage", "top-ups"):
        (tmp_path / f"{topic}.jsonl").touch()
    for _ in range(2):
        summary = run(tmp_path, tmp_path / "run.db")
        assert (summary.events, summary.dead_letters, summary.subscribers, summary.stream_ms) == ({}, {}, 0, 0)
        assert not summary.prequential
    assert alert_lists.alerts(str(tmp_path / "run.db")).rows == []
    assert list(lookbacks.scores(str(tmp_path / "run.db"), START_MS)) == []


def test_only_bad_records_are_only_dead_letters(tmp_path: Path) -> None:
    (tmp_path / "usage.jsonl").write_bytes(b"".join(line for _, line in BAD_LINES))
    for _ in range(2):
        summary = run(tmp_path, tmp_path / "run.db")
        assert summary.dead_letters == dict(Counter(reason for reason, _ in BAD_LINES))
        assert summary.subscribers == 0


# Bad files: an error that says which and what to do, and a run that can be taken up when it is put right


def test_a_folder_without_topics_names_what_it_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match=r"no topic was found in .* holds notes.txt; name the files <topic>.jsonl"):
        run(tmp_path, tmp_path / "run.db")
    assert not (tmp_path / "run.db").exists()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file or folder .*nowhere"):
        run(tmp_path / "nowhere", tmp_path / "run.db")


def test_a_topic_that_does_not_exist_is_answered_with_those_that_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no topic calls; the topics are call-drops, usage"):
        run(folder, tmp_path / "run.db", topic="calls")


@pytest.mark.slow
@pytest.mark.parametrize("cut", [0.3, 0.999])
def test_a_file_that_was_cut_short_is_named_and_read_on_once_it_is_whole(
    folder: Path, undamaged: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: float
) -> None:
    monkeypatch.setattr("streams.engine.embedded.PROGRESS_RECORDS", 50)
    events, db = copy_of(folder, tmp_path / "events"), tmp_path / "run.db"
    (events / "usage.jsonl").unlink()
    whole = gzip.compress((folder / "usage.jsonl").read_bytes())
    file = events / "usage.jsonl.gz"
    file.write_bytes(whole[: round(cut * len(whole))])
    for _ in range(2):
        with pytest.raises(InputError, match=r"usage.jsonl.gz: the gzip data end too early after line \d+; the copy"):
            run(events, db, commit_records=100)
    file.write_bytes(whole)
    run(events, db)
    assert differing(undamaged, contents(db)) == []


@pytest.mark.slow
def test_a_damaged_archive_is_named_and_read_on_once_it_is_whole(
    folder: Path, undamaged: dict[str, Any], tmp_path: Path
) -> None:
    events, db = copy_of(folder, tmp_path / "events"), tmp_path / "run.db"
    (events / "usage.jsonl").unlink()
    whole = gzip.compress((folder / "usage.jsonl").read_bytes())
    file = events / "usage.jsonl.gz"
    file.write_bytes(whole[:5_000] + b"\0" * 400 + whole[5_400:])
    with pytest.raises(InputError, match=r"usage.jsonl.gz: the gzip data are damaged after line"):
        run(events, db)
    file.write_bytes(whole)
    run(events, db)
    assert differing(undamaged, contents(db)) == []


@pytest.mark.slow
def test_lines_that_were_committed_before_their_checksum_proved_them_wrong_are_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored and not compressed, so that a wrong byte is a wrong line and nothing else until the checksum."""
    monkeypatch.setattr("streams.engine.embedded.PROGRESS_RECORDS", 50)
    events, db = copy_of(folder, tmp_path / "events"), tmp_path / "run.db"
    lines = (events / "usage.jsonl").read_bytes().splitlines(keepends=True)
    (events / "usage.jsonl").unlink()
    sound, rest = gzip.compress(b"".join(lines[:500])), gzip.compress(b"".join(lines[500:]), compresslevel=0)
    place = rest.index(b'"voice_s":')
    (events / "usage.jsonl.gz").write_bytes(sound + rest[:place] + b'"voice_z":' + rest[place + 10 :])
    with pytest.raises(InputError) as told:
        run(events, db, commit_records=100)
    committed = checkpoint_of(db).positions["usage/0"].next_offset
    assert 500 < committed < len(lines)
    assert re.search(r"usage.jsonl.gz: the gzip data are damaged after line [\d,]+; its lines 501 to", str(told.value))
    assert f"to {committed:,} were committed before that showed, and may be wrong; replace" in str(told.value)
    assert "begin a new database" in str(told.value)


# A bad model version


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda _: {}, "cannot be read: Object missing required field"),
        (lambda body: body | {"intercept": 0.5}, "version 1 was changed after it was published"),
        (lambda body: sealed(body, feature_table="features-0"), "version 1 was learned on features-0"),
        (lambda body: sealed(body, weights=()), "features but other numbers of weights"),
    ],
    ids=["none", "changed", "another table", "weights that are missing"],
)
def test_a_stored_model_version_that_cannot_be_used_ends_whatever_scores_with_it(
    folder: Path, undamaged: dict[str, Any], tmp_path: Path, damage: Callable[[dict[str, Any]], object], match: str
) -> None:
    db = tmp_path / "run.db"
    run(folder, db)
    first = msgspec.to_builtins(undamaged["models"][0])
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(
            "update models set body = ? where version = 1", (msgspec.json.encode(damage(first)).decode(),)
        )
    for use in (lambda: run(folder, db), lambda: list(lookbacks.scores(str(db), START_MS))):
        with pytest.raises(ModelError, match=match) as caught:
            use()
        assert str(caught.value).endswith("; run into a new one")


def sealed(body: dict[str, Any], **changes: object) -> ModelVersion:
    """A model version with changes, and the hash that is right for them."""
    return with_version_hash(msgspec.structs.replace(msgspec.convert(body, ModelVersion), **changes, hash=""))


# A bad policy


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[risk]\nhigh_from = 2.0", r"Expected `float` <= 1.0 - at `\$.risk.high_from`"),
        ("[risk]\nhihg_from = 0.2", "unknown field `hihg_from`"),
        ("[alerting.low]\nclose_at = 0.9", "alerting.low.close_at must be below alerting.low.open_at"),
        ("[kinds]\nusage = 'sad'", "Invalid enum value"),
        ("risk = ", "cannot be used"),
    ],
)
@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_policy_that_cannot_be_used_is_refused_before_anything_is_written(
    folder: Path, tmp_path: Path, text: str, match: str, place: str
) -> None:
    events = copy_of(folder, tmp_path / "events")
    policy = tmp_path / "policy.toml"
    policy.write_text(text)
    if place == "folder":
        lines = [line if line.startswith("risk") else line.replace("[", "[policy.") for line in text.splitlines()]
        (events / policies.DATASET_FILE).write_text("\n".join(lines))
    with pytest.raises(SettingsError, match=match):
        run(events, tmp_path / "run.db", policy_path=policy if place == "file" else None)
    assert not (tmp_path / "run.db").exists()


def test_a_policy_file_that_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"the policy file .*none.toml cannot be used"):
        run(folder, tmp_path / "run.db", policy_path=tmp_path / "none.toml")


def test_a_given_policy_is_laid_over_that_of_the_folder_and_both_over_the_default(folder: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[policy.label]\nhorizon_days = 21\n")
    laid = policies.read_policy_for(str(folder), policy)
    assert laid.label.horizon_days == 21
    assert laid.training.positives_min == 2
    assert laid.time.lateness_days == 7
    assert policies.read_policy_for("-", None).label.horizon_days == 30


def test_an_alert_of_before_there_were_codes_equals_the_one_computed_again(folder: Path, tmp_path: Path) -> None:
    db = str(tmp_path / "run.db")
    runs.run(str(folder), db)
    newest = alert_lists.alerts(db, limit=1).rows[0].latest
    assert newest.why_code is not None
    assert newest.action_code is not None
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("update transitions set why_code = null, action_code = null, schema_version = 'contracts-0'")
    found = lookbacks.explain(db, newest.alert_id[:12])
    assert found.equal
    assert (found.stored.why_code, found.stored.action_code) == (None, None)
    assert found.recomputed is not None
    assert found.recomputed.action_code == newest.action_code
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("update transitions set action = 'Send flowers'")
    assert not lookbacks.explain(db, newest.alert_id).equal


def test_every_alert_that_is_listed_has_fired_and_the_most_urgent_comes_first(folder: Path, tmp_path: Path) -> None:
    db = str(tmp_path / "run.db")
    runs.run(str(folder), db)
    listed = alert_lists.alerts(db).rows
    assert listed
    assert all(row.fired_at_ms is not None for row in listed)
    firing = [row.latest.state == "firing" for row in listed]
    assert firing == sorted(firing, reverse=True)
    shown = alert_lists.alerts(db, limit=2)
    assert (shown.rows, shown.total) == (listed[:2], len(listed))
    assert {row.latest.band for row in alert_lists.alerts(db, bands=["low"]).rows} <= {"low"}
    assert {row.latest.state for row in alert_lists.alerts(db, states=["pending", "resolved"]).rows} <= {
        "pending",
        "resolved",
    }
    assert discover(str(folder))[0].path == folder / "call-drops.jsonl"

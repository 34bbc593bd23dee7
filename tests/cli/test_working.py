"""The commands that make something: simulate, import, pseudonym, run, and what they say of bad input."""

import json
from pathlib import Path

import pytest

from streams.shared.pseudonyms import pseudonym
from tests.cli.calling import KEY, Operator, call, lines, started

SUMMARY_FIELDS = {
    "events", "duplicates", "late", "dead_letters", "subscribers", "scored", "examples", "alerts_by_band",
    "alerts_by_kind", "model_version", "prequential", "elapsed_s", "events_per_s", "stream_ms", "resumed",
}  # fmt: skip
TABLE = " customer_id  date number_of_cds  dollar_value\n 00001 19970101  1   11.77\n 00002 19970112  1   12.00\n"


def all_alerts(db: Path) -> list[dict[str, object]]:
    return sorted(lines(call("alerts", "--db", db, "--json")), key=lambda alert: str(alert["alert_id"]))


def test_a_run_ends_with_a_whole_summary(operator: Operator) -> None:
    assert set(operator.summary) >= SUMMARY_FIELDS
    assert operator.summary["resumed"] is False
    assert operator.summary["subscribers"] > 100
    assert sum(operator.summary["dead_letters"].values()) > 0


def test_a_run_that_is_repeated_changes_nothing(operator: Operator) -> None:
    before = all_alerts(operator.db)
    (again,) = lines(call("run", "--input", operator.events, "--db", operator.db, "--json"))
    assert again["resumed"] is True
    assert again["events"] == operator.summary["events"]
    assert all_alerts(operator.db) == before


@pytest.mark.slow
def test_a_run_in_two_halves_ends_with_the_same_alerts(operator: Operator, tmp_path: Path) -> None:
    db = tmp_path / "halves.db"
    (half,) = lines(call("run", "--input", operator.events, "--db", db, "--until", "2024-02-20", "--json"))
    assert sum(half["events"].values()) < sum(operator.summary["events"].values())
    (whole,) = lines(call("run", "--input", operator.events, "--db", db, "--json"))
    assert whole["resumed"] is True
    assert {name: whole[name] for name in ("events", "dead_letters", "late", "alerts_by_band", "model_version")} == {
        name: operator.summary[name] for name in ("events", "dead_letters", "late", "alerts_by_band", "model_version")
    }
    assert all_alerts(db) == all_alerts(operator.db)


def test_the_summary_for_people_names_what_was_refused_and_how_fast_it_was(operator: Operator) -> None:
    shown = call("run", "--input", operator.events, "--db", operator.db)
    assert shown.exit_code == 0
    for words in ("events", "dead letters", "alerts by band", "model", "events a second", "taken up where"):
        assert words in shown.stdout
    assert "Next: forewarn alerts --db" in shown.stderr


@pytest.mark.slow
def test_progress_is_drawn_on_standard_error_only_and_never_for_a_program(operator: Operator, tmp_path: Path) -> None:
    always = {"FOREWARN_PROGRESS": "always"}
    january = ("run", "--input", operator.events, "--until", "2024-02-01")
    drawn = started(*january, "--db", tmp_path / "drawn.db", env=always)
    output, errors = drawn.communicate(timeout=120)
    assert drawn.returncode == 0
    assert b"Summary" in output
    assert b"Reading" not in output
    assert b"Reading" in errors
    assert b"records" in errors
    silent = started(*january, "--db", tmp_path / "silent.db", "--json", env=always)
    output, errors = silent.communicate(timeout=120)
    assert (silent.returncode, errors) == (0, b"")
    assert set(json.loads(output)) >= SUMMARY_FIELDS


def test_standard_input_takes_enveloped_lines_of_every_topic(operator: Operator, tmp_path: Path) -> None:
    records = (operator.events / "top-ups.jsonl").read_text("utf-8", errors="replace").splitlines()[:50]
    text = "".join(f'{{"topic": "top-ups", "value": {record}}}\n' for record in records)
    (summary,) = lines(call("run", "--input", "-", "--db", tmp_path / "a.db", "--json", text=text))
    assert sum(summary["events"].values()) + sum(summary["dead_letters"].values()) + summary["duplicates"] >= 50


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("top-ups", "{not json\n", "not_json"),
        ("top-ups", '{"event_id": "1"}\n', "missing_field"),
        ("unheard-of", "{}\n", None),
    ],
)
def test_a_bad_record_is_a_dead_letter_with_its_reason_and_a_folder_without_topics_an_error(
    name: str, content: str, reason: str | None, tmp_path: Path
) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / f"{name}.jsonl").write_text(content, "utf-8")
    result = call("run", "--input", folder, "--db", tmp_path / "a.db", "--json")
    if reason is None:
        assert result.exit_code == 3
        assert "top-ups" in result.stderr
    else:
        (summary,) = lines(result)
        assert summary["dead_letters"] == {reason: 1}


def test_an_empty_file_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "usage.jsonl").touch()
    (summary,) = lines(call("run", "--input", tmp_path / "usage.jsonl", "--db", tmp_path / "a.db", "--json"))
    assert sum(summary["events"].values()) == 0
    shown = call("run", "--input", tmp_path / "usage.jsonl", "--db", tmp_path / "b.db")
    assert shown.exit_code == 0
    assert "nothing read" in shown.stdout


def test_input_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    result = call("run", "--input", tmp_path / "nowhere", "--db", tmp_path / "a.db")
    assert result.exit_code == 3
    assert "nowhere" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_policy_that_is_not_there_or_is_wrong_is_an_error_of_settings(operator: Operator, tmp_path: Path) -> None:
    wrong = tmp_path / "policy.toml"
    wrong.write_text("[label]\nhorizon_days = -1\n", "utf-8")
    for policy in (tmp_path / "none.toml", wrong):
        result = call("run", "--input", operator.events, "--db", tmp_path / "a.db", "--policy", policy)
        assert result.exit_code == 2
        assert "Traceback" not in result.stderr


def test_the_database_of_another_input_is_not_overwritten(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "usage.jsonl").touch()
    result = call("run", "--input", tmp_path, "--db", operator.db)
    assert result.exit_code == 4
    assert "another input" in result.stderr


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    def usage(name: str, seed: str) -> bytes:
        out = tmp_path / name
        (report,) = lines(
            call("simulate", "--out", out, "--subscribers", "20", "--days", "20", "--seed", seed, "--json")
        )
        assert report["subscribers"] == 20
        return (out / "usage.jsonl").read_bytes()

    assert usage("one", "5") == usage("two", "5") != usage("three", "6")


def test_identifiers_become_the_ids_that_the_library_gives_in_their_order() -> None:
    key = {"FOREWARN_PSEUDONYM_KEY": KEY}
    result = call("pseudonym", text="00001\n+49 151 0000001\n\n00001\n", env=key)
    assert result.exit_code == 0
    expected = [(name, pseudonym(KEY.encode(), name)) for name in ("00001", "+49 151 0000001", "00001")]
    assert [tuple(line.split("\t")) for line in result.stdout.splitlines()] == expected
    assert result.stderr == ""
    rows = lines(call("pseudonym", "--json", text="00001\n", env=key))
    assert rows == [{"identifier": "00001", "subscriber_id": expected[0][1]}]


def test_without_a_configured_key_everybody_gets_one_of_his_own_and_keeps_it(tmp_path: Path) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    first = call("pseudonym", text="00001\n", env=home)
    again = call("pseudonym", text="00001\n", env=home)
    assert first.exit_code == again.exit_code == 0
    assert first.stdout == again.stdout
    assert str(tmp_path / "forewarn" / "pseudonym.key") in first.stderr
    assert again.stderr == ""


def test_imported_subscribers_carry_the_pseudonyms_of_the_same_key_and_can_be_run(tmp_path: Path) -> None:
    table, key_file, out = tmp_path / "table.txt", tmp_path / "key", tmp_path / "events"
    table.write_text(TABLE, "utf-8")
    key_file.write_text(KEY, "utf-8")
    (report,) = lines(call("import", "--map", "cdnow", table, "--out", out, "--key-file", key_file, "--json"))
    assert report["subscribers"] == 2
    ids = {
        line.split("\t")[1]
        for line in call("pseudonym", "--key-file", key_file, text="00001\n00002\n").stdout.split("\n")[:2]
    }
    events = [json.loads(line) for line in (out / "top-ups.jsonl").read_text("utf-8").splitlines()]
    assert {event["subscriber_id"] for event in events} == ids
    shown = call("import", "--map", "cdnow", table, "--out", out, "--key-file", key_file)
    assert shown.exit_code == 0
    assert "2 read" in shown.stdout
    (summary,) = lines(call("run", "--input", out, "--db", tmp_path / "a.db", "--json"))
    assert summary["events"] == {"top-ups": 2}


def test_a_map_and_a_table_that_do_not_agree_are_an_error_that_names_the_column(tmp_path: Path) -> None:
    table = tmp_path / "table.txt"
    table.write_text(TABLE.replace("dollar_value", "euros"), "utf-8")
    key = {"FOREWARN_PSEUDONYM_KEY": KEY}
    result = call("import", "--map", "cdnow", table, "--out", tmp_path / "events", env=key)
    assert result.exit_code == 3
    assert "dollar_value" in result.stderr
    assert call("import", "--map", "cdno", table, "--out", tmp_path / "x", env=key).exit_code == 3


@pytest.mark.slow
def test_the_demo_shows_alerts_with_reasons_and_what_to_do_next(tmp_path: Path) -> None:
    shown = call("demo", "--subscribers", "150", "--days", "100", "--seed", "11", "--out", tmp_path / "demo")
    assert shown.exit_code == 0, shown.output
    assert "about to leave" in shown.stdout
    assert "alerts opened each week" in shown.stdout
    assert "Summary" in shown.stdout
    assert "forewarn explain a_" in shown.stderr
    assert (tmp_path / "demo/alerts.db").exists()

"""The commands that read a database: what they answer, to people and to programs."""

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.calling import Operator, call, lines, started

CHINESE = re.compile("[\u4e00-\u9fff]")
ALERT_FIELDS = {
    "alert_id", "subscriber_id", "kind", "state", "band", "value_band", "episode", "probability", "logit", "reasons",
    "opened_at", "at", "due_at", "action", "model_version",
}  # fmt: skip


def test_alerts_as_json_are_whole_and_agree_with_the_summary_of_the_run(operator: Operator) -> None:
    alerts = lines(call("alerts", "--db", operator.db, "--json"))
    assert alerts
    assert all(set(alert) >= ALERT_FIELDS for alert in alerts)
    assert Counter(alert["band"] for alert in alerts) == operator.summary["alerts_by_band"]
    assert Counter(alert["kind"] for alert in alerts) == operator.summary["alerts_by_kind"]
    assert len({alert["alert_id"] for alert in alerts}) == len(alerts)


def test_the_reasons_of_an_alert_and_the_intercept_add_up_to_its_logit(operator: Operator) -> None:
    for alert in lines(call("alerts", "--db", operator.db, "--json")):
        total = alert["intercept"] + sum(reason["contribution"] for reason in alert["reasons"])
        assert total == pytest.approx(alert["logit"], abs=1e-9)
        for reason in alert["reasons"]:
            parts = sum(part["contribution"] for part in reason["features"])
            assert parts == pytest.approx(reason["contribution"], abs=1e-9)


def test_alerts_can_be_narrowed_by_state_band_and_kind(operator: Operator) -> None:
    everything = lines(call("alerts", "--db", operator.db, "--json"))
    for field in ("state", "band", "kind"):
        for value, count in Counter(alert[field] for alert in everything).items():
            kept = lines(call("alerts", "--db", operator.db, "--json", f"--{field}", value))
            assert [alert[field] for alert in kept] == [value] * count
    first = lines(call("alerts", "--db", operator.db, "--json", "--limit", "1"))
    assert first == everything[:1]


def test_alerts_for_people_say_why_and_what_to_do_without_colour_in_a_pipe(operator: Operator) -> None:
    shown = call("alerts", "--db", operator.db, "--limit", "2")
    assert shown.exit_code == 0
    assert "what to do" in shown.stdout
    assert "UTC" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "forewarn explain a_" in shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 120


def test_alerts_and_their_explanation_are_written_in_the_language_that_is_asked_for(operator: Operator) -> None:
    (alert,) = lines(call("alerts", "--db", operator.db, "--json", "--limit", "1"))
    for words in (["alerts", "--limit", "2"], ["explain", alert["alert_id"]]):
        asked = call(*words, "--db", operator.db, "--language", "zh")
        assert asked.exit_code == 0
        assert "依据" in asked.stdout or "建议措施" in asked.stdout
        set_ = call(*words, "--db", operator.db, env={"FOREWARN_LANGUAGE": "zh"})
        assert (set_.stdout, set_.stderr) == (asked.stdout, asked.stderr)
        assert max(map(cell_len, asked.stdout.splitlines())) <= 120
        english = call(*words, "--db", operator.db, "--language", "en", env={"FOREWARN_LANGUAGE": "zh"})
        assert english.stdout == call(*words, "--db", operator.db).stdout
        assert english.stdout.isascii() or not CHINESE.search(english.stdout)
    assert call("alerts", "--db", operator.db, "--language", "fr").exit_code == 2


def test_json_holds_codes_in_every_language(operator: Operator) -> None:
    (alert,) = lines(call("alerts", "--db", operator.db, "--json", "--limit", "1"))
    for words in (["alerts", "--limit", "1"], ["explain", alert["alert_id"]]):
        english, chinese = (call(*words, "--db", operator.db, "--json", "--language", name) for name in ("en", "zh"))
        assert english.stdout == chinese.stdout


def test_explain_says_what_changed_since_the_last_score_that_was_kept(operator: Operator) -> None:
    alerts = lines(call("alerts", "--db", operator.db, "--json"))
    compared = next(alert for alert in alerts if alert["reasons"][0]["since"] is not None)
    total = sum(reason["change"] for reason in compared["reasons"])
    shown = call("explain", compared["alert_id"], "--db", operator.db)
    assert f"kept on {compared['reasons'][0]['since'][:10]}" in shown.stdout
    assert f"{total:+.3f}" in next(line for line in shown.stdout.splitlines() if line.startswith(" logit"))
    for alert in alerts:
        assert len({reason["since"] for reason in alert["reasons"]}) == 1
        assert all((reason["since"] is None) == (reason["change"] is None) for reason in alert["reasons"])


def test_a_filter_that_matches_nothing_says_so_and_writes_nothing(operator: Operator) -> None:
    shown = call("alerts", "--db", operator.db, "--band", "low", "--state", "pending", "--kind", "competitive")
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "No alerts" in shown.stderr


def test_scores_give_every_subscriber_known_at_the_moment_a_probability_and_a_version(operator: Operator) -> None:
    for at in ("2024-02-01T00:00:00.000Z", "2024-06-01T00:00:00.000Z"):  # Inside the stream, and beyond its end.
        scores = lines(call("scores", "--db", operator.db, "--at", at, "--json"))
        assert len(scores) > 100
        assert len({score["subscriber_id"] for score in scores}) == len(scores)
        assert all(0.0 < score["probability"] < 1.0 and score["model_version"] for score in scores)
        assert {score["at"] for score in scores} == {at}


def test_scores_for_people_show_the_most_at_risk_first(operator: Operator) -> None:
    rows = lines(call("scores", "--db", operator.db, "--at", "2024-03-01", "--json"))
    worst = max(rows, key=lambda row: float(row["probability"]))
    shown = call("scores", "--db", operator.db, "--at", "2024-03-01", "--limit", "3").stdout
    body = [line for line in shown.splitlines() if "s_" in line]
    assert len(body) == 3
    assert worst["subscriber_id"] in body[0]


def test_a_time_without_an_offset_is_utc(operator: Operator) -> None:
    def at(time: str) -> str:
        return str(lines(call("scores", "--db", operator.db, "--at", time, "--json", "--limit", "1"))[0]["at"])

    assert at("2024-03-01T12:00:00") == at("2024-03-01T13:00:00+01:00") == "2024-03-01T12:00:00.000Z"


def test_explain_computes_every_number_again(operator: Operator) -> None:
    for alert in lines(call("alerts", "--db", operator.db, "--json", "--limit", "3")):
        (found,) = lines(call("explain", alert["alert_id"], "--db", operator.db, "--json"))
        assert found["equal"] is True
        assert found["recomputed"] == found["stored"]
        assert found["stored"]["reasons"] == alert["reasons"]


def test_explain_takes_the_beginning_of_an_id_and_shows_the_sum(operator: Operator) -> None:
    (alert,) = lines(call("alerts", "--db", operator.db, "--json", "--limit", "1"))
    shown = call("explain", alert["alert_id"][:14], "--db", operator.db)
    assert shown.exit_code == 0
    assert alert["alert_id"] in shown.stdout
    assert f"{alert['logit']:+.3f}" in shown.stdout
    assert f"{alert['intercept']:+.3f}" in shown.stdout
    assert "every number is the same" in shown.stderr


def test_explain_of_records_that_were_changed_since_ends_with_an_error(operator: Operator, tmp_path: Path) -> None:
    for file in operator.events.glob("*.jsonl"):
        (tmp_path / file.name).write_bytes(file.read_bytes().replace(b'"voice_answered":', b'"voice_answered":1'))
    (alert,) = lines(call("alerts", "--db", operator.db, "--json", "--limit", "1"))
    result = call("explain", alert["alert_id"], "--db", operator.db, "--input", tmp_path, "--json")
    assert result.exit_code == 1
    assert "gave other numbers: " in result.stderr
    assert json.loads(result.stdout)["equal"] is False


def test_explain_of_an_alert_that_does_not_exist_says_where_alerts_are_listed(operator: Operator) -> None:
    result = call("explain", "a_nothing", "--db", operator.db)
    assert result.exit_code == 3
    assert "forewarn alerts" in result.stderr


def test_features_are_numbered_named_and_defined() -> None:
    rows = lines(call("features", "--json"))
    assert [row["position"] for row in rows] == list(range(len(rows)))
    assert all(row["name"] and row["unit"] and row["definition"] and row["theme"] for row in rows)
    shown = " ".join(call("features").stdout.split())
    assert all(row["name"] in shown for row in rows)


def test_the_version_names_the_feature_table_and_the_contracts() -> None:
    (facts,) = lines(call("version", "--json"))
    assert facts["hot_path"] == "interpreted"
    assert facts["feature_table"].startswith("features-")
    assert call("--version").stdout.startswith(f"forewarn {facts['forewarn']}")
    assert facts["schema_version"] in call("version").stdout


@pytest.mark.parametrize("command", [["alerts"], ["scores", "--at", "2024-03-01"], ["explain", "a_1"]])
def test_a_database_that_does_not_exist_is_an_error_and_is_not_made(command: list[str], tmp_path: Path) -> None:
    result = call(*command, "--db", tmp_path / "none.db")
    assert result.exit_code == 4
    assert result.stderr.startswith("error: ")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("command", [["alerts"], ["scores", "--at", "2024-03-01"], ["explain", "a_1"]])
def test_a_text_file_is_no_database(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database\n" * 100, "utf-8")
    result = call(*command, "--db", tmp_path / "notes.db")
    assert result.exit_code == 4
    assert "notes.db" in result.stderr


def test_a_reader_that_stops_reading_hears_nothing() -> None:
    """As in `forewarn scores --json | head -1`, with more output than a pipe holds."""
    process = started("features", "--json")
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert errors == b""
    assert process.returncode == 141


@pytest.mark.slow
def test_an_interrupted_command_ends_with_130_and_one_word(operator: Operator) -> None:
    """The database is there while modules are still imported: where exactly the signal comes in must not matter."""
    process = started("run", "--input", "-", "--db", operator.db.with_name("interrupted.db"))
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    wait_for(operator.db.with_name("interrupted.db"))
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (output, errors.strip()) == (b"", b"interrupted")


def wait_for(path: Path) -> None:
    """Wait until the run has made its database."""
    for _ in range(1_200):
        if path.exists():
            return
        time.sleep(0.05)
    pytest.fail("the run did not begin within a minute")


INTERRUPT = (
    "import os, signal, sys, time\nfrom streams import cli\nstop = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
)
AT = {
    "the import of the commands": """
class Finder:
    def find_spec(name, *_):
        if name == "streams.cli.app":
            stop()
            time.sleep(10)
sys.meta_path.insert(0, Finder)
""",
    "code that is made from text while a library is imported": """
class Finder:
    def find_spec(name, *_):
        if name == "sqlalchemy":
            exec("stop(); time.sleep(10)", globals())
sys.meta_path.insert(0, Finder)
""",
    "a library that takes any exception for its own": """
class Finder:
    def find_spec(name, *_):
        if name == "sqlalchemy":
            try:
                stop()
                time.sleep(10)
            except BaseException:
                raise ImportError("no such library")
sys.meta_path.insert(0, Finder)
""",
    "a destructor": """
from streams.app import runs
class Last:
    def __del__(self):
        stop()
        time.sleep(0.01)
def run(*_, **__):
    Last()
    time.sleep(10)
runs.run = run
""",
    "the end, for the second time": """
import atexit
from streams.app import runs
def run(*_, **__):
    stop()
    time.sleep(10)
runs.run = run
atexit.register(stop)
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("where", AT)
def test_an_interrupt_ends_a_command_with_130_and_one_word_wherever_it_comes_in(where: str, tmp_path: Path) -> None:
    words = ["run", "--input", str(tmp_path), "--db", str(tmp_path / "a.db")]
    (tmp_path / "usage.jsonl").touch()
    (tmp_path / "begun.py").write_text(INTERRUPT + AT[where] + "cli.main()\n", "utf-8")
    # As a module: only then does Python look, at its end, for an interrupt that it believes nobody has caught.
    command = [sys.executable, "-m", "begun", *words]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=tmp_path)
    assert (ended.stdout, ended.stderr.strip()) == (b"", b"interrupted")
    assert ended.returncode == 130


def test_whoever_starts_a_command_with_interrupts_ignored_is_not_interrupted(tmp_path: Path) -> None:
    (tmp_path / "usage.jsonl").touch()
    script = "signal.signal(signal.SIGINT, signal.SIG_IGN)\nstop()\ncli.main()"
    command = [sys.executable, "-c", INTERRUPT + script, "version", "--json"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0

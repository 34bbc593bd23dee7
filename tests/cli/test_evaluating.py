"""`forewarn evaluate`: scores, weeks and alerts, with and without a truth file."""

import gzip
import json
from pathlib import Path

import pytest

from streams.core.contracts.encode import output_record
from streams.store.database import RunStore
from tests.cli.calling import Operator, call, lines


def test_the_evaluation_as_json_has_scores_weeks_and_the_lead_of_every_alert(operator: Operator) -> None:
    (found,) = lines(call("evaluate", "--db", operator.db, "--json"))
    assert found["closed"] + found["waiting"] == operator.summary["examples"]
    assert found["overall"]["examples"] == found["closed"]
    assert {"auc", "average_precision", "brier", "log_loss", "ece", "top"} <= set(found["overall"])
    assert [top["share"] for top in found["overall"]["top"]] == [0.01, 0.05, 0.1]
    assert sum(week["scores"]["examples"] for week in found["weeks"]) == found["closed"]
    alerts = lines(call("alerts", "--db", operator.db, "--json"))
    judged = {alert["alert_id"] for alert in found["warnings"]["alerts"]}
    # Who is held out is not shown to account managers, but judged like everybody else.
    held_out = lines(call("alerts", "--held-out", "--db", operator.db, "--json"))
    assert judged == {alert["alert_id"] for alert in [*alerts, *held_out]}
    assert found["load"]["alerts"] == len(alerts)


def test_the_truth_tells_of_leavers_whom_no_label_shows(operator: Operator) -> None:
    (by_label,) = lines(call("evaluate", "--db", operator.db, "--json"))
    truth = operator.events / "truth.jsonl"
    (by_truth,) = lines(call("evaluate", "--db", operator.db, "--truth", truth, "--json"))
    assert by_truth["overall"] == by_label["overall"]
    assert by_truth["warnings"]["known_from"] == "truth"
    assert by_truth["warnings"]["leavers"] >= by_label["warnings"]["leavers"]


def test_the_evaluation_for_people_names_each_measure(operator: Operator) -> None:
    shown = call("evaluate", "--db", operator.db)
    assert shown.exit_code == 0
    for words in (
        "AUC",
        "average precision",
        "top 5%",
        "Brier",
        "ECE",
        "AUC by week",
        "lead time",
        "leavers warned of",
    ):
        assert words in shown.stdout


def test_a_run_of_which_nothing_is_known_yet_says_so(operator: Operator, tmp_path: Path) -> None:
    db = tmp_path / "short.db"
    lines(call("run", "--input", operator.events, "--db", db, "--until", "2024-01-12", "--json"))
    shown = call("evaluate", "--db", db)
    assert shown.exit_code == 0
    assert "No horizon has closed yet" in shown.stderr


@pytest.mark.parametrize("content", [None, "no truth\n"])
def test_a_truth_file_that_is_none_is_an_error(operator: Operator, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "truth.jsonl"
    if content is not None:
        path.write_text(content, "utf-8")
    result = call("evaluate", "--db", operator.db, "--truth", path)
    assert result.exit_code == 3
    assert "truth" in result.stderr


@pytest.fixture
def db(operator: Operator, tmp_path: Path) -> Path:
    """Return the database of a run in which silence is leaving: so few subscribers have more leavers so."""
    policy, db = tmp_path / "policy.toml", tmp_path / "run.db"
    policy.write_text("[label]\nlooks_ahead = false\n")
    lines(call("run", "--input", operator.events, "--db", db, "--policy", policy, "--json"))
    return db


def test_the_report_has_intervals_and_the_same_ones_each_time(db: Path) -> None:
    (found,) = lines(call("evaluate", "--db", db, "--resamples", "20", "--json"))
    (again,) = lines(call("evaluate", "--db", db, "--resamples", "20", "--json"))
    assert found == again
    auc = found["intervals"]["auc"]
    assert auc["low"] <= auc["estimate"] <= auc["high"]
    assert auc["estimate"] == found["overall"]["auc"]
    assert found["profit"]["per_subscriber"] > 0.0
    (without,) = lines(call("evaluate", "--db", db, "--resamples", "0", "--json"))
    assert without["intervals"] is None
    assert without["overall"] == found["overall"]


@pytest.mark.slow
def test_a_shock_a_budget_and_a_page(db: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    shown = call(
        "evaluate", "--db", db, "--resamples", "5", "--shock", "2024-02-01", "--shock-days", "7",
        "--budget", "0.5", "--html", path,
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    for words in ("recovery", "EMPC", "days over 0.5", "95 %"):
        assert words in shown.stdout
    assert "2024-02-01" in path.read_text("utf-8")
    assert str(path) in shown.stderr


def test_files_of_examples_give_the_scores_of_the_database_that_they_come_from(
    operator: Operator, tmp_path: Path
) -> None:
    path, ceiling = tmp_path / "examples.jsonl.gz", tmp_path / "ceiling.jsonl"
    with RunStore.open(operator.db, create=False) as store:
        messages = [output_record(example).value for example in store.examples()]
    path.write_bytes(gzip.compress(b"\n".join(messages)))
    first = json.loads(messages[0])
    kept = {name: first[name] for name in ("subscriber_id", "snapshot_at", "probability")}
    ceiling.write_text(json.dumps(kept), "utf-8")
    (found,) = lines(
        call(
            "evaluate", "--examples", path, "--ceiling", ceiling, "--resamples", "5", "--json",
            "--against", "days_since_top_up,hazard",
        )
    )  # fmt: skip
    (of_run,) = lines(call("evaluate", "--db", operator.db, "--resamples", "5", "--json"))
    assert found["closed"] >= 0.9 * of_run["closed"]
    assert (found["warnings"], found["load"], found["uplift"]) == (None, None, None)
    assert [rival["name"] for rival in found["rivals"]] == ["champion", "hazard", "days_since_top_up"]
    assert found["ceiling"]["examples"] == 1
    shown = call("evaluate", "--examples", path, "--ceiling", ceiling, "--resamples", "0", "--against", "hazard")
    assert shown.exit_code == 0, shown.output
    assert "Other learners" in shown.stdout
    assert "ceiling" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--examples", "{events}/truth.jsonl"), "line 1 is no line of a labelled example"),
        (("--db", "{db}", "--examples", "{db}"), "holds no alerts"),
        (("--db", "{db}", "--policy", "policy.toml"), "--policy is for --examples"),
        (("--db", "{db}", "--against", "nobody"), "no contender"),
        (("--db", "{db}", "--against", ","), "names nobody"),
        (("--db", "{db}", "--incentive", "300"), "make no campaign"),
        (("--db", "{db}", "--html", "none/report.html"), "cannot be written"),
    ],
)
def test_what_does_not_fit_together_is_an_error(operator: Operator, words: tuple[str, ...], why: str) -> None:
    result = call("evaluate", *(word.format(events=operator.events, db=operator.db) for word in words))
    assert result.exit_code in {2, 3}
    assert why in result.stderr


def test_files_without_an_example_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text("\n", "utf-8")
    result = call("evaluate", "--examples", path)
    assert result.exit_code == 3
    assert "no labelled example" in result.stderr

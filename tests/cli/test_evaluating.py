"""`forewarn evaluate`: scores, weeks and alerts, with and without a truth file."""

from pathlib import Path

import pytest

from tests.cli.calling import Operator, call, lines


def test_the_evaluation_as_json_has_scores_weeks_and_the_lead_of_every_alert(operator: Operator) -> None:
    (found,) = lines(call("evaluate", "--db", operator.db, "--json"))
    assert found["closed"] + found["waiting"] == operator.summary["examples"]
    assert found["overall"]["examples"] == found["closed"]
    assert {"auc", "average_precision", "brier", "log_loss", "ece", "top"} <= set(found["overall"])
    assert [top["share"] for top in found["overall"]["top"]] == [0.01, 0.05, 0.1]
    assert sum(week["scores"]["examples"] for week in found["weeks"]) == found["closed"]
    alerts = lines(call("alerts", "--db", operator.db, "--json"))
    assert {alert["alert_id"] for alert in found["warnings"]["alerts"]} == {alert["alert_id"] for alert in alerts}


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

"""`forewarn model`: what it lists, shows and compares, and that a promotion changes what is to come alone."""

import re
import sys
from pathlib import Path

import pytest
from msgspec import Struct

from tests.cli.calling import Operator, call, lines

FIELDS = {
    "version", "name", "hash", "parent", "published_at", "feature_table", "examples", "positives", "source_position",
    "metrics", "serves",
}  # fmt: skip
HALF = "2024-05-20"
TRAINING = """
[policy.training]
learner = "steady"
challengers = ["adagrad", "hazard"]
positives_min = 3
"""


class ModelRun(Struct, frozen=True):
    """A folder of events, and a database into which the first half of them was run."""

    events: Path
    db: Path


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> ModelRun:
    folder = tmp_path_factory.mktemp("models")
    events = folder / "events"
    made = call("simulate", "--out", events, "--subscribers", "150", "--days", "200", "--seed", "11")
    assert made.exit_code == 0, made.output
    (events / "forewarn.toml").write_text(TRAINING, "utf-8")
    assert call("run", "--input", events, "--db", folder / "a.db", "--until", HALF, "--json").exit_code == 0
    return ModelRun(events, folder / "a.db")


@pytest.fixture
def run(begun: ModelRun, tmp_path: Path) -> ModelRun:
    """Return a copy of its own for a test that promotes."""
    db = tmp_path / "copy.db"
    db.write_bytes(begun.db.read_bytes())
    return ModelRun(begun.events, db)


def serving(db: Path) -> str:
    (one,) = [row["version"] for row in lines(call("model", "list", "--db", db, "--json")) if row["serves"]]
    return str(one)


def test_the_list_has_one_object_a_version_and_one_of_them_serves(begun: ModelRun) -> None:
    rows = lines(call("model", "list", "--db", begun.db, "--json"))
    assert all(set(row) >= FIELDS for row in rows)
    assert {row["name"] for row in rows} == {"champion", "adagrad", "hazard"}
    assert len({row["hash"] for row in rows}) == len(rows) > 9
    assert serving(begun.db).startswith("champion-")
    assert {row["parent"] for row in rows} >= {None, 1, 2}


def test_people_are_shown_the_newest_versions_the_mature_week_and_what_was_decided(begun: ModelRun) -> None:
    shown = call("model", "list", "--db", begun.db)
    assert shown.exit_code == 0
    assert f"{serving(begun.db)} serves" in shown.stdout
    assert "the newest that is mature" in shown.stdout
    assert "against champion: keep" in shown.stdout
    assert "recency" in shown.stdout


def test_a_card_says_what_it_learned_what_it_weighs_and_its_limits(begun: ModelRun) -> None:
    shown = call("model", "show", "champion", "--db", begun.db)
    assert shown.exit_code == 0
    for words in ("learned from", "reviewed scorecard", "weights in logit", "mature weeks", "stayed", "sha-256"):
        assert words in shown.stdout
    (card,) = lines(call("model", "show", "hazard", "--db", begun.db, "--json"))
    weights = [abs(row["weight"]) for row in card["weights"]]
    assert weights == sorted(weights, reverse=True)
    assert card["weeks"]
    assert 0 <= card["scorecard"]["same_sign"] <= card["scorecard"]["weighed_by_both"]


@pytest.mark.parametrize("words", [("champion-2", "champion"), ("champion-1", "hazard-1")])
def test_a_diff_says_what_changed_in_weights_scales_and_metrics(begun: ModelRun, words: tuple[str, str]) -> None:
    (found,) = lines(call("model", "diff", *words, "--db", begun.db, "--json"))
    assert found["before"].startswith(words[0])
    assert found["weights"]
    before, after = next(iter(found["weights"].values()))
    assert before != after
    shown = call("model", "diff", *words, "--db", begun.db)
    assert "weights: " in shown.stdout
    assert found["after"] in shown.stdout


def test_a_version_does_not_differ_from_itself(begun: ModelRun) -> None:
    same = call("model", "diff", "champion-1", "champion-1", "--db", begun.db)
    assert (same.exit_code, same.stdout) == (0, "")
    assert "are the same in every number" in same.stderr


@pytest.mark.slow
def test_a_promoted_line_serves_what_comes_then_and_every_alert_is_still_explained(run: ModelRun) -> None:
    before = serving(run.db)
    past = call("scores", "--db", run.db, "--at", "2024-05-01", "--json").stdout
    (made,) = lines(call("model", "promote", "hazard", "--db", run.db, "--json"))
    assert (made["from"], made["to"], made["by"]) == ("champion", "hazard", "operator")
    assert made["at"].startswith("2024-05-2")
    assert call("run", "--input", run.events, "--db", run.db, "--json").exit_code == 0
    assert serving(run.db).startswith("hazard-")
    assert serving(run.db) != before
    assert call("scores", "--db", run.db, "--at", "2024-05-01", "--json").stdout == past
    served = {row["model_version"] for row in lines(call("scores", "--db", run.db, "--at", "2024-06-20", "--json"))}
    assert all(name.startswith("hazard-") for name in served)
    alerts = lines(call("alerts", "--db", run.db, "--json"))
    by_hazard = [alert for alert in alerts if alert["model_version"].startswith("hazard-")]
    assert by_hazard
    for alert in by_hazard[:3]:
        (found,) = lines(call("explain", alert["alert_id"], "--db", run.db, "--json"))
        assert found["equal"] is True


@pytest.mark.slow
def test_a_run_that_is_stopped_and_taken_up_again_after_a_promotion_equals_a_straight_one(run: ModelRun) -> None:
    other = run.db.with_name("other.db")
    assert call("model", "promote", "adagrad", "--db", run.db).exit_code == 0
    other.write_bytes(run.db.read_bytes())
    assert call("run", "--input", run.events, "--db", other, "--until", "2024-06-10").exit_code == 0
    for db in (run.db, other):
        assert call("run", "--input", run.events, "--db", db).exit_code == 0
    listed = [call("model", "list", "--db", db, "--json").stdout for db in (run.db, other)]
    alerts = [call("alerts", "--db", db, "--json").stdout for db in (run.db, other)]
    assert listed[0] == listed[1]
    assert alerts[0] == alerts[1]


def test_rollback_undoes_the_last_promotion_or_pins_the_version_before(run: ModelRun) -> None:
    newest = serving(run.db)
    (pinned,) = lines(call("model", "rollback", "--db", run.db, "--json"))
    assert serving(run.db) == pinned["to"] != newest
    assert call("model", "rollback", "--db", run.db).exit_code == 0
    assert serving(run.db) == newest
    assert call("model", "promote", "hazard-1", "--db", run.db).exit_code == 0
    assert serving(run.db).startswith("hazard-1-")
    again = call("model", "rollback", "--db", run.db)
    assert "champion serves from" in again.stderr
    assert serving(run.db) == newest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("promote", "nobody"), "no model versions are called 'nobody'; the newest are adagrad-"),
        (("promote", "champion"), "champion serves already; the lines are adagrad, champion, hazard"),
        (("promote", "recency"), "recency is a ranking rule"),
        (("promote", "boosting"), "boosting is a yardstick, which is judged and publishes no version"),
        (("show", "champion-999"), "no model versions are called 'champion-999'"),
    ],
)
def test_a_name_that_cannot_serve_is_answered_with_those_that_can(
    begun: ModelRun, words: tuple[str, str], said: str
) -> None:
    result = call("model", *words, "--db", begun.db)
    assert result.exit_code == 3
    assert said in result.stderr


def test_places_and_times_that_do_not_go_together_are_refused(begun: ModelRun) -> None:
    both = call("model", "list", "--db", begun.db, "--kafka", "127.0.0.1:1")
    assert (both.exit_code, "two places" in both.stderr) == (2, True)
    dated = call("model", "promote", "hazard", "--db", begun.db, "--from", "2024-01-01")
    assert (dated.exit_code, "--from is for --kafka" in dated.stderr) == (2, True)
    missing = call("model", "list", "--db", begun.db.with_name("nothing.db"))
    assert missing.exit_code == 4


def test_before_the_first_version_the_scorecard_serves(operator: Operator, tmp_path: Path) -> None:
    db = tmp_path / "short.db"
    assert call("run", "--input", operator.events, "--db", db, "--until", "2024-01-20", "--json").exit_code == 0
    shown = call("model", "list", "--db", db)
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "the scorecard serves" in shown.stderr
    result = call("model", "rollback", "--db", db)
    assert (result.exit_code, "nothing served before" in result.stderr) == (3, True)
    assert "no model version was published yet" in call("model", "promote", "hazard", "--db", db).stderr


def test_a_policy_that_names_a_learner_that_is_not_installed_stops_the_start(
    begun: ModelRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "boosted.toml"
    policy.write_text('[training]\nchallengers = ["hazard", "boosting"]\n', "utf-8")
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    result = call("run", "--input", begun.events, "--db", tmp_path / "b.db", "--policy", policy)
    assert result.exit_code == 2
    assert "training.challengers names 'boosting', which needs LightGBM; pip install 'forewarn[boost]'" in result.stderr


@pytest.mark.slow
def test_a_yardstick_has_its_line_in_the_mature_week_and_no_versions_and_a_report_does_without_it(
    begun: ModelRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightgbm", reason="LightGBM, an extra, is not installed")
    policy, db = tmp_path / "boosted.toml", tmp_path / "b.db"
    policy.write_text('[training]\nchallengers = ["hazard", "boosting"]\n', "utf-8")
    monkeypatch.setattr("streams.learning.models.boosting.POSITIVES_MIN", 5)
    assert call("run", "--input", begun.events, "--db", db, "--policy", policy, "--json").exit_code == 0
    assert {row["name"] for row in lines(call("model", "list", "--db", db, "--json"))} == {"champion", "hazard"}
    shown = call("model", "list", "--db", db).stdout
    assert re.search(r"^ boosting +0\.\d{4} +0\.\d{4} ", shown, re.MULTILINE), shown
    assert "boosting against champion: keep, " in shown
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert call("evaluate", "--db", db, "--against", "hazard", "--json").exit_code == 0

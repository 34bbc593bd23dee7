"""A trainer that promotes by itself: dated, stored, served from then on, and the same wherever the run is cut."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.app import lookbacks
from streams.kafka.trainer.training_task import promotion_record
from streams.learning import lineup
from streams.learning.judging.promoting import decide
from streams.learning.judging.verdicts import Decision
from tests.engine.operators import LIVELY, contents, differing, run, write_operator

AUTOMATIC = """
[policy.training]
positives_min = 2
learner = "steady"
challengers = ["hazard"]
promotion = "automatic"
"""


def eager(*given: Any) -> Decision:
    """Decide as always, but let whoever challenges the champion have won."""
    decision = decide(*given)
    if decision.leader != "champion":
        return decision
    return msgspec.structs.replace(decision, verdict="promote", why="a test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    policy = LIVELY.replace("[policy.training]\npositives_min = 2\n", AUTOMATIC)
    return write_operator(tmp_path_factory.mktemp("automatic") / "events", days=110, policy=policy)


@pytest.mark.slow
def test_what_the_trainer_promotes_serves_from_its_date_on_wherever_the_run_is_cut(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineup, "decide", eager)
    run(folder, tmp_path / "straight.db")
    found = contents(tmp_path / "straight.db")
    (promotion,) = found["promotions"]
    assert (promotion.before, promotion.to, promotion.by) == ("champion", "hazard", "trainer")
    assert promotion.at_ms in {version.published_at_ms for version in found["models"]}
    for change in (change for changes in found["transitions"] for change in changes):
        if not change.model_version.startswith("scorecard-"):
            assert change.model_version.startswith("hazard-" if change.at_ms > promotion.at_ms else "champion-")
    day_ms = 86_400_000
    for until_ms in (promotion.at_ms - day_ms, promotion.at_ms, promotion.at_ms + 1, promotion.at_ms + 3 * day_ms):
        db = tmp_path / f"cut-{until_ms}.db"
        run(folder, db, until_ms=until_ms)
        run(folder, db)
        assert differing(contents(db), found) == []
    scores = list(lookbacks.scores(str(tmp_path / "straight.db"), promotion.at_ms))
    assert {score.model_version[:8] for score in scores} == {"champion"}
    later = list(lookbacks.scores(str(tmp_path / "straight.db"), promotion.at_ms + 1))
    assert {score.model_version[:7] for score in later} == {"hazard-"}
    record = promotion_record(promotion)
    assert (record.topic, record.key) == ("models", promotion.key)


@pytest.mark.slow
def test_without_a_decision_nothing_is_promoted(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "calm.db")
    assert contents(tmp_path / "calm.db")["promotions"] == []

"""The arithmetic of early warnings in `benchmarks/`: who is right, who is gone, and what a budget buys."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams.core.times import DAY_MS
from streams.simulate.truth import NEVER

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("early_warnings")


@pytest.fixture
def stories(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("stories")


def days(*numbers: float) -> Any:
    return np.array([round(number * DAY_MS) for number in numbers], dtype=np.int64)


@pytest.fixture
def truths(early: Any) -> Any:
    """Six people: left on 40, stayed, made to leave on 40, left on 40 and back on 60, left on 80, left on 100."""
    return early.Truths(
        left=np.array([True, False, True, True, True, True]),
        voluntary=np.array([True, False, False, True, True, True]),
        last_use_ms=days(40, 200, 40, 40, 80, 100),
        back_ms=np.array([NEVER, NEVER, NEVER, 60 * DAY_MS, NEVER, NEVER]),
    )


@pytest.mark.parametrize(
    ("who", "day", "right", "gone"),
    [
        (0, 9.9, False, False),  # Too early.
        (0, 10, True, False),
        (0, 39.9, True, False),
        (0, 40, False, True),  # At the very last use it is over.
        (0, 90, False, True),
        (1, 180, False, False),
        (2, 30, False, False),  # Not of their own will.
        (2, 50, False, True),
        (3, 30, True, False),
        (3, 59, False, True),
        (3, 60, False, False),  # Won back.
    ],
)
def test_a_warning_is_right_before_the_last_use_and_too_late_after_it(
    early: Any, truths: Any, who: int, day: float, *, right: bool, gone: bool
) -> None:
    given = np.array([who]), days(day)
    assert early.is_right(truths, *given).tolist() == [right]
    assert early.is_gone(truths, *given).tolist() == [gone]


def test_a_budget_goes_to_the_highest_of_each_day_and_to_nobody_twice_within_thirty_days(early: Any) -> None:
    who = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    at_ms = days(0.2, 0.2, 0.2, 1.2, 1.2, 1.2, 30.2, 30.2)
    score = np.array([0.5, 0.9, 0.1, 0.9, 0.8, 0.3, 0.2, 0.9])
    assert early.warnings_on_a_budget(who, at_ms, score, 1.0).tolist() == [1, 3, 7]
    assert early.warnings_on_a_budget(who, at_ms, score, 2.0).tolist() == [0, 1, 5, 6, 7]


def test_half_a_warning_a_day_is_one_on_every_second_day(early: Any) -> None:
    who, at_ms = np.arange(4), days(0.2, 1.2, 2.2, 3.2)
    assert early.warnings_on_a_budget(who, at_ms, np.full(4, 0.5), 0.5).tolist() == [1, 3]


def test_of_equal_scores_the_first_subscriber_is_warned_of(early: Any) -> None:
    who, at_ms = np.array([5, 3]), days(0.2, 0.2)
    assert early.warnings_on_a_budget(who, at_ms, np.array([0.5, 0.5]), 1.0).tolist() == [1]


def test_nothing_is_bought_where_there_is_nobody(early: Any) -> None:
    nobody = np.array([], dtype=np.int64)
    assert early.warnings_on_a_budget(nobody, nobody, np.array([]), 1.0).tolist() == []


def test_the_figures_of_a_case_worked_by_hand(early: Any, truths: Any) -> None:
    who = np.array([0, 0, 1, 2, 4, 5])
    at_ms = days(36, 41, 50, 20, 70, 10)
    found = early.figures_of(truths, who, at_ms, 15 * DAY_MS, 90 * DAY_MS)
    # The warning of day 10 is outside; right are 0 (4 days ahead) and 4 (10 days ahead); 0 is gone on day 41.
    assert found.warnings == 5
    assert (found.right, found.gone, found.lead_days, found.week) == (0.4, 0.2, 7.0, 0.5)
    # Those who left voluntarily with the last use on days 15 to 90: 0, 3 and 4, of whom 3 was not warned of.
    assert (found.leavers, found.warned) == (3, pytest.approx(2 / 3))


def test_no_warning_has_no_share(early: Any, truths: Any) -> None:
    nobody = np.array([], dtype=np.int64)
    found = early.figures_of(truths, nobody, nobody, 0, 90 * DAY_MS)
    assert (found.warnings, found.right, found.gone, found.lead_days, found.week) == (0, None, None, None, None)
    assert (found.leavers, found.warned) == (3, 0.0)


def result(story: str, right: float, ceiling: float) -> dict[str, Any]:
    names = ("right", "gone", "lead_days", "week", "warned", "ap_truth", "ap_label")
    alerts: dict[str, Any] = {"warnings": 5, "right": 0.1, "gone": 0.1, "lead_days": 5.0, "week": 0.5, "warned": 0.2}
    alerts |= {f"right_{band}": None for band in ("low", "medium", "high", "critical")}
    return {
        "story": story,
        "contenders": {
            "served": dict.fromkeys(names, right),
            "ceiling_labels": dict.fromkeys(names, ceiling),
            "ceiling_truth": dict.fromkeys(names, ceiling),
        },
        "alerts": alerts,
        "cold_start": {"expected_by_seen": 2.0 * right},
    }


def test_the_worst_story_counts_by_its_mean_over_seeds(stories: Any) -> None:
    table = stories.by_story([result("a", 0.1, 0.2), result("a", 0.3, 0.4), result("b", 0.4, 0.4)])
    assert table["a"]["right"] == pytest.approx(0.2)
    assert table["a"]["right / ceiling"] == pytest.approx(0.625)
    assert table["worst"]["right"] == pytest.approx(0.2)
    assert table["worst"]["gone"] == pytest.approx(0.4), "of what is bad the most is the worst"
    assert table["worst"]["band high right"] is None


@pytest.mark.slow
def test_a_small_story_is_judged_and_not_computed_again(
    stories: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    out = tmp_path / "stories.json"
    asked = ["stories.py", "--story", "campus", "--seed", "1", "--subscribers", "300", "--days", "130"]
    monkeypatch.setattr(sys, "argv", [*asked, "--out", str(out)])
    assert stories.main() == 0
    first = out.read_bytes()
    assert "campus, seed 1" in capsys.readouterr().err
    assert stories.main() == 0
    said = capsys.readouterr()
    assert not said.err
    assert "right / ceiling" in said.out
    assert out.read_bytes() == first

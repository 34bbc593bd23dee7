"""The yardstick: fitted by what is ripe, evaluated as LightGBM does it, judged beside the lines, never served."""

import sys
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts.policy import YARDSTICK
from streams.core.scoring.models import ModelVersion
from streams.core.times import DAY_MS, WEEK_MS
from streams.evaluation.metrics import average_precision, log_loss
from streams.learning.judging.promoting import decide
from streams.learning.judging.verdicts import Decision, ImprovementInterval
from streams.learning.judging.weeks import BLOCKS, Blocks
from streams.learning.lineup import Lineup, LineupSettings
from streams.learning.models import boosting as module
from streams.learning.models.boosting import POSITIVES_MIN, REFIT_MS, BoostingTrainer, Fit, Tree, fit_trees, trees_of
from streams.learning.models.linear import TrainerError
from streams.learning.trainer import Trainer
from tests.core.strategies import modest
from tests.learning.test_lineup import lineup_of, stream
from tests.learning.test_trainer import NAMES, SOON, TABLE, example, killed, run

lightgbm = pytest.importorskip("lightgbm", reason="LightGBM, an extra, is not installed")

HORIZON_MS = 30 * DAY_MS
LINEUP = LineupSettings(challengers=("hazard", "boosting"))
END_MS = 130 * DAY_MS
NUMBERS = st.floats(-50.0, 50.0, allow_nan=False)


def yardstick(patience_ms: int = 0) -> BoostingTrainer:
    return BoostingTrainer(len(NAMES), patience_ms=patience_ms, memory_ms=65 * DAY_MS)


def boosting_of(trainer: Trainer) -> BoostingTrainer:
    found = lineup_of(trainer).boosting
    assert found is not None
    return found


@pytest.fixture(scope="module")
def finished() -> tuple[Trainer, list[ModelVersion]]:
    trainer = Trainer(SOON, NAMES, TABLE, LINEUP)
    return trainer, run(trainer, stream(), END_MS)


@pytest.fixture(scope="module")
def original() -> tuple[Any, Fit]:
    """A model of LightGBM's own, and the same one as plain trees."""
    draw = np.random.default_rng(3)
    features = draw.normal(size=(3_000, 6))
    labels = (features[:, 0] * features[:, 1] + np.sin(features[:, 2]) + draw.normal(size=3_000) > 0.5).astype(float)
    model = fit_trees(lightgbm, features, labels, np.where(labels > 0.0, 1.0, 4.0))
    return model, Fit(0, 3_000, int(labels.sum()), trees_of(model))


@given(rows=st.lists(st.tuples(*[NUMBERS] * 6), min_size=1, max_size=20))
def test_plain_trees_say_what_lightgbm_says_of_any_features(
    rows: list[tuple[float, ...]], original: tuple[Any, Fit]
) -> None:
    model, fit = original
    assert len(fit.trees) == module.ROUNDS
    for features, chance in zip(rows, model.predict(np.array(rows)), strict=True):
        assert fit.chance(features) == pytest.approx(chance, abs=1e-12)


def test_at_a_threshold_plain_trees_turn_where_lightgbm_turns(original: tuple[Any, Fit]) -> None:
    model, fit = original
    edges = [(tree.features[0], tree.thresholds[0]) for tree in fit.trees[:40]]
    rows = np.zeros((3 * len(edges), 6))
    for number, (feature, threshold) in enumerate(edges):
        rows[3 * number : 3 * number + 3, feature] = np.nextafter(threshold, -np.inf), threshold, threshold + 1e-6
    for features, chance in zip(rows, model.predict(rows), strict=True):
        assert fit.chance(features.tolist()) == pytest.approx(chance, abs=1e-12)


def test_a_fit_is_plain_json_and_comes_back_to_the_last_bit(original: tuple[Any, Fit]) -> None:
    _, fit = original
    assert msgspec.json.decode(msgspec.json.encode(fit), type=Fit) == fit


def test_a_tree_that_found_nothing_to_split_on_is_its_one_leaf() -> None:
    labels = np.array([0.0, 1.0] * 50)
    trees = trees_of(fit_trees(lightgbm, np.zeros((100, 2)), labels))
    assert trees
    assert all(tree == Tree((), (), (), (), tree.leaves) for tree in trees)
    assert Fit(0, 100, 50, trees).chance((7.0, 7.0)) == pytest.approx(0.5)


def test_a_fit_is_made_every_four_weeks_of_ripe_examples_alone(finished: tuple[Trainer, list[ModelVersion]]) -> None:
    fits = boosting_of(finished[0]).fits
    assert len(fits) >= 3
    assert {later.from_ms - one.from_ms for one, later in pairwise(fits)} == {REFIT_MS}
    for fit in fits:
        ripe = [one for one in stream() if one.closed_at_ms < fit.from_ms]
        assert (fit.examples, fit.positives) == (len(ripe), sum(one.label for one in ripe))
    assert fits[0].positives >= POSITIVES_MIN


def test_the_first_fit_waits_for_enough_leavers_whose_horizon_has_closed_with_patience() -> None:
    leavers = [example(number, label=True, kind="termination") for number in range(POSITIVES_MIN)]
    made = yardstick(patience_ms=DAY_MS)
    for one in leavers:
        made.take(one)
    last_ms = leavers[-1].closed_at_ms + DAY_MS + 1
    made.refit(last_ms - 1)
    assert not made.fits
    made.refit(last_ms)
    assert [fit.from_ms for fit in made.fits] == [last_ms]


def test_provisional_examples_are_left_out() -> None:
    made = yardstick()
    made.take(example(1, example_id="p_1", provisional=True))
    assert not made.state().rows


def test_what_is_older_than_the_window_is_forgotten() -> None:
    made = yardstick()
    for number in range(2_000):
        made.take(example(number))
    made.refit(example(1_999).closed_at_ms + 1)
    before = made.state()
    made.refit(before.fitted_ms + module.WINDOW_MS)
    assert len(before.rows) == 2_000
    assert not made.state().rows
    assert made.fits == before.fits
    assert made.chance(example(1).features, before.fitted_ms) is None
    assert made.chance(example(1).features, before.fitted_ms + 1) is not None


@modest(20)
@given(st.integers(0, 2**32), st.integers(60, 400))
def test_what_is_kept_has_a_bound_and_does_not_depend_on_the_order(seed: int, most: int) -> None:
    examples = [example(number) for number in range(1_500)]
    states, shuffler = [], Random(seed)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "ROWS_MAX", most)
        for _ in range(2):
            made = yardstick()
            shuffler.shuffle(examples)
            for one in examples:
                made.take(one)
            states.append(made.state())
    assert states[0] == states[1]
    for label in (False, True):
        count = sum(row[2] is label for row in states[0].rows)
        assert count <= most
        assert count << states[0].halvings[label] == pytest.approx(
            sum(one.label is label for one in examples), rel=5.0 * count**-0.5
        )


def test_rows_that_were_thinned_out_weigh_for_those_that_went(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_MAX", 300)
    made = yardstick()
    examples = [example(number) for number in range(3_000)]
    for one in examples:
        made.take(one)
    assert made.state().halvings[0] >= 3
    made.refit(examples[-1].closed_at_ms + 1)
    expected = sum(made.fits[0].chance(one.features) for one in examples)
    assert expected == pytest.approx(sum(one.label for one in examples), rel=0.15)


def test_a_mature_week_judges_it_by_the_fit_of_its_snapshots_times(
    finished: tuple[Trainer, list[ModelVersion]],
) -> None:
    trainer, _ = finished
    fits, history = boosting_of(trainer).fits, lineup_of(trainer).history
    judged = [week for week in history if YARDSTICK in week.figures]
    assert 0 < len(judged) < len(history)
    for week in judged:
        snapshots = [one for one in stream() if week.week_ms <= one.snapshot_at_ms < week.week_ms + WEEK_MS]
        chances = []
        for one in snapshots:
            in_force = [fit for fit in fits if fit.from_ms < one.snapshot_at_ms]
            chances.append(in_force[-1].chance(one.features))
        labels = [one.label for one in snapshots]
        figures = week.figures[YARDSTICK]
        assert figures.log_loss == pytest.approx(log_loss(chances, labels), abs=1e-6)
        assert figures.average_precision == pytest.approx(average_precision(chances, labels), abs=0.03)
    for week in history:
        assert (YARDSTICK in week.figures) is (week.week_ms > fits[0].from_ms)


def test_the_champion_is_the_same_with_the_yardstick_and_without(finished: tuple[Trainer, list[ModelVersion]]) -> None:
    alone = run(Trainer(SOON, NAMES, TABLE, LineupSettings(challengers=("hazard",))), stream(), END_MS)
    assert finished[1] == alone


@pytest.mark.slow
@modest(6)
@given(st.lists(st.integers(0, 2_499), unique=True, max_size=4))
def test_a_trainer_with_a_yardstick_killed_anywhere_continues_to_the_same_last_bit(kills: list[int]) -> None:
    trainer = killed(kills, stream(2_500), 110 * DAY_MS, LINEUP)
    assert len(boosting_of(trainer).fits) >= 2


def block(number: int, names: Sequence[str], better: str) -> Blocks:
    """Return a week in which one line loses half as much as the others, and has the more leavers on top."""
    return Blocks(
        week_ms=number * WEEK_MS,
        examples=[100] * BLOCKS,
        positives=[4] * BLOCKS,
        loss_micro={name: [5_000_000 if name == better else 10_000_000] * BLOCKS for name in names},
        top={name: [3.0 if name == better else 1.0] * BLOCKS for name in names},
        expected_micro=dict.fromkeys(names, 4 * BLOCKS * 1_000_000),
    )


def weeks_after(settings: LineupSettings, better: str, count: int) -> Lineup:
    """Return a lineup that has decided after each of so many mature weeks, all of them with one line ahead."""
    lineup = Lineup(settings, SOON, NAMES)
    for number in range(count):
        lineup._blocks = [*lineup._blocks, block(number, ("champion", "hazard", YARDSTICK), better)][-4:]
        lineup._decide(number * WEEK_MS)
    return lineup


def test_where_it_is_surely_better_a_person_is_told_once_and_nobody_is_promoted() -> None:
    automatic = msgspec.structs.replace(LINEUP, promotion="automatic")
    lineup = weeks_after(automatic, YARDSTICK, 8)
    last: Decision = lineup.decisions[-1]
    assert (last.challenger, last.verdict) == (YARDSTICK, "keep")
    assert last.why == "better for 5 mature weeks in a row, and it cannot serve"
    (notice,) = lineup.notices
    assert (notice.kind, notice.at_ms) == ("yardstick", 4 * WEEK_MS)
    assert "better than champion for 2 mature weeks" in notice.what
    assert notice.figures == {"log_loss_saved": 0.05, "recall_gained": 0.5}
    assert lineup._act() == []
    lineup.note_promotion(YARDSTICK)
    assert lineup.leader == "champion"


def test_a_line_is_promoted_past_the_yardstick() -> None:
    lineup = weeks_after(msgspec.structs.replace(LINEUP, promotion="automatic"), "hazard", 6)
    (promotion,) = lineup._act()
    assert (promotion.to, lineup.leader) == ("hazard", "hazard")
    assert not lineup.notices


def test_weeks_in_which_it_was_not_judged_are_no_evidence() -> None:
    weeks = [
        block(0, ("champion",), "champion"),
        *(block(number, ("champion", YARDSTICK), YARDSTICK) for number in (1, 2, 3)),
    ]
    decision = decide(weeks, 0, YARDSTICK, "champion", 1)
    assert (decision.verdict, decision.weeks, decision.why) == ("keep", 3, "3 of 4 weeks are mature")
    assert decision.log_loss == ImprovementInterval(estimate=0.05, low=0.05, high=0.05)


def test_a_snapshot_of_which_a_row_or_a_fit_is_missing_is_refused(finished: tuple[Trainer, list[ModelVersion]]) -> None:
    state = boosting_of(finished[0]).state()
    for missing in (
        msgspec.structs.replace(state, rows=state.rows[1:]),
        msgspec.structs.replace(state, fits=state.fits[:-1]),
    ):
        with pytest.raises(TrainerError, match="not all there"):
            yardstick().load(missing)
    with pytest.raises(TrainerError, match="another number of features"):
        BoostingTrainer(len(NAMES) + 1, patience_ms=0, memory_ms=0).load(state)


def test_without_lightgbm_a_trainer_with_a_yardstick_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(TrainerError, match=r"boosting needs LightGBM: pip install 'forewarn\[boost\]'"):
        Trainer(SOON, NAMES, TABLE, LINEUP)
    assert Trainer(SOON, NAMES, TABLE, LineupSettings()).lineup is not None


def test_a_yardstick_is_no_recipe_of_the_champion_and_is_named_once() -> None:
    with pytest.raises(TrainerError, match="one name"):
        Lineup(LineupSettings(challengers=("boosting", "boosting")), SOON, NAMES)
    assert LINEUP.recipes == ("hazard",)

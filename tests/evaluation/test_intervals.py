"""Intervals over arrays against the definitions of the core, and against its own bootstrap."""

from math import isclose, isnan

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.evaluation import metrics as evaluation
from streams.evaluation.intervals import FIGURES, RankedPredictions, intervals
from streams.evaluation.metrics import Prediction

rows = st.lists(
    st.builds(
        Prediction,
        st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]) | st.floats(0.0, 1.0),
        st.booleans(),
        st.sampled_from("abcde"),
    ),
    min_size=1,
    max_size=40,
)
draws = st.lists(st.integers(0, 3), min_size=5, max_size=5)
SOME = [Prediction((number * 37 % 100) / 100, number % 7 == 0, f"s_{number % 11}") for number in range(120)]


@given(rows, draws)
def test_figures_of_a_draw_are_those_of_the_rows_written_out(found: list[Prediction], drawn: list[int]) -> None:
    numbers = {block: place for place, block in enumerate("abcde")}
    figures = RankedPredictions(found, numbers).figures(np.array(drawn))
    written = [row for row in found for _ in range(drawn[numbers[row.block]])]
    if not written:
        assert all(isnan(figure) for figure in figures)
        return
    scores = evaluation.summary(written)
    recall = scores.top[1].recall
    wanted = (scores.auc, scores.average_precision, recall, scores.brier, scores.log_loss, scores.ece)
    for name, figure, one in zip(FIGURES, figures, wanted, strict=True):
        assert isnan(figure) if one is None else isclose(figure, one, rel_tol=1e-9, abs_tol=1e-9), name


def test_intervals_are_those_of_the_bootstrap_of_the_core() -> None:
    scores = evaluation.summary(SOME)
    (found,) = intervals([(scores, SOME)], count=60, seed=4)
    assert found is not None
    for metric, interval in (
        (evaluation.auc, found.auc),
        (evaluation.average_precision, found.average_precision),
        (evaluation.recall_at(0.05), found.recall_at_5),
        (evaluation.ece, found.ece),
    ):
        wanted = evaluation.bootstrap(SOME, lambda p, y, w, of=metric: of(p, y, weights=w), seed=4, count=60)  # type: ignore[misc]
        assert interval.resamples == wanted.resamples
        for one, other in (
            (interval.estimate, wanted.estimate),
            (interval.low, wanted.low),
            (interval.high, wanted.high),
        ):
            assert one is not None
            assert other is not None
            assert isclose(one, other, rel_tol=1e-9)


def test_neither_the_order_of_the_rows_nor_another_set_changes_an_interval_of_the_same_draw() -> None:
    scores = evaluation.summary(SOME)
    half = [row for row in SOME if row.probability > 0.3]
    alone = intervals([(scores, SOME)], count=30)
    beside = intervals([(scores, SOME[::-1]), (evaluation.summary(half), half)], count=30)
    assert alone[0] == beside[0]


def test_without_resamples_there_are_no_intervals() -> None:
    assert intervals([(evaluation.summary(SOME), SOME)], count=0) == [None]


def test_a_figure_without_meaning_has_an_empty_interval() -> None:
    stayed = [Prediction(0.1, False, "a"), Prediction(0.2, False, "b")]
    (found,) = intervals([(evaluation.summary(stayed), stayed)], count=10)
    assert found is not None
    assert (found.auc.estimate, found.auc.low, found.auc.resamples) == (None, None, 0)
    assert found.brier.resamples == 10

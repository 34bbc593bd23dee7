"""The scores against their definitions, written out the slow way."""

from collections.abc import Sequence
from itertools import islice
from math import exp, isclose, log
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.evaluation.metrics import (
    Prediction,
    auc,
    average_precision,
    bootstrap,
    bootstrap_difference,
    brier,
    ece,
    log_loss,
    recall_at,
    reliability,
    resamples,
    summary,
    top_share,
    words,
)

# Few distinct values, so that ties are the rule.
rows = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]) | st.floats(0.0, 1.0), st.booleans()), min_size=1
)
weighted = st.lists(st.tuples(st.sampled_from([0.1, 0.25, 0.5, 0.9]), st.booleans(), st.integers(0, 3)), min_size=1)


def columns(pairs: Sequence[tuple[float, bool]]) -> tuple[list[float], list[bool]]:
    return [p for p, _ in pairs], [label for _, label in pairs]


def auc_by_pairs(pairs: Sequence[tuple[float, bool]]) -> float | None:
    left = [p for p, label in pairs if label]
    stayed = [p for p, label in pairs if not label]
    if not left or not stayed:
        return None
    return sum((a > b) + 0.5 * (a == b) for a in left for b in stayed) / (len(left) * len(stayed))


def precision_area(pairs: Sequence[tuple[float, bool]]) -> float | None:
    positives = sum(label for _, label in pairs)
    if not positives:
        return None
    area = recall_before = 0.0
    for threshold in sorted({p for p, _ in pairs}, reverse=True):
        chosen = [label for p, label in pairs if p >= threshold]
        area += sum(chosen) / len(chosen) * (sum(chosen) / positives - recall_before)
        recall_before = sum(chosen) / positives
    return area


def close(one: float | None, other: float | None) -> bool:
    return one is other is None or (one is not None and other is not None and isclose(one, other, abs_tol=1e-12))


@given(rows)
def test_auc_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[float, bool]]) -> None:
    assert close(auc(*columns(pairs)), auc_by_pairs(pairs))


@given(rows)
def test_average_precision_is_the_sum_over_thresholds(pairs: list[tuple[float, bool]]) -> None:
    assert close(average_precision(*columns(pairs)), precision_area(pairs))


@given(rows, st.randoms(use_true_random=False))
def test_no_order_of_the_rows_changes_any_score(pairs: list[tuple[float, bool]], random: Random) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)
    first = summary([Prediction(p, label) for p, label in pairs])
    assert first == summary([Prediction(p, label) for p, label in shuffled])


@example([(0.5, True, 0)])
@given(weighted)
def test_a_weight_counts_like_repeated_rows(triples: list[tuple[float, bool, int]]) -> None:
    probabilities = [p for p, _, _ in triples]
    labels = [label for _, label, _ in triples]
    weights = [weight for _, _, weight in triples]
    repeated = [(p, label) for p, label, weight in triples for _ in range(weight)]
    assert close(auc(probabilities, labels, weights), auc_by_pairs(repeated))
    assert close(average_precision(probabilities, labels, weights), precision_area(repeated))
    if not repeated:
        for metric in (brier, log_loss, ece):
            with pytest.raises(ValueError, match="no predictions"):
                metric(probabilities, labels, weights=weights)
        return
    assert close(brier(probabilities, labels, weights), brier(*columns(repeated)))
    assert close(log_loss(probabilities, labels, weights), log_loss(*columns(repeated)))
    assert close(ece(probabilities, labels, 5, weights), ece(*columns(repeated), 5))
    assert top_share(probabilities, labels, 0.3, weights) == top_share(*columns(repeated), 0.3)


@given(rows, st.integers(1, 30))
def test_reliability_bins_hold_every_row_once_and_differ_by_one_row_at_most(
    pairs: list[tuple[float, bool]], bins: int
) -> None:
    made = reliability(*columns(pairs), bins)
    counts = [b.count for b in made]
    assert sum(counts) == len(pairs)
    assert len(made) == min(bins, len(pairs))
    assert max(counts) - min(counts) <= 1
    assert isclose(sum(b.observed * b.count for b in made), sum(label for _, label in pairs), abs_tol=1e-9)
    assert isclose(sum(b.expected * b.count for b in made), sum(p for p, _ in pairs), abs_tol=1e-9)
    assert [b.expected for b in made] == sorted((b.expected for b in made), reverse=True)


def test_a_tie_that_the_edge_cuts_is_shared_out_evenly() -> None:
    top = top_share([0.5] * 10, [True] + [False] * 9, 0.2)
    assert (top.count, top.precision, top.recall, top.lift) == (2, 0.1, 0.2, 1.0)


def test_a_share_is_rounded_up_to_whole_rows_but_not_by_a_rounding_error() -> None:
    assert top_share([0.1] * 60, [True] * 60, 0.05).count == 3
    assert top_share([0.1] * 61, [True] * 61, 0.05).count == 4


def test_scores_that_need_both_classes_are_none_when_one_is_missing() -> None:
    stayed = summary([Prediction(0.2, False), Prediction(0.1, False)])
    assert (stayed.auc, stayed.average_precision, stayed.expected_over_observed) == (None, None, None)
    assert (stayed.top[0].recall, stayed.top[0].lift, stayed.top[0].precision) == (None, None, 0.0)
    assert summary([Prediction(0.2, True)]).auc is None


def test_a_summary_gives_the_figures_of_a_case_worked_by_hand() -> None:
    served = [(0.8, True), (0.6, False), (0.4, True), (0.2, False)]
    scores = summary([Prediction(p, label) for p, label in served], shares=(0.5,), bins=2)
    assert (scores.examples, scores.positives, scores.base_rate) == (4, 2, 0.5)
    assert scores.expected_over_observed == 1.0
    assert scores.auc == 0.75
    assert isclose(scores.average_precision or 0.0, 0.5 * 1 + 0.5 * 2 / 3)
    assert isclose(scores.brier, (0.04 + 0.36 + 0.36 + 0.04) / 4)
    assert isclose(scores.log_loss, -(log(0.8) + log(0.4) + log(0.4) + log(0.8)) / 4)
    assert isclose(scores.ece, 0.2)
    assert (scores.top[0].precision, scores.top[0].recall) == (0.5, 0.5)


def test_certainty_that_was_wrong_costs_a_finite_loss() -> None:
    assert isclose(log_loss([0.0, 1.0], [True, False]), -log(1e-15))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_a_share_outside_of_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share must be"):
        top_share([0.5], [True], share)


def test_nothing_to_score_is_an_error_with_a_name() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        summary([])
    with pytest.raises(ValueError, match="no predictions"):
        top_share([], [], 0.1)


def simulated(count: int, sharpness: float, seed: int = 3) -> list[Prediction]:
    """Return predictions whose labels were drawn with the logit, from two rows a subscriber."""
    made = []
    source = words(seed)
    for number in range(count):
        logit = next(source) / 2**63 - 1.0
        label = next(source) / 2**64 < 1.0 / (1.0 + exp(-3.0 * logit))
        noise = next(source) / 2**63 - 1.0
        probability = 1.0 / (1.0 + exp(-3.0 * logit - (1.0 - sharpness) * 6.0 * noise))
        made.append(Prediction(probability, label, f"s{number // 2}"))
    return made


def test_a_bootstrap_depends_on_its_seed_alone_and_brackets_the_estimate() -> None:
    rows = simulated(400, 1.0)
    first = bootstrap(rows, auc, seed=5, count=200)
    assert first == bootstrap(list(reversed(rows)), auc, seed=5, count=200)
    assert first != bootstrap(rows, auc, seed=6, count=200)
    assert first.low is not None
    assert first.estimate is not None
    assert first.high is not None
    assert first.low < first.estimate < first.high
    assert first.high - first.low < 0.2
    assert first.resamples == 200


def test_a_paired_difference_has_a_narrower_interval_than_its_parts() -> None:
    good, poor = simulated(600, 1.0), simulated(600, 0.6)
    assert [p.label for p in good] == [p.label for p in poor]
    paired = bootstrap_difference(good, poor, auc, seed=1, count=200)
    alone = bootstrap(good, auc, seed=1, count=200)
    assert paired.low is not None
    assert paired.high is not None
    assert alone.low is not None
    assert alone.high is not None
    assert 0.0 < paired.low < paired.high
    poor_alone = bootstrap(poor, auc, seed=1, count=200)
    assert poor_alone.low is not None
    assert poor_alone.high is not None
    assert paired.high - paired.low < (alone.high - alone.low) + (poor_alone.high - poor_alone.low)
    same = bootstrap_difference(good, good, recall_at(0.1), seed=1, count=20)
    assert (same.low, same.estimate, same.high) == (0.0, 0.0, 0.0)


def test_predictions_for_different_rows_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="same rows"):
        bootstrap_difference([Prediction(0.5, True)], [Prediction(0.5, False)], auc, seed=1)


def test_an_interval_without_a_value_says_so() -> None:
    assert bootstrap([Prediction(0.5, True)], auc, seed=1, count=10).estimate is None
    rare = [Prediction(0.9, True, "a"), Prediction(0.1, False, "b")]
    drawn = bootstrap(rare, auc, seed=1, count=40)
    assert 0 < drawn.resamples < 40, "a resample without one class has no AUC and is left out"
    assert bootstrap_difference(rare[:1], rare[:1], auc, seed=1, count=5).low is None


def test_blocks_are_drawn_whole_and_in_the_number_there_are() -> None:
    blocks = ["a", "b", "a", "c", "c", "c"]
    for drawn in resamples(blocks, 50, seed=9):
        assert drawn[0] == drawn[2]
        assert drawn[3] == drawn[4] == drawn[5]
        assert drawn[0] + drawn[1] + drawn[3] == 3


def test_the_numbers_of_a_seed_are_spread_evenly() -> None:
    counts = [0] * 10
    for word in islice(words(42), 10_000):
        counts[word * 10 >> 64] += 1
    assert min(counts) > 900
    assert max(counts) < 1100

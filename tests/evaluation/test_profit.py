"""The profit of a campaign against its definition, integrated the slow way, and against what must hold of it."""

from collections.abc import Sequence
from math import exp, isclose, lgamma, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.evaluation.profit import Campaign, Profit, expected_maximum_profit, hull

rows = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]) | st.floats(0.0, 1.0), st.booleans()),
    min_size=2,
    max_size=25,
).filter(lambda pairs: len({label for _, label in pairs}) == 2)
campaigns = st.builds(
    Campaign,
    value=st.sampled_from([50.0, 200.0]),
    incentive=st.sampled_from([0.0, 10.0, 40.0]),
    contact=st.sampled_from([0.0, 1.0, 60.0]),
    accepting=st.integers(1, 8),
    declining=st.integers(1, 16),
)
STEPS = 4_000


def profit(pairs: Sequence[tuple[float, bool]], campaign: Campaign) -> Profit:
    found = expected_maximum_profit([p for p, _ in pairs], [label for _, label in pairs], campaign)
    assert found is not None
    return found


def integrated(pairs: Sequence[tuple[float, bool]], campaign: Campaign) -> float:
    """Try every threshold at each of many chances, and average by the density: no hull, no closed form."""
    a, b = campaign.accepting, campaign.declining
    scale = lgamma(a + b) - lgamma(a) - lgamma(b)
    called = [(0, 0)]
    for threshold in {p for p, _ in pairs}:
        labels = [label for p, label in pairs if p >= threshold]
        called.append((sum(labels), len(labels) - sum(labels)))
    total = 0.0
    for step in range(STEPS):
        chance = (step + 0.5) / STEPS
        density = exp(scale + (a - 1) * log(chance) + (b - 1) * log(1.0 - chance))
        best = max(
            chance * leavers * (campaign.value - campaign.incentive)
            - campaign.contact * leavers
            - (campaign.incentive + campaign.contact) * stayers
            for leavers, stayers in called
        )
        total += best * density / STEPS
    return total / len(pairs)


@given(rows, campaigns)
def test_the_profit_is_the_mean_over_the_chance_of_acceptance_of_the_best_thresholds(
    pairs: list[tuple[float, bool]], campaign: Campaign
) -> None:
    assert isclose(profit(pairs, campaign).per_subscriber, integrated(pairs, campaign), rel_tol=1e-3, abs_tol=1e-3)


@given(rows, campaigns)
def test_nobody_earns_less_than_by_calling_nobody_or_more_than_by_calling_the_leavers_alone(
    pairs: list[tuple[float, bool]], campaign: Campaign
) -> None:
    found = profit(pairs, campaign)
    known = profit([(float(label), label) for _, label in pairs], campaign)
    assert -1e-9 <= found.per_subscriber <= known.per_subscriber + 1e-9
    assert -1e-9 <= found.share_called <= 1.0 + 1e-9


@given(rows, campaigns)
def test_only_the_order_of_the_probabilities_counts_and_not_that_of_the_rows(
    pairs: list[tuple[float, bool]], campaign: Campaign
) -> None:
    ranks = {p: number for number, p in enumerate(sorted({p for p, _ in pairs}))}
    moved = [(ranks[p] / 100.0, label) for p, label in reversed(pairs)]
    assert profit(moved, campaign) == profit(pairs, campaign)


@given(rows, campaigns)
def test_rows_that_count_twice_are_rows_that_stand_there_twice(
    pairs: list[tuple[float, bool]], campaign: Campaign
) -> None:
    p, labels = [p for p, _ in pairs], [label for _, label in pairs]
    assert expected_maximum_profit(p, labels, campaign, [2] * len(p)) == profit([*pairs, *pairs], campaign)


def test_a_perfect_order_keeps_what_acceptance_brings_less_what_calling_costs() -> None:
    pairs = [(0.9, True)] * 100 + [(0.1, False)] * 900
    # On average 30 % accept: 0.3 * (200 - 10) - 1 for each leaver, one in ten; below a chance of 1/190 nobody calls.
    assert profit(pairs, Campaign()).per_subscriber == pytest.approx(0.1 * (0.3 * 190.0 - 1.0), abs=1e-6)
    assert profit(pairs, Campaign()).share_called == pytest.approx(0.1, abs=1e-6)


def test_a_campaign_that_costs_more_than_it_can_bring_calls_nobody() -> None:
    assert profit([(0.9, True), (0.1, False)], Campaign(contact=1000.0)) == Profit(0.0, 0.0)


def test_without_leavers_or_without_stayers_there_is_nothing_to_choose() -> None:
    assert expected_maximum_profit([0.5, 0.4], [True, True], Campaign()) is None
    assert expected_maximum_profit([0.5, 0.4], [False, False], Campaign()) is None
    assert expected_maximum_profit([], [], Campaign()) is None


def test_corners_below_the_hull_are_left_out() -> None:
    assert hull([0.9, 0.8, 0.7, 0.6], [False, True, True, False]) == [(0, 0), (1, 2), (2, 2)]


@pytest.mark.parametrize(
    "bad", [{"accepting": 0}, {"declining": 0}, {"incentive": 200.0}, {"incentive": -1.0}, {"contact": -0.1}]
)
def test_what_is_no_campaign_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Campaign(**bad)  # type: ignore[arg-type]

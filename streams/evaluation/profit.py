"""What a retention campaign that follows the served probabilities would earn: the expected maximum profit (EMPC).

Those above a threshold are offered an incentive; a leaver accepts it with a chance that nobody knows exactly and stays,
one who would have stayed takes it for nothing.  The profit is taken at the best threshold for each chance, and averaged
over what the chance may be.  Verbraken, Verbeke and Baesens, "A novel profit maximizing metric for measuring
classification performance of customer churn prediction models", IEEE TKDE 25(5), 2013.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import comb, fsum

from msgspec import Struct

from streams.evaluation.metrics import ResampleWeights, tie_counts


class Campaign(Struct, frozen=True, kw_only=True):
    """What a campaign costs and keeps, in any one currency; the defaults are the paper's.

    `value` is what a leaver who stays is worth, `incentive` what is offered, `contact` what one offer costs.  The
    chance that a leaver accepts is Beta(`accepting`, `declining`), whole numbers from 1 on.
    """

    value: float = 200.0
    incentive: float = 10.0
    contact: float = 1.0
    accepting: int = 6
    declining: int = 14

    def __post_init__(self) -> None:
        """Refuse what is no campaign."""
        if self.accepting < 1 or self.declining < 1:
            raise ValueError("accepting and declining must be at least 1")
        if not 0.0 <= self.incentive < self.value or self.contact < 0.0:
            raise ValueError("the incentive must be from 0 to below the value, and the contact cost nothing or more")


class Profit(Struct, frozen=True):
    """The expected maximum profit for each row, a subscriber at one time, and the share that is called for it."""

    per_subscriber: float
    share_called: float


Point = tuple[int, int]


def hull(probabilities: Sequence[float], labels: Sequence[bool], weights: ResampleWeights | None = None) -> list[Point]:
    """Return the corners of the ROC's upper hull as (stayers, leavers) called, from (0, 0) to all of them.

    >>> hull([0.9, 0.8, 0.7, 0.1], [True, False, True, False])
    [(0, 0), (0, 1), (1, 2), (2, 2)]
    """
    corners: list[Point] = [(0, 0)]
    stayers = leavers = 0
    for _, count, positive in tie_counts(probabilities, labels, weights):
        stayers += count - positive
        leavers += positive
        while len(corners) > 1 and _is_below(corners[-2], corners[-1], (stayers, leavers)):
            corners.pop()
        corners.append((stayers, leavers))
    return corners


def _is_below(first: Point, middle: Point, last: Point) -> bool:
    """Whether the middle point lies on the line from the first to the last, or below it."""
    rise, run = middle[1] - first[1], middle[0] - first[0]
    return rise * (last[0] - first[0]) <= (last[1] - first[1]) * run


def expected_maximum_profit(
    probabilities: Sequence[float], labels: Sequence[bool], campaign: Campaign, weights: ResampleWeights | None = None
) -> Profit | None:
    """Return the EMPC, integrated exactly over the chance of acceptance; None unless both classes are there.

    >>> found = expected_maximum_profit([0.9, 0.1], [True, False], Campaign())
    >>> round(found.per_subscriber, 4), round(found.share_called, 4)
    (28.0, 0.5)
    """
    corners = hull(probabilities, labels, weights)
    stayers, leavers = corners[-1]
    if not stayers or not leavers:
        return None
    # At which chance each next corner becomes the best; they rise, since the hull gets flatter.
    turns = [*(_turn(one, two, campaign) for one, two in pairwise(corners)), 1.0]
    total, kept = stayers + leavers, campaign.value - campaign.incentive
    mean = campaign.accepting / (campaign.accepting + campaign.declining)
    profits, called = [], []
    for number, (false_alarms, found) in enumerate(corners[1:]):
        low, high = turns[number], turns[number + 1]
        mass = _beta(high, campaign.accepting, campaign.declining) - _beta(low, campaign.accepting, campaign.declining)
        moment = mean * (
            _beta(high, campaign.accepting + 1, campaign.declining)
            - _beta(low, campaign.accepting + 1, campaign.declining)
        )
        cost = campaign.contact * found + (campaign.incentive + campaign.contact) * false_alarms
        profits.append((kept * found * moment - cost * mass) / total)
        called.append((found + false_alarms) / total * mass)
    return Profit(fsum(profits), fsum(called))


def _turn(one: Point, two: Point, campaign: Campaign) -> float:
    """Return the chance of acceptance (0 to 1) from which calling up to the second corner pays."""
    more = two[1] - one[1]
    if not more:
        return 1.0
    cost = campaign.contact * more + (campaign.incentive + campaign.contact) * (two[0] - one[0])
    return min(cost / ((campaign.value - campaign.incentive) * more), 1.0)


def _beta(chance: float, accepting: int, declining: int) -> float:
    """Return the Beta distribution up to a chance: for whole numbers the upper tail of a binomial one."""
    tries = accepting + declining - 1
    return fsum(
        comb(tries, hits) * chance**hits * (1.0 - chance) ** (tries - hits) for hits in range(accepting, tries + 1)
    )

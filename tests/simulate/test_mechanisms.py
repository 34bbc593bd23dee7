"""What makes each story another one, as a statistic with a fixed seed beside a control that does without it."""

from collections import defaultdict

import numpy as np
import pytest

from streams.core.contracts.decode import epoch_ms
from streams.simulate.population import DORM, FAMILY, NO_DAY, PREPAID
from streams.simulate.stories.campus import YEARS, CampusChunk
from streams.simulate.stories.contract import ContractChunk
from streams.simulate.stories.second_sim import SecondSimChunk
from streams.simulate.world import Bools, Ints
from tests.simulate.living import LivedStory, lived


@pytest.fixture(scope="module")
def campus() -> LivedStory:
    return lived("campus")


@pytest.fixture(scope="module")
def second_sim() -> LivedStory:
    return lived("second-sim")


@pytest.fixture(scope="module")
def contract() -> LivedStory:
    return lived("contract")


def left_days(story: LivedStory, *causes: str) -> dict[int, int]:
    """The day on which each left who left for one of these causes, or for any."""
    days = {}
    for row in story.leavers(*causes):
        left_at = story.truths[row].left_at
        assert left_at is not None
        days[row] = story.day_of(epoch_ms(left_at))
    return days


def silent(story: LivedStory, first: int, after: int) -> Bools:
    """Who did not use the line from one day until before another."""
    return np.array([not days.any() for days in story.used[:, first:after]])


def spread_within(groups: Ints, days: Ints) -> float:
    """The mean spread of the days of a group's leavers, over groups with two and more of them."""
    by_group: dict[int, list[int]] = defaultdict(list)
    for group, day in zip(groups.tolist(), days.tolist(), strict=True):
        by_group[group].append(day)
    return float(np.mean([np.std(found) for found in by_group.values() if len(found) > 1]))


@pytest.mark.parametrize("grouped", [("campus", DORM), ("contract", FAMILY)])
def test_those_who_live_together_leave_together(grouped: tuple[str, int]) -> None:
    name, kind = grouped
    story = lived("campus") if name == "campus" else lived("contract")
    people = story.chunk.population
    days = {row: day for row, day in left_days(story).items() if people.group_type[row] == kind}
    rows, when = np.array(list(days)), np.array(list(days.values()))
    real = spread_within(people.group[rows], when)
    rng = np.random.default_rng(0)
    shuffled = [spread_within(people.group[rows], rng.permutation(when)) for _ in range(50)]
    assert real < 0.75 * float(np.min(shuffled))


def test_rivals_come_when_term_starts_and_take_students_along(campus: LivedStory) -> None:
    wide = [one for one in campus.world.occasions if one.kind == "promotion" and one.last - one.first > 14]
    days = np.array(list(left_days(campus, "promotion", "dormitory", "class").values()))
    around = sum(int(((days >= one.first) & (days <= one.last + 12)).sum()) for one in wide)
    span = sum(one.last + 13 - one.first for one in wide) / campus.settings.days
    assert around / len(days) > 1.4 * span


def test_final_years_leave_after_graduation(campus: LivedStory) -> None:
    chunk = campus.chunk
    assert isinstance(chunk, CampusChunk)
    days = left_days(campus, "graduation")
    assert all(chunk.year[row] == YEARS for row in days)
    (graduation,) = (one for one in campus.world.occasions if one.kind == "graduation")
    assert min(days.values()) >= graduation.first
    assert len(days) > 0.1 * int((chunk.year == YEARS).sum())


def test_the_silences_of_a_break_end_when_term_starts(campus: LivedStory) -> None:
    chunk = campus.chunk
    assert isinstance(chunk, CampusChunk)
    first, last = chunk.breaks[0]
    quiet = silent(campus, first + 6, last - 8) & ~silent(campus, 0, first)
    back = ~silent(campus, last + 8, last + 30)
    assert int((quiet & chunk.student).sum()) > 50
    assert back[quiet & chunk.student].mean() > 0.8
    later = silent(campus, chunk.breaks[1][0] + 6, chunk.breaks[1][1] - 8)
    gone = np.array([truth.left_at is not None for truth in campus.truths])
    again, first_time = later[quiet & ~gone & chunk.student].mean(), later[~quiet & ~gone & chunk.student].mean()
    assert again > 3 * first_time


def test_money_comes_on_pay_days(second_sim: LivedStory) -> None:
    chunk = second_sim.chunk
    assert isinstance(chunk, SecondSimChunk)
    waits = (chunk.population.payment == PREPAID) & ~chunk.pays_at_once
    soon = total = 0
    for day in range(second_sim.settings.days):
        since = (second_sim.world.date(day).day - chunk.pay_day) % 30
        paid = second_sim.topped_up[:, day] & waits
        soon, total = soon + int((paid & (since < 6)).sum()), total + int(paid.sum())
    assert soon / total > 2.0 * 6 / 30


def test_most_long_silences_mean_nothing(second_sim: LivedStory) -> None:
    line = second_sim.used | second_sim.topped_up
    ended = lasting = 0
    gone = {row for row, truth in enumerate(second_sim.truths) if truth.left_at is not None}
    for row in range(len(line)):
        days = np.flatnonzero(line[row])
        if len(days) == 0:
            continue
        ended += int((np.diff(days) >= 14).sum())
        lasting += int(second_sim.settings.days - 1 - days[-1] >= 14 and row in gone)
    assert ended > 3 * lasting > 0


def test_those_whose_other_sim_wins_used_this_one_less_for_weeks_before(second_sim: LivedStory) -> None:
    chunk = second_sim.chunk
    assert isinstance(chunk, SecondSimChunk)
    stays = np.array([truth.left_at is None for truth in second_sim.truths])
    late, early = np.zeros(2), np.zeros(2)
    for row in second_sim.leavers("second_sim"):
        assert chunk.dual[row]
        last_use_at = second_sim.truths[row].last_use_at
        assert last_use_at is not None
        last = second_sim.day_of(epoch_ms(last_use_at))
        if last > 130 and chunk.population.start_day[row] < 0:
            for side, rows in enumerate((row, stays & chunk.dual)):
                late[side] += second_sim.attempts[rows, last - 40 : last].mean()
                early[side] += second_sim.attempts[rows, :40].mean()
    assert late[0] / early[0] < 0.65 * late[1] / early[1]


def test_contracts_that_end_make_people_look_around(contract: LivedStory) -> None:
    people, requests = contract.chunk.population, []
    for row in contract.leavers():
        requested_at = contract.truths[row].requested_at
        if requested_at is not None and people.contract_end[row] < NO_DAY:
            requests.append((contract.day_of(epoch_ms(requested_at)), int(people.contract_end[row])))
    asked, ends = (np.array(column) for column in zip(*requests, strict=True))
    rng = np.random.default_rng(0)
    near = np.mean(np.abs(asked - ends) <= 40)
    control = np.mean([np.mean(np.abs(asked - rng.permutation(ends)) <= 40) for _ in range(50)])
    assert near > 1.8 * control
    for row in contract.leavers("contract_end"):
        requested_at = contract.truths[row].requested_at
        if requested_at is not None:
            assert abs(contract.day_of(epoch_ms(requested_at)) - people.contract_end[row]) <= 60


def test_a_new_price_makes_people_leave_who_pay_it_within_weeks_of_the_news(contract: LivedStory) -> None:
    changes = [one for one in contract.world.occasions if one.kind == "price_change"]
    days = left_days(contract, "price_change")
    assert len(days) > 5
    for row, day in days.items():
        news = [one.first - 30 for one in changes if contract.chunk.population.plan[row] in one.plans]
        assert any(0 <= day - max(told, 0) <= 90 for told in news)


def test_those_who_leave_for_the_service_had_bad_days_and_the_others_not(contract: LivedStory) -> None:
    bad = (contract.failed >= 2) & (contract.failed > 0.12 * contract.attempts)

    def before(rows: dict[int, int]) -> float:
        return float(np.mean([bad[row, max(day - 45, 0) : day].sum() for row, day in rows.items()]))

    assert before(left_days(contract, "drops")) > 3 * before(left_days(contract, "contract_end", "tip", "moved"))


def test_those_who_leave_for_a_complaint_had_one_past_its_date(contract: LivedStory) -> None:
    due: dict[int, list[int]] = defaultdict(list)
    for row, _, expected_ms in contract.complaints:
        due[row].append(contract.day_of(expected_ms))
    days = left_days(contract, "complaint")
    waited = [any(0 < day - end < 120 for end in due[row]) for row, day in days.items()]
    assert len(waited) > 5
    assert np.mean(waited) > 0.7


def test_bills_stay_unpaid_with_the_same_people(contract: LivedStory) -> None:
    chunk = contract.chunk
    assert isinstance(chunk, ContractChunk)
    suspended = [row for row, _, change in contract.outcomes if change == "suspended"]
    weak = float(np.mean(chunk.weak[suspended]))
    assert weak > 4 * float(chunk.weak.mean())


def test_a_termination_has_its_notice(contract: LivedStory) -> None:
    waits = [
        (truth.left_at - truth.requested_at).days
        for truth in contract.truths
        if truth.way == "termination" and truth.left_at is not None and truth.requested_at is not None
    ]
    assert 10 <= float(np.median(waits)) <= 31

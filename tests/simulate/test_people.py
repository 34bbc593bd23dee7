"""Rates near reality, and a truth that agrees with the stream."""

from collections import Counter, defaultdict
from datetime import timedelta
from statistics import mean, median

import pytest

from streams.core.contracts.decode import epoch_ms
from streams.core.contracts.events import CallDrop, Complaint, Event, Outcome, Subscriber, TopUp, Usage
from streams.simulate.truth import Truth
from tests.simulate.writing import CLEAN, TOPICS, SimulatedFolder

Calls = dict[str, tuple[int, int]]
MONTHS = CLEAN.days / 30


@pytest.fixture(scope="module")
def truths(clean: SimulatedFolder) -> dict[str, Truth]:
    return {truth.subscriber_id: truth for truth in clean.truths()}


@pytest.fixture(scope="module")
def everything(clean: SimulatedFolder) -> dict[str, list[Event]]:
    return {topic: clean.events(topic) for topic in TOPICS}


@pytest.fixture(scope="module")
def calls(everything: dict[str, list[Event]]) -> Calls:
    """Answered and dropped calls of each subscriber."""
    table: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for event in everything["usage"]:
        if isinstance(body := event.body, Usage):
            answered, dropped = table[body.subscriber_id]
            table[body.subscriber_id] = answered + body.voice_answered, dropped + (body.voice_dropped or 0)
    return table


def test_about_two_in_a_hundred_leave_a_month(truths: dict[str, Truth]) -> None:
    gone = [truth for truth in truths.values() if truth.left_at]
    assert 0.014 < len(gone) / len(truths) / MONTHS < 0.028
    assert 0.001 < sum(not truth.voluntary for truth in gone) / len(truths) / MONTHS < 0.006


def test_people_leave_in_every_way_and_for_every_kind_of_reason(truths: dict[str, Truth]) -> None:
    gone = [truth for truth in truths.values() if truth.left_at]
    assert {truth.way for truth in gone} == {"silent", "port_out", "termination", "involuntary"}
    assert {truth.kind for truth in gone} == {"natural", "involuntary", "competitive", "service_fault"}
    assert any(truth.kind == "value_loss" and truth.left_at is None for truth in truths.values())
    causes = Counter(cause for truth in gone for cause in truth.why)
    assert {"drops", "complaint", "promotion", "contract_end", "payment_failures"} <= set(causes)
    assert sum(not truth.why for truth in gone if truth.voluntary) > 0.15 * len(gone), "some leave for nothing observed"


def test_behaviour_fades_two_to_four_weeks_before_leaving_and_some_leave_without_warning(
    truths: dict[str, Truth],
) -> None:
    leads = [truth.lead_days for truth in truths.values() if truth.voluntary and truth.lead_days is not None]
    assert 14 <= median(days for days in leads if days) <= 28
    assert 0.05 < leads.count(0) / len(leads) < 0.3


def test_nobody_has_an_event_after_leaving_or_before_coming(
    truths: dict[str, Truth], everything: dict[str, list[Event]]
) -> None:
    for topic, events in everything.items():
        for event in events:
            truth = truths[event.body.subscriber_id]
            assert truth.left_at is None or event.body.event_time <= truth.left_at, (topic, event)
            assert event.body.event_time >= truth.joined_at, (topic, event)


def test_every_leaver_but_the_silent_has_one_outcome_at_the_time_of_the_truth(
    truths: dict[str, Truth], everything: dict[str, list[Event]]
) -> None:
    told = {
        body.subscriber_id: (body.event_time, "port_out" if body.change == "port_out_completed" else body.voluntary)
        for event in everything["outcomes"]
        if isinstance(body := event.body, Outcome) and body.change in {"port_out_completed", "terminated"}
    }
    ways = {"port_out": "port_out", "termination": True, "involuntary": False}
    known = {
        truth.subscriber_id: (truth.left_at, ways[truth.way])
        for truth in truths.values()
        if truth.way is not None and truth.way != "silent"
    }
    assert told == known


def test_only_those_who_pay_in_advance_leave_silently(
    truths: dict[str, Truth], everything: dict[str, list[Event]]
) -> None:
    postpaid = {
        body.subscriber_id
        for event in everything["subscribers"]
        if isinstance(body := event.body, Subscriber) and body.payment_type == "postpaid"
    }
    assert not any(truth.way == "silent" for truth in truths.values() if truth.subscriber_id in postpaid)


def test_some_port_outs_are_asked_for_and_come_to_nothing(everything: dict[str, list[Event]]) -> None:
    changes = Counter(event.body.change for event in everything["outcomes"] if isinstance(event.body, Outcome))
    assert changes["port_out_requested"] > changes["port_out_completed"] > 0
    assert changes["port_out_rejected"] > 0
    assert changes["port_out_cancelled"] > 0


def test_drop_rates_lie_under_what_regulators_allow(calls: Calls) -> None:
    answered, dropped = (sum(column) for column in zip(*calls.values(), strict=True))
    assert 0.004 < dropped / answered < 0.02


def test_heavy_users_drop_more_calls_and_leave_less(truths: dict[str, Truth], calls: Calls) -> None:
    """So a count of drops says nothing about leaving; a share of calls does."""
    order = sorted(calls, key=lambda who: calls[who][0])
    light, heavy = order[: len(order) // 2], order[len(order) // 2 :]
    assert sum(calls[who][1] for who in heavy) > 3 * sum(calls[who][1] for who in light)
    left = [sum(bool(truths[who].voluntary) for who in half) for half in (light, heavy)]
    assert left[1] < left[0]


def test_use_is_heavy_tailed(calls: Calls) -> None:
    answered = sorted((made for made, _ in calls.values()), reverse=True)
    assert sum(answered[: len(answered) // 10]) > 0.25 * sum(answered)


def test_complaints_come_by_hotline_and_app_first_and_some_lie_open_past_their_date(
    everything: dict[str, list[Event]],
) -> None:
    tickets: dict[str, list[Complaint]] = defaultdict(list)
    for event in everything["complaints"]:
        if isinstance(event.body, Complaint):
            tickets[event.body.ticket_id].append(event.body)
    channels = Counter(changes[0].channel for changes in tickets.values())
    assert [channel for channel, _ in channels.most_common(2)] == ["hotline", "app"]
    assert 0.005 < len(tickets) / CLEAN.subscribers / MONTHS < 0.04
    late = sum(any(change.sla_breached for change in changes) for changes in tickets.values())
    assert 0.1 < late / len(tickets) < 0.5
    reopened = sum(any(change.reopened_count for change in changes) for changes in tickets.values())
    assert 0 < reopened < 0.2 * len(tickets)
    solved = [change for changes in tickets.values() for change in changes if change.change == "resolved"]
    assert all(change.resolution_date and change.resolution_date >= change.creation_date for change in solved)


def test_people_complain_more_after_their_calls_drop(everything: dict[str, list[Event]]) -> None:
    week = timedelta(days=7)
    drops: dict[str, list[CallDrop]] = defaultdict(list)
    for event in everything["call-drops"]:
        if isinstance(event.body, CallDrop) and event.body.kind == "dropped":
            drops[event.body.subscriber_id].append(event.body)
    made = [
        body
        for event in everything["complaints"]
        if isinstance(body := event.body, Complaint) and body.change == "created"
    ]
    after = [any(at - week <= drop.event_time <= at for drop in drops[body.subscriber_id])
             for body in made for at in (body.event_time,)]  # fmt: skip
    of_a_week = sum(map(len, drops.values())) / CLEAN.subscribers / CLEAN.days * 7
    assert mean(after) > of_a_week * 1.3


def test_top_ups_fail_now_and_then_and_only_prepaid_and_hybrid_make_them(everything: dict[str, list[Event]]) -> None:
    statuses = Counter(event.body.status for event in everything["top-ups"] if isinstance(event.body, TopUp))
    assert 0.02 < statuses["failed"] / statuses.total() < 0.1


def test_students_use_less_in_the_break_and_come_back(
    truths: dict[str, Truth], everything: dict[str, list[Event]]
) -> None:
    students = {
        body.subscriber_id
        for event in everything["subscribers"]
        if isinstance(body := event.body, Subscriber) and body.group_type == "dorm"
        and truths[body.subscriber_id].left_at is None
    }  # fmt: skip
    seconds: dict[str, int] = Counter()
    for event in everything["usage"]:
        body = event.body
        if isinstance(body, Usage) and body.subscriber_id in students:
            seconds[body.period_start.strftime("%m")] += body.voice_s
    assert seconds["02"] < 0.8 * seconds["03"]


def test_the_true_probability_is_calibrated_and_only_given_for_subscribers(
    clean: SimulatedFolder, truths: dict[str, Truth]
) -> None:
    horizon = timedelta(days=30)
    end = CLEAN.start + timedelta(days=CLEAN.days)
    chances, outcomes = list[float](), list[bool]()
    for line in clean.probabilities():
        truth = truths[line.subscriber_id]
        assert truth.left_at is None or line.at <= truth.left_at
        assert 0.0 < line.probability <= 1.0
        if line.at + horizon <= end:
            chances.append(line.probability)
            outcomes.append(bool(truth.voluntary and truth.left_at and truth.left_at < line.at + horizon))
    assert mean(chances) == pytest.approx(mean(outcomes), rel=0.25)
    risky = [left for chance, left in zip(chances, outcomes, strict=True) if chance > 0.2]
    assert mean(risky) > 0.2
    assert {epoch_ms(line.at) % 86_400_000 for line in clean.probabilities()} == {0}


def test_value_is_lost_by_those_who_stay(truths: dict[str, Truth], everything: dict[str, list[Event]]) -> None:
    lost = {who: truth.value_lost_at for who, truth in truths.items() if truth.value_lost_at and not truth.left_at}
    assert 0.003 < len(lost) / len(truths) < 0.1
    before, after = [0, 0], [0, 0]
    for event in everything["usage"]:
        body = event.body
        if isinstance(body, Usage) and (at := lost.get(body.subscriber_id)) is not None:
            side = before if body.event_time <= at else after
            side[0] += body.voice_s
            side[1] += 1
    assert after[0] / after[1] < 0.75 * before[0] / before[1]

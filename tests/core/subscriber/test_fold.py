"""The fold: no order of arrival and no repeat changes what the events add up to."""

from array import array
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.events import Body, Event, Usage
from streams.core.subscriber.facts import Facts, new_facts
from streams.core.subscriber.fold import FoldResult, Life, fold, is_revenue, life_after
from streams.core.subscriber.state import FORGETTING_DAYS, IDS_MAX, RARE_DAYS, TICKETS_MAX, USAGE_DAYS
from streams.core.times import DAY_MS
from tests.core import naive
from tests.core.makers import (
    LATENESS_MS,
    at,
    at_ms_of,
    call_drop,
    changed,
    complaint,
    event,
    facts_of,
    folded,
    moment,
    numbered,
    outcome,
    packed,
    profile,
    top_up,
    usage,
)
from tests.core.strategies import arrivals, crowds, histories, interleavings, modest, queues


def rows_of(rows: "array[int]", width: int) -> dict[int, list[int]]:
    return {rows[i]: rows[i + 1 : i + width].tolist() for i in range(0, len(rows), width)}


def all_were_taken(events: list[Event], became: list[FoldResult]) -> bool:
    """Say that nothing was late or lost: only a day's summary that says the same again may be a repeat."""
    taken = {"applied", "repeated"}
    return all(f in taken if type(e.body) is Usage else f == "applied" for e, f in zip(events, became, strict=True))


@modest(60)
@given(st.data())
def test_any_order_of_arrival_within_the_horizon_gives_the_same_facts(data: st.DataObject) -> None:
    bodies = data.draw(histories())
    one, other = (numbered(data.draw(arrivals(bodies))) for _ in range(2))
    (one_facts, one_became), (other_facts, other_became) = folded(one), folded(other)
    assert all_were_taken(one, one_became)
    assert all_were_taken(other, other_became)
    assert packed(one_facts) == packed(other_facts)


@modest(35)
@given(st.data())
def test_any_interleaving_that_keeps_each_sources_order_gives_the_same_facts(data: st.DataObject) -> None:
    events = numbered(data.draw(arrivals(data.draw(histories()), LATENESS_MS // 2)))
    shuffled = data.draw(interleavings(events, LATENESS_MS // 2))
    facts, became = folded(shuffled)
    assert all_were_taken(shuffled, became)
    assert packed(facts) == packed(folded(events)[0])


@modest(35)
@given(st.data())
def test_records_delivered_again_change_nothing(data: st.DataObject) -> None:
    events = numbered(data.draw(arrivals(data.draw(histories()))))
    rewinds = data.draw(st.lists(st.tuples(st.integers(0, len(events)), st.integers(1, 8)), max_size=4))
    again = list(events)
    for end, count in sorted(rewinds, reverse=True):  # A reader that restarts goes back some records and comes on.
        again[end:end] = events[max(end - count, 0) : end]
    (facts, became), (once, once_became) = folded(again), folded(events)
    assert packed(facts) == packed(once)
    assert Counter(became)["applied"] == Counter(once_became)["applied"]
    assert Counter(became)["repeated"] == Counter(once_became)["repeated"] + len(again) - len(events)


@modest(50)
@given(st.data())
def test_an_event_sent_again_under_a_new_offset_changes_nothing_but_the_offset(data: st.DataObject) -> None:
    bodies: list[Body] = data.draw(arrivals(data.draw(histories())))
    once = folded(numbered(bodies))[0]
    twice = list(bodies)
    for index, later in data.draw(st.lists(st.tuples(st.integers(0, len(bodies) - 1), st.integers(0, 30)), max_size=6)):
        place = twice.index(bodies[index]) + 1 + later
        twice.insert(place, bodies[index])
    facts = folded(numbered(twice))[0]
    assert sum(facts.offsets.values()) - sum(once.offsets.values()) == len(twice) - len(bodies)
    facts.offsets = once.offsets
    assert packed(facts) == packed(once)


@modest(25)
@given(crowds())
def test_subscribers_who_share_partitions_do_not_touch_each_others_facts(events: list[Event]) -> None:
    together: dict[str, Facts] = {}
    for e in events:
        facts = together.setdefault(e.body.subscriber_id, new_facts(e.at_ms))
        assert all_were_taken([e], [fold(facts, e, LATENESS_MS)])
    for key, facts in together.items():
        own = [e for e in events if e.body.subscriber_id == key]
        assert packed(facts) == packed(folded(own)[0])
        assert facts.offsets == {e.source: e.offset for e in own}


@modest(70)
@given(st.data())
def test_totals_and_last_times_add_up_to_the_events(data: st.DataObject) -> None:
    bodies = data.draw(histories())
    facts = folded(numbered(data.draw(arrivals(bodies))))[0]
    h = naive.History(bodies)
    told = [h.told(day) for day in h.usage_days]
    active = [u for snapshots in h.usage_days.values() for u in snapshots if naive.is_active(u)]

    def newest(events: list[Body]) -> int:
        return max(map(naive.at, events), default=0)

    assert (facts.times.first_ms, facts.newest_ms) == (h.first_ms, h.newest_ms)
    assert (facts.totals.voice_s, facts.totals.answered) == (sum(t[0] for t in told), sum(t[1] for t in told))
    assert facts.totals.data_level == sum(t[2] for t in told)
    assert (facts.asked_at_ms, facts.asked) == h.asked()
    assert facts.totals.usage_days == len(h.active_days())
    assert facts.totals.first_usage_day == min(h.active_days(), default=0)
    assert facts.usage_day == max(h.usage_days, default=0)
    assert (facts.totals.top_ups, facts.totals.amount_minor) == (len(h.top_ups), sum(b.amount_minor for b in h.top_ups))
    assert facts.totals.top_up_days == len({naive.at(b) // DAY_MS for b in h.top_ups})
    assert (facts.totals.dropped, facts.totals.complaints) == (len(h.drops), len(h.complaints))
    assert facts.times.first_top_up_ms == min(map(naive.at, h.top_ups), default=0)
    assert facts.times.last_top_up_ms == newest([*h.top_ups])
    assert facts.times.last_failed_top_up_ms == newest([*h.failed])
    assert facts.times.last_active_ms == newest([*active])
    assert facts.times.last_drop_ms == newest([*h.drops])
    assert facts.times.last_complaint_ms == newest([*h.complaints])
    assert (facts.times.suspended_ms, facts.times.suspended_by_wish_ms) == h.suspended()
    assert facts.currency == max((b.currency for b in h.top_ups), default="")
    assert (facts.life_at_ms, facts.life) == h.life()


@modest(50)
@given(st.data())
def test_what_is_kept_is_exactly_what_the_windows_can_still_reach(data: st.DataObject) -> None:
    bodies = data.draw(histories())
    facts = folded(numbered(data.draw(arrivals(bodies))))[0]
    h = naive.History(bodies)
    turn = h.newest_ms // DAY_MS // FORGETTING_DAYS * FORGETTING_DAYS
    top_ups: dict[int, list[int]] = {}
    for body in [*h.top_ups, *h.failed]:
        row = top_ups.setdefault(naive.at(body) // DAY_MS, [0, 0, 0])
        done = body.status == "completed"
        row[0], row[1], row[2] = row[0] + done, row[1] + done * body.amount_minor, row[2] + (not done)
    assert rows_of(facts.top_ups, 4) == {day: row for day, row in top_ups.items() if turn - day <= RARE_DAYS}
    assert sorted(rows_of(facts.top_ups, 4)) == list(rows_of(facts.top_ups, 4))
    assert sum(facts.complaints[1::2]) == sum(turn - naive.at(b) // DAY_MS <= RARE_DAYS for b in h.complaints)
    assert sum(facts.failed_calls[1::3]) == sum(turn - naive.at(b) // DAY_MS <= RARE_DAYS for b in h.drops)
    days = range(facts.usage_day - USAGE_DAYS + 1, facts.usage_day + 1)
    kept_days = list(zip(facts.voice_s, facts.answered, facts.data_level, strict=True))
    assert kept_days == [h.told(day) if h.usage_days else (0, 0, 0) for day in days]
    horizon = turn - LATENESS_MS // DAY_MS - 1
    remembered = [b for b in bodies if type(b) is not Usage and naive.at(b) // DAY_MS >= horizon]
    assert len(facts.recent_ids) == len(remembered)
    oldest_open_ms = min((naive.at(t) for t in h.tickets.values() if h.is_open(t)), default=facts.newest_ms)
    kept = [naive.at(t) for t in h.tickets.values() if naive.at(t) >= min(oldest_open_ms, horizon * DAY_MS)]
    assert sorted(t.at_ms for t in facts.tickets.values()) == sorted(kept)


@modest(35)
@given(st.data())
def test_an_event_beyond_the_horizon_is_late_and_moves_only_the_offset(data: st.DataObject) -> None:
    bodies = data.draw(histories())
    facts = folded(numbered(bodies))[0]
    before = packed(facts)
    late = call_drop(facts.newest_ms - LATENESS_MS - data.draw(st.integers(1, 90 * DAY_MS)), event_id="late")
    assert fold(facts, event(late, 1000, partition=9), LATENESS_MS) == "late"
    assert facts.offsets.pop(event(late, 0, partition=9).source) == 1000
    assert packed(facts) == before


def test_an_event_exactly_as_late_as_the_horizon_allows_still_counts() -> None:
    _, became = folded(numbered([top_up(at(7)), call_drop(at(0)), usage(at(0) - 1)]))
    assert became == ["applied", "applied", "late"]


def test_an_offset_that_was_passed_is_a_repeat_whatever_the_record_says() -> None:
    facts, _ = folded([event(top_up(at(0)), 5)])
    assert fold(facts, event(top_up(at(1)), 5), LATENESS_MS) == "repeated"
    assert fold(facts, event(top_up(at(1)), 5, partition=1), LATENESS_MS) == "applied"
    assert facts.totals.top_ups == 2


def test_an_event_id_is_forgotten_only_when_its_event_would_be_late() -> None:
    first = call_drop(at(0))
    facts = facts_of(first, top_up(at(7)))
    assert fold(facts, event(first, 9), LATENESS_MS) == "repeated"
    facts = facts_of(first, top_up(at(9 + FORGETTING_DAYS)))
    assert fold(facts, event(first, 9), LATENESS_MS) == "late"
    assert len(facts.recent_ids) == 1


REVISIONS = (
    usage(at(3), event_id="a", voice_s=100, voice_answered=3),
    usage(at(3), event_id="b", voice_s=40, voice_answered=1, revision=1),
    usage(at(3), event_id="c", voice_s=0, voice_answered=0, revision=2),
)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_the_highest_revision_of_a_usage_day_wins_in_any_order(order: tuple[int, ...]) -> None:
    facts = facts_of(*(REVISIONS[i] for i in order))
    assert (facts.totals.voice_s, facts.totals.answered, facts.voice_s[-1]) == (0, 0, 0)
    assert list(facts.revisions.values()) == [2]
    assert packed(changed(facts, offsets={})) == packed(changed(facts_of(*REVISIONS), offsets={}))


def test_a_day_once_seen_active_stays_active_when_it_is_revised_to_nothing() -> None:
    facts = facts_of(*REVISIONS)
    assert (facts.totals.usage_days, facts.active_days, facts.times.last_active_ms) == (1, 1, at(3))


def test_a_summary_that_says_the_same_again_is_a_repeat_though_usage_ids_are_not_kept() -> None:
    facts, became = folded(numbered([usage(at(3)), usage(at(3)), usage(at(3), voice_s=301), usage(at(3))]))
    assert became == ["applied", "repeated", "applied", "applied"]
    assert (facts.recent_ids, facts.totals.voice_s) == ({}, 301)


@modest(60)
@given(st.data())
def test_what_counts_as_a_repeat_has_changed_nothing_but_the_offset(data: st.DataObject) -> None:
    bodies: list[Body] = data.draw(histories())
    hours = st.sampled_from([-11, -1, 0, 1, 11])
    bodies += [usage_again(body, data.draw(hours)) for body in bodies if type(body) is Usage]
    events = numbered(data.draw(arrivals(sorted(bodies, key=at_ms_of))))
    facts = new_facts(events[0].at_ms)
    for e in events:
        before = packed(changed(facts, offsets={}))
        if fold(facts, e, LATENESS_MS) == "repeated":
            assert packed(changed(facts, offsets={})) == before


def usage_again(summary: Usage, hours: int) -> Usage:
    """Return a summary that says the same and ends so many hours later."""
    later: Usage = changed(summary, event_time=summary.event_time + timedelta(hours=hours))
    return later


def test_the_same_summary_that_ends_at_a_later_hour_is_no_repeat_since_it_moves_the_last_activity() -> None:
    facts, became = folded(numbered([top_up(at(4)), usage(at(3)), usage(at(3, 1)), usage(at(3))]))
    assert became == ["applied", "applied", "applied", "repeated"]
    assert facts.times.last_active_ms == at(3, 1)
    assert folded(numbered([usage(at(3)), usage(at(3, -1))]))[1][-1] == "applied"


def test_two_summaries_of_one_day_that_end_at_different_hours_agree_in_any_order() -> None:
    early, late = usage(at(3), event_id="a"), usage(at(3, 1), event_id="b", revision=1)
    assert facts_of(early, late) == facts_of(late, early)
    assert facts_of(early, late).times.last_active_ms == at(3, 1)


def test_revisions_are_forgotten_with_their_day() -> None:
    facts = facts_of(usage(at(1), revision=1), usage(at(20), revision=1), usage(at(1 + USAGE_DAYS)))
    assert list(facts.revisions) == [at(19) // DAY_MS]


def test_a_complaint_is_as_its_newest_snapshot_says() -> None:
    opened = complaint(at(0), expected_resolution_date=moment(at(2)))
    closed = complaint(at(5), change="resolved", status="resolved", creation_date=moment(at(0)))
    for order in ((opened, closed), (closed, opened)):
        (ticket,) = facts_of(*order).tickets.values()
        assert (ticket.at_ms, ticket.is_open, ticket.created_ms) == (at(5), False, at(0))


def test_a_complaint_that_closes_at_the_moment_of_another_snapshot_is_closed() -> None:
    still_open = complaint(at(0), change="status_changed", status="inProgress")
    closed = complaint(at(0), event_id="x", change="resolved", status="closed")
    for order in ((still_open, closed), (closed, still_open)):
        assert [t.is_open for t in facts_of(*order).tickets.values()] == [False]


def test_a_deleted_ticket_is_closed_whatever_its_status_says() -> None:
    facts = facts_of(complaint(at(0), change="deleted", status="pending"))
    assert [t.is_open for t in facts.tickets.values()] == [False]


def test_a_request_for_service_is_no_complaint() -> None:
    facts = facts_of(complaint(at(0), ticket_type="request"))
    assert (facts.tickets, facts.complaints.tolist(), facts.totals.complaints) == ({}, [], 0)


def test_an_open_complaint_is_kept_and_one_settled_before_it_forgotten_after_the_horizon() -> None:
    facts = facts_of(
        complaint(at(0), ticket_id="settled", change="resolved", status="closed"),
        complaint(at(0, 1), ticket_id="open"),
        usage(at(60)),
    )
    assert [t.is_open for t in facts.tickets.values()] == [True]


def test_profiles_of_one_moment_give_one_winner_in_any_order() -> None:
    one, other = profile(at(0), segment="youth"), profile(at(0), event_id="x", segment="sme", area_id="a")
    assert facts_of(one, other).profile == facts_of(other, one).profile
    newer = profile(at(1), monthly_fee_minor=5)
    for order in ((one, newer), (newer, one)):
        found = facts_of(*order).profile
        assert found is not None
        assert found.monthly_fee_minor == 5


def test_attempted_and_cancelled_top_ups_add_nothing_and_failed_ones_only_a_failure() -> None:
    facts = facts_of(*(top_up(at(0, h), status=s) for h, s in enumerate(("created", "cancelled", "failed"))))
    assert facts.top_ups.tolist() == [at(0) // DAY_MS, 0, 0, 1]
    assert (facts.totals.top_ups, facts.times.last_top_up_ms, facts.times.last_failed_top_up_ms) == (0, 0, at(0, 2))


@pytest.mark.parametrize("count", [IDS_MAX, IDS_MAX + 1, IDS_MAX + 40])
def test_a_flood_within_one_day_keeps_no_more_event_ids_than_the_bound(count: int) -> None:
    flood = [call_drop(at(0) + i, event_id=f"drop-{i}") for i in range(count)]
    facts = facts_of(*flood)
    assert len(facts.recent_ids) == IDS_MAX
    assert facts.failed_calls.tolist() == [at(0) // DAY_MS, count, 0]
    assert packed(facts_of(flood[0], *flood[:0:-1])) == packed(facts)


def test_no_more_complaints_than_the_bound_are_kept_and_the_oldest_give_way() -> None:
    facts = facts_of(*(complaint(at(0, i), ticket_id=f"t{i}") for i in range(TICKETS_MAX + 5)))
    assert sorted(t.at_ms for t in facts.tickets.values()) == [at(0, i) for i in range(5, TICKETS_MAX + 5)]


@modest(60)
@given(st.data())
def test_which_of_many_complaints_are_kept_does_not_depend_on_the_order_of_arrival(data: st.DataObject) -> None:
    bodies = data.draw(queues())
    one, other = (folded(numbered(data.draw(arrivals(bodies))))[0] for _ in range(2))
    assert packed(one) == packed(other)
    assert len(one.tickets) <= TICKETS_MAX
    h = naive.History(bodies)
    newest = sorted((h.rank(t) for t in h.tickets.values()), reverse=True)[:TICKETS_MAX]
    due = {rank[0] for rank in newest if not rank[1]}
    assert {t.at_ms for t in one.tickets.values() if t.is_open} == due


def test_a_settled_complaint_that_cost_an_older_open_one_its_place_does_so_in_any_order() -> None:
    old = complaint(at(0), ticket_id="old")
    settled = complaint(at(1), ticket_id="settled", change="resolved", status="closed")
    others: list[Body] = [complaint(at(10, i), ticket_id=f"t{i}") for i in range(TICKETS_MAX - 1)]
    later = usage(at(10 + FORGETTING_DAYS))
    last_in_time, last_and_late = (
        facts_of(old, settled, *bodies) for bodies in ([*others, later], [*others[:-1], later, others[-1]])
    )
    assert min(t.at_ms for t in last_in_time.tickets.values()) == at(10)
    assert packed(last_and_late) == packed(last_in_time)


def test_an_open_complaint_that_is_settled_late_lets_go_of_those_settled_before_it_in_any_order() -> None:
    bodies = [
        complaint(at(0), ticket_id="open"),
        complaint(at(1), ticket_id="settled", change="resolved", status="closed"),
    ]
    answer, later = complaint(at(18), ticket_id="open", change="resolved", status="closed"), usage(at(20))
    one, other = facts_of(*bodies, answer, later), facts_of(*bodies, later, answer)
    assert packed(one) == packed(other)
    assert [t.at_ms for t in one.tickets.values()] == [at(18)]


def test_an_older_snapshot_of_a_forgotten_complaint_does_not_bring_it_back() -> None:
    reopened = complaint(at(0, 1), ticket_id="old", change="status_changed", status="inProgress")
    others = [complaint(at(1, i), ticket_id=f"t{i}") for i in range(TICKETS_MAX)]
    facts = facts_of(reopened, *others, complaint(at(0), ticket_id="old"))
    assert min(t.at_ms for t in facts.tickets.values()) == at(1)


def test_rows_and_ids_stay_bounded_over_years_of_daily_events() -> None:
    facts = new_facts(at(0))
    for day in range(400):
        daily: list[Body] = [
            usage(at(day)),
            top_up(at(day)),
            call_drop(at(day)),
            complaint(at(day), ticket_id=f"t{day}"),
        ]
        for number, body in enumerate(daily):
            fold(facts, event(body, day * 4 + number), LATENESS_MS)
    since = (at(399) // DAY_MS) % FORGETTING_DAYS + 1
    assert [len(facts.top_ups) // 4, len(facts.failed_calls) // 3, len(facts.complaints) // 2] == [
        RARE_DAYS + since
    ] * 3
    assert (len(facts.tickets), len(facts.voice_s), len(facts.answered)) == (TICKETS_MAX, USAGE_DAYS, USAGE_DAYS)
    assert len(facts.recent_ids) == 3 * (LATENESS_MS // DAY_MS + 1 + since)
    assert facts.active_days == 2**USAGE_DAYS - 1


LIVES = [
    ("a completed port-out is leaving", "port_out_completed", {}, Life.PORTED_OUT),
    ("a termination is leaving", "terminated", {}, Life.TERMINATED),
    ("a termination for its price is leaving", "terminated", {"reason": "price"}, Life.TERMINATED),
    ("a termination for not paying is not the subscriber's will", "terminated", {"reason": "non_payment"},
     Life.TERMINATED_INVOLUNTARILY),
    ("nor is one for fraud", "terminated", {"reason": "fraud"}, Life.TERMINATED_INVOLUNTARILY),
    ("nor death", "terminated", {"reason": "deceased"}, Life.TERMINATED_INVOLUNTARILY),
    ("nor the closing of a business", "terminated", {"reason": "business_closure"}, Life.TERMINATED_INVOLUNTARILY),
    ("nor one marked so", "terminated", {"voluntary": False}, Life.TERMINATED_INVOLUNTARILY),
    ("a requested port-out has not happened yet", "port_out_requested", {}, None),
    ("a contact changes nothing", "contacted", {}, None),
    ("a win-back brings back", "win_back", {}, Life.HERE),
    ("a port-in begins anew", "port_in_completed", {}, Life.HERE),
]  # fmt: skip


@pytest.mark.parametrize(("change", "fields", "life"), [row[1:] for row in LIVES], ids=[row[0] for row in LIVES])
def test_what_an_outcome_makes_of_the_subscriber(change: str, fields: dict[str, object], life: Life | None) -> None:
    assert life_after(outcome(at(0), change, **fields)) == life


def test_the_newest_outcome_says_whether_the_subscriber_is_here() -> None:
    left, back = outcome(at(0), "port_out_completed"), outcome(at(3), "win_back")
    assert facts_of(left, back).life == facts_of(back, left).life == Life.HERE


@pytest.mark.parametrize(
    ("body", "proves"),
    [
        (top_up(at(0)), True), (top_up(at(0), status="failed"), False), (usage(at(0)), True),
        (usage(at(0), voice_s=0, voice_answered=0), False),
        (usage(at(0), voice_s=0, voice_answered=0, data_bytes=1), True),
        (usage(at(0), voice_s=0, voice_answered=0, sms_count=1), True),
        (call_drop(at(0)), False), (outcome(at(0), "contacted"), False),
    ],
)  # fmt: skip
def test_only_money_and_use_prove_that_a_subscriber_is_still_one(body: Body, proves: bool) -> None:
    assert is_revenue(body) is proves


def test_the_makers_times_are_the_events_times() -> None:
    assert at_ms_of(top_up(at(3, 5))) == at(3, 5)

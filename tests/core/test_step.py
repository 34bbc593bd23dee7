"""The whole path: what an event or a wake does to one subscriber, and what it leaves alone."""

from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts.announcing import YEAR_MONTHS
from streams.core.alerts.policy import Policy, policy_from
from streams.core.contracts.codes import WHYS
from streams.core.contracts.effects import AlertChanged, ChurnKind, Effect, LabelledExample, LateEvent, RepeatedEvent
from streams.core.contracts.events import Body, Event, Wake
from streams.core.scoring.features import FEATURE_TABLE, feature_vector
from streams.core.scoring.scorer import Scorer, probability
from streams.core.step import Context, step
from streams.core.subscriber.facts import SubscriberState
from streams.core.subscriber.packing import pack, unpack
from streams.core.subscriber.state import INACTIVE, PENDING_MAX
from streams.core.times import DAY_MS, HOUR_MS
from streams.engine.subscribers import PackedInMemory
from streams.engine.waiting_snapshots import WaitingSnapshots
from tests.core.makers import (
    BANDS,
    SUBSCRIBER,
    at,
    call_drop,
    complaint,
    entry,
    event,
    market_of,
    moment,
    numbered,
    outcome,
    policy,
    profile,
    scorecard,
    scorer_of,
    top_up,
    usage,
)
from tests.core.strategies import arrivals, eager, histories, modest

COMPLAINING = scorer_of(-4.0, complaint_open=3.5)
"""1.8 % without an open complaint, 38 % with one: above the opening threshold of every value band."""


class Tale:
    """One subscriber told in order: before each event, every wake that is due; what follows is kept."""

    def __init__(self, scorer: Scorer = COMPLAINING, rules: Policy | None = None) -> None:
        self.context = Context(scorer, rules or policy())
        self.waiting = WaitingSnapshots(PackedInMemory())
        self.state: SubscriberState | None = None
        self.effects: list[Effect] = []
        self.wakes: list[int] = []
        self._offset = 0

    @property
    def known(self) -> SubscriberState:
        assert self.state is not None
        return self.state

    def give(self, given: Event | Wake) -> tuple[Effect, ...]:
        self.state, made = step(self.state, given, self.context)
        effects = self.waiting.finish(SUBSCRIBER, made, self.context.scorer)
        self.effects += effects
        return effects

    def give_one(self, body: Body) -> tuple[Effect, ...]:
        return self.give(event(body, 1))

    def until(self, at_ms: int) -> "Tale":
        while self.state is not None and 0 < self.state.watch.next_wake_ms <= at_ms:
            self.wakes.append(self.state.watch.next_wake_ms)
            self.give(Wake(SUBSCRIBER, self.state.watch.next_wake_ms))
        return self

    def tell(self, *bodies: Body) -> "Tale":
        for body in bodies:
            self._offset += 1
            given = event(body, self._offset)
            self.until(given.at_ms)
            self.give(given)
        return self

    def days(self, first: int, last: int) -> "Tale":
        """A summary of use for each of the days."""
        return self.tell(*(usage(at(day)) for day in range(first, last + 1)))

    def changes(self) -> list[tuple[str, int]]:
        return [(e.change, e.at_ms) for e in self.effects if isinstance(e, AlertChanged)]

    def examples(self) -> list[LabelledExample]:
        return [e for e in self.effects if isinstance(e, LabelledExample)]


@modest(35)
@given(st.data())
def test_the_same_state_given_the_same_in_the_same_context_has_the_same_result(data: st.DataObject) -> None:
    events = numbered(data.draw(arrivals(data.draw(histories(max_size=12)))))
    context = Context(scorecard(), eager())
    state: SubscriberState | None = None
    for e in events:
        for is_wake in (False, True):
            before = None if state is None else pack(state)
            asked = Wake(SUBSCRIBER, state.watch.next_wake_ms) if is_wake and state else e
            one, one_effects = step(None if before is None else unpack(before), asked, context)
            other, other_effects = step(None if before is None else unpack(before), asked, context)
            state, effects = step(state, asked, context)
            assert one_effects == other_effects == effects
            assert pack(one) == pack(other) == pack(state)


@modest(35)
@given(st.data())
def test_a_record_delivered_again_at_any_time_changes_nothing_and_says_so(data: st.DataObject) -> None:
    events = numbered(data.draw(arrivals(data.draw(histories(max_size=12)))))
    tale = Tale(scorecard(), eager())
    for number, e in enumerate(events):
        tale.until(e.at_ms)
        tale.give(e)
        before = pack(tale.known)
        assert tale.give(events[data.draw(st.integers(0, number))]) == (RepeatedEvent(),)
        assert pack(tale.known) == before


@modest(35)
@given(histories(max_size=12), st.integers(-DAY_MS, 200 * DAY_MS).filter(bool))
def test_a_wake_that_was_not_asked_for_is_ignored(bodies: list[Body], off_ms: int) -> None:
    tale = Tale(scorecard(), eager()).tell(*bodies)
    before = pack(tale.known)
    assert tale.give(Wake(SUBSCRIBER, tale.known.watch.next_wake_ms + off_ms)) == ()
    assert pack(tale.known) == before


@modest(35)
@given(histories(max_size=15), st.integers(0, 200))
def test_every_wake_is_asked_for_at_the_scoring_hour_and_later_than_the_one_before(
    bodies: list[Body], more_days: int
) -> None:
    tale = Tale(scorecard(), eager()).tell(*bodies)
    tale.until(tale.known.facts.newest_ms + more_days * DAY_MS)
    assert tale.wakes == sorted(set(tale.wakes))
    assert {wake_ms % DAY_MS for wake_ms in tale.wakes} <= {4 * HOUR_MS}
    assert len(tale.known.watch.waiting) <= PENDING_MAX


@modest(35)
@given(histories(max_size=15))
def test_each_snapshot_of_a_story_is_settled_at_most_once(bodies: list[Body]) -> None:
    tale = Tale(scorecard(), eager()).tell(*bodies)
    tale.until(tale.known.facts.newest_ms + 300 * DAY_MS)
    ids = [e.example_id for e in tale.examples()]
    assert len(set(ids)) == len(ids)
    assert tale.known.watch.waiting == []
    assert tale.known.watch.next_wake_ms == 0


def test_a_wake_for_somebody_unknown_starts_an_empty_state() -> None:
    state, effects = step(None, Wake(SUBSCRIBER, at(1)), Context(COMPLAINING, policy()))
    assert (state.facts.times.first_ms, state.watch.next_wake_ms, effects) == (at(1), 0, ())


def test_a_late_event_is_reported_whole_and_changes_only_the_offset() -> None:
    tale = Tale().days(1, 20)
    before = unpack(pack(tale.known))
    late = event(top_up(at(12, 23), event_id="slow"), 5, partition=2)
    (effect,) = tale.give(late)
    assert effect == LateEvent(SUBSCRIBER, "top-ups", 2, 5, "slow", at(12, 23), 7 * 86_400 + 3600)
    before.facts.offsets[late.source] = 5
    assert tale.known == before


def test_the_first_event_asks_for_the_next_scoring_hour() -> None:
    assert Tale().tell(top_up(at(0, 3))).known.watch.next_wake_ms == at(0, 4)
    assert Tale().tell(top_up(at(0, 4))).known.watch.next_wake_ms == at(1, 4)


def test_a_new_complaint_is_scored_at_once_and_others_wait_for_the_hour() -> None:
    tale = Tale().days(1, 40)
    for body in (top_up(at(40, 1)), call_drop(at(40, 2)), complaint(at(40, 3), change="status_changed")):
        tale.tell(body)
        assert tale.known.watch.scored_at_ms < at(40)
    tale.tell(complaint(at(40, 3.5), event_id="second"))
    assert tale.known.watch.scored_at_ms == at(40, 3.5)
    assert tale.changes() == [("opened", at(40, 3.5))]


def test_an_alert_that_a_complaint_opens_is_looked_at_again_the_next_day_however_quiet_the_subscriber_was() -> None:
    tale = Tale().days(1, 20)
    quiet_until_ms = tale.known.watch.next_wake_ms
    assert quiet_until_ms > at(21, 4)
    tale.tell(complaint(at(20, 10))).until(at(23))
    assert tale.changes() == [("opened", at(20, 10)), ("fired", at(22, 4))]


def test_a_complaint_that_comes_late_is_judged_now_with_what_is_known_now() -> None:
    tale = Tale().days(1, 40)
    scored_ms = tale.known.watch.scored_at_ms
    tale.tell(complaint(at(34)))
    (change,) = (e for e in tale.effects if isinstance(e, AlertChanged))
    assert change.at_ms == change.opened_at_ms == max(at(40), scored_ms)
    assert tale.known.watch.next_wake_ms > scored_ms


def test_leaving_ends_the_alert_settles_the_labels_and_lets_the_subscriber_rest() -> None:
    tale = Tale().days(1, 50).tell(complaint(at(50, 1))).days(51, 53)
    assert tale.changes()[-1] == ("fired", at(51, 4))
    waiting = [s.at_ms for s in tale.known.watch.waiting]
    assert len(waiting) >= 3
    tale.tell(outcome(at(53, 9), "port_out_completed"))
    assert tale.changes()[-1] == ("resolved", at(53, 9))
    settled = [e for e in tale.examples() if e.kind == "port_out"]
    assert [e.snapshot_at_ms for e in settled] == waiting
    assert {e.knowable_at_ms for e in settled} == {at(53, 9)}
    assert (tale.known.watch.waiting, tale.known.watch.next_wake_ms) == ([], 0)
    resolved = [e for e in tale.effects if isinstance(e, AlertChanged)][-1]
    assert (resolved.state, resolved.why) == ("resolved", "the subscriber left")


def test_leaving_without_an_alert_says_nothing_of_alerts() -> None:
    tale = Tale().days(1, 40).tell(outcome(at(40, 1), "terminated"))
    assert tale.changes() == []
    assert {e.kind for e in tale.examples()} == {"termination"}


def test_who_is_made_to_leave_gives_no_example_either_way() -> None:
    tale = Tale().days(1, 40)
    assert tale.known.watch.waiting
    tale.tell(outcome(at(40, 1), "terminated", reason="non_payment")).until(at(200))
    assert tale.examples() == []
    assert tale.known.watch.waiting == []


def test_who_is_suspended_cannot_pay_and_is_never_taken_for_somebody_who_left_in_silence() -> None:
    tale = Tale(scorer_of(-4.0, suspended=4.0, usage_silence=0.5)).days(1, 40)
    assert tale.known.watch.waiting
    tale.tell(profile(at(40, 1), product_status="suspended"), outcome(at(40, 1), "suspended")).until(at(120))
    alerts = [e for e in tale.effects if isinstance(e, AlertChanged)]
    assert {(one.kind, one.stage, one.action_code) for one in alerts} == {
        ("involuntary", "at_risk", "offer_payment_help")
    }
    assert {e.kind for e in tale.examples()} <= {"stayed"}
    assert tale.known.watch.waiting == []
    silence_counts = policy(label={"looks_ahead": False})
    other = Tale(scorer_of(-4.0, suspended=4.0, usage_silence=0.5), silence_counts).days(1, 40)
    other.tell(outcome(at(40, 1), "suspended", reason="moved")).until(at(120))
    assert "inactivity" in {e.kind for e in other.examples()}


def test_snapshots_that_a_leaving_does_not_cover_are_still_settled_when_their_horizon_closes() -> None:
    only_silence = policy(label={"explicit": False})
    tale = Tale(rules=only_silence).days(1, 40).tell(outcome(at(40, 1), "port_out_completed"))
    waiting = [s.at_ms for s in tale.known.watch.waiting]
    assert waiting
    assert tale.known.watch.next_wake_ms > 0
    tale.until(at(120))
    assert [e.snapshot_at_ms for e in tale.examples()] == waiting
    assert tale.known.watch.next_wake_ms == 0


def test_use_after_leaving_brings_nobody_back_but_a_win_back_does() -> None:
    tale = Tale().days(1, 40).tell(outcome(at(40, 1), "port_out_completed")).days(41, 43)
    assert tale.known.watch.next_wake_ms == 0
    tale.tell(outcome(at(44), "win_back"))
    assert tale.known.watch.next_wake_ms == at(44, 4)
    assert {e.kind for e in tale.examples()} == {"port_out"}


def test_a_port_out_that_arrives_after_the_win_back_changes_nothing() -> None:
    tale = Tale().days(1, 40).tell(outcome(at(40, 2), "win_back"), outcome(at(40, 1), "port_out_completed"))
    assert tale.examples() == []
    assert tale.known.watch.next_wake_ms > 0


def test_after_long_silence_scoring_rests_until_an_event_comes() -> None:
    tale = Tale().days(1, 30).until(at(400))
    assert tale.known.watch.next_wake_ms == 0
    last_ms = tale.wakes[-1]
    assert at(30) + 60 * DAY_MS < last_ms < at(30) + 65 * DAY_MS
    tale.tell(top_up(at(400, 5)))
    assert tale.known.watch.next_wake_ms == at(401, 4)


def test_an_event_ends_the_rest_even_while_old_snapshots_wait_for_a_long_horizon() -> None:
    patient = policy(label={"horizon_days": 200, "looks_ahead": False})
    tale = Tale(rules=patient).days(1, 30).until(at(120))
    assert tale.known.watch.waiting
    assert tale.known.watch.next_wake_ms > at(200)
    tale.tell(top_up(at(120, 5)))
    assert tale.known.watch.next_wake_ms == at(121, 4)


def test_who_rests_with_snapshots_waiting_is_woken_when_the_first_horizon_closes() -> None:
    patient = policy(label={"horizon_days": 200, "looks_ahead": False})
    tale = Tale(rules=patient).days(1, 30).until(at(120))
    first = tale.known.watch.waiting[0]
    assert first.at_ms + 200 * DAY_MS < tale.known.watch.next_wake_ms <= first.at_ms + 201 * DAY_MS
    tale.until(at(400))
    assert [e.kind for e in tale.examples()][-1] == "inactivity"
    assert tale.known.watch.next_wake_ms == 0


def test_snapshots_are_taken_weekly_once_known_long_enough_and_only_while_active() -> None:
    tale = Tale(rules=policy(scoring={"quiet_below": 0.0})).days(1, 60)
    taken = [s.at_ms for s in tale.known.watch.waiting] + [e.snapshot_at_ms for e in tale.examples()]
    assert sorted(taken) == [at(day, 4) for day in (29, 36, 43, 50, 57)]
    tale.until(at(200))
    assert tale.known.watch.snapshot_at_ms == at(71, 4)  # 14 days without revenue since day 60 would end at day 78.


def test_a_first_snapshot_is_spread_over_the_week_by_the_subscribers_key() -> None:
    firsts = set()
    for digit in range(7):
        tale = Tale(rules=policy(scoring={"quiet_below": 0.0}))
        key = SUBSCRIBER[:-1] + str(digit)
        for day in range(1, 45):
            while tale.state is not None and 0 < tale.state.watch.next_wake_ms <= at(day):
                tale.give(Wake(key, tale.state.watch.next_wake_ms))
            tale.give(event(usage(at(day), subscriber_id=key), day))
        firsts.add(tale.known.watch.waiting[0].at_ms)
    assert firsts == {at(day, 4) for day in range(29, 36)}


def test_a_snapshot_holds_the_features_and_the_score_that_were_served() -> None:
    tale = Tale(scorecard()).days(1, 28).tell(top_up(at(28, 1), amount_minor=7000))
    tale.until(at(75))
    (first, *_) = tale.examples()
    before = Tale(scorecard()).days(1, 28).tell(top_up(at(28, 1), amount_minor=7000))
    before.until(first.snapshot_at_ms - 1)
    served = feature_vector(before.known.facts, first.snapshot_at_ms, before.context.bands)
    assert first.features == served
    assert first.probability == probability(scorecard().logit(served))
    assert (first.feature_table, first.model_version) == (FEATURE_TABLE, scorecard().version)


def test_a_quiet_subscriber_is_scored_every_third_day_and_any_other_daily() -> None:
    quiet, busy = Tale(scorer_of(-4.0)).days(1, 20), Tale(scorer_of(-2.5)).days(1, 20)
    assert {b - a for a, b in pairwise(quiet.wakes)} == {72 * HOUR_MS}
    assert {b - a for a, b in pairwise(busy.wakes)} == {24 * HOUR_MS}


def test_a_snapshot_that_is_due_does_not_wait_for_a_quiet_subscribers_turn() -> None:
    tale = Tale(scorer_of(-4.0)).days(1, 70)
    taken = sorted([s.at_ms for s in tale.known.watch.waiting] + [e.snapshot_at_ms for e in tale.examples()])
    assert {b - a for a, b in pairwise(taken)} == {7 * DAY_MS}


def test_without_consent_there_is_no_alert_and_no_snapshot() -> None:
    tale = Tale().tell(profile(at(0), profiling_consent=False)).days(1, 40).tell(complaint(at(40, 1))).days(41, 60)
    assert (tale.changes(), tale.known.watch.waiting, tale.examples()) == ([], [], [])
    assert tale.known.watch.alert is INACTIVE


@pytest.mark.parametrize(("withdrawn_day", "ending"), [(41, "dropped"), (45, "resolved")])
def test_consent_withdrawn_ends_an_alert_at_the_next_look(withdrawn_day: int, ending: str) -> None:
    tale = Tale().tell(profile(at(0))).days(1, 40).tell(complaint(at(40, 1))).days(41, withdrawn_day)
    tale.tell(profile(at(withdrawn_day, 1), profiling_consent=False)).days(withdrawn_day + 1, withdrawn_day + 3)
    assert tale.changes()[-1] == (ending, at(withdrawn_day, 4))
    assert [e for e in tale.effects if isinstance(e, AlertChanged)][-1].why == "profiling consent was withdrawn"


def test_silence_for_the_whole_horizon_ends_an_alert_because_the_subscriber_left() -> None:
    tale = Tale().days(1, 40).tell(complaint(at(40, 1))).until(at(120))
    assert [change for change, _ in tale.changes()] == ["opened", "fired", "restaged", "resolved"]
    last = [e for e in tale.effects if isinstance(e, AlertChanged)][-1]
    assert (last.why, last.at_ms) == ("the subscriber left", at(70, 4))


def told(tale: Tale) -> list[tuple[str, str, Any, int]]:
    return [(e.change, e.stage, e.why_code, e.at_ms) for e in tale.effects if isinstance(e, AlertChanged)]


@pytest.mark.parametrize("change", ["port_out_requested", "termination_requested"])
def test_who_asks_to_leave_is_told_of_at_once_whatever_the_risk_as_one_alert_with_a_play_of_its_own(
    change: str,
) -> None:
    tale = Tale(scorer_of(-6.0)).days(1, 40).tell(outcome(at(40, 1), change))
    assert told(tale) == [("fired", "requested", "leave_requested", at(40, 1))]
    (fired,) = (e for e in tale.effects if isinstance(e, AlertChanged))
    assert (fired.state, fired.action_code) == ("firing", "offer_to_stay")
    assert fired.due_at_ms == at(40, 1) + policy().plays["requested"].due_hours[fired.band] * HOUR_MS
    assert fired.probability < 0.01
    tale.days(41, 60)
    assert len(told(tale)) == 1
    tale.tell(outcome(at(60, 1), "port_out_completed"))
    assert told(tale)[1:] == [("resolved", "requested", "subscriber_left", at(60, 1))]


def test_a_request_that_is_taken_back_is_told_at_the_next_score_and_the_alert_clears_as_any_other() -> None:
    tale = Tale(scorer_of(-6.0)).days(1, 40).tell(outcome(at(40, 1), "port_out_requested")).days(41, 45)
    tale.tell(outcome(at(45, 1), "port_out_cancelled")).days(46, 60)
    assert told(tale)[1:] == [
        ("restaged", "at_risk", "request_ended", at(45, 4)), ("resolved", "at_risk", "clear_time_elapsed", at(48, 4)),
    ]  # fmt: skip


def test_a_request_in_an_alert_and_in_the_cool_down_of_one_is_told_at_once() -> None:
    tale = Tale().days(1, 40).tell(complaint(at(40, 1))).days(41, 43)
    tale.tell(outcome(at(43, 1), "port_out_requested"), outcome(at(44, 1), "port_out_rejected"))
    tale.tell(complaint(at(44, 2), change="resolved", status="resolved", event_id="solved")).days(45, 50)
    tale.tell(outcome(at(50, 1), "termination_requested", event_id="again"))
    assert told(tale)[1:] == [
        ("fired", "at_risk", "hold_time_elapsed", at(41, 4)),
        ("restaged", "requested", "leave_requested", at(43, 1)),
        ("restaged", "at_risk", "request_ended", at(44, 4)),
        ("resolved", "at_risk", "clear_time_elapsed", at(47, 4)),
        ("fired", "requested", "leave_requested", at(50, 1)),
    ]
    ids = [e.alert_id for e in tale.effects if isinstance(e, AlertChanged)]
    assert len(set(ids)) == 2
    assert len({e.transition_id for e in tale.effects if isinstance(e, AlertChanged)}) == len(ids)


def test_requests_and_answers_that_come_late_have_transitions_of_their_own() -> None:
    tale = Tale().days(1, 40).tell(complaint(at(40, 1))).days(41, 43).until(at(43, 4))
    tale.tell(
        outcome(at(43, 1), "port_out_requested"),
        outcome(at(43, 2), "port_out_cancelled", event_id="back"),
        outcome(at(43, 3), "port_out_requested", event_id="again"),
    )
    assert told(tale)[2:] == [("restaged", "requested", "leave_requested", at(43, 4))]


def test_who_asked_in_a_policy_of_before_there_were_stages_is_scored_at_the_hour() -> None:
    tree = msgspec.to_builtins(policy())
    del tree["stage"]
    tale = Tale(scorer_of(-6.0), policy_from(tree)).days(1, 40).tell(outcome(at(40, 1), "port_out_requested"))
    assert told(tale) == []
    assert tale.known.watch.scored_at_ms < at(40)


def test_a_line_that_falls_silent_lapses_with_its_alert_and_returns_with_it() -> None:
    tale = Tale().days(1, 40).tell(complaint(at(40, 1))).until(at(50)).days(50, 51).until(at(52))
    assert told(tale)[2:] == [
        ("restaged", "lapsed", "silent_beyond_habit", at(47, 4)), ("restaged", "at_risk", "used_again", at(50, 4)),
    ]  # fmt: skip
    lapsed, returned = [e for e in tale.effects if isinstance(e, AlertChanged)][2:]
    assert (lapsed.state, lapsed.action_code, lapsed.alert_id) == ("firing", "offer_win_back", returned.alert_id)
    assert lapsed.due_at_ms == at(47, 4) + policy().plays["lapsed"].due_hours[lapsed.band] * HOUR_MS
    assert returned.action_code == "report_repair"


def test_an_alert_about_a_line_that_is_silent_already_is_lapsed_from_the_beginning() -> None:
    tale = Tale().days(1, 40).until(at(50)).tell(complaint(at(50, 1))).until(at(52))
    assert told(tale) == [
        ("opened", "lapsed", "threshold_reached", at(50, 1)), ("fired", "lapsed", "hold_time_elapsed", at(51, 4)),
    ]  # fmt: skip


def test_an_alert_that_grows_worse_says_so_once() -> None:
    worse = scorer_of(-4.0, complaint_open=3.5, complaint_overdue=2.0)
    due = complaint(at(40, 1), expected_resolution_date=moment(at(45)))
    tale = Tale(worse).days(1, 40).tell(due).days(41, 60)
    assert tale.changes() == [("opened", at(40, 1)), ("fired", at(41, 4)), ("worsened", at(45, 4))]


def test_a_whole_story_from_the_first_top_up_to_the_second_alert() -> None:
    manager: dict[str, Any] = {"account_manager_id": "m-7", "group_id": "g-1", "area_id": "a-2"}
    tale = Tale().tell(profile(at(0), **manager), top_up(at(0, 1), amount_minor=7000)).days(1, 30)
    tale.tell(top_up(at(30, 1), amount_minor=7000)).days(31, 40).tell(complaint(at(40, 9))).days(41, 45)
    tale.tell(complaint(at(45, 2), event_id="closed", change="resolved", status="resolved")).days(46, 70)
    tale.tell(complaint(at(70, 9), event_id="again", ticket_id="ticket-2")).days(71, 73)
    assert tale.changes() == [
        ("opened", at(40, 9)), ("fired", at(42, 4)), ("resolved", at(48, 4)), ("opened", at(70, 9)),
        ("fired", at(72, 4)),
    ]  # fmt: skip
    opened, fired, resolved, again, _ = (e for e in tale.effects if isinstance(e, AlertChanged))
    assert opened.alert_id == fired.alert_id == resolved.alert_id != again.alert_id
    assert [e.episode for e in (opened, fired, resolved, again)] == [1, 1, 1, 2]
    assert (fired.kind, fired.reasons[0].code, fired.value_band) == ("service_fault", "complaint_open", "high")
    assert (fired.threshold, resolved.threshold) == (0.15, 0.08)
    assert fired.value_at_risk_minor == 7000 * YEAR_MONTHS
    assert (fired.account_manager_id, fired.group_id, fired.area_id, fired.currency) == ("m-7", "g-1", "a-2", "CNY")
    assert fired.due_at_ms == at(42, 4) + policy().plays["service_fault"].due_hours["high"] * HOUR_MS
    assert len(fired.offsets) == 4
    assert {e.kind for e in tale.examples()} == {"stayed"}


def test_an_offer_of_a_competitor_is_named_first_and_makes_the_churn_competitive() -> None:
    scorer = scorer_of(-3.0, complaint_open=1.0, competitor_offer=1.5)
    signals = market_of(entry(at(20), area_ids=("a-2",))).at(at(20))[0]
    drawn, spared = Tale(scorer), Tale(scorer)
    for tale, area in ((drawn, "a-2"), (spared, "a-3")):
        tale.tell(profile(at(0), area_id=area)).days(1, 19)
        tale.context = Context(tale.context.scorer, tale.context.policy, signals)
        tale.tell(complaint(at(20, 1)))
    (change,) = (e for e in drawn.effects if isinstance(e, AlertChanged))
    assert (change.kind, change.reasons[0].code) == ("competitive", "competitor_offer")
    assert change.signals_version == signals.version
    assert change.logit == scorer.logit(feature_vector(drawn.known.facts, change.at_ms, BANDS, signals))
    assert spared.changes() == []


def test_an_alert_that_knows_nothing_of_the_market_says_so() -> None:
    tale = Tale().days(1, 20).tell(complaint(at(20, 1)))
    assert [e.signals_version for e in tale.effects if isinstance(e, AlertChanged)] == [None]


def test_what_a_transition_says_is_what_was_computed() -> None:
    scorer = scorer_of(-4.0, complaint_open=3.5, voice_trend_14d=-0.5, tenure=-0.3, active_share=0.2)
    tale = Tale(scorer).days(1, 20).tell(complaint(at(20, 1)))
    (change,) = (e for e in tale.effects if isinstance(e, AlertChanged))
    served = feature_vector(tale.known.facts, change.at_ms, tale.context.bands)
    assert (change.logit, change.probability) == (scorer.logit(served), probability(scorer.logit(served)))
    total = scorer.intercept + sum(reason.contribution for reason in change.reasons)
    assert abs(total - change.logit) <= 1e-12
    assert (change.model_version, change.policy_version) == (scorer.version, tale.context.policy.version)
    assert change.offsets == tale.known.facts.offsets
    assert msgspec.json.decode(msgspec.json.encode(change), type=AlertChanged) == change


def test_an_alert_has_the_codes_of_its_move_and_of_the_default_action_and_none_for_an_operators_own() -> None:
    own = {kind: {"action": "Send flowers"} for kind in get_args(ChurnKind)}
    for plays, actions in (({}, {"report_repair"}), (own, {None})):
        tale = Tale(COMPLAINING, policy(plays=plays))
        for day in range(1, 80):
            tale.tell(complaint(at(day)) if day == 70 else usage(at(day)))
        alerts = [effect for effect in tale.effects if isinstance(effect, AlertChanged)]
        assert [alert.why_code for alert in alerts][:2] == ["threshold_reached", "hold_time_elapsed"]
        assert all(alert.why_code is not None and alert.why == WHYS[alert.why_code] for alert in alerts)
        assert {alert.action_code for alert in alerts} == actions


def test_a_context_lays_out_its_policy_for_the_hot_path() -> None:
    context = Context(COMPLAINING, policy())
    assert context.bands == (2000, 6000)
    assert [context.policy.rule(band) for band in ("low", "mid", "high")] == list(context.rules)

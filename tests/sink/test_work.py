"""What people do about alerts: each act once, in the order of versions, told to all but who did it."""

from typing import Any

import pytest

from streams.core.contracts.effects import AlertChange, Stage
from streams.core.notify.endpoints import Filter
from streams.core.times import DAY_MS, HOUR_MS
from streams.shared.errors import InputError
from streams.store.outbox.values import Act, ActResult, AlertWork, Ticket
from streams.store.sink import Sink
from tests.sink.alerts_told import BEGAN_MS, told
from tests.sink.telling import NOW_MS, RULES, add, claim, finished, rows, send, stands, whys

ALERT = told(1).alert_id


def act(sink: Sink, what: str, act_id: str = "", now_ms: int = NOW_MS, **given: Any) -> ActResult:
    """Do something about the first alert, by default as a person who did not say what they saw."""
    fields = {name: value for name, value in given.items() if name not in {"origin", "version", "alert_id"}}
    one = Act(
        act_id=act_id or f"act-{what}-{now_ms}", alert_id=given.get("alert_id", ALERT), at_ms=now_ms,
        act=what, origin=given.get("origin", "person:p1"), fields=fields, version=given.get("version"),  # type: ignore[arg-type]  # wrong words are tried too
    )  # fmt: skip
    return sink.act(one, RULES, now_ms)


@pytest.fixture
def known(sink: Sink) -> Sink:
    """Return a sink whose one endpoint was told of the first alert."""
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    send(sink)
    return sink


def test_an_act_changes_the_work_and_is_told(known: Sink) -> None:
    done = act(known, "acknowledge", assignee="am_7", note="calls on Monday")
    assert (done.changed, done.work.state, done.work.assignee, done.work.version) == (True, "acknowledged", "am_7", 1)
    assert known.work(ALERT) == done.work
    (one,) = claim(known)
    assert (one.type, one.work, one.transition, one.event_ms) == ("alert.acknowledged", done.work, told(1), NOW_MS)
    assert one.message_id.startswith("w_")
    assert one.ticket is not None


def test_nobody_has_touched_an_alert_at_first(known: Sink) -> None:
    assert known.work(ALERT) == AlertWork()


def test_the_same_act_twice_is_one_act_whatever_came_between(known: Sink) -> None:
    act(known, "acknowledge", "a1")
    act(known, "start", "a2")
    again = act(known, "acknowledge", "a1", version=0)
    assert (again.changed, again.repeated, again.work.state, again.work.version) == (False, True, "in_progress", 2)
    assert len(rows(known)) == 3


def test_who_saw_an_older_version_is_refused_and_told_the_newest(known: Sink) -> None:
    act(known, "acknowledge", note="mine")
    refused = act(known, "note", version=0, note="theirs")
    assert (refused.changed, refused.work.note, refused.work.version) == (False, "mine", 1)
    assert "somebody has acted since" in refused.why
    assert act(known, "note", version=1, note="theirs").work.note == "theirs"


@pytest.mark.parametrize("what", ["wake", "reopen", "note"])
def test_what_changes_nothing_is_no_act(known: Sink, what: str) -> None:
    refused = act(known, what)
    assert (refused.changed, refused.repeated, refused.work) == (False, False, AlertWork())
    assert len(rows(known)) == 1


def test_notes_and_assignees_are_between_people(known: Sink) -> None:
    act(known, "note", note="has two phones")
    act(known, "assign", assignee="am_9")
    assert (known.work(ALERT).note, known.work(ALERT).assignee) == ("has two phones", "am_9")
    assert stands(known) == [("fired", "delivered")]


def test_a_closed_alert_keeps_its_outcome_until_it_is_reopened(known: Sink) -> None:
    act(known, "close", "c1", outcome="declined", outcome_reason="price")
    act(known, "close", "c2", outcome="saved")
    assert (known.work(ALERT).state, known.work(ALERT).outcome) == ("closed", "saved")
    assert act(known, "snooze", snoozed_until_ms=NOW_MS + 1).changed is False
    reopened = act(known, "reopen").work
    assert (reopened.state, reopened.outcome, reopened.outcome_reason) == ("open", None, None)


def test_closing_once_more_without_an_outcome_takes_none_away(known: Sink) -> None:
    act(known, "close", "c1", outcome="saved", outcome_reason="offer")
    again = act(known, "close", "c2", outcome=None, outcome_reason=None)
    assert (again.changed, again.work.outcome) == (False, "saved")


@pytest.mark.parametrize(
    ("what", "fields", "problem"),
    [
        ("dance", {}, "dance is no act"),
        ("start", {"outcome": "saved"}, "start does not set outcome"),
        ("note", {"version_": 7}, "note does not set version_"),
        ("snooze", {}, "snooze needs snoozed_until_ms"),
        ("note", {"note": 7}, "note cannot be done"),
        ("start", {"alert_id": "a_none"}, "there is no alert a_none"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(known: Sink, what: str, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        act(known, what, **fields)


def test_who_did_it_is_not_told_and_everybody_else_is(sink: Sink) -> None:
    add(sink, "crm", "desk")
    sink.record([told(1)], RULES, NOW_MS)
    send(sink)
    act(sink, "close", origin="endpoint:crm", outcome="saved")
    assert stands(sink, endpoint="crm") == [("fired", "delivered"), ("closed", "suppressed")]
    assert whys(sink, endpoint="crm")[-1] == "origin"
    (one,) = send(sink)
    assert (one.endpoint, one.type) == ("desk", "alert.closed")


def test_a_receiver_that_closed_its_ticket_is_known_to_have_done_so(known: Sink) -> None:
    act(known, "close", origin="endpoint:crm", outcome="saved")
    known.record([told(1, "worsened", BEGAN_MS + 1)], RULES, NOW_MS)
    (one,) = claim(known)
    assert one.ticket is not None
    assert one.ticket.resolved


def test_acts_about_an_alert_that_nobody_was_told_of_are_told_to_nobody(sink: Sink) -> None:
    add(sink, "crm", filter=Filter(min_band="critical"))
    sink.record([told(1, "opened"), told(2, "fired", band="low")], RULES, NOW_MS)
    act(sink, "acknowledge")
    act(sink, "acknowledge", "a2", alert_id=told(2).alert_id)
    assert sink.work(ALERT).state == "acknowledged"
    assert not [row for row in rows(sink) if row.state == "pending"]


@pytest.mark.slow
def test_what_the_machine_says_touches_nothing_of_what_people_said(known: Sink) -> None:
    act(known, "start", note="promised a call", assignee="am_3")
    before = known.work(ALERT)
    changes: tuple[AlertChange, ...] = ("worsened", "eased", "resolved", "fired")
    for number in range(100):
        known.record([told(1, changes[number % 4], BEGAN_MS + HOUR_MS * (number + 1))], RULES, NOW_MS)
    assert known.work(ALERT) == before


@pytest.mark.slow
def test_a_snooze_outlives_what_is_no_worse_and_ends_at_its_time(known: Sink) -> None:
    act(known, "snooze", snoozed_until_ms=NOW_MS + DAY_MS, snooze_reason="on holiday", note="n", assignee="a")
    changes: tuple[AlertChange, ...] = ("eased", "resolved", "fired")
    for number in range(100):
        known.record([told(1, changes[number % 3], BEGAN_MS + HOUR_MS * (number + 1))], RULES, NOW_MS)
    send(known)
    work = known.work(ALERT)
    assert (work.state, work.snoozed_until_ms, work.snooze_reason) == ("snoozed", NOW_MS + DAY_MS, "on holiday")
    assert known.wake_snoozed(NOW_MS + DAY_MS - 1, RULES) == 0
    assert known.wake_snoozed(NOW_MS + DAY_MS, RULES) == 1
    assert known.wake_snoozed(NOW_MS + DAY_MS, RULES) == 0
    work = known.work(ALERT)
    assert (work.state, work.snoozed_until_ms, work.snooze_reason, work.note) == ("open", None, None, "n")
    assert stands(known)[-1] == ("woken", "pending")


def test_a_snooze_ends_when_the_alert_worsens_and_that_is_told_once(known: Sink) -> None:
    act(known, "snooze", snoozed_until_ms=NOW_MS + DAY_MS, note="kept")
    worse = told(1, "worsened", BEGAN_MS + 1, band="critical")
    known.record([worse], RULES, NOW_MS)
    known.record([worse], RULES, NOW_MS)
    work = known.work(ALERT)
    assert (work.state, work.snoozed_until_ms, work.note, work.version) == ("open", None, "kept", 2)
    assert stands(known)[-1] == ("worsened", "pending")
    assert known.wake_snoozed(NOW_MS + DAY_MS, RULES) == 0


@pytest.mark.parametrize(("stage", "state"), [("requested", "open"), ("lapsed", "snoozed"), ("at_risk", "snoozed")])
def test_a_snooze_ends_when_the_subscriber_asks_to_leave_and_for_no_other_stage(
    known: Sink, stage: Stage, state: str
) -> None:
    act(known, "snooze", snoozed_until_ms=NOW_MS + DAY_MS)
    known.record([told(1, "restaged", BEGAN_MS + 1, stage=stage)], RULES, NOW_MS)
    assert known.work(ALERT).state == state
    assert stands(known)[-1] == ("restaged", "pending")


def test_an_alert_can_be_found_by_the_ticket_that_was_made_for_it(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    (one,) = claim(sink)
    ticket = Ticket(external_id="77", external_ref="INC77", told_ms=NOW_MS, resolved=False)
    sink.finish("w", [finished(one, ticket=ticket)], NOW_MS)
    assert sink.alert_by_ticket("crm", "77") == sink.alert_by_ticket("crm", "INC77") == ALERT
    assert sink.alert_by_ticket("crm", "78") is None


def test_reported_outcomes_wait_until_they_are_sent_and_are_kept_once(sink: Sink) -> None:
    sink.report([("o2", "s", b"two"), ("o1", "s", b"one")], NOW_MS)
    sink.report([("o2", "s", b"again"), ("o3", "t", b"three")], NOW_MS + 1)
    assert sink.unsent_outcomes(2) == [("o1", "s", b"one"), ("o2", "s", b"two")]
    sink.note_outcomes_sent(["o1", "o2"], NOW_MS)
    assert sink.unsent_outcomes(9) == [("o3", "t", b"three")]


def test_what_an_act_reports_is_kept_with_it_and_not_without(known: Sink) -> None:
    one = Act(act_id="a", alert_id=ALERT, at_ms=NOW_MS, act="close", origin="person:p", fields={"outcome": "saved"})
    assert known.act(one, RULES, NOW_MS, [("o1", "s", b"one")]).changed
    stale = Act(act_id="b", alert_id=ALERT, at_ms=NOW_MS, act="note", origin="person:p", fields={}, version=0)
    assert not known.act(stale, RULES, NOW_MS, [("o2", "s", b"two")]).changed
    assert known.unsent_outcomes(9) == [("o1", "s", b"one")]

"""From transitions to deliveries: who is told of what, who is not and why, and all of it once."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.core.contracts.effects import AlertChange, AlertChanged, Stage
from streams.core.notify.contact import ContactRules, Manager
from streams.core.notify.endpoints import Filter, QuietHours
from streams.core.notify.messages import action_of
from streams.core.times import DAY_MS, HOUR_MS
from streams.store import Batch, Position, Run, RunStore
from streams.store.sink import Sink
from tests.sink.alerts_told import BEGAN_MS, told
from tests.sink.telling import NOW_MS, RULES, add, claim, finished, rows, send, stands, whys


def test_a_fired_alert_is_told_to_each_endpoint_that_is_not_disabled(sink: Sink) -> None:
    add(sink, "log", "crm", "chat")
    sink.set_state("log", "paused", "for the night", NOW_MS)
    sink.set_state("chat", "disabled", "gone", NOW_MS)
    recorded = sink.record([told(1)], RULES, NOW_MS)
    assert (recorded.transitions, recorded.deliveries, recorded.suppressed) == (1, 2, 0)
    first, second = rows(sink)
    assert (first.endpoint, second.endpoint) == ("crm", "log")
    assert (first.message_id, first.alert_id, first.type) == (told(1).transition_id, told(1).alert_id, "alert.fired")
    assert (first.state, first.attempts, first.created_ms, first.next_attempt_ms) == ("pending", 0, NOW_MS, NOW_MS)


def test_an_alert_that_has_not_fired_is_told_to_nobody_and_later_transitions_find_it(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1, "opened"), told(2, "opened"), told(2, "dropped", BEGAN_MS + 1)], RULES, NOW_MS)
    assert not rows(sink)
    sink.record([told(1, "fired", BEGAN_MS + 2)], RULES, NOW_MS)
    assert stands(sink) == [("fired", "pending")]


def test_what_happened_before_an_endpoint_was_there_is_not_told_to_it(sink: Sink) -> None:
    sink.record([told(1)], RULES, NOW_MS)
    add(sink, "crm")
    assert sink.record([told(1)], RULES, NOW_MS).deliveries == 0
    sink.record([told(1, "eased", BEGAN_MS + 1)], RULES, NOW_MS)
    assert not [state for _, state in stands(sink) if state == "pending"]


def test_expiry_is_the_least_of_what_endpoint_and_rules_allow(sink: Sink) -> None:
    add(sink, "crm", ttl_hours=5)
    add(sink, "log", ttl_hours=500)
    sink.record([told(1)], ContactRules(alert_ttl_hours=100), NOW_MS)
    assert [row.expires_ms - NOW_MS for row in rows(sink)] == [5 * HOUR_MS, 100 * HOUR_MS]


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        (Filter(kinds=("natural",)), {"kind": "service_fault"}),
        (Filter(value_bands=("high",)), {"value_band": "mid"}),
        (Filter(account_managers=("am_2",)), {"account_manager_id": "am_1"}),
        (Filter(account_managers=("am_2",)), {"account_manager_id": None}),
        (Filter(min_band="critical"), {"band": "high"}),
        (Filter(types=("alert.resolved",)), {}),
    ],
)
def test_what_an_endpoint_did_not_ask_for_makes_no_row(sink: Sink, asked: Filter, fields: dict[str, Any]) -> None:
    add(sink, "crm", filter=asked)
    sink.record([told(1, **fields), told(1, "eased", BEGAN_MS + 1, **fields)], RULES, NOW_MS)
    assert not rows(sink)


def test_below_its_band_an_endpoint_hears_nothing_until_the_alert_rises_and_then_how_it_goes_on(sink: Sink) -> None:
    add(sink, "crm", filter=Filter(min_band="high"))
    sink.record([told(1, band="medium")], RULES, NOW_MS)
    assert not rows(sink)
    sink.record([told(1, "worsened", BEGAN_MS + 1, band="high")], RULES, NOW_MS)
    send(sink)
    sink.record([told(1, "eased", BEGAN_MS + 2, band="low")], RULES, NOW_MS)
    assert stands(sink) == [("worsened", "delivered"), ("eased", "pending")]


def test_nobody_is_told_of_the_held_out(sink: Sink) -> None:
    add(sink, "crm", contact=False)
    assert sink.record([told(1, held_out=True)], RULES, NOW_MS).suppressed == 1
    assert whys(sink) == ["held_out"]
    assert claim(sink) == []


def test_who_may_not_be_contacted_is_told_only_where_it_leads_to_no_contact(sink: Sink) -> None:
    add(sink, "crm")
    add(sink, "log", contact=False)
    sink.record([told(1, contact_allowed=False)], RULES, NOW_MS)
    assert [(row.endpoint, row.state) for row in rows(sink)] == [("crm", "suppressed"), ("log", "pending")]
    assert whys(sink, endpoint="crm") == ["contact_not_allowed"]


def test_who_does_not_want_contact_any_more_has_the_ticket_closed_and_nothing_else(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    send(sink)
    changes: tuple[AlertChange, ...] = ("worsened", "resolved")
    for at_ms, change in enumerate(changes, BEGAN_MS + 1):
        sink.record([told(1, change, at_ms, contact_allowed=False)], RULES, NOW_MS)
    assert stands(sink) == [("fired", "delivered"), ("worsened", "suppressed"), ("resolved", "pending")]


def test_old_events_are_told_unless_the_rules_say_from_when_they_are_stale(sink: Sink) -> None:
    add(sink, "crm")
    later_ms = NOW_MS + 30 * DAY_MS
    sink.record([told(1)], RULES, later_ms)
    sink.record([told(2)], ContactRules(stale_after_days=7), later_ms)
    assert whys(sink) == ["", "stale_event"]


def of(subscriber: str, number: int, days: float, **fields: Any) -> AlertChanged:
    """Return a firing alert of a subscriber, so many days after the beginning."""
    return told(number, at_ms=BEGAN_MS + int(days * DAY_MS), subscriber_id=subscriber, **fields)


def test_of_one_subscriber_and_kind_a_channel_hears_of_one_alert_within_the_cool_down(sink: Sink) -> None:
    add(sink, "crm", "desk")
    add(sink, "log", channel="log")
    sink.record([of("s", 1, 0), of("s", 2, 13.9), of("s", 3, 13.9, kind="natural"), of("t", 4, 1)], RULES, NOW_MS)
    by_alert = {row.alert_id: row.why.partition(":")[0] for row in rows(sink, endpoint="crm")}
    assert list(by_alert.values()) == ["", "cool_down", "", ""]
    assert whys(sink, endpoint="desk") == whys(sink, endpoint="crm") == whys(sink, endpoint="log")


def test_no_cool_down_holds_a_request_to_leave_back(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([of("s", 1, 0), of("s", 2, 1, stage="requested"), of("s", 3, 2)], RULES, NOW_MS)
    assert whys(sink) == ["", "", "cool_down"]


@pytest.mark.parametrize(
    ("asked", "stage", "states"),
    [
        (Filter(min_band="critical"), "requested", ["pending"]),
        (Filter(min_band="critical"), "lapsed", []),
        (Filter(stages=("lapsed",)), "lapsed", ["pending"]),
        (Filter(stages=("lapsed",)), "requested", []),
        (Filter(), "lapsed", ["superseded", "pending"]),
    ],
)
def test_a_change_of_stage_is_told_first_of_an_alert_to_who_asked_for_the_stage_and_if_it_is_a_request(
    sink: Sink, asked: Filter, stage: Stage, states: list[str]
) -> None:
    add(sink, "crm", filter=asked)
    sink.record([told(1)], RULES, NOW_MS)
    sink.record([told(1, "restaged", BEGAN_MS + 1, stage=stage)], RULES, NOW_MS)
    assert [row.state for row in rows(sink)] == states


def test_a_change_of_stage_updates_the_ticket_that_is_there(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    send(sink)
    sink.record([told(1, "restaged", BEGAN_MS + 1, stage="lapsed")], RULES, NOW_MS)
    (one,) = claim(sink)
    assert (one.type, action_of(one.type, one.ticket)) == ("alert.restaged", "update")


def test_an_alert_whose_type_a_channel_never_asked_for_takes_no_cool_down_there(sink: Sink) -> None:
    add(sink, "crm")
    add(sink, "log", channel="log", filter=Filter(kinds=("natural",)))
    sink.record([of("s", 1, 0), of("s", 2, 1)], RULES, NOW_MS)
    assert whys(sink, endpoint="crm") == ["", "cool_down"]
    assert not rows(sink, endpoint="log")


def test_after_the_cool_down_and_for_the_same_alert_all_is_told(sink: Sink) -> None:
    add(sink, "crm", coalesce=False)
    sink.record([of("s", 1, 0), told(1, "worsened", BEGAN_MS + DAY_MS, subscriber_id="s")], RULES, NOW_MS)
    sink.record([of("s", 2, 14), of("s", 3, 20)], RULES, NOW_MS)
    assert whys(sink) == ["", "", "", "cool_down"]


def test_an_alert_that_began_a_little_earlier_is_held_back_as_one_that_began_later(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([of("s", 1, 20)], RULES, NOW_MS)
    sink.record([of("s", 2, 7), of("s", 3, 5)], RULES, NOW_MS)
    assert whys(sink) == ["", "cool_down", ""]
    sink.record([of("s", 4, 33)], RULES, NOW_MS)
    assert whys(sink)[-1] == "cool_down", "an older alert does not move the last word back"


def worth(number: int, minor: int, **fields: Any) -> AlertChanged:
    return told(number, value_at_risk_minor=minor, **fields)


def test_a_full_day_takes_those_with_the_most_at_stake(sink: Sink) -> None:
    add(sink, "crm", "desk")
    rules = ContactRules(capacity_per_day=2)
    sink.record([worth(1, 100), worth(2, 300), worth(3, 200), worth(4, 50)], rules, NOW_MS)
    kept = {row.alert_id[-1] for row in rows(sink) if row.state == "pending"}
    assert kept == {"2", "3"}
    assert {row.why.partition(":")[0] for row in rows(sink) if row.state == "suppressed"} == {"capacity"}
    assert len(rows(sink)) == 8


def test_who_was_told_already_keeps_the_place_and_so_does_the_equal(sink: Sink) -> None:
    add(sink, "crm")
    rules = ContactRules(capacity_per_day=1)
    sink.record([worth(1, 100), worth(2, 100)], rules, NOW_MS)
    assert stands(sink) == [("fired", "pending"), ("fired", "suppressed")]
    (one,) = claim(sink)
    sink.record([worth(3, 900)], rules, NOW_MS)
    assert stands(sink, alert_id=worth(3, 0).alert_id) == [("fired", "suppressed")]
    sink.finish("w", [finished(one)], NOW_MS)
    sink.record([worth(4, 900)], rules, NOW_MS)
    assert stands(sink)[-1] == ("fired", "suppressed")


def test_what_was_tried_and_is_to_be_tried_again_keeps_the_place(sink: Sink) -> None:
    add(sink, "crm")
    rules = ContactRules(capacity_per_day=1)
    sink.record([worth(1, 100)], rules, NOW_MS)
    send(sink, state="pending", next_attempt_ms=NOW_MS + HOUR_MS)
    sink.record([worth(2, 900)], rules, NOW_MS)
    assert stands(sink) == [("fired", "pending"), ("fired", "suppressed")]


def test_a_day_is_the_managers_own_and_without_a_manager_there_is_none(sink: Sink) -> None:
    add(sink, "crm")
    rules = ContactRules(
        capacity_per_day=1,
        managers={"far": Manager(time_zone="Asia/Shanghai"), "free": Manager(capacity_per_day=2)},
    )
    sixteen_ms = BEGAN_MS + 16 * HOUR_MS

    def states(manager: str | None, first: int, *at_ms: int) -> list[str]:
        found = [told(first + n, at_ms=at, account_manager_id=manager) for n, at in enumerate(at_ms)]
        sink.record(found, rules, NOW_MS)
        return [row.state for one in found for row in rows(sink, alert_id=one.alert_id)]

    assert states("near", 10, sixteen_ms - 1, sixteen_ms) == ["pending", "suppressed"]
    assert states("far", 20, sixteen_ms - 1, sixteen_ms) == ["pending", "pending"]
    assert states("free", 30, sixteen_ms, sixteen_ms, sixteen_ms) == ["pending", "pending", "suppressed"]
    assert states(None, 40, sixteen_ms, sixteen_ms) == ["pending", "pending"]


def test_an_endpoint_outside_of_the_capacity_is_told_of_all(sink: Sink) -> None:
    add(sink, "crm")
    add(sink, "log", capacity=False)
    sink.record([worth(1, 100), worth(2, 50), worth(3, 200)], ContactRules(capacity_per_day=1), NOW_MS)
    assert [state for _, state in stands(sink, endpoint="crm")] == ["suppressed", "suppressed", "pending"]
    assert [state for _, state in stands(sink, endpoint="log")] == ["pending"] * 3


def test_an_alert_that_gave_way_leaves_no_cool_down_behind(sink: Sink) -> None:
    add(sink, "crm")
    rules = ContactRules(capacity_per_day=1)
    sink.record([worth(1, 100, subscriber_id="s"), worth(2, 200)], rules, NOW_MS)
    sink.record([of("s", 3, 2)], rules, NOW_MS)
    assert stands(sink)[-1] == ("fired", "pending"), "nobody was contacted about the first"


def test_an_alert_held_back_is_tried_anew_when_it_worsens_and_ends_unheard(sink: Sink) -> None:
    add(sink, "crm")
    rules = ContactRules(capacity_per_day=1)
    sink.record([worth(1, 300), worth(2, 100)], rules, NOW_MS)
    sink.record([worth(2, 100, change="eased", at_ms=BEGAN_MS + 1)], rules, NOW_MS)
    sink.record([worth(2, 900, change="worsened", at_ms=BEGAN_MS + 2)], rules, NOW_MS)
    sink.record([worth(1, 300, change="resolved", at_ms=BEGAN_MS + 3)], rules, NOW_MS)
    assert [(row.alert_id[-1], row.type, row.state) for row in rows(sink)] == [
        ("1", "alert.fired", "suppressed"),
        ("2", "alert.fired", "suppressed"),
        ("2", "alert.eased", "suppressed"),
        ("2", "alert.worsened", "pending"),
        ("1", "alert.resolved", "suppressed"),
    ]
    assert whys(sink) == ["capacity", "capacity", "never_told", "", "never_told"]


def test_in_quiet_hours_the_first_attempt_waits_for_their_end(sink: Sink) -> None:
    add(sink, "crm", quiet_hours=QuietHours(begins="21:00", ends="07:30", time_zone="Europe/Zurich"))
    midnight_ms = BEGAN_MS
    sink.record([told(1)], RULES, midnight_ms)
    (row,) = rows(sink)
    assert midnight_ms < row.next_attempt_ms <= midnight_ms + 7 * HOUR_MS
    assert claim(sink, row.next_attempt_ms - 1) == []
    assert len(claim(sink, row.next_attempt_ms)) == 1


def test_a_newer_message_takes_the_place_of_what_waits(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1), told(2)], RULES, NOW_MS)
    sink.record([told(1, "worsened", BEGAN_MS + 1), told(1, "eased", BEGAN_MS + 2)], RULES, NOW_MS)
    alert_id = told(1).alert_id
    assert stands(sink, alert_id=alert_id) == [
        ("fired", "superseded"),
        ("worsened", "superseded"),
        ("eased", "pending"),
    ]
    assert stands(sink, alert_id=told(2).alert_id) == [("fired", "pending")]


def test_an_endpoint_that_wants_every_message_gets_every_message(sink: Sink) -> None:
    add(sink, "crm", coalesce=False)
    sink.record([told(1), told(1, "worsened", BEGAN_MS + 1), told(1, "resolved", BEGAN_MS + 2)], RULES, NOW_MS)
    sent = [send(sink)[0].type for _ in range(3)]
    assert sent == ["alert.fired", "alert.worsened", "alert.resolved"]


@pytest.mark.parametrize("state", ["in_flight", "unknown"])
def test_what_may_be_arriving_is_not_superseded_and_the_end_waits_behind_it(sink: Sink, state: str) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    (one,) = claim(sink)
    if state == "unknown":
        sink.finish("w", [finished(one, "unknown", next_attempt_ms=one.expires_ms)], NOW_MS)
    sink.record([told(1, "worsened", BEGAN_MS + 1), told(1, "resolved", BEGAN_MS + 2)], RULES, NOW_MS)
    assert stands(sink) == [("fired", state), ("worsened", "superseded"), ("resolved", "pending")]
    assert claim(sink) == []


def test_what_came_and_went_before_anybody_was_told_is_told_to_nobody(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    sink.record([told(1, "resolved", BEGAN_MS + 1)], RULES, NOW_MS)
    assert stands(sink) == [("fired", "superseded"), ("resolved", "skipped")]
    assert claim(sink) == []


def test_who_was_told_hears_the_end(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    send(sink)
    sink.record([told(1, "worsened", BEGAN_MS + 1), told(1, "resolved", BEGAN_MS + 2)], RULES, NOW_MS)
    (end,) = send(sink)
    assert end.type == "alert.resolved"
    assert end.ticket is not None
    assert stands(sink) == [("fired", "delivered"), ("worsened", "superseded"), ("resolved", "delivered")]


def test_after_an_outage_there_is_one_current_message_of_each_alert(sink: Sink) -> None:
    add(sink, "crm", ttl_hours=80)
    sink.record([told(1), told(2), told(3)], RULES, NOW_MS)
    send(sink)
    changes: tuple[AlertChange, ...] = ("worsened", "eased", "worsened", "eased", "worsened")
    now_ms = NOW_MS
    for hour, change in enumerate(changes, 1):
        now_ms = NOW_MS + 2 * hour * HOUR_MS
        wave = [told(number, change, BEGAN_MS + hour * HOUR_MS) for number in (1, 2)]
        sink.record([*wave, told(100 + hour, at_ms=BEGAN_MS + hour)], RULES, now_ms)
        if hour > 1:
            sink.record([told(99 + hour, "resolved", BEGAN_MS + hour * HOUR_MS)], RULES, now_ms)
        send(sink, now_ms, state="pending", next_attempt_ms=now_ms + HOUR_MS)
    now_ms += 2 * HOUR_MS
    arrived = send(sink, now_ms)
    assert sorted((one.transition.alert_id[-3:], one.type) for one in arrived) == [
        ("001", "alert.worsened"), ("002", "alert.worsened"), ("069", "alert.fired"),
    ]  # fmt: skip
    assert send(sink, now_ms) == []


def test_positions_are_written_with_what_came_from_there(sink: Sink) -> None:
    assert sink.positions("alerts") == {}
    sink.record([told(1)], RULES, NOW_MS, {("alerts", 0): 7, ("alerts", 3): 1, ("other", 0): 9})
    sink.record([], RULES, NOW_MS, {("alerts", 0): 8})
    assert sink.positions("alerts") == {0: 8, 3: 1}


def test_a_run_writes_deliveries_in_the_commit_of_its_alerts(database_url: str) -> None:
    run = Run(
        input="x", settings={}, policy={}, policy_version="p", feature_table="f", received_ms=NOW_MS, started_ms=NOW_MS
    )
    with Sink.open(database_url) as sink, RunStore.open(database_url, rules=ContactRules(cool_down_days=3)) as store:
        add(sink, "crm")
        store.start(run)
        batch = Batch(
            positions={"usage/0": Position(1, 1, 1)},
            stream_ms=1,
            counters={},
            transitions=[of("s", 1, 0), of("s", 2, 2)],
        )
        store.commit(batch)
        assert whys(sink) == ["", "cool_down"]
        (claimed,) = sink.claim("w", 10**15, lease_ms=1, rooms={}).handed or claim(sink, rows(sink)[0].created_ms)
        assert claimed.transition == of("s", 1, 0)


CHANGES: Sequence[AlertChange] = ("fired", "worsened", "eased", "resolved", "opened")
BANDS = ("low", "medium", "high", "critical")


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[AlertChanged], list[int]]:
    """Draw transitions of a few alerts of fewer subscribers, and where to cut them into calls."""
    count = draw(st.integers(1, 12))
    found = [
        told(
            draw(st.integers(1, 5)),
            draw(st.sampled_from(CHANGES)),
            BEGAN_MS + draw(st.integers(0, 20)) * DAY_MS // 2,
            subscriber_id=draw(st.sampled_from(("s", "t"))),
            band=draw(st.sampled_from(BANDS)),
            value_at_risk_minor=draw(st.integers(1, 5)),
            account_manager_id=draw(st.sampled_from(("am_1", None))),
            held_out=draw(st.integers(0, 9)) == 0,
            contact_allowed=draw(st.integers(0, 9)) > 0,
        )
        for _ in range(count)
    ]
    cuts = draw(st.lists(st.integers(0, count), max_size=4))
    return found, sorted({0, count, *cuts})


def everything(sink: Sink) -> list[object]:
    names = ("endpoint", "message_id", "state", "why", "attempts", "next_attempt_ms", "expires_ms", "finished_ms")
    return [tuple(getattr(row, name) for name in names) for row in rows(sink)]


def told_in_calls(
    path: Path, changes: Sequence[AlertChanged], cuts: Sequence[int], rules: ContactRules
) -> list[object]:
    with Sink.open(path) as sink:
        add(sink, "crm", filter=Filter(min_band="medium"))
        add(sink, "desk", coalesce=False, contact=False, channel="desk")
        add(sink, "log", capacity=False, filter=Filter(types=("alert.fired", "alert.resolved")))
        for start, end in pairwise(cuts):
            sink.record(changes[start:end], rules, NOW_MS)
        once = everything(sink)
        sink.record(changes, rules, NOW_MS + 1)
        for one in changes:
            sink.record([one], rules, NOW_MS + 2)
        assert everything(sink) == once, "telling it again adds nothing"
        return once


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories(), capacity=st.sampled_from((None, 0, 1, 2)))
def test_however_transitions_are_cut_into_calls_the_same_is_told_and_once(
    tmp_path_factory: pytest.TempPathFactory, story: tuple[list[AlertChanged], list[int]], capacity: int | None
) -> None:
    changes, cuts = story
    folder = tmp_path_factory.mktemp("calls")
    rules = ContactRules(capacity_per_day=capacity, cool_down_days=3)
    whole = told_in_calls(folder / "whole.db", changes, [0, len(changes)], rules)
    assert told_in_calls(folder / "cut.db", changes, cuts, rules) == whole

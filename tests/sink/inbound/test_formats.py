"""What ticketing systems say, read; and what it asks of the work on an alert."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.decode import decode
from streams.core.contracts.events import Event, Record
from streams.core.notify.endpoints import PRESETS, Endpoint, PresetName
from streams.sink.inbound.formats import (
    FAMILIES,
    OUTCOMES,
    REASONS,
    STATUSES,
    TicketUpdate,
    UnreadableBodyError,
    read_body,
)
from streams.sink.inbound.outcomes import reports
from streams.sink.inbound.ticket_acts import UnknownStatusError, WorkAction, choose_action
from streams.store.outbox.values import AlertWork
from tests.sink.alerts_told import BEGAN_MS, told

TMF621 = {
    "eventId": "e-1",
    "eventTime": "2024-10-04T10:00:00.000Z",
    "eventType": "TroubleTicketStatusChangeEvent",
    "event": {"troubleTicket": {"id": "TT-7", "status": "inProgress", "@type": "TroubleTicket"}},
}
SERVICENOW = {"sys_id": "9d385017", "number": "INC0010023", "state": "2", "sys_mod_count": "4"}
JIRA: dict[str, Any] = {
    "timestamp": 1_728_036_000_000,
    "webhookEvent": "jira:issue_updated",
    "issue": {
        "id": "10042",
        "key": "RET-17",
        "fields": {"status": {"name": "Calling", "statusCategory": {"key": "indeterminate"}}, "resolution": None},
    },
    "changelog": {"id": "9", "items": [{"field": "status", "toString": "Calling"}]},
}
ZENDESK = {
    "type": "zen:event-type:ticket.status_changed",
    "id": "01HX",
    "time": "2024-10-04T10:00:00Z",
    "detail": {"id": "35436", "status": "OPEN"},
    "event": {"current": "PENDING", "previous": "OPEN"},
}
ZAMMAD = {"ticket": {"id": 81, "number": "61077", "state": "pending reminder", "title": "x"}, "article": {}}
PAGERDUTY = {
    "event": {
        "id": "01DE",
        "event_type": "incident.acknowledged",
        "occurred_at": "2024-10-04T10:00:00Z",
        "data": {"id": "PGR0VU2", "status": "acknowledged", "incident_key": "a_00000001"},
    }
}
SYSTEMS: list[tuple[PresetName, dict[str, Any], tuple[str, ...], str]] = [
    ("tmf621-v4", TMF621, ("TT-7",), "start"),
    ("tmf621-v5", TMF621, ("TT-7",), "start"),
    ("servicenow-incident", SERVICENOW, ("9d385017", "INC0010023"), "start"),
    ("jira", JIRA, ("10042", "RET-17"), "start"),
    ("zendesk", ZENDESK, ("35436",), "start"),
    ("zendesk", {"ticket_id": 35436, "status": "Open"}, ("35436",), "start"),
    ("zammad", ZAMMAD, ("81", "61077"), "start"),
    ("pagerduty-v2", PAGERDUTY, ("PGR0VU2",), "acknowledge"),
]


def read(preset: PresetName, tree: object, **headers: str) -> TicketUpdate | None:
    return read_body(json.dumps(tree).encode(), preset, headers)


def endpoint(preset: PresetName = "standard", **maps: dict[str, str]) -> Endpoint:
    return Endpoint(name="crm", preset=preset, url="https://crm.example", map=maps)


def deed_of(
    heard: TicketUpdate | None, at: Endpoint, work: AlertWork | None = None, state: str = "firing"
) -> WorkAction | str:
    assert heard is not None
    return choose_action(heard, at, told(state=state), work or AlertWork())


@pytest.mark.parametrize(("preset", "tree", "ids", "act"), SYSTEMS)
def test_each_systems_own_words_are_understood(
    preset: PresetName, tree: dict[str, Any], ids: tuple[str, ...], act: str
) -> None:
    heard = read(preset, tree)
    assert heard is not None
    assert heard.external_ids == ids
    deed = deed_of(heard, endpoint(preset))
    assert isinstance(deed, WorkAction)
    assert (deed.act, deed.fields) == (act, {})


@pytest.mark.parametrize(
    ("preset", "tree"),
    [
        ("tmf621-v4", {**TMF621, "eventType": "TroubleTicketCreateEvent"}),
        ("tmf621-v4", {**TMF621, "event": {"troubleTicket": {"id": "TT-7"}}}),
        ("jira", {**JIRA, "webhookEvent": "jira:issue_deleted"}),
        ("jira", {**JIRA, "changelog": {"items": [{"field": "assignee"}]}}),
        ("zendesk", {**ZENDESK, "type": "zen:event-type:ticket.comment_added"}),
        ("pagerduty-v2", {"event": {**PAGERDUTY["event"], "event_type": "service.updated"}}),
    ],
)
def test_what_concerns_no_state_is_passed_over(preset: PresetName, tree: dict[str, Any]) -> None:
    assert read(preset, tree) is None


def test_ids_and_times_of_events_are_the_senders_own() -> None:
    assert read("tmf621-v4", TMF621) == TicketUpdate(
        external_ids=("TT-7",), event_id="e-1", at_ms=1_728_036_000_000, statuses=("inProgress",)
    )
    found = read("jira", JIRA, **{"x-atlassian-webhook-identifier": "w-3"})
    assert found is not None
    assert (found.event_id, found.at_ms, found.statuses) == ("w-3", 1_728_036_000_000, ("Calling", "indeterminate"))
    changed = read("servicenow-incident", SERVICENOW)
    assert changed is not None
    assert changed.event_id == "9d385017:4"


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b"\xff", b"{}", b'{"event": 3, "issue": [], "ticket": 1}'])
def test_a_body_that_says_nothing_is_refused_with_what_it_should_have(preset: PresetName, body: bytes) -> None:
    with pytest.raises(UnreadableBodyError, match=r"needs|JSON|event_time|unknown|Object"):
        read_body(body, preset, {})


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["event", "troubleTicket", "status", "id", "issue", "fields", "detail", "ticket", "state", "data"]
                ),
                inner,
            )
        ),
    ),
    st.sampled_from(PRESETS),
)
def test_no_body_is_more_than_refused(tree: object, preset: PresetName) -> None:
    try:
        heard = read(preset, tree)
    except UnreadableBodyError:
        return
    assert heard is None or all(isinstance(found, str) for found in heard.external_ids)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"act": "close"}, "needs one of alert_id and external_id"),
        ({"alert_id": "a", "external_id": "b", "act": "close"}, "needs one of alert_id and external_id"),
        ({"alert_id": "a"}, "needs one of act and status"),
        ({"alert_id": "a", "act": "assign"}, "needs assignee"),
        ({"alert_id": "a", "act": "note"}, "needs note"),
        ({"alert_id": "a", "act": "snooze", "note": "x"}, "needs until"),
        ({"alert_id": "a", "act": "close", "reason": "bored"}, "Invalid enum value 'bored'"),
        ({"alert_id": "a", "act": "close", "phone": "1"}, "unknown field `phone`"),
    ],
)
def test_a_plain_body_that_cannot_be_done_says_what_is_missing(body: dict[str, Any], words: str) -> None:
    with pytest.raises(UnreadableBodyError, match=words):
        read("standard", body)


def test_a_plain_body_says_an_act_to_every_kind_of_endpoint() -> None:
    said = {"alert_id": "a_1", "act": "snooze", "until": "2024-10-05T00:00:00Z", "note": "on holiday"}
    for preset in PRESETS:
        deed = deed_of(read(preset, said), endpoint(preset))
        assert isinstance(deed, WorkAction)
        assert deed.fields == {"snoozed_until_ms": 1_728_086_400_000, "snooze_reason": "on holiday"}


def test_an_endpoints_own_table_goes_first_and_gives_outcomes_and_reasons() -> None:
    mine = endpoint(
        "jira",
        inbound_status={"Calling": "acknowledge", "Won": "close:saved", "Parked": "ignore"},
        inbound_outcome={"Won't Do": "false_alarm", "Gone to Other": "lost"},
        inbound_reason={"Gone to Other": "competitor_offer"},
    )
    assert deed_of(TicketUpdate(statuses=("calling", "indeterminate")), mine) == WorkAction(
        act="acknowledge", fields={}
    )
    won = deed_of(TicketUpdate(statuses=("Won", "done")), mine)
    assert isinstance(won, WorkAction)
    assert (won.outcome, won.fields["outcome"]) == ("saved", "saved")
    lost = deed_of(TicketUpdate(statuses=("Whatever", "done"), outcome="gone to other"), mine)
    assert isinstance(lost, WorkAction)
    assert (lost.outcome, lost.reason) == ("lost", "competitor_offer")
    assert isinstance(deed_of(TicketUpdate(statuses=("Parked", "done")), mine), str)


@pytest.mark.parametrize(
    ("maps", "heard"),
    [
        ({}, TicketUpdate(statuses=("Unheard of",))),
        ({}, TicketUpdate()),
        ({"inbound_status": {"Won": "celebrate"}}, TicketUpdate(statuses=("Won",))),
        ({"inbound_status": {"Won": "close:rich"}}, TicketUpdate(statuses=("Won",))),
        ({"inbound_reason": {"x": "bored"}}, TicketUpdate(act="close", outcome="x")),
    ],
)
def test_a_state_that_no_table_knows_is_refused_with_what_to_write(maps: dict[str, Any], heard: TicketUpdate) -> None:
    with pytest.raises(UnknownStatusError, match=r"inbound_status|there are"):
        deed_of(heard, endpoint("jira", **maps))


def test_a_ticket_that_goes_on_after_its_end_opens_the_alert_again_unless_the_news_is_old() -> None:
    closed = AlertWork(state="closed", updated_ms=BEGAN_MS, version=3)
    again = deed_of(TicketUpdate(statuses=("2",)), endpoint("servicenow-incident"), closed)
    assert again == WorkAction(act="reopen", fields={})
    old = TicketUpdate(statuses=("2",), at_ms=BEGAN_MS - 1)
    assert deed_of(old, endpoint("servicenow-incident"), closed) == "it is older than what was done since"
    assert deed_of(TicketUpdate(statuses=("1",)), endpoint("servicenow-incident")) == "the alert is open"


def test_the_echo_of_our_own_resolving_closes_nothing() -> None:
    done = TicketUpdate(statuses=("done",))
    assert (
        deed_of(done, endpoint("jira"), state="resolved") == "the alert had resolved by itself, and its ticket with it"
    )
    assert isinstance(deed_of(done, endpoint("jira")), WorkAction)


def test_every_default_table_gives_what_can_be_done() -> None:
    for preset, family in FAMILIES.items():
        for status in STATUSES[family]:
            assert deed_of(TicketUpdate(statuses=(status,)), endpoint(preset))


@given(st.sampled_from(OUTCOMES), st.none() | st.sampled_from(REASONS), st.text(min_size=1), st.integers(0, 2**41))
def test_every_outcome_meets_its_contract_and_is_the_same_the_second_time(
    outcome: Any, reason: str | None, act_id: str, at_ms: int
) -> None:
    found = reports(act_id, told(), outcome, reason, at_ms=at_ms)
    assert found == reports(act_id, told(), outcome, reason, at_ms=at_ms)
    assert len({one.event_id for one in found}) == len(found)
    for one in found:
        event = decode(Record("outcomes", 0, 0, one.body, at_ms))
        assert isinstance(event, Event)
        message = msgspec.json.decode(one.body)
        assert message["alert_id"] == told().alert_id
        assert message.get("reason_source") == (None if reason is None else "stated")


def test_who_is_lost_was_spoken_to_and_asked_to_leave() -> None:
    changes = [msgspec.json.decode(one.body)["change"] for one in reports("i", told(), "lost", "price", at_ms=0)]
    assert changes == ["contacted", "termination_requested"]
    ported = reports("i", told(), "lost", "competitor_offer", at_ms=0)
    assert msgspec.json.decode(ported[1].body)["change"] == "port_out_requested"

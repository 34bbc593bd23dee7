"""Create, update and resolve by real HTTP at each receiver, with the ids that it gave."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import Struct

from streams.core.notify.endpoints import Action, MessageType, PresetName
from streams.sink.presets import RenderFailure, Request, RequestRenderer, load, prepare, sample_delivery
from streams.store.outbox.values import ClaimedDelivery, Ticket
from tests.sink.presets.examples import SECRET, endpoint, prepared_of, rendered
from tests.sink.presets.jira import Jira
from tests.sink.presets.systems import (
    Alertmanager,
    Cases,
    Desk,
    Events,
    EventTable,
    Helpdesk,
    Incidents,
    Pager,
    System,
    TroubleTickets,
    Webhook,
    served,
)

ALERT = sample_delivery("create").transition.alert_id


class PresetReceiver:
    """A prepared endpoint, the receiver behind it, and what is known of the ticket."""

    def __init__(self, prepared: RequestRenderer, client: httpx.AsyncClient) -> None:
        self.prepared, self.client = prepared, client
        self.ticket: Ticket | None = None

    def claimed(self, action: Action, kind: MessageType | None = None) -> ClaimedDelivery:
        made = sample_delivery(action, kind)
        key = f"d_{made.type}"
        return msgspec.structs.replace(made, ticket=self.ticket, delivery_id=key, message_id=key)

    async def send(self, request: Request) -> httpx.Response:
        return await self.client.request(
            request.method, request.url, headers=list(request.headers), content=request.body
        )

    async def tell(self, action: Action, kind: MessageType | None = None) -> int:
        answer = await self.send(rendered(self.prepared, self.claimed(action, kind), action))
        assert answer.is_success, answer.text
        found = self.prepared.capture(action, answer.status_code, answer.headers, answer.content)
        before = (self.ticket.external_id, self.ticket.external_ref) if self.ticket else (None, None)
        external_id, reference = (new or old for new, old in zip(found, before, strict=True))
        self.ticket = Ticket(external_id=external_id, external_ref=reference, told_ms=0, resolved=action == "resolve")
        return answer.status_code

    async def look(self) -> str | None:
        request = self.prepared.lookup(self.claimed("create"), secret=SECRET)
        assert isinstance(request, Request)
        answer = await self.send(request)
        assert answer.is_success, answer.text
        return self.prepared.found_ticket_id(answer.content, self.claimed("create"))


def at(system: System, case: "Case", story: Callable[[PresetReceiver], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        # Nothing is verified without TLS, and the reading of all authorities takes longer than the whole story.
        async with served(system) as place, httpx.AsyncClient(trust_env=False, verify=False) as client:
            await story(PresetReceiver(prepare(endpoint(case.preset, place(case.path), allow_http=True)), client))

    asyncio.run(whole())


class Case(Struct, frozen=True):
    """A preset, its receiver, where that listens, the id and reference that it gives, and its word for the end."""

    preset: PresetName
    make: Callable[[], System]
    path: str
    external_id: str | None = None
    reference: str | None = None
    end: str = "resolved"


CASES = (
    Case("standard", Webhook, "/hook"),
    Case("cloudevents", Events, "/hook"),
    Case("alertmanager-v4", Alertmanager, "/hook"),
    Case("pagerduty-v2", Pager, "/v2/enqueue", ALERT),
    Case("tmf621-v4", TroubleTickets, "/tmf-api/troubleTicket/v4/troubleTicket", "7001"),
    Case("tmf621-v5", lambda: TroubleTickets(version=5), "/tmf-api/troubleTicket/v5/troubleTicket", "7001"),
    Case("servicenow-incident", Incidents, "/api/now/table/incident", "7001", "INC7001", "6"),
    Case("servicenow-event", EventTable, "/api/now/table/em_event", end="closed"),
    Case("jira", Jira, "/rest/api/3/issue", "7001", "CHURN-7001", "Done"),
    Case("zendesk", Desk, "/api/v2/tickets.json", "7001", end="solved"),
    Case("zammad", Helpdesk, "/api/v1/tickets", "7001", "27001", "closed"),
    Case("salesforce-upsert", Cases, "/services/data/v61.0/sobjects/Case/Forewarn_Alert__c", f"500{ALERT[-12:]}AAA",
         end="Closed"),
)  # fmt: skip
LOOKED = [case for case in CASES if load(case.preset).lookup is not None and case.preset != "jira"]


def named(case: Case) -> str:
    return case.preset


def state(system: System) -> Any:
    (ticket,) = system.tickets.values()
    ticket = ticket.get("fields", ticket)
    return next(ticket[name] for name in ("status", "Status", "state") if name in ticket)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_an_alert_becomes_one_ticket_that_is_updated_resolved_and_reopened(case: Case) -> None:
    system = case.make()

    async def story(receiver: PresetReceiver) -> None:
        await receiver.tell("create")
        assert receiver.ticket is not None
        assert (receiver.ticket.external_id, receiver.ticket.external_ref) == (case.external_id, case.reference)
        began = state(system)
        await receiver.tell("update", "alert.worsened")
        await receiver.tell("update", "alert.acknowledged")
        assert state(system) != case.end
        await receiver.tell("resolve")
        assert (receiver.ticket.external_id, receiver.ticket.external_ref) == (case.external_id, case.reference)
        assert (state(system), len(system.tickets)) == (case.end, 1)
        assert began != case.end
        await receiver.tell("update", "alert.reopened")
        # In Jira a workflow says how an issue comes back, so there it is told by a comment.
        assert (state(system) == case.end) == (case.preset == "jira")
        assert len(system.tickets) == 1

    at(system, case, story)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_the_same_create_twice_makes_one_ticket_exactly_where_the_preset_says_so(case: Case) -> None:
    system = case.make()

    async def story(receiver: PresetReceiver) -> None:
        await receiver.tell("create")
        receiver.ticket = None
        await receiver.tell("create")
        assert (len(system.tickets) == 1) == receiver.prepared.idempotent

    at(system, case, story)


@pytest.mark.parametrize("case", LOOKED, ids=named)
def test_a_create_of_unknown_outcome_is_found_if_it_arrived_once(case: Case) -> None:
    system = case.make()

    async def story(receiver: PresetReceiver) -> None:
        assert await receiver.look() is None
        await receiver.tell("create")
        assert await receiver.look() == "7001"
        copy = msgspec.json.decode(msgspec.json.encode(system.tickets["7001"]))
        system.tickets["7002"] = {**copy, **{name: 7002 for name in ("id", "sys_id") if name in copy}}
        assert await receiver.look() is None, "of two nobody knows which it is"

    at(system, case, story)


def test_jiras_search_finds_an_issue_once_it_is_indexed() -> None:
    system = Jira()

    async def story(receiver: PresetReceiver) -> None:
        await receiver.tell("create")
        assert await receiver.look() is None
        system.index = ("7001",)
        assert await receiver.look() == "7001"

    at(system, next(case for case in CASES if case.preset == "jira"), story)


def test_a_receiver_that_ignores_what_it_is_asked_for_gives_nobody_elses_ticket() -> None:
    prepared = prepared_of("tmf621-v4")
    others = msgspec.json.encode([{"id": "1", "externalId": "a_other"}, {"id": "2"}])
    assert prepared.matches(others, sample_delivery("create")) == []
    assert prepared.found_ticket_id(others, sample_delivery("create")) is None
    assert prepared.matches(b"<html>", sample_delivery("create")) is None


@pytest.mark.parametrize("preset", ["tmf621-v4", "servicenow-incident", "jira", "zendesk", "zammad"])
def test_without_the_receivers_id_an_update_is_refused_in_words(preset: PresetName) -> None:
    prepared = prepared_of(preset)
    claimed = msgspec.structs.replace(sample_delivery("update"), ticket=None)
    refused = prepared.render(claimed, "update", now_ms=0, secret=SECRET)
    assert isinstance(refused, RenderFailure)
    assert "needs the receiver's own id" in refused.why


def test_an_id_from_an_answer_cannot_lead_to_another_address() -> None:
    prepared = prepared_of("zammad")
    body = msgspec.json.encode({"id": "../users/1?x=#", "number": "n"})
    external_id, _ = prepared.capture("create", 201, {}, body)
    ticket = Ticket(external_id=external_id, external_ref=None, told_ms=0, resolved=False)
    claimed = msgspec.structs.replace(sample_delivery("update"), ticket=ticket)
    assert rendered(prepared, claimed, "update").url == "https://help.example/api/v1/tickets/..%2Fusers%2F1%3Fx%3D%23"
    for odd in ('{"id": ".."}', '{"id": true}', '{"id": ""}', '{"id": {}}', '{"id": "a\\nb"}', "[]", "", "\xff"):
        assert prepared.capture("create", 201, {}, odd.encode("latin-1")) == (None, None)
    assert prepared.capture("create", 500, {}, body) == (None, None)


def test_an_id_that_stands_only_in_the_location_is_found() -> None:
    prepared = prepared_of("tmf621-v5")
    assert prepared.capture("create", 201, {"location": "/v5/troubleTicket/42"}, b"") == ("42", None)

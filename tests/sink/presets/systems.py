"""Receivers that behave as the real systems do where it matters: what they refuse, which ids they give, what they keep.

Each is a plain object that answers one request; `served` puts it behind a real HTTP server.
"""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import jsonschema
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec import Struct, field

from tests.sink.presets import tmf621

Answer = tuple[int, dict[str, str], Any]
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


class ReceivedCall(Struct, frozen=True):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class CallRefusedError(Exception):
    """The receiver answers with this status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"{status}: {why}")
        self.status = status


def demand(holds: Any, status: int, why: str) -> None:
    if not holds:
        raise CallRefusedError(status, why)


class System(Struct):
    """What they all are: `tickets` by id, each as its fields, and how many calls there were."""

    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)
    comments: dict[str, list[str]] = field(default_factory=dict)
    keys: dict[str, Answer] = field(default_factory=dict)
    calls: int = 0

    def answer(self, asked: ReceivedCall) -> Answer:
        raise CallRefusedError(501, f"nothing answers {asked.path}")

    def opened(self, fields: dict[str, Any]) -> str:
        name = str(7001 + len(self.tickets))
        self.tickets[name] = fields
        self.comments[name] = []
        return name

    def ticket(self, name: str) -> dict[str, Any]:
        demand(name in self.tickets, 404, "there is no such ticket")
        return self.tickets[name]


class Webhook(System):
    """A receiver of Standard Webhooks: knows an alert by its id."""

    def answer(self, asked: ReceivedCall) -> Answer:
        demand(asked.headers["Content-Type"] == "application/json", 415, "content type")
        demand(set(asked.body) == {"type", "timestamp", "data"}, 400, "the payload has three parts")
        demand(re.fullmatch(r"[a-zA-Z0-9_.]+", asked.body["type"]), 400, "type")
        demand(MOMENT.fullmatch(asked.body["timestamp"]), 400, "timestamp")
        alert = asked.body["data"]["alert"]
        self.tickets[alert["id"]] = {"state": alert["state"]}
        return 204, {}, None


class Events(System):
    """A receiver of CloudEvents 1.0 in structured mode, which drops a repeat of (source, id)."""

    def answer(self, asked: ReceivedCall) -> Answer:
        body = asked.body
        demand(asked.headers["Content-Type"].startswith("application/cloudevents+json"), 415, "content type")
        demand(body.get("specversion") == "1.0", 400, "specversion")
        demand(
            all(isinstance(body.get(name), str) and body[name] for name in ("id", "source", "type")), 400, "required"
        )
        demand(MOMENT.fullmatch(body["time"]), 400, "time")
        demand(all(re.fullmatch("[a-z0-9]{1,20}", name) for name in body), 400, "names of attributes")
        if f"{body['source']}|{body['id']}" not in self.keys:
            self.keys[f"{body['source']}|{body['id']}"] = (202, {}, None)
            self.tickets[body["subject"]] = {"state": body["data"]["alert"]["state"]}
        return 202, {}, None


class Alertmanager(System):
    """A receiver of Alertmanager's webhook: an alert is its fingerprint."""

    def answer(self, asked: ReceivedCall) -> Answer:
        body = asked.body
        demand(body["version"] == "4", 400, "version")
        for alert in body["alerts"]:
            demand(alert["status"] in {"firing", "resolved"}, 400, "status")
            demand(re.fullmatch("[0-9a-f]{16}", alert["fingerprint"]), 400, "fingerprint")
            both = alert["labels"] | alert["annotations"]
            demand(all(isinstance(value, str) for value in both.values()), 400, "labels are text")
            demand(all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in both), 400, "names of labels")
            demand(all(MOMENT.fullmatch(alert[name]) for name in ("startsAt", "endsAt")), 400, "times")
            demand(alert["endsAt"].startswith("0001") == (alert["status"] == "firing"), 400, "endsAt")
            self.tickets[alert["fingerprint"]] = {"state": alert["status"]}
        return 200, {}, {"status": "ok"}


class Pager(System):
    """PagerDuty's Events API v2: events with one key make one incident until it is resolved."""

    def answer(self, asked: ReceivedCall) -> Answer:
        body = asked.body
        demand(len(body.get("routing_key", "")) == 32, 400, "routing_key")
        demand(body["event_action"] in {"trigger", "acknowledge", "resolve"}, 400, "event_action")
        demand(0 < len(body["dedup_key"]) <= 255, 400, "dedup_key")
        key = body["dedup_key"]
        if body["event_action"] == "trigger":
            payload = body["payload"]
            demand(0 < len(payload["summary"]) <= 1024 and payload["source"], 400, "payload")
            demand(payload["severity"] in {"critical", "error", "warning", "info"}, 400, "severity")
        if body["event_action"] == "trigger" or key in self.tickets:
            self.tickets[key] = {
                "state": {"trigger": "triggered"}.get(body["event_action"], f"{body['event_action']}d")
            }
        return 202, {}, {"status": "success", "message": "Event processed", "dedup_key": key}


class TroubleTickets(System):
    """TMF621: checks a body against the interface's rules, merges a PATCH, and filters by the external id."""

    version: int = 4

    def answer(self, asked: ReceivedCall) -> Answer:
        rules = tmf621.v4 if self.version == 4 else tmf621.v5
        if asked.method == "GET":
            return (
                200,
                {},
                [fields for fields in self.tickets.values() if self._external(fields) in asked.query.values()],
            )
        try:
            checker = jsonschema.FormatChecker()
            jsonschema.validate(asked.body, rules(create=asked.method == "POST"), format_checker=checker)
        except jsonschema.ValidationError as error:
            raise CallRefusedError(400, error.message) from error
        if asked.method == "POST":
            name = self.opened({"status": "acknowledged", **asked.body})
            self.tickets[name]["id"] = name
            return 201, {"Location": f"{asked.path}/{name}"}, self.tickets[name]
        fields = self.ticket(asked.path.rpartition("/")[2])
        fields |= asked.body
        return 200, {}, fields

    def _external(self, fields: dict[str, Any]) -> str:
        return str(fields["externalId"] if self.version == 4 else fields["externalIdentifier"][0]["id"])


class Incidents(System):
    """ServiceNow's table `incident`: fields that it does not have are dropped, a resolution needs code and notes."""

    KNOWN = frozenset({
        "short_description", "description", "urgency", "impact", "caller_id", "assignment_group", "category",
        "due_date", "correlation_id", "correlation_display", "work_notes", "state", "close_code", "close_notes",
    })  # fmt: skip

    def answer(self, asked: ReceivedCall) -> Answer:
        demand(asked.headers.get("Authorization", "").startswith("Basic "), 401, "not authenticated")
        if asked.method == "GET":
            wanted = asked.query["sysparm_query"].removeprefix("correlation_id=")
            rows = [row for row in self.tickets.values() if row["correlation_id"] == wanted]
            return 200, {}, {"result": [self._shown(row, asked) for row in rows]}
        demand(not set(asked.body) - self.KNOWN, 400, "unknown fields")
        demand(all(isinstance(value, str) for value in asked.body.values()), 400, "values are text")
        demand(all(asked.body.get(name, "1") in {"1", "2", "3"} for name in ("urgency", "impact")), 400, "choice")
        demand(STAMP.fullmatch(asked.body.get("due_date", "2024-01-01 00:00:00")), 400, "due_date")
        if asked.method == "POST":
            demand(asked.body.get("short_description"), 403, "a data policy wants a short description")
            name = self.opened({"state": "1", **asked.body})
            self.tickets[name] |= {"sys_id": name, "number": f"INC{name}"}
            return 201, {}, {"result": self._shown(self.tickets[name], asked)}
        row = self.ticket(asked.path.rpartition("/")[2])
        if asked.body.get("state") == "6":
            demand(
                asked.body.get("close_code") and asked.body.get("close_notes"), 403, "a data policy wants a close code"
            )
        self.comments[row["sys_id"]].append(asked.body.get("work_notes", ""))
        row |= asked.body
        return 200, {}, {"result": self._shown(row, asked)}

    def _shown(self, row: dict[str, Any], asked: ReceivedCall) -> dict[str, Any]:
        return {name: row[name] for name in asked.query["sysparm_fields"].split(",")}


class EventTable(System):
    """ServiceNow Event Management: events with one message_key are one alert, and severity 0 clears it."""

    def answer(self, asked: ReceivedCall) -> Answer:
        body = asked.body
        demand(asked.headers.get("Authorization", "").startswith("Basic "), 401, "not authenticated")
        demand(asked.method == "POST", 405, "events are only inserted")
        demand(body["severity"] in {"0", "1", "2", "3", "4", "5"}, 400, "severity")
        demand(all(body.get(name) for name in ("source", "node", "type", "message_key")), 400, "required")
        demand(STAMP.fullmatch(body["time_of_event"]), 400, "time_of_event")
        demand(isinstance(json.loads(body["additional_info"]), dict), 400, "additional_info is JSON in a text")
        self.calls += 1
        self.tickets[body["message_key"]] = {"state": "closed" if body["severity"] == "0" else "open"}
        return 201, {}, {"result": {"sys_id": f"e{self.calls}"}}


class Desk(System):
    """Zendesk: knows an idempotency key, keeps a closed ticket closed, and an external id is not unique."""

    def answer(self, asked: ReceivedCall) -> Answer:
        demand("Authorization" in asked.headers, 401, "not authenticated")
        if asked.method == "GET":
            found = [row for row in self.tickets.values() if row["external_id"] == asked.query["external_id"]]
            return 200, {}, {"tickets": found, "count": len(found)}
        fields = asked.body["ticket"]
        demand(fields.get("priority", "low") in {"urgent", "high", "normal", "low"}, 422, "priority")
        demand(fields.get("status", "open") in {"new", "open", "pending", "hold", "solved"}, 422, "status")
        demand(fields["comment"]["body"].strip(), 422, "a comment cannot be blank")
        demand("due_at" not in fields or fields["type"] == "task", 422, "only tasks are due")
        if asked.method == "POST":
            key = asked.headers.get("Idempotency-Key", "")
            if key in self.keys:
                status, _, answer = self.keys[key]
                return status, {"x-idempotency-lookup": "hit"}, answer
            name = self.opened({"status": "new", **fields})
            self.tickets[name]["id"] = int(name)
            self.keys[key] = (201, {}, {"ticket": {"id": int(name)}})
            return 201, {"x-idempotency-lookup": "miss"}, {"ticket": {"id": int(name)}}
        row = self.ticket(asked.path.rpartition("/")[2])
        self.comments[str(row["id"])].append(fields["comment"]["body"])
        row |= fields
        return 200, {}, {"ticket": {"id": row["id"]}}


class Helpdesk(System):
    """Zammad: a group and a customer that exist, priorities and states by name, an article with a body."""

    def answer(self, asked: ReceivedCall) -> Answer:
        demand("Authorization" in asked.headers, 401, "not authenticated")
        body = asked.body
        if asked.method == "GET":
            wanted = asked.query["query"].removeprefix("note:")
            return 200, {}, [row for row in self.tickets.values() if row["note"] == wanted]
        demand(body.get("priority", "1 low") in {"1 low", "2 normal", "3 high"}, 422, "No lookup value for priority")
        demand(body.get("state", "new") in {"new", "open", "closed"}, 422, "No lookup value for state")
        demand(body["article"]["body"] and body["article"]["type"] == "note", 422, "article")
        if asked.method == "POST":
            demand(body.get("title"), 422, "title")
            demand(body.get("group") == "Retention", 422, "No lookup value for group")
            demand(body.get("customer") == "retention@example.com", 422, "No lookup value for customer")
            demand(len(body.get("note", "")) <= 250, 422, "note")
            name = self.opened({"state": "new", **body})
            self.tickets[name] |= {"id": int(name), "number": f"2{name}"}
            return 201, {}, self.tickets[name]
        row = self.ticket(asked.path.rpartition("/")[2])
        self.comments[str(row["id"])].append(body["article"]["body"])
        row |= body
        return 200, {}, row


class Cases(System):
    """Salesforce: an upsert by an external id, fields that the object has, and nothing else."""

    KNOWN = frozenset({"Subject", "Description", "Priority", "Origin", "Status"})

    def answer(self, asked: ReceivedCall) -> Answer:
        demand(asked.headers.get("Authorization", "").startswith("Bearer "), 401, "INVALID_SESSION_ID")
        demand(asked.method == "PATCH", 405, "an upsert is a PATCH")
        demand(not set(asked.body) - self.KNOWN, 400, "INVALID_FIELD")
        demand(len(asked.body.get("Subject", "")) <= 255, 400, "STRING_TOO_LONG")
        name = asked.path.rpartition("/")[2]
        if name in self.tickets:
            self.tickets[name] |= asked.body
            return 204, {}, None
        self.tickets[name] = dict(asked.body)
        return 201, {}, {"id": f"500{name[-12:]}AAA", "success": True, "errors": [], "created": True}


@asynccontextmanager
async def served(system: System) -> AsyncIterator[Callable[[str], str]]:
    """Serve a system on loopback; what is given out makes an address of a path."""

    async def handle(request: web.Request) -> web.Response:
        text = await request.text()
        body = json.loads(text) if text else None
        asked = ReceivedCall(request.method, request.path, dict(request.query), dict(request.headers), body)
        try:
            status, headers, answer = system.answer(asked)
        except CallRefusedError as refused:
            return web.json_response({"error": str(refused)}, status=refused.status)
        except (KeyError, TypeError) as error:
            return web.json_response({"error": repr(error)}, status=400)
        if answer is None:
            return web.Response(status=status, headers=headers)
        return web.json_response(answer, status=status, headers=headers)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(application) as server:
        yield lambda path: str(server.make_url(path))

"""The way back over HTTP, on a database that is there: who may call, what it does, and that it does so once."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from standardwebhooks import Webhook

from streams.app.inbound import write_outcomes
from streams.core.contracts.decode import decode
from streams.core.contracts.events import Event, Record
from streams.core.notify.contact import ContactRules
from streams.core.notify.endpoints import Endpoint, PresetName
from streams.core.times import HOUR_MS
from streams.sink.inbound.server import InboundContext, RateLimiter, inbound_app
from streams.sink.secrets.signing import new_secret
from streams.sink.secrets.vault import Secrets, SigningKey, seal, unseal
from streams.store.database import RunStore
from streams.store.outbox.values import FinishedAttempt, Ticket
from streams.store.sink import ClaimLimit, Sink
from tests.cli.calling import call, lines
from tests.postgres.databases import furnished
from tests.sink.alerts_told import BEGAN_MS, told

KEY = b"a key of the tests, which is long enough"
SECRET = new_secret()
BEARS = "whin_of-the-tests"
RULES = ContactRules()
NOW_MS = BEGAN_MS + HOUR_MS
ALERT = told().alert_id
AUTH = {"Authorization": f"Bearer {BEARS}"}
Talk = Callable[[TestClient[Any, Any]], Awaitable[None]]


class InboundBench:
    """One database with endpoints that were told of one alert, and a clock that a test moves."""

    def __init__(self, place: str) -> None:
        """Make it."""
        self.place = place
        self.now_ms = NOW_MS
        self.said: list[str] = []
        self.sink = Sink.open(furnished(place))
        self.store = RunStore.open(place)
        for name, preset in (("crm", "standard"), ("jira", "jira"), ("log", "standard")):
            self.add(name, preset)  # type: ignore[arg-type]  # they are presets
        self.sink.record([told(at_ms=NOW_MS - 1)], RULES, NOW_MS)
        rooms = {name: ClaimLimit(10, 10) for name in ("crm", "jira", "log")}
        for claimed in self.sink.claim("w", NOW_MS, lease_ms=60_000, rooms=rooms).handed:
            self.finish(claimed.delivery_id, claimed.endpoint, Ticket(
                external_id=f"{claimed.endpoint}-7", external_ref=None, told_ms=NOW_MS, resolved=False))  # fmt: skip

    def add(self, name: str, preset: PresetName, **more: Any) -> None:
        sealed = seal(KEY, name, Secrets(signing=(SigningKey(SECRET),), inbound=BEARS))
        made = Endpoint(name=name, preset=preset, url="https://crm.example", **more)
        self.sink.add_endpoint(made, sealed, NOW_MS)

    def finish(self, delivery_id: str, endpoint: str, ticket: Ticket) -> None:
        done = FinishedAttempt(
            delivery_id=delivery_id, endpoint=endpoint, attempt=1, state="delivered", why="", next_attempt_ms=None,
            action="create", outcome="delivered", began_ms=NOW_MS, took_ms=1, status=201, answer="", ticket=ticket,
        )  # fmt: skip
        assert self.sink.finish("w", [done], NOW_MS) == 1

    def desk(self) -> InboundContext:
        def alert_of(alert_id: str) -> Any:
            found = self.store.alert(alert_id)
            return found and found.latest

        return InboundContext(
            sink=self.sink,
            rules=RULES,
            secrets_of=lambda row: unseal(KEY, row.endpoint.name, row.sealed) if row.sealed else None,
            alert_of=alert_of,
            now_ms=lambda: self.now_ms,
            say=self.said.append,
        )

    def talk(self, talk: Talk, **limits: Any) -> None:
        """Run a server for as long as the talk takes."""

        async def all_of_it() -> None:
            async with TestClient(TestServer(inbound_app(self.desk(), **limits))) as client:
                await talk(client)

        asyncio.run(all_of_it())

    def call(self, body: object, endpoint: str = "crm", **headers: str) -> tuple[int, dict[str, Any]]:
        """Make one call, and return what was answered."""
        found: list[tuple[int, dict[str, Any]]] = []

        async def talk(client: TestClient[Any, Any]) -> None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            given = {"Content-Type": "application/json", **(headers or AUTH)}
            found.append(await answered(await client.post(f"/inbound/{endpoint}", data=raw, headers=given)))

        self.talk(talk)
        return found[0]


async def answered(answer: ClientResponse) -> tuple[int, dict[str, Any]]:
    body = await answer.json(content_type=None)
    kind = "application/json" if answer.status < 400 else "application/problem+json"
    assert answer.content_type == kind
    assert answer.status < 400 or body["status"] == answer.status
    return answer.status, body


@pytest.fixture
def world(database_url: str) -> Iterator[InboundBench]:
    made = InboundBench(database_url)
    yield made
    made.sink.close()
    made.store.close()


def close(outcome: str, **more: object) -> dict[str, object]:
    return {"alert_id": ALERT, "act": "close", "outcome": outcome, **more}


def test_an_act_moves_the_work_and_the_same_call_again_changes_nothing(world: InboundBench) -> None:
    said = {"alert_id": ALERT, "act": "acknowledge", "note": "called", "event_id": "e1"}
    status, first = world.call(said)
    assert (status, first["changed"], first["state"], first["version"]) == (200, True, "acknowledged", 1)
    status, again = world.call(said)
    assert (status, again["changed"], again["version"]) == (200, False, 1)
    assert world.sink.work(ALERT).note == "called"


def test_a_ticket_is_found_by_the_id_that_its_system_gave_it(world: InboundBench) -> None:
    moved = {
        "issue": {"id": "jira-7", "fields": {"status": {"name": "Doing", "statusCategory": {"key": "indeterminate"}}}}
    }
    assert world.call(moved, "jira")[1]["state"] == "in_progress"
    assert world.call(moved, "crm")[0] == 400
    moved["issue"]["id"] = "jira-8"
    assert world.call(moved, "jira") == (404, {
        "type": "about:blank", "title": "no such alert", "status": 404,
        "detail": "no alert has this id, or a ticket with it at this endpoint",
    })  # fmt: skip


def test_what_an_endpoint_says_is_told_to_the_others_and_not_to_it(world: InboundBench) -> None:
    world.call(close("saved"))
    rows = world.sink.deliveries(alert_id=ALERT)
    told_of = {row.endpoint: (row.state, row.why) for row in rows if row.type == "alert.closed"}
    assert told_of["log"][0] == told_of["jira"][0] == "pending"
    assert told_of.get("crm", ("suppressed", "origin"))[1].startswith("origin")


def test_an_outcome_is_kept_once_as_the_contract_wants_it(world: InboundBench) -> None:
    said = close("saved", reason="price", at="2024-10-04T10:00:00Z")
    assert world.call(said)[1]["state"] == "closed"
    assert world.call(said)[1]["changed"] is False
    (row,) = world.sink.unsent_outcomes(10)
    event = decode(Record("outcomes", 0, 0, row[2], NOW_MS))
    assert isinstance(event, Event)
    message = msgspec.json.decode(row[2])
    assert row[:2] == (message["event_id"], told().subscriber_id)
    assert {name: message[name] for name in ("change", "reason", "reason_source", "alert_id", "event_time")} == {
        "change": "retained", "reason": "price", "reason_source": "stated", "alert_id": ALERT,
        "event_time": "2024-10-04T10:00:00.000Z",
    }  # fmt: skip


def test_outcomes_are_appended_to_a_file_for_the_embedded_engine_once(world: InboundBench, tmp_path: Path) -> None:
    world.call(close("lost", reason="competitor_offer"))
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(b"")
    assert [write_outcomes(world.sink, path) for _ in range(2)] == [2, 0]
    lines = path.read_bytes().splitlines()
    assert {msgspec.json.decode(line)["change"] for line in lines} == {"contacted", "port_out_requested"}


def test_a_call_signed_by_the_independent_package_is_taken(world: InboundBench) -> None:
    body = json.dumps({"alert_id": ALERT, "act": "start"})
    at = datetime.fromtimestamp(NOW_MS / 1000, UTC).replace(tzinfo=None)
    headers = {
        "webhook-id": "m_1",
        "webhook-timestamp": str(NOW_MS // 1000),
        "webhook-signature": Webhook(SECRET).sign("m_1", at, body),
    }
    assert world.call(body.encode(), **headers)[1]["changed"] is True
    world.now_ms += 301_000
    assert world.call(body.encode(), **headers)[0] == 401


@pytest.mark.parametrize("given", ["Bearer wrong", "Basic d3Jvbmc6d3Jvbmc=", BEARS])
def test_a_stranger_learns_nothing(world: InboundBench, given: str) -> None:
    assert world.call({"alert_id": ALERT, "act": "close"}, Authorization=given) == (
        401, {"type": "about:blank", "title": "not authorised", "status": 401},
    )  # fmt: skip
    assert world.sink.work(ALERT).version == 0


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not JSON"),
        ({"alert_id": ALERT, "act": "dance"}, 400, "dance"),
        ({"alert_id": ALERT, "status": "Won"}, 400, "inbound_status"),
        ({"alert_id": ALERT, "act": "close", "at": "2034-01-01T00:00:00Z"}, 400, "more than a day ahead"),
        ({"alert_id": "a_0", "act": "close"}, 404, "no alert"),
        (b"[" * 300_000, 413, ""),
    ],
)
def test_a_bad_call_is_refused_with_what_to_do(world: InboundBench, body: object, status: int, words: str) -> None:
    answer = world.call(body)
    assert answer[0] == status
    assert words in answer[1].get("detail", "")
    assert world.sink.work(ALERT).version == 0


def test_an_unknown_endpoint_another_method_and_no_json_are_refused(world: InboundBench) -> None:
    async def talk(client: TestClient[Any, Any]) -> None:
        assert (await answered(await client.post("/inbound/nobody", json={})))[0] == 404
        assert (await answered(await client.get("/inbound/crm")))[0] == 405
        assert (await answered(await client.post("/elsewhere", json={})))[0] == 404
        form = {**AUTH, "Content-Type": "application/x-www-form-urlencoded"}
        assert (await answered(await client.post("/inbound/crm", data=b"a=1", headers=form)))[0] == 415
        assert (await answered(await client.get("/ready"))) == (200, {"ready": True})
        assert (await answered(await client.get("/live"))) == (200, {"live": True})

    world.talk(talk)


def test_too_many_calls_are_refused_for_a_while_and_strangers_do_not_use_up_those_of_others(
    world: InboundBench,
) -> None:
    async def talk(client: TestClient[Any, Any]) -> None:
        said = {"alert_id": ALERT, "act": "acknowledge"}
        strange = [(await client.post("/inbound/crm", json=said)).status for _ in range(5)]
        known = [(await client.post("/inbound/crm", json=said, headers=AUTH)).status for _ in range(5)]
        assert strange == [401, 401, 401, 429, 429]
        assert known == [200, 200, 200, 429, 429]

    world.talk(talk, rate_per_s=0.001, burst=3)


def test_calls_are_let_through_again_as_the_clock_of_the_limiter_goes_on() -> None:
    now_s = 100.0
    limiter = RateLimiter(2.0, 3, lambda: now_s)
    assert [limiter.take() for _ in range(4)] == [True, True, True, False]
    now_s += 0.499
    assert not limiter.take()
    now_s += 0.001
    assert [limiter.take() for _ in range(2)] == [True, False]
    now_s += 3_600
    assert [limiter.take() for _ in range(4)] == [True, True, True, False]


def test_who_saw_an_older_version_is_refused(world: InboundBench) -> None:
    assert world.call({"alert_id": ALERT, "act": "note", "note": "one", "version": 0})[1]["version"] == 1
    status, problem = world.call({"alert_id": ALERT, "act": "note", "note": "two", "version": 0})
    assert (status, problem["title"]) == (409, "the alert was changed meanwhile")
    assert world.sink.work(ALERT).note == "one"
    assert world.call({"alert_id": ALERT, "act": "note", "note": "two", "version": 1})[1]["version"] == 2


def test_a_closed_alert_opens_again_and_an_old_repeat_does_not_open_it_a_third_time(world: InboundBench) -> None:
    going = {
        "issue": {"id": "jira-7", "fields": {"status": {"name": "Doing", "statusCategory": {"key": "indeterminate"}}}}
    }
    done = {"issue": {"id": "jira-7", "fields": {"status": {"name": "Done", "statusCategory": {"key": "done"}}}}}
    world.call({**done, "timestamp": NOW_MS}, "jira")
    assert world.sink.work(ALERT).state == "closed"
    world.call({**going, "timestamp": NOW_MS + 1}, "jira")
    assert world.sink.work(ALERT).state == "open"
    world.call({**done, "timestamp": NOW_MS + 2}, "jira")
    world.call({**going, "timestamp": NOW_MS + 1}, "jira")
    assert world.sink.work(ALERT).state == "closed"


def test_a_database_that_is_away_is_said_to_us_and_not_to_the_caller(tmp_path: Path) -> None:
    place = tmp_path / "sink.db"
    world = InboundBench(str(place))
    world.sink.close()
    place.rename(place.with_suffix(".gone"))
    place.mkdir()
    status, problem = world.call({"alert_id": ALERT, "act": "close"})
    assert (status, problem["title"]) == (503, "not now")
    assert str(world.place) in world.said[0]
    assert str(world.place) not in json.dumps(problem)
    world.store.close()


def test_a_secret_for_calls_is_made_on_the_command_line_and_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREWARN_SINK_KEY", KEY.decode())
    place = tmp_path / "sink.db"
    with Sink.open(place) as sink:
        kept = Secrets(signing=(SigningKey(SECRET),), auth="password")
        made = Endpoint(name="crm", preset="standard", url="https://crm.example")
        sink.add_endpoint(made, seal(KEY, "crm", kept), NOW_MS)
    (shown,) = lines(call("inbound", "--db", place, "--new-secret", "crm", "--json"))
    with Sink.open(place) as sink:
        sealed = sink.endpoint("crm").sealed
    assert sealed is not None
    found = unseal(KEY, "crm", sealed)
    assert (found.inbound, found.auth, found.signing) == (shown["inbound_secret"], "password", kept.signing)
    unknown = call("inbound", "--db", place, "--new-secret", "crn")
    assert unknown.exit_code == 3
    assert "crm" in unknown.output

"""One dispatcher in this process, real HTTP, real databases, and time that is moved by hand."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.core.notify.circuit import OPEN_S
from streams.core.notify.contact import ContactRules
from streams.core.notify.endpoints import Auth, Endpoint
from streams.core.notify.retry import Answer
from streams.core.times import HOUR_MS
from streams.sink.dispatch.dispatcher import DispatchCounts, Dispatcher, DispatcherSettings
from streams.sink.dispatch.endpoint_registry import EndpointRegistry
from streams.sink.dispatch.endpoint_warnings import EndpointWarning
from streams.sink.dispatch.sending import Sender
from streams.sink.http.client import Client
from streams.sink.presets import Request, load
from streams.sink.secrets.signing import new_secret
from streams.sink.secrets.vault import Secrets, SigningKey, seal
from streams.store.sink import ClaimLimit, Sink
from tests.sink.alerts_told import BEGAN_MS, told
from tests.sink.http.scripted import authorities

KEY = b"a key for the tests of dispatchers"
RULES = ContactRules(cool_down_days=14, alert_ttl_hours=168)


class Scene:
    """A sink, a clock, and a receiver whose answers a test chooses."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.now_ms = BEGAN_MS
        self.calls: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], web.Response] = lambda _: web.Response(status=204)
        self.troubles: list[EndpointWarning] = []
        self.called = asyncio.Event()

    def endpoint(self, url: str, name: str = "crm", **fields: Any) -> None:
        base: dict[str, Any] = {"preset": "standard", "allow_cidrs": ("127.0.0.0/8",), "allow_http": True,
                                "channel": name, "rate_per_s": 1_000.0}  # fmt: skip
        endpoint = Endpoint(name=name, url=url, **(base | fields))
        secrets = Secrets(signing=(SigningKey(new_secret()),), auth="a secret login")
        self.sink.add_endpoint(endpoint, seal(KEY, name, secrets), self.now_ms)

    def record(self, *changes: Any) -> None:
        self.sink.record(changes, RULES, self.now_ms)

    async def calls_are(self, count: int) -> None:
        """Return when so many calls have come."""
        while len(self.calls) < count:
            self.called.clear()
            await self.called.wait()

    async def took(self, request: web.Request) -> web.Response:
        call = {"headers": dict(request.headers), "at_ms": self.now_ms, "path": request.path, "method": request.method}
        call["body"] = await request.json() if request.can_read_body else None
        self.calls.append(call)
        self.called.set()
        return self.answer(call)

    async def ran(self, *, once: bool = True, around: Any = None) -> DispatchCounts:
        stopping = asyncio.Event()
        client = Client(tls=authorities())
        dispatcher = Dispatcher(
            DispatcherSettings(worker="w"), self.sink, Sender(client, lambda: self.now_ms, lambda: 0.5),
            EndpointRegistry(lambda: KEY, os.environ), RULES, now_ms=lambda: self.now_ms, warn=self.troubles.append,
        )  # fmt: skip
        try:
            running = asyncio.ensure_future(dispatcher.run(stopping, once=once))
            if around is not None:
                await around(stopping)
            return await running
        finally:
            await client.aclose()


@pytest.fixture
def scene(sink: Sink) -> Scene:
    return Scene(sink)


def served(scene: Scene, work: Callable[[str], Awaitable[None]]) -> None:
    """Run a receiver on loopback around some work, which gets its address."""

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", scene.took)
        async with TestServer(app) as server:
            await work(str(server.make_url("/hook")))

    asyncio.run(serve())


def test_what_is_due_is_sent_in_order_and_a_second_run_sends_nothing(scene: Scene) -> None:
    async def work(url: str) -> None:
        scene.endpoint(url, coalesce=False)
        for hour, change in enumerate(("fired", "worsened", "resolved")):
            scene.record(told(1, change, BEGAN_MS + hour * HOUR_MS), told(2, change, BEGAN_MS + hour * HOUR_MS))  # type: ignore[arg-type]
        tally = await scene.ran()
        assert (tally.delivered, tally.waiting) == (6, 0)
        assert await scene.ran() == DispatchCounts()

    served(scene, work)
    by_alert: dict[str, list[str]] = {}
    for call in scene.calls:
        by_alert.setdefault(call["body"]["data"]["alert"]["id"], []).append(call["body"]["type"])
    assert list(by_alert.values()) == [["alert.fired", "alert.worsened", "alert.resolved"]] * 2


def test_what_is_past_its_time_is_not_sent_and_the_summary_counts_it(scene: Scene) -> None:
    async def work(url: str) -> None:
        scene.endpoint(url, ttl_hours=1)
        scene.record(told(1), told(2))
        scene.now_ms += 3_600_000
        assert await scene.ran() == DispatchCounts(expired=2)

    served(scene, work)
    assert not scene.calls


def test_once_leaves_what_is_to_be_tried_again_and_says_so(scene: Scene) -> None:
    scene.answer = lambda _: web.Response(status=503)

    async def work(url: str) -> None:
        scene.endpoint(url)
        scene.record(told(1))
        tally = await scene.ran()
        assert (tally.delivered, tally.retrying, tally.waiting) == (0, 1, 1)
        scene.now_ms += 3_600_000
        scene.answer = lambda _: web.Response(status=204)
        assert (await scene.ran()).delivered == 1

    served(scene, work)
    first, second = scene.calls
    assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"]
    assert first["headers"]["Idempotency-Key"] == second["headers"]["Idempotency-Key"]


@pytest.mark.slow
def test_after_an_outage_of_ten_hours_a_receiver_gets_one_current_message_of_each_alert(scene: Scene) -> None:
    scene.answer = lambda _: web.Response(status=503)

    async def work(url: str) -> None:
        scene.endpoint(url)
        scene.record(*(told(number) for number in range(20)))
        for hour in range(10):
            await scene.ran()
            scene.now_ms += HOUR_MS
            scene.record(*(told(number, "worsened", BEGAN_MS + hour * HOUR_MS + number) for number in range(20)))
            # These come and go while nobody can be told.
            scene.record(told(100 + hour, "fired", BEGAN_MS + hour * HOUR_MS))
            scene.record(told(100 + hour, "resolved", BEGAN_MS + hour * HOUR_MS + 1))
        scene.answer = lambda _: web.Response(status=204)
        scene.calls.clear()
        for _ in range(30):
            scene.now_ms += HOUR_MS // 4
            await scene.ran()

    served(scene, work)
    alerts = [call["body"]["data"]["alert"]["id"] for call in scene.calls]
    assert len(alerts) == len(set(alerts)) == 20, "one message of each, and none of what came and went"
    assert scene.sink.backlog(scene.now_ms).waiting == 0


@pytest.mark.slow
def test_what_is_new_goes_before_what_failed_and_no_more_than_the_rate_in_a_second(scene: Scene) -> None:
    async def work(url: str) -> None:
        scene.endpoint(url, rate_per_s=5.0, in_flight_max=1)
        scene.answer = lambda _: web.Response(status=500)
        scene.record(*(told(number) for number in range(4)))
        await scene.ran()
        scene.answer = lambda _: web.Response(status=204)
        scene.calls.clear()
        scene.now_ms += HOUR_MS
        scene.record(*(told(number) for number in range(50, 56)))

        async def ticking(stopping: asyncio.Event) -> None:
            while len(scene.calls) < 10:
                await asyncio.sleep(0.02)
                scene.now_ms += 20
            stopping.set()

        await scene.ran(once=False, around=ticking)

    served(scene, work)
    moments = sorted(call["at_ms"] for call in scene.calls)
    burst = 5
    assert len(moments) == 10
    assert all(later - earlier >= 800 for earlier, later in zip(moments, moments[burst + 4 :], strict=False))
    fresh = [call["body"]["data"]["alert"]["id"] >= f"a_{50:08x}" for call in scene.calls]
    assert sum(fresh[:5]) >= 2, "retries have no more than their half while new ones wait"


@pytest.mark.slow
def test_a_receiver_that_hangs_does_not_keep_others_from_being_told(scene: Scene) -> None:
    async def work(url: str) -> None:
        hanging = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            hanging.set()
            # It reads all that comes, until the other side has had enough.
            await reader.read()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        scene.endpoint(f"http://127.0.0.1:{port}/", "slow", timeout_s=2.0, in_flight_max=2)
        scene.endpoint(url, "quick")
        scene.record(*(told(number) for number in range(30)))
        said: list[int] = []

        async def watching(stopping: asyncio.Event) -> None:
            await hanging.wait()
            await scene.calls_are(30)
            said.append(len(scene.sink.deliveries(states=["delivered"], endpoint="slow")))
            stopping.set()

        tally = await scene.ran(once=False, around=watching)
        assert said == [0]
        assert tally.delivered == 30
        assert tally.retrying >= 1
        server.close()

    served(scene, work)
    left = scene.sink.deliveries(states=["pending", "in_flight"])
    assert {row.endpoint for row in left} == {"slow"}
    assert all(row.state == "pending" for row in left), "what was claimed and not sent is given back at the end"


def test_five_failures_open_the_circuit_and_one_success_closes_it(scene: Scene) -> None:
    scene.answer = lambda _: web.Response(status=500)

    async def work(url: str) -> None:
        scene.endpoint(url, in_flight_max=1)
        scene.record(*(told(number) for number in range(12)))
        tally = await scene.ran()
        assert tally.retrying == 5
        assert scene.sink.endpoint("crm").circuit == "open"
        scene.answer = lambda _: web.Response(status=204)
        scene.now_ms += OPEN_S[0] * 1_000 + 1
        await scene.ran()
        assert scene.sink.endpoint("crm").circuit == "closed"

    served(scene, work)
    assert [trouble.type for trouble in scene.troubles] == ["endpoint.failing", "endpoint.recovered"]


def test_410_disables_an_endpoint_and_somebody_is_told_once(scene: Scene) -> None:
    scene.answer = lambda _: web.Response(status=410)

    async def work(url: str) -> None:
        scene.endpoint(url, in_flight_max=1)
        scene.record(*(told(number) for number in range(3)))
        assert (await scene.ran()).failed >= 1

    served(scene, work)
    assert scene.sink.endpoint("crm").state == "disabled"
    assert [trouble.type for trouble in scene.troubles] == ["endpoint.disabled"]


def test_a_create_of_which_nobody_knows_is_looked_up_and_not_made_twice(scene: Scene) -> None:
    found: list[dict[str, Any]] = []

    def ticketing(call: dict[str, Any]) -> web.Response:
        if call["method"] == "GET":
            return web.json_response({"issues": found})
        if not found:
            found.append({"id": "10001", "key": "OPS-1", "fields": call["body"]["fields"]})
            return web.Response(status=504)
        return web.Response(status=500)

    scene.answer = ticketing

    async def work(url: str) -> None:
        fields: dict[str, Any] = {"type": "basic", "username": "bot@example.net"}
        values = {name: "1" for name, value in load("jira").values.items() if value.required}
        scene.endpoint(url, preset="jira", auth=Auth(**fields), values=values)
        scene.record(told(1))
        first = await scene.ran()
        assert first.unknown == 1
        scene.now_ms += 61_000
        second = await scene.ran()
        assert second.delivered == 1

    served(scene, work)
    assert [call["method"] for call in scene.calls].count("POST") == 1
    assert scene.sink.alert_by_ticket("crm", "10001") or scene.sink.alert_by_ticket("crm", "OPS-1")


def test_a_claim_whose_holder_died_is_sent_again_with_the_same_id_when_its_lease_ends(scene: Scene) -> None:
    async def work(url: str) -> None:
        scene.endpoint(url)
        scene.record(told(1))
        room = {"crm": ClaimLimit(8, 8)}
        (lost,) = scene.sink.claim("the dead", scene.now_ms, lease_ms=90_000, rooms=room).handed
        assert (await scene.ran()).delivered == 0
        scene.now_ms += 90_001
        assert (await scene.ran()).delivered == 1
        assert scene.calls[0]["headers"]["webhook-id"] == lost.message_id

    served(scene, work)


def test_secrets_sealed_with_another_key_stop_that_endpoint_alone(scene: Scene) -> None:
    async def work(url: str) -> None:
        scene.endpoint(url)
        endpoint = Endpoint(name="other", preset="standard", url=url, allow_cidrs=("127.0.0.0/8",), allow_http=True,
                            channel="other")  # fmt: skip
        sealed = seal(b"another key that nobody has", "other", Secrets(signing=(SigningKey(new_secret()),)))
        scene.sink.add_endpoint(endpoint, sealed, scene.now_ms)
        scene.record(told(1))
        tally = await scene.ran()
        assert (tally.delivered, tally.waiting) == (1, 1)

    served(scene, work)
    (trouble,) = scene.troubles
    assert trouble.endpoint == "other"
    assert "sink key" in trouble.why


def test_a_defect_in_sending_ends_that_delivery_and_not_the_dispatcher(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_client: Client, _request: Request, _endpoint: Endpoint) -> Answer:
        raise RuntimeError("a value that must not be shown")

    monkeypatch.setattr(Client, "send", broken)

    async def work(url: str) -> None:
        scene.endpoint(url)
        scene.record(told(1))
        assert (await scene.ran()).failed == 1

    served(scene, work)
    (row,) = scene.sink.deliveries(states=["failed"])
    assert "RuntimeError" in row.why
    assert "must not be shown" not in row.why

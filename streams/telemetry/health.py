"""The two questions that whoever watches over containers asks a process over HTTP, and how all of ours answer them.

`GET /live` is answered with 200 by every process whose loop goes round: one that must not go on ends by itself.
`GET /ready` is answered with 200 by one that does its part, and with 503 by one that does not yet, or not any more.
Each answer is one small JSON object.
"""

import socket
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web
from msgspec import Struct


class Readiness(Struct, frozen=True):
    """Whether a process does its part, and what it says about itself."""

    is_ready: bool
    body: Mapping[str, object]


Probe = Callable[[], Awaitable[Readiness]]
"""Asks a process whether it does its part."""


def liveness() -> Mapping[str, object]:
    """Return what a process says that has no more to say than that it lives."""
    return {"live": True}


def health_routes(ready: Probe, live: Callable[[], Mapping[str, object]] = liveness) -> list[web.RouteDef]:
    """Return the two routes, for a process that serves more than these."""

    async def answer_live(_: web.Request) -> web.Response:
        return _answer(200, live())

    async def answer_ready(_: web.Request) -> web.Response:
        found = await ready()
        return _answer(200 if found.is_ready else 503, found.body)

    return [web.get("/live", answer_live), web.get("/ready", answer_ready)]


class HealthServer:
    """Answers the two questions in the loop that everything else runs in."""

    def __init__(
        self, listening: socket.socket, ready: Probe, live: Callable[[], Mapping[str, object]] = liveness
    ) -> None:
        """Keep where to answer, and whom to ask."""
        self._listening = listening
        self._routes = health_routes(ready, live)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Begin to answer."""
        app = web.Application()
        app.add_routes(self._routes)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.SockSite(self._runner, self._listening).start()

    async def stop(self) -> None:
        """Answer no more; one that was not started has nothing to stop."""
        if self._runner is not None:
            await self._runner.cleanup()


def _answer(status: int, body: Mapping[str, object]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body) + b"\n", content_type="application/json")

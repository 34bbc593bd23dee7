"""The health server answers two questions, each with one line of JSON, and needs no engine for it."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import aiohttp

from streams.shared.sockets import listen
from streams.telemetry.health import HealthServer, Readiness


async def answers(server: HealthServer, port: int) -> list[tuple[int, str, bytes]]:
    """Return what a server says to both questions, the live one first."""
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            found = []
            for path in ("/live", "/ready"):
                async with client.get(path) as answer:
                    found.append((answer.status, answer.content_type, await answer.read()))
            return found
    finally:
        await server.stop()


def asked(readiness: Readiness, **live: Any) -> list[tuple[int, str, bytes]]:
    async def ready() -> Readiness:
        return readiness

    with listen("127.0.0.1", 0) as listening:
        server = HealthServer(listening, ready, **live)
        return asyncio.run(answers(server, listening.getsockname()[1]))


def test_a_process_that_does_its_part_is_answered_for_with_200() -> None:
    assert asked(Readiness(is_ready=True, body={"ready": True, "in_flight": 3})) == [
        (200, "application/json", b'{"live":true}\n'),
        (200, "application/json", b'{"ready":true,"in_flight":3}\n'),
    ]


def test_a_process_that_does_not_is_alive_and_not_ready_and_says_why() -> None:
    body: Mapping[str, object] = {"ready": False, "why_not": "the database is away"}
    assert asked(Readiness(is_ready=False, body=body), live=lambda: body) == [
        (200, "application/json", b'{"ready":false,"why_not":"the database is away"}\n'),
        (503, "application/json", b'{"ready":false,"why_not":"the database is away"}\n'),
    ]


def test_a_server_that_was_not_started_can_be_stopped() -> None:
    async def ready() -> Readiness:
        return Readiness(is_ready=True, body={})

    with listen("127.0.0.1", 0) as listening:
        asyncio.run(HealthServer(listening, ready).stop())


def test_the_health_server_does_not_load_faust() -> None:
    code = "import sys, streams.telemetry.health; sys.exit('faust' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0

"""Joins the dispatcher: the database, endpoints with their secrets, the network, and who is warned."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, Final
from uuid import uuid4

from streams.app.contact import contact_rules
from streams.app.deliveries import now_ms, say, sink_key_of
from streams.core.notify.contact import ContactRules
from streams.shared.errors import SettingsError
from streams.shared.settings import Settings
from streams.shared.sockets import listen
from streams.sink.dispatch.dispatcher import DispatchCounts, Dispatcher, DispatcherSettings
from streams.sink.dispatch.endpoint_registry import EndpointRegistry, build_receiver
from streams.sink.dispatch.endpoint_warnings import EndpointWarning, trouble_request
from streams.sink.dispatch.sending import Sender
from streams.sink.http.client import Client
from streams.store.sink import Sink
from streams.telemetry.health import HealthServer, Readiness

WARNED_ON: Final = "standard"
SWITCH_S: Final = 0.0002
"""How long a thread may keep the interpreter: each send gives it up, and gets it back only after the database's."""

UNHEARD_S: Final = 30.0
"""How long the database may be silent before a dispatcher is not ready."""


def dispatch(
    settings: Settings,
    *,
    once: bool = False,
    names: Sequence[str] = (),
    warn_endpoint: str | None = None,
    health: tuple[str, int] | None = None,
) -> DispatchCounts:
    """Run one dispatcher until it is told to stop, or `once` until nothing is due, and return what it did.

    Raises:
        SettingsError: the rules, the key, or the address at which to say how it stands cannot be used.
        InputError: an endpoint that is named is not there.
        StoreError: the database cannot be used.
    """
    rules, key = contact_rules(settings), sink_key_of(settings)
    listening = None if health is None else listen(*health)
    sys.setswitchinterval(SWITCH_S)
    with Sink.open(settings.database, create=False) as sink:
        for name in (*names, *([warn_endpoint] if warn_endpoint else [])):
            sink.endpoint(name)
        if warn_endpoint is not None and sink.endpoint(warn_endpoint).endpoint.preset != WARNED_ON:
            raise SettingsError(f"--warn-endpoint: {warn_endpoint} should be of the preset {WARNED_ON}")
        return asyncio.run(_run(sink, key, rules, once=once, names=names, warned=warn_endpoint, listening=listening))


async def _run(
    sink: Sink,
    key: bytes,
    rules: ContactRules,
    *,
    once: bool,
    names: Sequence[str],
    warned: str | None,
    listening: socket.socket | None,
) -> DispatchCounts:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    client = Client()
    warnings = _Warnings(sink, key, client, warned)
    dispatcher = Dispatcher(
        DispatcherSettings(worker=f"{os.getpid()}-{uuid4().hex[:12]}"),
        sink,
        Sender(client, now_ms, random.random),
        EndpointRegistry(lambda: key, os.environ, names),
        rules,
        now_ms=now_ms,
        warn=warnings.take,
    )

    async def ready() -> Readiness:
        return readiness(dispatcher)

    server = None if listening is None else HealthServer(listening, ready)
    if server is not None:
        await server.start()
    try:
        return await dispatcher.run(stopping, once=once)
    finally:
        await warnings.end()
        if server is not None:
            await server.stop()
        await client.aclose()


class _Warnings:
    """Writes what is wrong with endpoints to standard error, and sends it to one that is for that."""

    def __init__(self, sink: Sink, key: bytes, client: Client, name: str | None) -> None:
        self._sink = sink
        self._key = key
        self._client = client
        self._name = name
        self._sending: set[asyncio.Task[None]] = set()
        self._count = 0

    def take(self, trouble: EndpointWarning) -> None:
        """Tell of it, without waiting."""
        say(str(trouble))
        if self._name is not None and self._name != trouble.endpoint:
            self._count += 1
            self._begin(self._send(trouble, self._name, self._count))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, trouble: EndpointWarning, name: str, number: int) -> None:
        row = await asyncio.to_thread(self._sink.endpoint, name)
        receiver = build_receiver(row, self._key, os.environ)
        request = trouble_request(receiver, trouble, number, now_ms())
        answer = await self._client.send(request, receiver.endpoint)
        if answer.status is None or not 200 <= answer.status < 300:
            say(f"endpoint {name} did not take the warning: {answer.why or f'answered {answer.status}'}")

    async def end(self) -> None:
        """Wait for what is under way; one that fails is of no more use."""
        await asyncio.gather(*self._sending, return_exceptions=True)


def readiness(dispatcher: Dispatcher) -> Readiness:
    """Return how a dispatcher stands: it does its part while the database answers."""
    heard_s = dispatcher.heard_s
    is_ready = heard_s is not None and heard_s <= UNHEARD_S
    body = {"ready": is_ready, "heard_s": heard_s, "in_flight": dispatcher.in_flight, **dispatcher.counts}
    return Readiness(is_ready=is_ready, body=body)

"""Joins the way back: a server for what ticketing says, the database, and where outcomes go."""

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from streams.app.contact import contact_rules
from streams.app.deliveries import now_ms, say, sink_key_of
from streams.core.contracts.effects import AlertChanged
from streams.shared.errors import InputError
from streams.shared.settings import Settings
from streams.shared.sockets import listen
from streams.sink.inbound.auth import new_secret
from streams.sink.inbound.server import InboundContext, inbound_app
from streams.sink.secrets.vault import Secrets, seal, unseal
from streams.store.database import RunStore
from streams.store.outbox.values import EndpointRow
from streams.store.sink import Sink

REPORT_S: Final = 1.0
REPORT_ROWS: Final = 500
SHUTDOWN_S: Final = 10.0


def serve_inbound(
    settings: Settings, address: tuple[str, int], *, body_bytes_max: int, rate_per_s: float, outcomes: Path | None
) -> None:
    """Take calls in until told to stop; with `outcomes`, what people report is appended to that file as JSON lines.

    Raises:
        SettingsError: the address is taken, or the rules or the key of the sink cannot be used.
        StoreError: the database cannot be opened.
        InputError: the file cannot be written.
    """
    rules, key = contact_rules(settings), sink_key_of(settings)
    listening = listen(*address, option="--listen")
    with Sink.open(settings.database, create=False) as sink, RunStore.open(settings.database, create=False) as store:

        def secrets_of(row: EndpointRow) -> Secrets | None:
            return None if row.sealed is None else unseal(key, row.endpoint.name, row.sealed)

        def alert_of(alert_id: str) -> AlertChanged | None:
            found = store.alert(alert_id)
            return None if found is None else found.latest

        context = InboundContext(
            sink=sink, rules=rules, secrets_of=secrets_of, alert_of=alert_of, now_ms=now_ms, say=say
        )
        app = inbound_app(context, body_bytes_max=body_bytes_max, rate_per_s=rate_per_s)
        say(f"listening at {address[0]}:{listening.getsockname()[1]}")
        asyncio.run(_serve(app, listening, sink, outcomes))


def give_inbound_secret(settings: Settings, name: str) -> str:
    """Give an endpoint a new secret for the calls that come from it, and return it: it is not to be seen again.

    Raises:
        InputError: there is no such endpoint.
    """
    key = sink_key_of(settings)
    with Sink.open(settings.database, create=False) as sink:
        row = sink.endpoint(name)
        held = Secrets() if row.sealed is None else unseal(key, name, row.sealed)
        secret = new_secret()
        sink.seal_endpoint(name, seal(key, name, msgspec.structs.replace(held, inbound=secret)), now_ms())
    return secret


def write_outcomes(sink: Sink, path: Path) -> int:
    """Append what was reported and not sent yet to a file, and return how much; known by its ids if it comes twice.

    Raises:
        InputError: the file cannot be written.
    """
    rows = sink.unsent_outcomes(REPORT_ROWS)
    if rows:
        try:
            with path.open("ab") as file:
                file.writelines(body + b"\n" for _, _, body in rows)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"--outcomes: {path} cannot be written: {error.strerror or error}") from error
        sink.note_outcomes_sent([event_id for event_id, _, _ in rows], now_ms())
    return len(rows)


async def _serve(app: web.Application, listening: socket.socket, sink: Sink, outcomes: Path | None) -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    writing = asyncio.ensure_future(_write_reports(sink, outcomes))
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        done, _ = await asyncio.wait([stopped, writing], return_when=asyncio.FIRST_COMPLETED)
        if writing in done:
            writing.result()
    finally:
        stopped.cancel()
        writing.cancel()
        await runner.cleanup()


async def _write_reports(sink: Sink, outcomes: Path | None) -> None:
    """Write what was reported, for ever; without a file there is nothing to do, and the notifier publishes it."""
    while True:
        written = 0 if outcomes is None else await asyncio.to_thread(write_outcomes, sink, outcomes)
        if written < REPORT_ROWS:
            await asyncio.sleep(REPORT_S)

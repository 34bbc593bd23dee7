"""The joins of the notifier: the topic of alerts, the database that the sink works on, and the rules of contact."""

import asyncio
import gc
import signal
import socket

from streams.app.contact import contact_rules
from streams.app.services import ServiceOptions
from streams.kafka.client.admin import admin_client, missing_topic, partitions_of
from streams.kafka.client.connection import ConnectionSettings, connection_settings
from streams.kafka.notifier.notifier import OUTCOMES, Notifier, NotifierSettings
from streams.kafka.topics.dead_letters import TOPIC as DEAD_LETTERS
from streams.kafka.worker.flood import FloodLimit
from streams.kafka.worker.health import HealthService
from streams.kafka.worker.process import end, say
from streams.shared.errors import StoreError
from streams.shared.exits import EXIT_INVARIANT, EXIT_IO, StoppedError
from streams.shared.settings import Settings
from streams.store.sink import Sink


def notify(settings: Settings, running: ServiceOptions) -> None:
    """Run one notifier until it is told to stop; whatever stops it otherwise ends the process, as it ends a worker.

    Raises:
        SettingsError: the cluster cannot be reached, a topic is missing, the rules of contact are bad, or the address
            at which to say how it stands is taken.
        StoreError: the database cannot be opened.
    """
    wire, rules = connection_settings(settings), contact_rules(settings)
    told = NotifierSettings(
        application=running.application,
        prefix=settings.kafka_prefix,
        session_s=running.session_s,
        flood=FloodLimit(running.flood_ratio, running.flood_run),
        accepts_expired=running.accept_expired,
    )
    asyncio.run(_checked(wire, told))
    health = running.listening()
    with Sink.open(settings.database) as sink:
        say(f"the database is {sink.name}")
        gc.freeze()
        try:
            asyncio.run(_run(Notifier(told, wire, sink, rules, say), health))
        except StoppedError as stop:
            end(stop.exit_code, str(stop))
        except StoreError as error:
            end(EXIT_IO, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, a supervisor is to start another one
            end(EXIT_INVARIANT, f"a broken invariant: {type(error).__name__}: {error}")


async def _run(notifier: Notifier, health: socket.socket | None) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = None if health is None else HealthService(health, notifier.standing)
    if server is not None:
        await server.start()
    try:
        await notifier.run(stopping)
    finally:
        if server is not None:
            await server.stop()


async def _checked(wire: ConnectionSettings, told: NotifierSettings) -> None:
    async with admin_client(wire) as admin:
        there = await partitions_of(admin)
    for topic in (told.topic, told.prefix + DEAD_LETTERS, told.prefix + OUTCOMES):
        if topic not in there:
            raise missing_topic(topic)

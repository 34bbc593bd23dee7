"""Joins the notifier: the topic of alerts, the database that the sink works on, and the rules of contact."""

import asyncio
from typing import NoReturn

from streams.app.contact import contact_rules
from streams.app.services import ServiceOptions
from streams.kafka.client.admin import admin_client, missing_topic, partitions_of
from streams.kafka.client.connection import ConnectionSettings, connection_settings
from streams.kafka.notifier.alert_records import ALERTS
from streams.kafka.notifier.notifier import OUTCOMES, run_notifier
from streams.kafka.topics.dead_letters import TOPIC as DEAD_LETTERS
from streams.kafka.topics.specs import notifiers_of
from streams.kafka.worker.process import say
from streams.shared.settings import Settings
from streams.store.sink import Sink


def notify(settings: Settings, running: ServiceOptions) -> NoReturn:
    """Run one notifier until it is told to stop; whatever stops it otherwise ends the process, as it ends a worker.

    Raises:
        SettingsError: the cluster cannot be reached, a topic is missing, the rules of contact are bad, or the address
            at which to say how it stands is taken.
        StoreError: the database cannot be opened.
    """
    cluster, rules = connection_settings(settings), contact_rules(settings)
    worker_settings = running.settings(settings.kafka_prefix, notifiers_of(running.application))
    asyncio.run(_check_topics(cluster, worker_settings.prefix))
    health = running.health_socket()
    with Sink.open(settings.database) as sink:
        say(f"the database is {sink.name}")
        run_notifier(worker_settings, cluster, sink, rules, health)


async def _check_topics(cluster: ConnectionSettings, prefix: str) -> None:
    async with admin_client(cluster) as admin:
        there = await partitions_of(admin)
    for topic in (ALERTS, DEAD_LETTERS, OUTCOMES):
        if prefix + topic not in there:
            raise missing_topic(prefix + topic)

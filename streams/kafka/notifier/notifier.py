"""The notifier: alerts from their topic into the database, and outcomes that people reported from there to theirs.

A Faust app as the workers are, with the same partition manager.  Its progress lies in the database, which holds the
alerts, what is to be told of them and how far the topic was taken in, each exactly once.
"""

import asyncio
import socket
from time import time
from typing import Final, NoReturn

from aiokafka.coordinator.assignors.roundrobin import (  # type: ignore[import-untyped]  # aiokafka comes without types
    RoundRobinPartitionAssignor,
)

from streams.core.contracts.outputs import OutputRecord
from streams.core.notify.contact import ContactRules
from streams.kafka.client.connection import ConnectionSettings, client_options
from streams.kafka.notifier.alert_records import ALERTS
from streams.kafka.notifier.database_progress import RECORDS_MAX, DatabaseProgress, ask_database, with_deadline
from streams.kafka.notifier.publisher import Publisher
from streams.kafka.worker.health import HealthService
from streams.kafka.worker.partition_manager import Pace
from streams.kafka.worker.process import WorkerSettings, exit_on_failure, make_app_over, run_app, say
from streams.store.sink import Sink

OUTCOMES: Final = "outcomes"
REPORT_S: Final = 1.0
REPORT_ROWS: Final = 500
PACE: Final = Pace(write_s=0.0, write_behind_s=0.0, write_records=RECORDS_MAX)
"""Written at once: who is to be told waits for it."""


def run_notifier(
    settings: WorkerSettings,
    cluster: ConnectionSettings,
    sink: Sink,
    rules: ContactRules,
    health: socket.socket | None = None,
) -> NoReturn:
    """Run one notifier until it is told to stop, or something stops it; at `health` it says how it stands."""
    topic = settings.prefix + ALERTS
    publisher = Publisher(settings.prefix, client_options(cluster))
    app, _ = make_app_over(settings, cluster, [topic], DatabaseProgress(topic, sink, rules, publisher, say), PACE)
    # Notifiers of before know no other way, and a group whose members have none in common takes nobody in.
    app.assignors = (RoundRobinPartitionAssignor,)

    async def report() -> None:
        await exit_on_failure(publish_reports(sink, publisher))

    app.at_once.append(report)
    run_app(app, publisher, *(() if health is None else (HealthService(health, app.health_status),)))


async def publish_reports(sink: Sink, publisher: Publisher) -> None:
    """Publish what people reported, for ever: at least once, and known by its id to whoever reads it.

    Raises:
        StoppedError: Kafka or the database does not answer.
    """
    while True:
        rows = await with_deadline(ask_database(sink.unsent_outcomes, REPORT_ROWS), "outcomes were not read")
        if rows:
            messages = [OutputRecord(OUTCOMES, subscriber_id.encode(), body) for _, subscriber_id, body in rows]
            await with_deadline(publisher.publish(messages), "an outcome was not confirmed")
            sent = [event_id for event_id, _, _ in rows]
            await with_deadline(
                ask_database(sink.note_outcomes_sent, sent, int(time() * 1000)),
                "the database did not end a transaction",
            )
        if len(rows) < REPORT_ROWS:
            await asyncio.sleep(REPORT_S)

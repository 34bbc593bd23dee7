"""`forewarn notifier`: from Kafka's alerts into the database of the sink."""

from typing import Any

import click

from streams.cli.options import db_option, examples, running_options, workers_options
from streams.cli.shared import settings_of


@click.command(
    short_help="Take Kafka's alerts into the database.",
    epilog=examples(
        "forewarn notifier --kafka 127.0.0.1:9092 --db postgresql+psycopg://forewarn@127.0.0.1/forewarn",
        "forewarn notifier --prefix staging. --db alerts.db --health 8080",
    ),
)
@workers_options
@db_option
@running_options
@click.pass_context
def notifier(
    context: click.Context,
    /,
    kafka: str | None,
    prefix: str | None,
    db: str | None,
    **running: Any,  # noqa: ANN401 - what the shared options add; `ServiceOptions` has their types
) -> None:
    """Read the topic of alerts, and write each alert and what endpoints are to be told of it, once.

    Where it stands in the topic is written in the same transaction, so it may be killed at any time, several may run,
    and a topic that is read again adds nothing.  What people reported goes from the database to the topic of outcomes.
    `forewarn dispatcher` sends what is due.  It ends with the exit codes of a worker: start it again.
    """
    from streams.app import notifier as notifier_app
    from streams.app import services

    settings = settings_of(context, kafka=kafka, kafka_prefix=prefix, database=db)
    notifier_app.notify(settings, services.ServiceOptions(**running))

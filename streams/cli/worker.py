"""`forewarn worker`: one worker of the distributed engine."""

from pathlib import Path
from typing import Any

import click

from streams.cli.options import examples, policy_option, running_options, workers_options
from streams.cli.shared import settings_of


@click.command(
    short_help="Work on Kafka's topics: one worker of many.",
    epilog=examples(
        "forewarn worker --kafka 127.0.0.1:9092",
        "forewarn worker --prefix staging. --policy cautious.toml",
        "forewarn worker --health 0.0.0.0:8080",
        "forewarn worker --store /var/lib/forewarn",
    ),
)
@workers_options
@policy_option
@running_options
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where waiting snapshots lie, and packed the states that are not open: a folder, or `memory`."
    "  [default: the folder of temporary files]",
)
@click.option(
    "--open-max",
    type=click.IntRange(1),
    metavar="N",
    help="How many states of a partition are open.  [default: 50,000 where --store names a folder, else all]",
)
@click.pass_context
def worker(
    context: click.Context,
    /,
    kafka: str | None,
    prefix: str | None,
    policy: Path | None,
    **running: Any,  # noqa: ANN401 - what the shared options add; `ServiceOptions` has their types
) -> None:
    """Read the input topics, keep the state of every subscriber, and write alerts, examples and dead letters.

    Start as many workers as there is work for, up to the number of partitions; each may be killed at any time, and the
    others go on from its last write.  A worker ends with 65 when bad records flood it, 70 on a broken invariant, 74
    when the log cannot be written or read or another worker has taken over, and 75 when nothing moves although it
    should: start it again.
    """
    from streams.app import services

    settings = settings_of(context, kafka=kafka, kafka_prefix=prefix, policy=policy)
    services.work(settings, services.ServiceOptions(**running))

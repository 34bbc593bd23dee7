"""`forewarn trainer`: the one learner of the distributed engine."""

from pathlib import Path
from typing import Any

import click

from streams.cli.options import examples, policy_option, running_options, workers_options
from streams.cli.shared import settings_of


@click.command(
    short_help="Learn from Kafka's examples; one at a time.",
    epilog=examples("forewarn trainer --kafka 127.0.0.1:9092", "forewarn trainer --prefix staging. --session 60"),
)
@workers_options
@policy_option
@running_options
@click.pass_context
def trainer(
    context: click.Context,
    /,
    kafka: str | None,
    prefix: str | None,
    policy: Path | None,
    **running: Any,  # noqa: ANN401 - what the shared options add; `ServiceOptions` has their types
) -> None:
    """Read the examples that the workers write, learn from them in their order, and publish model versions.

    A second trainer waits until the first one is gone.  Each may be killed at any time: the versions are those of a
    trainer that was left alone, to the last bit.  A policy matters when a trainer begins: how it learns is part of what
    it keeps.  The trainer ends with the exit codes of a worker, and is to be started again as one is.
    """
    from streams.app import services

    settings = settings_of(context, kafka=kafka, kafka_prefix=prefix, policy=policy)
    services.train(settings, services.ServiceOptions(**running))

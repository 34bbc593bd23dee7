"""`forewarn trainer`: the one learner of the distributed engine."""

from pathlib import Path

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
    kafka: str | None,
    prefix: str | None,
    application: str,
    policy: Path | None,
    session_s: float,
    flood_run: int,
    flood_ratio: float,
    health: tuple[str, int] | None,
    *,
    accept_expired: bool,
) -> None:
    """Read the examples that the workers write, learn from them in their order, and publish model versions.

    A second trainer waits until the first one is gone.  Each may be killed at any time: the versions are those of a
    trainer that was left alone, to the last bit.  A policy matters when a trainer begins: how it learns is part of what
    it keeps.  The trainer ends with the exit codes of a worker, and is to be started again as one is.
    """
    from streams import bootstrap_kafka

    settings = settings_of(context, kafka=kafka, kafka_prefix=prefix, policy=policy)
    bootstrap_kafka.train(
        settings,
        application=application,
        session_s=session_s,
        flood=(flood_ratio, flood_run),
        accepts_expired=accept_expired,
        health=health,
    )

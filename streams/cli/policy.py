"""`forewarn policy`: the policy that all workers take from Kafka."""

from pathlib import Path

import click

from streams.cli.groups import CommandGroup
from streams.cli.options import TIMES, MomentParam, examples, json_option, kafka_option, prefix_option
from streams.cli.output import note, write_lines
from streams.cli.shared import settings_of


@click.group(
    cls=CommandGroup,
    short_help="Publish a policy to all workers.",
    epilog=examples("forewarn policy publish cautious.toml --kafka 127.0.0.1:9092"),
)
def policy() -> None:
    """Publish a policy to all workers.

    What a policy decides is explained in streams/defaults/policy.toml.  A worker that was started with --policy, or
    with the setting of that name, keeps the one that it was given.
    """


@policy.command(
    short_help="Check a policy file and publish it.",
    epilog=examples(
        "forewarn policy publish cautious.toml", "forewarn policy publish summer.toml --from 2026-06-01 --json"
    ),
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
@click.option(
    "--from",
    "from_ms",
    type=MomentParam(),
    metavar="TIME",
    help=f"Serve from this event time, and not at once.  {TIMES}",
)
@kafka_option
@prefix_option
@json_option
@click.pass_context
def publish(
    context: click.Context, file: Path, from_ms: int | None, kafka: str | None, prefix: str | None, as_json: bool
) -> None:
    """Check a TOML file as `--policy` does, lay it over the default policy, and publish the whole.

    Every worker takes it within a second or so, and a worker that is started later begins with it.  The policy that was
    published last serves; with --from it does so for what happened at that time or later.
    """
    from streams.app import publications

    settings = settings_of(context, kafka=kafka, kafka_prefix=prefix)
    published = publications.publish_policy(settings, file, from_ms)
    if as_json:
        write_lines([{"version": published.version, "from_ms": from_ms}])
    else:
        note(f"Published {published.version} at {settings.kafka}.")

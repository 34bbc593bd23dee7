"""`forewarn topics`: Kafka's topics made, checked and described."""

import click

from streams.cli.groups import CommandGroup
from streams.cli.options import examples, json_option, workers_options
from streams.cli.output import new_table, note, show, write_lines
from streams.cli.shared import settings_of
from streams.core.times import DAY_MS

WRONG = 1
_FIRST = "forewarn topics create --kafka 127.0.0.1:9092 --partitions 8"


@click.group(
    cls=CommandGroup,
    short_help="Make, check or describe Kafka's topics.",
    epilog=examples(
        _FIRST,
        "forewarn topics check --json",
        "forewarn topics describe --prefix staging.",
    ),
)
def topics() -> None:
    """Make, check or describe the topics that Forewarn reads and writes on Kafka.

    What a topic has to be like is in schemas/topics/.  The address, the prefix of all names, encryption and identity
    are settings (FOREWARN_KAFKA, FOREWARN_KAFKA_PREFIX, ...); a user and a password are settings only.
    """


@topics.command(
    short_help="Make the topics that are missing.",
    epilog=examples(_FIRST, "forewarn topics create --partitions 64 --replication 3"),
)
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    default=8,
    show_default=True,
    metavar="N",
    help="Of each input and of the workers' changelog.  More cannot be had later without a new prefix.",
)
@click.option(
    "--replication",
    type=click.IntRange(1, 32),
    default=1,
    show_default=True,
    metavar="N",
    help="How many brokers hold each record: 3 where it matters.",
)
@workers_options
@json_option
@click.pass_context
def create(
    context: click.Context,
    partitions: int,
    replication: int,
    kafka: str | None,
    prefix: str | None,
    application: str,
    as_json: bool,
) -> None:
    """Make the topics that are missing, and leave those that exist as they are: may be repeated."""
    from streams.app import topic_admin

    settings = settings_of(context, kafka=kafka, kafka_prefix=prefix)
    made = topic_admin.create_topics(settings, partitions=partitions, replication=replication, application=application)
    if as_json:
        write_lines(made)
        return
    table = new_table(f"Topics at {settings.kafka}")
    table.add_column("topic", style="cyan", no_wrap=True)
    table.add_column("")
    table.add_column("partitions", justify="right")
    for one in made:
        table.add_row(one.topic, one.outcome, str(one.partitions))
    show(table)
    note("Next: forewarn topics check" + _again(context))


@topics.command(
    short_help="Say what is wrong with the topics.",
    epilog=examples("forewarn topics check", "forewarn topics check --json | jq .topic"),
)
@click.option(
    "--sample",
    type=click.IntRange(min=0),
    default=200,
    show_default=True,
    metavar="N",
    help="How many of the newest records of each partition to look at for keys that are in the wrong place.",
)
@workers_options
@json_option
@click.pass_context
def check(
    context: click.Context, sample: int, kafka: str | None, prefix: str | None, application: str, as_json: bool
) -> None:
    """Say what is wrong with the topics, one line for each thing, and end with exit code 1 if there is any.

    Looked at are: topics that are missing, inputs with different numbers of partitions, cleanup.policy, retention.ms,
    max.message.bytes and min.insync.replicas, and the newest records of each input, to see whether their producers
    use the subscriber_id as key and murmur2 to place it.
    """
    from streams.app import topic_admin

    settings = settings_of(context, kafka=kafka, kafka_prefix=prefix)
    problems = topic_admin.check_topics(settings, application=application, sample=sample)
    if as_json:
        write_lines(problems)
    else:
        for problem in problems:
            click.echo(problem.words())
        if not problems:
            note("The topics are as they should be.")
    if problems:
        context.exit(WRONG)


@topics.command(
    short_help="Show the topics as they are.",
    epilog=examples("forewarn topics describe", "forewarn topics describe --json | jq .records"),
)
@workers_options
@json_option
@click.pass_context
def describe(context: click.Context, kafka: str | None, prefix: str | None, application: str, as_json: bool) -> None:
    """Show the topics as they are: partitions, replicas, how long records are kept, and about how many there are."""
    from streams.app import topic_admin

    settings = settings_of(context, kafka=kafka, kafka_prefix=prefix)
    states = topic_admin.describe_topics(settings, application=application)
    if as_json:
        write_lines(states)
        return
    table = new_table(f"Topics at {settings.kafka}")
    table.add_column("topic", style="cyan", no_wrap=True)
    for name in ("partitions", "replicas"):
        table.add_column(name, justify="right")
    table.add_column("kept")
    table.add_column("records, at most", justify="right")
    for state in states:
        retention = _retention(state.settings.get("cleanup.policy", ""), state.settings.get("retention.ms", ""))
        table.add_row(state.topic, str(state.partitions), str(state.replication), retention, f"{state.records:,}")
    show(table)
    if not states:
        note("There are none: forewarn topics create" + _again(context))


def _retention(cleanup: str, retention_ms: str) -> str:
    """Return how long records are kept, in words.

    >>> _retention("compact", "-1"), _retention("delete", "15552000000"), _retention("delete", "-1")
    ('the last of each key', '180 days', 'for ever')
    """
    if cleanup == "compact":
        return "the last of each key"
    retention = "for ever" if retention_ms == "-1" else f"{int(retention_ms) / DAY_MS:g} days"
    return retention if cleanup == "delete" else f"the last of each key, {retention}"


def _again(context: click.Context) -> str:
    """Return the options of this call that the next command needs as well."""
    given = (("--kafka", "kafka"), ("--prefix", "prefix"))
    return "".join(f" {option} {context.params[name]}" for option, name in given if context.params[name])

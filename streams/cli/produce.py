"""`forewarn produce`: records from files to Kafka's topics."""

from typing import Literal

import click

from streams.cli.options import examples, json_option, kafka_option, prefix_option
from streams.cli.output import note, show_facts, write_lines
from streams.cli.progress import progress_bar, shows_progress
from streams.cli.shared import settings_of
from streams.cli.summary import counts


@click.command(
    short_help="Send records from files to Kafka.",
    epilog=examples(
        "forewarn produce operator --kafka 127.0.0.1:9092",
        "forewarn produce usage.jsonl.gz top-ups.jsonl.gz --rate 500",
        "zcat dump.jsonl.gz | forewarn produce - --topic usage --prefix staging.",
    ),
)
@click.argument("places", nargs=-1, required=True, metavar="DIR|FILE|-...", type=click.Path(allow_dash=True))
@click.option("--topic", metavar="NAME", help="The topic of files that are not named after one, or of standard input.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Records a second; without it all at once."
)
@click.option("--keep-bad", is_flag=True, help="Send lines without a readable subscriber_id too, without a key.")
@click.option(
    "--stamp",
    type=click.Choice(["event", "sending"]),
    default="event",
    show_default=True,
    help="Whether Kafka dates a record, and later deletes it, by its event time or by the moment of sending.",
)
@kafka_option
@prefix_option
@json_option
@click.pass_context
def produce(
    context: click.Context,
    places: tuple[str, ...],
    topic: str | None,
    rate: float | None,
    keep_bad: bool,
    stamp: Literal["event", "sending"],
    kafka: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Send records to their topics on Kafka, in the order of event time over all files, keyed by subscriber.

    Files and folders are read as `forewarn run` reads them.  Every record is confirmed by all replicas before the
    command ends.  A line is sent as it stands; one that has no readable subscriber_id ends the command, with its file
    and number, unless --keep-bad sends it without a key.  To send records twice does no harm: they are known by
    their ids.
    """
    from streams.app import producing

    settings = settings_of(context, kafka=kafka, kafka_prefix=prefix)
    with progress_bar("Sending", drawn=shows_progress(settings.progress, as_json=as_json)) as show_progress:
        sent = producing.produce(
            settings, places, topic=topic, rate=rate, keep_bad=keep_bad, stamp=stamp, progress=show_progress
        )
    if as_json:
        write_lines([sent])
        return
    total = sum(sent.records.values())
    unusable = f"{sent.unusable:,}, of which {sent.without_key:,} have no key" if sent.unusable else "0"
    show_facts(
        f"Sent to {settings.kafka}",
        [
            ("records", f"{total:,}  ({counts(sent.records)})" if total else "0"),
            ("will be refused", unusable),
            ("speed", f"{sent.records_per_s:,.0f} records a second, {sent.elapsed_s:,.1f} s"),
        ],
    )
    note("Next: forewarn topics describe" + (f" --prefix {settings.kafka_prefix}" if settings.kafka_prefix else ""))

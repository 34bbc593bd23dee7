"""`forewarn dead-letters`: what could not be used, looked at and sent again."""

from typing import TYPE_CHECKING, get_args

import click

from streams.cli.groups import CommandGroup
from streams.cli.options import TIMES, F, MomentParam, examples, json_option, kafka_option, limit_option, prefix_option
from streams.cli.output import new_table, note, show, show_facts, write_lines
from streams.cli.shared import settings_of
from streams.cli.summary import counts
from streams.core.contracts.effects import DeadLetterReason
from streams.core.contracts.outputs import REDRIVEN

if TYPE_CHECKING:
    from streams.app.redrives import DeadLetterFilter

ROWS = 50


def which_options(command: F) -> F:
    """Add `--reason`, `--topic` and `--since`: which letters are meant."""
    command = click.option(
        "--since",
        "since_ms",
        type=MomentParam(),
        metavar="TIME",
        help=f"Only letters written at this time or later.  {TIMES}",
    )(command)
    command = click.option(
        "--topic",
        "topics",
        type=click.Choice(REDRIVEN),
        multiple=True,
        metavar="NAME",
        help="Only records of this topic.  May be repeated.",
    )(command)
    return click.option(
        "--reason",
        "reasons",
        type=click.Choice(get_args(DeadLetterReason)),
        multiple=True,
        metavar="REASON",
        help="Only letters for this reason.  May be repeated.",
    )(command)


@click.group(
    "dead-letters",
    cls=CommandGroup,
    short_help="List bad records, or send them again.",
    epilog=examples(
        "forewarn dead-letters list --reason unknown_field",
        "forewarn dead-letters redrive --topic usage --since 2025-06-01 --dry-run",
    ),
)
def dead_letters() -> None:
    """List the records on Kafka that could not be used, or send them again once the cause is mended.

    A dead letter holds the bytes of a record, with the reason and where it came from, and is kept for 7 days.
    """


@dead_letters.command(
    "list",
    short_help="List dead letters.",
    epilog=examples(
        "forewarn dead-letters list --topic usage --since 2025-06-01",
        "forewarn dead-letters list --all --json | jq -r .reason | sort | uniq -c",
    ),
)
@which_options
@click.option("--all", "with_sent", is_flag=True, help="Also those that were sent again.")
@limit_option(ROWS)
@kafka_option
@prefix_option
@json_option
@click.pass_context
def list_(
    context: click.Context,
    reasons: tuple[str, ...],
    topics: tuple[str, ...],
    since_ms: int | None,
    limit: int | None,
    kafka: str | None,
    prefix: str | None,
    *,
    with_sent: bool,
    as_json: bool,
) -> None:
    """List dead letters up to this moment, without the bytes of their records, which may hold personal data."""
    from streams.app import redrives

    settings = settings_of(context, kafka=kafka, kafka_prefix=prefix)
    wanted = _filter(reasons, topics, since_ms, with_sent=with_sent)
    found = redrives.dead_letters(settings, wanted)
    shown = found[: (limit if limit is not None else len(found) if as_json else ROWS) or len(found)]
    if as_json:
        write_lines(shown)
        return
    table = new_table(f"Dead letters at {settings.kafka}")
    table.add_column("written", no_wrap=True)
    table.add_column("topic/partition/offset", style="cyan")
    table.add_column("redrives", justify="right")
    table.add_column("reason", no_wrap=True)
    table.add_column("detail")
    for letter in shown:
        place = f"{letter.topic}/{letter.partition}/{letter.offset}"
        detail = f"(sent again) {letter.detail}" if letter.is_sent_again else letter.detail
        table.add_row(letter.written_at[:19], place, str(letter.redrives), letter.reason, detail)
    show(table)
    if len(shown) < len(found):
        note(f"{len(found) - len(shown):,} more: --limit 0 shows all")


@dead_letters.command(
    short_help="Send records of dead letters again.",
    epilog=examples(
        "forewarn dead-letters redrive --reason unknown_field --dry-run",
        "forewarn dead-letters redrive --reason unknown_field --limit 10",
    ),
)
@which_options
@click.option(
    "--max-redrives",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    metavar="N",
    help="Leave out records that were sent again so often before.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Send N records at most.")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@kafka_option
@prefix_option
@json_option
@click.pass_context
def redrive(
    context: click.Context,
    reasons: tuple[str, ...],
    topics: tuple[str, ...],
    since_ms: int | None,
    max_redrives: int,
    limit: int | None,
    kafka: str | None,
    prefix: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send records of dead letters again: their own bytes, under their own key, to the partition they came from.

    Mend the cause first: what is still bad becomes a dead letter again, and a flood of bad records stops the workers.
    What was sent is noted in the same transaction, so give the same command again after an interruption: no letter is
    sent twice.  Each record carries the header `redrives`, one higher than before.
    """
    from streams.app import redrives

    settings = settings_of(context, kafka=kafka, kafka_prefix=prefix)
    wanted = _filter(reasons, topics, since_ms)
    done = redrives.redrive(settings, wanted, redrives_max=max_redrives, limit=limit, dry_run=dry_run)
    if as_json:
        write_lines([done])
        return
    total, left_out = sum(done.sent.values()), sum(done.refused.values())
    words = {
        "too_often": f"sent again {max_redrives} times before",
        "too_large": "too large to be whole",
        "no_such_partition": "from a partition that there is no more",
    }
    why = ", ".join(f"{count:,} {words[refusal]}" for refusal, count in done.refused.items())
    show_facts(
        f"{'Would be sent' if dry_run else 'Sent'} again at {settings.kafka}",
        [
            ("records", f"{total:,}  ({counts(done.sent)})" if total else "0"),
            ("left out", f"{left_out:,}  ({why})" if left_out else "0"),
        ],
    )


def _filter(
    reasons: tuple[str, ...], topics: tuple[str, ...], since_ms: int | None, *, with_sent: bool = False
) -> "DeadLetterFilter":
    from streams.app import redrives

    return redrives.DeadLetterFilter(
        reasons=frozenset(reasons) or None, topics=frozenset(topics) or None, since_ms=since_ms, with_sent=with_sent
    )

"""`forewarn run`: events in, alerts and state into the database, a summary out."""

from pathlib import Path

import click

from streams.cli.options import db_option, examples, input_option, json_option, policy_option, until_option
from streams.cli.output import note, write_lines
from streams.cli.progress import progress_bar, shows_progress
from streams.cli.shared import settings_of
from streams.cli.summary import show_summary
from streams.words.catalogues import catalogue


@click.command(
    short_help="Read events, learn, and open alerts.",
    epilog=examples(
        "forewarn run --input operator --db alerts.db",
        "forewarn run --input operator --db alerts.db --until 2025-06-01",
        "forewarn run --input usage.jsonl.gz --db alerts.db",
        "zcat dump.jsonl.gz | forewarn run --input - --db alerts.db --json",
    ),
)
@input_option(
    required=True,
    help="A folder of <topic>.jsonl files (also .gz, .zst, or sub-folders of partitions), one such file, or - for "
    'standard input, whose lines are {"topic": ..., "value": {...}} unless --topic names one.',
)
@db_option
@until_option
@policy_option
@click.option("--topic", metavar="NAME", help="The topic of a single file or of standard input.")
@json_option
@click.pass_context
def run(
    context: click.Context,
    input_: str,
    db: str | None,
    until_ms: int | None,
    policy: Path | None,
    topic: str | None,
    as_json: bool,
) -> None:
    """Read events in the order of their time, keep every subscriber's state, learn, and open alerts.

    The database holds alerts, state and how far the input was read, each step in one transaction.  A run that
    was stopped or killed goes on where it stood when the same command is given again, and ends with the same
    alerts; a run that had ended reads only what was added since.
    """
    from streams.app import runs
    from streams.app.contact import contact_rules

    settings = settings_of(context, database=db, policy=policy)
    with progress_bar("Reading", drawn=shows_progress(settings.progress, as_json=as_json)) as show:
        summary = runs.run(
            input_,
            settings.database,
            until_ms=until_ms,
            policy_path=settings.policy,
            topic=topic,
            progress=show,
            rules=contact_rules(settings),
        )
    if as_json:
        write_lines([summary])
        return
    show_summary(summary, catalogue(settings.language))
    note(f"Next: forewarn alerts --db {settings.database}")

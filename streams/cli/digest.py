"""`forewarn digest`: what each account manager is told once a day."""

import click

from streams.cli.options import TIMES, MomentParam, db_option, examples, json_option
from streams.cli.output import note, write_lines
from streams.cli.shared import settings_of


@click.command(
    short_help="Tell account managers about their alerts.",
    epilog=examples(
        "forewarn digest --db alerts.db",
        "forewarn digest --db alerts.db --send",
        "forewarn digest --db alerts.db --manager am_007 --at 2025-06-01T07:30:00Z --json",
    ),
)
@db_option
@click.option(
    "--at",
    "at_ms",
    type=MomentParam(),
    metavar="TIME",
    help=f"The moment at which it is told.  {TIMES}  [default: now]",
)
@click.option("--manager", "managers", multiple=True, metavar="ID", help="Only this one; may be repeated.")
@click.option("--send", is_flag=True, help="Send each by mail, and to the chat of those who have one.")
@click.option(
    "--top", type=click.IntRange(1, 100), default=10, show_default=True, metavar="N", help="Alerts in each section."
)
@json_option
@click.pass_context
def digest(
    context: click.Context,
    db: str | None,
    at_ms: int | None,
    managers: tuple[str, ...],
    send: bool,
    top: int,
    as_json: bool,
) -> None:
    """Print, or send, one digest for each account manager of the contact rules who has something to be told.

    What is new, worse, overdue or due today, what recovered or was closed since the last one, and what a day could not
    hold; the dearest first.  A digest of a day is sent once, however often the command is given.
    """
    from streams.app import digest as digest_app

    settings = settings_of(context, database=db)
    found = digest_app.digests(settings, at_ms=at_ms, managers=managers, top=top, send=send)
    if as_json:
        write_lines(one.as_json for one in found)
    elif not send:
        for one in found:
            click.echo(f"To: {one.manager}\n\n{one.text}")
    if not found:
        note("Nobody has to be told anything.")
        return
    if send:
        for one in found:
            note(f"{one.manager}: {', '.join(one.went) or 'nothing sent'}")
        digest_app.refuse_unsent(found)

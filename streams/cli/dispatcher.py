"""`forewarn dispatcher`: sends what endpoints are to be told."""

import click
import msgspec

from streams.cli.options import ListenAddressParam, db_option, examples, json_option
from streams.cli.output import note, write_lines
from streams.cli.shared import settings_of


@click.command(
    short_help="Send what endpoints are to be told.",
    epilog=examples(
        "forewarn dispatcher --db alerts.db --once",
        "forewarn dispatcher --db postgresql+psycopg://forewarn@127.0.0.1/forewarn --health 8080",
        "forewarn dispatcher --db alerts.db --endpoint crm --warn-endpoint ops",
    ),
)
@db_option
@click.option("--once", is_flag=True, help="Send what is due now, and end; what is tried again later is left.")
@click.option("--endpoint", "names", multiple=True, metavar="NAME", help="Only these; may be repeated.")
@click.option(
    "--warn-endpoint",
    metavar="NAME",
    help="Tell this endpoint, of the preset standard, when another one fails, recovers or is disabled.",
)
@click.option(
    "--health", type=ListenAddressParam(), metavar="[HOST:]PORT", help="Answer GET /live and GET /ready there."
)
@json_option
@click.pass_context
def dispatcher(
    context: click.Context,
    db: str | None,
    names: tuple[str, ...],
    warn_endpoint: str | None,
    health: tuple[str, int] | None,
    *,
    once: bool,
    as_json: bool,
) -> None:
    """Send what is due to endpoints, in the order of each alert, and try again what was not taken.

    Several may run on one database, and any may be killed: what it was sending is sent again with the same ids when
    its lease has ended.  SIGTERM and Ctrl-C let it finish what is under way.  What receivers refused is in the summary
    and in `forewarn deliveries list`; the command itself ends with 0.
    """
    from streams.app import dispatcher as dispatcher_app

    tally = dispatcher_app.dispatch(
        settings_of(context, database=db), once=once, names=names, warn_endpoint=warn_endpoint, health=health
    )
    if as_json:
        write_lines([tally])
        return
    counts = msgspec.structs.asdict(tally)
    waiting = counts.pop("waiting")
    said = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count) or "nothing was due"
    note(f"{said}; {waiting:,} waiting")

"""`forewarn deliveries`: what endpoints were told, or were not, and sending it again."""

from typing import get_args

import click

from streams.cli.groups import CommandGroup
from streams.cli.options import TIMES, MomentParam, db_option, examples, json_option, limit_option, until_option
from streams.cli.output import new_table, note, show, show_facts, write_lines
from streams.cli.shared import settings_of
from streams.core.notify.endpoints import DeliveryState

ROWS = 50


@click.group(
    cls=CommandGroup,
    short_help="What was told: list, show, resend.",
    epilog=examples(
        "forewarn deliveries list --db alerts.db --state failed",
        "forewarn deliveries recover --endpoint crm --since 2025-06-01T02:00:00Z --until 2025-06-01T12:00:00Z",
    ),
)
def deliveries() -> None:
    """Look at what endpoints were told and what became of it, and let it be sent again.

    What was not sent stands there too, with the reason: held back (suppressed), outdated by a later message
    (superseded), or of no use since nothing was ever told (skipped).
    """


@deliveries.command(
    "list",
    short_help="List deliveries.",
    epilog=examples(
        "forewarn deliveries list --db alerts.db --state pending --state failed",
        "forewarn deliveries list --endpoint crm --since 2025-06-01 --json | jq -r .why",
    ),
)
@click.option("--state", "states", type=click.Choice(get_args(DeliveryState)), multiple=True, help="Only these.")
@click.option("--endpoint", metavar="NAME", help="Only those of one endpoint.")
@click.option("--alert", "alert_id", metavar="ID", help="Only those of one alert.")
@click.option("--since", "since_ms", type=MomentParam(), metavar="TIME", help=f"Made at this time or later.  {TIMES}")
@click.option("--until", "until_ms", type=MomentParam(), metavar="TIME", help=f"Made before this time.  {TIMES}")
@limit_option(ROWS)
@db_option
@json_option
@click.pass_context
def list_(
    context: click.Context,
    states: tuple[str, ...],
    endpoint: str | None,
    alert_id: str | None,
    since_ms: int | None,
    until_ms: int | None,
    limit: int | None,
    db: str | None,
    *,
    as_json: bool,
) -> None:
    """List deliveries, the newest first."""
    from streams.app import deliveries as deliveries_app

    most = (limit if limit is not None else None if as_json else ROWS) or None
    found = deliveries_app.deliveries(
        settings_of(context, database=db),
        states=states,
        endpoint=endpoint,
        alert_id=alert_id,
        since_ms=since_ms,
        until_ms=until_ms,
        limit=most,
    )
    if as_json:
        write_lines(map(deliveries_app.printable, found))
        return
    table = new_table("Deliveries")
    for column in ("delivery", "endpoint", "message", "state", "attempts", "made", "why"):
        table.add_column(column, style="cyan" if column == "delivery" else None, no_wrap=column in {"delivery", "made"})
    for row in found:
        made = deliveries_app.printable(row)["created_at"][:19]
        table.add_row(row.delivery_id[:14], row.endpoint, row.type, row.state, str(row.attempts), made, row.why)
    show(table)
    if most is not None and len(found) == most:
        note("There may be more: --limit 0 shows all")


@deliveries.command(
    "show", short_help="Show one delivery.", epilog=examples("forewarn deliveries show d_3dba4c --db alerts.db")
)
@click.argument("delivery_id", metavar="ID")
@db_option
@json_option
@click.pass_context
def show_(context: click.Context, delivery_id: str, db: str | None, *, as_json: bool) -> None:
    """Show a delivery with all its attempts; the beginning of its id is enough."""
    from streams.app import deliveries as deliveries_app

    row, attempts = deliveries_app.delivery(settings_of(context, database=db), delivery_id)
    shown, tries = deliveries_app.printable(row), [deliveries_app.printable(attempt) for attempt in attempts]
    if as_json:
        write_lines([shown | {"attempts_made": tries}])
        return
    show_facts(f"Delivery {row.delivery_id}", [(name, str(value)) for name, value in shown.items()])
    table = new_table("Attempts")
    for column in ("attempt", "began_at", "took_ms", "status", "outcome", "why", "answer"):
        table.add_column(column)
    for one in tries:
        table.add_row(*(str("" if value is None else value) for value in one.values()))
    show(table)


@deliveries.command(
    short_help="Send one delivery again.", epilog=examples("forewarn deliveries resend d_3dba4c --db alerts.db")
)
@click.argument("delivery_id", metavar="ID")
@db_option
@json_option
@click.pass_context
def resend(context: click.Context, delivery_id: str, db: str | None, *, as_json: bool) -> None:
    """Let a delivery be sent again with the same ids, so that a receiver that has it knows it."""
    from streams.app import deliveries as deliveries_app

    row = deliveries_app.resend(settings_of(context, database=db), delivery_id)
    if as_json:
        write_lines([deliveries_app.printable(row)])
    else:
        note(f"Delivery {row.delivery_id} is {row.state}: the dispatcher sends it.")


@deliveries.command(
    short_help="Send again what failed between two times.",
    epilog=examples("forewarn deliveries recover --endpoint crm --since 2025-06-01T02:00:00Z --db alerts.db"),
)
@click.option("--endpoint", required=True, metavar="NAME", help="Whose.")
@click.option(
    "--since",
    "since_ms",
    type=MomentParam(),
    required=True,
    metavar="TIME",
    help=f"Made at this time or later.  {TIMES}",
)
@until_option
@db_option
@json_option
@click.pass_context
def recover(
    context: click.Context, endpoint: str, since_ms: int, until_ms: int | None, db: str | None, *, as_json: bool
) -> None:
    """Let what failed, expired or hangs be sent again: of each alert the newest message, since it says all."""
    from streams.app import deliveries as deliveries_app

    count = deliveries_app.recover(settings_of(context, database=db), endpoint, since_ms, until_ms)
    if as_json:
        write_lines([{"endpoint": endpoint, "recovered": count}])
    else:
        note(f"{count:,} deliveries are sent again by the dispatcher.")

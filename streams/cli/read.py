"""Commands that read a database: the alerts in it, and every subscriber's probability at a moment."""

from heapq import nlargest
from itertools import islice
from typing import get_args

import click

from streams.cli.alert_table import alert_json, alert_table
from streams.cli.glyphs import bar
from streams.cli.options import at_option, db_option, examples, json_option, language_option, limit_option
from streams.cli.output import new_table, note, show, write_lines
from streams.cli.progress import progress_bar, shows_progress
from streams.cli.shared import settings_of
from streams.cli.words import BANDS, moment, percent
from streams.core.contracts.effects import ChurnKind, Stage
from streams.core.contracts.outputs import rfc3339
from streams.words.catalogues import catalogue

ROWS = 25


@click.command(
    short_help="List the alerts as they stand.",
    epilog=examples(
        "forewarn alerts --db alerts.db",
        "forewarn alerts --db alerts.db --state firing --band critical --band high",
        "forewarn alerts --db alerts.db --stage lapsed",
        "forewarn alerts --db alerts.db --language zh",
        "forewarn alerts --db alerts.db --json | jq -r 'select(.probability > 0.5) | .alert_id'",
    ),
)
@db_option
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["pending", "firing", "resolved"]),
    help="Only alerts in this state; may be repeated.",
)
@click.option("--band", "bands", multiple=True, type=click.Choice(BANDS), help="Only this risk band; may be repeated.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(get_args(ChurnKind)),
    help="Only this kind; may be repeated.",
)
@click.option(
    "--stage",
    "stages",
    multiple=True,
    type=click.Choice(get_args(Stage)),
    help="Only those who asked to leave, are at risk or have lapsed; may be repeated.",
)
@click.option(
    "--held-out", is_flag=True, help="Those of the held-out subscribers instead, of whom nobody is to be told."
)
@limit_option(ROWS)
@language_option
@json_option
@click.pass_context
def alerts(
    context: click.Context,
    db: str | None,
    states: tuple[str, ...],
    bands: tuple[str, ...],
    kinds: tuple[str, ...],
    stages: tuple[str, ...],
    held_out: bool,
    limit: int | None,
    language: str | None,
    as_json: bool,
) -> None:
    """List the alerts that have fired, as they stand: those that still fire and have most at stake first.

    An alert that is pending (its risk has not yet held for long enough) is listed only when --state asks for it.
    """
    from streams.app import alert_lists

    settings = settings_of(context, database=db, language=language)
    wanted = _rows(limit, as_json=as_json)
    found = alert_lists.alerts(
        settings.database,
        states or None,
        bands or None,
        kinds or None,
        limit=wanted,
        stages=stages or None,
        held_out=held_out,
    )
    shown = found.rows
    if as_json:
        write_lines(
            alert_json(row.latest)
            | {"fired_at": None if row.fired_at_ms is None else rfc3339(row.fired_at_ms), "changes": row.changes}
            for row in shown
        )
        return
    words = catalogue(settings.language)
    if not shown:
        note(words.around["no_alerts"])
        return
    show(alert_table([row.latest for row in shown], words))
    if len(shown) < found.total:
        note(words.around["some_alerts"].format(shown=len(shown), all=found.total))
    command = f"forewarn explain {shown[0].latest.alert_id} --db {settings.database}"
    note(words.around["why_next"].format(command=command))


@click.command(
    short_help="Give everyone's probability at a moment.",
    epilog=examples(
        "forewarn scores --db alerts.db --at 2025-06-01 --json",
        "forewarn scores --db alerts.db --at 2025-06-01T12:00:00+02:00 --limit 50",
    ),
)
@db_option
@at_option
@limit_option(ROWS)
@json_option
@click.pass_context
def scores(context: click.Context, db: str | None, at_ms: int, limit: int | None, as_json: bool) -> None:
    """Give every subscriber's probability of leaving, seen from a moment, with the model version that gave it."""
    from streams.app import lookbacks

    settings = settings_of(context, database=db)
    with progress_bar("Scoring", drawn=shows_progress(settings.progress, as_json=as_json)) as report:
        rows = lookbacks.scores(settings.database, at_ms, report)
        if as_json:
            at = rfc3339(at_ms)
            write_lines(
                {
                    "subscriber_id": row.subscriber_id,
                    "at": at,
                    "probability": row.probability,
                    "model_version": row.model_version,
                }
                for row in islice(rows, _rows(limit, as_json=True))
            )
            return
        counted = list(rows)
    top = nlargest(_rows(limit, as_json=False) or len(counted), counted, key=lambda row: row.probability)
    served = ", ".join(sorted({row.model_version for row in counted}))
    table = new_table(f"{len(counted):,} subscribers at {moment(at_ms)} UTC, scored by {served or 'nothing'}")
    table.add_column("subscriber", no_wrap=True)
    table.add_column("risk", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in top:
        table.add_row(row.subscriber_id, percent(row.probability), bar(row.probability, 20))
    show(table)
    if len(top) < len(counted):
        note(f"The {len(top)} most at risk of {len(counted):,}; --limit 0 shows all.")


def _rows(limit: int | None, *, as_json: bool) -> int | None:
    """Return how many rows to give: None is all."""
    if limit is None:
        return None if as_json else ROWS
    return limit or None

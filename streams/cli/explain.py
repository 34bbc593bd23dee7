"""`forewarn explain`: one alert, the numbers behind it, and the proof that they can be computed again."""

from typing import TYPE_CHECKING

import click
import msgspec

from streams.cli.alert_table import alert_json
from streams.cli.evidence import CODES, evidence_words
from streams.cli.glyphs import signed_bar
from streams.cli.options import db_option, examples, input_option, json_option
from streams.cli.output import new_table, note, show, write_lines
from streams.cli.progress import progress_bar, wanted
from streams.cli.shared import settings_of
from streams.cli.words import BAND_STYLES, KINDS, moment, money, number, percent
from streams.core.effects import AlertChanged
from streams.errors import ForewarnError

if TYPE_CHECKING:
    from rich.table import Table

SIDE_CELLS = 10


@click.command(
    short_help="Show why an alert was opened, and prove it.",
    epilog=examples(
        "forewarn explain a_0123456789abcdef --db alerts.db",
        "forewarn explain a_0123456789abcdef --db alerts.db --input operator --json",
    ),
)
@click.argument("alert")
@db_option
@input_option(required=False, help="Where the events are now, when they are no longer where the run read them.")
@json_option
@click.pass_context
def explain(context: click.Context, alert: str, db: str | None, input_: str | None, as_json: bool) -> None:
    """Show why ALERT was opened, and fold its subscriber's records again to prove every number.

    ALERT is an alert_id as `forewarn alerts` shows it, or the beginning of one.  Ends with 1 when the numbers
    that are computed again are not those that were stored.
    """
    from streams import bootstrap

    settings = settings_of(context, database=db)
    with progress_bar("Folding again", drawn=wanted(settings.progress, as_json=as_json)) as report:
        found = bootstrap.explain(settings.database, alert, input_, report)
    if as_json:
        write_lines(
            [
                {
                    "stored": alert_json(found.stored),
                    "recomputed": None if found.recomputed is None else alert_json(found.recomputed),
                    "equal": found.equal,
                }
            ]
        )
    else:
        _show_alert(found.stored)
        note(_verdict(found.recomputed, equal=found.equal))
    if found.recomputed is not None and not found.equal:
        raise ForewarnError(
            f"folding the records again gave other numbers: {_differences(found.stored, found.recomputed)}",
            hint="the input was changed since, or this is a defect",
        )


def _show_alert(change: AlertChanged) -> None:
    from rich.markup import escape

    style = BAND_STYLES[change.band]
    show(
        f"[{style}]{percent(change.probability)} {change.band}[/]  {KINDS[change.kind]}",
        f"{change.state}; last changed {moment(change.at_ms)} UTC: {escape(change.why)}",
        f"alert {change.alert_id}, episode {change.episode} of {change.subscriber_id}, opened "
        f"{moment(change.opened_at_ms)} UTC",
        f"at stake {money(change.value_at_risk_minor, change.currency)} ({change.value_band} value), alerts from "
        f"{percent(change.threshold)}",
        f"[bold]{escape(change.action)}[/], by {moment(change.due_at_ms)} UTC",
        "",
        _reason_table(change),
        f"[dim]{change.model_version}, {change.feature_table}, {change.policy_version}, {change.schema_version}, "
        f"{change.signals_version or 'no signals'}[/]",
    )


def _reason_table(change: AlertChanged) -> "Table":
    largest = max((abs(reason.contribution) for reason in change.reasons), default=0.0)
    table = new_table()
    table.add_column("reason", style="cyan", no_wrap=True)
    table.add_column("less | more", no_wrap=True, justify="center")
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("evidence")
    for reason in change.reasons:
        if not reason.features:
            continue
        table.add_row(
            CODES.get(reason.code, reason.code),
            signed_bar(reason.contribution, largest, SIDE_CELLS),
            f"{reason.contribution:+.3f}",
            "\n".join(evidence_words(evidence, change.currency) for evidence in reason.evidence),
        )
    table.add_section()
    table.add_row("everybody", "", f"{change.intercept:+.3f}", "the intercept: where the model starts")
    table.add_row(
        "[bold]logit[/]", "", f"[bold]{change.logit:+.3f}[/]", f"a probability of {number(change.probability)}"
    )
    return table


def _verdict(recomputed: AlertChanged | None, *, equal: bool) -> str:
    if recomputed is None:
        return "Not computed again: the records are not at hand; --input names where they are."
    return "Folded again from the records: every number is the same." if equal else "Folded again: NOT the same."


def _differences(stored: AlertChanged, recomputed: AlertChanged) -> str:
    names = [
        name
        for name in (field.name for field in msgspec.structs.fields(AlertChanged))
        if getattr(stored, name) != getattr(recomputed, name)
    ]
    return ", ".join(names)

"""`forewarn explain`: one alert, the numbers behind it, and the proof that they can be computed again."""

from typing import TYPE_CHECKING

import click

from streams.cli.alert_table import alert_json
from streams.cli.glyphs import signed_bar
from streams.cli.options import db_option, examples, input_option, json_option, language_option
from streams.cli.output import new_table, note, show, write_lines
from streams.cli.progress import progress_bar, shows_progress
from streams.cli.shared import settings_of
from streams.cli.words import BAND_STYLES, number
from streams.core.contracts.decode_alert import differences
from streams.core.contracts.effects import AlertChanged
from streams.shared.errors import ForewarnError
from streams.words.catalogues import catalogue
from streams.words.phrasing import (
    action_text,
    day_text,
    evidence_text,
    moment_text,
    money_text,
    percent_text,
    reason_name,
    why_text,
)
from streams.words.wording import LanguageCatalogue

if TYPE_CHECKING:
    from rich.table import Table

SIDE_CELLS = 8


@click.command(
    short_help="Show why an alert was opened, and prove it.",
    epilog=examples(
        "forewarn explain a_0123456789abcdef --db alerts.db",
        "forewarn explain a_0123456789abcdef --db alerts.db --input operator --json",
        "forewarn explain a_0123456789abcdef --db alerts.db --language zh",
    ),
)
@click.argument("alert")
@db_option
@input_option(required=False, help="Where the events are now, when they are no longer where the run read them.")
@language_option
@json_option
@click.pass_context
def explain(
    context: click.Context, alert: str, db: str | None, input_: str | None, language: str | None, as_json: bool
) -> None:
    """Show why ALERT was opened, and fold its subscriber's records again to prove every number.

    ALERT is an alert_id as `forewarn alerts` shows it, or the beginning of one.  Ends with 1 when the numbers
    that are computed again are not those that were stored.
    """
    from streams.app import lookbacks

    settings = settings_of(context, database=db, language=language)
    with progress_bar("Folding again", drawn=shows_progress(settings.progress, as_json=as_json)) as report:
        found = lookbacks.explain(settings.database, alert, input_, report)
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
        words = catalogue(settings.language)
        _show_alert(found.stored, words)
        note(words.around[_verdict(found.recomputed, equal=found.equal)])
    if found.recomputed is not None and not found.equal:
        raise ForewarnError(
            f"folding the records again gave other numbers: {', '.join(differences(found.stored, found.recomputed))}",
            hint="the input was changed since, or this is a defect",
        )


def _show_alert(change: AlertChanged, words: LanguageCatalogue) -> None:
    from rich.markup import escape

    style, around = BAND_STYLES[change.band], words.around
    show(
        f"[{style}]{percent_text(change.probability, words)} {words.bands[change.band]}[/]  {words.kinds[change.kind]}",
        around["stands"].format(
            state=words.states[change.state],
            moment=moment_text(change.at_ms, words),
            why=escape(why_text(change, words)),
        ),
        around["identity"].format(
            alert=change.alert_id,
            episode=change.episode,
            subscriber=change.subscriber_id,
            moment=moment_text(change.opened_at_ms, words),
        ),
        around["at_stake"].format(
            money=money_text(change.value_at_risk_minor, change.currency, words),
            value_band=words.value_bands[change.value_band],
            percent=percent_text(change.threshold, words),
        ),
        around["act"].format(
            action=f"[bold]{escape(action_text(change, words))}[/]", moment=moment_text(change.due_at_ms, words)
        ),
        "",
        _reason_table(change, words),
        _comparison(change, words),
        f"[dim]{change.model_version}, {change.feature_table}, {change.policy_version}, {change.schema_version}, "
        f"{change.signals_version or around['no_signals']}[/]",
    )


def _reason_table(change: AlertChanged, words: LanguageCatalogue) -> "Table":
    around = words.around
    largest = max((abs(reason.contribution) for reason in change.reasons), default=0.0)
    table = new_table()
    table.add_column(around["reason"], style="cyan", no_wrap=True)
    table.add_column(around["less_more"], no_wrap=True, justify="center")
    table.add_column(around["share"], justify="right", no_wrap=True)
    table.add_column(around["change"], justify="right", no_wrap=True)
    table.add_column(around["evidence"], overflow="fold")
    for reason in change.reasons:
        if not reason.features and not reason.change:
            continue
        table.add_row(
            reason_name(reason.code, words),
            signed_bar(reason.contribution, largest, SIDE_CELLS),
            f"{reason.contribution:+.3f}",
            _signed_number(reason.change),
            "\n".join(evidence_text(evidence, change.currency, words) for evidence in reason.evidence),
        )
    table.add_section()
    table.add_row(around["everybody"], "", f"{change.intercept:+.3f}", "", around["intercept"])
    moves = [reason.change for reason in change.reasons if reason.change is not None]
    table.add_row(
        f"[bold]{around['logit']}[/]",
        "",
        f"[bold]{change.logit:+.3f}[/]",
        _signed_number(sum(moves) if moves else None),
        around["probability"].format(number=number(change.probability)),
    )
    return table


def _signed_number(change: float | None) -> str:
    return "" if change is None else f"{change:+.3f}"


def _comparison(change: AlertChanged, words: LanguageCatalogue) -> str:
    since_ms = next((reason.since_ms for reason in change.reasons if reason.since_ms is not None), None)
    if since_ms is None:
        return words.around["not_compared"]
    return words.around["compared"].format(day=day_text(since_ms, words))


def _verdict(recomputed: AlertChanged | None, *, equal: bool) -> str:
    if recomputed is None:
        return "not_again"
    return "same" if equal else "not_same"

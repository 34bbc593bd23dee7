"""Alerts as a table for people and as JSON for programs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from streams.cli.evidence import raising, reason_words
from streams.cli.glyphs import bar
from streams.cli.output import new_table
from streams.cli.words import BAND_STYLES, KINDS, day, moment, money, percent
from streams.core.effects import AlertChanged
from streams.core.outputs import alert_message

if TYPE_CHECKING:
    from rich.table import Table

REASONS_SHOWN: Final = 3
SUBSCRIBER_CHARS: Final = 12


def alert_json(change: AlertChanged) -> dict[str, Any]:
    """Return an alert as the published contract has it, with `at` for the time of its last change."""
    fields: dict[str, Any] = msgspec.to_builtins(alert_message(change))
    fields["at"] = fields.pop("event_time")
    return fields


def alert_table(changes: Sequence[AlertChanged]) -> "Table":
    """Return the alerts as a table: how likely, who and how much money, why, what to do and by when."""
    table = new_table()
    table.expand = True
    table.add_column("risk", no_wrap=True)
    table.add_column("subscriber", no_wrap=True)
    table.add_column("why", ratio=2)
    table.add_column("what to do", ratio=1)
    for change in changes:
        table.add_row(_risk(change), _subscriber(change), _why(change), _what_to_do(change))
        table.add_section()
    return table


def _risk(change: AlertChanged) -> str:
    style = BAND_STYLES[change.band]
    return (
        f"[{style}]{percent(change.probability):>6} {bar(change.probability, 8)}[/]\n"
        f"[{style}]{change.band}[/], {change.state}\n"
        f"[dim]since {day(change.opened_at_ms)}[/]"
    )


def _subscriber(change: AlertChanged) -> str:
    return (
        f"{change.subscriber_id[:SUBSCRIBER_CHARS]}…\n"
        f"{money(change.value_at_risk_minor, change.currency)}\n"
        f"[dim]{change.value_band} value[/]"
    )


def _why(change: AlertChanged) -> str:
    reasons = raising(change)[:REASONS_SHOWN]
    largest = reasons[0].contribution if reasons else 1.0
    lines = [
        f"[cyan]{bar(reason.contribution / largest, 4)}[/] {reason_words(reason, change.currency)}"
        for reason in reasons
    ]
    return "\n".join([f"[bold]{KINDS[change.kind]}[/]", *lines])


def _what_to_do(change: AlertChanged) -> str:
    from rich.markup import escape

    # The policy file's words are text, whatever brackets they hold.
    return f"{escape(change.action)}\n[bold]by {moment(change.due_at_ms)} UTC[/]"

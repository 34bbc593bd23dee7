"""Alerts as a table for people, in their language, and as JSON for programs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from streams.cli.glyphs import bar
from streams.cli.output import new_table
from streams.cli.words import BAND_STYLES
from streams.core.contracts.effects import AlertChanged, Reason
from streams.core.contracts.encode import alert_message
from streams.words.phrasing import action_text, day_text, moment_text, money_text, percent_text, reason_text
from streams.words.wording import LanguageCatalogue

if TYPE_CHECKING:
    from rich.table import Table

REASONS_SHOWN: Final = 3
SHARE_SHOWN: Final = 0.1
"""Of the heaviest reason: what adds less than this is left to `explain`."""

SUBSCRIBER_CHARS: Final = 12


def alert_json(change: AlertChanged) -> dict[str, Any]:
    """Return an alert as the published contract has it, with `at` for the time of its last change."""
    fields: dict[str, Any] = msgspec.to_builtins(alert_message(change))
    fields["at"] = fields.pop("event_time")
    return fields


def alert_table(changes: Sequence[AlertChanged], words: LanguageCatalogue) -> "Table":
    """Return the alerts as a table: how likely, who and how much money, why, what to do and by when."""
    around = words.around
    table = new_table()
    table.expand = True
    table.add_column(around["risk"], no_wrap=True)
    table.add_column(around["subscriber"], no_wrap=True)
    # Chinese has no blanks to break a line at.
    table.add_column(around["why"], ratio=2, overflow="fold")
    table.add_column(around["what_to_do"], ratio=1, overflow="fold")
    for change in changes:
        table.add_row(_risk(change, words), _subscriber(change, words), _why(change, words), _what_to_do(change, words))
        table.add_section()
    return table


def raising_reasons(change: AlertChanged) -> list[Reason]:
    """Return the reasons that raise the risk and can be shown, the heaviest first, without what hardly counts."""
    shown = [r for r in change.reasons if r.contribution > 0.0 and r.evidence]
    least = SHARE_SHOWN * max((r.contribution for r in shown), default=0.0)
    return sorted((r for r in shown if r.contribution >= least), key=lambda r: (-r.contribution, r.code))


def _risk(change: AlertChanged, words: LanguageCatalogue) -> str:
    style, around = BAND_STYLES[change.band], words.around
    band, state = f"[{style}]{words.bands[change.band]}[/]", words.states[change.state]
    stands = around["band_state"].format(band=band, state=state)
    if change.stage != "at_risk":
        stands = around["band_stage"].format(band=band, state=state, stage=words.stages[change.stage])
    return (
        f"[{style}]{percent_text(change.probability, words):>6} {bar(change.probability, 8)}[/]\n"
        f"{stands}\n"
        f"[dim]{around['since'].format(day=day_text(change.opened_at_ms, words))}[/]"
    )


def _subscriber(change: AlertChanged, words: LanguageCatalogue) -> str:
    return (
        f"{change.subscriber_id[:SUBSCRIBER_CHARS]}…\n"
        f"{money_text(change.value_at_risk_minor, change.currency, words)}\n"
        f"[dim]{words.value_bands[change.value_band]}[/]"
    )


def _why(change: AlertChanged, words: LanguageCatalogue) -> "Table":
    from rich.table import Table

    reasons = raising_reasons(change)[:REASONS_SHOWN]
    largest = reasons[0].contribution if reasons else 1.0
    # A grid of its own, so that a sentence goes on under its beginning and not under the bar.
    lines = Table.grid(padding=(0, 1))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for reason in reasons:
        lines.add_row(f"[cyan]{bar(reason.contribution / largest, 4)}[/]", reason_text(reason, change.currency, words))
    whole = Table.grid()
    whole.add_row(f"[bold]{words.kinds[change.kind]}[/]")
    whole.add_row(lines)
    return whole


def _what_to_do(change: AlertChanged, words: LanguageCatalogue) -> str:
    from rich.markup import escape

    # The policy file's words are text, whatever brackets they hold.
    due = words.around["by"].format(moment=moment_text(change.due_at_ms, words))
    return f"{escape(action_text(change, words))}\n[bold]{due}[/]"

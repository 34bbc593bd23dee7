"""What a run did, as people read it: events, what was refused and why, alerts, and how good the model is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from streams.cli.output import show_facts
from streams.cli.words import BANDS, moment, number
from streams.words.wording import LanguageCatalogue

if TYPE_CHECKING:
    from streams.app.runs import RunSummary


def show_summary(summary: "RunSummary", words: LanguageCatalogue) -> None:
    """Print the summary of a run to standard output."""
    show_facts("Summary", _lines(summary, words))


def _lines(s: "RunSummary", words: LanguageCatalogue) -> list[tuple[str, str]]:
    total = sum(s.events.values())
    refused = sum(s.dead_letters.values())
    named: Mapping[str, str] = {str(kind): text for kind, text in words.kinds.items()}
    lines = [
        ("events", f"{total:,}  ({counts(s.events)})" if total else "0"),
        ("until", moment(s.stream_ms) + " UTC" if s.stream_ms else "nothing read"),
        ("repeated, late", f"{s.duplicates:,} repeated, {s.late:,} too late to count"),
        ("leavings that settled nothing", f"{s.unmatched:,}  (nobody by that name, or no score waited for it)"),
        ("dead letters", f"{refused:,}  ({counts(s.dead_letters)})" if refused else "0"),
        ("subscribers", f"{s.subscribers:,}, scored {s.scored:,} times, {s.examples:,} examples settled"),
        ("alerts by band", counts(s.alerts_by_band, BANDS) or "none"),
        ("alerts by kind", counts({named.get(kind, kind): n for kind, n in s.alerts_by_kind.items()}) or "none"),
        ("alerts held out", f"{s.alerts_held_out:,}  (nobody is told, so that the others can be compared with them)"),
        ("model", s.model_version),
    ]
    if s.prequential:
        lines.append(("its scores", ", ".join(f"{name} {number(value)}" for name, value in s.prequential.items())))
    speed = f"{s.events_per_s:,.0f} events a second, {s.elapsed_s:,.1f} s"
    lines.append(("speed", speed + (", taken up where the last run stood" if s.resumed else "")))
    return lines


def counts(numbers: Mapping[str, int], order: tuple[str, ...] = ()) -> str:
    """Return counts with their names, in `order` first and then the largest first, without zeros.

    >>> counts({"low": 2, "high": 1, "none": 0}, ("high", "low"))
    'high 1, low 2'
    """
    ranked = sorted(
        numbers, key=lambda name: (order.index(name) if name in order else len(order), -numbers[name], name)
    )
    return ", ".join(f"{name} {numbers[name]:,}" for name in ranked if numbers[name])

"""`forewarn demo`: an operator that does not exist, from its first event to the alerts that a person can read."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from streams.cli.alert_table import alert_table
from streams.cli.glyphs import sparkline
from streams.cli.options import examples, language_option
from streams.cli.output import note, show
from streams.cli.progress import progress_bar, shows_progress
from streams.cli.shared import settings_of
from streams.cli.summary import show_summary
from streams.core.contracts.effects import AlertChanged
from streams.core.times import WEEK_MS
from streams.words.catalogues import catalogue
from streams.words.phrasing import day_text
from streams.words.wording import LanguageCatalogue

if TYPE_CHECKING:
    from streams.app.runs import RunSummary

TOP: Final = 8


@click.command(
    short_help="Simulate, run, show who is about to leave.",
    epilog=examples(
        "forewarn demo",
        "forewarn demo --subscribers 5000 --days 240 --seed 3",
        "forewarn demo --out demo",
        "forewarn demo --language zh",
    ),
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=7, show_default=True, help="The same seed, the same alerts."
)
@click.option("--subscribers", type=click.IntRange(min=1), default=1_500, show_default=True, help="How many.")
@click.option("--days", type=click.IntRange(min=1), default=180, show_default=True, help="Event-time days.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Keep events and database here (else: thrown away)."
)
@language_option
@click.pass_context
def demo(
    context: click.Context, seed: int, subscribers: int, days: int, out: Path | None, language: str | None
) -> None:
    """Simulate an operator, run it, and show who is about to leave and why."""
    from streams.app import alert_lists, runs, simulations

    settings = settings_of(context, language=language)
    words, drawn = catalogue(settings.language), shows_progress(settings.progress, as_json=False)
    around = words.around
    with ExitStack() as stack:
        folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forewarn-")))
        events, db = folder / "events", str(folder / "alerts.db")
        note(around["simulating"].format(subscribers=f"{subscribers:,}", days=f"{days:,}", seed=seed))
        with progress_bar("Simulating", drawn=drawn) as report:
            simulated = simulations.simulate(events, seed=seed, subscribers=subscribers, days=days, progress=report)
        events_total, left_total = sum(simulated.events.values()), sum(simulated.left.values())
        note(around["reading"].format(events=f"{events_total:,}", left=f"{left_total:,}"))
        with progress_bar("Reading", drawn=drawn) as report:
            summary = runs.run(str(events), db, until_ms=None, policy_path=None, topic=None, progress=report)
        alerts = [row.latest for row in alert_lists.alerts(db).rows]
        _show_alerts(alerts, summary, words)
        show_summary(summary, words)
    _say_what_next(out, alerts, words)


def _show_alerts(alerts: Sequence[AlertChanged], summary: "RunSummary", words: LanguageCatalogue) -> None:
    around = words.around
    firing = [alert for alert in alerts if alert.state == "firing"]
    if not alerts:
        show(around["none_opened"])
        return
    weeks = Counter(alert.opened_at_ms // WEEK_MS for alert in alerts)
    first, last = min(weeks), summary.stream_ms // WEEK_MS
    headline = around["about_to_leave"].format(firing=f"{len(firing):,}", day=day_text(summary.stream_ms, words))
    show(
        f"[bold]{headline}[/]{around['most_at_stake'].format(count=min(TOP, len(firing)))}",
        alert_table(firing[:TOP], words),
        f"{around['weeks'].format(day=day_text(first * WEEK_MS, words))}  "
        f"{sparkline([weeks[w] for w in range(first, last + 1)])}  {around['in_all'].format(count=f'{len(alerts):,}')}",
        "",
    )


def _say_what_next(out: Path | None, alerts: Sequence[AlertChanged], words: LanguageCatalogue) -> None:
    if out is None:
        note(words.around["keep"].format(command="forewarn demo --out demo"))
        return
    note(words.around["further"].format(command=f"forewarn alerts --db {out}/alerts.db"))
    if alerts:
        note(f"              forewarn explain {alerts[0].alert_id} --db {out}/alerts.db")
    note(f"              forewarn evaluate --db {out}/alerts.db --truth {out}/events/truth.jsonl")

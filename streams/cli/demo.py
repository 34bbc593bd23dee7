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
from streams.cli.options import examples
from streams.cli.output import note, show
from streams.cli.progress import progress_bar, wanted
from streams.cli.shared import settings_of
from streams.cli.summary import show_summary
from streams.cli.words import day
from streams.core.effects import AlertChanged
from streams.core.state import DAY_MS

if TYPE_CHECKING:
    from streams.bootstrap import RunSummary

WEEK_MS: Final = 7 * DAY_MS
TOP: Final = 8


@click.command(
    short_help="Simulate, run, show who is about to leave.",
    epilog=examples(
        "forewarn demo", "forewarn demo --subscribers 5000 --days 240 --seed 3", "forewarn demo --out demo"
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
@click.pass_context
def demo(context: click.Context, seed: int, subscribers: int, days: int, out: Path | None) -> None:
    """Simulate an operator, run it, and show who is about to leave and why."""
    from streams import bootstrap

    drawn = wanted(settings_of(context).progress, as_json=False)
    with ExitStack() as stack:
        folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forewarn-")))
        events, db = folder / "events", str(folder / "alerts.db")
        note(f"Simulating {subscribers:,} subscribers over {days:,} days (seed {seed}) ...")
        with progress_bar("Simulating", drawn=drawn) as report:
            simulated = bootstrap.simulate(events, seed=seed, subscribers=subscribers, days=days, progress=report)
        note(
            f"{sum(simulated.events.values()):,} events, {sum(simulated.left.values()):,} subscribers who left. "
            "Reading them in the order of their time, learning from those who leave ..."
        )
        with progress_bar("Reading", drawn=drawn) as report:
            summary = bootstrap.run(str(events), db, until_ms=None, policy_path=None, topic=None, progress=report)
        alerts = [row.latest for row in bootstrap.alerts(db)]
        _show_alerts(alerts, summary)
        show_summary(summary)
    _say_what_next(out, alerts)


def _show_alerts(alerts: Sequence[AlertChanged], summary: "RunSummary") -> None:
    firing = [alert for alert in alerts if alert.state == "firing"]
    if not alerts:
        show("No alert was opened: more subscribers or days would make some.")
        return
    weeks = Counter(alert.opened_at_ms // WEEK_MS for alert in alerts)
    first, last = min(weeks), summary.stream_ms // WEEK_MS
    show(
        f"[bold]{len(firing):,} subscribers are about to leave on {day(summary.stream_ms)}[/]; "
        f"the {min(TOP, len(firing))} with most at stake:",
        alert_table(firing[:TOP]),
        f"alerts opened each week since {day(first * WEEK_MS)}  {sparkline([weeks[w] for w in range(first, last + 1)])}"
        f"  {len(alerts):,} in all",
        "",
    )


def _say_what_next(out: Path | None, alerts: Sequence[AlertChanged]) -> None:
    if out is None:
        note("To keep the events and the database and look further: forewarn demo --out demo")
        return
    note(f"Look further: forewarn alerts --db {out}/alerts.db")
    if alerts:
        note(f"              forewarn explain {alerts[0].alert_id} --db {out}/alerts.db")
    note(f"              forewarn evaluate --db {out}/alerts.db --truth {out}/events/truth.jsonl")

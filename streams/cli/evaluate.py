"""`forewarn evaluate`: how good the probabilities and the alerts were, once it was known who left."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from streams.cli.glyphs import sparkline
from streams.cli.options import db_option, examples, json_option
from streams.cli.output import new_table, note, show, show_facts, write_lines
from streams.cli.shared import database_of
from streams.cli.words import about, day, percent
from streams.core.evaluation import Scores

WEEKS_SHOWN: Final = 26
UNKNOWN: Final = "-"


@click.command(
    short_help="Say how good scores and alerts were.",
    epilog=examples(
        "forewarn evaluate --db alerts.db",
        "forewarn evaluate --db operator.db --truth operator/truth.jsonl",
        "forewarn evaluate --db alerts.db --json | jq .overall.auc",
    ),
)
@db_option
@click.option(
    "--truth",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The truth.jsonl of a simulation; without it, what the run itself learned of who left.",
)
@json_option
@click.pass_context
def evaluate(context: click.Context, db: str | None, truth: Path | None, as_json: bool) -> None:
    """Say how good the probabilities were, week by week, and what followed each alert.

    Every probability is the one that was served at its time, before the outcome could be known; it counts once
    its horizon has closed.
    """
    from streams import bootstrap

    found = bootstrap.evaluate(database_of(context, db), truth)
    if as_json:
        write_lines([found])
        return
    if found.overall is None:
        note(f"No horizon has closed yet ({found.waiting:,} outcomes came early): run on, then evaluate.")
    else:
        _show_scores([("all", found.overall), ("learned models", found.learned)])
        _show_weeks([(week.start_ms, week.scores) for week in found.weeks])
    alerts = found.warnings
    verdicts = alerts.verdicts
    show_facts(
        f"Alerts (leavers known from {alerts.known_from})",
        [
            ("fired", f"{alerts.fired:,}"),
            ("right", f"{verdicts['left']:,} left within the horizon, {verdicts['too_late']:,} had left before"),
            ("not right", f"{verdicts['stayed']:,} stayed, {verdicts['open']:,} not known yet"),
            (
                "leavers warned of",
                f"{alerts.warned:,} of {alerts.leavers:,} who left on a known day after the first alert",
            ),
            ("lead time", _lead(alerts.lead_days_median, alerts.lead_days_p10, alerts.lead_share_7_days)),
        ],
    )


def _lead(median_days: float | None, p10_days: float | None, share: float | None) -> str:
    if median_days is None or p10_days is None or share is None:
        return "no leaver on a known day was warned of"
    return f"{about(median_days)} days (median), {about(p10_days)} (lowest tenth); {percent(share)} a week or more"


def _show_scores(columns: Sequence[tuple[str, Scores | None]]) -> None:
    """Print one column for each set of predictions: all, and those of learned models alone."""
    known = [(name, scores) for name, scores in columns if scores is not None]
    table = new_table("Served probabilities against what came of them")
    table.add_column("", style="cyan", no_wrap=True)
    for name, _ in known:
        table.add_column(name, justify="right", no_wrap=True)
    rows = [_score_cells(scores) for _, scores in known]
    for cells in zip(*rows, strict=True):
        table.add_row(cells[0][0], *(words for _, words in cells))
    show(table)


def _score_cells(scores: Scores) -> list[tuple[str, str]]:
    return [
        ("snapshots", f"{scores.examples:,}"),
        ("left", f"{scores.positives:,} ({percent(scores.base_rate)})"),
        ("AUC", _three(scores.auc)),
        ("average precision", _three(scores.average_precision)),
        *(
            (
                f"top {top.share:.0%}: recall, precision, lift",
                f"{_three(top.recall)}  {_three(top.precision)}  {_two(top.lift)}",
            )
            for top in scores.top
        ),
        ("Brier", f"{scores.brier:.4f}"),
        ("log loss", f"{scores.log_loss:.4f}"),
        ("calibration error (ECE)", f"{scores.ece:.4f}"),
        ("expected / observed", _three(scores.expected_over_observed)),
    ]


def _show_weeks(weeks: Sequence[tuple[int, Scores]]) -> None:
    left_out = f", the last {WEEKS_SHOWN} of {len(weeks)}; --json has all" if len(weeks) > WEEKS_SHOWN else ""
    table = new_table(f"By week of the snapshot{left_out}")
    table.add_column("week of", no_wrap=True)
    for name in ("snapshots", "left", "AUC", "AP", "recall 5%", "lift 10%", "ECE"):
        table.add_column(name, justify="right", no_wrap=True)
    for start_ms, scores in weeks[-WEEKS_SHOWN:]:
        table.add_row(
            day(start_ms),
            f"{scores.examples:,}",
            f"{scores.positives:,}",
            _three(scores.auc),
            _three(scores.average_precision),
            _three(scores.top[1].recall),
            _two(scores.top[2].lift),
            f"{scores.ece:.4f}",
        )
    show(table, f" AUC by week  {sparkline([scores.auc for _, scores in weeks])}", "")


def _three(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def _two(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"

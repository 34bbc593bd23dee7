"""`forewarn evaluate`: how good the probabilities and the alerts were, once it was known who left."""

from pathlib import Path

import click

from streams.cli.options import TIMES, F, MomentParam, db_option, examples, json_option, policy_option
from streams.cli.output import note, write_lines
from streams.cli.shared import database_of
from streams.shared.errors import UsageError


def source_options(command: F) -> F:
    """Add what is judged: `--examples`, and what is known beside it, `--truth` and `--ceiling`."""
    file = click.Path(path_type=Path, dir_okay=False)
    for option in (
        click.option(
            "--ceiling",
            type=file,
            metavar="FILE",
            help="JSON Lines of subscriber_id, snapshot_at and probability: the true ones, where they are known.",
        ),
        click.option(
            "--truth",
            type=file,
            metavar="FILE",
            help="The truth.jsonl of a simulation; without it, what the run itself learned of who left.",
        ),
        click.option(
            "--examples",
            "example_files",
            type=file,
            multiple=True,
            metavar="FILE",
            help="JSON Lines of the topic `examples`, also packed, to be judged and not a database; can be repeated.",
        ),
    ):
        command = option(command)
    return command


def judging_options(command: F) -> F:
    """Add how it is judged: resamples, the shock, the campaign, the budget of alerts, and the contenders."""
    for option in (
        click.option(
            "--against",
            default="none",
            show_default=True,
            metavar="NAMES|all|none",
            help="Other learners to judge on the same snapshots, by names with commas between; takes minutes.",
        ),
        click.option("--budget", type=click.FloatRange(0.0), metavar="N", help="Alerts a day that can be worked on."),
        click.option(
            "--acceptance",
            type=(click.IntRange(1), click.IntRange(1)),
            default=(6, 14),
            show_default=True,
            metavar="A B",
            help="The Beta distribution of the chance that a leaver accepts an offer.",
        ),
        click.option("--contact", type=float, default=1.0, show_default=True, help="What one contact costs."),
        click.option("--incentive", type=float, default=10.0, show_default=True, help="What an offer costs."),
        click.option("--value", type=float, default=200.0, show_default=True, help="What a leaver who stays is worth."),
        click.option(
            "--shock-days",
            type=click.IntRange(1),
            default=30,
            show_default=True,
            metavar="N",
            help="How long the shock lasts before the recovery.",
        ),
        click.option(
            "--shock",
            "shock_ms",
            type=MomentParam(),
            metavar="TIME",
            help=f"When something changed, to judge before, during and after it apart.  {TIMES}",
        ),
        click.option(
            "--resamples",
            type=click.IntRange(0, 10_000),
            default=200,
            show_default=True,
            metavar="N",
            help="Of the bootstrap behind the intervals; 0 leaves them out.",
        ),
    ):
        command = option(command)
    return command


@click.command(
    short_help="Say how good scores and alerts were.",
    epilog=examples(
        "forewarn evaluate --db alerts.db",
        "forewarn evaluate --db alerts.db --html report.html",
        "forewarn evaluate --db operator.db --truth operator/truth.jsonl --shock 2024-06-01",
        "forewarn evaluate --db alerts.db --json | jq .overall.auc",
        "forewarn evaluate --examples examples.jsonl.gz --against hazard,adagrad",
    ),
)
@db_option
@source_options
@policy_option
@judging_options
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the report as one page with plots, which needs no network.",
)
@json_option
@click.pass_context
def evaluate(
    context: click.Context,
    db: str | None,
    example_files: tuple[Path, ...],
    truth: Path | None,
    ceiling: Path | None,
    policy: Path | None,
    resamples: int,
    shock_ms: int | None,
    shock_days: int,
    value: float,
    incentive: float,
    contact: float,
    acceptance: tuple[int, int],
    budget: float | None,
    against: str,
    html: Path | None,
    as_json: bool,
) -> None:
    """Say how good the probabilities were, week by week, and what followed each alert.

    Every probability is the one that was served at its time, before the outcome could be known; it counts once
    its horizon has closed.  --policy is for --examples; a database knows its own.
    """
    from streams.app import report
    from streams.cli.evaluate_tables import show_report

    if example_files and (db is not None or truth is not None):
        raise UsageError("--examples holds no alerts: leave out --db and --truth, or leave out --examples")
    if policy is not None and not example_files:
        raise UsageError("--policy is for --examples; a database knows the policy that it was run with")
    try:
        campaign = report.Campaign(
            value=value, incentive=incentive, contact=contact, accepting=acceptance[0], declining=acceptance[1]
        )
    except ValueError as error:
        raise UsageError(f"these make no campaign: {error}") from None
    asked = report.ReportOptions(
        resamples=resamples, campaign=campaign, shock_ms=shock_ms, shock_days=shock_days, budget=budget
    )
    wanted = report.ReportRequest(
        asked=asked,
        truth=truth,
        ceiling=ceiling,
        against="none" if against == "none" else "all" if against == "all" else tuple(_split_names(against)),
        tell=None if as_json else lambda name: note(f"learning again as {name} ..."),
    )
    if example_files:
        found = report.from_examples(example_files, policy, wanted)
    else:
        found = report.from_database(database_of(context, db), wanted)
    if html is not None:
        report.write_page(found, html)
    if as_json:
        write_lines([found])
        return
    show_report(found)
    if html is not None:
        note(f"The page is {html}.")


def _split_names(names: str) -> list[str]:
    """Return the names of a list with commas."""
    found = [name.strip() for name in names.split(",") if name.strip()]
    if not found:
        raise UsageError("--against names nobody: write all, none, or names with commas between")
    return found

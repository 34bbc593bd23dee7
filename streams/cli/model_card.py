"""A model version in words and figures: its row in a list, and its card."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from streams.cli.glyphs import signed_bar
from streams.cli.output import new_table
from streams.cli.words import day, moment, number
from streams.core.contracts.outputs import rfc3339
from streams.core.scoring.models import ModelVersion

if TYPE_CHECKING:
    from rich.console import RenderableType

    from streams.app.models import FeatureWeight, MatureWeek

HEAVIEST = 15
WEEKS = 8
CELLS = 10

RECIPES = {
    "champion": "a linear model of the log-odds of leaving",
    "steady": "logistic regression that learns with a constant step",
    "dynamic": "logistic regression that keeps how uncertain each weight is",
    "adagrad": "logistic regression whose steps shorten with what a weight has moved by",
    "hazard": "the chance of leaving within a week, made into that of the whole horizon",
}
LIMITS = (
    "It knows the features of its table alone, and their effect is a sum: no interaction that is no feature itself.",
    "It learned from people of whom some were called: who was kept by a call counts as one who stayed.",
    "A probability says who is likely to leave, and not whom a call would keep.",
)


def version_row(version: ModelVersion, *, serves: bool) -> dict[str, Any]:
    """Return a version as programs read it in a list."""
    return {
        "version": version.served_as,
        "name": version.name,
        "number": version.version,
        "hash": version.hash,
        "parent": version.parent,
        "published_at": rfc3339(version.published_at_ms),
        "feature_table": version.feature_table,
        "examples": version.examples,
        "positives": version.positives,
        "source_position": version.source_position,
        "metrics": version.metrics,
        "serves": serves,
    }


def figures_of(history: "Sequence[MatureWeek]", version: ModelVersion) -> list[dict[str, Any]]:
    """Return how a version's line did in each mature week, the oldest first."""
    return [
        {
            "week": day(week.week_ms),
            "examples": week.examples,
            "positives": week.positives,
            "log_loss": figures.log_loss,
            "average_precision": figures.average_precision,
            "recall": figures.recall,
            "expected_over_observed": figures.expected_over_observed,
        }
        for week in history
        if (figures := week.figures.get(version.name)) is not None
    ]


def card(
    version: ModelVersion,
    rows: "Sequence[FeatureWeight]",
    agreeing: tuple[int, int],
    weeks: Sequence[dict[str, Any]],
    *,
    serves: bool,
) -> "list[RenderableType]":
    """Return a version's model card, for people."""
    parts: list[RenderableType] = [
        f"[bold]{version.served_as}[/]{'  serves' if serves else ''}",
        f"{RECIPES.get(version.name, 'a linear model')}; {len(version.features)} features of {version.feature_table}",
        (
            f"learned from {version.examples:,} examples, {version.positives:,} of whom left, until "
            f"{moment(version.published_at_ms)} UTC, when {version.source_position:,} were settled"
        ),
        f"sha-256 {version.hash}, after {'nothing' if version.parent is None else f'{version.name}-{version.parent}'}",
        f"starts from a logit of {version.intercept:+.3f}",
        f"of the {agreeing[1]} features that the reviewed scorecard weighs too, {agreeing[0]} have the same sign there",
        "",
    ]
    heaviest = max((abs(row.weight) for row in rows), default=0.0)
    table = new_table(f"weights in logit per standard deviation, the {HEAVIEST} largest of {len(rows)}")
    table.add_column("feature", style="cyan", no_wrap=True)
    table.add_column("less | more", no_wrap=True, justify="center")
    for name in ("weight", "scorecard", "usual", "spread"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows[:HEAVIEST]:
        numbers = (f"{row.weight:+.3f}", f"{row.scorecard:+.3f}", number(row.mean), number(row.scale))
        table.add_row(row.feature, signed_bar(row.weight, heaviest, CELLS), *numbers)
    parts.append(table)
    if weeks:
        parts.append(_weeks(weeks[-WEEKS:], version.name))
    return [*parts, *(f"[dim]{limit}[/]" for limit in LIMITS)]


def _weeks(weeks: Sequence[dict[str, Any]], name: str) -> "RenderableType":
    table = new_table(f"{name} in the last mature weeks, each snapshot judged with the version of its time")
    table.add_column("week", no_wrap=True)
    for column in ("examples", "left", "log loss", "average precision", "recall in the top 5 %", "expected / left"):
        table.add_column(column, justify="right")
    for week in weeks:
        keys = ("log_loss", "average_precision", "recall", "expected_over_observed")
        cells = ["" if week[key] is None else f"{week[key]:.4f}" for key in keys]
        table.add_row(week["week"], f"{week['examples']:,}", f"{week['positives']:,}", *cells)
    return table

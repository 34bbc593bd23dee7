"""`forewarn model`: the versions that were learned, which of them serves, and letting another one serve."""

from typing import TYPE_CHECKING, Any

import click

from streams.cli.groups import CommandGroup
from streams.cli.model_card import card, figures_of, version_row
from streams.cli.options import TIMES, F, MomentParam, db_option, examples, json_option, prefix_option
from streams.cli.output import new_table, note, show, write_lines
from streams.cli.shared import settings_of
from streams.cli.words import day, moment, number
from streams.core.contracts.outputs import rfc3339
from streams.core.scoring.promotions import Promotion
from streams.shared.errors import UsageError
from streams.shared.settings import Settings

if TYPE_CHECKING:
    from streams.app.models import ModelRegistry

ROWS = 12
NOTICES = 5


def place_options(command: F) -> F:
    """Add where the versions are: `--db`, or `--kafka` with `--prefix`; and `--json`."""
    kafka = click.option(
        "--kafka",
        metavar="HOST:PORT,...",
        help="Brokers of a cluster, to look at its topic `models` and not at a database.",
    )
    return db_option(kafka(prefix_option(json_option(command))))


@click.group(
    cls=CommandGroup,
    short_help="Models: list, show, promote, roll back.",
    epilog=examples("forewarn model list --db alerts.db", "forewarn model show champion --db alerts.db"),
)
def model() -> None:
    """List, judge, promote and roll back model versions.

    A VERSION is named as scores name it (champion-12-0123abcd), without its hash (champion-12), by the beginning of its
    hash, or by its line (champion), whose newest version it then is.
    """


@model.command(
    name="list",
    short_help="List the versions, and which one serves.",
    epilog=examples("forewarn model list --db alerts.db", "forewarn model list --db alerts.db --json | tail -1"),
)
@place_options
@click.pass_context
def list_(context: click.Context, db: str | None, kafka: str | None, prefix: str | None, as_json: bool) -> None:
    """List all versions by line and number, and which one serves.

    With --json one object for each version.  People are shown the newest versions, the last mature weeks, the last
    decisions and notices.
    """
    registry = _registry(context, db, kafka, prefix)
    serving = registry.serving_name
    if as_json:
        write_lines(version_row(version, serves=version.served_as == serving) for version in registry.versions)
        return
    if not registry.versions:
        note("No model version was published yet: the scorecard serves.")
        _show_notices(registry)
        return
    _show_versions(registry)
    _show_weeks(registry)
    for decision in registry.standing.decisions[-len(registry.lines) :]:
        show(
            f"{day(decision.at_ms)} {decision.challenger} against {decision.leader}: {decision.verdict}, {decision.why}"
        )
    _show_notices(registry)
    for promotion in registry.promotions[-NOTICES:]:
        show(f"{moment(promotion.at_ms)} {promotion.before} -> {promotion.to}, by the {promotion.by}")


@model.command(
    name="show",
    short_help="Show a version's model card.",
    epilog=examples(
        "forewarn model show champion --db alerts.db", "forewarn model show adagrad-12 --db alerts.db --json"
    ),
)
@click.argument("version")
@place_options
@click.pass_context
def show_(
    context: click.Context, version: str, db: str | None, kafka: str | None, prefix: str | None, as_json: bool
) -> None:
    """Show what VERSION is: learned on what and until when, how it did, what it weighs, and its limits."""
    from streams.app import models

    registry = _registry(context, db, kafka, prefix)
    found = models.find(registry, version)
    scorecard = models.scorecard()
    rows = models.weights(found, scorecard)
    agreeing = models.agreement(found, scorecard)
    weeks = figures_of(registry.standing.history, found)
    serves = found.served_as == registry.serving_name
    if as_json:
        heaviest = [{"feature": row.feature, "weight": row.weight, "scorecard": row.scorecard} for row in rows]
        relation = {"same_sign": agreeing[0], "weighed_by_both": agreeing[1]}
        write_lines([version_row(found, serves=serves) | {"weeks": weeks, "weights": heaviest, "scorecard": relation}])
        return
    show(*card(found, rows, agreeing, weeks, serves=serves))


@model.command(
    short_help="Say what differs between two versions.",
    epilog=examples("forewarn model diff champion-11 champion-12 --db alerts.db"),
)
@click.argument("before")
@click.argument("after")
@place_options
@click.pass_context
def diff(
    context: click.Context,
    before: str,
    after: str,
    db: str | None,
    kafka: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Say what differs between the versions BEFORE and AFTER: weights, scales, intercept and metrics."""
    from streams.app import models

    registry = _registry(context, db, kafka, prefix)
    one, other = (models.find(registry, wanted) for wanted in (before, after))
    parts = models.differences(one, other)
    if as_json:
        changes = {part: {c.name: [c.before, c.after] for c in found} for part, found in parts.items()}
        write_lines([{"before": one.served_as, "after": other.served_as} | changes])
        return
    for part, found in parts.items():
        shown = found if part == "metrics" else found[:ROWS]
        if not shown:
            continue
        table = new_table(f"{part}: {len(found)} differ" + (f", the {ROWS} largest" if len(found) > len(shown) else ""))
        for column in (one.served_as, other.served_as):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column(part, style="cyan", no_wrap=True)
        for change in shown:
            table.add_row(*["" if v is None else number(v) for v in (change.before, change.after)], change.name)
        show(table)
    if not any(parts.values()):
        note(f"{one.served_as} and {other.served_as} are the same in every number.")


@model.command(
    short_help="Let a line or a version serve from now on.",
    epilog=examples(
        "forewarn model promote adagrad --db alerts.db", "forewarn model promote champion-11 --db alerts.db"
    ),
)
@click.argument("name", metavar="LINE|VERSION")
@click.option(
    "--from",
    "from_ms",
    type=MomentParam(),
    metavar="TIME",
    help=f"With --kafka: from this event time, and not now.  {TIMES}",
)
@place_options
@click.pass_context
def promote(
    context: click.Context,
    name: str,
    from_ms: int | None,
    db: str | None,
    kafka: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Let a line serve from now on, with all versions that it will publish, or pin one version.

    In a database now is the event time that its run has come to; on Kafka it is the time of day.  Nothing before it
    changes: what was scored stays explained by the version that scored it.  A run that is writing to the database
    meanwhile stops, and goes on from its last commit when it is started again.
    """
    _promote(context, name, from_ms, (db, kafka, prefix), as_json=as_json)


@model.command(
    short_help="Let what served before serve again.",
    epilog=examples("forewarn model rollback --db alerts.db", "forewarn model rollback --kafka 127.0.0.1:9092"),
)
@place_options
@click.pass_context
def rollback(context: click.Context, db: str | None, kafka: str | None, prefix: str | None, as_json: bool) -> None:
    """Let what served before serve again: undo the last promotion, or pin the version before if there was none."""
    _promote(context, None, None, (db, kafka, prefix), as_json=as_json)


VersionPlace = tuple[str | None, str | None, str | None]


def _promote(
    context: click.Context, name: str | None, from_ms: int | None, place: VersionPlace, *, as_json: bool
) -> None:
    db, kafka, prefix = place
    settings = _settings(context, db, kafka, prefix)
    if kafka is not None:
        from streams.app import publications

        promotion = publications.publish_promotion(settings, name, from_ms)
    elif from_ms is not None:
        raise UsageError("--from is for --kafka: in a database a promotion serves from where its run stands")
    else:
        from streams.app import models

        promotion = models.promote(settings.database, name)
    if as_json:
        write_lines([promotion_row(promotion)])
    else:
        note(f"{promotion.to} serves from {moment(promotion.at_ms)} UTC on, in place of {promotion.before}.")


def promotion_row(promotion: Promotion) -> dict[str, Any]:
    """Return a promotion as programs read it."""
    return {
        "at": rfc3339(promotion.at_ms),
        "from": promotion.before,
        "to": promotion.to,
        "by": promotion.by,
        "evidence": promotion.evidence,
        "hash": promotion.hash,
    }


def _settings(context: click.Context, db: str | None, kafka: str | None, prefix: str | None) -> Settings:
    if db is not None and kafka is not None:
        raise UsageError("--db and --kafka name two places", hint="give one of them")
    return settings_of(context, database=db, kafka=kafka, kafka_prefix=prefix)


def _registry(context: click.Context, db: str | None, kafka: str | None, prefix: str | None) -> "ModelRegistry":
    settings = _settings(context, db, kafka, prefix)
    if kafka is not None:
        from streams.app import publications

        return publications.models(settings)
    from streams.app import models

    return models.load_registry(settings.database)


def _show_versions(registry: "ModelRegistry") -> None:
    names, serves = ", ".join(registry.lines), registry.serving_name or "none"
    table = new_table(f"{len(registry.versions)} versions of {names}; {serves} serves")
    for name, right in (("version", False), ("published", False), ("examples", True), ("leavers", True)):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    table.add_column("its week's log loss", justify="right")
    table.add_column("", no_wrap=True)
    for version in sorted(registry.versions, key=lambda one: (one.published_at_ms, one.name))[-ROWS:]:
        loss = version.metrics.get("week_log_loss")
        table.add_row(
            version.served_as,
            moment(version.published_at_ms),
            f"{version.examples:,}",
            f"{version.positives:,}",
            "" if loss is None else f"{loss:.4f}",
            "serves" if version.served_as == registry.serving_name else "",
        )
    show(table)


def _show_notices(registry: "ModelRegistry") -> None:
    for notice in registry.standing.notices[-NOTICES:]:
        show(f"{day(notice.at_ms)} [yellow]{notice.kind}[/]: {notice.what}")


def _show_weeks(registry: "ModelRegistry") -> None:
    for week in registry.standing.history[-1:]:
        table = new_table(
            f"the week of {day(week.week_ms)}, the newest that is mature: {week.examples:,} examples, "
            f"{week.positives:,} left"
        )
        for name in ("line", "log loss", "average precision", "recall in the top 5 %", "expected / left"):
            table.add_column(name, justify="left" if name == "line" else "right")
        for name, figures in week.figures.items():
            cells = (figures.log_loss, figures.average_precision, figures.recall, figures.expected_over_observed)
            table.add_row(name, *["" if value is None else f"{value:.4f}" for value in cells])
        show(table)

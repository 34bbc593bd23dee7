"""What `forewarn evaluate` shows to people: the scores, the weeks, the alerts and the rest as tables."""

from typing import TYPE_CHECKING, Final

from streams.cli.glyphs import sparkline
from streams.cli.output import new_table, note, show, show_facts
from streams.cli.words import about, day, percent

if TYPE_CHECKING:
    from streams.app.report import EvaluationReport, Interval, Scores, StageFigures

WEEKS_SHOWN: Final = 26
UNKNOWN: Final = "-"


def show_report(found: "EvaluationReport") -> None:
    """Print a report."""
    if found.overall is None:
        note(f"No horizon has closed yet ({found.waiting:,} outcomes came early): run on, then evaluate.")
    else:
        _show_scores(found)
        _show_weeks(found)
        _show_segments(found)
        _show_leaving(found)
    if found.warnings is not None:
        _show_alerts(found)
    if found.ceiling is not None:
        ceiling = found.ceiling
        show_facts(
            f"Share of the ceiling ({ceiling.examples:,} snapshots)",
            [
                ("AUC above a half", _share(ceiling.share_auc)),
                ("average precision", _share(ceiling.share_average_precision)),
                ("recall in the top 5%", _share(ceiling.share_recall_at_5)),
            ],
        )
    if found.rivals is not None:
        _show_rivals(found)


def _show_scores(found: "EvaluationReport") -> None:
    """Print a column for each set of predictions, all and those of learned models alone; then intervals and profit."""
    columns = [("all", found.overall), ("learned models", found.learned)]
    known = [(name, scores) for name, scores in columns if scores is not None]
    table = new_table("Served probabilities against what came of them")
    table.add_column("", style="cyan", no_wrap=True)
    for name, _ in known:
        table.add_column(name, justify="right", no_wrap=True)
    rows = [_score_cells(scores) for _, scores in known]
    for cells in zip(*rows, strict=True):
        table.add_row(cells[0][0], *(words for _, words in cells))
    show(table)
    around = found.intervals
    if around is not None:
        show_facts(
            "95 % intervals, all",
            [
                ("AUC", _around(around.auc)),
                ("average precision", _around(around.average_precision)),
                ("top 5%: recall", _around(around.recall_at_5)),
                ("Brier", _around(around.brier, 4)),
                ("log loss", _around(around.log_loss, 4)),
                ("calibration error (ECE)", _around(around.ece, 4)),
            ],
        )
    if found.profit is not None:
        called = f"calling {percent(found.profit.share_called)} of them"
        words = f"{found.profit.per_subscriber:.2f} for each snapshot, {called}"
        show_facts("Expected maximum profit of a campaign", [("EMPC", words)])


def _score_cells(scores: "Scores") -> list[tuple[str, str]]:
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


def _show_weeks(found: "EvaluationReport") -> None:
    weeks = found.weeks
    left_out = f", the last {WEEKS_SHOWN} of {len(weeks)}; --json has all" if len(weeks) > WEEKS_SHOWN else ""
    table = new_table(f"By week of the snapshot{left_out}")
    table.add_column("week of", no_wrap=True)
    for name in ("snapshots", "left", "AUC", "AP", "recall 5%", "lift 10%", "ECE"):
        table.add_column(name, justify="right", no_wrap=True)
    for week in weeks[-WEEKS_SHOWN:]:
        scores = week.scores
        table.add_row(
            day(week.start_ms),
            f"{scores.examples:,}",
            f"{scores.positives:,}",
            _three(scores.auc),
            _three(scores.average_precision),
            _three(scores.top[1].recall),
            _two(scores.top[2].lift),
            f"{scores.ece:.4f}",
        )
    show(table, f" AUC by week  {sparkline([week.scores.auc for week in weeks])}", "")


def _show_segments(found: "EvaluationReport") -> None:
    if not found.segments:
        return
    table = new_table("Before, during and after the shock")
    table.add_column("segment", no_wrap=True)
    for name in ("snapshots", "AUC", "AP", "AP, 95 %", "recall 5%", "ECE"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.segments:
        scores = one.scores
        table.add_row(
            one.name,
            f"{scores.examples:,}",
            _three(scores.auc),
            _three(scores.average_precision),
            _around(None if one.intervals is None else one.intervals.average_precision),
            _three(scores.top[1].recall),
            f"{scores.ece:.4f}",
        )
    show(table)


def _show_leaving(found: "EvaluationReport") -> None:
    facts = []
    for one in found.leaving:
        recall = f"recall {_three(one.recall_at_5)} in the top 5%"
        facts.append(
            (one.kind.replace("_", " "), f"{one.examples:,} snapshots, {one.subscribers:,} subscribers, {recall}")
        )
    if facts:
        show_facts("By kind of leaving", facts)


def _show_alerts(found: "EvaluationReport") -> None:
    alerts, load, uplift = found.warnings, found.load, found.uplift
    if alerts is None:
        return
    verdicts = alerts.verdicts
    facts = [
        ("fired", f"{alerts.fired:,}"),
        ("right", f"{verdicts['left']:,} left within the horizon, {verdicts['too_late']:,} had left before"),
        ("not right", f"{verdicts['stayed']:,} stayed, {verdicts['open']:,} not known yet"),
        ("leavers warned of", f"{alerts.warned:,} of {alerts.leavers:,} who left on a known day after the first alert"),
        ("lead time", _lead(found)),
        ("alerts that stood then", _standing_alerts(found)),
    ]
    if load is not None:
        each = "none was right yet" if load.per_leaver is None else f"{about(load.per_leaver)} for each that was right"
        over = "" if load.budget is None else f"; {load.days_over_budget:,} of {load.days:,} days over {load.budget:g}"
        facts.append(("load", f"{each}; {load.mean:.2f} a day, at most {load.most:,}{over}"))
    if uplift is not None:
        gap = uplift.difference
        words = f"unknown, {uplift.unknown}" if gap is None else f"{_three(gap.estimate)} ({_around(gap)})"
        facts.append(("held out less others", words))
    show_facts(f"Alerts (leavers known from {alerts.known_from})", facts)
    if found.stages:
        show_facts("Alerts by the stage at which they fired", [_stage(one) for one in found.stages])


def _stage(one: "StageFigures") -> tuple[str, str]:
    known = f"{one.fired:,} fired, {one.open:,} not known yet"
    right = f"{percent(one.precision)} right" if one.precision is not None else "none known"
    lead = "" if one.lead_days_median is None else f", {about(one.lead_days_median)} days before (median)"
    if one.stage == "requested":
        return "asked to leave", f"{known}; {right}: left within the horizon{lead}"
    if one.stage == "lapsed":
        return "lapsed", f"{known}; {right}: {one.right:,} did not return, {one.wrong:,} did"
    warned = f"{one.warned or 0:,} of {one.leavers or 0:,} leavers warned of"
    return (
        "early warnings",
        f"{known}; {right}: the last use came within the horizon{lead}; {one.gone:,} gone; {warned}",
    )


def _lead(found: "EvaluationReport") -> str:
    leads = found.leads
    if leads is None or leads.median_days is None or leads.p10_days is None:
        return "no leaver on a known day was warned of"
    return (
        f"{about(leads.median_days)} days (median), {about(leads.p10_days)} (lowest tenth); "
        f"{_share(leads.share_7_days)} a week or more, {_share(leads.share_14_days)} two weeks or more"
    )


def _standing_alerts(found: "EvaluationReport") -> str:
    stood = None if found.warnings is None else found.warnings.stood
    if stood is None or stood.lead_days_median is None:
        return "no leaver on a known day had one"
    return (
        f"{stood.warned:,} leavers had one, however old; "
        f"{about(stood.lead_days_median)} days (median), {_share(stood.lead_share_7_days)} a week or more"
    )


def _show_rivals(found: "EvaluationReport") -> None:
    table = new_table("Other learners on the same snapshots")
    table.add_column("contender", no_wrap=True)
    for name in ("AUC", "AP", "recall 5%", "AP less champion's, 95 %"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.rivals or ():
        scores = one.scores
        if scores is None:
            table.add_row(one.name, UNKNOWN, UNKNOWN, UNKNOWN, one.missing or UNKNOWN)
            continue
        table.add_row(
            one.name,
            _three(scores.auc),
            _three(scores.average_precision),
            _three(scores.top[1].recall),
            _around(one.average_precision),
        )
    show(table)


def _around(one: "Interval | None", digits: int = 3) -> str:
    if one is None or one.low is None or one.high is None:
        return UNKNOWN
    return f"{one.low:.{digits}f} to {one.high:.{digits}f}"


def _share(value: float | None) -> str:
    return UNKNOWN if value is None else percent(value)


def _three(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def _two(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"

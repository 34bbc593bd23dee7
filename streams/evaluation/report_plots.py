"""The pictures of a report as SVG: drawn without a display, the same bytes for the same report.

Only whoever makes a page imports this, since Matplotlib takes a while to load.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from io import BytesIO
from statistics import median
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from streams.core.times import DAY_MS
from streams.evaluation.judging import Intervals, WeekScores
from streams.evaluation.metrics import Interval
from streams.evaluation.report import EvaluationReport

INK: Final = "#1f2933"
FAINT: Final = "#9aa5b1"
GRID: Final = "#e4e7eb"
BLUE: Final = "#1f5f8b"
RUST: Final = "#b4532a"
COLOURS: Final = (BLUE, RUST, "#4a7c59", "#7d5ba6", "#c08a1e", "#3a8f96", "#a23b5c", "#6b7280")
STYLE: Final[dict[Any, Any]] = {
    "svg.hashsalt": "forewarn",
    "svg.fonttype": "path",
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}

MARKS: Final = (0.0, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
FULL_WEEK: Final = 0.2
"""A week with a smaller share of the median week's snapshots is not drawn: its figures would set the scale."""

Draw = Callable[[Figure, EvaluationReport], None]


class EmptyPicture(Exception):  # noqa: N818 - no error: the report has nothing for this picture
    """There is nothing to draw."""


def picture_svg(draw: Draw, report: EvaluationReport, height_inches: float) -> str | None:
    """Return a picture as SVG, 7.2 inches wide; None where the report has nothing for it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, height_inches), layout="constrained")
        FigureCanvasSVG(figure)
        try:
            draw(figure, report)
        except EmptyPicture:
            return None
        file = BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue().decode("utf-8")


def reliability(figure: Figure, report: EvaluationReport) -> None:
    """Draw the mean probability of bins of equal mass against the share of them that left."""
    if not report.reliability:
        raise EmptyPicture
    axes = figure.subplots()
    expected = [one.expected for one in report.reliability]
    observed = [one.observed for one in report.reliability]
    most = max(*expected, *observed, 0.01) * 1.06
    axes.plot([0.0, most], [0.0, most], color=FAINT, linestyle="--", linewidth=1.0, label="as said, so it came")
    axes.plot(expected, observed, color=BLUE, marker="o", markersize=4.5, linewidth=0.0, label="a bin of equal size")
    # Most bins are near zero, and stand on one another unless there is more room for them there.
    for scale in (axes.set_xscale, axes.set_yscale):
        scale("function", functions=(_root, np.square))
    axes.set(xlim=(0.0, most), ylim=(0.0, most), xlabel="mean probability served", ylabel="share that left")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([mark for mark in MARKS if mark <= most]))
        axis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.legend(loc="upper left")


def gain(figure: Figure, report: EvaluationReport) -> None:
    """Draw how many of the leavers are among the riskiest share, and how much more than by chance that is."""
    if not report.gain or not report.overall or not report.overall.positives:
        raise EmptyPicture
    left, right = figure.subplots(1, 2)
    shares, found = [share for share, _ in report.gain], [recall for _, recall in report.gain]
    left.plot([0.0, 1.0], [0.0, 1.0], color=FAINT, linestyle="--", linewidth=1.0, label="by chance")
    left.plot(shares, found, color=BLUE, marker="o", markersize=3.5, label="served")
    left.set(xlim=(0.0, 1.0), ylim=(0.0, 1.02), xlabel="riskiest share of the snapshots", ylabel="share of leavers")
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    left.legend(loc="lower right")
    right.axhline(1.0, color=FAINT, linestyle="--", linewidth=1.0)
    right.plot(shares[1:], [b / a for a, b in report.gain[1:]], color=BLUE, marker="o", markersize=3.5)
    right.set(xlim=(0.0, 1.0), xlabel="riskiest share of the snapshots", ylabel="lift: times as many as by chance")
    right.set_ylim(bottom=0.0)
    right.xaxis.set_major_formatter(PercentFormatter(1.0))


def weeks(figure: Figure, report: EvaluationReport) -> None:
    """Draw AUC, average precision and calibration error by week, with their intervals and the shock's bounds."""
    if not report.weeks:
        raise EmptyPicture
    usual = median(week.scores.examples for week in report.weeks)
    full = [week for week in report.weeks if week.scores.examples >= FULL_WEEK * usual]
    rows = figure.subplots(3, 1, sharex=True)
    for axes, (title, pick, value) in zip(
        rows,
        (
            ("AUC", lambda i: i.auc, lambda s: s.auc),
            ("average precision", lambda i: i.average_precision, lambda s: s.average_precision),
            ("calibration error", lambda i: i.ece, lambda s: s.ece),
        ),
        strict=True,
    ):
        _course(axes, full, pick, value)
        axes.set_ylabel(title)
        axes.set_ylim(bottom=0.0)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        for segment in report.segments:
            if segment.name == "shock":
                axes.axvspan(_day(segment.from_ms), _day(segment.until_ms), color=RUST, alpha=0.09, linewidth=0.0)
    _use_date_axis(rows[-1])


def _course(
    axes: Axes,
    spans: Sequence[WeekScores],
    pick: Callable[[Intervals], Interval],
    value: Callable[[Any], float | None],
) -> None:
    missing = float("nan")
    days: Any = [_day(span.start_ms) for span in spans]
    around = [None if span.intervals is None else pick(span.intervals) for span in spans]
    lows = [missing if one is None or one.low is None else one.low for one in around]
    highs = [missing if one is None or one.high is None else one.high for one in around]
    axes.fill_between(days, lows, highs, color=BLUE, alpha=0.16, linewidth=0.0)
    values = [value(span.scores) for span in spans]
    axes.plot(days, [missing if one is None else one for one in values], color=BLUE, marker="o", markersize=3.0)


def leads(figure: Figure, report: EvaluationReport) -> None:
    """Draw how many days before the leaving the first alert came."""
    if report.leads is None or report.leads.median_days is None:
        raise EmptyPicture
    axes = figure.subplots()
    counts = report.leads.by_day
    axes.bar([day + 0.5 for day in range(len(counts))], counts, width=0.86, color=BLUE)
    axes.axvline(
        report.leads.median_days, color=RUST, linewidth=1.4, label=f"median: {report.leads.median_days:.1f} days"
    )
    axes.set(xlim=(0, len(counts)), xlabel="days from the first alert to the leaving", ylabel="leavers")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper right")


def load(figure: Figure, report: EvaluationReport) -> None:
    """Draw the alerts of each day, and the budget if there is one."""
    if report.load is None:
        raise EmptyPicture
    axes = figure.subplots()
    days: Any = [_day(report.load.from_ms + number * DAY_MS) for number in range(len(report.load.by_day))]
    axes.bar(days, report.load.by_day, width=1.0, color=BLUE)
    if report.load.budget is not None:
        axes.axhline(report.load.budget, color=RUST, linewidth=1.4, label=f"budget: {report.load.budget:g} a day")
        axes.legend(loc="upper right")
    axes.set_ylabel("alerts a day")
    axes.set_ylim(0.0, max(*report.load.by_day, report.load.budget or 0.0, 1.0) * 1.1)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="x")
    _use_date_axis(axes)


def weights(figure: Figure, report: EvaluationReport) -> None:
    """Draw the heaviest features' weights over the versions of the model."""
    if report.weights is None or len(report.weights.published_at_ms) < 2:
        raise EmptyPicture
    axes = figure.subplots()
    days: Any = [_day(at_ms) for at_ms in report.weights.published_at_ms]
    axes.axhline(0.0, color=FAINT, linewidth=1.0)
    for colour, (name, values) in zip(COLOURS, report.weights.features.items(), strict=False):
        axes.plot(days, values, color=colour, linewidth=1.4, label=name.replace("_", " "))
    axes.set_ylabel("weight of a standardised value")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8.0)
    _use_date_axis(axes)


def rivals(figure: Figure, report: EvaluationReport) -> None:
    """Draw each contender's average precision less the champion's, with its interval."""
    known = [one for one in report.rivals or () if one.average_precision and one.average_precision.estimate is not None]
    if not known:
        raise EmptyPicture
    axes = figure.subplots()
    axes.axvline(0.0, color=FAINT, linewidth=1.2)
    for place, one in enumerate(reversed(known)):
        gap = one.average_precision
        if gap is None or gap.estimate is None:
            continue
        if gap.low is not None and gap.high is not None:
            axes.plot([gap.low, gap.high], [place, place], color=BLUE, linewidth=1.6)
        axes.plot([gap.estimate], [place], color=BLUE, marker="o", markersize=5.0)
    axes.set_yticks(range(len(known)), [one.name for one in reversed(known)])
    axes.set_ylim(-0.6, len(known) - 0.4)
    axes.set_xlabel("average precision less the champion's: to the right is better")
    axes.grid(visible=False, axis="y")


def _root(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sqrt(np.maximum(values, 0.0))


def _day(at_ms: int) -> date:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date()


def _use_date_axis(axes: Axes) -> None:
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]

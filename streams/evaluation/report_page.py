"""A report as one HTML page that needs nothing else: its style, its pictures and its numbers are in it.

No subscriber and no alert is named in it.  Only whoever makes a page imports this: Jinja and Matplotlib take a while.
"""

import os
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

from jinja2 import Environment, StrictUndefined
from msgspec import Struct

from streams.evaluation import report_plots as plots
from streams.evaluation.metrics import Interval
from streams.evaluation.report import EvaluationReport
from streams.shared.errors import InputError

UNKNOWN: Final = "-"


class Picture(Struct, frozen=True):
    """A picture as a data address, with the words for who does not see it, and how to read it."""

    source: str
    alt: str
    caption: str


def page(report: EvaluationReport, template: str) -> str:
    """Return the page of a report by a Jinja template; the same report gives the same text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "count": lambda value: f"{value:,}",
        "three": _digits(3),
        "four": _digits(4),
        "two": _digits(2),
        "days": _digits(1),
        "percent": lambda value: UNKNOWN if value is None else f"{value * 100.0:.1f}\N{NO-BREAK SPACE}%",
        "day": _day,
        "interval": interval,
        "interval4": lambda one: interval(one, 4),
    }
    return environment.from_string(template).render(report=report, pictures=_pictures(report))


def write(text: str, path: Path) -> None:
    """Write a page whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    place = None
    try:
        with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".report-", delete=False) as file:
            place = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        place.chmod(0o644)
        place.replace(path)
    except OSError as error:
        if place is not None:
            with suppress(OSError):
                place.unlink()
        raise InputError(f"the page {path} cannot be written: {error.strerror}") from None


def interval(one: Interval | None, digits: int = 3) -> str:
    """Return an estimate's interval in words; a dash where there is none.

    >>> interval(Interval(0.5, 0.25, 0.75, 200)), interval(Interval(0.5, None, None, 0))
    ('0.250 to 0.750', '-')
    """
    if one is None or one.low is None or one.high is None:
        return UNKNOWN
    return f"{one.low:.{digits}f} to {one.high:.{digits}f}"


def _digits(digits: int) -> Any:  # noqa: ANN401 - a filter of Jinja takes anything
    return lambda value: UNKNOWN if value is None else f"{value:,.{digits}f}"


def _day(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"


def _pictures(report: EvaluationReport) -> dict[str, Picture]:
    rivals = len(report.rivals or ())
    wanted = {
        "reliability": (
            plots.reliability,
            3.6,
            "Reliability: share that left against mean probability served, in bins of equal size.",
            (
                "Points on the dashed line are honest probabilities; below it leaving was expected too often, "
                "above it too seldom. Both scales are square roots."
            ),
        ),
        "gain": (
            plots.gain,
            3.2,
            "Gain and lift against the riskiest share of the snapshots.",
            (
                "Left: which share of those who left is found by calling the riskiest first. "
                "Right: how many times more that is than calling at random."
            ),
        ),
        "weeks": (
            plots.weeks,
            5.2,
            "AUC, average precision and calibration error by week of the snapshot, with 95 % intervals.",
            (
                "Bands are 95 % intervals of single weeks; a shaded stretch is the shock. Average precision rises and "
                "falls with how many leave. Weeks with few snapshots stand in the table alone."
            ),
        ),
        "leads": (
            plots.leads,
            3.0,
            "Histogram of the days from the first alert to the leaving.",
            "Each leaver who was warned of counts once; the last bar has all longer leads.",
        ),
        "load": (plots.load, 2.8, "Alerts by day.", "Alerts as they fired, after hold and cool-down."),
        "weights": (
            plots.weights,
            3.6,
            "Weights of the heaviest features over the versions of the model.",
            "Above zero a high value raises the risk. A line that moves shows what the model has come to think.",
        ),
        "rivals": (
            plots.rivals,
            1.2 + 0.27 * rivals,
            "Average precision of each contender less that of the champion, with 95 % intervals.",
            "An interval that holds zero says that the data cannot tell the two apart.",
        ),
    }
    found = {}
    for name, (draw, height_inches, alt, caption) in wanted.items():
        svg = plots.picture_svg(draw, report, height_inches)
        if svg is not None:
            source = "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()
            found[name] = Picture(source, alt, caption)
    return found

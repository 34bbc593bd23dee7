"""A progress bar with rate and time left, on standard error and only where somebody watches it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streams.cli.words import day
from streams.shared.settings import ProgressMode

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from streams.app.progress import Progress

Show = Callable[["Progress"], None]


def shows_progress(when: ProgressMode, *, as_json: bool) -> bool:
    """Return whether to draw: never for a program (`--json`), else as the setting `progress` says."""
    return not as_json and (when == "always" or (when == "auto" and sys.stderr.isatty()))


@contextmanager
def progress_bar(title: str, *, drawn: bool) -> Iterator[Show | None]:
    """Give the function that reports progress, or None where no bar is drawn.

    The share done is that of bytes, since the number of records is known only at the end; the rate is in records
    a second.  From standard input there is no total: the bar moves and shows no time left.
    """
    if not drawn:
        yield None
        return
    with _new_bar() as bar:
        task = bar.add_task(title, total=None, records=0, rate="", day="", alerts=0)
        yield lambda progress: _show(bar, task, progress)


def _new_bar() -> "Bar":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[records]:,} records"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[day]}"),
        TextColumn("{task.fields[alerts]} alerts"),
        console=Console(stderr=True, force_terminal=True),  # Whether to draw is decided in `wanted`.
        transient=True,
        refresh_per_second=5,
    )


def _show(bar: "Bar", task: "TaskID", progress: "Progress") -> None:
    elapsed_s = bar.tasks[0].elapsed or 0.0
    bar.update(
        task,
        completed=progress.bytes_done,
        total=progress.bytes_total or None,
        records=progress.records,
        rate=f"{progress.records / elapsed_s:,.0f}/s" if elapsed_s > 0.5 else "",
        day=day(progress.event_ms) if progress.event_ms else "",
        alerts=progress.alerts,
    )

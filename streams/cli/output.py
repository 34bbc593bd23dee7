"""Standard output for answers, standard error for everything else."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

PIPED_COLUMNS: Final = 120
"""The width of a table that goes into a file or a pipe, unless COLUMNS says otherwise."""


def write_lines(values: Iterable[object]) -> int:
    """Write each value as one line of JSON to standard output and return how many there were."""
    encode = msgspec.json.Encoder().encode
    write = click.get_binary_stream("stdout").write
    count = 0
    for value in values:
        write(encode(value) + b"\n")
        count += 1
    return count


def show(*parts: "RenderableType") -> None:
    """Write tables and sentences for people to standard output: in colour on a terminal, else as plain text."""
    from rich.console import Console

    stream = click.get_text_stream("stdout", errors="replace")
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PIPED_COLUMNS
    console = Console(file=stream, width=width, highlight=False, emoji=False)
    for part in parts:
        if stream.isatty():
            console.print(part)
            continue
        with console.capture() as captured:
            console.print(part)
        # Tables are padded to their width, which a file has no use for.
        stream.write("\n".join(line.rstrip() for line in captured.get().split("\n")))


def note(text: str) -> None:
    """Write one line to standard error: what is being done, or what to type next."""
    click.echo(text, err=True)


def show_facts(title: str, facts: Iterable[tuple[str, str]]) -> None:
    """Write named facts for people to standard output, one a line, exactly as they are."""
    from rich.text import Text

    table = new_table(title)
    table.show_header = False
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    for name, words in facts:
        table.add_row(name, Text(words))
    show(table)


def new_table(title: str | None = None) -> "Table":
    """Return an empty table in the one style that every command uses."""
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)

#!/usr/bin/env python3
"""Make docs/images/demo.svg: run `forewarn demo` on a terminal of its own, and draw what it printed.

    .venv/bin/python docs/images/make.py

The picture is what the command printed, in its colours, except that of the alerts only the first few are kept, with a
line that says how many were left out.  No font is fetched: the picture names the monospaced fonts that a reader has.
"""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT  # Rich has its template in no public place.
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

OUT: Final = Path(__file__).with_name("demo.svg")
COLUMNS: Final = 112
ALERTS_KEPT: Final = 4
FONTS: Final = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"

THEME: Final = TerminalTheme(
    (22, 25, 31),
    (214, 219, 228),
    [(40, 44, 52), (255, 107, 107), (120, 200, 120), (229, 192, 90), (97, 165, 240), (198, 120, 221), (86, 182, 194),
     (214, 219, 228)],
    [(110, 116, 128), (255, 130, 130), (140, 215, 140), (240, 205, 110), (120, 180, 245), (210, 140, 230),
     (110, 200, 210), (255, 255, 255)],
)  # fmt: skip


def printed_by_the_demo() -> str:
    """Return what `forewarn demo` writes to standard output when that is a terminal, escape codes included."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLORTERM"}}
    environment |= {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "FOREWARN_PROGRESS": "never"}
    command = [str(Path(sys.executable).with_name("forewarn")), "demo"]
    with subprocess.Popen(command, stdout=follower, env=environment) as demo:  # noqa: S603 - our own program
        os.close(follower)
        pieces = []
        while True:
            try:
                piece = os.read(leader, 1 << 16)
            except OSError:  # Linux says so, instead of an empty read, when the other side has closed.
                break
            if not piece:
                break
            pieces.append(piece)
    os.close(leader)
    if demo.returncode:
        raise SystemExit(f"forewarn demo ended with {demo.returncode}")
    return b"".join(pieces).decode().replace("\r\n", "\n")


def shortened(lines: list[Text]) -> list[Text]:
    """Return the lines with the first few alerts alone, and a line that counts the others."""
    begins = [i for i, line in enumerate(lines) if re.match(r" {1,4}\d+(\.\d)? % ", line.plain)]
    end = next(i for i, line in enumerate(lines) if line.plain.startswith("alerts opened each week"))
    if len(begins) <= ALERTS_KEPT:
        return lines
    left_out = Text(f" ... {len(begins) - ALERTS_KEPT} more, left out of this picture", style="dim italic")
    return [*lines[: begins[ALERTS_KEPT]], left_out, Text(), *lines[end:]]


def picture(lines: list[Text]) -> str:
    """Return the lines as an SVG of a terminal."""
    console = Console(record=True, file=io.StringIO(), width=COLUMNS, highlight=False, force_terminal=True)
    console.print(Text("$ forewarn demo", style="bold"))
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop", crop=True)
    template = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    template = template.replace("Fira Code, monospace", FONTS)
    return console.export_svg(title="forewarn demo", theme=THEME, code_format=template, unique_id="demo")


def main() -> None:
    """Run the demo and write the picture."""
    lines = list(Text.from_ansi(printed_by_the_demo().strip("\n")).split("\n"))
    OUT.write_text(picture(shortened(lines)), "utf-8")
    sys.stdout.write(f"{OUT}: {OUT.stat().st_size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    main()

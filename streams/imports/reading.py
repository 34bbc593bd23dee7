"""Rows of a table, one after another, with the line they begin on; a bad one is a value, not an end."""

import bz2
import csv
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, Final

from msgspec import Struct

from streams.imports.language import TableOptions
from streams.shared.errors import InputError

Progress = Callable[[int, int], None]
"""Called with the bytes of the file that are read and those that it has."""

ROWS_BETWEEN_PROGRESS: Final = 2_000
LINE_CHARACTERS_MAX: Final = 1 << 20


class Row(Struct, frozen=True, gc=False):
    """One row: its number (the first after the heading is 1), the line it begins on, its trimmed cells."""

    number: int
    line: int
    cells: tuple[str, ...]


class BadRow(Struct, frozen=True, gc=False):
    """A row that cannot be read; the reason never shows what is in it."""

    line: int
    reason: str


class Table:
    """An open table: `columns` are its headings, iteration gives rows, `duplicates` counts those it dropped."""

    def __init__(self, lines: Iterator[tuple[int, tuple[str, ...] | str]], reader: TableOptions, path: Path) -> None:
        """Read the heading.

        Raises:
            InputError: the file is empty, or its heading cannot be read.
        """
        self._lines = lines
        self._drop_duplicates = reader.drop_duplicates
        self.duplicates = 0
        self.columns = reader.columns or self._heading(path)

    def _heading(self, path: Path) -> tuple[str, ...]:
        for _, cells in self._lines:
            if isinstance(cells, str):
                raise InputError(f"the heading of {path} cannot be read: {cells}")
            return tuple(" ".join(cell.split()) for cell in cells)
        raise InputError(f"{path} is empty", hint="it should begin with a line of column headings")

    def __iter__(self) -> Iterator[Row | BadRow]:
        seen: set[bytes] = set()
        width = len(self.columns)
        for number, (line, cells) in enumerate(self._lines, 1):
            if isinstance(cells, str):
                yield BadRow(line, cells)
            elif len(cells) != width:
                yield BadRow(line, f"{len(cells)} cells, and the heading has {width}")
            elif self._drop_duplicates and self._is_repeat(cells, seen):
                self.duplicates += 1
            else:
                yield Row(number, line, cells)

    @staticmethod
    def _is_repeat(cells: tuple[str, ...], seen: set[bytes]) -> bool:
        digest = blake2b("\x1f".join(cells).encode(), digest_size=16).digest()
        known = digest in seen
        seen.add(digest)
        return known


@contextmanager
def open_table(path: Path, reader: TableOptions, progress: Progress | None = None) -> Iterator[Table]:
    """Open a table, plain or compressed (.gz, .bz2, .xz), as UTF-8 with or without a byte order mark.

    Raises:
        InputError: the file is missing, is a folder, is no table, or its compressed data end too early.
    """
    try:
        total = path.stat().st_size
        with path.open("rb") as raw, _open_decompressed(raw, path) as content:
            text = io.TextIOWrapper(content, "utf-8-sig", errors="surrogateescape", newline="")
            rows = _csv_rows(text, reader.delimiter) if reader.format == "csv" else _blank_separated_rows(text)
            yield Table(_with_progress(_without_bad_text(rows), raw, total, progress), reader, path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{path} cannot be read to its end: {error}", hint="was it copied whole?") from None


def _open_decompressed(
    raw: io.BufferedReader, path: Path
) -> "io.BufferedReader | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile":
    match path.suffix.lower():
        case ".gz":
            return gzip.GzipFile(fileobj=raw)
        case ".bz2":
            return bz2.BZ2File(raw)
        case ".xz":
            return lzma.LZMAFile(raw)
        case ".zst" | ".zip" | ".xlsx" | ".parquet" as suffix:
            raise InputError(f"{path} is no text: {suffix} is not read here", hint="unpack or export it as CSV first")
        case _:
            return raw


def _csv_rows(text: IO[str], delimiter: str) -> Iterator[tuple[int, tuple[str, ...] | str]]:
    lines = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        line = lines.line_num + 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"not CSV: {error}"
        else:
            if cells:
                yield line, tuple(cell.strip() for cell in cells)


def _blank_separated_rows(text: IO[str]) -> Iterator[tuple[int, tuple[str, ...] | str]]:
    line = 0
    while start := text.readline(LINE_CHARACTERS_MAX):
        line += 1
        if not start.endswith("\n") and len(start) >= LINE_CHARACTERS_MAX:
            while (rest := text.readline(LINE_CHARACTERS_MAX)) and not rest.endswith("\n"):
                pass
            yield line, f"longer than {LINE_CHARACTERS_MAX} characters"
        elif cells := start.split():
            yield line, tuple(cells)


def _without_bad_text(
    rows: Iterator[tuple[int, tuple[str, ...] | str]],
) -> Iterator[tuple[int, tuple[str, ...] | str]]:
    for line, cells in rows:
        text = "".join(cells)
        if text.isascii():
            yield line, cells
        elif any("\ud800" <= character <= "\udfff" for character in text):
            yield line, "not UTF-8"
        else:
            yield line, cells


def _with_progress(
    rows: Iterator[tuple[int, tuple[str, ...] | str]], raw: IO[bytes], total: int, progress: Progress | None
) -> Iterator[tuple[int, tuple[str, ...] | str]]:
    for number, row in enumerate(rows):
        if progress and number % ROWS_BETWEEN_PROGRESS == 0:
            progress(raw.tell(), total)
        yield row
    if progress:
        progress(total, total)

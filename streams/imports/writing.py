"""Events in any order in, one time-ordered JSON Lines file per topic out, in bounded memory.

Lines are sorted in runs that are spilled to disk and merged.  Files appear in the output folder only when all
of them are complete, so that a broken import leaves the folder as it was.
"""

import gzip
import heapq
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import zstandard

from streams.core.contracts.events import INPUTS
from streams.shared.compression import SUFFIXES, Compression
from streams.shared.errors import InputError

RUN_LINES: Final = 500_000
SIGNATURE: Final = "# Written by forewarn import"
"""How the settings file of an import begins, which is how a folder is known that may be written over."""

SETTINGS_NAME: Final = "forewarn.toml"
REJECTS_NAME: Final = "rejects.jsonl"
_Lines = IO[bytes] | gzip.GzipFile | zstandard.ZstdCompressionWriter
_SEQUENCE_DIGITS: Final = 12
_KEY_BYTES: Final = 15 + 1 + 34 + 1 + _SEQUENCE_DIGITS + 1


class TopicWriter:
    """Collects the lines of all topics; `finish` sorts and writes them.

    Lines of one millisecond follow the pseudonym, never the order of the source, which drifts and leaks.
    """

    def __init__(self, out: Path, compression: Compression = "none", run_lines: int = RUN_LINES) -> None:
        """Prepare the folder `out`, which is made if it is missing.

        Raises:
            InputError: it cannot be written to, or holds topics that no import wrote.
        """
        self._out = out
        self._compression = compression
        self._run_lines = run_lines
        self._lines: dict[str, list[bytes]] = {}
        self._held = 0
        self._count = 0
        self._runs: dict[str, list[Path]] = {}
        self._rejects: IO[str] | None = None
        self._refuse_foreign_topics()
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._temporary = tempfile.TemporaryDirectory(prefix=".import-", dir=out)
        except OSError as error:
            raise self._write_error(error) from None
        self._folder = Path(self._temporary.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rejects:
            self._rejects.close()
        self._temporary.cleanup()

    def reject(self, line: int, reason: str) -> None:
        """Note a row that cannot be used: its line in the source and why, never what is in it."""
        if self._rejects is None:
            self._rejects = (self._folder / REJECTS_NAME).open("w", encoding="utf-8")
        self._rejects.write(json.dumps({"line": line, "reason": reason}) + "\n")

    def add(self, topic: str, at_ms: int, subscriber_id: str, line: bytes) -> None:
        """Take one event of a topic, as one line of JSON without its line feed."""
        key = f"{at_ms:015d} {subscriber_id} {self._count:0{_SEQUENCE_DIGITS}d} ".encode()
        self._count += 1
        self._lines.setdefault(topic, []).append(key + line + b"\n")
        self._held += 1
        if self._held >= self._run_lines:
            self._spill()

    def finish(self, settings: str) -> tuple[Path, ...]:
        """Write every topic, the settings file and the rejects, then put all in place; return the topics' paths.

        Raises:
            InputError: the folder cannot be written to.
        """
        try:
            return self._finish(settings)
        except OSError as error:
            raise self._write_error(error) from None

    def _finish(self, settings: str) -> tuple[Path, ...]:
        topics = []
        for topic in sorted({*self._lines, *self._runs}):
            topics.append(f"{topic}.jsonl{SUFFIXES[self._compression]}")
            with _open_compressed(self._folder / topics[-1], self._compression) as file:
                for line in self._sorted_lines(topic):
                    file.write(line[_KEY_BYTES:])
        (self._folder / SETTINGS_NAME).write_text(settings, "utf-8")
        rejects = []
        if self._rejects:
            self._rejects.close()
            rejects.append(REJECTS_NAME)
        for path in self._earlier():
            path.unlink()
        for name in (SETTINGS_NAME, *topics, *rejects):
            (self._folder / name).replace(self._out / name)
        return tuple(self._out / name for name in topics)

    def _spill(self) -> None:
        try:
            for topic, lines in self._lines.items():
                runs = self._runs.setdefault(topic, [])
                path = self._folder / f"{topic}.run{len(runs)}"
                lines.sort()
                with path.open("wb") as file:
                    file.writelines(lines)
                runs.append(path)
        except OSError as error:
            raise self._write_error(error) from None
        self._lines.clear()
        self._held = 0

    def _write_error(self, error: OSError) -> InputError:
        return InputError(f"the folder {self._out} cannot be written to: {error.strerror or error}")

    def _sorted_lines(self, topic: str) -> Iterator[bytes]:
        with ExitStack() as stack:
            runs = [stack.enter_context(path.open("rb")) for path in self._runs.get(topic, [])]
            yield from heapq.merge(*runs, sorted(self._lines.get(topic, [])))

    def _earlier(self) -> list[Path]:
        names = [f"{topic}.jsonl{suffix}" for topic in INPUTS for suffix in SUFFIXES.values()]
        return [path for name in (*names, REJECTS_NAME) if (path := self._out / name).is_file()]

    def _refuse_foreign_topics(self) -> None:
        settings = self._out / SETTINGS_NAME
        ours = settings.is_file() and settings.read_text("utf-8", "replace").startswith(SIGNATURE)
        if self._earlier() and not ours:
            raise InputError(f"the folder {self._out} holds topics that no import wrote", hint="name an empty folder")


@contextmanager
def _open_compressed(path: Path, compression: Compression) -> Iterator[_Lines]:
    with path.open("wb") as raw:
        if compression == "gz":
            # No name and no time inside: the same events give the same bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as file:
                yield file
        elif compression == "zst":
            with zstandard.ZstdCompressor().stream_writer(raw, closefd=False) as file:
                yield file
        else:
            yield raw
        raw.flush()
        os.fsync(raw.fileno())

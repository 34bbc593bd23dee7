"""Bytes to lines: a file or standard input, plain, gzip or zstd, as blocks of whole lines.

Which lines come out depends neither on the size of the blocks nor on how the bytes arrive.  Memory is bounded:
a line that is too long keeps its beginning only, and compressed data are unpacked piece by piece.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Final, Protocol, cast

import zstandard
from msgspec import Struct

from streams.core.contracts.decode import VALUE_BYTES_MAX
from streams.shared.errors import InputError

LINE_BYTES_MAX: Final = VALUE_BYTES_MAX
KEPT_BYTES: Final = 1 << 16
"""What is kept of a line longer than `LINE_BYTES_MAX`: enough to see what it was."""

BLOCK_BYTES: Final = 1 << 18
BLOCK_BYTES_MAX: Final = LINE_BYTES_MAX // 2
"""Below the longest line, so that only the first line of a block, which earlier ones began, can be too long."""

_PACKED_BYTES: Final = 1 << 14  # Unpacked at a time: 16 KiB of gzip never become more than 16 MiB.
_MAGIC_BYTES: Final = 4
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


class DamagedInputError(InputError):
    """Compressed data are not what was compressed: where that begins to be so cannot be told, only where it shows.

    `sound_lines` were handed out before the gzip member or zstd frame began in which it shows; only at the end of one
    does its checksum prove the lines in it.  `source` names the source, once that is known.
    """

    def __init__(self, what: str, sound_lines: int, source: str = "") -> None:
        super().__init__(what, hint="replace the file by a whole copy and run again")
        self.what = what
        self.sound_lines = sound_lines
        self.source = source

    def after(self, committed_lines: int) -> InputError:
        """Return what to tell somebody who has committed so many lines of the source."""
        if committed_lines <= self.sound_lines:
            return self
        return InputError(
            f"{self.what}; its lines {self.sound_lines + 1:,} to {committed_lines:,} were committed before that "
            "showed, and may be wrong",
            hint="replace the file by a whole copy and begin a new database",
        )


class LineBlock(Struct, frozen=True, gc=False):
    """Consecutive lines: the first, with the length in bytes that it had before it was cut, and the rest."""

    first: bytes
    first_bytes: int
    rest: list[bytes]


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Compression(Struct, frozen=True):
    """One way of compressing: what it is called, how its data begin, what its files end in, how it is undone."""

    name: str
    magic: bytes
    suffix: str
    decompressor: Callable[[], _Decompressor]


def _gunzip() -> _Decompressor:
    return zlib.decompressobj(_GZIP_WINDOW)


def _zstd_decompressor() -> _Decompressor:
    return zstandard.ZstdDecompressor().decompressobj()


PACKINGS: Final = (
    _Compression("gzip", b"\x1f\x8b", ".gz", _gunzip),
    _Compression("zstd", b"\x28\xb5\x2f\xfd", ".zst", _zstd_decompressor),
)


class LineReader:
    """The lines of one file, or of standard input (`path` None), read once from its beginning.

    `bytes_read` counts bytes as they lie in the file (compressed where they are), `lines_read` the lines handed
    out.  Raises `InputError` where the file cannot be read, or where compressed data end early or are damaged;
    the message names the file and its last whole line, and all whole lines have been handed out before.
    """

    __slots__ = ("_block_bytes", "_path", "_sound_lines", "bytes_read", "lines_read", "name")

    def __init__(self, path: Path | None, block_bytes: int = BLOCK_BYTES) -> None:
        if not 0 < block_bytes <= BLOCK_BYTES_MAX:
            raise ValueError(f"block_bytes is {block_bytes}, it must be 1 to {BLOCK_BYTES_MAX}")
        self._path = path
        self._block_bytes = block_bytes
        self.name = "standard input" if path is None else str(path)
        self.bytes_read = 0
        self.lines_read = 0
        self._sound_lines = 0

    def blocks(self) -> Iterator[LineBlock]:
        """Hand out all lines, without their line feeds; a last line that lacks one counts as well."""
        kept, length = b"", 0
        for piece in self._pieces():
            head, feed, rest = piece.partition(b"\n")
            length += len(head)
            kept = kept + head if length <= LINE_BYTES_MAX else (kept + head)[:KEPT_BYTES]
            if not feed:
                continue
            lines = rest.split(b"\n")
            tail = lines.pop()
            yield self._block(kept, length, lines)
            kept, length = tail, len(tail)
        if length:
            yield self._block(kept, length, [])

    def _block(self, first: bytes, first_bytes: int, rest: list[bytes]) -> LineBlock:
        if not self.lines_read:
            first = first.removeprefix(_BYTE_ORDER_MARK)
        self.lines_read += 1 + len(rest)
        return LineBlock(first, first_bytes, rest)

    def _pieces(self) -> Iterator[bytes]:
        """Yield the unpacked bytes, in pieces about the size of a block at most."""
        chunks = self._chunks()
        start = b""
        while len(start) < _MAGIC_BYTES and (chunk := next(chunks, b"")):
            start += chunk
        packing = self._compression(start)
        if packing is None:
            yield start
            yield from chunks
            return
        for piece in self._decompress(packing, start, chunks):
            for begin in range(0, len(piece), self._block_bytes):
                yield piece[begin : begin + self._block_bytes]

    def _chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they lie in the file, and count them."""
        try:
            if self._path is None:
                yield from self._count_chunks(_standard_input().read1)
            else:
                with self._path.open("rb", buffering=0) as file:
                    yield from self._count_chunks(file.read)
        except OSError as error:
            raise InputError(f"{self.name} cannot be read{self._where()}: {error.strerror or error}") from error

    def _count_chunks(self, read: Callable[[int], bytes]) -> Iterator[bytes]:
        while chunk := read(self._block_bytes):
            self.bytes_read += len(chunk)
            yield chunk

    def _compression(self, start: bytes) -> _Compression | None:
        """Tell by the first bytes whether the data are compressed, whatever the file is called."""
        for packing in PACKINGS:
            if start.startswith(packing.magic):
                return packing
        for packing in PACKINGS:
            if start and self.name.endswith(packing.suffix):
                raise InputError(
                    f"{self.name} is not {packing.name} data, though its name ends in {packing.suffix}",
                    hint="take the ending off if the file is plain text",
                )
        return None

    def _decompress(self, packing: _Compression, start: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what each run of compressed bytes unpacks to; members or frames may follow one another."""
        decompressor, begun = packing.decompressor(), False
        for packed in _slices(start, chunks):
            left = packed
            while left:
                if not begun and not left.strip(b"\0"):
                    break  # Zeros after the last member fill up a tape's block and mean nothing.
                try:
                    piece = decompressor.decompress(left)
                except (zlib.error, zstandard.ZstdError) as error:
                    what = f"{self.name}: the {packing.name} data are damaged{self._where()}"
                    raise DamagedInputError(what, self._sound_lines) from error
                begun, left = True, b""
                yield piece
                if decompressor.eof:
                    left = decompressor.unused_data
                    decompressor, begun = packing.decompressor(), False
                    self._sound_lines = self.lines_read
        if begun:
            raise InputError(
                f"{self.name}: the {packing.name} data end too early{self._where()}",
                hint="the copy is incomplete: replace the file by a whole one and run again",
            )

    def _where(self) -> str:
        return f" after line {self.lines_read}" if self.lines_read else ""


def _standard_input() -> BufferedReader:
    # Always so where it is a real stream; `read1` returns what has arrived instead of waiting for a whole block.
    return cast("BufferedReader", sys.stdin.buffer)


def _slices(start: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    chunk = start
    while chunk:
        for begin in range(0, len(chunk), _PACKED_BYTES):
            yield chunk[begin : begin + _PACKED_BYTES]
        chunk = next(chunks, b"")

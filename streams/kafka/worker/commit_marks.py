"""Where a partition number stands, as a record among its states."""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

MARK_VERSION: Final = 1
MARK_KEY: Final = b"mark"
"""The key of the mark among the states; no subscriber has it, since theirs begin with s_."""


class Owned(Protocol):
    """What every kind of mark says of itself: the version of its form, and whose it is."""

    @property
    def version(self) -> int:
        """The version of its form."""

    @property
    def application(self) -> str:
        """The application that wrote it."""


M = TypeVar("M", bound=Owned)


class Mark(Struct, array_like=True, frozen=True):
    """Where a slot stands, written with the states that it belongs to: the next offset of each source, and the time.

    `newest_ms` is the latest event time of each source by then; marks that were written without it have none.
    """

    version: int
    application: str
    positions: dict[int, int]
    stream_ms: int
    counters: dict[str, int]
    newest_ms: dict[int, int] = {}


class BrokenMarkError(ValueError):
    """The mark of a slot cannot be read, or belongs to another application or version."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Mark).decode


def write_mark(mark: Mark) -> tuple[bytes, bytes]:
    """Return the record of a mark: its key and its bytes."""
    return MARK_KEY, _encode(mark)


def read_mark(raw: bytes, application: str) -> Mark:
    """Return the mark that was written.

    Raises:
        BrokenMarkError: it cannot be read, or belongs to another application or version.
    """
    return read_as("the mark", _decode, raw, MARK_VERSION, application)


def read_as(what: str, decode: Callable[[bytes], M], raw: bytes, version: int, application: str) -> M:
    """Return a mark of some kind, which an error calls `what`.

    Raises:
        BrokenMarkError: it cannot be read, or belongs to another application or version.
    """
    try:
        mark = decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenMarkError(f"{what} cannot be read: {error}") from error
    if mark.version != version:
        raise BrokenMarkError(f"{what} has version {mark.version}, this program reads {version}")
    if mark.application != application:
        raise BrokenMarkError(f"the mark is that of application {mark.application!r}, not of {application!r}")
    return mark

"""The checkpoint of a partition task, as a record among its states."""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

from streams.core.contracts.source import SourceNumber

CHECKPOINT_VERSION: Final = 1
CHECKPOINT_KEY: Final = b"mark"
"""The key of the checkpoint among the states; no subscriber has it, since theirs begin with s_."""


class CheckpointHeader(Protocol):
    """What every kind of checkpoint says of itself: the version of its form, and whose it is."""

    @property
    def version(self) -> int:
        """The version of its form."""

    @property
    def application(self) -> str:
        """The application that wrote it."""


M = TypeVar("M", bound=CheckpointHeader)


class TaskCheckpoint(Struct, array_like=True, frozen=True):
    """How far a task has come, written with its states: the next offset of each source, and the stream time.

    `newest_ms` is the latest event time of each source by then; checkpoints that were written without it have none.
    """

    version: int
    application: str
    positions: dict[SourceNumber, int]
    stream_ms: int
    counters: dict[str, int]
    newest_ms: dict[SourceNumber, int] = {}


class BrokenCheckpointError(ValueError):
    """A checkpoint cannot be read, or belongs to another application or version."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(TaskCheckpoint).decode


def write_checkpoint(checkpoint: TaskCheckpoint) -> tuple[bytes, bytes]:
    """Return the record of a checkpoint: its key and its bytes."""
    return CHECKPOINT_KEY, _encode(checkpoint)


def read_checkpoint(raw: bytes, application: str) -> TaskCheckpoint:
    """Return the checkpoint that was written.

    Raises:
        BrokenCheckpointError: it cannot be read, or belongs to another application or version.
    """
    return decode_checkpoint("the checkpoint", _decode, raw, CHECKPOINT_VERSION, application)


def decode_checkpoint(what: str, decode: Callable[[bytes], M], raw: bytes, version: int, application: str) -> M:
    """Return a checkpoint of some kind, which an error calls `what`.

    Raises:
        BrokenCheckpointError: it cannot be read, or belongs to another application or version.
    """
    try:
        checkpoint = decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenCheckpointError(f"{what} cannot be read: {error}") from error
    if checkpoint.version != version:
        raise BrokenCheckpointError(f"{what} has version {checkpoint.version}, this program reads {version}")
    if checkpoint.application != application:
        raise BrokenCheckpointError(f"{what} is that of application {checkpoint.application!r}, not of {application!r}")
    return checkpoint

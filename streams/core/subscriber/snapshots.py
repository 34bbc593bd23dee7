"""Snapshots as records of their own: a snapshot never changes, its state does all day.

What a waiting snapshot holds is larger than its whole state, and nothing looks at it until its outcome is known, or
until an alert of its subscriber moves.  So it lies in a store, by its subscriber and when it was taken; the state has
a row of what has happened since.
"""

from functools import cache
from struct import Struct
from typing import Final

import msgspec

from streams.core.subscriber.packing import UnreadableStateError
from streams.core.subscriber.state import PendingSnapshot

LOW_BAND: Final = 0
HIGH_BAND: Final = 2
"""The ends of the value bands, as a snapshot and the window sums have them: low, mid, high."""
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(PendingSnapshot).decode


def pack_snapshot(  # noqa: PLR0917 - all that a snapshot holds
    at_ms: int, features: tuple[float, ...], table: str, chance: float, model_version: str, band: int
) -> bytes:
    """Return what a snapshot holds as bytes: the features and the score as served, and the value band."""
    doubles = _doubles(len(features)).pack(*features)
    return _encode(PendingSnapshot(at_ms, doubles, table, chance, model_version, band=band))


def pack_apart(whole: PendingSnapshot) -> bytes:
    """Return the half of a snapshot that is a record of its own, of one that has stood whole in a state of before."""
    w = whole
    return _encode(PendingSnapshot(w.at_ms, w.features, w.feature_table, w.probability, w.model_version, band=w.band))


def unpack_snapshot(body: bytes, at_ms: int) -> PendingSnapshot:
    """Return the snapshot of a moment that `pack_snapshot` wrote.

    Raises:
        UnreadableStateError: it is none, or of another moment.
    """
    try:
        snapshot = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableStateError(f"the snapshot of {at_ms} cannot be read: {error}") from error
    if snapshot.at_ms != at_ms or not snapshot.features or len(snapshot.features) % 8:
        raise UnreadableStateError(f"the snapshot of {at_ms} cannot be read: it is none, or another one")
    return snapshot


def features_of(snapshot: PendingSnapshot) -> tuple[float, ...]:
    """Return the features of a snapshot, as they were served."""
    return _doubles(len(snapshot.features) // 8).unpack(snapshot.features)


@cache
def _doubles(count: int) -> Struct:
    return Struct(f"<{count}d")

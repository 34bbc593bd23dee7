"""A state and the snapshots that wait in it as records of their own: a snapshot never changes, its state does all day.

A waiting snapshot is larger than the rest of its state.  Where states are written again and again it is written once,
and its place in the state holds only when it was taken and what has happened since.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from streams.core.subscriber.facts import SubscriberState
from streams.core.subscriber.packing import UnreadableStateError, pack
from streams.core.subscriber.state import PendingSnapshot

NAMES_KEPT: Final = 1_024
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(PendingSnapshot).decode


def pack_apart(state: SubscriberState) -> bytes:
    """Return the state as bytes, without what its snapshots hold; `restore_snapshots` puts them back."""
    watch = state.watch
    if not watch.pending:
        return pack(state)
    whole = watch.pending
    watch.pending = [PendingSnapshot(p.at_ms, b"", "", 0.0, "", p.first_revenue_ms, p.treated, p.told) for p in whole]
    try:
        return pack(state)
    finally:
        watch.pending = whole


def pack_snapshot(snapshot: PendingSnapshot) -> bytes:
    """Return what a snapshot holds as bytes, the same as long as it waits."""
    s = snapshot
    return _encode(PendingSnapshot(s.at_ms, s.features, s.feature_table, s.probability, s.model_version, band=s.band))


def restore_snapshots(state: SubscriberState, snapshots: Mapping[int, bytes]) -> SubscriberState:
    """Return the state with its snapshots as `pack_snapshot` wrote them, by when they were taken; those it holds stay.

    Raises:
        UnreadableStateError: a snapshot is missing, or unreadable.
    """
    waiting = state.watch.pending
    for i, hollow in enumerate(waiting):
        if hollow.features:
            continue
        try:
            waiting[i] = whole = _decode(snapshots[hollow.at_ms])
        except KeyError:
            raise UnreadableStateError(f"the snapshot of {hollow.at_ms} is missing") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreadableStateError(f"the snapshot of {hollow.at_ms} cannot be read: {error}") from error
        whole.first_revenue_ms, whole.treated, whole.told = hollow.first_revenue_ms, hollow.treated, hollow.told
        whole.feature_table, whole.model_version = _kept(whole.feature_table), _kept(whole.model_version)
    return state


@lru_cache(maxsize=NAMES_KEPT)
def _kept(name: str) -> str:
    """Return the name that is equal: a few names stand in millions of snapshots, and each is kept once."""
    return name

"""Snapshots as records of their own, and states of before, which had them in themselves."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.subscriber.facts import new_state
from streams.core.subscriber.packing import UnreadableStateError, pack, unpack, unpack_whole
from streams.core.subscriber.snapshots import pack_apart, pack_snapshot, unpack_snapshot
from streams.core.subscriber.state import PackedState, PendingSnapshot, Waiting
from streams.core.times import EventMs

TIMES_MS = st.integers(1, 2**45)
FEATURES = st.lists(st.floats(allow_nan=False), min_size=1, max_size=8).map(tuple)


@given(TIMES_MS, FEATURES, st.floats(0, 1), st.integers(0, 2))
def test_a_snapshot_is_unpacked_as_it_was_packed(
    at_ms: int, features: tuple[float, ...], chance: float, band: int
) -> None:
    body = pack_snapshot(at_ms, features, "f-1", chance, "m-1", band)
    snapshot = unpack_snapshot(body, at_ms)
    assert pack_apart(snapshot) == body
    assert (snapshot.feature_table, snapshot.probability, snapshot.model_version, snapshot.band) == (
        "f-1", chance, "m-1", band,
    )  # fmt: skip


def whole_state(pending: list[PendingSnapshot]) -> bytes:
    """Return a state as it was packed when its snapshots stood in it."""
    packed = msgspec.msgpack.decode(pack(new_state(EventMs(1))), type=PackedState)
    packed.pending = pending
    return msgspec.msgpack.encode(packed)


@given(st.sets(TIMES_MS, max_size=6), st.data())
def test_a_state_of_before_gives_its_snapshots_up_and_keeps_what_has_happened_since(
    times: set[int], data: st.DataObject
) -> None:
    pending = [
        PendingSnapshot(at_ms, data.draw(st.binary(min_size=8, max_size=64)), "f-1", 0.5, "m-1", at_ms + 1, 2, 1, 2)
        for at_ms in sorted(times)
    ]
    state, found = unpack_whole(whole_state(pending))
    assert found == pending
    assert state.watch.waiting == [Waiting(at_ms, at_ms + 1, 2, 1) for at_ms in sorted(times)]
    assert unpack_whole(pack(state)) == (state, [])
    assert unpack(whole_state(pending)) == state


def test_what_stands_apart_of_a_snapshot_of_before_is_what_is_written_of_a_new_one() -> None:
    body = pack_snapshot(5, (1.5, 2.0), "f-1", 0.5, "m-1", 2)
    old = unpack_snapshot(body, 5)
    old.first_revenue_ms, old.treated, old.told = 7, 2, 1
    assert pack_apart(old) == body


@pytest.mark.parametrize("body", [b"\xc1", b"", pack_snapshot(6, (1.5,), "f-1", 0.5, "m-1", 0)])
def test_a_snapshot_that_is_damaged_or_of_another_moment_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableStateError, match="the snapshot of 5 cannot be read"):
        unpack_snapshot(body, 5)


@pytest.mark.parametrize("features", [b"", b"seven b"])
def test_a_snapshot_without_whole_features_is_refused(features: bytes) -> None:
    with pytest.raises(UnreadableStateError, match="the snapshot of 5 cannot be read"):
        unpack_snapshot(msgspec.msgpack.encode(PendingSnapshot(5, features, "f-1", 0.5, "m-1")), 5)

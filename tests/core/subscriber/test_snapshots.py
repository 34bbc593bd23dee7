"""Snapshots as records of their own: taken apart and joined, a state is what it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.subscriber.facts import SubscriberState, new_state
from streams.core.subscriber.packing import UnreadableStateError, pack, unpack
from streams.core.subscriber.snapshots import pack_apart, pack_snapshot, restore_snapshots
from streams.core.subscriber.state import PendingSnapshot

TIMES_MS = st.integers(1, 2**45)


@st.composite
def states(draw: st.DrawFn) -> SubscriberState:
    """Return a state in which some snapshots wait."""
    state = new_state(draw(TIMES_MS))
    for at_ms in sorted(draw(st.sets(TIMES_MS, max_size=6))):
        features = draw(st.binary(min_size=8, max_size=64))
        revenue_ms = draw(st.sampled_from([0, at_ms + 1]))
        state.watch.pending.append(PendingSnapshot(at_ms, features, "f-1", draw(st.floats(0, 1)), "m-1", revenue_ms))
    if state.watch.pending:
        state.watch.first_revenue_ms = state.watch.pending[-1].first_revenue_ms
    return state


@given(state=states())
def test_what_was_taken_apart_is_joined_again(state: SubscriberState) -> None:
    whole = pack(state)
    snapshots = {snapshot.at_ms: pack_snapshot(snapshot) for snapshot in state.watch.pending}
    apart = pack_apart(state)
    assert pack(state) == whole
    assert pack(restore_snapshots(unpack(apart), snapshots)) == whole
    assert pack(restore_snapshots(unpack(whole), {})) == whole


def test_revenue_that_comes_later_changes_the_state_and_not_the_snapshot() -> None:
    state = new_state(1)
    state.watch.pending.append(PendingSnapshot(1, b"features", "f-1", 0.5, "m-1"))
    snapshot, apart = pack_snapshot(state.watch.pending[0]), pack_apart(state)
    state.watch.pending[0].first_revenue_ms = 7
    assert pack_snapshot(state.watch.pending[0]) == snapshot
    assert pack_apart(state) != apart


def test_a_snapshot_that_is_missing_or_damaged_is_refused() -> None:
    state = new_state(1)
    state.watch.pending.append(PendingSnapshot(5, b"features", "f-1", 0.5, "m-1"))
    apart = pack_apart(state)
    with pytest.raises(UnreadableStateError, match="the snapshot of 5 is missing"):
        restore_snapshots(unpack(apart), {})
    with pytest.raises(UnreadableStateError, match="the snapshot of 5 cannot be read"):
        restore_snapshots(unpack(apart), {5: b"\xc1"})

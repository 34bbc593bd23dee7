"""The subscribers of one runner: their states, who waits for which wake, and who changed since the last write."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Final

from streams.core.effects import Effect
from streams.core.events import Event, Wake
from streams.core.snapshots import joined, pack_apart, pack_snapshot
from streams.core.state import SubscriberState, next_wake_ms, pack, unpack
from streams.core.step import Context, step
from streams.runners.timers import Wakes

SNAPSHOT: Final = "@"
"""What stands in the key of a waiting snapshot between its subscriber and when it was taken."""


class Subscribers:
    """What `step` is applied to; `context` holds from the next call on and may be replaced between two.

    A state that was restored stays packed until somebody asks for it: most are not touched for hours.
    """

    __slots__ = ("_apart", "_snapshots", "_states", "changed", "context", "scored", "wakes")

    def __init__(self, context: Context) -> None:
        """Begin with nobody."""
        self.context = context
        self.wakes = Wakes()
        self.changed: set[str] = set()
        self.scored = 0
        self._states: dict[str, SubscriberState | bytes] = {}
        self._snapshots: dict[bytes, bytes] = {}
        self._apart: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        """Return how many subscribers are known."""
        return len(self._states)

    def restore(self, subscriber_id: str, packed: bytes) -> None:
        """Take in a state as it was written.

        Raises:
            UnreadableStateError: it is no state, or of another version.
        """
        self._states[subscriber_id] = packed
        wake_ms = next_wake_ms(packed)
        if wake_ms:
            self.wakes.ask(wake_ms, subscriber_id)

    def restore_snapshot(self, key: bytes, packed: bytes) -> None:
        """Take in a waiting snapshot that was written apart from its state."""
        self._snapshots[key] = packed

    def forget(self, subscriber_id: str) -> None:
        """Erase a subscriber; the change is that nothing is left."""
        state = self._states.get(subscriber_id)
        if isinstance(state, bytes):
            self._opened(subscriber_id, state)
        self._states.pop(subscriber_id, None)
        self.changed.add(subscriber_id)

    def give(self, subscriber_id: str, given: Event | Wake) -> tuple[Effect, ...]:
        """Apply one event or wake and return what follows."""
        state = self._states.get(subscriber_id)
        if isinstance(state, bytes):
            state = self._opened(subscriber_id, state)
        asked_ms = 0 if state is None else state.watch.next_wake_ms
        after, effects = step(state, given, self.context)
        if state is None:
            self._states[subscriber_id] = after
        wake_ms = after.watch.next_wake_ms
        if wake_ms != asked_ms and wake_ms:
            self.wakes.ask(wake_ms, subscriber_id)
        self.changed.add(subscriber_id)
        return effects

    def wake(self, at_ms: int, subscriber_ids: list[str]) -> list[Effect]:
        """Wake subscribers in the order of asking, which is kind to memory; what follows is in that of their ids.

        So the outcome is the same after a restart, when they ask in another order.
        """
        made: list[tuple[str, tuple[Effect, ...]]] = []
        for subscriber_id in subscriber_ids:
            state = self._states.get(subscriber_id)
            if isinstance(state, bytes):
                state = self._opened(subscriber_id, state)
            if state is None or state.watch.next_wake_ms != at_ms:
                continue  # No longer wanted, and after a restart it would not be here.
            effects = self.give(subscriber_id, Wake(subscriber_id, at_ms))
            self.scored += state.watch.scored_at_ms == at_ms
            if effects:
                made.append((subscriber_id, effects))
        made.sort(key=itemgetter(0))
        return [effect for _, effects in made for effect in effects]

    def packed(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the changed states in the order of their ids, packed whole; None for who was erased."""
        for subscriber_id, state in self._changes():
            yield subscriber_id, None if state is None else pack(state)

    def packed_apart(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the changed states by their keys, and apart from them the snapshots that are new; None erases.

        What was yielded once counts as written: snapshots are not yielded again.
        """
        for subscriber_id, state in self._changes():
            waiting = () if state is None else state.watch.pending
            yield subscriber_id.encode(), None if state is None else pack_apart(state)
            before, now = self._apart.get(subscriber_id, ()), tuple([snapshot.at_ms for snapshot in waiting])
            if now == before:
                continue
            for snapshot in waiting:
                if snapshot.at_ms not in before:
                    yield snapshot_key(subscriber_id, snapshot.at_ms), pack_snapshot(snapshot)
            for at_ms in before:
                if at_ms not in now:
                    yield snapshot_key(subscriber_id, at_ms), None
            self._apart[subscriber_id] = now

    def _changes(self) -> Iterator[tuple[str, SubscriberState | None]]:
        for subscriber_id in sorted(self.changed):
            state = self._states.get(subscriber_id)
            yield subscriber_id, self._opened(subscriber_id, state) if isinstance(state, bytes) else state

    def _opened(self, subscriber_id: str, packed: bytes) -> SubscriberState:
        """Unpack a state and keep it so, with the snapshots that were written apart from it."""
        state = self._states[subscriber_id] = unpack(packed)
        apart = tuple([snapshot.at_ms for snapshot in state.watch.pending if not snapshot.features])
        if apart:
            keys = {at_ms: snapshot_key(subscriber_id, at_ms) for at_ms in apart}
            joined(state, {at_ms: self._snapshots.pop(key) for at_ms, key in keys.items() if key in self._snapshots})
            self._apart[subscriber_id] = apart
        return state


def snapshot_key(subscriber_id: str, at_ms: int) -> bytes:
    """Return under which key the snapshot of a subscriber is written that was taken then.

    >>> snapshot_key("s_1", 5)
    b's_1@5'
    """
    return f"{subscriber_id}{SNAPSHOT}{at_ms}".encode()

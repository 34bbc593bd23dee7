"""The subscribers of one run or partition: their states, their wakes, and which changed since the last write."""

from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import Final, Protocol

from streams.core.contracts.effects import Effect
from streams.core.contracts.events import Event, Wake
from streams.core.step import Context, step
from streams.core.subscriber.facts import SubscriberState
from streams.core.subscriber.packing import next_wake_ms, pack, unpack
from streams.core.subscriber.snapshots import pack_apart, pack_snapshot, restore_snapshots
from streams.engine.wakes import Wakes

SNAPSHOT: Final = "@"
"""What stands in the key of a waiting snapshot between its subscriber and when it was taken."""
SNAPSHOT_BYTE: Final = ord(SNAPSHOT)
"""As it stands in a key of bytes: looking for a number takes a tenth of what looking for bytes takes."""
MANY_CHANGED: Final = 8
"""If one state in so many has changed, looking at all of them costs less than going back and forth in memory."""


class PackedStates(Protocol):
    """Where packed states and snapshots lie by their keys: a dictionary, or a store on a disk."""

    def __setitem__(self, key: bytes, packed: bytes, /) -> None:
        """Put one there, in place of what was there before."""

    def pop(self, key: bytes, default: None, /) -> bytes | None:
        """Take one away and return it, or `default` where there is none."""

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """Yield all of them in any order; snapshots may be left out."""


class Subscribers:
    """What `step` is applied to; `context` holds from the next call on and may be replaced between two.

    A state is open, which is fast, or packed, which is small: one that was restored stays packed until somebody asks
    for it, and `trim_memory` packs those again that nobody has asked for, beyond `open_max`.
    """

    __slots__ = (
        "_apart", "_changed", "_edition", "_open_max", "_packed", "_packed_count", "_states", "context", "scored",
        "wakes",
    )  # fmt: skip

    def __init__(self, context: Context, open_max: int | None = None) -> None:
        """Begin with nobody; None lets all be open."""
        self.context = context
        self.wakes = Wakes()
        self._changed: set[str] = set()
        self.scored = 0
        self._edition = 1
        self._open_max = open_max
        self._states: dict[str, SubscriberState] = {}
        self._packed: PackedStates = dict[bytes, bytes]()
        self._packed_count = 0
        self._apart: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        """Return how many subscribers are known."""
        return len(self._states) + self._packed_count

    @property
    def changed(self) -> int:
        """How many have changed since the last write."""
        return len(self._changed)

    def restore(self, packed: PackedStates) -> None:
        """Take over the states, and the snapshots apart from them, that were written: theirs is the place now.

        Raises:
            UnreadableStateError: one is no state, or of another version.
        """
        self._packed = packed
        for key, state in packed.items():
            if SNAPSHOT_BYTE in key:
                continue
            self._packed_count += 1
            wake_ms = next_wake_ms(state)
            if wake_ms:
                self.wakes.ask(wake_ms, key.decode())

    def written(self) -> None:
        """Note that all changes are written."""
        if self._open_max is not None and len(self._states) > self._open_max // 2:
            states = self._states
            for subscriber_id in self._changed:
                if (state := states.pop(subscriber_id, None)) is not None:
                    states[subscriber_id] = state  # The order is that of the last change.
        self._changed.clear()
        self._edition += 1

    def trim_memory(self) -> Iterator[None]:
        """Pack those who were not changed for longest, where too many are open, and yield after each of them.

        All changes have to be written, and nobody may be given anything meanwhile; who stops before leaves some open.
        """
        states = self._states
        spare = 0 if self._open_max is None else max(0, len(states) - self._open_max)
        for subscriber_id in list(islice(states, spare)):
            self._packed[subscriber_id.encode()] = pack(states.pop(subscriber_id))
            self._packed_count += 1
            self._apart.pop(subscriber_id, None)
            yield

    def forget(self, subscriber_id: str) -> None:
        """Erase a subscriber; the change is that nothing is left."""
        self._opened(subscriber_id)
        self._states.pop(subscriber_id, None)
        self._changed.add(subscriber_id)

    def give(self, subscriber_id: str, given: Event | Wake) -> tuple[Effect, ...]:
        """Apply one event or wake and return what follows."""
        return self._applied(subscriber_id, self._states.get(subscriber_id) or self._opened(subscriber_id), given)

    def _applied(self, subscriber_id: str, state: SubscriberState | None, given: Event | Wake) -> tuple[Effect, ...]:
        asked_ms = 0 if state is None else state.watch.next_wake_ms
        after, effects = step(state, given, self.context)
        if state is None:
            self._states[subscriber_id] = after
        wake_ms = after.watch.next_wake_ms
        if wake_ms != asked_ms and wake_ms:
            self.wakes.ask(wake_ms, subscriber_id)
        if after.noted != self._edition:  # Looking at what is at hand is cheaper than at a set of many.
            after.noted = self._edition
            self._changed.add(subscriber_id)
        return effects

    def wake(self, at_ms: int, subscriber_ids: list[str]) -> list[Effect]:
        """Wake subscribers in the order of asking, which is kind to memory; what follows is in that of their ids.

        So the outcome is the same after a restart, when they ask in another order.
        """
        made: list[tuple[str, tuple[Effect, ...]]] = []
        for subscriber_id in subscriber_ids:
            state = self._states.get(subscriber_id) or self._opened(subscriber_id)
            if state is None or state.watch.next_wake_ms != at_ms:
                continue  # No longer wanted, and after a restart it would not be here.
            effects = self._applied(subscriber_id, state, Wake(subscriber_id, at_ms))
            self.scored += state.watch.scored_at_ms == at_ms
            if effects:
                made.append((subscriber_id, effects))
        made.sort(key=itemgetter(0))
        return [effect for _, effects in made for effect in effects]

    def packed(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the changed states in the order of their ids, packed whole; None for who was erased."""
        for subscriber_id in sorted(self._changed):
            state = self._states.get(subscriber_id)
            yield subscriber_id, None if state is None else pack(state)

    def packed_apart(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the changed states by their keys, and apart from them the snapshots that are new; None erases.

        Once all were yielded they count as written, and snapshots are not yielded again; who stops before begins anew.
        """
        states = self._states
        moved: dict[str, tuple[int, ...]] = {}
        for subscriber_id in self._changed_in_order():
            state = states.get(subscriber_id)
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
            moved[subscriber_id] = now
        self._apart.update(moved)

    def _changed_in_order(self) -> list[str]:
        """Return who has changed; of many, in the order in which they were opened and so lie in memory."""
        states, changed = self._states, self._changed
        if len(changed) < len(states) // MANY_CHANGED:
            return sorted(changed)
        return [*filter(changed.__contains__, states), *sorted(changed - states.keys())]

    def _opened(self, subscriber_id: str) -> SubscriberState | None:
        """Unpack a state and keep it so, with the snapshots that were written apart from it; None if it is unknown."""
        packed = self._packed.pop(subscriber_id.encode(), None)
        if packed is None:
            return None
        self._packed_count -= 1
        state = self._states[subscriber_id] = unpack(packed)
        waiting = tuple([snapshot.at_ms for snapshot in state.watch.pending])
        if waiting:
            self._apart[subscriber_id] = waiting
            hollow = [snapshot.at_ms for snapshot in state.watch.pending if not snapshot.features]
            apart = {at_ms: self._packed.pop(snapshot_key(subscriber_id, at_ms), None) for at_ms in hollow}
            restore_snapshots(state, {at_ms: snapshot for at_ms, snapshot in apart.items() if snapshot is not None})
        return state


def snapshot_key(subscriber_id: str, at_ms: int) -> bytes:
    """Return under which key the snapshot of a subscriber is written that was taken then.

    >>> snapshot_key("s_1", 5)
    b's_1@5'
    """
    return f"{subscriber_id}{SNAPSHOT}{at_ms}".encode()

"""The subscribers of one run or partition: their states, their wakes, and which changed since the last write."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Final, Protocol

from streams.core.contracts.effects import Effect, StepEffect
from streams.core.contracts.events import Event, Wake
from streams.core.step import Context, step
from streams.core.subscriber.facts import SubscriberState
from streams.core.subscriber.packing import next_wake_ms, pack, unpack_whole
from streams.core.subscriber.snapshots import pack_apart
from streams.engine.waiting_snapshots import SnapshotStore, SubscriberEffects, WaitingSnapshots, parts_of, snapshot_key
from streams.engine.wakes import Wakes

SNAPSHOT: Final = "@"
"""What stands in the key of a waiting snapshot between its subscriber and when it was taken."""
SNAPSHOT_BYTE: Final = ord(SNAPSHOT)
"""As it stands in a key of bytes: looking for a number takes a tenth of what looking for bytes takes."""
MANY_CHANGED: Final = 8
"""If one state in so many has changed, looking at all of them costs less than going back and forth in memory."""


_NOTHING: Final[tuple[Effect, ...]] = ()


class PackedStates(Protocol):
    """Where packed states and snapshots lie by their keys: a dictionary, or a store on a disk."""

    def __setitem__(self, key: bytes, packed: bytes, /) -> None:
        """Put one there, in place of what was there before."""

    def pop(self, key: bytes, default: None, /) -> bytes | None:
        """Take one away and return it, or `default` where there is none."""

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """Yield all of them in any order; snapshots may be left out."""


class PackedStore(PackedStates, SnapshotStore, Protocol):
    """Where packed states lie, and packed snapshots by their subscribers and times too."""


class PackedInMemory(dict[bytes, bytes]):
    """Packed states and snapshots in memory."""

    def read_snapshots(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return those that are there."""
        found = ((key, self.get(logged_key(key))) for key in keys)
        return {key: body for key, body in found if body is not None}

    def write_snapshots(self, new: Mapping[bytes, bytes], gone: Collection[bytes]) -> None:
        """Add some, and take some away."""
        for key, body in new.items():
            self[logged_key(key)] = body
        for key in gone:
            self.pop(logged_key(key), None)


class Subscribers:
    """What `step` is applied to; `context` holds from the next call on and may be replaced between two.

    A state is open, which is fast, or packed, which is small: one that was restored stays packed until somebody asks
    for it, and `trim_memory` packs those again that nobody has asked for, beyond `open_max`.  What their waiting
    snapshots hold is in `waiting`.
    """

    __slots__ = (
        "_changed", "_edition", "_open_max", "_packed", "_packed_count", "_states", "context", "scored", "waiting",
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
        self._packed: PackedStore = PackedInMemory()
        self._packed_count = 0
        self.waiting = WaitingSnapshots(self._packed)

    def __len__(self) -> int:
        """Return how many subscribers are known."""
        return len(self._states) + self._packed_count

    @property
    def changed_count(self) -> int:
        """How many have changed since the last write."""
        return len(self._changed)

    def restore(self, packed: PackedStore) -> None:
        """Take over the states, and the snapshots apart from them, that were written: theirs is the place now.

        Raises:
            UnreadableStateError: one is no state, or of another version.
        """
        self._packed = packed
        self.waiting = WaitingSnapshots(packed)
        for key, state in packed.items():
            if SNAPSHOT_BYTE in key:
                continue
            self._packed_count += 1
            wake_ms = next_wake_ms(state)
            if wake_ms:
                self.wakes.ask(wake_ms, key.decode())

    def note_written(self) -> None:
        """Note that all changes are written."""
        if self._open_max is not None and len(self._states) > self._open_max // 2:
            states = self._states
            for subscriber_id in self._changed:
                if (state := states.pop(subscriber_id, None)) is not None:
                    states[subscriber_id] = state  # The order is that of the last change.
        self._changed.clear()
        self._edition += 1
        self.waiting.note_written()

    def trim_memory(self) -> Iterator[None]:
        """Pack those who were not changed for longest, where too many are open, and yield after each of them.

        All changes have to be written, and nobody may be given anything meanwhile; who stops before leaves some open.
        """
        states = self._states
        spare = 0 if self._open_max is None else max(0, len(states) - self._open_max)
        for subscriber_id in list(islice(states, spare)):
            self._packed[subscriber_id.encode()] = pack(states.pop(subscriber_id))
            self._packed_count += 1
            yield

    def forget(self, subscriber_id: str) -> None:
        """Erase a subscriber; the change is that nothing is left."""
        self._open_packed(subscriber_id)
        if (state := self._states.pop(subscriber_id, None)) is not None:
            for snapshot in state.watch.waiting:
                self.waiting.drop(subscriber_id, snapshot.at_ms)
        self._changed.add(subscriber_id)

    def give(self, subscriber_id: str, given: Event | Wake) -> tuple[Effect, ...]:
        """Apply one event or wake and return what follows.

        Raises:
            UnreadableStateError: its state or one of its snapshots cannot be read, or is missing.
        """
        state = self._states.get(subscriber_id) or self._open_packed(subscriber_id)
        effects = self._apply(subscriber_id, state, given)
        return self.waiting.finish(subscriber_id, effects, self.context.scorer) if effects else _NOTHING

    def _apply(self, subscriber_id: str, state: SubscriberState | None, given: Event | Wake) -> tuple[StepEffect, ...]:
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

        Raises:
            UnreadableStateError: as `give` does.
        """
        made: list[SubscriberEffects] = []
        for subscriber_id in subscriber_ids:
            state = self._states.get(subscriber_id) or self._open_packed(subscriber_id)
            if state is None or state.watch.next_wake_ms != at_ms:
                continue  # No longer wanted, and after a restart it would not be here.
            effects = self._apply(subscriber_id, state, Wake(subscriber_id, at_ms))
            self.scored += state.watch.scored_at_ms == at_ms
            if effects:
                made.append((subscriber_id, effects))
        whole = self.waiting.finish_all(made, self.context.scorer)
        whole.sort(key=itemgetter(0))
        return [effect for _, effects in whole for effect in effects]

    def packed_states(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the changed states in the order of their ids; None for who was erased."""
        for subscriber_id in sorted(self._changed):
            state = self._states.get(subscriber_id)
            yield subscriber_id, None if state is None else pack(state)

    def packed_apart(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the changed states by their keys, and apart from them the snapshots that are new; None erases."""
        states = self._states
        for subscriber_id in self._changed_in_order():
            state = states.get(subscriber_id)
            yield subscriber_id.encode(), None if state is None else pack(state)
        for key, body in self.waiting.changes():
            yield logged_key(key), body

    def _changed_in_order(self) -> list[str]:
        """Return who has changed; of many, in the order in which they were opened and so lie in memory."""
        states, changed = self._states, self._changed
        if len(changed) < len(states) // MANY_CHANGED:
            return sorted(changed)
        return [*filter(changed.__contains__, states), *sorted(changed - states.keys())]

    def _open_packed(self, subscriber_id: str) -> SubscriberState | None:
        """Unpack a state and keep it so; None if it is unknown.

        One that was written before snapshots were records of their own is changed by that: both are written anew.
        """
        packed = self._packed.pop(subscriber_id.encode(), None)
        if packed is None:
            return None
        self._packed_count -= 1
        state, whole = unpack_whole(packed)
        self._states[subscriber_id] = state
        for snapshot in whole:
            self.waiting.keep(subscriber_id, snapshot.at_ms, pack_apart(snapshot))
            self._changed.add(subscriber_id)
        return state


def logged_key(key: bytes) -> bytes:
    """Return under which key a snapshot is written to a log, of the one that it has in a store.

    >>> logged_key(snapshot_key("s_1", 5)), stored_key(b"s_1@5") == snapshot_key("s_1", 5)
    (b's_1@5', True)
    """
    subscriber_id, at_ms = parts_of(key)
    return f"{subscriber_id}{SNAPSHOT}{at_ms}".encode()


def stored_key(key: bytes) -> bytes:
    """Return under which key a snapshot lies in a store, of the one that it has in a log."""
    subscriber_id, _, at_ms = key.decode().rpartition(SNAPSHOT)
    return snapshot_key(subscriber_id, int(at_ms))

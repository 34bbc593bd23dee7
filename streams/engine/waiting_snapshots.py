"""What the waiting snapshots of one runner hold: in a store, and the newest in memory until they are written.

`step` reads no store.  It returns what was taken, what was dropped, and drafts of what needs a snapshot; here the
snapshots are kept, and the drafts become whole.  Those of many subscribers are read at once, which is what makes a
store on a disk quick enough.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, Protocol

from streams.core.alerts.drafts import finish_alert, finish_example
from streams.core.contracts.effects import AlertDraft, Effect, ExampleDraft, SnapshotDropped, SnapshotTaken, StepEffect
from streams.core.scoring.scorer import Scorer
from streams.core.subscriber.packing import UnreadableStateError
from streams.core.subscriber.snapshots import unpack_snapshot

SubscriberEffects = tuple[str, tuple[StepEffect, ...]]
"""A subscriber, and what `step` has returned of it."""
Whole = tuple[str, tuple[Effect, ...]]

TIME_BYTES: Final = 8


class SnapshotStore(Protocol):
    """Where the packed snapshots lie that were written, by the keys of `snapshot_key`."""

    def read_snapshots(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return those that are there."""

    def write_snapshots(self, new: Mapping[bytes, bytes], gone: Collection[bytes]) -> None:
        """Add some, and take some away that were added before."""


class WaitingSnapshots:
    """The snapshots that wait: `new` since the last write, all others in the store but for those that are `gone`.

    Both are what the next write has to write.
    """

    __slots__ = ("_store", "gone", "new")

    def __init__(self, store: SnapshotStore) -> None:
        """Begin with what the store has."""
        self._store = store
        self.new: dict[bytes, bytes] = {}
        self.gone: dict[bytes, None] = {}

    def finish(self, subscriber_id: str, effects: tuple[StepEffect, ...], scorer: Scorer) -> tuple[Effect, ...]:
        """Keep and drop the snapshots of one subscriber as `step` says, and return what has happened, whole.

        `scorer` is the one that `step` had.

        Raises:
            UnreadableStateError: a snapshot is missing, or unreadable.
        """
        whole = self.finish_all([(subscriber_id, effects)], scorer) if effects else ()
        return whole[0][1] if whole else ()

    def finish_all(self, made: Sequence[SubscriberEffects], scorer: Scorer) -> list[Whole]:
        """Do what `finish` does for many subscribers, each once, with an effect or more; who has none left is left out.

        Raises:
            UnreadableStateError: as `finish`.
        """
        needed: list[bytes] = []
        unfinished: list[SubscriberEffects] = []
        for one in made:
            subscriber_id, effects = one
            if type(effects[-1]) is not SnapshotTaken or len(effects) > 1:
                unfinished.append(one)
            for effect in effects:
                if type(effect) is SnapshotTaken:
                    self.new[snapshot_key(subscriber_id, effect.at_ms)] = effect.body
                elif type(effect) is ExampleDraft:
                    needed.append(snapshot_key(subscriber_id, effect.at_ms))
                elif type(effect) is AlertDraft:
                    needed.append(snapshot_key(subscriber_id, effect.since_ms))
        keys, bodies = iter(needed), self._read(needed)
        found: list[Whole] = []
        for subscriber_id, effects in unfinished:
            whole: list[Effect] = []
            for effect in effects:
                if type(effect) is ExampleDraft:
                    snapshot = unpack_snapshot(bodies[key := next(keys)], effect.at_ms)
                    whole.append(finish_example(effect, subscriber_id, snapshot))
                    if not effect.provisional:
                        self._drop(key)
                elif type(effect) is AlertDraft:
                    snapshot = unpack_snapshot(bodies[next(keys)], effect.since_ms)
                    whole.append(finish_alert(effect, snapshot, scorer))
                elif type(effect) is SnapshotDropped:
                    self.drop(subscriber_id, effect.at_ms)
                elif type(effect) is not SnapshotTaken:
                    whole.append(effect)
            if whole:
                found.append((subscriber_id, tuple(whole)))
        return found

    def keep(self, subscriber_id: str, at_ms: int, body: bytes) -> None:
        """Take over a snapshot that stood elsewhere until now."""
        self.new[snapshot_key(subscriber_id, at_ms)] = body

    def drop(self, subscriber_id: str, at_ms: int) -> None:
        """Let go of a snapshot that waits no more."""
        self._drop(snapshot_key(subscriber_id, at_ms))

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the snapshots to be written by their keys; None where one is to be taken away."""
        yield from self.new.items()
        for key in self.gone:
            yield key, None

    def note_written(self) -> None:
        """Note that all changes are written, and leave the snapshots to the store."""
        if self.new or self.gone:
            self._store.write_snapshots(self.new, self.gone)
            self.new, self.gone = {}, {}

    def _drop(self, key: bytes) -> None:
        if self.new.pop(key, None) is None:
            self.gone[key] = None

    def _read(self, keys: list[bytes]) -> dict[bytes, bytes]:
        """Return snapshots by their keys; every one has to be there."""
        new = self.new
        bodies = {key: new[key] for key in keys if key in new}
        missing = [key for key in keys if key not in bodies]
        if missing:
            bodies.update(self._store.read_snapshots(missing))
            for key in missing:
                if key not in bodies:
                    raise UnreadableStateError(f"the snapshot of {parts_of(key)[1]} is missing")
        return bodies


def snapshot_key(subscriber_id: str, at_ms: int) -> bytes:
    """Return under which key a snapshot lies: its time (ms) first, so that what is taken on one day lies together.

    It is settled together, too, a horizon later.
    """
    return at_ms.to_bytes(TIME_BYTES, "big") + subscriber_id.encode()


def parts_of(key: bytes) -> tuple[str, int]:
    """Return the subscriber and the time of a key.

    >>> parts_of(snapshot_key("s_1", 5))
    ('s_1', 5)
    """
    return key[TIME_BYTES:].decode(), int.from_bytes(key[:TIME_BYTES], "big")

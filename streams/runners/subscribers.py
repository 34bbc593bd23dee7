"""The subscribers of one runner: their states, who waits for which wake, and who changed since the last write."""

from operator import itemgetter

from streams.core.effects import Effect
from streams.core.events import Event, Wake
from streams.core.state import SubscriberState, next_wake_ms, pack, unpack
from streams.core.step import Context, step
from streams.runners.timers import Wakes


class Subscribers:
    """What `step` is applied to; `context` holds from the next call on and may be replaced between two.

    A state that was restored stays packed until somebody asks for it: most are not touched for hours.
    """

    __slots__ = ("_states", "changed", "context", "scored", "wakes")

    def __init__(self, context: Context) -> None:
        """Begin with nobody."""
        self.context = context
        self.wakes = Wakes()
        self.changed: set[str] = set()
        self.scored = 0
        self._states: dict[str, SubscriberState | bytes] = {}

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

    def forget(self, subscriber_id: str) -> None:
        """Erase a subscriber; the change is that nothing is left."""
        self._states.pop(subscriber_id, None)
        self.changed.add(subscriber_id)

    def give(self, subscriber_id: str, given: Event | Wake) -> tuple[Effect, ...]:
        """Apply one event or wake and return what follows."""
        state = self._states.get(subscriber_id)
        if isinstance(state, bytes):
            state = self._states[subscriber_id] = unpack(state)
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
                state = self._states[subscriber_id] = unpack(state)
            if state is None or state.watch.next_wake_ms != at_ms:
                continue  # No longer wanted, and after a restart it would not be here.
            effects = self.give(subscriber_id, Wake(subscriber_id, at_ms))
            self.scored += state.watch.scored_at_ms == at_ms
            if effects:
                made.append((subscriber_id, effects))
        made.sort(key=itemgetter(0))
        return [effect for _, effects in made for effect in effects]

    def packed(self) -> list[tuple[str, bytes | None]]:
        """Return the changed states in the order of their ids, packed; None for who was erased."""
        found: list[tuple[str, bytes | None]] = []
        for subscriber_id in sorted(self.changed):
            state = self._states.get(subscriber_id)
            found.append((subscriber_id, state if state is None or isinstance(state, bytes) else pack(state)))
        return found

"""How stream time advances, written once: wakes have their turn, contexts come into force, effects are handed on.

Stream time is the latest event time that a set of subscribers has come to.  Before it moves past a moment, everything
that falls due up to then happens in the order of event time: whoever asked to wake wakes, a trainer that has a date
learns, and what serves from a date serves.  At one moment a wake comes first, then the learning, then the new context:
whoever wakes at the very moment of a change is scored before it.

The engine in one process, a worker's subscriber task and a replay differ in where records come from and in where
effects go.  They all move time here.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from streams.core.contracts.effects import AlertChanged, Effect, LabelledExample, LateEvent, UnmatchedLeaving
from streams.core.contracts.events import Event
from streams.core.step import Context
from streams.core.times import NEVER_MS
from streams.engine.subscribers import Subscribers
from streams.engine.wakes import EVERYBODY


class Contexts(Protocol):
    """What is in force when; the real one is `streams.engine.in_force.ContextTimeline`.

    `edition` changes whenever what `at` answers may have changed.
    """

    edition: int

    def at(self, stream_ms: int) -> tuple[Context, int]:
        """Return the context in force at an event time, and the event time (ms) at which the next one is."""


class EffectReceiver(Protocol):
    """Where the effects of `step` go; those that nobody keeps are counted alone."""

    def take_example(self, example: LabelledExample, past_ms: int) -> None:
        """Take an example that settled when stream time had passed `past_ms`."""

    def take_alert(self, change: AlertChanged) -> None:
        """Take an alert's transition."""

    def take_late(self, late: LateEvent) -> None:
        """Take an event that came beyond the lateness horizon."""


class Schedule(Protocol):
    """Something that has dates of its own: a trainer.  `next_due_ms` is the event time of the next one."""

    next_due_ms: int


class NothingDue:
    """A schedule without dates."""

    __slots__ = ("next_due_ms",)

    def __init__(self) -> None:
        """Let nothing ever fall due."""
        self.next_due_ms = NEVER_MS


def count(counters: dict[str, int], name: str, by: int = 1) -> None:
    """Count something by its name.

    >>> counters = {"late": 1}
    >>> count(counters, "late")
    >>> counters
    {'late': 2}
    """
    counters[name] = counters.get(name, 0) + by


class Timeline:
    """The stream time of one set of subscribers; `counters` counts their effects by name."""

    __slots__ = (
        "_contexts", "_meet", "_receiver", "_schedule", "_served_edition", "_serves_until_ms", "counters", "stream_ms",
        "subscribers",
    )  # fmt: skip

    def __init__(
        self,
        subscribers: Subscribers,
        contexts: Contexts,
        receiver: EffectReceiver,
        *,
        stream_ms: int = 0,
        schedule: Schedule | None = None,
        meet: Callable[[int], object] | None = None,
    ) -> None:
        """Begin at `stream_ms`; `meet` is called with each date of the schedule once stream time comes to it."""
        self.subscribers: Final = subscribers
        self.stream_ms = stream_ms
        self.counters: dict[str, int] = {}
        self._contexts = contexts
        self._receiver = receiver
        self._schedule: Schedule = NothingDue() if schedule is None else schedule
        self._meet = meet
        self._served_edition = -1
        self._serves_until_ms = NEVER_MS
        self.refresh(stream_ms)

    def refresh(self, at_ms: int) -> None:
        """Serve what is in force at an event time, if anything was published since the last time."""
        if self._served_edition != self._contexts.edition:
            self._serve(at_ms)

    def advance(self, to_ms: int, limit: int = EVERYBODY) -> int:
        """Move stream time to `to_ms` once all that falls due on the way has had its turn; return how many woke.

        At most `limit` subscribers wake.  If more are due, stream time stays where it is, and the next call goes on:
        whoever has woken does not ask for the same time again.
        """
        subscribers, schedule = self.subscribers, self._schedule
        wakes, woken = subscribers.wakes, 0
        while True:
            at_ms, due_ms = wakes.next_ms, schedule.next_due_ms
            if at_ms > to_ms and due_ms > to_ms:
                break
            at_ms = min(at_ms, due_ms)
            while (asking := wakes.take(at_ms, limit - woken)) is not None:
                woken += len(asking[1])
                if at_ms > self._serves_until_ms:
                    self._serve(at_ms - 1)
                self._hand_on(subscribers.wake(at_ms, asking[1]), at_ms - 1)
                if woken >= limit:
                    return woken
            if schedule.next_due_ms <= at_ms and self._meet is not None:
                self._meet(at_ms)
                self.refresh(at_ms)
        if to_ms >= self._serves_until_ms:
            self._serve(to_ms)
        self.stream_ms = to_ms
        return woken

    def apply(self, event: Event) -> None:
        """Give an event to its subscriber; stream time must have come to it, unless it is late."""
        effects = self.subscribers.give(event.body.subscriber_id, event)
        if effects:
            self._hand_on(effects, self.stream_ms)

    def _serve(self, at_ms: int) -> None:
        """Let the context that is in force at a time serve, until the next one does."""
        self._served_edition = self._contexts.edition
        self.subscribers.context, self._serves_until_ms = self._contexts.at(at_ms)

    def _hand_on(self, effects: Iterable[Effect], past_ms: int) -> None:
        """Hand effects to the receiver, and count each kind."""
        counters = self.counters
        for effect in effects:
            if type(effect) is LabelledExample:
                self._receiver.take_example(effect, past_ms)
                count(counters, "examples")
            elif type(effect) is AlertChanged:
                self._receiver.take_alert(effect)
                count(counters, "alerts", effect.change == "fired")
            elif type(effect) is UnmatchedLeaving:
                count(counters, "unmatched")
            elif type(effect) is LateEvent:
                self._receiver.take_late(effect)
                count(counters, "late")
            else:
                count(counters, "repeated")

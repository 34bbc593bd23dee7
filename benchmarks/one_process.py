"""The one-process engine without sources and store: what a simulated operator does, in the order of event time.

What is done with an event, a wake and what follows from them is up to whoever measures.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from streams.core.contracts.events import Event
from streams.core.scoring.models import scorer_from
from streams.core.signals.market import Market
from streams.core.step import Context
from streams.core.times import NEVER_MS
from streams.engine.wakes import Wakes
from streams.learning.trainer import Trainer
from streams.simulate import Simulation, events_of
from streams.simulate.chunk import Chunk
from streams.simulate.market import market_events
from streams.simulate.operator import draw_chunks
from streams.simulate.world import build_world


class OneProcess(ABC):
    """Lives through a simulation; `context` is what serves, `events` how many were given, times are in ms."""

    def __init__(self, settings: Simulation, trainer: Trainer | None, cold: Context, wakes: Wakes) -> None:
        """Draw the operator and what is published of its market; `cold` serves first; without a trainer none learns."""
        world = build_world(settings)
        self.chunks: Sequence[Chunk] = list(draw_chunks(settings, world))
        self.trainer, self.context, self.wakes = trainer, cold, wakes
        self.events = 0
        self._market, self._market_ms = Market(), 0
        for published in market_events(world):
            self._market.take(published, 0)

    def serve(self, context: Context) -> None:
        """Have a context serve from now on."""
        self.context = context

    @abstractmethod
    def give(self, event: Event, stream_ms: int) -> None:
        """Give an event to its subscriber."""

    @abstractmethod
    def wake(self, at_ms: int, asking: list[str]) -> None:
        """Wake those who asked for a time."""

    @abstractmethod
    def note_version(self, at_ms: int) -> None:
        """Take note of a version that serves from a time on."""

    def live(self) -> None:
        """Live from the first event to the last, without faults of transport."""
        stream_ms = -NEVER_MS
        runs = (events_of(chunk, number) for number, chunk in enumerate(self.chunks))
        for lists in zip(*runs, strict=True):
            for given in sorted((event for made in lists for event in made), key=lambda event: event.at_ms):
                if given.at_ms > stream_ms:
                    stream_ms = given.at_ms
                    self._advance(stream_ms)
                self.give(given, stream_ms)
                self.events += 1

    def _advance(self, stream_ms: int) -> None:
        """Give every wake up to a time its turn, and let the trainer learn on the way."""
        trainer = self.trainer
        while (next_ms := min(self.wakes.next_ms, NEVER_MS if trainer is None else trainer.next_due_ms)) <= stream_ms:
            self._see(next_ms - 1)
            for at_ms, asking in self.wakes.take_due(next_ms):
                self.wake(at_ms, asking)
            for version in () if trainer is None else trainer.advance(next_ms):  # Of one line: there is no challenger.
                self.serve(Context(scorer_from(version), self.context.policy, self.context.signals))
                self.note_version(next_ms)
        self._see(stream_ms)

    def _see(self, stream_ms: int) -> None:
        if self._market_ms <= stream_ms:
            signals, self._market_ms = self._market.at(stream_ms)
            self.serve(Context(self.context.scorer, self.context.policy, signals))

"""A simulated operator lived through in one process, drift and all: what a run would have kept, and the truth."""

import time
from dataclasses import dataclass, field

from streams.core.alerts.policy import Policy
from streams.core.contracts.effects import AlertChanged, Effect, LabelledExample
from streams.core.scoring.models import scorer_from
from streams.core.scoring.scorer import Scorer
from streams.core.signals.market import Market
from streams.core.step import Context
from streams.core.times import NEVER_MS
from streams.engine.subscribers import Subscribers
from streams.learning.trainer import Trainer
from streams.simulate import Simulation, events_of
from streams.simulate.market import market_events
from streams.simulate.operator import draw_chunks
from streams.simulate.world import build_world


@dataclass
class SimulatedLives:
    """What happened: examples with the time (ms) at which each was settled, alerts that fired, and who left when.

    `resolved_at` has by its id when (ms) an alert that had fired was resolved.
    """

    examples: list[LabelledExample] = field(default_factory=list)
    settled_at: dict[str, int] = field(default_factory=dict)
    fired: list[AlertChanged] = field(default_factory=list)
    resolved_at: dict[str, int] = field(default_factory=dict)
    left_ms: dict[str, int] = field(default_factory=dict)
    versions: int = 0
    events: int = 0
    seconds: float = 0.0


class _Life:
    """The one-process engine without sources and store: wakes, learning and signals in the order of event time."""

    def __init__(self, policy: Policy, scorer: Scorer, trainer: Trainer, market: Market) -> None:
        self.lived = SimulatedLives()
        self.subscribers = Subscribers(Context(scorer, policy))
        self._policy, self._trainer, self._market = policy, trainer, market
        self._market_ms = 0

    def advance(self, stream_ms: int) -> None:
        """Give every wake up to a time (ms) its turn, and let the trainer learn on the way."""
        subscribers, trainer = self.subscribers, self._trainer
        while (next_ms := min(subscribers.wakes.next_ms, trainer.next_due_ms)) <= stream_ms:
            self._see(next_ms - 1)
            for at_ms, asking in subscribers.wakes.take_due(next_ms):
                self.take(subscribers.wake(at_ms, asking), at_ms, at_ms - 1)
            for version in trainer.advance(next_ms):  # Of one line: the trainer has no challengers.
                subscribers.context = Context(scorer_from(version), self._policy, subscribers.context.signals)
                self.lived.versions += 1
        self._see(stream_ms)

    def take(self, effects: tuple[Effect, ...] | list[Effect], at_ms: int, past_ms: int) -> None:
        """Keep what followed at a time (ms); the trainer gets the examples."""
        for effect in effects:
            if isinstance(effect, LabelledExample):
                self._trainer.receive(effect, past_ms)
                self.lived.examples.append(effect)
                self.lived.settled_at[effect.example_id] = at_ms
            elif isinstance(effect, AlertChanged) and effect.change == "fired":
                self.lived.fired.append(effect)
            elif isinstance(effect, AlertChanged) and effect.change == "resolved":
                self.lived.resolved_at[effect.alert_id] = effect.at_ms

    def _see(self, stream_ms: int) -> None:
        if self._market_ms <= stream_ms:
            signals, self._market_ms = self._market.at(stream_ms)
            self.subscribers.context = Context(self.subscribers.context.scorer, self._policy, signals)


def live(settings: Simulation, policy: Policy, scorer: Scorer, trainer: Trainer) -> SimulatedLives:
    """Run an operator from its first event to its end, without faults of transport."""
    began = time.perf_counter()
    world, market = build_world(settings), Market()
    for event in market_events(world):
        market.take(event, 0)
    life, stream_ms = _Life(policy, scorer, trainer, market), -NEVER_MS
    chunks = list(draw_chunks(settings, world))
    for lists in zip(*(events_of(chunk, number) for number, chunk in enumerate(chunks)), strict=True):
        for given in sorted((event for made in lists for event in made), key=lambda event: event.at_ms):
            if given.at_ms > stream_ms:
                stream_ms = given.at_ms
                life.advance(stream_ms)
            life.take(life.subscribers.give(given.body.subscriber_id, given), stream_ms, stream_ms)
            life.lived.events += 1
    for chunk in chunks:
        for truth in chunk.truths():
            if truth.left_at is not None and truth.voluntary:
                life.lived.left_ms[truth.subscriber_id] = int(truth.left_at.timestamp() * 1000)
    life.lived.seconds = time.perf_counter() - began
    return life.lived

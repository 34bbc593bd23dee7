"""A simulated operator lived through in one process, drift and all: what a run would have kept, and the truth."""

import time
from dataclasses import dataclass, field

from one_process import OneProcess

from streams.core.alerts.policy import Policy
from streams.core.contracts.effects import AlertChanged, Effect, LabelledExample
from streams.core.contracts.events import Event
from streams.core.scoring.scorer import Scorer
from streams.core.step import Context
from streams.engine.subscribers import Subscribers
from streams.learning.trainer import Trainer
from streams.simulate import Simulation


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


class _Life(OneProcess):
    def __init__(self, settings: Simulation, policy: Policy, scorer: Scorer, trainer: Trainer) -> None:
        self._subscribers, self._trainer = Subscribers(Context(scorer, policy)), trainer
        super().__init__(settings, trainer, self._subscribers.context, self._subscribers.wakes)
        self.lived = SimulatedLives()

    def serve(self, context: Context) -> None:
        super().serve(context)
        self._subscribers.context = context

    def give(self, event: Event, stream_ms: int) -> None:
        self._take(self._subscribers.give(event.body.subscriber_id, event), stream_ms, stream_ms)

    def wake(self, at_ms: int, asking: list[str]) -> None:
        self._take(self._subscribers.wake(at_ms, asking), at_ms, at_ms - 1)

    def note_version(self, at_ms: int) -> None:  # noqa: ARG002 - only their number is asked for
        self.lived.versions += 1

    def _take(self, effects: tuple[Effect, ...] | list[Effect], at_ms: int, past_ms: int) -> None:
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


def live(settings: Simulation, policy: Policy, scorer: Scorer, trainer: Trainer) -> SimulatedLives:
    """Run an operator from its first event to its end, without faults of transport."""
    began = time.perf_counter()
    life = _Life(settings, policy, scorer, trainer)
    life.live()
    for chunk in life.chunks:
        for truth in chunk.truths():
            if truth.left_at is not None and truth.voluntary:
                life.lived.left_ms[truth.subscriber_id] = int(truth.left_at.timestamp() * 1000)
    life.lived.events, life.lived.seconds = life.events, time.perf_counter() - began
    return life.lived

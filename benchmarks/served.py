"""The examples that the core itself makes of a simulated chunk: features as served, and labels as settled."""

import time
import tomllib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.core.alerts.policy import policy_from_layers
from streams.core.contracts.effects import LabelledExample
from streams.core.contracts.events import Event, Wake
from streams.core.scoring.models import read_scorecard
from streams.core.step import Context, step
from streams.core.subscriber.facts import SubscriberState
from streams.core.times import DAY_MS
from streams.defaults import read_default
from streams.engine.subscribers import PackedInMemory
from streams.engine.waiting_snapshots import WaitingSnapshots
from streams.engine.wakes import Wakes
from streams.simulate import Simulation, draw_chunk, events_of
from streams.simulate.world import build_world


@dataclass(frozen=True)
class ServedExamples:
    """Examples, in the order in which they were settled; `events` and `seconds` are what that took.

    `fold`, 0 to 9, is the same for all of a subscriber's examples.
    """

    features: NDArray[Any]
    label: NDArray[Any]
    probability: NDArray[Any]
    fold: NDArray[Any]
    events: int
    seconds: float

    @classmethod
    def joined(cls, parts: list["ServedExamples"]) -> "ServedExamples":
        """Return the parts as one."""
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.label for part in parts]),
            np.concatenate([part.probability for part in parts]),
            np.concatenate([part.fold for part in parts]),
            sum(part.events for part in parts),
            sum(part.seconds for part in parts),
        )


def serve_chunk(settings: Simulation, number: int) -> ServedExamples:
    """Run one chunk through `step`, with the scorecard, and keep the examples."""
    policy = policy_from_layers(tomllib.loads(read_default("policy.toml")))
    context = Context(read_scorecard(read_default("scorecard.toml"), policy.label.off), policy)
    states: dict[str, SubscriberState] = {}
    waiting = WaitingSnapshots(PackedInMemory())
    wakes, examples, events = Wakes(), list[LabelledExample](), 0

    def give(who: str, given: Event | Wake) -> None:
        state = states.get(who)
        asked_ms = state.watch.next_wake_ms if state is not None else 0
        states[who], made = step(state, given, context)
        effects = waiting.finish(who, made, context.scorer)
        wake_ms = states[who].watch.next_wake_ms
        if wake_ms and wake_ms != asked_ms:
            wakes.ask(wake_ms, who)
        examples.extend(effect for effect in effects if isinstance(effect, LabelledExample))

    began = time.perf_counter()
    for day in events_of(draw_chunk(settings, build_world(settings), number), number):
        for event in day:
            next_ms = wakes.next_ms
            if next_ms <= event.at_ms:
                for at_ms, asking in wakes.take_due(event.at_ms):
                    for who in asking:
                        give(who, Wake(who, at_ms))
            give(event.body.subscriber_id, event)
        events += len(day)
    # A horizon that closes after the end has settled its leavers only: counting those would flatter.
    end_ms = settings.start_ms + settings.days * DAY_MS
    examples = [example for example in examples if example.closed_at_ms <= end_ms]
    return ServedExamples(
        np.array([example.features for example in examples], dtype=np.float64),
        np.array([example.label for example in examples]),
        np.array([example.probability for example in examples]),
        np.array([int(example.subscriber_id[-6:], 16) % 10 for example in examples]),
        events,
        time.perf_counter() - began,
    )

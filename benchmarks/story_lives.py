"""A story lived through in one process: what the engine saw and served at each snapshot, its alerts, and the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from early_warnings import Truths
from numpy.typing import NDArray
from one_process import OneProcess

from streams.app.new_trainer import settings_of
from streams.app.policies import cold_scorer
from streams.core.alerts.alerting import BANDS
from streams.core.alerts.policy import Policy
from streams.core.contracts.effects import AlertChanged, Effect, LabelledExample, SnapshotTaken
from streams.core.contracts.events import Event, Wake
from streams.core.scoring.features import FEATURE_TABLE, NAMES
from streams.core.step import Context, step
from streams.core.subscriber.facts import SubscriberState
from streams.core.subscriber.snapshots import features_of, unpack_snapshot
from streams.core.times import DAY_MS, NEVER_MS
from streams.engine.subscribers import PackedInMemory
from streams.engine.waiting_snapshots import WaitingSnapshots
from streams.engine.wakes import Wakes
from streams.learning.trainer import Trainer
from streams.simulate import Simulation
from streams.simulate.truth import INVOLUNTARY

Column = NDArray[Any]
UNSETTLED: Final = -1


@dataclass(frozen=True)
class Snapshots:
    """One row a snapshot, in the order in which they were taken, with what was served at it.

    `label` is what the engine settled, `UNSETTLED` where it did not; `asked` says that a request to leave stood.
    """

    who: Column
    at_ms: Column
    features: Column
    chance: Column
    asked: Column
    learned: Column
    label: Column


@dataclass(frozen=True)
class Alerts:
    """One row an alert that fired."""

    who: Column
    at_ms: Column
    band: Column
    asked: Column


@dataclass(frozen=True)
class StoryLife:
    """All that happened: `first_version_ms` is from when a learned model served, and the end where none did."""

    snapshots: Snapshots
    alerts: Alerts
    truths: Truths
    events: int
    first_version_ms: int


class _Living(OneProcess):
    """Writes down what is served at each snapshot."""

    def __init__(self, settings: Simulation, policy: Policy, trainer: Trainer | None) -> None:
        super().__init__(settings, trainer, Context(cold_scorer(policy), policy), Wakes())
        ids = [subscriber_id for chunk in self.chunks for subscriber_id in chunk.population.ids]
        self.place = {subscriber_id: number for number, subscriber_id in enumerate(ids)}
        self.waiting = WaitingSnapshots(PackedInMemory())
        self.states: dict[str, SubscriberState] = {}
        self.rows: list[tuple[int, int, float, bool, bool]] = []
        self.features: list[Column] = []
        self.labels: dict[tuple[int, int], bool] = {}
        self.alerts: list[tuple[int, int, int, bool]] = []
        self.first_version_ms = NEVER_MS

    def give(self, event: Event, stream_ms: int) -> None:
        self._step(event.body.subscriber_id, event, stream_ms)

    def wake(self, at_ms: int, asking: list[str]) -> None:
        for who in sorted(asking):
            if self.states[who].watch.next_wake_ms == at_ms:
                self._step(who, Wake(who, at_ms), at_ms - 1)

    def note_version(self, at_ms: int) -> None:
        self.first_version_ms = min(self.first_version_ms, at_ms)

    def _step(self, who: str, given: Event | Wake, past_ms: int) -> None:
        """Give one event or wake to its subscriber; the trainer gets the examples that it settles.

        `past_ms` is the stream's time up to which all is over.
        """
        state = self.states.get(who)
        asked_ms = 0 if state is None else state.watch.next_wake_ms
        state, made = step(state, given, self.context)
        self.states[who] = state
        if (wake_ms := state.watch.next_wake_ms) and wake_ms != asked_ms:
            self.wakes.ask(wake_ms, who)
        if not made:
            return
        effects = self.waiting.finish(who, made, self.context.scorer)
        place, asked = self.place[who], state.facts.asked
        if type(made[-1]) is SnapshotTaken:
            taken = made[-1]
            row = features_of(unpack_snapshot(taken.body, taken.at_ms))
            self.features.append(np.array(row, dtype=np.float32))
            is_learned = self.first_version_ms <= taken.at_ms
            self.rows.append((place, taken.at_ms, state.watch.probability, asked, is_learned))
        for effect in effects:
            self._take(effect, place, past_ms, asked=asked)

    def _take(self, effect: Effect, place: int, past_ms: int, *, asked: bool) -> None:
        if isinstance(effect, LabelledExample):
            if self.trainer is not None:
                self.trainer.receive(effect, past_ms)
            if not effect.provisional:
                self.labels[place, effect.snapshot_at_ms] = effect.label
        elif isinstance(effect, AlertChanged) and effect.change == "fired":
            self.alerts.append((place, effect.at_ms, BANDS.index(effect.band), asked))


def live_story(settings: Simulation, policy: Policy, *, learns: bool = True) -> StoryLife:
    """Run a story from its first event to its end, without faults of transport; the scorecard serves if none learns."""
    living = _Living(settings, policy, Trainer(settings_of(policy), NAMES, FEATURE_TABLE) if learns else None)
    living.live()
    end_ms = settings.start_ms + settings.days * DAY_MS
    return StoryLife(
        _snapshots(living),
        Alerts(*(np.array(column, dtype=np.int64) for column in _columns(living.alerts, 4))),
        _truths(living.chunks),
        living.events,
        min(living.first_version_ms, end_ms),
    )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _snapshots(living: _Living) -> Snapshots:
    who, at_ms, chance, asked, learned = (np.array(column) for column in _columns(living.rows, 5))
    found = [living.labels.get((one, at)) for one, at in zip(who.tolist(), at_ms.tolist(), strict=True)]
    label = np.array([UNSETTLED if one is None else int(one) for one in found])
    return Snapshots(who, at_ms, np.array(living.features), chance, asked, learned, label)


def _truths(chunks: Sequence[Any]) -> Truths:
    """Return the truth of all chunks, one row a subscriber."""

    def joined(name: str) -> Column:
        return np.concatenate([getattr(chunk.ledger, name) for chunk in chunks])

    left_ms = joined("left_ms")
    return Truths(
        left=left_ms > 0,
        voluntary=(left_ms > 0) & (joined("kind") != INVOLUNTARY),
        last_use_ms=joined("last_use_ms"),
        back_ms=joined("back_ms"),
    )

"""A label that looks ahead: who had lapsed before a snapshot is no leaver at it."""

import msgspec
import pytest

from streams.core.alerts.labels import (
    SILENT,
    has_fallen_silent,
    note_revenue,
    settle_at_leaving,
    settle_closed,
    take_snapshot,
    tell_early,
)
from streams.core.alerts.policy import LabelPolicy
from streams.core.contracts.effects import ExampleDraft, LabelKind, SnapshotDropped, StepEffect
from streams.core.contracts.events import Wake
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.step import Context, step
from streams.core.subscriber.facts import SubscriberState, Watch
from streams.core.subscriber.fold import Life
from streams.core.times import DAY_MS
from tests.core.alerts.test_labels import examples_of
from tests.core.makers import SUBSCRIBER, at, event, facts_of, policy, scorecard, top_up, usage

BEFORE = LabelPolicy(horizon_days=30, explicit=True, inactivity=True, learn_at="close", surrogate_days=15)
AHEAD = msgspec.structs.replace(BEFORE, looks_ahead=True, silent_days=4)


def watching(told: int) -> Watch:
    """A watch with a snapshot on day 0."""
    watch = Watch(probability=0.25)
    take_snapshot(watch, at(0), (1.5, 2.5), FEATURE_TABLE, "model-1", told=told)
    return watch


def of(*effects: StepEffect) -> list[tuple[LabelKind, int]]:
    """Kind and time of knowing of each example."""
    return [(effect.kind, effect.knowable_at_ms) for effect in effects if isinstance(effect, ExampleDraft)]


@pytest.mark.parametrize(
    ("told", "seen", "kind"),
    [
        (0, None, "inactivity"),
        (SILENT, None, "stayed"),  # Gone before: nothing that a warning could still be for.
        (SILENT, 20, "stayed"),
        (SILENT, 31, "stayed"),  # Back after the horizon.
    ],
)
def test_silence_is_leaving_unless_it_had_lasted_for_too_long_already(
    told: int, seen: float | None, kind: LabelKind
) -> None:
    watch = watching(told)
    if seen is not None:
        note_revenue(watch, at(seen))
    assert [found[0] for found in of(*settle_closed(watch, at(32), AHEAD))] == [kind]


@pytest.mark.parametrize(
    ("told", "seen", "settled"),
    [
        (0, None, [("port_out", at(10))]),
        (SILENT, 5, [("port_out", at(10))]),  # Used the line again before: not gone then.
        (SILENT, None, []),
    ],
)
def test_who_asks_to_leave_after_having_gone_settles_nothing_at_once(
    told: int, seen: float | None, settled: list[tuple[LabelKind, int]]
) -> None:
    watch = watching(told)
    if seen is not None:
        note_revenue(watch, at(seen))
    assert of(*settle_at_leaving(watch, at(10), Life.PORTED_OUT, AHEAD)) == settled
    assert of(*settle_closed(watch, at(31), AHEAD)) == ([] if settled else [("stayed", at(30))])


def test_who_is_made_to_leave_is_censored_gone_or_not() -> None:
    watch = watching(SILENT)
    assert settle_at_leaving(watch, at(10), Life.TERMINATED_INVOLUNTARILY, AHEAD) == (SnapshotDropped(at(0)),)


@pytest.mark.parametrize(("told", "kind"), [(0, "inactivity"), (SILENT, "stayed")])
def test_what_is_told_early_knows_who_had_gone_and_needs_no_correction(told: int, kind: LabelKind) -> None:
    watch = watching(told)
    (early,) = tell_early(watch, at(16), AHEAD)
    assert (early.kind, early.provisional) == (kind, True)
    assert tell_early(watch, at(17), AHEAD) == ()
    (final,) = examples_of(settle_closed(watch, at(31), AHEAD))
    assert (final.kind, final.corrects) == (kind, kind != "stayed")


@pytest.mark.parametrize(
    ("day", "label", "lapsed"),
    [
        (3.9, AHEAD, False),
        (4, AHEAD, True),
        (40, BEFORE, False),
    ],
)
def test_some_days_of_silence_are_a_lapse(day: float, label: LabelPolicy, *, lapsed: bool) -> None:
    assert has_fallen_silent(facts_of(usage(at(-1)), top_up(at(0))), at(day), label) is lapsed


@pytest.mark.parametrize(
    ("label", "kinds"),
    [
        (AHEAD, [("inactivity", 28), ("inactivity", 35), ("stayed", 42)]),
        (BEFORE, [("inactivity", 28), ("inactivity", 35), ("inactivity", 42)]),
    ],
)
def test_of_a_subscriber_who_fell_silent_the_snapshots_before_that_count_alone(
    label: LabelPolicy, kinds: list[tuple[LabelKind, int]]
) -> None:
    """The whole way: 34 days with use each, then nothing, and a wake each day."""
    context = Context(scorecard(), msgspec.structs.replace(policy(), label=label))
    state: SubscriberState | None = None
    for number in range(35):
        state, _ = step(state, event(usage(at(number)), number), context)
    assert state is not None
    assert state.watch.next_wake_ms
    found: list[tuple[LabelKind, int]] = []
    while state.watch.next_wake_ms:
        _, made = step(state, Wake(SUBSCRIBER, state.watch.next_wake_ms), context)
        found += [
            (e.kind, (e.at_ms - at(0)) // DAY_MS) for e in made if isinstance(e, ExampleDraft) and not e.provisional
        ]
    assert found == kinds

"""What leaving is, and when it can be known: the label's definition as a table, then its edges."""

from collections.abc import Sequence
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts.drafts import finish_example
from streams.core.alerts.labels import (
    STANDING_MS,
    censored_before_ms,
    is_gone,
    is_suspended,
    last_revenue_ms,
    note_revenue,
    settle_at_leaving,
    settle_closed,
    take_snapshot,
)
from streams.core.alerts.policy import LabelPolicy
from streams.core.contracts.effects import ExampleDraft, LabelKind, SnapshotDropped, SnapshotTaken, StepEffect
from streams.core.contracts.events import Body, Outcome
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.subscriber.facts import Facts, Watch
from streams.core.subscriber.fold import Life
from streams.core.subscriber.snapshots import unpack_snapshot
from streams.core.subscriber.state import PENDING_MAX, PendingSnapshot
from streams.core.times import DAY_MS
from tests.core.makers import SUBSCRIBER, at, facts_of, outcome, profile, top_up, usage
from tests.core.strategies import modest

BOTH = LabelPolicy(horizon_days=30, explicit=True, inactivity=True, learn_at="close")
EXPLICIT = LabelPolicy(horizon_days=30, explicit=True, inactivity=False, learn_at="close")
SILENCE = LabelPolicy(horizon_days=30, explicit=False, inactivity=True, learn_at="close")


def watching(*days: float) -> Watch:
    """A watch with a snapshot on each of the days."""
    watch = Watch(probability=0.25)
    for day in days:
        take_snapshot(watch, at(day), (1.5, float(day)), FEATURE_TABLE, "model-1")
    return watch


def settled(
    watch: Watch, label: LabelPolicy, revenue: tuple[float, ...], leaving: tuple[float, Life] | None, until: float
) -> list[ExampleDraft]:
    """The examples of revenue events and one leaving, in order of time, with a wake at the end."""
    happenings: list[tuple[float, Life | None]] = [(day, None) for day in revenue]
    happenings += [leaving] if leaving else []
    found: list[ExampleDraft] = []
    for day, life in sorted(happenings, key=lambda h: h[0]):
        if life is None:
            note_revenue(watch, at(day))
        else:
            found += examples_of(settle_at_leaving(watch, at(day), life, label))
    return found + examples_of(settle_closed(watch, at(until), label))


def examples_of(effects: Sequence[StepEffect]) -> list[ExampleDraft]:
    """The examples among effects."""
    return [effect for effect in effects if isinstance(effect, ExampleDraft)]


Case = tuple[str, LabelPolicy, tuple[float, ...], tuple[float, Life] | None, tuple[LabelKind, float] | None]
CASES: list[Case] = [
    ("a port-out within the horizon is leaving, known at once", BOTH, (1,), (10, Life.PORTED_OUT), ("port_out", 10)),
    ("so is a termination by the subscriber", BOTH, (1,), (10, Life.TERMINATED), ("termination", 10)),
    ("so is one on the horizon's last moment", BOTH, (1,), (30, Life.PORTED_OUT), ("port_out", 30)),
    ("one after it is not, where there was revenue", BOTH, (1,), (30.01, Life.PORTED_OUT), ("stayed", 30)),
    ("and is inactivity where there was none", BOTH, (), (30.01, Life.PORTED_OUT), ("inactivity", 30)),
    ("whoever is made to leave is neither", BOTH, (1,), (10, Life.TERMINATED_INVOLUNTARILY), None),
    ("not even after silence", BOTH, (), (10, Life.TERMINATED_INVOLUNTARILY), None),
    ("no revenue for the whole horizon is leaving, known at its close", BOTH, (), None, ("inactivity", 30)),
    ("revenue within it is staying, known at its close", BOTH, (5,), None, ("stayed", 30)),
    ("revenue on its last moment is staying", BOTH, (30,), None, ("stayed", 30)),
    ("revenue after it is too late", BOTH, (30.01,), None, ("inactivity", 30)),
    ("the first revenue counts, whatever comes later", BOTH, (29, 31), None, ("stayed", 30)),
    ("revenue at the moment of the snapshot is before it", BOTH, (0,), None, ("inactivity", 30)),
    ("where only orders count, silence is staying", EXPLICIT, (), None, ("stayed", 30)),
    ("and a port-out is leaving", EXPLICIT, (), (3, Life.PORTED_OUT), ("port_out", 3)),
    ("and staying is known at the close", EXPLICIT, (3,), None, ("stayed", 30)),
    ("where only silence counts, a port-out is nothing", SILENCE, (2,), (3, Life.PORTED_OUT), ("stayed", 2)),
    ("and leaving against one's will is nothing either", SILENCE, (), (3, Life.TERMINATED_INVOLUNTARILY),
     ("inactivity", 30)),
    ("and staying is known with the first revenue", SILENCE, (7, 4), None, ("stayed", 4)),
    ("revenue after a port-out changes nothing: it was one", BOTH, (12,), (10, Life.PORTED_OUT), ("port_out", 10)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("label", "revenue", "leaving", "expected"), [row[1:] for row in CASES], ids=[row[0] for row in CASES]
)
def test_what_becomes_of_a_snapshot(
    label: LabelPolicy,
    revenue: tuple[float, ...],
    leaving: tuple[float, Life] | None,
    expected: tuple[LabelKind, float] | None,
) -> None:
    watch = watching(0)
    examples = settled(watch, label, revenue, leaving, until=31)
    assert [(e.kind, e.knowable_at_ms) for e in examples] == (
        [] if expected is None else [(expected[0], at(expected[1]))]
    )
    assert {e.closed_at_ms for e in examples} <= {at(30)}
    assert watch.waiting == []


def test_an_example_carries_the_features_and_the_score_as_they_were_served() -> None:
    watch = Watch(probability=0.25)
    (taken,) = take_snapshot(watch, at(2), (1.5, 2.0), FEATURE_TABLE, "model-1")
    watch.probability = 0.75
    (draft,) = examples_of(settle_closed(watch, at(40), BOTH))
    assert isinstance(taken, SnapshotTaken)
    example = finish_example(draft, SUBSCRIBER, unpack_snapshot(taken.body, taken.at_ms))
    assert (example.label, example.kind, draft.kind) == (True, "inactivity", "inactivity")
    assert (example.features, example.probability, example.model_version) == ((1.5, 2.0), 0.25, "model-1")
    assert (example.feature_table, example.subscriber_id, example.snapshot_at_ms) == (FEATURE_TABLE, SUBSCRIBER, at(2))


def test_an_examples_id_is_of_the_subscriber_and_the_snapshot_and_not_of_the_outcome() -> None:
    def id_of(draft: ExampleDraft, subscriber_id: str = SUBSCRIBER) -> str:
        return finish_example(draft, subscriber_id, PendingSnapshot(draft.at_ms, bytes(8), "f", 0.5, "m")).example_id

    (stayed,) = settled(watching(0), BOTH, (1,), None, 31)
    (left,) = settled(watching(0), BOTH, (1,), (3, Life.PORTED_OUT), 31)
    (later,) = examples_of(settle_closed(watching(1), at(32), BOTH))
    assert id_of(stayed) == id_of(left)
    assert len({id_of(stayed), id_of(stayed, SUBSCRIBER[:-1] + "1"), id_of(later)}) == 3


def test_a_horizon_is_closed_only_when_its_last_moment_has_passed() -> None:
    watch = watching(0, 7)
    assert settle_closed(watch, at(30), BOTH) == ()
    assert [e.at_ms for e in settle_closed(watch, at(30) + 1, BOTH)] == [at(0)]
    assert [s.at_ms for s in watch.waiting] == [at(7)]


def test_leaving_settles_every_snapshot_whose_horizon_covers_it_and_no_other() -> None:
    watch = watching(0, 7, 14, 40)
    examples = examples_of(settle_at_leaving(watch, at(35), Life.PORTED_OUT, BOTH))
    assert [e.at_ms for e in examples] == [at(7), at(14)]
    assert [s.at_ms for s in watch.waiting] == [at(0), at(40)]


def suspended(day: float, **changes: Any) -> Outcome:
    return outcome(at(day), "suspended", **changes)


SUSPENSIONS: list[tuple[str, list[Body], float]] = [
    ("nobody who was never suspended", [usage(at(1))], 0),
    ("all while a suspension stands", [usage(at(1)), suspended(5)], inf),
    ("also by a profile alone", [usage(at(1)), profile(at(5), product_status="suspended")], inf),
    ("also on the day of the last use", [suspended(0.5, reason="non_payment"), usage(at(1))], inf),
    ("those of before one that is over", [usage(at(1)), suspended(5), outcome(at(9), "resumed")], 5),
    ("also where a profile says that it is", [suspended(5), profile(at(9))], 5),
    ("also where the line is used again", [suspended(5), usage(at(9))], 5),
    ("nobody whose own wish it was", [usage(at(1)), suspended(5, reason="moved")], 0),
    ("whatever the profile says of it", [suspended(5, voluntary=True), profile(at(5), product_status="suspended")], 0),
    ("but a wish of before that has ended", [suspended(2, voluntary=True), outcome(at(3), "resumed"), suspended(5)],
     inf),
    ("and no wish where it is denied", [suspended(5, reason="moved", voluntary=False)], inf),
]  # fmt: skip


@pytest.mark.parametrize(("bodies", "before"), [row[1:] for row in SUSPENSIONS], ids=[row[0] for row in SUSPENSIONS])
def test_a_suspension_censors(bodies: list[Body], before: float) -> None:
    facts = facts_of(*bodies)
    assert censored_before_ms(facts) == (at(before) if 0 < before < inf else STANDING_MS if before else 0)
    assert is_suspended(facts) == (before == inf)


@pytest.mark.parametrize(
    ("censored_day", "kinds"), [(0.0, ["inactivity", "stayed"]), (0.5, ["stayed"]), (99.0, ["stayed"])]
)
def test_the_silence_of_who_is_suspended_is_dropped_and_what_was_used_is_not(
    censored_day: float, kinds: list[str]
) -> None:
    watch = watching(0, 1)
    note_revenue(watch, at(30.5))
    effects = settle_closed(watch, at(32), BOTH, censored_ms=at(censored_day))
    assert [draft.kind for draft in examples_of(effects)] == kinds
    assert [one.at_ms for one in effects if isinstance(one, SnapshotDropped)] == [at(0)] * (len(kinds) == 1)
    assert watch.waiting == []


def test_leaving_at_the_moment_of_a_snapshot_is_no_news_to_it() -> None:
    watch = watching(5)
    assert settle_at_leaving(watch, at(5), Life.PORTED_OUT, BOTH) == ()
    assert len(watch.waiting) == 1


def test_the_oldest_snapshot_gives_way_to_the_bound() -> None:
    watch = watching(*range(PENDING_MAX))
    dropped = [
        effect
        for day in range(PENDING_MAX, PENDING_MAX + 3)
        for effect in take_snapshot(watch, at(day), (1.5, float(day)), FEATURE_TABLE, "model-1")
        if isinstance(effect, SnapshotDropped)
    ]
    assert dropped == [SnapshotDropped(at(day)) for day in range(3)]
    assert [s.at_ms for s in watch.waiting] == [at(day) for day in range(3, PENDING_MAX + 3)]
    assert watch.snapshot_at_ms == at(PENDING_MAX + 2)


@modest(100)
@given(st.lists(st.integers(-5, 80), max_size=12), st.randoms(use_true_random=False))
def test_each_snapshot_knows_its_first_revenue_in_any_order_of_arrival(days: list[int], rng: Any) -> None:
    snapshots = (0, 7, 8, 30)
    watch = watching(*snapshots)
    rng.shuffle(days)
    for day in days:
        note_revenue(watch, at(day))
    assert [s.first_revenue_ms for s in watch.waiting] == [
        min((at(day) for day in days if day > snapshot), default=0) for snapshot in snapshots
    ]


@modest(100)
@given(
    st.lists(st.integers(0, 80), max_size=10),
    st.none() | st.integers(1, 80),
    st.sampled_from([BOTH, EXPLICIT, SILENCE]),
)
def test_every_snapshot_is_settled_once_and_never_before_it_could_be_known(
    revenue: list[int], left: int | None, label: LabelPolicy
) -> None:
    watch = watching(0, 7, 14)
    leaving = None if left is None else (float(left), Life.PORTED_OUT)
    examples = settled(watch, label, tuple(revenue), leaving, until=45)
    assert sorted(e.at_ms for e in examples) == [at(0), at(7), at(14)]
    for example in examples:
        assert example.at_ms < example.knowable_at_ms <= example.closed_at_ms


def test_the_last_revenue_is_the_newest_of_money_and_use_or_else_the_beginning() -> None:
    assert last_revenue_ms(facts_of(top_up(at(1)), usage(at(3)))) == at(3)
    assert last_revenue_ms(facts_of(usage(at(1)), top_up(at(3)))) == at(3)
    assert last_revenue_ms(facts_of(outcome(at(2), "contacted"))) == at(2)


GONE: list[tuple[str, Facts, float, LabelPolicy, bool]] = [
    ("who paid lately is here", facts_of(top_up(at(0))), 29.9, BOTH, False),
    ("who paid nothing for the horizon is gone", facts_of(top_up(at(0))), 30, BOTH, True),
    ("unless silence is not leaving", facts_of(top_up(at(0))), 300, EXPLICIT, False),
    ("who ported out is gone", facts_of(top_up(at(0)), outcome(at(1), "port_out_completed")), 1, BOTH, True),
    ("who was won back is here", facts_of(outcome(at(0), "terminated"), outcome(at(1), "win_back")), 2, BOTH, False),
]


@pytest.mark.parametrize(("facts", "day", "label", "gone"), [row[1:] for row in GONE], ids=[row[0] for row in GONE])
def test_who_is_gone(facts: Facts, day: float, label: LabelPolicy, gone: bool) -> None:
    assert is_gone(facts, at(day), label) is gone


def test_a_days_milliseconds_are_the_units_of_a_horizon() -> None:
    (example,) = examples_of(settle_closed(watching(0), at(31), BOTH))
    assert example.closed_at_ms - example.at_ms == BOTH.horizon_days * DAY_MS

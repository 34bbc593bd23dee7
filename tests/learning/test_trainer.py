"""The trainer: exact, deterministic, unharmed by bad examples."""

import json
from collections.abc import Sequence
from math import isfinite, log, nan
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.effects import LabelledExample
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.scoring.features import NAMES as TABLE_NAMES
from streams.core.scoring.models import ModelVersion, read_version, scorer_from, version_hash
from streams.core.scoring.scorer import probability
from streams.core.times import DAY_MS, HOUR_MS
from streams.evaluation.metrics import auc
from streams.learning.lineup import LineupSettings
from streams.learning.models.linear import OnlineModel, TrainerError
from streams.learning.queue import FEATURE_MAX, TrainerSettings
from streams.learning.trainer import Trainer
from tests.core.strategies import modest
from tests.plainer import PLAINER, output_of, why_not_plainer

NAMES = ("silence", "decline", "rare")
TABLE = "table-1"
SOON = TrainerSettings(positives_min=1, publish_every_ms=DAY_MS, keep_negatives=0.5)


def example(number: int, **changes: object) -> LabelledExample:
    """Return the n-th example of a stream in which silence makes leaving likely and one feature is rarely set."""
    random = Random(number)
    silence, decline = random.gauss(0.0, 1.0), random.expovariate(0.5)
    label = random.random() < probability(1.5 * silence - 2.0)
    snapshot_at_ms = number * HOUR_MS // 2
    closed_at_ms = snapshot_at_ms + 30 * DAY_MS
    made = LabelledExample(
        example_id=f"example-{number}",
        subscriber_id=f"s_{number % 97:032x}",
        snapshot_at_ms=snapshot_at_ms,
        features=(silence, decline, 1.0 if number % 200 == 199 else 0.0),
        feature_table=TABLE,
        label=label,
        kind="termination" if label else "stayed",
        knowable_at_ms=snapshot_at_ms + 3 * DAY_MS if label else closed_at_ms,
        closed_at_ms=closed_at_ms,
        probability=0.2,
        model_version="scorecard-00000000",
    )
    return msgspec.structs.replace(made, **changes)


def run(trainer: Trainer, examples: Sequence[LabelledExample], until_ms: int | None = None) -> list[ModelVersion]:
    """Feed examples at the time at which they are knowable, and the stream's time with them."""
    versions: list[ModelVersion] = []
    for one in sorted(examples, key=lambda e: (e.knowable_at_ms, e.example_id)):
        if one.knowable_at_ms >= trainer.next_due_ms:
            versions += trainer.advance(one.knowable_at_ms)
        trainer.receive(one)
    return versions + (trainer.advance(until_ms) if until_ms is not None else [])


def killed(
    kills: Sequence[int],
    examples: Sequence[LabelledExample],
    until_ms: int,
    lineup: LineupSettings | None = None,
    settings: TrainerSettings = SOON,
) -> Trainer:
    """Return a trainer that was killed before some of the examples, once it is what an undisturbed one is."""
    undisturbed = Trainer(settings, NAMES, TABLE, lineup)
    expected = run(undisturbed, examples, until_ms)
    versions: list[ModelVersion] = []
    trainer = Trainer(settings, NAMES, TABLE, lineup)
    for number, one in enumerate(examples):
        if number in kills:
            trainer = Trainer.restore(trainer.snapshot())
        versions += run(trainer, [one])
    versions += trainer.advance(until_ms)
    assert versions == expected
    assert trainer.snapshot() == undisturbed.snapshot()
    return trainer


def trained(settings: TrainerSettings = SOON, count: int = 400) -> tuple[Trainer, list[ModelVersion]]:
    trainer = Trainer(settings, NAMES, TABLE)
    return trainer, run(trainer, [example(n) for n in range(count)], 100 * DAY_MS)


def served(version: ModelVersion, features: Sequence[float]) -> float:
    """Return the probability as the definition of a version has it, term by term."""
    logit = version.intercept
    for weight, mean, scale, value in zip(version.weights, version.means, version.scales, features, strict=True):
        logit += weight * (value - mean) / scale if scale else 0.0
    return probability(logit)


def test_a_version_predicts_what_river_predicts_after_the_exact_correction() -> None:
    trainer, versions = trained()
    version = versions[-1]
    assert len(versions) > 5
    for number in range(1000, 1200):
        features = example(number).features
        raw = trainer.model.predict(features)
        corrected = raw / (raw + (1.0 - raw) / SOON.keep_negatives)
        assert abs(served(version, features) - corrected) < 1e-12


def test_without_sampling_a_version_predicts_river_s_own_probability() -> None:
    trainer, versions = trained(msgspec.structs.replace(SOON, keep_negatives=1.0))
    for number in range(1000, 1100):
        features = example(number).features
        assert abs(served(versions[-1], features) - trainer.model.predict(features)) < 1e-12


def test_the_core_s_scorer_serves_a_version_as_river_would() -> None:
    def row(number: int) -> tuple[float, ...]:
        random = Random(number)
        return tuple(random.gauss(3.0, 1.0 + place) for place in range(len(TABLE_NAMES)))

    trainer = Trainer(msgspec.structs.replace(SOON, keep_negatives=1.0), TABLE_NAMES, FEATURE_TABLE)
    for number in range(300):
        trainer.receive(example(number, features=row(number), feature_table=FEATURE_TABLE))
    scorer = scorer_from(trainer.advance(60 * DAY_MS)[-1])
    for number in range(300, 400):
        assert abs(probability(scorer.logit(row(number))) - trainer.model.predict(row(number))) < 1e-12


@pytest.mark.slow
def test_sampling_keeps_the_calibration() -> None:
    _, versions = trained(TrainerSettings(positives_min=1, keep_negatives=0.1, base_rate=0.15), 12_000)
    fresh = [example(n) for n in range(20_000, 24_000)]
    expected = sum(served(versions[-1], one.features) for one in fresh)
    observed = sum(one.label for one in fresh)
    assert 0.8 < expected / observed < 1.25
    assert (auc([served(versions[-1], one.features) for one in fresh], [one.label for one in fresh]) or 0) > 0.75


def test_the_model_starts_at_the_base_rate() -> None:
    settings = TrainerSettings(base_rate=0.02, keep_negatives=0.25)
    raw = OnlineModel(settings, NAMES).predict((0.0, 0.0, 0.0))
    assert abs(raw / (raw + (1 - raw) / 0.25) - 0.02) < 1e-12


def test_versions_are_numbered_sealed_and_dated_at_multiples_of_the_interval() -> None:
    _, versions = trained()
    assert [v.version for v in versions] == list(range(1, len(versions) + 1))
    assert [v.parent for v in versions] == [None, *range(1, len(versions))]
    for version in versions:
        assert version.published_at_ms % DAY_MS == 0
        assert version.hash == version_hash(version)
        assert read_version(msgspec.json.encode(version)) == version
        assert version.features == NAMES
    positions = [v.source_position for v in versions]
    assert positions == sorted(set(positions))
    assert positions[-1] == 400


def test_nothing_is_learned_before_the_horizon_closes_unless_the_policy_says_so() -> None:
    explicit = [example(n, label=True, kind="port_out") for n in range(10)]
    waits, eager = (
        Trainer(SOON, NAMES, TABLE),
        Trainer(msgspec.structs.replace(SOON, learn_at="knowable"), NAMES, TABLE),
    )
    for one in explicit:
        waits.receive(one)
        eager.receive(one)
    assert not waits.advance(20 * DAY_MS)
    assert [v.published_at_ms for v in eager.advance(20 * DAY_MS)] == [3 * DAY_MS, 4 * DAY_MS]
    assert waits.counts.learned == 0
    assert [v.published_at_ms for v in waits.advance(40 * DAY_MS)] == [30 * DAY_MS, 31 * DAY_MS]
    assert waits.counts.learned == 10


def test_no_version_appears_before_enough_positives_or_when_nothing_new_was_learned() -> None:
    trainer = Trainer(msgspec.structs.replace(SOON, positives_min=3), NAMES, TABLE)
    for number in range(2):
        trainer.receive(example(number, label=True))
    assert trainer.advance(50 * DAY_MS) == []
    trainer.receive(example(2, label=True))
    assert [v.positives for v in trainer.advance(60 * DAY_MS)] == [3]
    assert trainer.advance(900 * DAY_MS) == []


def test_only_hashes_decide_which_negatives_are_learned() -> None:
    trainer = Trainer(TrainerSettings(keep_negatives=0.1), NAMES, TABLE)
    for number in range(4000):
        trainer.receive(example(number, label=False))
    trainer.advance(200 * DAY_MS)
    assert 320 < trainer.counts.learned < 480
    assert trainer.counts.settled == 4000


@given(st.lists(st.integers(0, 59), unique=True, min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_arrival_within_the_wait_does_not_matter(numbers: list[int], random: Random) -> None:
    one, other = Trainer(SOON, NAMES, TABLE), Trainer(SOON, NAMES, TABLE)
    for number in numbers:
        one.receive(example(number))
    random.shuffle(numbers)
    for number in numbers:
        other.receive(example(number))
    assert one.advance(60 * DAY_MS) == other.advance(60 * DAY_MS)


@given(st.lists(st.integers(0, 2000), max_size=20))
def test_the_size_of_the_steps_in_time_does_not_matter(hours: list[int]) -> None:
    one, other = Trainer(SOON, NAMES, TABLE), Trainer(SOON, NAMES, TABLE)
    for number in range(40):
        one.receive(example(number))
        other.receive(example(number))
    versions: list[ModelVersion] = []
    for hour in sorted(hours):
        versions += other.advance(hour * HOUR_MS + 17)
    assert versions + other.advance(2100 * HOUR_MS) == one.advance(2100 * HOUR_MS)


@given(st.lists(st.integers(0, 79), unique=True, max_size=6))
def test_a_trainer_killed_anywhere_continues_to_the_same_last_bit(kills: list[int]) -> None:
    examples = sorted((example(n) for n in range(80)), key=lambda e: (e.knowable_at_ms, e.example_id))
    killed(kills, examples, 60 * DAY_MS)


def test_a_snapshot_is_plain_json_that_survives_a_round_trip() -> None:
    trainer, _ = trained()
    trainer.receive(example(999))
    snapshot = trainer.snapshot()
    tree = json.loads(snapshot)
    assert tree["model"]["weights"] == trainer.model.state().weights
    assert len(tree["queue"]["ids"]) == 401
    again = Trainer.restore(snapshot)
    assert again.snapshot() == snapshot
    assert again.next_due_ms == trainer.next_due_ms
    assert again.counts == trainer.counts


HASHES = """
import sys
sys.path.insert(0, {folder!r})
from test_trainer import trained
trainer, versions = trained(count=200)
print([v.hash for v in versions], trainer.snapshot())
"""


@pytest.mark.slow
def test_the_seed_of_python_s_hash_does_not_matter() -> None:
    script = HASHES.format(folder=__file__.rsplit("/", 1)[0])
    outputs = {output_of(script, PYTHONHASHSEED=seed) for seed in ("0", "1", "4242")}
    trainer, versions = trained(count=200)
    assert outputs == {f"{[v.hash for v in versions]} {trainer.snapshot()!r}\n"}


ELSEWHERE = """
import sys
sys.path.insert(0, {folder!r})
from test_trainer import DAY_MS, NAMES, SOON, TABLE, example, run
from msgspec.structs import replace
from streams.learning.lineup import LineupSettings
from streams.learning.trainer import Trainer
lineup = LineupSettings(challengers=("hazard", "adagrad"))
trainer = Trainer(replace(SOON, learner="dynamic"), NAMES, TABLE, lineup)
print([(v.name, v.version, v.hash) for v in run(trainer, [example(n) for n in range(20_000)], 500 * DAY_MS)])
print(trainer.snapshot())
"""


@pytest.mark.slow
def test_another_machine_makes_the_same_versions_of_the_same_examples() -> None:
    if why := why_not_plainer():
        pytest.skip(why)
    script = ELSEWHERE.format(folder=__file__.rsplit("/", 1)[0])
    here = output_of(script)
    assert all(f"('{name}', 3, '" in here for name in ("champion", "hazard", "adagrad"))
    assert output_of(script, **PLAINER) == here


def test_a_repeat_is_learned_once_and_changes_no_hash() -> None:
    once, twice = Trainer(SOON, NAMES, TABLE), Trainer(SOON, NAMES, TABLE)
    for number in range(60):
        once.receive(example(number))
        twice.receive(example(number))
        twice.receive(example(number // 2))
    assert twice.advance(60 * DAY_MS) == once.advance(60 * DAY_MS)
    twice.receive(example(7))
    assert twice.counts.repeated == 61
    assert twice.counts.learned == once.counts.learned


def test_a_repeat_with_the_other_label_is_counted_and_the_first_stands() -> None:
    trainer = Trainer(SOON, NAMES, TABLE)
    trainer.receive(example(1, label=True))
    trainer.receive(example(1, label=False))
    trainer.advance(60 * DAY_MS)
    assert (trainer.counts.contradicted, trainer.counts.repeated, trainer.counts.learned_positives) == (1, 1, 1)


def test_the_memory_of_ids_and_the_queue_are_bounded() -> None:
    trainer = Trainer(msgspec.structs.replace(SOON, remembered_ids=10, waiting_max=5), NAMES, TABLE)
    for number in range(30):
        trainer.receive(example(number, label=True))
    assert trainer.counts.waiting == 5
    assert trainer.counts.refused["queue_full"] == 25
    trainer.advance(60 * DAY_MS)
    trainer.receive(example(29, label=True))
    assert trainer.counts.waiting == 1, "what was refused may come again when there is room"
    for number in range(100, 130):
        trainer.receive(example(number, label=False))
    assert len(json.loads(trainer.snapshot())["queue"]["ids"]) == 10


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"features": (nan, 0.0, 0.0)}, "not_finite"),
        ({"features": (float("inf"), 0.0, 0.0)}, "not_finite"),
        ({"features": (float("inf"), float("-inf"), 0.0)}, "not_finite"),
        ({"features": (FEATURE_MAX * 2, 0.0, 0.0)}, "not_finite"),
        ({"features": (0.0, -FEATURE_MAX * 2, 0.0)}, "not_finite"),
        ({"features": (0.0, 0.0)}, "feature_count"),
        ({"features": (0.0, 0.0, 0.0, 0.0)}, "feature_count"),
        ({"feature_table": "table-2"}, "feature_table"),
        ({"probability": nan}, "probability"),
        ({"probability": 1.5}, "probability"),
        ({"knowable_at_ms": -1}, "time_order"),
        ({"closed_at_ms": 9_999 * DAY_MS}, "time_order"),
    ],
)
def test_a_bad_example_is_refused_for_its_reason_and_leaves_no_trace(changes: dict[str, object], why: str) -> None:
    clean, tried = Trainer(SOON, NAMES, TABLE), Trainer(SOON, NAMES, TABLE)
    tried.receive(example(500, **changes))
    for number in range(40):
        clean.receive(example(number))
        tried.receive(example(number))
    assert tried.advance(60 * DAY_MS) == clean.advance(60 * DAY_MS)
    assert {reason: count for reason, count in tried.counts.refused.items() if count} == {why: 1}


def test_one_outlier_moves_the_model_by_a_bounded_step() -> None:
    model = OnlineModel(TrainerSettings(), NAMES)
    for number in range(2000):
        model.learn((example(number).features[0], 1.0, 0.0), example(number).label)
    usual = (0.0, 1.0, 0.0)
    outlier = (0.0, 1.0, FEATURE_MAX)
    before = model.predict(usual)
    model.learn(outlier, label=True)
    assert abs(model.predict(usual) - before) < 0.01
    assert all(map(isfinite, model.state().weights))
    assert abs(model.state().weights[2]) < 0.3


def test_weights_that_are_not_finite_are_never_published() -> None:
    trainer, versions = trained()
    assert isinstance(trainer.model, OnlineModel)
    trainer.model.regression.intercept = nan
    trainer.receive(example(5000, label=True))
    assert trainer.advance(200 * DAY_MS) == []
    assert trainer.counts.withheld == 1
    assert trainer.counts.version == len(versions)


def test_an_example_that_comes_after_its_time_is_learned_at_the_next_tick() -> None:
    trainer, versions = trained()
    trainer.receive(example(1000, snapshot_at_ms=0, knowable_at_ms=0, closed_at_ms=DAY_MS, label=True))
    assert versions[-1].published_at_ms < trainer.next_due_ms < 101 * DAY_MS
    late = trainer.advance(120 * DAY_MS)
    assert [v.version for v in late] == [len(versions) + 1]
    assert late[0].published_at_ms > versions[-1].published_at_ms


@modest(60)
@given(
    st.lists(st.tuples(st.integers(0, 9 * 24), st.integers(0, 20), st.booleans()), min_size=1, max_size=60),
    st.sampled_from([0, 5 * HOUR_MS, 5 * HOUR_MS + 1]),
)
def test_no_version_is_dated_before_the_time_at_which_it_serves(steps: list[tuple[int, int, bool]], slot: int) -> None:
    """Examples settle up to weeks late, at events and at daily wakes; the trainer is called as the runner calls it."""
    settings = msgspec.structs.replace(SOON, publish_every_ms=DAY_MS, positives_min=1, keep_negatives=1.0)
    trainer, stream_ms, count = Trainer(settings, NAMES, TABLE), 40 * DAY_MS, 0

    def learn(to_ms: int) -> None:
        while (due_ms := trainer.next_due_ms) <= to_ms:
            assert due_ms >= stream_ms
            assert [version.published_at_ms for version in trainer.advance(due_ms)] in ([], [due_ms])

    for hours, late_days, at_a_wake in steps:
        at_ms = stream_ms + hours * HOUR_MS
        if at_a_wake:
            at_ms = at_ms // DAY_MS * DAY_MS + DAY_MS + slot
            learn(at_ms - 1)
        else:
            learn(at_ms)
        stream_ms, count = at_ms, count + 1
        closed_ms = at_ms - late_days * DAY_MS
        one = example(count, closed_at_ms=closed_ms, snapshot_at_ms=closed_ms - 30 * DAY_MS, knowable_at_ms=closed_ms)
        assert trainer.receive(one, at_ms - 1 if at_a_wake else at_ms) is None
    learn(stream_ms + 3 * DAY_MS)
    assert trainer.counts.learned == count


def test_the_served_probabilities_are_judged_whether_their_examples_are_learned_or_not() -> None:
    trainer, versions = trained(count=400)
    labels = [example(n).label for n in range(400)]
    loss = -sum(log(0.2 if label else 0.8) for label in labels) / 400
    counts = trainer.counts
    assert (counts.settled, counts.settled_positives) == (400, sum(labels))
    assert counts.served_log_loss is not None
    assert abs(counts.served_log_loss - loss) < 1e-6
    assert abs(counts.served_expected - 80.0) < 1e-6
    assert abs(versions[-1].metrics["served_log_loss"] - loss) < 1e-6
    assert sum(v.metrics["settled_recent"] for v in versions) == 400
    assert Trainer(SOON, NAMES, TABLE).counts.served_log_loss is None


def test_a_warm_start_gives_first_weights_by_feature() -> None:
    settings = msgspec.structs.replace(SOON, warm_start={"decline": 0.7})
    assert OnlineModel(settings, NAMES).state().weights == [0.0, 0.7, 0.0]
    with pytest.raises(TrainerError, match="'colour', which is no feature"):
        Trainer(msgspec.structs.replace(SOON, warm_start={"colour": 1.0}), NAMES, TABLE)


def test_a_feature_that_has_not_moved_yet_keeps_its_first_weight_for_whoever_it_moves_first() -> None:
    """Without a least scale it weighs nothing while it stands still, and ten times too much when it first moves."""
    settings = msgspec.structs.replace(SOON, warm_start={"rare": 0.1}, least_scales={"rare": 0.05})
    _, versions = trained(settings, 190)  # In these it never moves.
    still = versions[-1]
    assert still.weights[2] / still.scales[2] == 0.1 / 0.05
    trainer, moved = trained(settings)
    first = next(v for v in moved if v.means[2])
    assert first.scales[2] >= 0.05
    calm, odd = (0.0, 2.0, 0.0), (0.0, 2.0, 1.0)
    for version, values in ((moved[-1], calm), (moved[-1], odd)):
        raw = trainer.model.predict(values)
        assert abs(served(version, values) - raw / (raw + (1.0 - raw) / 0.5)) < 1e-12
    again = Trainer.restore(trainer.snapshot())
    assert again.model.predict(odd) == trainer.model.predict(odd)
    with pytest.raises(TrainerError, match="least_scales names 'colour'"):
        Trainer(msgspec.structs.replace(SOON, least_scales={"colour": 1.0}), NAMES, TABLE)


def test_settings_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(TrainerError, match="multiple of tick_ms"):
        Trainer(TrainerSettings(publish_every_ms=HOUR_MS + 1), NAMES, TABLE)


def test_a_damaged_snapshot_is_an_error_that_says_so() -> None:
    snapshot = Trainer(SOON, NAMES, TABLE).snapshot()
    tree = json.loads(snapshot)
    with pytest.raises(TrainerError, match="no snapshot"):
        Trainer.restore(snapshot[:-20])
    with pytest.raises(TrainerError, match="no snapshot"):
        Trainer.restore(b"\xff\xfe")
    with pytest.raises(TrainerError, match="format 2"):
        Trainer.restore(json.dumps(tree | {"format": 2}).encode())
    with pytest.raises(TrainerError, match="differ in number"):
        Trainer.restore(json.dumps(tree | {"features": ["silence"]}).encode())

"""The guards of versions: rare features do not explode, broken versions do not serve, and kills change nothing."""

from collections.abc import Callable, Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.app.new_trainer import new_trainer, settings_of
from streams.app.policies import cold_scorer, read_policy_for
from streams.core.alerts.policy import Learner
from streams.core.contracts.effects import LabelledExample
from streams.core.scoring.exact_math import log1p
from streams.core.scoring.features import NAMES as TABLE_NAMES
from streams.core.scoring.models import ModelVersion
from streams.core.times import DAY_MS
from streams.learning.exposure import ROWS_MAX, ExposureState, FeatureExposure
from streams.learning.judging.verdicts import OperatorNotice, read_lineup_status
from streams.learning.lineup import LineupSettings
from streams.learning.models.linear import TrainerError
from streams.learning.queue import GuardSettings, TrainerSettings
from streams.learning.trainer import Trainer
from streams.learning.trial import LEAST_ROWS, NewestSample
from tests.core.strategies import modest
from tests.learning.test_trainer import NAMES, SOON, TABLE, example, killed, run

RECIPES: tuple[Learner, ...] = ("dynamic", "steady", "adagrad", "hazard")
FLAG = NAMES.index("rare")
GUARDED = msgspec.structs.replace(SOON, guards=GuardSettings())
DYNAMIC = msgspec.structs.replace(GUARDED, learner="dynamic")
ALONE = LineupSettings(challengers=())
FIRST, WEEKS = 8_000, 12
"""A stream has so many examples, spread over so many weeks."""


def settings(learner: Learner = "dynamic", guards: GuardSettings | None = GUARDED.guards) -> TrainerSettings:
    """As an operator has it: leaving is rare, versions are weekly, and the flag was reviewed."""
    return TrainerSettings(
        learner=learner, step=0.002, positives_min=1, keep_negatives=1.0, warm_start={"rare": 0.24}, guards=guards
    )


def rows(is_set: Callable[[int, Random], bool], leaves: Callable[[bool, Random], bool]) -> list[LabelledExample]:
    """Return examples of which the flag is set, and who leaves, as two functions say."""
    random, made = Random(7), []
    for number in range(FIRST):
        flag = is_set(number, random)
        at_ms = number * WEEKS * 7 * DAY_MS // FIRST
        label = leaves(flag, random)
        made.append(
            example(
                number,
                features=(random.gauss(0.0, 1.0), random.expovariate(0.5), float(flag)),
                label=label,
                kind="port_out" if label else "stayed",
                snapshot_at_ms=at_ms,
                knowable_at_ms=at_ms + 30 * DAY_MS,
                closed_at_ms=at_ms + 30 * DAY_MS,
            )
        )
    return made


def barely_related() -> list[LabelledExample]:
    """A flag in one row of five hundred, not in the first weeks, of whose holders hardly more leave than of others."""
    return rows(
        lambda number, random: number >= FIRST // 4 and random.random() < 0.002,
        lambda flag, random: random.random() < 0.02 + 0.01 * flag,
    )


def sudden(leaving: float) -> list[LabelledExample]:
    """A flag that is first set after two thirds of all examples, in ten of a hundred for a while."""
    begins = FIRST * 2 // 3
    return rows(
        lambda number, random: begins <= number < begins + 300 and random.random() < 0.1,
        lambda flag, random: random.random() < (leaving if flag else 0.02),
    )


def share(version: ModelVersion, value: float = 1.0) -> float:
    """Return what a set flag contributes, in logit."""
    weight, mean, scale = version.weights[FLAG], version.means[FLAG], version.scales[FLAG]
    return weight * (value - mean) / scale if scale else 0.0


def shares(examples: Sequence[LabelledExample], made: TrainerSettings) -> list[float]:
    return [share(version) for version in run(Trainer(made, NAMES, TABLE, ALONE), examples, 200 * DAY_MS)]


@pytest.mark.parametrize("examples", [barely_related(), sudden(0.02)], ids=["barely related", "in a burst"])
def test_a_rare_flag_explodes_without_guards(examples: list[LabelledExample]) -> None:
    """What is guarded against: without it the tests below would prove nothing."""
    assert max(map(abs, shares(examples, settings(guards=None)))) > 15.0


@pytest.mark.parametrize("learner", RECIPES)
def test_a_rare_flag_that_tells_hardly_anything_weighs_hardly_anything(learner: Learner) -> None:
    found = shares(barely_related(), settings(learner))
    assert len(found) > 8
    assert max(map(abs, found)) < 2.5


@pytest.mark.parametrize("learner", RECIPES)
@pytest.mark.parametrize("leaving", [0.0, 0.02, 1.0])
def test_a_flag_that_appears_in_one_burst_weighs_what_so_few_rows_can_tell(learner: Learner, leaving: float) -> None:
    examples = sudden(leaving)
    count = round(sum(one.features[FLAG] for one in examples))
    found = shares(examples, settings(learner))
    assert max(map(abs, found)) <= log1p(2 * count) + 1e-9
    if leaving < 0.5:
        assert max(map(abs, found)) < 2.5
    else:
        assert found[-1] > 2.0, "what is so is learned"


def noticed(trainer: Trainer) -> list[OperatorNotice]:
    assert trainer.lineup is not None
    return trainer.lineup.notices


def test_a_share_that_is_cut_is_told_once_with_its_bound() -> None:
    trainer = Trainer(settings("adagrad"), NAMES, TABLE, ALONE)
    versions = run(trainer, sudden(1.0), 200 * DAY_MS)
    (notice,) = [one for one in noticed(trainer) if one.kind == "share"]
    first = next(version for version in versions if f"version {version.version} weighs rare less" in notice.what)
    assert share(first) == pytest.approx(notice.figures["rare"], abs=1e-9)
    assert notice.at_ms == first.published_at_ms


def test_what_the_scorecard_gives_a_feature_is_granted_beyond_what_was_seen() -> None:
    def bounds(guards: GuardSettings) -> list[float]:
        exposure = FeatureExposure(msgspec.structs.replace(SOON, guards=guards), NAMES)
        for number in range(100):
            exposure.take((number / 10, 0.5 if number else 0.0, float(number >= 98)))
        return exposure.bounds((5.0, 0.5, 0.0))

    assert bounds(GuardSettings()) == [5.0, log1p(2.0), log1p(4.0)]
    reviewed = bounds(GuardSettings(reviewed={"rare": -1.5}))
    assert reviewed == [5.0, log1p(2.0), log1p(4.0) + 1.5]
    assert bounds(GuardSettings(reviewed={"rare": 9.0}))[FLAG] == 5.0


@modest(30)
@given(
    st.lists(st.tuples(*[st.sampled_from([-1.0, 0.0, 0.5, 1.0, 7.0])] * 3), max_size=40),
    st.integers(0, 40),
    st.integers(1, 9),
)
def test_exposure_is_what_was_seen_however_it_was_counted_and_wherever_it_was_stopped(
    values: list[tuple[float, float, float]], cut: int, times: int
) -> None:
    values = [one for one in values for _ in range(times)]
    exposure = FeatureExposure(GUARDED, NAMES)
    for number, one in enumerate(values):
        if number == cut:
            state = msgspec.json.decode(msgspec.json.encode(exposure.state()), type=ExposureState)
            exposure = FeatureExposure(GUARDED, NAMES)
            exposure.load(state)
        exposure.take(one)
    if not values:
        assert exposure.seen() == [0, 0, 0]
        return
    columns = list(zip(*values, strict=True))
    assert exposure.seen() == [
        len(column) - max(column.count(min(column)), column.count(max(column)), column.count(0.0)) for column in columns
    ]
    ranges = [max(column) - min(column) for column in columns]
    assert exposure.floors.tolist() == [one / GuardSettings().deviations_max for one in ranges]
    assert exposure.reaches([0.0] * 3) == [max(*column, -min(column), 0.0) for column in columns]


def test_exposure_is_the_same_beyond_the_rows_that_are_counted_together() -> None:
    exposure = FeatureExposure(GUARDED, NAMES)
    for number in range(2 * ROWS_MAX + 9):
        exposure.take((1.0, float(number % 2), float(number % 100 == 0)))
    assert exposure.seen() == [0, ROWS_MAX + 4, 6]


def test_a_feature_without_a_weight_gets_none_whatever_it_tells() -> None:
    for learner in RECIPES:
        made = msgspec.structs.replace(settings(learner), without=("rare",), warm_start={})
        trainer = Trainer(made, NAMES, TABLE, ALONE)
        versions = run(trainer, sudden(1.0), 200 * DAY_MS)
        assert {(version.weights[FLAG], share(version)) for version in versions} == {(0.0, 0.0)}
    with pytest.raises(TrainerError, match="without names 'colour', which is no feature"):
        Trainer(msgspec.structs.replace(SOON, without=("colour",)), NAMES, TABLE)


def test_a_label_that_does_not_count_leaves_no_weight_to_its_column() -> None:
    policy, place = read_policy_for("-", None), TABLE_NAMES.index("value_fall")
    counting = msgspec.structs.replace(policy, label=msgspec.structs.replace(policy.label, value_loss=True))
    assert (settings_of(policy).without, settings_of(counting).without) == (("value_fall",), ())
    assert "value_fall" not in settings_of(policy).warm_start
    assert settings_of(counting).warm_start["value_fall"] > 0.0
    assert (cold_scorer(policy).slopes[place], cold_scorer(counting).slopes[place]) == (0.0, 3.0)
    assert cold_scorer(policy, began=cold_scorer(counting).version).slopes[place] == 3.0


def test_the_guards_of_a_policy_know_its_lowest_threshold_and_the_reviewed_weights() -> None:
    guards = settings_of(read_policy_for("-", None)).guards
    assert guards is not None
    assert guards.warns_from == 0.07
    assert guards.reviewed["suspended"] == 0.48


def broken(at_day: int, intercept: float, kills: Sequence[int] = ()) -> tuple[Trainer, list[ModelVersion]]:
    """Return a trainer whose model was spoiled on a day, at whatever examples it was killed."""
    trainer = Trainer(DYNAMIC, NAMES, TABLE, LineupSettings(challengers=("hazard",)))
    versions: list[ModelVersion] = []
    examples = sorted((example(n) for n in range(1_500)), key=lambda one: (one.knowable_at_ms, one.example_id))
    is_whole = True
    for number, one in enumerate(examples):
        if number in kills:
            trainer = Trainer.restore(trainer.snapshot())
        if is_whole and one.knowable_at_ms > at_day * DAY_MS:
            is_whole = False
            spoiled = msgspec.structs.replace(trainer.model.state(), intercept=intercept)
            trainer.model.load(spoiled)
        versions += run(trainer, [one])
    return trainer, versions + trainer.advance(70 * DAY_MS)


@pytest.mark.parametrize("intercept", [9.0, -9.0])
def test_a_version_that_cannot_repeat_what_it_was_told_does_not_serve(intercept: float) -> None:
    trainer, versions = broken(45, intercept)
    straight = Trainer(DYNAMIC, NAMES, TABLE, LineupSettings(challengers=("hazard",)))
    sound = run(straight, [example(n) for n in range(1_500)], 70 * DAY_MS)
    assert straight.counts.withheld == 0
    withheld = trainer.counts.withheld
    assert withheld > 0
    numbers = [version.version for version in versions if version.name == "champion"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == sum(version.name == "champion" for version in sound) - withheld
    hazard = [version for version in versions if version.name == "hazard"]
    assert [v.weights for v in hazard] == [v.weights for v in sound if v.name == "hazard"]
    told = [notice for notice in noticed(trainer) if notice.kind == "withheld"]
    assert len(told) == withheld
    assert told[0].what.startswith("champion version ")
    assert told[0].figures["examples"] >= LEAST_ROWS
    assert read_lineup_status(trainer.snapshot()).notices == noticed(trainer)


def test_a_trial_fails_likewise_wherever_the_trainer_was_killed() -> None:
    trainer, versions = broken(45, 9.0)
    for kills in ((900,), (200, 901, 1_100), range(0, 1_500, 70)):
        again, found = broken(45, 9.0, kills)
        assert found == versions
        assert again.snapshot() == trainer.snapshot()


@given(st.lists(st.integers(0, 79), unique=True, max_size=6))
def test_a_guarded_trainer_killed_anywhere_continues_to_the_same_last_bit(kills: list[int]) -> None:
    examples = sorted((example(n) for n in range(80)), key=lambda one: (one.knowable_at_ms, one.example_id))
    killed(kills, examples, 60 * DAY_MS, settings=GUARDED)


def test_how_examples_arrive_does_not_show_in_the_sample() -> None:
    one, other = Trainer(GUARDED, NAMES, TABLE), Trainer(GUARDED, NAMES, TABLE)
    numbers = list(range(900))
    for number in numbers:
        one.receive(example(number))
    Random(4).shuffle(numbers)
    for number in numbers:
        other.receive(example(number))
    while other.next_due_ms <= 70 * DAY_MS:
        other.advance(70 * DAY_MS, most=17)
    assert one.advance(70 * DAY_MS)
    assert one.state().guards == other.state().guards
    guards = one.state().guards
    assert guards is not None
    assert len(guards.sample) == GuardSettings().sample_rows


def test_guards_of_another_number_of_features_are_an_error_that_says_so() -> None:
    trainer = Trainer(GUARDED, NAMES, TABLE)
    run(trainer, [example(n) for n in range(50)], 40 * DAY_MS)
    state = trainer.state()
    assert state.guards is not None
    narrow = msgspec.structs.replace(state.guards, sample=[(0, 0, False, b"1234")])
    with pytest.raises(TrainerError, match="another number of features"):
        Trainer.from_state(msgspec.structs.replace(state, guards=narrow))


def test_a_trainer_that_began_without_guards_goes_on_without_them() -> None:
    plain = Trainer(SOON, NAMES, TABLE)
    run(plain, [example(n) for n in range(200)], 40 * DAY_MS)
    tree = msgspec.json.decode(plain.snapshot())
    del tree["guards"], tree["settings"]["guards"], tree["settings"]["without"]
    again = Trainer.restore(msgspec.json.encode(tree))
    assert again.snapshot() == plain.snapshot()
    assert again.settings.guards is None


def test_a_new_trainer_has_guards() -> None:
    assert new_trainer(read_policy_for("-", None)).settings.guards is not None


def test_a_version_in_which_one_feature_says_too_much_does_not_pass() -> None:
    sample = NewestSample(GUARDED, len(NAMES))
    for number in range(20):
        sample.take(f"e_{number}", (1.0, 0.0, float(number == 7)), label=False, date_ms=DAY_MS)
    trainer = Trainer(GUARDED, NAMES, TABLE)
    sound = run(trainer, [example(n) for n in range(200)], 40 * DAY_MS)[-1]
    plain = msgspec.structs.replace(sound, means=(0.0,) * 3, scales=(1.0,) * 3)
    assert sample.failure(msgspec.structs.replace(plain, weights=(0.1, 9.0, -5.0))) is None
    failure = sample.failure(msgspec.structs.replace(plain, weights=(0.1, 9.0, -5.1)))
    assert failure == ("rare alone would move a probability by 5.1 (logit)", {"share": 5.1})

"""The recipes: what each learns, that their versions are exact, and that nothing breaks them."""

from math import inf, isfinite, log, nan
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import linear_model, optim, preprocessing

from streams.core.alerts.policy import Learner
from streams.core.contracts.effects import LabelledExample
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.scoring.features import NAMES as TABLE_NAMES
from streams.core.scoring.models import ModelVersion, read_version, scorer_from, version_hash
from streams.core.scoring.scorer import probability
from streams.core.times import DAY_MS
from streams.learning.lineup import LineupSettings
from streams.learning.models.linear import ADAGRAD_STEP, Model, OnlineModel, PlainModel, TrainerError
from streams.learning.models.recipes import new_model
from streams.learning.queue import FEATURE_MAX, TrainerSettings
from streams.learning.trainer import Trainer
from tests.core.strategies import modest
from tests.learning.test_trainer import NAMES, SOON, TABLE, example, run, served

RECIPES: tuple[Learner, ...] = ("steady", "adagrad", "hazard")
PERIODS = 30 / 7
UNBOUND = msgspec.structs.replace(SOON, step_max=1e9)


def taught(learner: Learner, settings: TrainerSettings = SOON, count: int = 1_500) -> Model:
    """Return a model that has learned the positives and a share of the negatives of the tests' stream."""
    model = new_model(learner, settings, NAMES, PERIODS)
    random = Random(1)
    for number in range(count):
        one = example(number)
        if one.label or random.random() < settings.keep_negatives:
            model.learn(one.features, one.label)
    return model


@pytest.mark.parametrize("learner", RECIPES)
def test_every_recipe_learns_who_leaves_and_stays_calibrated_under_sampling(learner: Learner) -> None:
    settings = msgspec.structs.replace(SOON, keep_negatives=0.25, base_rate=0.15)
    model, kept = taught(learner, settings, 12_000), settings.keep_negatives
    fresh = [example(n) for n in range(20_000, 23_000)]
    raw = [model.predict(one.features) for one in fresh]
    chances = [p / (p + (1.0 - p) / kept) for p in raw]
    assert 0.8 < sum(chances) / sum(one.label for one in fresh) < 1.25
    leavers = [p for p, one in zip(chances, fresh, strict=True) if one.label]
    assert sum(leavers) / len(leavers) > 1.5 * sum(chances) / len(chances)


@pytest.mark.parametrize("learner", RECIPES)
def test_a_version_of_every_recipe_serves_what_its_model_says_after_the_exact_correction(learner: Learner) -> None:
    settings = msgspec.structs.replace(SOON, learner=learner)
    trainer = Trainer(settings, TABLE_NAMES, FEATURE_TABLE)

    def row(number: int) -> tuple[float, ...]:
        random = Random(number)
        return tuple(random.gauss(3.0, 1.0 + place) for place in range(len(TABLE_NAMES)))

    for number in range(300):
        trainer.receive(example(number, features=row(number), feature_table=FEATURE_TABLE))
    version = trainer.advance(60 * DAY_MS)[-1]
    assert read_version(msgspec.json.encode(version)) == version
    scorer = scorer_from(version)
    for number in range(300, 360):
        raw = trainer.model.predict(row(number))
        exact = raw / (raw + (1.0 - raw) / SOON.keep_negatives)
        logit = scorer.logit(row(number))
        assert abs(probability(logit, scorer.periods) - exact) < 1e-9
        assert abs(scorer.intercept + sum(scorer.contributions(row(number))) - logit) < 1e-9


def test_only_a_version_over_several_periods_says_so_and_old_hashes_hold() -> None:
    plain = run(Trainer(SOON, NAMES, TABLE), [example(n) for n in range(200)], 60 * DAY_MS)[-1]
    raw = msgspec.json.encode(plain)
    assert b"periods" not in raw
    assert plain.hash == version_hash(plain)
    hazard = msgspec.structs.replace(SOON, learner="hazard")
    weekly = run(Trainer(hazard, NAMES, TABLE), [example(n) for n in range(200)], 60 * DAY_MS)[-1]
    assert weekly.periods == PERIODS
    assert served(weekly, example(1).features) < probability(0.0) < probability(0.0, PERIODS)


def test_adagrad_is_river_s_own_where_no_step_is_bounded_and_nothing_is_sampled() -> None:
    settings = msgspec.structs.replace(UNBOUND, keep_negatives=1.0)
    plain = PlainModel(settings, NAMES, shortens=True)
    scaler: Any = preprocessing.StandardScaler()
    regression: Any = linear_model.LogisticRegression(
        optimizer=optim.AdaGrad(ADAGRAD_STEP), intercept_init=log(0.02 / 0.98), intercept_lr=0.01
    )
    for number in range(500):
        one = example(number)
        named = dict(zip(NAMES, one.features, strict=True))
        plain.learn(one.features, one.label)
        scaler.learn_one(named)
        regression.learn_one(scaler.transform_one(named), one.label)
    for number in range(600, 650):
        named = dict(zip(NAMES, example(number).features, strict=True))
        theirs = regression.predict_proba_one(scaler.transform_one(named))[True]
        assert abs(plain.predict(example(number).features) - theirs) < 1e-9


def test_a_plain_model_with_a_constant_step_is_the_steady_one() -> None:
    """Both bound a step, by nearly the same: here none is."""
    steady, plain = OnlineModel(UNBOUND, NAMES), PlainModel(UNBOUND, NAMES)
    for number in range(400):
        one = example(number)
        steady.learn(one.features, one.label)
        plain.learn(one.features, one.label)
    for number in range(500, 520):
        features = example(number).features
        assert abs(steady.predict(features) - plain.predict(features)) < 1e-9


@pytest.mark.parametrize("learner", RECIPES)
def test_every_recipe_goes_on_from_its_json_to_the_last_bit(learner: Learner) -> None:
    straight, broken = taught(learner), taught(learner, count=700)
    raw = msgspec.json.encode(broken.state())
    again = new_model(learner, SOON, NAMES, PERIODS)
    again.load(msgspec.json.decode(raw, type=type(broken.state())))
    assert msgspec.json.encode(again.state()) == raw
    random = Random(1)
    for number in range(1_500):
        one = example(number)
        is_kept = one.label or random.random() < SOON.keep_negatives
        if is_kept and number >= 700:
            again.learn(one.features, one.label)
    assert msgspec.json.encode(again.state()) == msgspec.json.encode(straight.state())


@pytest.mark.parametrize("learner", RECIPES)
def test_taking_a_label_back_goes_back_and_leaves_the_scaler_alone(learner: Learner) -> None:
    model = taught(learner)
    features = (2.0, 1.0, 0.0)
    before, scaled = model.predict(features), model.state()
    model.learn(features, label=True)
    after = model.predict(features)
    moved = model.state()
    model.learn(features, True, -1.0)
    assert abs(model.predict(features) - before) < abs(after - before)
    taken_back = model.state()
    assert (taken_back.means, taken_back.variances) == (moved.means, moved.variances)
    assert taken_back.iterations == moved.iterations == scaled.iterations + 1


@pytest.mark.parametrize("learner", RECIPES)
def test_one_outlier_moves_every_recipe_by_a_bounded_step(learner: Learner) -> None:
    model = taught(learner)
    usual, outlier = (0.0, 1.0, 0.0), (0.0, 1.0, FEATURE_MAX)
    before = model.predict(usual)
    model.learn(outlier, label=True)
    assert abs(model.predict(usual) - before) < 0.05
    assert all(map(isfinite, model.state().weights))


@pytest.mark.parametrize("value", [nan, inf, -inf, 1e300])
def test_a_number_that_is_not_finite_reaches_no_model(value: float) -> None:
    lineup = LineupSettings()
    clean, tried = (Trainer(SOON, NAMES, TABLE, lineup) for _ in range(2))
    assert tried.receive(example(900, features=(value, 1.0, 0.0))) == "not_finite"
    for number in range(300):
        clean.receive(example(number))
        tried.receive(example(number))
    expected = clean.advance(60 * DAY_MS)
    assert {version.name for version in expected} == {"champion", "adagrad", "hazard"}
    assert tried.advance(60 * DAY_MS) == expected


def test_a_name_that_is_no_recipe_makes_no_model() -> None:
    unknown: Any = "boosting"
    with pytest.raises(AssertionError):
        new_model(unknown, SOON, NAMES, PERIODS)


def test_the_settings_of_every_recipe_may_name_features_only() -> None:
    wrong = msgspec.structs.replace(SOON, least_scales={"colour": 1.0})
    for learner in RECIPES:
        with pytest.raises(TrainerError, match="'colour', which is no feature"):
            new_model(learner, wrong, NAMES, PERIODS)


@modest(40)
@given(st.floats(-800.0, 800.0), st.sampled_from([1.0, 2.0, PERIODS, 30.0]), st.booleans())
def test_the_slope_of_the_likelihood_is_that_of_its_numbers(logit: float, periods: float, label: bool) -> None:
    model = PlainModel(SOON, NAMES, periods=periods)
    pull = model._pull(logit, label=label)
    assert isfinite(pull)
    if 1e-4 < model._among_learned(logit) < 1.0 - 1e-4:
        near = 1e-5

        def likelihood(at: float) -> float:
            chance = model._among_learned(at)
            return log(chance if label else 1.0 - chance)

        slope = (likelihood(logit + near) - likelihood(logit - near)) / (2 * near)
        assert abs(slope - pull) < 1e-3 * max(1.0, abs(pull))


def names(versions: list[ModelVersion]) -> set[str]:
    return {version.name for version in versions}


def stream(count: int) -> list[LabelledExample]:
    return [example(number) for number in range(count)]


def test_the_champion_learns_what_it_learns_without_challengers() -> None:
    alone, beside = Trainer(SOON, NAMES, TABLE), Trainer(SOON, NAMES, TABLE, LineupSettings())
    expected = run(alone, stream(500), 100 * DAY_MS)
    found = run(beside, stream(500), 100 * DAY_MS)
    assert names(found) == {"champion", "adagrad", "hazard"}
    champion = [version for version in found if version.name == "champion"]
    same = [(v.version, v.parent, v.intercept, v.weights, v.means, v.scales, v.published_at_ms) for v in expected]
    assert [
        (v.version, v.parent, v.intercept, v.weights, v.means, v.scales, v.published_at_ms) for v in champion
    ] == same
    for name in ("adagrad", "hazard"):
        line = [version for version in found if version.name == name]
        assert [version.version for version in line] == list(range(1, len(line) + 1))
        assert [v.published_at_ms for v in line] == [v.published_at_ms for v in champion]

"""The dynamic recipe: what a label teaches, what time undoes, and that its numbers are the same everywhere."""

import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.learning.models.dynamic import DynamicModel
from streams.learning.models.linear import ModelState, OnlineModel, TrainerError
from streams.learning.queue import TrainerSettings

NAMES = ("a", "b", "c")
SETTINGS = TrainerSettings(learner="dynamic", keep_negatives=1.0, base_rate=0.1)
Example = tuple[tuple[float, ...], bool]


def stream(count: int, seed: int, slope: float = 1.5) -> list[Example]:
    """Examples of which the first feature makes leaving likelier, the second does nothing, the third hardly moves."""
    rng = random.Random(seed)
    made: list[Example] = []
    for _ in range(count):
        values = (rng.gauss(5.0, 2.0), rng.gauss(0.0, 1.0), 1.0 if rng.random() < 0.01 else 0.0)
        logit = -2.2 + slope * (values[0] - 5.0) / 2.0 + 4.0 * values[2]
        made.append((values, rng.random() < 1.0 / (1.0 + math.exp(-logit))))
    return made


def taught(examples: list[Example], settings: TrainerSettings = SETTINGS) -> DynamicModel:
    model = DynamicModel(settings, NAMES)
    for values, label in examples:
        model.learn(values, label)
    return model


def covariance(model: DynamicModel) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    packed, size = model.state().covariance, len(NAMES) + 1
    assert isinstance(packed, list)
    half = np.zeros((size, size))
    half[np.triu_indices(size)] = packed
    return half + half.T - np.diag(np.diagonal(half))


def log_loss(model: DynamicModel | OnlineModel, examples: list[Example]) -> float:
    chances = [(model.predict(values), label) for values, label in examples]
    return -sum(math.log(p if label else 1.0 - p) for p, label in chances) / len(chances)


def test_it_finds_the_weights_and_is_as_sure_of_them_as_the_examples_allow() -> None:
    open_minded = msgspec.structs.replace(SETTINGS, prior_variance=1.0)
    model = taught(stream(6_000, seed=1), open_minded)
    weights, variances = model.state().weights, np.diagonal(covariance(model))[1:]
    for weight, truth, variance in zip(weights[:2], (1.5, 0.0), variances, strict=False):
        assert abs(weight - truth) < 4.0 * variance**0.5 + 0.05
    assert (variances < 0.02).all()


def test_it_learns_more_from_few_examples_than_a_constant_step_does() -> None:
    few, later = stream(800, seed=2), stream(4_000, seed=3)
    steady = OnlineModel(msgspec.structs.replace(SETTINGS, learner="steady", step=0.002), NAMES)
    for values, label in few:
        steady.learn(values, label)
    assert log_loss(taught(few), later) < log_loss(steady, later)


def test_what_is_seldom_seen_moves_as_much_as_it_should_and_what_is_well_known_hardly() -> None:
    model = taught(stream(4_000, seed=4))
    before = model.state().weights
    model.learn((5.0, 0.0, 1.0), label=False)
    moved = [abs(now - then) for now, then in zip(model.state().weights, before, strict=True)]
    assert moved[2] > 10.0 * moved[1]


def test_time_makes_it_less_certain_and_never_more_uncertain_than_it_was_at_first() -> None:
    model = taught(stream(2_000, seed=5))
    known = np.diagonal(covariance(model)).copy()
    model.drift(7.0)
    after_a_week = np.diagonal(covariance(model)).copy()
    assert (after_a_week > known).all()
    model.drift(1e9)
    assert np.allclose(np.diagonal(covariance(model))[1:], SETTINGS.prior_variance)


@pytest.mark.slow
def test_after_a_change_it_follows_whoever_let_time_pass_sooner() -> None:
    still, awake = taught(stream(20_000, seed=6)), taught(stream(20_000, seed=6))
    awake.drift(3_000.0)
    changed = stream(3_000, seed=7, slope=-1.0)
    for values, label in changed[:1_000]:
        still.learn(values, label)
        awake.learn(values, label)
    assert log_loss(awake, changed[1_000:]) < log_loss(still, changed[1_000:])


@given(
    examples=st.lists(
        st.tuples(st.tuples(*[st.floats(-1e9, 1e9)] * 3), st.booleans(), st.sampled_from([1.0, 1.0, -1.0])),
        max_size=30,
    )
)
def test_the_covariance_stays_one_and_every_number_finite_whatever_is_learned(
    examples: list[tuple[tuple[float, ...], bool, float]],
) -> None:
    model = DynamicModel(SETTINGS, NAMES)
    for values, label, weight in examples:
        model.learn(values, label, weight)
        model.drift(1.0)
    state, matrix = model.state(), covariance(model)
    assert all(map(math.isfinite, (state.intercept, *state.weights, *state.means, *state.variances)))
    assert np.isfinite(matrix).all()
    assert (np.diagonal(matrix) > 0.0).all()
    assert np.linalg.eigvalsh(matrix).min() > -1e-12


def test_taking_a_label_back_moves_the_weights_the_other_way_and_makes_nothing_more_certain() -> None:
    model = taught(stream(500, seed=8))
    before, sure = model.state(), covariance(model)
    model.learn((9.0, 0.0, 0.0), label=True, weight=-1.0)
    after = model.state()
    assert after.weights[0] < before.weights[0]
    assert after.iterations == before.iterations
    assert (covariance(model) == sure).all()


@given(cut=st.integers(0, 300), seed=st.integers(0, 3))
def test_wherever_it_is_stopped_it_goes_on_to_the_same_bits(cut: int, seed: int) -> None:
    examples = stream(300, seed)
    whole = taught(examples)
    again = DynamicModel(SETTINGS, NAMES)
    again.load(msgspec.json.decode(msgspec.json.encode(taught(examples[:cut]).state()), type=ModelState))
    for values, label in examples[cut:]:
        again.learn(values, label)
    assert msgspec.json.encode(again.state()) == msgspec.json.encode(whole.state())


def test_the_numbers_do_not_depend_on_how_a_processor_adds() -> None:
    """The sums over features are done again one by one: rows in their order, and the rest exactly."""
    model = taught(stream(50, seed=9))
    matrix, vector = covariance(model), np.array([1.0, 0.3, -2.0, 7.0])
    rows = [0.0] * 4
    for i in range(4):
        rows = [total + matrix[i, j] * vector[i] for j, total in enumerate(rows)]
    assert np.add.reduce(matrix * vector[:, None], axis=0).tolist() == rows


def test_it_predicts_what_river_predicts_with_its_numbers() -> None:
    examples = stream(3_000, seed=10)
    model = taught(examples)
    river = OnlineModel(msgspec.structs.replace(SETTINGS, learner="steady"), NAMES)
    river.load(msgspec.structs.replace(model.state(), covariance=msgspec.UNSET))
    for values, _ in examples[:200]:
        assert model.predict(values) == pytest.approx(river.predict(values), abs=1e-12)


def test_a_snapshot_without_its_covariance_is_refused() -> None:
    state = taught(stream(10, seed=11)).state()
    assert isinstance(state.covariance, list)
    for covariance_of in (msgspec.UNSET, state.covariance[:-1]):
        with pytest.raises(TrainerError, match="no covariance"):
            DynamicModel(SETTINGS, NAMES).load(msgspec.structs.replace(state, covariance=covariance_of))


def test_a_label_taken_back_from_far_outside_all_that_was_seen_leaves_every_number_finite() -> None:
    model = taught([((0.0, 0.0, 0.0), False), ((0.0, 0.0, 1e-148), False)])
    model.learn((0.0, 0.0, 1e7), label=False, weight=-1.0)
    state = model.state()
    assert all(map(math.isfinite, (state.intercept, *state.weights)))

"""A contest of learners on recorded examples: nobody sees the future, and the champion is the one that served."""

import sys
from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.app.new_trainer import settings_of
from streams.app.policies import cold_scorer, read_policy_for
from streams.core.alerts.policy import Policy
from streams.core.contracts.effects import LabelledExample
from streams.core.scoring.features import FEATURE_TABLE, FEATURES, NAMES
from streams.core.scoring.scorer import probability
from streams.core.times import DAY_MS, HOUR_MS
from streams.evaluation import metrics as evaluation
from streams.evaluation.contest import contest
from streams.evaluation.contest.boosted_contenders import BoostingContender
from streams.evaluation.contest.contenders import (
    COMPLAINTS,
    CROSSES,
    DROPS,
    LINEAR,
    RULES,
    Contender,
    LinearContender,
    RecordedContender,
)
from streams.evaluation.contest.contest import (
    CONTENDERS,
    Contest,
    ContestEntry,
    contest_of,
    run_contest,
    select_contenders,
)
from streams.evaluation.contest.course import Course, course_of, earliest_settled_ms, periods
from streams.evaluation.contest.metrics import average_precision, recall_at
from streams.evaluation.contest.river_contenders import RIVER
from streams.learning.queue import TrainerSettings
from streams.store.database import RunStore
from tests.core.strategies import modest
from tests.engine.operators import CLEAN, LIVELY, run, write_operator

POLICY = read_policy_for("-", None)
SETTINGS = msgspec.structs.replace(settings_of(POLICY), positives_min=5)
HORIZON_MS = POLICY.label.horizon_days * DAY_MS
END_MS = 170 * DAY_MS
DAYS = 120
"""Snapshots are taken on the first so many days, so that all horizons close in time."""


def example(number: int, **changes: object) -> LabelledExample:
    """Return the n-th example of a stream in which days without a top-up and an open complaint make leaving likely."""
    random = Random(number)
    features = [random.gauss(0.0, 0.2) for _ in NAMES]
    silence, is_open = random.expovariate(0.7), random.random() < 0.1
    features[NAMES.index("top_up_silence")], features[NAMES.index("complaint_open")] = silence, float(is_open)
    label = random.random() < probability(1.2 * silence + 1.5 * is_open - 4.0)
    snapshot_at_ms = int(random.random() * DAYS * DAY_MS)
    closed_at_ms = snapshot_at_ms + HORIZON_MS
    made = LabelledExample(
        example_id=f"e_{number:032x}",
        subscriber_id=f"s_{number % 83:032x}",
        snapshot_at_ms=snapshot_at_ms,
        features=tuple(features),
        feature_table=FEATURE_TABLE,
        label=label,
        kind="port_out" if label else "stayed",
        knowable_at_ms=snapshot_at_ms + 3 * DAY_MS if label else closed_at_ms,
        closed_at_ms=closed_at_ms,
        probability=0.1,
        model_version="scorecard-00000000",
    )
    return msgspec.structs.replace(made, **changes)


EXAMPLES = [example(number) for number in range(900)]


def course(examples: Sequence[LabelledExample] = EXAMPLES, settings: TrainerSettings = SETTINGS) -> Course:
    return course_of(examples, POLICY, cold_scorer(POLICY), settings, end_ms=END_MS)


def judged(examples: Sequence[LabelledExample] = EXAMPLES, **options: object) -> Contest:
    given_options = {"settings": SETTINGS, "end_ms": END_MS, "resamples": 0, "contenders": ["champion"]}
    given_options |= {"warming_days": 0} | options
    return contest_of(examples, POLICY, cold_scorer(POLICY), **given_options)  # type: ignore[arg-type]


def entry(found: Contest, name: str) -> ContestEntry:
    return next(one for one in found.entries if one.name == name)


def small_boosting() -> BoostingContender:
    return BoostingContender(name="boosting", what="every four weeks", refits=True, positives_min=10)


HONEST: tuple[Contender, ...] = (RecordedContender(), *LINEAR, *RULES, RIVER[0], small_boosting())


@pytest.mark.slow
@given(cut_day=st.floats(40.0, 120.0), seed=st.integers(0, 1_000_000))
@modest(6)
def test_no_forecast_depends_on_a_label_that_was_settled_after_its_snapshot(cut_day: float, seed: int) -> None:
    random = Random(seed)
    pytest.importorskip("lightgbm", reason="LightGBM, an extra, is not installed")
    cut_ms = int(cut_day * DAY_MS)
    other = [turned(one, cut_ms) if random.random() < 0.5 else one for one in EXAMPLES]
    known = sum(one.snapshot_at_ms <= cut_ms for one in course().judged)
    for contender in HONEST:
        before, after = (contender.forecast(course(examples)).values for examples in (EXAMPLES, other))
        assert before[:known] == after[:known], contender.name


def test_what_is_settled_later_shows_in_later_forecasts() -> None:
    cut_ms = 60 * DAY_MS
    other = [turned(one, cut_ms) for one in EXAMPLES]
    for contender in select_contenders(["champion", "river_logistic"]):
        assert contender.forecast(course(other)).values != contender.forecast(course()).values


def turned(one: LabelledExample, cut_ms: int) -> LabelledExample:
    """Return the example with the other label if neither could be known until the cut, else as it is."""
    if min(earliest_settled_ms(one, POLICY), one.closed_at_ms) <= cut_ms:
        return one
    if one.label:
        return msgspec.structs.replace(one, label=False, kind="stayed", knowable_at_ms=one.closed_at_ms)
    soon_ms = max(one.snapshot_at_ms, cut_ms) + HOUR_MS
    return msgspec.structs.replace(one, label=True, kind="port_out", knowable_at_ms=min(soon_ms, one.closed_at_ms))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Policy, list[LabelledExample], int]:
    """A run's examples and the end of its stream; everybody has a daily turn, so what was settled when is known."""
    folder = tmp_path_factory.mktemp("contest") / "events"
    daily = f"{LIVELY}\n[policy.scoring]\nquiet_every_hours = 24\n"
    write_operator(folder, subscribers=120, days=90, seed=3, faults=CLEAN, policy=daily)
    db = folder.parent / "run.db"
    run(folder, db)
    with RunStore.open(str(db), create=False) as store:
        checkpoint = store.load()
        assert checkpoint is not None
        return read_policy_for(str(folder), None), list(store.examples()), checkpoint.stream_ms


@pytest.mark.slow
def test_the_champion_forecasts_to_the_last_bit_what_the_run_served(
    served: tuple[Policy, list[LabelledExample], int],
) -> None:
    policy, examples, end_ms = served
    ran = course_of(examples, policy, cold_scorer(policy), settings_of(policy), end_ms=end_ms)
    found = select_contenders(["champion"])[0].forecast(ran)
    assert found.versions > 1
    assert len({one.model_version for one in ran.judged}) > 2
    assert found.values == select_contenders(["served"])[1].forecast(ran).values
    assert list(found.values) == [one.probability for one in ran.judged]


@pytest.mark.slow
@given(st.randoms(use_true_random=False))
@modest(5)
def test_the_order_of_the_examples_does_not_show(random: Random) -> None:
    shuffled = [*EXAMPLES, *EXAMPLES[:50]]
    random.shuffle(shuffled)
    names = ["champion", "labels_when_knowable", "river_logistic"]
    assert judged(shuffled, contenders=names) == judged(contenders=names)


@pytest.mark.slow
def test_the_champion_learns_and_beats_its_scorecard() -> None:
    found = judged(shock_ms=None)
    (steady,) = found.segments
    assert steady.from_ms == found.warm_ms
    champion = entry(found, "champion")
    assert champion.versions > 3
    by_card = [
        evaluation.Prediction(probability(cold_scorer(POLICY).logit(one.features)), one.label)
        for one in course().judged
        if one.snapshot_at_ms >= steady.from_ms
    ]
    assert champion.segments["steady"].log_loss < evaluation.summary(by_card).log_loss


def test_a_snapshot_counts_once_whatever_settles_it_must_have_come() -> None:
    found = judged(end_ms=100 * DAY_MS)
    patience_ms = POLICY.scoring.quiet_every_hours * HOUR_MS
    counted = [one for one in EXAMPLES if one.closed_at_ms + patience_ms <= 100 * DAY_MS]
    assert (found.judged, found.positives) == (len(counted), sum(one.label for one in counted))
    assert found.open == len(EXAMPLES) - len(counted) > 0


def test_without_an_end_the_stream_ends_with_its_last_settling() -> None:
    found = judged(end_ms=None)
    assert found.end_ms == max(earliest_settled_ms(one, POLICY) for one in EXAMPLES)


def test_an_example_of_another_feature_table_is_counted_and_left_out() -> None:
    foreign = example(5000, feature_table="features-00000000")
    found = judged([*EXAMPLES, foreign])
    assert (found.foreign, found.judged, found.open) == (1, judged().judged, 0)


def test_nothing_to_judge_gives_no_scores_instead_of_an_error() -> None:
    found = judged([], contenders=(), end_ms=None)
    assert (found.judged, found.segments, found.warm_ms) == (0, (), None)
    assert all(one.overall is None for one in found.entries)


def test_segments_follow_one_another_around_the_shock() -> None:
    found = judged(shock_ms=90 * DAY_MS, shock_days=20)
    assert [segment.name for segment in found.segments] == ["steady", "shock", "recovery"]
    steady, shock, recovery = found.segments
    assert steady.until_ms == shock.from_ms == 90 * DAY_MS
    assert shock.until_ms == recovery.from_ms == 110 * DAY_MS
    warm = [one for one in EXAMPLES if one.snapshot_at_ms >= steady.from_ms]
    assert sum(segment.examples for segment in found.segments) == len(warm)
    assert entry(found, "champion").segments["shock"].examples == shock.examples


def test_a_provisional_label_is_learned_where_the_settings_say_so_and_never_judged() -> None:
    early = [
        example(number, example_id=f"p_{number:032x}", provisional=True, label=number % 2 == 0, kind="inactivity")
        for number in range(300)
    ]
    early = [
        msgspec.structs.replace(one, knowable_at_ms=at, closed_at_ms=at)
        for one in early
        for at in [one.snapshot_at_ms + 10 * DAY_MS]
    ]
    corrected = [
        msgspec.structs.replace(one, corrects=early[place].label) if place < len(early) else one
        for place, one in enumerate(EXAMPLES)
    ]
    told = course([*corrected, *early])
    assert [one.example_id for one in told.judged] == [one.example_id for one in course().judged]
    champion, at_close = select_contenders(["labels_at_close"])
    assert champion.forecast(told).values != champion.forecast(course()).values
    assert at_close.forecast(told).values == at_close.forecast(course()).values


@pytest.mark.parametrize("contender", [one for one in LINEAR if one.without], ids=lambda one: one.name)
def test_what_an_ablation_leaves_out_has_no_say(contender: LinearContender) -> None:
    places = [NAMES.index(name) for name in contender.without]
    other = [
        msgspec.structs.replace(
            one, features=tuple(value + 3.0 if place in places else value for place, value in enumerate(one.features))
        )
        for one in EXAMPLES
    ]
    assert contender.forecast(course(other)).values == contender.forecast(course()).values
    assert (
        select_contenders(["champion"])[0].forecast(course(other)).values
        != select_contenders(["champion"])[0].forecast(course()).values
    )


def test_the_lists_of_ablations_follow_the_feature_table() -> None:
    assert set(CROSSES) == {name for name in NAMES if "_and_" in name}
    definitions = {feature.name: feature.definition for feature in FEATURES}
    assert all(any(word in definitions[name] for word in (" x ", " if ", " while ")) for name in CROSSES)
    assert set(DROPS) == {name for name in NAMES if "drop" in name}
    assert len(COMPLAINTS) >= 8


def test_a_rule_ranks_by_its_feature_alone() -> None:
    (rule,) = (one for one in RULES if one.name == "days_since_top_up")
    ran = course()
    place = NAMES.index("top_up_silence")
    by_rule = sorted(zip(rule.forecast(ran).values, ran.judged, strict=True), key=lambda pair: pair[0])
    silences = [one.features[place] for _, one in by_rule]
    assert silences == sorted(silences)
    assert 0.0 <= by_rule[0][0] <= by_rule[-1][0] < 1.0
    assert entry(judged(contenders=["days_since_top_up"]), "days_since_top_up").ranks_only


def test_a_forest_that_has_met_no_leaver_gives_zero_and_no_error() -> None:
    stayers = [msgspec.structs.replace(one, label=False, kind="stayed", knowable_at_ms=one.closed_at_ms)
               for one in EXAMPLES[:60]]  # fmt: skip
    eager = course(stayers, msgspec.structs.replace(SETTINGS, positives_min=0))
    forest = next(one for one in RIVER if one.name == "river_forest")
    assert set(forest.forecast(eager).values) == {0.0}


@pytest.mark.slow
def test_baselines_learn_something_from_a_small_stream_and_repeat_themselves() -> None:
    pytest.importorskip("lightgbm", reason="LightGBM, an extra, is not installed")
    examples = [example(number) for number in range(2_500)]
    for contender in (*RIVER, small_boosting()):
        one, other = (contender.forecast(course(examples)) for _ in range(2))
        assert one == other
        assert one.versions > 2
        assert one.first_ms is not None
        late = [
            evaluation.Prediction(p, e.label)
            for p, e in zip(one.values, course(examples).judged, strict=True)
            if e.snapshot_at_ms > 80 * DAY_MS
        ]
        assert (evaluation.summary(late).auc or 0.0) > 0.6, contender.name


def test_a_contender_whose_library_is_missing_says_so_and_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    found = entry(judged(contenders=["boosting_monthly"]), "boosting_monthly")
    assert found.missing is not None
    assert "forewarn[boost]" in found.missing
    assert (found.overall, found.segments, found.differences) == (None, {}, {})


def test_differences_are_paired_and_a_champion_s_twin_differs_by_nothing() -> None:
    twin = LinearContender(name="twin", what="the champion again", group="challenger")
    outcome = run_contest(
        course(),
        (select_contenders(["champion"])[0], twin, select_contenders(["without_complaints"])[1]),
        warming_days=0,
        resamples=20,
    )
    champion, same, without = outcome.contest.entries
    assert champion.differences == {}
    assert outcome.forecasts["twin"] == outcome.forecasts["champion"]
    drawn = same.differences["overall"].average_precision
    assert (drawn.estimate, drawn.low, drawn.high, drawn.resamples) == (0.0, 0.0, 0.0, 20)
    assert set(without.differences) == {"overall", "steady"}
    assert without.overall is not None
    assert champion.overall is not None
    assert without.differences["overall"].average_precision.estimate == pytest.approx(
        (without.overall.average_precision or 0.0) - (champion.overall.average_precision or 0.0)
    )


def test_an_unknown_contender_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="'nobody' is no contender; there are champion, served, steady"):
        judged(contenders=["nobody"])


def test_every_contender_has_a_name_of_its_own_and_says_what_it_is() -> None:
    assert len(set(contest.NAMES)) == len(CONTENDERS)
    assert select_contenders([]) == CONTENDERS
    assert all(one.what and one.group for one in CONTENDERS)


def test_a_contest_survives_json_and_tells_how_far_it_is() -> None:
    told: list[str] = []
    found = judged(contenders=["days_since_activity", "hazard"], shock_ms=90 * DAY_MS, resamples=5, tell=told.append)
    assert told == ["champion", "hazard", "days_since_activity"]
    assert msgspec.json.decode(msgspec.json.encode(found), type=Contest) == found


def test_periods_cover_every_judged_snapshot_once_and_every_lesson_that_was_in_time() -> None:
    ran = course()
    weeks = list(periods(ran, matured=True))
    assert [place for week in weeks for place in week.snapshots] == list(range(len(ran.judged)))
    for week in weeks:
        assert all(lesson.at_ms <= week.at_ms for lesson in week.lessons)
        assert all(ran.judged[place].snapshot_at_ms > week.at_ms for place in week.snapshots)


rows = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans(), st.integers(0, 3)),
    min_size=1, max_size=40,
)  # fmt: skip


@given(rows, st.sampled_from([0.05, 0.1, 0.5, 1.0]))
@modest(200)
def test_the_metrics_over_arrays_are_the_core_s(drawn: list[tuple[float, bool, int]], share: float) -> None:
    chances, labels, weights = [r[0] for r in drawn], [r[1] for r in drawn], [r[2] for r in drawn]
    if not sum(weights):
        return
    fast, exact = average_precision(), evaluation.average_precision
    assert fast(chances, labels, weights) == pytest.approx(exact(chances, labels, weights), abs=1e-12)
    assert recall_at(share)(chances, labels, weights) == pytest.approx(
        evaluation.recall_at(share)(chances, labels, weights), abs=1e-12
    )


def test_the_metrics_over_arrays_have_no_value_without_rows() -> None:
    assert average_precision()([], [], []) is None
    assert recall_at(0.05)([], [], []) is None

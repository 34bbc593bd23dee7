"""Lines of models side by side: how they are judged, who is promoted, what is noticed; and kills change nothing."""

import re
from math import log
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.effects import LabelledExample
from streams.core.scoring.models import ModelVersion
from streams.core.scoring.promotions import read_promotion
from streams.core.times import DAY_MS, WEEK_MS
from streams.evaluation.metrics import average_precision, log_loss, top_share
from streams.learning.judging.guards import Guards, RiseTest
from streams.learning.judging.promoting import IN_A_ROW, decide, promotion_of, resampled_interval
from streams.learning.judging.verdicts import (
    SERVED,
    Figures,
    LineupStatus,
    MatureWeek,
    OperatorNotice,
    read_lineup_status,
)
from streams.learning.judging.weeks import BLOCKS, HELD_MAX, PATIENCE_MS, Blocks, Weeks
from streams.learning.lineup import HISTORY_MAX, Lineup, LineupSettings
from streams.learning.models.linear import TrainerError
from streams.learning.trainer import Trainer
from tests.core.strategies import modest
from tests.learning.test_trainer import NAMES, SOON, TABLE, example, killed, run, served

HORIZON_MS = 30 * DAY_MS
LINEUP = LineupSettings()
COUNT = 3_500
"""Snapshots half an hour apart: ten weeks of them."""


def by_time(example: LabelledExample) -> tuple[int, str]:
    return example.knowable_at_ms, example.example_id


def stream(count: int = COUNT) -> list[LabelledExample]:
    return sorted((example(number) for number in range(count)), key=by_time)


def judged(settings: LineupSettings = LINEUP) -> tuple[Trainer, list[ModelVersion]]:
    trainer = Trainer(SOON, NAMES, TABLE, settings)
    return trainer, run(trainer, stream(), 130 * DAY_MS)


@pytest.fixture(scope="module")
def finished() -> tuple[Trainer, list[ModelVersion]]:
    return judged()


def lineup_of(trainer: Trainer) -> Lineup:
    assert trainer.lineup is not None
    return trainer.lineup


def test_every_mature_week_is_judged_by_the_versions_of_its_snapshots_times(
    finished: tuple[Trainer, list[ModelVersion]],
) -> None:
    trainer, versions = finished
    history = lineup_of(trainer).history
    assert len(history) >= 5
    for week in history:
        snapshots = [one for one in stream() if week.week_ms <= one.snapshot_at_ms < week.week_ms + WEEK_MS]
        for name in ("champion", "hazard", "adagrad"):
            chances, labels = [], []
            for one in snapshots:
                in_force = [v for v in versions if v.name == name and v.published_at_ms < one.snapshot_at_ms]
                if in_force:
                    chances.append(_chance(in_force[-1], one))
                    labels.append(one.label)
            figures = week.figures[name]
            assert (week.examples, week.positives) == (len(labels), sum(labels))
            assert figures.log_loss == pytest.approx(log_loss(chances, labels), abs=1e-6)
            assert figures.expected_over_observed == pytest.approx(sum(chances) / sum(labels), abs=1e-4)
            # Up to ties within a bin.
            assert figures.average_precision == pytest.approx(average_precision(chances, labels), abs=0.02)
            assert figures.recall == pytest.approx(top_share(chances, labels, 0.05).recall, abs=0.03)
        losses = [-log(0.2 if label else 0.8) for label in labels]
        assert week.figures[SERVED].log_loss == pytest.approx(sum(losses) / len(losses), abs=1e-6)


def _chance(version: ModelVersion, one: LabelledExample) -> float:
    chance = served(version, one.features)
    return chance if version.name != "hazard" else 1.0 - (1.0 - chance) ** (30 / 7)


def test_a_week_is_mature_when_its_last_horizon_has_closed_and_a_day_has_passed(
    finished: tuple[Trainer, list[ModelVersion]],
) -> None:
    trainer, _ = finished
    for decision in lineup_of(trainer).decisions:
        newest = max(
            week.week_ms
            for week in lineup_of(trainer).history
            if week.week_ms + WEEK_MS + HORIZON_MS + PATIENCE_MS <= decision.at_ms
        )
        assert decision.at_ms - DAY_MS < newest + WEEK_MS + HORIZON_MS + PATIENCE_MS <= decision.at_ms


@modest(15)
@given(st.lists(st.integers(0, 899), unique=True, max_size=5))
def test_a_trainer_with_challengers_killed_anywhere_continues_to_the_same_last_bit(kills: list[int]) -> None:
    killed(kills, stream(900), 90 * DAY_MS, LINEUP)


@modest(15)
@given(st.lists(st.integers(0, 90 * 24), max_size=8))
def test_the_size_of_the_steps_in_time_does_not_matter_to_the_weeks(hours: list[int]) -> None:
    one, other = (Trainer(SOON, NAMES, TABLE, LINEUP) for _ in range(2))
    for number in range(700):
        one.receive(example(number))
        other.receive(example(number))
    versions: list[ModelVersion] = []
    for hour in sorted(hours):
        versions += other.advance(hour * DAY_MS // 24 + 17)
    assert versions + other.advance(90 * DAY_MS) == one.advance(90 * DAY_MS)
    assert lineup_of(one).history == lineup_of(other).history


def test_what_is_known_of_the_lines_is_read_from_a_snapshot_without_a_trainer(
    finished: tuple[Trainer, list[ModelVersion]],
) -> None:
    trainer, versions = finished
    standing, lineup = read_lineup_status(trainer.snapshot()), lineup_of(trainer)
    assert (standing.history, standing.decisions) == (lineup.history, lineup.decisions)
    assert read_lineup_status(None) == LineupStatus() == read_lineup_status(Trainer(SOON, NAMES, TABLE).snapshot())
    week = lineup.history[-1]
    newest = [version for version in versions if version.name == "hazard"][-1]
    assert newest.metrics["week_ms"] == float(week.week_ms)
    assert newest.metrics["week_log_loss"] == week.figures["hazard"].log_loss


def test_what_is_kept_of_weeks_has_a_bound_whatever_the_number_of_examples() -> None:
    def size(times: int) -> int:
        weeks = Weeks(("champion",), NAMES, HORIZON_MS)
        weeks.publish(run(Trainer(SOON, NAMES, TABLE), stream(100), 60 * DAY_MS)[0])
        for number in range(200 * times):
            one = example(number, subscriber_id=f"s_{number}", snapshot_at_ms=90 * DAY_MS + number)
            weeks.take(one, 200 * DAY_MS)
        return len(msgspec.json.encode(weeks.state()))

    assert size(40) < 3 * size(2)


def test_an_example_waits_until_the_versions_of_its_snapshots_time_are_there() -> None:
    weeks = Weeks(("champion",), NAMES, HORIZON_MS)
    first, second = run(Trainer(SOON, NAMES, TABLE), stream(200), 60 * DAY_MS)[:2]
    snapshot_ms = second.published_at_ms + 1
    one = example(1, snapshot_at_ms=snapshot_ms, knowable_at_ms=snapshot_ms + 1, closed_at_ms=snapshot_ms + HORIZON_MS)
    weeks.publish(first)
    weeks.take(one, first.published_at_ms)
    weeks.publish(second)
    ((week, _),) = weeks.mature(200 * DAY_MS)
    chance = served(second, one.features)
    assert week.figures["champion"].log_loss == pytest.approx(-log(chance if one.label else 1.0 - chance), abs=1e-5)
    weeks.take(one, 200 * DAY_MS)
    weeks.take(msgspec.structs.replace(one, snapshot_at_ms=0), 200 * DAY_MS)
    weeks.take(msgspec.structs.replace(one, provisional=True), 200 * DAY_MS)
    assert weeks.unjudged == {"no_version": 0, "too_late": 2, "too_many_held": 0}
    for _ in range(HELD_MAX + 3):
        weeks.take(msgspec.structs.replace(one, snapshot_at_ms=300 * DAY_MS), 200 * DAY_MS)
    assert weeks.unjudged["too_many_held"] == 3


def test_versions_that_no_snapshot_can_ask_for_are_forgotten(finished: tuple[Trainer, list[ModelVersion]]) -> None:
    _, versions = finished
    champions = [version for version in versions if version.name == "champion"]
    weeks = Weeks(("champion",), NAMES, HORIZON_MS)
    for version in champions:
        weeks.publish(version)
    kept = weeks.state().lines["champion"]
    assert len(kept) < len(champions)
    assert kept[0].from_ms <= champions[-1].published_at_ms - HORIZON_MS - 35 * DAY_MS < kept[1].from_ms + DAY_MS


def blocks(better_by: float, *, tops: int = 1, expected: float = 1.0) -> Blocks:
    """Return a mature week in which a challenger's loss is lower in every block, and `tops` more leavers are on top."""
    random = Random(3)
    losses = [100_000 + random.randrange(1_000) for _ in range(BLOCKS)]
    return Blocks(
        0,
        [100] * BLOCKS,
        [2] * BLOCKS,
        {"champion": losses, "hazard": [loss - round(better_by * 1e6) for loss in losses]},
        {"champion": [0.0] * BLOCKS, "hazard": [float(tops)] * BLOCKS},
        {"champion": 2 * BLOCKS * 10**6, "hazard": round(2 * BLOCKS * expected * 1e6)},
    )


@pytest.mark.parametrize(
    ("week", "why"),
    [
        (blocks(0.01), None),
        (blocks(0.0), "log loss"),
        (blocks(-0.01), "log loss"),
        (blocks(0.01, tops=0), "recall"),
        (blocks(0.01, expected=1.3), "1.30 times as many"),
        (blocks(0.01, expected=1.2), None),
    ],
)
def test_a_challenger_is_promoted_after_two_weeks_of_being_surely_better(week: Blocks, why: str | None) -> None:
    once = decide([week] * 4, 7, "hazard", "champion", 0)
    twice = decide([week] * 4, 8, "hazard", "champion", once.in_a_row)
    if why is None:
        assert (once.verdict, once.in_a_row) == ("wait", 1)
        assert (twice.verdict, twice.in_a_row) == ("promote", IN_A_ROW)
        assert "2 in a row are needed" in once.why
        made = promotion_of(twice)
        assert read_promotion(msgspec.json.encode(made)) == made
        assert (made.before, made.to, made.by, made.at_ms) == ("champion", "hazard", "trainer", 8)
        assert float(made.evidence["log_loss_low"]) > 0.0
    else:
        assert {once.verdict, twice.verdict} == {"keep"}
        assert why in once.why
    young = decide([week] * 3, 7, "hazard", "champion", 1)
    assert (young.verdict, young.in_a_row, young.why) == ("keep", 0, "3 of 4 weeks are mature")


def test_weeks_in_which_nobody_left_decide_nothing() -> None:
    quiet = msgspec.structs.replace(blocks(0.01), positives=[0] * BLOCKS)
    decision = decide([quiet] * 4, 7, "hazard", "champion", 1)
    assert (decision.verdict, decision.why, decision.recall) == ("keep", "nobody left in these weeks", None)


@given(st.lists(st.floats(-1.0, 1.0), min_size=BLOCKS, max_size=BLOCKS))
def test_an_interval_is_the_same_every_time_and_holds_its_estimate(differences: list[float]) -> None:
    found = resampled_interval(differences, [10.0] * BLOCKS)
    assert found == resampled_interval(differences, [10.0] * BLOCKS)
    assert found is not None
    assert min(differences) / 10 - 1e-9 <= found.low <= found.high <= max(differences) / 10 + 1e-9
    assert found.low - 1e-9 <= found.estimate <= found.high + 1e-9


@pytest.mark.slow
def test_an_interval_is_as_wide_as_chance_makes_it() -> None:
    random = Random(5)
    outside = 0
    for _ in range(200):
        found = resampled_interval([random.gauss(0.0, 1.0) for _ in range(BLOCKS)], [1.0] * BLOCKS)
        assert found is not None
        outside += not found.low <= 0.0 <= found.high
    assert 2 <= outside <= 24


def test_only_automatic_promotion_acts_and_then_the_others_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    manual, automatic = LINEUP, LineupSettings(promotion="automatic")
    for settings, expected in ((manual, []), (automatic, ["hazard"])):
        lineup = Lineup(settings, SOON, NAMES)
        state = lineup.state()
        week = blocks(0.01)
        all_names = {"champion": "champion", "adagrad": "champion", "hazard": "hazard"}
        full = msgspec.structs.replace(
            week,
            loss_micro={name: week.loss_micro[like] for name, like in all_names.items()},
            top={name: week.top[like] for name, like in all_names.items()},
            expected_micro={name: week.expected_micro[like] for name, like in all_names.items()},
        )
        lineup.load(msgspec.structs.replace(state, blocks=[full] * 4, streaks=state.streaks | {"hazard": 1}))
        monkeypatch.setattr(Weeks, "mature", lambda _self, _at_ms, newest=full: [(_week(), newest)])
        assert [promotion.to for promotion in lineup.settle(400 * DAY_MS)] == expected
        assert lineup.leader == (expected or ["champion"])[0]
        assert [(one.challenger, one.verdict) for one in lineup.decisions] == [
            ("adagrad", "keep"), ("hazard", "promote"),
        ]  # fmt: skip
        lineup.settle(407 * DAY_MS)
        assert lineup.decisions[-1].leader == lineup.leader
        lineup.note_promotion("champion-3-01234567")
        assert lineup.leader == "champion"
        lineup.note_promotion("nobody")
        assert lineup.leader == "champion"


def _week() -> MatureWeek:
    figures = Figures(log_loss=0.1, average_precision=0.1, recall=0.1, expected_over_observed=1.0)
    return MatureWeek(week_ms=0, examples=6400, positives=128, figures={SERVED: figures})


def test_a_lineup_is_restored_with_its_own_challengers_only() -> None:
    trainer = Trainer(SOON, NAMES, TABLE, LINEUP)
    state = trainer.state()
    assert state.lineup is not None
    fewer = msgspec.structs.replace(state.lineup, lines={})
    with pytest.raises(TrainerError, match="challengers are not those"):
        Trainer.from_state(msgspec.structs.replace(state, lineup=fewer))
    with pytest.raises(TrainerError, match="one name"):
        Trainer(SOON, NAMES, TABLE, LineupSettings(challengers=("hazard", "hazard")))


def test_a_challenger_that_is_no_longer_finite_is_withheld_and_the_others_go_on() -> None:
    trainer = Trainer(SOON, NAMES, TABLE, LINEUP)
    run(trainer, stream(200))
    hazard = lineup_of(trainer).challengers["hazard"]
    hazard.model.load(msgspec.structs.replace(hazard.model.state(), intercept=float("nan")))
    versions = trainer.advance(90 * DAY_MS)
    assert {version.name for version in versions} == {"champion", "adagrad"}
    assert hazard.withheld > 0


def test_history_has_a_bound() -> None:
    lineup = Lineup(LINEUP, SOON, NAMES)
    lineup.history = [_week()] * (HISTORY_MAX + 9)
    lineup.settle(DAY_MS)
    assert len(lineup.history) == HISTORY_MAX


def closing(day: int, chance: float, label: bool) -> LabelledExample:
    closed_ms = day * DAY_MS
    times = {"snapshot_at_ms": closed_ms - HORIZON_MS, "closed_at_ms": closed_ms, "knowable_at_ms": closed_ms}
    return example(day, **times, probability=chance, label=label)


def watched(days: list[bool], kill_at: int | None = None) -> list[str]:
    guards, said = Guards(), []
    for day, is_bad in enumerate(days, 40):
        if day == kill_at:
            state = msgspec.json.decode(msgspec.json.encode(guards.state()), type=type(guards.state()))
            guards = Guards()
            guards.load(state)
        for number in range(40):
            guards.take(closing(day, 0.05, label=number < (12 if is_bad else 1 + day % 3)))
        said += [f"{notice.kind}@{notice.at_ms // DAY_MS}" for notice in guards.watch((day + 1) * DAY_MS, [])]
    return said


def test_a_rise_of_the_served_loss_is_noticed_and_one_bad_day_is_not() -> None:
    calm = [False] * 60
    assert watched(calm) == []
    assert watched([*calm, True, *calm]) == []
    drifting = [*calm, *[True] * 12]
    (notice,) = watched(drifting)[:1]
    assert notice.startswith("drift@")
    for kill_at in (41, 80, 101, 103):
        assert watched(drifting, kill_at) == watched(drifting)


def noticed(leavers: list[int], shuffling: Random | None = None) -> tuple[Guards, list[OperatorNotice]]:
    """Return what is said of days of two hundred examples each, of which so many left."""
    guards, notices = Guards(), []
    for day, count in enumerate(leavers, 40):
        arriving = [closing(day, 0.02, label=number < count) for number in range(200)]
        if shuffling is not None:
            shuffling.shuffle(arriving)
        for one in arriving:
            guards.take(one)
        notices += guards.watch((day + 1) * DAY_MS, [])
    return guards, notices


@pytest.mark.slow
def test_a_slow_rise_is_noticed_by_the_adaptive_window_however_a_day_arrives() -> None:
    draw = Random(3).random
    leavers = [sum(draw() < 0.02 + max(0, day - 80) * 0.0002 for _ in range(200)) for day in range(180)]
    _, notices = noticed(leavers)
    assert notices == noticed(leavers, Random(4))[1]
    slow = [notice for notice in notices if "days" in notice.figures]
    assert slow
    assert re.fullmatch(r".* higher for \d+ days: 0\.\d+, 0\.\d+ on the \d+ days before", slow[0].what)
    assert slow[0].figures["log_loss"] > slow[0].figures["log_loss_before"]
    assert slow[0].at_ms > (40 + 80) * DAY_MS
    assert {notice.kind for notice in notices} == {"drift"}


def test_a_fall_of_the_served_loss_is_no_notice_and_what_was_before_is_forgotten() -> None:
    guards, notices = noticed([10] * 60 + [4] * 60)
    assert notices == []
    assert len(guards.state().window.days) < 70


def test_a_late_or_provisional_example_moves_no_guard() -> None:
    guards = Guards()
    guards.watch(100 * DAY_MS, [])
    before = guards.state()
    guards.take(closing(50, 0.5, label=True))
    guards.take(msgspec.structs.replace(closing(150, 0.5, label=True), provisional=True))
    assert guards.state() == before


@pytest.mark.parametrize(("ratio", "positives", "notices"), [(1.3, 40, 1), (0.7, 40, 1), (1.1, 40, 0), (1.3, 20, 0)])
def test_a_week_whose_served_probabilities_were_off_is_noticed(ratio: float, positives: int, notices: int) -> None:
    week = _week()
    figures = {SERVED: msgspec.structs.replace(week.figures[SERVED], expected_over_observed=ratio)}
    found = Guards().watch(9 * DAY_MS, [msgspec.structs.replace(week, positives=positives, figures=figures)])
    assert [notice.kind for notice in found] == ["calibration"] * notices


def test_after_an_alarm_the_sum_begins_anew() -> None:
    rise = RiseTest()
    alarms = [rise.add(1.0 + (n % 2) / 10 + (n >= 30)) for n in range(200)]
    assert sum(alarms) == 1

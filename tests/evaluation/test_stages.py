"""Alerts by the stage at which they fired: each kind is judged by what it can be right about."""

from streams.core.contracts.effects import Stage
from streams.core.times import DAY_MS
from streams.evaluation.stages import StageFigures, stage_figures
from streams.store.run.batch import AlertRow, PredictionRow
from tests.evaluation.test_judging import END_DAY, HORIZON_DAYS, fired, prediction


def figures(
    alerts: list[AlertRow],
    stages: dict[str, Stage],
    left: dict[str, float] | None,
    used: dict[str, float] | None = None,
    settled: list[PredictionRow] | None = None,
) -> dict[str, StageFigures]:
    found = stage_figures(
        alerts,
        settled or [],
        stages,
        stream_ms=END_DAY * DAY_MS,
        horizon_ms=HORIZON_DAYS * DAY_MS,
        left_at=None if left is None else {who: int(day * DAY_MS) for who, day in left.items()},
        last_use={who: int(day * DAY_MS) for who, day in (used or {}).items()},
    )
    return {one.stage: one for one in found}


def test_an_early_warning_is_held_against_the_last_use_and_not_against_the_leaving() -> None:
    alerts = [fired(100, "s_1", "a_1"), fired(100, "s_2", "a_2"), fired(100, "s_3", "a_3"), fired(180, "s_4", "a_4")]
    early = figures(alerts, {}, {"s_1": 120, "s_2": 120}, {"s_1": 110, "s_2": 95})["at_risk"]
    assert (early.fired, early.right, early.wrong, early.gone, early.open) == (4, 1, 1, 1, 1)
    assert early.precision == 1 / 3
    assert (early.lead_days_median, early.lead_share_7_days) == (10.0, 1.0)
    assert (early.leavers, early.warned) == (1, 1)


def test_where_nobody_knows_the_last_use_the_leaving_counts() -> None:
    early = figures([fired(100)], {}, {"s_1": 120})["at_risk"]
    assert (early.right, early.lead_days_median) == (1, 20.0)


def test_requests_stand_apart_and_their_leavers_are_none_that_could_be_warned_of() -> None:
    alerts = [fired(90, "s_1", "a_1"), fired(100, "s_1", "a_2"), fired(100, "s_2", "a_3"), fired(100, "s_3", "a_4")]
    stages: dict[str, Stage] = {"a_2": "requested", "a_3": "requested"}
    found = figures(alerts, stages, {"s_1": 110, "s_3": 112, "s_4": 115})
    asked, early = found["requested"], found["at_risk"]
    assert (asked.fired, asked.right, asked.wrong, asked.precision) == (2, 1, 1, 0.5)
    assert (asked.leavers, asked.lead_days_median) == (None, 10.0)
    assert (early.fired, early.right, early.leavers, early.warned) == (2, 2, 2, 1)


def test_a_lapsed_alert_is_right_if_nobody_returned() -> None:
    alerts = [fired(100, f"s_{number}", f"a_{number}") for number in range(4)]
    stages: dict[str, Stage] = {f"a_{number}": "lapsed" for number in range(4)}
    lapsed = figures(alerts, stages, {"s_0": 125, "s_1": 125}, {"s_0": 90, "s_1": 120})["lapsed"]
    assert (lapsed.fired, lapsed.right, lapsed.wrong, lapsed.gone) == (4, 1, 3, 0)
    assert lapsed.precision == 0.25
    silent = [prediction(95, label=True, subscriber="s_0", kind="inactivity")]
    by_label = figures(alerts, stages, None, None, silent)["lapsed"]
    assert (by_label.right, by_label.wrong) == (1, 3)


def test_nothing_that_fired_has_no_figures() -> None:
    assert figures([fired(None)], {}, {}) == {}
    assert figures([fired(100)], {}, {})["lapsed"].precision is None

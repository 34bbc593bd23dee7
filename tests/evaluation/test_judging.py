"""Looking back at a run: what counts, in which week, and what an alert led to."""

from pathlib import Path

import msgspec
import pytest

from streams.core.contracts.effects import AlertChanged, LabelKind
from streams.core.times import DAY_MS, WEEK_MS
from streams.evaluation.judging import (
    AlertOutcome,
    Evaluation,
    StandingAlertCoverage,
    evaluate,
    read_truth,
)
from streams.shared.errors import InputError
from streams.store.run.batch import AlertRow, PredictionRow

HORIZON_DAYS = 30
END_DAY = 200

ALERT = AlertChanged(
    alert_id="a_1", transition_id="t_1", subscriber_id="s_1", kind="natural", episode=1, state="firing", change="fired",
    why="", at_ms=0, opened_at_ms=0, probability=0.5, logit=0.0, intercept=0.0, threshold=0.2, band="critical",
    value_band="low", value_at_risk_minor=0, currency="EUR", reasons=(), action="call", due_at_ms=0,
    model_version="champion-1", feature_table="f", policy_version="p", schema_version="v", offsets={},
    account_manager_id=None, group_id=None, area_id=None,
)  # fmt: skip


def prediction(
    day: float, label: bool, *, subscriber: str = "s_1", kind: LabelKind = "stayed", known_day: float | None = None,
    model: str = "champion-1", probability: float = 0.5,
) -> PredictionRow:  # fmt: skip
    closed_day = day + HORIZON_DAYS
    return PredictionRow(
        example_id=f"{subscriber}:{day}",
        subscriber_id=subscriber,
        snapshot_at_ms=int(day * DAY_MS),
        probability=probability,
        label=label,
        kind=kind,
        model_version=model,
        knowable_at_ms=int((closed_day if known_day is None else known_day) * DAY_MS),
        closed_at_ms=int(closed_day * DAY_MS),
    )


def fired(day: float | None, subscriber: str = "s_1", alert_id: str = "a_1") -> AlertRow:
    changed = msgspec.structs.replace(ALERT, alert_id=alert_id, subscriber_id=subscriber)
    return AlertRow(latest=changed, fired_at_ms=None if day is None else int(day * DAY_MS), changes=1)


def judged(
    predictions: list[PredictionRow], alerts: list[AlertRow], left_day: dict[str, float] | None = None
) -> Evaluation:
    left_at = None if left_day is None else {name: int(day * DAY_MS) for name, day in left_day.items()}
    return evaluate(predictions, alerts, stream_ms=END_DAY * DAY_MS, horizon_ms=HORIZON_DAYS * DAY_MS, left_at=left_at)


def test_a_leaver_who_is_known_before_the_horizon_closed_does_not_count_yet() -> None:
    found = judged([prediction(100, label=False), prediction(180, label=True, kind="port_out", known_day=185)], [])
    assert (found.closed, found.waiting) == (1, 1)
    assert found.overall is not None
    assert found.overall.positives == 0


def test_nothing_closed_gives_no_scores_instead_of_an_error() -> None:
    found = judged([], [])
    assert (found.overall, found.learned, found.weeks) == (None, None, ())
    assert found.warnings.lead_days_median is None


def test_a_prediction_counts_in_the_week_of_its_snapshot() -> None:
    found = judged(
        [prediction(7 * 10, label=True), prediction(7 * 10 + 6.9, label=False), prediction(7 * 11, label=False)], []
    )
    assert [(week.start_ms // WEEK_MS, week.scores.examples) for week in found.weeks] == [(10, 2), (11, 1)]
    assert found.weeks[0].scores.positives == 1


def test_what_the_scorecard_served_is_kept_apart_from_what_was_learned() -> None:
    found = judged([prediction(10, label=False, model="scorecard-1"), prediction(20, label=True)], [])
    assert found.overall is not None
    assert found.learned is not None
    assert (found.overall.examples, found.learned.examples) == (2, 1)


@pytest.mark.parametrize(
    ("left_day", "verdict", "lead_days"),
    [
        (110, "left", 10.0),
        (130, "left", 30.0),
        (131, "stayed", None),
        (100, "too_late", 0.0),
        (90, "too_late", -10.0),
        (None, "stayed", None),
        (END_DAY + 1, "stayed", None),
    ],
)
def test_an_alert_is_right_when_its_subscriber_leaves_after_it_and_within_the_horizon(
    left_day: float | None, verdict: str, lead_days: float | None
) -> None:
    found = judged([], [fired(100)], {} if left_day is None else {"s_1": left_day})
    (outcome,) = found.warnings.alerts
    assert (outcome.verdict, outcome.lead_days) == (verdict, lead_days)
    assert found.warnings.verdicts[verdict] == 1
    assert found.warnings.known_from == "truth"


def test_an_alert_whose_horizon_is_still_open_is_not_judged() -> None:
    assert judged([], [fired(END_DAY - 10)], {}).warnings.verdicts["open"] == 1


def test_an_alert_that_never_fired_warned_nobody() -> None:
    assert judged([], [fired(None)], {"s_1": 110}).warnings.fired == 0


def test_a_leaver_with_two_alerts_is_warned_once_with_the_lead_of_the_first() -> None:
    alerts = [fired(105, alert_id="a_2"), fired(100, alert_id="a_1"), fired(100, "s_2", "a_3")]
    warnings = judged([], alerts, {"s_1": 110, "s_3": 150, "s_4": 50}).warnings
    assert (warnings.fired, warnings.warned, warnings.leavers) == (3, 1, 2)
    assert (warnings.lead_days_median, warnings.lead_share_7_days) == (10.0, 1.0)


@pytest.mark.parametrize(
    ("resolved_day", "leads"), [(None, [50.0]), (121, [50.0]), (120, [50.0]), (119, []), (150, [50.0])]
)
def test_an_alert_older_than_the_horizon_warns_of_a_leaver_if_it_still_stood_within_it(
    resolved_day: float | None, leads: list[float]
) -> None:
    row = fired(100)
    if resolved_day is not None:
        ended = msgspec.structs.replace(row.latest, state="resolved", at_ms=int(resolved_day * DAY_MS))
        row = msgspec.structs.replace(row, latest=ended)
    warnings = judged([], [row], {"s_1": 150}).warnings
    assert warnings.warned == 0
    assert warnings.stood == StandingAlertCoverage(len(leads), *([50.0, 1.0] if leads else [None, None]))


def test_who_left_before_an_alert_or_is_yet_to_leave_had_none_that_stood() -> None:
    alerts = [fired(100), fired(190, "s_2", "a_2"), fired(90, "s_3", "a_3"), fired(107, "s_3", "a_4")]
    stood = judged([], alerts, {"s_1": 99, "s_2": END_DAY + 1, "s_3": 110}).warnings.stood
    assert stood == StandingAlertCoverage(1, 20.0, 1.0)


def test_without_a_truth_explicit_leaving_is_known_from_the_labels() -> None:
    predictions = [prediction(98, label=True, kind="termination", known_day=112)]
    warnings = judged(predictions, [fired(100)]).warnings
    assert warnings.known_from == "labels"
    assert warnings.alerts == (AlertOutcome("a_1", "s_1", 100 * DAY_MS, "left", 112 * DAY_MS, 12.0),)


@pytest.mark.parametrize(
    ("snapshots", "verdict"),
    [
        ({98: True, 105: False}, "left"),
        ({98: False, 105: True}, "stayed"),
        ({105: True}, "left"),
        ({}, "stayed"),
    ],
    ids=["the one before says left", "the one before says stayed", "only one after", "none"],
)
def test_without_a_truth_silent_leaving_is_what_the_nearest_snapshot_was_labelled(
    snapshots: dict[int, bool], verdict: str
) -> None:
    predictions = [prediction(day, label, kind="inactivity" if label else "stayed") for day, label in snapshots.items()]
    (outcome,) = judged(predictions, [fired(100)]).warnings.alerts
    assert (outcome.verdict, outcome.lead_days) == (verdict, None)


def test_a_truth_file_gives_who_left_of_their_own_will(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text(
        '{"subscriber_id":"s_1","left_at":"1970-01-03T00:00:00Z","voluntary":true,"why":["drops"]}\n'
        '{"subscriber_id":"s_2","left_at":"1970-01-03T00:00:00Z","voluntary":false}\n'
        '{"subscriber_id":"s_3","left_at":null}\n',
        "utf-8",
    )
    assert read_truth(path).left_at == {"s_1": 2 * DAY_MS}
    assert read_truth(path).last_use == {}
    used = path.read_text("utf-8").replace('"voluntary"', '"last_use_at":"1970-01-02T00:00:00Z","voluntary"')
    path.write_text(used, "utf-8")
    assert read_truth(path).last_use == {"s_1": DAY_MS}


def test_a_truth_file_that_is_none_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text('{"subscriber_id":"s_1"}\nnothing\n', "utf-8")
    with pytest.raises(InputError, match="line 2 is no line of a truth file"):
        read_truth(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_truth(tmp_path / "none.jsonl")

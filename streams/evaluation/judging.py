"""Looking back at a run: how good the served probabilities were week by week, and what each alert led to.

A prediction counts once its horizon has closed, whatever its label: leaving is known earlier than staying, and a
week of which only the leavers are known would flatter or blame everybody.  It counts in the week of its snapshot.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

from streams.core.alerts.policy import policy_from
from streams.core.contracts.decode import epoch_ms
from streams.core.times import DAY_MS, WEEK_MS
from streams.evaluation import metrics as evaluation
from streams.evaluation.metrics import Interval, Scores
from streams.shared.errors import InputError
from streams.store.database import RunStore
from streams.store.run.batch import AlertRow, Checkpoint, PredictionRow

SCORECARD: Final = "scorecard"
"""How the version of the cold-start scorecard begins."""

EXPLICIT: Final = frozenset({"port_out", "termination"})

AlertVerdict = Literal["left", "too_late", "stayed", "open"]
VERDICTS: Final[tuple[AlertVerdict, ...]] = get_args(AlertVerdict)


class Intervals(Struct, frozen=True):
    """The main figures of a set, each with its interval; `recall_at_5` is the recall in the riskiest 5 %."""

    auc: Interval
    average_precision: Interval
    recall_at_5: Interval
    brier: Interval
    log_loss: Interval
    ece: Interval


class WeekScores(Struct, frozen=True):
    """The scores of the snapshots of one week, which begins on a Thursday as 1970 did (ms since 1970 UTC).

    `intervals` are a report's; judging alone makes none.
    """

    start_ms: int
    scores: Scores
    intervals: Intervals | None = None


class AlertOutcome(Struct, frozen=True):
    """What followed an alert within the horizon after it fired.

    `left`: the subscriber left, `lead_days` later (None where silence is all that shows it); `too_late`: had left
    before; `stayed`; `open`: not known yet.
    """

    alert_id: str
    subscriber_id: str
    fired_at_ms: int
    verdict: AlertVerdict
    left_at_ms: int | None
    lead_days: float | None


class StandingAlertCoverage(Struct, frozen=True):
    """Leavers of whom an alert stood within the horizon before, whenever it had fired; leads are from its firing."""

    warned: int
    lead_days_median: float | None
    lead_share_7_days: float | None


class Warnings(Struct, frozen=True):
    """How the alerts did: those that fired, by what followed, and how many leavers were warned of in time.

    `leavers` are those who left after the first alert fired, `warned` those of them with an alert that fired at
    most a horizon before; the lead is from the first such alert.  `stood` takes in the alerts that had fired earlier
    and were not resolved by then.  `known_from` says who told: the labels that the run settled, or a truth file.
    """

    known_from: Literal["labels", "truth"]
    fired: int
    verdicts: dict[str, int]
    leavers: int
    warned: int
    lead_days_median: float | None
    lead_days_p10: float | None
    lead_share_7_days: float | None
    stood: StandingAlertCoverage
    alerts: tuple[AlertOutcome, ...]


class Evaluation(Struct, frozen=True):
    """The scores of all closed predictions, of those that a learned version served, week by week; and the alerts."""

    closed: int
    waiting: int
    overall: Scores | None
    learned: Scores | None
    weeks: tuple[WeekScores, ...]
    warnings: Warnings


class _TruthLine(Struct, frozen=True):
    """The fields of a truth file's line that are needed here; it may have more."""

    subscriber_id: str
    left_at: datetime | None = None
    voluntary: bool | None = None
    last_use_at: datetime | None = None


class LeaverTimes(Struct, frozen=True):
    """When each subscriber left who left of their own will, and used the line last, where that is known (ms)."""

    left_at: dict[str, int]
    last_use: dict[str, int]


def read_truth(path: Path) -> LeaverTimes:
    """Return what a simulation's truth file says of those who left of their own will.

    Raises:
        InputError: the file cannot be read, or a line of it is not a line of a truth file.
    """
    decode = msgspec.json.Decoder(_TruthLine).decode
    found = LeaverTimes({}, {})
    number = 0
    try:
        with path.open("rb") as file:
            for line in file:
                number += 1
                truth = decode(line)
                if truth.left_at is None or truth.voluntary is False:
                    continue
                found.left_at[truth.subscriber_id] = epoch_ms(truth.left_at)
                if truth.last_use_at is not None:
                    found.last_use[truth.subscriber_id] = epoch_ms(truth.last_use_at)
    except OSError as error:
        raise InputError(f"the truth file {path} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, TypeError) as error:
        raise InputError(f"{path} line {number} is no line of a truth file: {error}") from None
    return found


def judge(store: RunStore, checkpoint: Checkpoint, truth: Path | None) -> Evaluation:
    """Judge the run in a store as its checkpoint left it; raises `InputError` for a truth file that is none."""
    policy = policy_from(checkpoint.run.policy)
    return evaluate(
        store.predictions(),
        store.alerts(),
        stream_ms=checkpoint.stream_ms,
        horizon_ms=policy.label.horizon_days * DAY_MS,
        patience_ms=policy.longest_wait_ms,
        left_at=None if truth is None else read_truth(truth).left_at,
    )


def evaluate(
    predictions: Iterable[PredictionRow],
    alerts: Iterable[AlertRow],
    *,
    stream_ms: int,
    horizon_ms: int,
    left_at: Mapping[str, int] | None,
    patience_ms: int = 0,
) -> Evaluation:
    """Judge a run as it stands at `stream_ms`; `left_at` is the truth where it is known (see `read_truth`).

    Who stayed is settled up to `patience_ms` after the horizon has closed, and until then only leavers would be judged.
    """
    settled = list(predictions)
    closed = [p for p in settled if p.closed_at_ms + patience_ms <= stream_ms]
    by_time = sorted(closed, key=lambda p: p.snapshot_at_ms)
    weeks = tuple(
        WeekScores(number * WEEK_MS, _scores(list(group)))
        for number, group in groupby(by_time, key=lambda p: p.snapshot_at_ms // WEEK_MS)
    )
    learned = [p for p in closed if not p.model_version.startswith(SCORECARD)]
    fired = fired_first(alerts)
    return Evaluation(
        closed=len(closed),
        waiting=len(settled) - len(closed),
        overall=_scores(closed) if closed else None,
        learned=_scores(learned) if learned else None,
        weeks=weeks,
        warnings=_warnings(fired, settled, stream_ms, horizon_ms, left_at),
    )


def fired_first(alerts: Iterable[AlertRow]) -> list[AlertRow]:
    """Return the alerts that have fired, in the order in which they did."""
    fired = (row for row in alerts if row.fired_at_ms is not None)
    return sorted(fired, key=lambda row: (row.fired_at_ms, row.latest.alert_id))


def alert_outcomes(
    fired: Sequence[AlertRow],
    settled: Sequence[PredictionRow],
    stream_ms: int,
    horizon_ms: int,
    truth: Mapping[str, int] | None,
) -> tuple[AlertOutcome, ...]:
    """Return what followed each alert, by the truth or, where there is none, by the labels that the run settled."""
    left_at = explicit_leavers(settled) if truth is None else truth
    labels = _labels(settled) if truth is None else {}
    return tuple(_outcome(row, left_at, labels, stream_ms, horizon_ms) for row in fired)


def verdict_counts(outcomes: Iterable[AlertOutcome]) -> dict[str, int]:
    """Return how many alerts have each verdict, those that none has included."""
    found = Counter(outcome.verdict for outcome in outcomes)
    return {name: found[name] for name in VERDICTS}


def first_leads(outcomes: Iterable[AlertOutcome]) -> list[float]:
    """Return the lead (days) of each subscriber's first right alert, the shortest first, of alerts as they fired."""
    leads: dict[str, float] = {}
    for outcome in outcomes:
        if outcome.lead_days is not None and outcome.verdict == "left":
            leads.setdefault(outcome.subscriber_id, outcome.lead_days)
    return sorted(leads.values())


def _scores(predictions: Sequence[PredictionRow]) -> Scores:
    return evaluation.summary([evaluation.Prediction(p.probability, p.label, p.subscriber_id) for p in predictions])


def _warnings(
    fired: Sequence[AlertRow],
    settled: Sequence[PredictionRow],
    stream_ms: int,
    horizon_ms: int,
    truth: Mapping[str, int] | None,
) -> Warnings:
    left_at = explicit_leavers(settled) if truth is None else truth
    outcomes = alert_outcomes(fired, settled, stream_ms, horizon_ms, truth)
    first_ms = outcomes[0].fired_at_ms if outcomes else stream_ms
    leavers = {subscriber_id for subscriber_id, at_ms in left_at.items() if first_ms < at_ms <= stream_ms}
    days = first_leads(outcomes)
    return Warnings(
        known_from="labels" if truth is None else "truth",
        fired=len(outcomes),
        verdicts=verdict_counts(outcomes),
        leavers=len(leavers),
        warned=len(days),
        lead_days_median=rank(days, 0.5),
        lead_days_p10=rank(days, 0.1),
        lead_share_7_days=share_from(days, 7.0),
        stood=_standing_coverage(fired, left_at, stream_ms, horizon_ms),
        alerts=outcomes,
    )


def _standing_coverage(
    fired: Sequence[AlertRow], left_at: Mapping[str, int], stream_ms: int, horizon_ms: int
) -> StandingAlertCoverage:
    leads: dict[str, float] = {}
    for row in fired:
        alert, fired_ms = row.latest, row.fired_at_ms or 0
        left_ms = left_at.get(alert.subscriber_id)
        if left_ms is None or not fired_ms < left_ms <= stream_ms:
            continue
        if alert.state != "resolved" or alert.at_ms >= left_ms - horizon_ms:
            leads.setdefault(alert.subscriber_id, (left_ms - fired_ms) / DAY_MS)
    days = sorted(leads.values())
    return StandingAlertCoverage(len(days), rank(days, 0.5), share_from(days, 7.0))


def explicit_leavers(settled: Iterable[PredictionRow]) -> dict[str, int]:
    """Return when each subscriber left who left by an order, by the labels that the run settled."""
    return {p.subscriber_id: p.knowable_at_ms for p in settled if p.label and p.kind in EXPLICIT}


def _labels(settled: Iterable[PredictionRow]) -> dict[str, list[tuple[int, bool]]]:
    """Return each subscriber's (snapshot, label) in the order of time."""
    found: dict[str, list[tuple[int, bool]]] = {}
    for p in sorted(settled, key=lambda p: p.snapshot_at_ms):
        found.setdefault(p.subscriber_id, []).append((p.snapshot_at_ms, p.label))
    return found


def _outcome(
    row: AlertRow,
    left_at: Mapping[str, int],
    labels: Mapping[str, Sequence[tuple[int, bool]]],
    stream_ms: int,
    horizon_ms: int,
) -> AlertOutcome:
    fired_ms, alert = row.fired_at_ms or 0, row.latest
    left_ms = left_at.get(alert.subscriber_id)
    if left_ms is not None and left_ms > stream_ms:
        left_ms = None  # Nobody can know it yet.
    lead_days = None if left_ms is None else (left_ms - fired_ms) / DAY_MS
    verdict: AlertVerdict
    if left_ms is not None and left_ms <= fired_ms:
        verdict = "too_late"
    elif left_ms is not None and left_ms <= fired_ms + horizon_ms:
        verdict = "left"
    else:
        verdict, lead_days = _by_label(labels.get(alert.subscriber_id, ()), fired_ms, stream_ms, horizon_ms), None
    return AlertOutcome(alert.alert_id, alert.subscriber_id, fired_ms, verdict, left_ms, lead_days)


def _by_label(snapshots: Sequence[tuple[int, bool]], fired_ms: int, stream_ms: int, horizon_ms: int) -> AlertVerdict:
    """Return what the label of the snapshot nearest before the alert says, or the first after; a silent leaver's."""
    if snapshots:
        place = max(bisect_right(snapshots, (fired_ms, True)) - 1, 0)
        if snapshots[place][1]:
            return "left"
    return "stayed" if fired_ms + horizon_ms <= stream_ms else "open"


def share_from(values: Sequence[float], least: float) -> float | None:
    """Return which share of the values is at least so much; None of nothing."""
    return sum(value >= least for value in values) / len(values) if values else None


def rank(ordered: Sequence[float], share: float) -> float | None:
    """Return the value at or below which `share` of the sorted values lie, by the nearest rank; None of nothing."""
    return ordered[round(share * (len(ordered) - 1))] if ordered else None

"""The report on a run: figures with intervals, profit, lead time, load, kinds of leaving, treatment and the ceiling.

It adds to `judging`, which says what counts and in which week.  What cannot be known from what is there is None, or
says in words why.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final, Literal

import numpy as np
from msgspec import Struct

from streams.core.contracts.effects import LabelKind, Treatment
from streams.core.scoring.models import ModelVersion
from streams.core.times import DAY_MS, WEEK_MS
from streams.evaluation import metrics as evaluation
from streams.evaluation.intervals import SEED, SHARE, intervals, percentiles
from streams.evaluation.judging import AlertOutcome, Evaluation, Intervals, Warnings, WeekScores
from streams.evaluation.leads import AlertLoad, LeadTimes, leads_of, load_of
from streams.evaluation.metrics import Bin, Interval, Scores, resamples
from streams.evaluation.profit import Campaign, Profit, expected_maximum_profit
from streams.evaluation.stages import StageFigures
from streams.store.run.batch import PredictionRow

ALERTS_MIN: Final = 50
"""Of each of the two groups, before their leave rates are compared."""
LEAVERS_MIN: Final = 10
"""In both groups together, as above."""
GAIN_SHARES: Final = (0.0, 0.01, 0.02, 0.05, *(number / 10 for number in range(1, 11)))
WEIGHTS_SHOWN: Final = 8

SpanName = Literal["week", "steady", "shock", "recovery"]


class Span(Struct, frozen=True):
    """The scores of the snapshots from a time on, before another (ms since 1970 UTC), with their intervals."""

    name: SpanName
    from_ms: int
    until_ms: int
    scores: Scores
    intervals: Intervals | None


class LeavingKind(Struct, frozen=True):
    """One kind of leaving: snapshots that were followed by it, and the share of them in the riskiest 5 % of all."""

    kind: LabelKind
    examples: int
    subscribers: int
    recall_at_5: float | None


class TreatmentGroup(Struct, frozen=True):
    """The snapshots by the most that was done about the subscriber until the outcome was known."""

    treatment: Treatment
    examples: int
    leavers: int
    rate: float


class Uplift(Struct, frozen=True):
    """Leave rates after the first alert: of those held out less of the others.

    `difference` is None where there are too few to tell; `unknown` then says so in words.
    """

    held_out: int
    held_out_leavers: int
    others: int
    others_leavers: int
    difference: Interval | None
    unknown: str | None


class Ceiling(Struct, frozen=True):
    """The served probabilities beside the true ones of the same snapshots, and which share of the best was reached.

    The share of AUC is that of what lies above chance, a half.
    """

    examples: int
    served: Scores
    best: Scores
    share_auc: float | None
    share_average_precision: float | None
    share_recall_at_5: float | None


class WeightHistory(Struct, frozen=True):
    """The heaviest features of a line of models over its versions, by their dates; each weighs a standardised value."""

    line: str
    published_at_ms: tuple[int, ...]
    features: dict[str, tuple[float, ...]]


class Rival(Struct, frozen=True, kw_only=True):
    """Another learner on the same snapshots, with its differences to the champion; `missing` says why it has no scores.

    Where `ranks_only`, it gives an order and no probability.
    """

    name: str
    what: str
    group: str
    ranks_only: bool
    scores: Scores | None
    average_precision: Interval | None
    recall_at_5: Interval | None
    missing: str | None


class EvaluationReport(Struct, frozen=True, kw_only=True):
    """Everything that is known of how good a run was; `warnings` and what rests on alerts needs a database."""

    closed: int
    waiting: int
    end_ms: int
    horizon_days: int
    overall: Scores | None
    learned: Scores | None
    intervals: Intervals | None
    weeks: tuple[WeekScores, ...]
    segments: tuple[Span, ...]
    reliability: tuple[Bin, ...]
    gain: tuple[tuple[float, float], ...]
    campaign: Campaign
    profit: Profit | None
    leaving: tuple[LeavingKind, ...]
    treatments: tuple[TreatmentGroup, ...]
    warnings: Warnings | None = None
    leads: LeadTimes | None = None
    load: AlertLoad | None = None
    uplift: Uplift | None = None
    stages: tuple[StageFigures, ...] = ()
    ceiling: Ceiling | None = None
    weights: WeightHistory | None = None
    rivals: tuple[Rival, ...] | None = None


class ReportOptions(Struct, frozen=True, kw_only=True):
    """What a report is asked to hold: resamples, the campaign, when a shock began and how long it lasts, the budget."""

    resamples: int = 200
    campaign: Campaign = Campaign()
    shock_ms: int | None = None
    shock_days: int = 30
    budget: float | None = None


def report_of(
    found: Evaluation,
    predictions: Sequence[PredictionRow],
    asked: ReportOptions,
    *,
    end_ms: int,
    horizon_days: int,
    patience_ms: int = 0,
    held_out: Mapping[str, bool] | None = None,
    stages: tuple[StageFigures, ...] = (),
    ceiling: Mapping[tuple[str, int], float] | None = None,
    versions: Sequence[ModelVersion] = (),
) -> EvaluationReport:
    """Return the report on an evaluation and its predictions, as they stand at `end_ms` (ms since 1970 UTC).

    `patience_ms` is that with which the evaluation was made.
    `held_out` says of each alert whether its subscriber was left alone on purpose; None means that there are no alerts.
    """
    closed = sorted(
        (p for p in predictions if p.closed_at_ms + patience_ms <= end_ms),
        key=lambda p: (p.snapshot_at_ms, p.example_id),
    )
    whole, weeks, segments = _spans(closed, asked, end_ms)
    alerts = found.warnings.alerts if held_out is not None else None
    probabilities, labels = [p.probability for p in closed], [p.label for p in closed]
    return EvaluationReport(
        closed=found.closed,
        waiting=found.waiting,
        end_ms=end_ms,
        horizon_days=horizon_days,
        overall=found.overall,
        learned=found.learned,
        intervals=whole,
        weeks=weeks,
        segments=segments,
        reliability=evaluation.reliability(probabilities, labels),
        gain=_gain(probabilities, labels),
        campaign=asked.campaign,
        profit=expected_maximum_profit(probabilities, labels, asked.campaign),
        leaving=_leaving_kinds(closed),
        treatments=_treatments(closed),
        warnings=None if alerts is None else found.warnings,
        leads=None if alerts is None else leads_of(alerts, horizon_days),
        load=None if held_out is None else load_of(_visible(found.warnings.alerts, held_out), end_ms, asked.budget),
        uplift=None if held_out is None else _uplift(found.warnings.alerts, held_out, asked.resamples),
        stages=stages,
        ceiling=None if ceiling is None else _ceiling(closed, ceiling),
        weights=_weights(versions),
    )


def _spans(
    closed: Sequence[PredictionRow], asked: ReportOptions, end_ms: int
) -> tuple[Intervals | None, tuple[WeekScores, ...], tuple[Span, ...]]:
    """Return the intervals of all, the weeks and the segments, all from the same resamples."""
    if not closed:
        return None, (), ()
    spans: list[tuple[SpanName, int, int, list[PredictionRow]]] = []
    for number, group in groupby(closed, key=lambda p: p.snapshot_at_ms // WEEK_MS):
        spans.append(("week", number * WEEK_MS, (number + 1) * WEEK_MS, list(group)))
    count = len(spans)
    if asked.shock_ms is not None:
        over_ms = asked.shock_ms + asked.shock_days * DAY_MS
        begun_ms, last_ms = closed[0].snapshot_at_ms, end_ms + 1
        bounds: tuple[tuple[SpanName, int, int], ...] = (
            ("steady", begun_ms, asked.shock_ms),
            ("shock", asked.shock_ms, over_ms),
            ("recovery", over_ms, last_ms),
        )
        for name, from_ms, until_ms in bounds:
            inside = [p for p in closed if from_ms <= p.snapshot_at_ms < until_ms]
            if inside:
                spans.append((name, from_ms, until_ms, inside))
    rows = [[_row(p) for p in inside] for inside in (closed, *(inside for *_, inside in spans))]
    scored = [(evaluation.summary(one), one) for one in rows]
    whole, *apart = intervals(scored, count=asked.resamples)
    made = tuple(
        Span(name, from_ms, until_ms, scores, around)
        for (name, from_ms, until_ms, _), (scores, _), around in zip(spans, scored[1:], apart, strict=True)
    )
    return whole, tuple(WeekScores(one.from_ms, one.scores, one.intervals) for one in made[:count]), made[count:]


def _row(p: PredictionRow) -> evaluation.Prediction:
    return evaluation.Prediction(p.probability, p.label, p.subscriber_id)


def _gain(probabilities: Sequence[float], labels: Sequence[bool]) -> tuple[tuple[float, float], ...]:
    """Return (share of the riskiest, share of the leavers among them), from nobody to everybody."""
    if not any(labels):
        return ()
    found = [
        (share, evaluation.top_share(probabilities, labels, share).recall or 0.0) for share in GAIN_SHARES if share
    ]
    return ((0.0, 0.0), *found)


def _leaving_kinds(closed: Sequence[PredictionRow]) -> tuple[LeavingKind, ...]:
    found = []
    for kind in sorted({p.kind for p in closed if p.label}):
        # Against all snapshots: who left in another way takes a place in the riskiest 5 % as well.
        own = [p for p in closed if p.label and p.kind == kind]
        top = evaluation.top_share([p.probability for p in closed], [p.label and p.kind == kind for p in closed], SHARE)
        found.append(LeavingKind(kind, len(own), len({p.subscriber_id for p in own}), top.recall))
    return tuple(found)


def _treatments(closed: Sequence[PredictionRow]) -> tuple[TreatmentGroup, ...]:
    found = []
    for treatment in sorted({p.treatment for p in closed}):
        labels = [p.label for p in closed if p.treatment == treatment]
        found.append(TreatmentGroup(treatment, len(labels), sum(labels), sum(labels) / len(labels)))
    return tuple(found)


def _visible(outcomes: Iterable[AlertOutcome], held_out: Mapping[str, bool]) -> list[AlertOutcome]:
    """Return the alerts that people had to act upon: none of those that were held back."""
    return [one for one in outcomes if not held_out[one.alert_id]]


def _uplift(outcomes: Iterable[AlertOutcome], held_out: Mapping[str, bool], count: int) -> Uplift:
    """Compare by each subscriber's first alert, once it is known what followed; who had left before tells nothing."""
    first: dict[str, AlertOutcome] = {}
    for outcome in outcomes:
        first.setdefault(outcome.subscriber_id, outcome)
    known = [one for _, one in sorted(first.items()) if one.verdict in {"left", "stayed"}]
    apart = np.array([held_out[one.alert_id] for one in known], dtype=bool)
    left = np.array([one.verdict == "left" for one in known], dtype=bool)
    held, others = int(apart.sum()), int((~apart).sum())
    held_left, others_left = int((left & apart).sum()), int((left & ~apart).sum())
    unknown = difference = None
    if min(held, others) < ALERTS_MIN or held_left + others_left < LEAVERS_MIN:
        unknown = (
            f"too few to tell; it takes {ALERTS_MIN} alerted subscribers in each group and {LEAVERS_MIN} leavers in all"
        )
    else:
        drawn = (np.array(weights) for weights in resamples([one.subscriber_id for one in known], count, SEED))
        gaps = [_rate(w * apart, left) - _rate(w * ~apart, left) for w in drawn]
        difference = percentiles(held_left / held - others_left / others, np.array(gaps, dtype=np.float64))
    return Uplift(held, held_left, others, others_left, difference, unknown)


def _rate(
    weights: "np.ndarray[tuple[int], np.dtype[np.int64]]", left: "np.ndarray[tuple[int], np.dtype[np.bool]]"
) -> float:
    total = int(weights.sum())
    return float((weights * left).sum()) / total if total else float("nan")


def _ceiling(closed: Sequence[PredictionRow], known: Mapping[tuple[str, int], float]) -> Ceiling | None:
    both = [p for p in closed if (p.subscriber_id, p.snapshot_at_ms) in known]
    if not both:
        return None
    served = evaluation.summary([_row(p) for p in both])
    best = evaluation.summary(
        [evaluation.Prediction(known[p.subscriber_id, p.snapshot_at_ms], p.label, p.subscriber_id) for p in both]
    )
    return Ceiling(
        examples=len(both),
        served=served,
        best=best,
        share_auc=_share(served.auc, best.auc, 0.5),
        share_average_precision=_share(served.average_precision, best.average_precision),
        share_recall_at_5=_share(served.top[1].recall, best.top[1].recall),
    )


def _share(served: float | None, best: float | None, chance: float = 0.0) -> float | None:
    if served is None or best is None or best <= chance:
        return None
    return (served - chance) / (best - chance)


def _weights(versions: Sequence[ModelVersion]) -> WeightHistory | None:
    """Return the weights of the first line's versions, those features first that weighed most at any time."""
    if not versions:
        return None
    line = "champion" if any(v.name == "champion" for v in versions) else versions[0].name
    ordered = sorted((v for v in versions if v.name == line), key=lambda v: (v.published_at_ms, v.version))
    newest = ordered[-1]
    kept = [v for v in ordered if v.features == newest.features]
    courses = {name: tuple(v.weights[place] for v in kept) for place, name in enumerate(newest.features)}
    heaviest = sorted(courses, key=lambda name: (-max(map(abs, courses[name])), name))[:WEIGHTS_SHOWN]
    return WeightHistory(line, tuple(v.published_at_ms for v in kept), {name: courses[name] for name in heaviest})

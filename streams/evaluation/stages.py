"""What followed alerts by the stage at which they fired: early warnings are judged without those who had asked.

A request needs no model, and a silent line warns of nothing.  Each of the three has figures of its own, so that none
flatters another.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from streams.core.contracts.effects import Stage
from streams.evaluation.judging import (
    AlertOutcome,
    alert_outcomes,
    explicit_leavers,
    fired_first,
    first_leads,
    rank,
    share_from,
    verdict_counts,
)
from streams.store.run.batch import AlertRow, PredictionRow


class StageFigures(Struct, frozen=True):
    """The alerts that fired at one stage, by what followed within the horizon, and the lead of those that were right.

    Right is an early warning after which came the last use of the line (where only labels are known: the leaving), a
    request after which came the leaving, and a lapsed alert whose subscriber did not return.  `gone` are early warnings
    that came after the last use.  `leavers` are, for early warnings alone, those who left without a request that was
    told before, `warned` those of them of whom one was right.  `precision` is of those that are known.
    """

    stage: Stage
    fired: int
    right: int
    wrong: int
    gone: int
    open: int
    precision: float | None
    lead_days_median: float | None
    lead_share_7_days: float | None
    leavers: int | None = None
    warned: int | None = None


def stage_figures(
    alerts: Sequence[AlertRow],
    settled: Sequence[PredictionRow],
    stages: Mapping[str, Stage],
    *,
    stream_ms: int,
    horizon_ms: int,
    left_at: Mapping[str, int] | None,
    last_use: Mapping[str, int],
) -> tuple[StageFigures, ...]:
    """Return the figures of each stage as they stand at `stream_ms`; none where no alert has fired.

    `stages` has the stage at which each alert fired; those that are not in it were at risk.  `left_at` is the truth
    where it is known, and `last_use` when those who left used their lines last.
    """
    rows = fired_first(alerts)
    if not rows:
        return ()
    by_leaving = by_use = alert_outcomes(rows, settled, stream_ms, horizon_ms, left_at)
    moments: Mapping[str, int] = explicit_leavers(settled)
    if left_at is not None:
        moments = {who: last_use.get(who, at_ms) for who, at_ms in left_at.items()}
        by_use = alert_outcomes(rows, settled, stream_ms, horizon_ms, moments)
    asked: dict[str, int] = {}
    for one in by_leaving:
        if stages.get(one.alert_id) == "requested":
            asked.setdefault(one.subscriber_id, one.fired_at_ms)
    first_ms = by_use[0].fired_at_ms
    leavers = {
        who for who, at_ms in moments.items() if first_ms < at_ms <= stream_ms and asked.get(who, at_ms) >= at_ms
    }
    return (
        _warnings("requested", [one for one in by_leaving if stages.get(one.alert_id) == "requested"]),
        _warnings("at_risk", [one for one in by_use if stages.get(one.alert_id, "at_risk") == "at_risk"], leavers),
        _lapses([one for one in by_use if stages.get(one.alert_id) == "lapsed"], is_truth=left_at is not None),
    )


def _warnings(stage: Stage, outcomes: Sequence[AlertOutcome], leavers: set[str] | None = None) -> StageFigures:
    """Judge by what came after; `leavers` are those of whom somebody should have been warned, where that is asked."""
    count, days = verdict_counts(outcomes), first_leads(outcomes)
    right, wrong, gone = count["left"], count["stayed"], count["too_late"]
    warned = {one.subscriber_id for one in outcomes if one.verdict == "left"}
    return StageFigures(
        stage=stage,
        fired=len(outcomes),
        right=right,
        wrong=wrong,
        gone=gone,
        open=count["open"],
        precision=_share(right, right + wrong + gone),
        lead_days_median=rank(days, 0.5),
        lead_share_7_days=share_from(days, 7.0),
        leavers=None if leavers is None else len(leavers),
        warned=None if leavers is None else len(warned & leavers),
    )


def _lapses(outcomes: Sequence[AlertOutcome], *, is_truth: bool) -> StageFigures:
    """Judge by return: who used the line after the alert came back, whether or not they left in the end.

    Labels do not know the last use: there, who has left is taken not to have returned.
    """
    count = verdict_counts(outcomes)
    away = count["too_late"] + (0 if is_truth else count["left"])
    returned = count["stayed"] + (count["left"] if is_truth else 0)
    return StageFigures(
        stage="lapsed",
        fired=len(outcomes),
        right=away,
        wrong=returned,
        gone=0,
        open=count["open"],
        precision=_share(away, away + returned),
        lead_days_median=None,
        lead_share_7_days=None,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

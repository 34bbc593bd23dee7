"""Joins what `forewarn evaluate` needs: where the predictions come from, what is judged, and the page."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from streams.app.new_trainer import settings_of
from streams.app.policies import cold_scorer, read_policy_for
from streams.core.alerts.policy import Policy, policy_from
from streams.core.contracts.effects import LabelledExample, Stage
from streams.core.scoring.models import ModelVersion
from streams.core.times import DAY_MS
from streams.defaults import read_default
from streams.evaluation import judging
from streams.evaluation.metrics import Interval, Scores
from streams.evaluation.profit import Campaign
from streams.evaluation.report import EvaluationReport, ReportOptions, Rival, report_of
from streams.evaluation.report_sources import end_ms as end_of
from streams.evaluation.report_sources import prediction, read_ceiling, read_examples
from streams.evaluation.stages import StageFigures, stage_figures
from streams.shared.errors import InputError, StoreError, UsageError
from streams.store.database import RunStore
from streams.store.run.batch import NO_TIME_MS, AlertRow, PredictionRow

__all__ = [
    "Campaign",
    "EvaluationReport",
    "Interval",
    "ReportOptions",
    "ReportRequest",
    "Scores",
    "StageFigures",
    "from_database",
    "from_examples",
    "write_page",
]

TEMPLATE: Final = "report.html.j2"

Against = Literal["none", "all"] | tuple[str, ...]


class ReportRequest(Struct, frozen=True, kw_only=True):
    """What a report is made of beside its predictions: a truth, a ceiling, and contenders by their names."""

    asked: ReportOptions = ReportOptions()
    truth: Path | None = None
    ceiling: Path | None = None
    against: Against = "none"
    tell: Callable[[str], None] | None = None


def from_database(db: str, wanted: ReportRequest) -> EvaluationReport:
    """Return the report on the run in a database.

    Raises:
        InputError: the truth or the ceiling is none.
        StoreError: the database holds no run.
        UsageError: a name is no contender's.
    """
    ceiling = None if wanted.ceiling is None else read_ceiling(wanted.ceiling)
    truth = None if wanted.truth is None else judging.read_truth(wanted.truth)
    with RunStore.open(db, create=False) as store:
        checkpoint = store.load()
        if checkpoint is None:
            raise StoreError(
                f"database {store.name} holds no run yet", hint="`forewarn run --input ... --db ...` makes one"
            )
        policy = policy_from(checkpoint.run.policy)
        report = _judge(
            list(store.predictions()),
            store.alerts(),
            policy,
            wanted.asked,
            end_ms=checkpoint.stream_ms,
            left_at=None if truth is None else truth.left_at,
            last_use=None if truth is None else truth.last_use,
            stages=store.stages_at_firing(),
            ceiling=ceiling,
            versions=store.models(),
        )
        if wanted.against == "none" or checkpoint.stream_ms == NO_TIME_MS:
            return report
        return _with_rivals(report, store.examples(), policy, wanted, checkpoint.stream_ms)


def from_examples(paths: Sequence[Path], policy_path: Path | None, wanted: ReportRequest) -> EvaluationReport:
    """Return the report on files of labelled examples, which know nothing of alerts.

    Raises:
        InputError: a file cannot be read, or holds a line that is no example.
        UsageError: a name is no contender's.
    """
    ceiling = None if wanted.ceiling is None else read_ceiling(wanted.ceiling)
    policy = read_policy_for("-", policy_path)
    examples = read_examples(paths)
    if not examples:
        raise InputError("the files hold no labelled example")
    at_ms = end_of(examples)
    predictions = [prediction(example) for example in examples if not example.provisional]
    report = _judge(predictions, None, policy, wanted.asked, end_ms=at_ms, ceiling=ceiling)
    return report if wanted.against == "none" else _with_rivals(report, examples, policy, wanted, at_ms)


def _judge(
    predictions: Sequence[PredictionRow],
    alerts: Sequence[AlertRow] | None,
    policy: Policy,
    asked: ReportOptions,
    *,
    end_ms: int,
    left_at: Mapping[str, int] | None = None,
    last_use: Mapping[str, int] | None = None,
    stages: Mapping[str, Stage] | None = None,
    ceiling: Mapping[tuple[str, int], float] | None = None,
    versions: Sequence[ModelVersion] = (),
) -> EvaluationReport:
    """Judge predictions as they stand at `end_ms`, and report on them; None are the alerts that nobody knows of."""
    horizon_days, patience_ms = policy.label.horizon_days, policy.longest_wait_ms
    found = judging.evaluate(
        predictions,
        alerts or (),
        stream_ms=end_ms,
        horizon_ms=horizon_days * DAY_MS,
        left_at=left_at,
        patience_ms=patience_ms,
    )
    return report_of(
        found,
        predictions,
        asked,
        end_ms=end_ms,
        horizon_days=horizon_days,
        patience_ms=patience_ms,
        held_out=None if alerts is None else {row.latest.alert_id: row.latest.held_out for row in alerts},
        stages=stage_figures(
            alerts or (),
            predictions,
            stages or {},
            stream_ms=end_ms,
            horizon_ms=horizon_days * DAY_MS,
            left_at=left_at,
            last_use=last_use or {},
        ),
        ceiling=ceiling,
        versions=versions,
    )


def write_page(report: EvaluationReport, path: Path) -> None:
    """Write a report as one page that needs nothing else; raises `InputError` where it cannot be written."""
    from streams.evaluation import report_page  # noqa: PLC0415 - Matplotlib takes a second, and few reports are pages

    report_page.write(report_page.page(report, read_default(TEMPLATE)), path)


def _with_rivals(
    report: EvaluationReport, examples: Iterable[LabelledExample], policy: Policy, wanted: ReportRequest, at_ms: int
) -> EvaluationReport:
    from streams.evaluation.contest.contest import contest_of  # noqa: PLC0415 - importing River takes a second

    asked, names = wanted.asked, _names(wanted.against)
    try:
        contest = contest_of(
            examples,
            policy,
            cold_scorer(policy),
            settings=settings_of(policy),
            shock_ms=asked.shock_ms,
            shock_days=asked.shock_days,
            contenders=names,
            resamples=asked.resamples,
            end_ms=at_ms,
            tell=wanted.tell,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    rivals = []
    for entry in contest.entries:
        gap = entry.differences.get("overall")
        rivals.append(
            Rival(
                name=entry.name,
                what=entry.what,
                group=entry.group,
                ranks_only=entry.ranks_only,
                scores=entry.overall,
                average_precision=None if gap is None else gap.average_precision,
                recall_at_5=None if gap is None else gap.recall_at_5,
                missing=entry.missing,
            )
        )
    return msgspec.structs.replace(report, rivals=tuple(rivals))


def _names(against: Against) -> Collection[str]:
    """Return the contenders' names as a contest takes them: nobody's for all."""
    return () if isinstance(against, str) else against

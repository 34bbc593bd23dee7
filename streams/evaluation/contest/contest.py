"""Many learners judged on the same recorded examples, prequentially: what each would have served, and how good it was.

Nobody sees the future: a contender learns an example when the policy lets it, publishes weekly, and forecasts a
snapshot with the newest version dated before it, exactly as a run does.  A snapshot is judged if its horizon had closed
before the stream's end and whatever settles it had come, since a week of which only the leavers are known would
flatter.  The rows are the same for all contenders, so that differences are paired.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct, structs

from streams.core.alerts.policy import Policy
from streams.core.contracts.effects import LabelledExample
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.scoring.scorer import Scorer
from streams.core.times import DAY_MS
from streams.evaluation import metrics as evaluation
from streams.evaluation.contest.boosted_contenders import BOOSTED
from streams.evaluation.contest.contenders import (
    CHAMPION,
    LINEAR,
    RULES,
    Contender,
    ContenderGroup,
    Forecasts,
    MissingContenderError,
    RecordedContender,
)
from streams.evaluation.contest.course import Course, course_of
from streams.evaluation.contest.metrics import average_precision, recall_at
from streams.evaluation.contest.river_contenders import RIVER
from streams.evaluation.metrics import Interval, Prediction, Scores
from streams.learning.queue import TrainerSettings

SHOCK_DAYS: Final = 30
WARMING_DAYS: Final = 56
"""After the first version a model has learned from so few labels that it is judged apart for so long."""
SEED: Final = 1
"""Of the bootstrap: any fixed number, so that every contest draws the same subscribers."""
CONTENDERS: Final[tuple[Contender, ...]] = (CHAMPION, RecordedContender(), *LINEAR[1:], *RULES, *BOOSTED, *RIVER)
"""All who can take part, the champion first."""
NAMES: Final = tuple(contender.name for contender in CONTENDERS)

SegmentName = Literal["warming", "steady", "shock", "recovery"]


class ContestSegment(Struct, frozen=True):
    """A stretch of time by whose snapshots all are judged: from (included), until (excluded), ms since 1970 UTC."""

    name: SegmentName
    from_ms: int
    until_ms: int
    examples: int
    positives: int


class Difference(Struct, frozen=True):
    """A contender's score less the champion's on the same rows, with its paired interval, empty without resamples."""

    average_precision: Interval
    recall_at_5: Interval


class ContestEntry(Struct, frozen=True, kw_only=True):
    """How one contender did.

    `overall` covers all judged rows, `segments` those of each segment that has any.  `differences` are against the
    champion, under "overall" and the names of segments; the champion has none.  Where `ranks_only`, what is served is
    an order and no probability: Brier score, log loss, calibration error and expected over observed say nothing.
    `missing` says in words why the contender could not take part; it has no scores then.
    """

    name: str
    what: str
    group: ContenderGroup
    ranks_only: bool
    versions: int = 0
    overall: Scores | None = None
    segments: dict[SegmentName, Scores] = {}
    differences: dict[str, Difference] = {}
    missing: str | None = None


class Contest(Struct, frozen=True, kw_only=True):
    """The outcome: what was judged, in which segments, and each contender, the champion first.

    `judged` and `positives` count the rows, `open` the final examples whose horizon had not closed in time, `foreign`
    those of another feature table, which this program cannot score.  `warm_ms` is when the champion's first version was
    dated (None: never); the steady segment begins `WARMING_DAYS` later.
    """

    end_ms: int
    horizon_days: int
    judged: int
    positives: int
    open: int
    foreign: int
    warm_ms: int | None
    shock_ms: int | None
    resamples: int
    segments: tuple[ContestSegment, ...]
    entries: tuple[ContestEntry, ...]


class ContestResult(Struct, frozen=True, kw_only=True):
    """A contest with what every contender forecast, by its name, in the order of the course's judged snapshots."""

    course: Course
    contest: Contest
    forecasts: dict[str, tuple[float, ...]]


def contest_of(
    examples: Iterable[LabelledExample],
    policy: Policy,
    scorecard: Scorer,
    *,
    settings: TrainerSettings,
    shock_ms: int | None = None,
    shock_days: int = SHOCK_DAYS,
    warming_days: int = WARMING_DAYS,
    contenders: Collection[str] = (),
    resamples: int = 200,
    end_ms: int | None = None,
    settled_at: Mapping[str, int] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Contest:
    """Judge contenders by their names (all, if none is given) beside the champion, which always takes part.

    `settings` are the champion's: those of the policy's own trainer.  `shock_ms` is when something changed; the shock
    lasts `shock_days` from there, and without it there is a steady segment alone.  0 `resamples` leave the intervals
    empty.  `tell` hears the name of each contender before it runs.  `end_ms` and `settled_at`: see `course_of`.

    Raises:
        ValueError: a name is no contender's; the text says which there are.
    """
    chosen = select_contenders(contenders)
    given = list(examples)
    course = course_of(given, policy, scorecard, settings, end_ms=end_ms, settled_at=settled_at)
    run = run_contest(
        course,
        chosen,
        shock_ms=shock_ms,
        shock_days=shock_days,
        warming_days=warming_days,
        resamples=resamples,
        tell=tell,
    )
    finals = {e.example_id for e in given if not e.provisional and e.feature_table == FEATURE_TABLE}
    foreign = sum(e.feature_table != FEATURE_TABLE for e in given)
    return structs.replace(run.contest, open=len(finals) - run.contest.judged, foreign=foreign)


def select_contenders(names: Collection[str]) -> tuple[Contender, ...]:
    """Return the contenders of these names in the list's order, the champion always with them; all, if none is given.

    Raises:
        ValueError: a name is no contender's; the text says which there are.

    >>> [contender.name for contender in select_contenders(["hazard"])]
    ['champion', 'hazard']
    """
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no contender; there are {', '.join(NAMES)}")
    return tuple(c for c in CONTENDERS if not names or c.name in names or c is CHAMPION)


def run_contest(
    course: Course,
    contenders: Sequence[Contender],
    *,
    shock_ms: int | None = None,
    shock_days: int = SHOCK_DAYS,
    warming_days: int = WARMING_DAYS,
    resamples: int = 0,
    tell: Callable[[str], None] | None = None,
) -> ContestResult:
    """Let contenders, the champion first, run the course, and judge them; `contest_of` says what is what."""
    forecasts: dict[str, Forecasts] = {}
    missing: dict[str, str] = {}
    for contender in contenders:
        if tell is not None:
            tell(contender.name)
        try:
            forecasts[contender.name] = contender.forecast(course)
        except MissingContenderError as error:
            missing[contender.name] = str(error)
    champion = forecasts[contenders[0].name]
    warm_ms = champion.first_ms
    steady_ms = None if warm_ms is None else warm_ms + warming_days * DAY_MS
    segments = _segments(course, (warm_ms, steady_ms), shock_ms, shock_days)
    spans = {segment.name: _span(course, segment) for segment in segments}
    entries = []
    for contender in contenders:
        made = forecasts.get(contender.name)
        entry = ContestEntry(
            name=contender.name, what=contender.what, group=contender.group, ranks_only=contender.ranks_only,
            missing=missing.get(contender.name),
        )  # fmt: skip
        entries.append(
            entry if made is None else _judge(entry, course, made, champion, spans=spans, resamples=resamples)
        )
    contest = Contest(
        end_ms=course.end_ms,
        horizon_days=course.policy.label.horizon_days,
        judged=len(course.judged),
        positives=sum(example.label for example in course.judged),
        open=0,
        foreign=0,
        warm_ms=champion.first_ms,
        shock_ms=shock_ms,
        resamples=resamples,
        segments=segments,
        entries=tuple(entries),
    )
    return ContestResult(
        course=course, contest=contest, forecasts={name: made.values for name, made in forecasts.items()}
    )


def _segments(
    course: Course, begins: tuple[int | None, int | None], shock_ms: int | None, shock_days: int
) -> tuple[ContestSegment, ...]:
    """Return the segments that time has room for; what was served before the first version is in none of them."""
    last_ms, (warm_ms, steady_ms) = course.end_ms + 1, begins
    bounds: tuple[tuple[SegmentName, int, int], ...] = ()
    if warm_ms is not None and steady_ms is not None:
        shaken_ms = last_ms if shock_ms is None else shock_ms
        bounds = (("warming", warm_ms, min(steady_ms, shaken_ms)), ("steady", steady_ms, shaken_ms))
    if shock_ms is not None:
        over_ms = shock_ms + shock_days * DAY_MS
        bounds = (*bounds, ("shock", shock_ms, over_ms), ("recovery", over_ms, last_ms))
    found = []
    for name, from_ms, until_ms in bounds:
        labels = [e.label for e in course.judged if from_ms <= e.snapshot_at_ms < until_ms]
        if labels:
            found.append(ContestSegment(name, from_ms, until_ms, len(labels), sum(labels)))
    return tuple(found)


def _span(course: Course, segment: ContestSegment) -> range:
    places = [e.snapshot_at_ms for e in course.judged]
    return range(bisect_left(places, segment.from_ms), bisect_left(places, segment.until_ms))


def _judge(
    entry: ContestEntry,
    course: Course,
    made: Forecasts,
    champion: Forecasts,
    *,
    spans: Mapping[SegmentName, range],
    resamples: int,
) -> ContestEntry:
    whole = range(len(course.judged))
    own, other = _predictions(course, made), _predictions(course, champion)
    differences = {}
    if made is not champion:
        for name, span in (("overall", whole), *spans.items()):
            where = slice(span.start, span.stop)
            differences[name] = _difference(own[where], other[where], resamples)
    return structs.replace(
        entry,
        versions=made.versions,
        overall=evaluation.summary(own) if own else None,
        segments={name: evaluation.summary(own[span.start : span.stop]) for name, span in spans.items()},
        differences=differences,
    )


def _predictions(course: Course, made: Forecasts) -> list[Prediction]:
    return [Prediction(p, e.label, e.subscriber_id) for p, e in zip(made.values, course.judged, strict=True)]


def _difference(own: Sequence[Prediction], other: Sequence[Prediction], resamples: int) -> Difference:
    found = (
        evaluation.bootstrap_difference(own, other, metric, seed=SEED, count=resamples)
        for metric in (average_precision(), recall_at(0.05))
    )
    return Difference(*found)

"""What every contender of a contest is given: settled examples in the order of time, and the snapshots to forecast.

What is settled at one time is in the order of subscribers and snapshots, so the order in which examples came cannot
show.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from streams.core.alerts.policy import Policy
from streams.core.contracts.effects import LabelledExample
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.scoring.scorer import Scorer
from streams.core.times import DAY_MS, HOUR_MS
from streams.learning.queue import TrainerSettings, ceiling

EXPLICIT: Final = frozenset({"port_out", "termination"})
"""Leaving that is settled when it happens; all else when somebody wakes after the horizon has closed."""


class Lesson(Struct, frozen=True):
    """A final example and from when on it may be learned (ms since 1970 UTC)."""

    at_ms: int
    example: LabelledExample


class Period(Struct, frozen=True):
    """Between two dates of publication: what may be learned by the first, and what is forecast until the second.

    `snapshots` is where these stand among the judged ones.
    """

    at_ms: int
    lessons: tuple[Lesson, ...]
    snapshots: range


class Course(Struct, frozen=True, kw_only=True):
    """Examples of this program's feature table with their times of settling, and of those the judged ones.

    `settled` holds provisional examples too, `judged` none of them, by the time of the snapshot.  `settings` are the
    champion's.
    """

    policy: Policy
    scorecard: Scorer
    settings: TrainerSettings
    settled: tuple[tuple[int, LabelledExample], ...]
    judged: tuple[LabelledExample, ...]
    end_ms: int


def earliest_settled_ms(example: LabelledExample, policy: Policy) -> int:
    """Return the earliest time (ms) at which a run under the policy settles an example.

    Explicit leaving is settled by its event; all else by the first turn at scoring after the horizon has closed.  Quiet
    subscribers have their turn later, which the example does not tell.
    """
    if example.kind in EXPLICIT:
        return example.knowable_at_ms
    slot_ms = policy.scoring.at_hour * HOUR_MS
    return ceiling(example.closed_at_ms + 1 - slot_ms, DAY_MS) + slot_ms


def course_of(
    examples: Iterable[LabelledExample],
    policy: Policy,
    scorecard: Scorer,
    settings: TrainerSettings,
    *,
    end_ms: int | None = None,
    settled_at: Mapping[str, int] | None = None,
) -> Course:
    """Return the course of examples that come in any order; an id counts once.

    `end_ms` is the stream's end: the latest settling, if None.  `settled_at` gives when an example was settled (ms), by
    its id, where that was recorded; for others it is the earliest at which the policy settles it.
    """
    recorded = settled_at or {}
    known: dict[str, LabelledExample] = {}
    for example in sorted(examples, key=lambda e: (e.example_id, e.knowable_at_ms, e.label)):
        if example.feature_table == FEATURE_TABLE:
            known.setdefault(example.example_id, example)
    settled = sorted(
        ((recorded.get(e.example_id) or earliest_settled_ms(e, policy), e) for e in known.values()),
        key=lambda pair: (pair[0], pair[1].kind in EXPLICIT, pair[1].subscriber_id, pair[1].snapshot_at_ms),
    )
    end = end_ms if end_ms is not None else max((at_ms for at_ms, _ in settled), default=0)
    # A quiet subscriber's horizon may close days before the turn at which that is noticed.
    judged = [e for _, e in settled if not e.provisional and e.closed_at_ms + policy.longest_wait_ms <= end]
    return Course(
        policy=policy,
        scorecard=scorecard,
        settings=settings,
        settled=tuple(pair for pair in settled if pair[0] <= end),
        judged=tuple(sorted(judged, key=lambda e: (e.snapshot_at_ms, e.subscriber_id, e.example_id))),
        end_ms=end,
    )


def lessons(course: Course, *, matured: bool) -> list[Lesson]:
    """Return the final examples by when they may be learned: as the champion may, or once the horizon has closed."""
    learn_at = course.settings.learn_at
    found = []
    for at_ms, example in course.settled:
        if example.provisional:
            continue
        at = learn_at if isinstance(learn_at, str) else learn_at.get(example.kind, "close")
        known_ms = example.knowable_at_ms if at == "knowable" and not matured else example.closed_at_ms
        found.append(Lesson(max(at_ms, known_ms), example))
    found.sort(key=lambda lesson: (lesson.at_ms, lesson.example.subscriber_id, lesson.example.snapshot_at_ms))
    return found


def periods(course: Course, *, matured: bool) -> Iterator[Period]:
    """Yield the weeks of publication from before the first lesson on: learn, then forecast with what was learned.

    As in a run, a snapshot at the very moment of a publication is forecast with what served before.
    """
    known, judged, every_ms = lessons(course, matured=matured), course.judged, course.settings.publish_every_ms
    if not judged:
        return
    first_ms = min(judged[0].snapshot_at_ms, known[0].at_ms if known else judged[0].snapshot_at_ms)
    at_ms, taken, begun = ceiling(first_ms, every_ms) - every_ms, 0, 0
    while begun < len(judged):
        learned = taken
        while learned < len(known) and known[learned].at_ms <= at_ms:
            learned += 1
        until = begun
        while until < len(judged) and judged[until].snapshot_at_ms <= at_ms + every_ms:
            until += 1
        yield Period(at_ms, tuple(known[taken:learned]), range(begun, until))
        at_ms, taken, begun = at_ms + every_ms, learned, until

"""Looking back: fold a run's records again, to score everybody at a past moment or to prove an alert's numbers.

A subscriber's facts depend only on its records, so looking back repeats nothing of the run's own path (wakes, learning,
alerts): it folds the records up to the moment, computes the features with what was known of the market, and scores
with the version of that time.
"""

from collections.abc import Callable, Iterable, Iterator
from struct import pack

import msgspec
from msgspec import Struct

from streams.core.alerts.alerting import Move
from streams.core.alerts.announcing import ScoreBreakdown, announce
from streams.core.alerts.policy import Policy
from streams.core.alerts.stages import stage_of
from streams.core.contracts.effects import AlertChanged
from streams.core.contracts.events import Body, Complaint, Event
from streams.core.scoring.features import FEATURE_TABLE, vector
from streams.core.scoring.reasons import reasons
from streams.core.scoring.scorer import Scorer, probability
from streams.core.scoring.windows import measure
from streams.core.signals.signals import NO_SIGNALS, Signals
from streams.core.subscriber.facts import Facts, new_state
from streams.core.subscriber.fold import Life, fold, is_request
from streams.core.subscriber.state import AlertState, PendingSnapshot
from streams.files.cursors import Item

TellRefolded = Callable[[int, int], None]
"""Told now and then how many records were read and up to which event time (ms)."""

TELL_RECORDS = 8192


SignalsAt = Callable[[int], Signals]
"""Returns what was known of the market at an event time (ms)."""


class RefoldResult(Struct, frozen=True, gc=False):
    """A subscriber's facts at an alert, and what the snapshot that its changes are measured from can have held.

    A snapshot is taken at a wake, at a new complaint or at a request to leave.  Two of them can be of one moment, and
    what was known then differs.
    """

    facts: Facts
    snapshots: tuple[PendingSnapshot, ...] = ()


class Score(Struct, frozen=True, gc=False):
    """One subscriber's probability of leaving, seen from a moment (ms), and the version that gave it."""

    subscriber_id: str
    at_ms: int
    probability: float
    model_version: str


def facts_at(items: Iterable[Item], at_ms: int, policy: Policy, tell: TellRefolded | None) -> dict[str, Facts]:
    """Return every subscriber's facts once the stream has reached `at_ms`."""
    found: dict[str, Facts] = {}
    stream_ms = 0
    for count, item in enumerate(items):
        if not isinstance(item, Event):
            continue
        if item.at_ms > stream_ms:
            stream_ms = item.at_ms
            if stream_ms >= at_ms:
                break
        subscriber_id = item.body.subscriber_id
        facts = found.get(subscriber_id)
        if facts is None:
            found[subscriber_id] = facts = new_state(item.at_ms).facts
        fold(facts, item, policy.lateness_ms)
        if tell is not None and not count % TELL_RECORDS:
            tell(count, stream_ms)
    return found


def scores(
    found: Iterable[tuple[str, Facts]], at_ms: int, scorer: Scorer, policy: Policy, signals: Signals = NO_SIGNALS
) -> Iterator[Score]:
    """Score everybody who has not left, as they are at `at_ms`."""
    bands = policy.value.mid_from_minor, policy.value.high_from_minor
    for subscriber_id, facts in found:
        if facts.life == Life.HERE and facts.times.first_ms <= at_ms:
            features = vector(facts, at_ms, measure(facts, at_ms, bands, signals))
            yield Score(subscriber_id, at_ms, probability(scorer.logit(features), scorer.periods), scorer.version)


def alert_facts(
    items: Iterable[Item], change: AlertChanged, policy: Policy, signals_at: SignalsAt, tell: TellRefolded | None
) -> RefoldResult | None:
    """Fold one subscriber's records up to an alert's offsets; None if some of them are not there.

    `items` are the records of everybody, in the order in which the run read them.
    """
    facts: Facts | None = None
    missing = {source for source, offset in change.offsets.items() if offset >= 0}
    candidates = _SnapshotCandidates(change, policy, signals_at)
    stream_ms = 0
    for count, item in enumerate(items):
        if not isinstance(item, Event):
            continue
        if item.at_ms > stream_ms:
            stream_ms = item.at_ms
            candidates.on_time(facts, stream_ms)
        if tell is not None and not count % TELL_RECORDS:
            tell(count, stream_ms)
        if item.body.subscriber_id != change.subscriber_id:
            continue
        last = change.offsets.get(item.source, -1)
        if item.offset > last:
            continue
        if facts is None:
            facts = new_state(item.at_ms).facts
        folded = fold(facts, item, policy.lateness_ms)
        if folded == "applied" and _is_scored_at_once(item.body):
            candidates.on_event(facts, stream_ms)
        if item.offset == last:
            missing.discard(item.source)
            if not missing:
                candidates.on_time(facts, change.at_ms)
                return RefoldResult(facts, tuple(candidates.found))
    return None


def _is_scored_at_once(body: Body) -> bool:
    return is_request(body) or (isinstance(body, Complaint) and body.change == "created")


class _SnapshotCandidates:
    """What the snapshot of a moment can have held, gathered while its subscriber's records are folded."""

    def __init__(self, change: AlertChanged, policy: Policy, signals_at: SignalsAt) -> None:
        self.found: list[PendingSnapshot] = []
        self._since_ms = next((reason.since_ms for reason in change.reasons), None)
        self._bands = policy.value.mid_from_minor, policy.value.high_from_minor
        self._signals_at = signals_at
        self._is_past = False

    def on_time(self, facts: Facts | None, stream_ms: int) -> None:
        """Look at the facts before the stream's time first reaches the moment: a wake then saw these."""
        if facts is not None and not self._is_past and self._since_ms is not None and stream_ms >= self._since_ms:
            self._is_past = True
            self._keep(facts, self._since_ms, self._signals_at(self._since_ms - 1))

    def on_event(self, facts: Facts, stream_ms: int) -> None:
        """Look at the facts after an event that was scored at the moment, or may have been if it came late."""
        since_ms = self._since_ms
        if since_ms is not None and (facts.newest_ms == since_ms or (self._is_past and facts.newest_ms < since_ms)):
            known = map(self._signals_at, (stream_ms, stream_ms - 1))
            for signals in {signals.version: signals for signals in known}.values():
                self._keep(facts, since_ms, signals)

    def _keep(self, facts: Facts, at_ms: int, signals: Signals) -> None:
        features = vector(facts, at_ms, measure(facts, at_ms, self._bands, signals))
        self.found.append(PendingSnapshot(at_ms, pack(f"<{len(features)}d", *features), FEATURE_TABLE, 0.0, ""))


def recompute(
    change: AlertChanged, refolded: RefoldResult, scorer: Scorer, policy: Policy, signals: Signals = NO_SIGNALS
) -> AlertChanged:
    """Return the transition as facts, scorer, policy and signals give it; equal to the stored one, or one is wrong."""
    facts, at_ms = refolded.facts, change.at_ms
    measures = measure(facts, at_ms, (policy.value.mid_from_minor, policy.value.high_from_minor), signals)
    features = vector(facts, at_ms, measures)
    logit = scorer.logit(features)
    explanations = [
        reasons(scorer, features, facts, at_ms, measures, snapshot) for snapshot in refolded.snapshots or (None,)
    ]
    why = next((found for found in explanations if found == change.reasons), explanations[0])
    episode = change.episode - (change.change == "dropped")
    # What has ended has the stage that it had, which follows from the state before it as well.
    stage = stage_of(facts, at_ms, policy.stage) if change.state in {"pending", "firing"} else change.stage
    alert = AlertState(change.state, episode, change.kind, change.band, change.opened_at_ms, stage=stage)
    move = Move(change.state, change.change, change.why_code or "threshold_reached")
    scored = ScoreBreakdown(at_ms, logit, probability(logit, scorer.periods), measures, why, signals)
    announced = announce(change.subscriber_id, facts, alert, move, scored, scorer, policy)
    # Why it moved follows from the state before it, which nobody has kept.
    return msgspec.structs.replace(announced, why=change.why, why_code=change.why_code)

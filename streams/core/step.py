"""Hops 3 to 6 in one function: `step(state, given, context) -> (state, effects)`.

This is the whole path of an event, and of a wake, which is how inactivity enters.  Live, replay, backtest, demo and
every test run it; whoever calls it does the reading, the writing and the keeping of time.

    event -> fold -> (revenue, leaving: settle labels) -> score now if it cannot wait -> ask for the next wake
    wake  -> settle labels whose horizon closed -> features -> score -> alert -> snapshot -> ask for the next wake

What a waiting snapshot holds is not in the state: a snapshot that is taken is an effect, and what needs one later is a
draft, which the caller finishes with the snapshot that it names (`core/alerts/drafts.py`).
"""

from dataclasses import dataclass
from typing import Final

from mypy_extensions import mypyc_attr

from streams.core.alerts.alerting import MOVES, Circumstances, apply_move, note_lower_risk, signal
from streams.core.alerts.announcing import ScoreBreakdown, announce
from streams.core.alerts.labels import (
    ALERTED,
    CONTACTED,
    EXPLICIT_KINDS,
    HELD_OUT,
    SILENT,
    censored_before_ms,
    has_fallen_silent,
    is_gone,
    is_held_out,
    is_suspended,
    last_revenue_ms,
    note_revenue,
    note_treatment,
    settle_at_leaving,
    settle_closed,
    take_snapshot,
    tell_early,
)
from streams.core.alerts.policy import AlertRule, LabelPolicy, Policy
from streams.core.alerts.stages import has_asked, stage_of
from streams.core.contracts.effects import (
    AlertDraft,
    ChurnKind,
    LateEvent,
    Reason,
    RepeatedEvent,
    SnapshotTaken,
    StepEffect,
    UnmatchedLeaving,
)
from streams.core.contracts.events import Complaint, Event, Outcome, Wake
from streams.core.contracts.source import partition_number, topic_name
from streams.core.scoring.features import FEATURE_TABLE, vector
from streams.core.scoring.reasons import reasons_now
from streams.core.scoring.scorer import Scorer, probability
from streams.core.scoring.windows import measure
from streams.core.signals.signals import NO_SIGNALS, Signals
from streams.core.subscriber.facts import PENDING_WIDTH, Facts, SubscriberState, Watch, new_state
from streams.core.subscriber.fold import CONSENT, Life, fold, is_request, is_revenue, life_after
from streams.core.subscriber.snapshots import HIGH_BAND
from streams.core.subscriber.state import INACTIVE
from streams.core.times import DAY_MS, HOUR_MS, EventMs

_REPEATED: Final = (RepeatedEvent(),)
_UNMATCHED: Final = (UnmatchedLeaving(),)
_CONTACTS: Final = frozenset({"contacted", "retained"})
_NOBODY_REACHED: Final = frozenset({"not_reached", "wrong_number", "no_action"})
_STAYING: Final = (None, Life.HERE)


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class Context:
    """What holds while a record is processed: the frozen scorer, policy and signals, each with its version.

    The rest is the policy's, laid out for the hot path: `bands` are where the mid and the high value band begin (minor
    units of 30 days), `rules` the alerting rules of the low, mid and high band, `wait_ms_max` the longest that anybody
    who is scored at all waits for the next time, `horizon_ms` how long a snapshot waits for its label, `slot_ms` after
    the beginning of a day scores are made.
    """

    scorer: Final[Scorer]
    policy: Final[Policy]
    signals: Final[Signals]
    label: Final[LabelPolicy]
    bands: Final[tuple[int, int]]
    rules: Final[tuple[AlertRule, ...]]
    quiet_below: Final[float]
    wait_ms_max: Final[int]
    lateness_ms: Final[int]
    horizon_ms: Final[int]
    snapshot_every_ms: Final[int]
    active_ms: Final[int]
    dormant_ms: Final[int]
    slot_ms: Final[int]
    score_every_ms: Final[int]
    quiet_every_ms: Final[int]
    surrogate_ms: Final[int]

    def __init__(self, scorer: Scorer, policy: Policy, signals: Signals = NO_SIGNALS) -> None:
        """Lay out what the policy says."""
        self.scorer, self.policy, self.signals = scorer, policy, signals
        value, alerting, scoring, label = policy.value, policy.alerting, policy.scoring, policy.label
        self.label = label
        self.bands = (value.mid_from_minor, value.high_from_minor)
        self.rules = (alerting.low, alerting.mid, alerting.high)
        self.quiet_below = scoring.quiet_below
        self.wait_ms_max = policy.longest_wait_ms + DAY_MS
        self.lateness_ms = policy.lateness_ms
        self.horizon_ms = label.horizon_days * DAY_MS
        self.snapshot_every_ms = policy.snapshots.every_days * DAY_MS
        self.active_ms = policy.snapshots.active_days * DAY_MS
        self.dormant_ms = policy.snapshots.dormant_days * DAY_MS
        self.slot_ms = scoring.at_hour * HOUR_MS
        self.score_every_ms = scoring.every_hours * HOUR_MS
        self.quiet_every_ms = scoring.quiet_every_hours * HOUR_MS
        self.surrogate_ms = label.surrogate_days * DAY_MS


def step(
    state: SubscriberState | None, given: Event | Wake, context: Context
) -> tuple[SubscriberState, tuple[StepEffect, ...]]:
    """Apply one event or wake to one subscriber; the state is changed in place and returned with what follows."""
    at_ms = given.at_ms
    if state is None:
        state = new_state(EventMs(at_ms))
    facts, watch = state.facts, state.watch
    if type(given) is Wake:
        is_wanted = watch.next_wake_ms == at_ms
        return state, _on_wake(state, given.subscriber_id, at_ms, context) if is_wanted else ()
    folded, body = fold(facts, given, context.lateness_ms), given.body
    if folded != "applied":
        return state, _REPEATED if folded == "repeated" else (_late_event(given, facts),)
    if not 0 < watch.first_revenue_ms <= at_ms and is_revenue(body):
        note_revenue(watch, at_ms)
    wake_ms = watch.next_wake_ms
    if (not wake_ms or wake_ms - at_ms > context.wait_ms_max) and facts.life == Life.HERE:
        watch.next_wake_ms = _next_slot_ms(_present_ms(state), context.slot_ms)
    if type(body) is Outcome:
        if body.change in _CONTACTS and body.contact_outcome not in _NOBODY_REACHED:
            note_treatment(watch, CONTACTED, at_ms)
        if facts.life_at_ms == at_ms and life_after(body) not in _STAYING:
            return state, _on_leaving(state, body.subscriber_id, at_ms, context)
        if is_request(body) and has_asked(facts, at_ms, context.policy.stage):
            return state, _assess_at_once(state, body.subscriber_id, context)
    if type(body) is Complaint and body.change == "created":
        return state, _assess_at_once(state, body.subscriber_id, context)
    return state, ()


def _present_ms(state: SubscriberState) -> int:
    """Return the latest moment that this subscriber has come to: a late event is judged now, not back then."""
    return max(state.facts.newest_ms, state.watch.scored_at_ms)


def _assess_at_once(state: SubscriberState, subscriber_id: str, context: Context) -> tuple[StepEffect, ...]:
    """Score at once; who is no longer quiet is not left waiting for a quiet subscriber's next turn."""
    at_ms, watch = _present_ms(state), state.watch
    effects = _assess(state, subscriber_id, at_ms, context)
    has_moved = bool(effects) and type(effects[0]) is not SnapshotTaken
    if watch.next_wake_ms and (has_moved or watch.probability >= context.quiet_below):
        watch.next_wake_ms = min(watch.next_wake_ms, _next_slot_ms(at_ms, context.slot_ms))
    return effects


def _on_leaving(state: SubscriberState, subscriber_id: str, at_ms: int, context: Context) -> tuple[StepEffect, ...]:
    """Settle what waited for this outcome, end the alert, and let the subscriber rest."""
    life, label = Life(state.facts.life), context.label
    effects: tuple[StepEffect, ...] = settle_at_leaving(state.watch, at_ms, life, label)
    if not effects and label.explicit and life in EXPLICIT_KINDS:
        effects = _UNMATCHED
    is_alerted = state.watch.alert.state != "inactive"
    ended = _assess(state, subscriber_id, _present_ms(state), context) if is_alerted else ()
    if not state.watch.pending:
        state.watch.next_wake_ms = 0
    return effects + ended


def _on_wake(state: SubscriberState, subscriber_id: str, at_ms: int, context: Context) -> tuple[StepEffect, ...]:
    facts, watch = state.facts, state.watch
    effects: tuple[StepEffect, ...] = ()
    if watch.pending and watch.pending[0] + context.horizon_ms < at_ms:
        band = measure(facts, at_ms, context.bands).band if context.label.value_loss else HIGH_BAND
        effects = settle_closed(watch, at_ms, context.label, band, censored_before_ms(facts))
    if context.surrogate_ms:
        effects += tell_early(watch, at_ms, context.label, censored_before_ms(facts))
    if facts.life == Life.HERE:
        effects += _assess(state, subscriber_id, at_ms, context)
    watch.next_wake_ms = _next_wake_ms(state, subscriber_id, at_ms, context)
    return effects


def _assess(state: SubscriberState, subscriber_id: str, at_ms: int, context: Context) -> tuple[StepEffect, ...]:
    """Compute features, score, move the alert, and take a snapshot if one is due."""
    facts, watch, policy, scorer = state.facts, state.watch, context.policy, context.scorer
    measures = measure(facts, at_ms, context.bands, context.signals)
    features = vector(facts, at_ms, measures)
    logit = scorer.logit(features)
    watch.scored_at_ms = at_ms
    watch.probability = chance = probability(logit, scorer.periods)
    effects: tuple[StepEffect, ...] = ()
    rule = context.rules[max(measures.band, measures.band_before)]
    if chance >= rule.close_at or watch.alert is not INACTIVE or facts.asked:
        now = Circumstances(
            chance,
            policy.risk_band(chance),
            at_ms,
            is_gone(facts, at_ms, context.label),
            _is_contact_barred(facts),
            stage_of(facts, at_ms, policy.stage),
        )
        sign = signal(watch.alert, now, rule)
        move = MOVES.get((watch.alert.state, sign))
        if move is None:
            watch.alert = note_lower_risk(watch.alert, now, sign)
        else:
            shares = scorer.contributions(features)
            why = reasons_now(shares, facts, at_ms, measures)
            watch.alert = apply_move(watch.alert, move, now, rule, _kind(why, facts, policy))
            scored = ScoreBreakdown(at_ms, logit, chance, measures, why, context.signals)
            changed = announce(subscriber_id, facts, watch.alert, move, scored, scorer, policy)
            effects = (AlertDraft(changed, watch.pending[-PENDING_WIDTH], shares) if watch.pending else changed,)
            if watch.alert.state == "firing":
                note_treatment(watch, _treatment(watch, subscriber_id, policy), at_ms)
    if _snapshot_is_due(state, subscriber_id, at_ms, context):
        treated = _treatment(watch, subscriber_id, policy)
        told = SILENT if has_fallen_silent(facts, at_ms, context.label) else 0
        effects += take_snapshot(watch, at_ms, features, FEATURE_TABLE, scorer.version, treated, measures.band, told)
    return effects


def _treatment(watch: Watch, subscriber_id: str, policy: Policy) -> int:
    """Return what an alert does about its subscriber: somebody is told of it while it fires, unless nobody is to be."""
    if watch.alert.state != "firing":
        return 0
    return HELD_OUT if is_held_out(subscriber_id, policy.holdout.share) else ALERTED


def _kind(why: tuple[Reason, ...], facts: Facts, policy: Policy) -> ChurnKind:
    """Name the churn after the heaviest theme for which anything was measured; a suspended line says more than that."""
    if "involuntary" in policy.plays and is_suspended(facts):
        return "involuntary"
    return policy.kinds[next(reason.theme for reason in why if reason.evidence)]


def _is_contact_barred(facts: Facts) -> bool:
    return facts.profile is not None and not facts.profile.flags & CONSENT


def _snapshot_is_due(state: SubscriberState, subscriber_id: str, at_ms: int, context: Context) -> bool:
    facts = state.facts
    if at_ms < _snapshot_due_ms(state, subscriber_id, context):
        return False
    return (
        facts.life == Life.HERE
        and at_ms - last_revenue_ms(facts) <= context.active_ms
        and not _is_contact_barred(facts)
    )


def _snapshot_due_ms(state: SubscriberState, subscriber_id: str, context: Context) -> int:
    """Return from when on the next snapshot may be taken; the first ones are spread over the days of the cycle."""
    last_ms = state.watch.snapshot_at_ms
    if last_ms:
        return last_ms + context.snapshot_every_ms
    every = context.policy.snapshots
    return state.facts.times.first_ms + (every.after_days + int(subscriber_id[-4:], 16) % every.every_days) * DAY_MS


def _late_event(event: Event, facts: Facts) -> LateEvent:
    return LateEvent(
        subscriber_id=event.body.subscriber_id,
        topic=topic_name(event.source),
        partition=partition_number(event.source),
        offset=event.offset,
        event_id=event.body.event_id,
        at_ms=event.at_ms,
        late_by_s=(facts.newest_ms - event.at_ms) // 1000,
    )


def _next_slot_ms(at_ms: int, slot_ms: int) -> int:
    """Return the next time strictly after `at_ms` that is `slot_ms` after the beginning of a day.

    >>> _next_slot_ms(0, 5), _next_slot_ms(5, 5)
    (5, 86400005)
    """
    next_ms = at_ms // DAY_MS * DAY_MS + slot_ms
    return next_ms if next_ms > at_ms else next_ms + DAY_MS


def _next_wake_ms(state: SubscriberState, subscriber_id: str, at_ms: int, context: Context) -> int:
    """Return when to wake next, or 0 to rest until an event comes."""
    facts, watch, slot_ms = state.facts, state.watch, context.slot_ms
    is_calm = watch.alert is INACTIVE or watch.alert.state in {"inactive", "resolved"}
    if facts.life != Life.HERE or (is_calm and at_ms - last_revenue_ms(facts) > context.dormant_ms):
        if not watch.pending:
            return 0
        closes_ms = watch.pending[0] + context.horizon_ms
        return max(_next_slot_ms(closes_ms, slot_ms), _next_slot_ms(at_ms, slot_ms))
    is_quiet = is_calm and watch.probability < context.quiet_below
    wake_ms = at_ms + (context.quiet_every_ms if is_quiet else context.score_every_ms)
    due_ms = _snapshot_due_ms(state, subscriber_id, context)
    if due_ms < wake_ms:
        wake_ms = min(wake_ms, max(due_ms, at_ms + DAY_MS))
    return _next_slot_ms(wake_ms - 1, slot_ms)

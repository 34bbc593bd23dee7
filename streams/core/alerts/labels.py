"""Learning, beside the path: what leaving is, and when a past score's outcome is settled.

Leaving is a completed port-out or a voluntary termination, or no revenue event (a completed top-up, a day with
activity) for the whole horizon after the snapshot.  Who is made to leave (non-payment, fraud, death, closing of a
business) is censored: neither left nor stayed; so is the silence of who is suspended by no own wish.  Each settled
snapshot becomes one `LabelledExample` with the features as they were served; when it is learned is the trainer's
policy, so both times are on it: when the label could be known, and when its horizon closed.  What was done about the
subscriber meanwhile is on it too, since an offer that works makes a right warning look wrong.

A label that looks ahead does not count who had gone before the snapshot: silent for some days, and not seen again.  A
model that is taught to find such people warns of them, when it is too late.

What a snapshot holds is not here: all functions work on the rows of `Watch.pending` and return drafts.
"""

from array import array
from hashlib import blake2b
from typing import Final, get_args

from streams.core.alerts.policy import LabelPolicy
from streams.core.contracts.effects import ExampleDraft, LabelKind, SnapshotDropped, SnapshotTaken, Treatment
from streams.core.subscriber.facts import PENDING_WIDTH, Facts, Watch
from streams.core.subscriber.fold import STATUS_CODES, Life
from streams.core.subscriber.snapshots import HIGH_BAND, LOW_BAND, pack_snapshot
from streams.core.subscriber.state import PENDING_MAX
from streams.core.times import DAY_MS

TREATMENTS: Final[tuple[Treatment, ...]] = get_args(Treatment)
ALERTED: Final = TREATMENTS.index("alerted")
CONTACTED: Final = TREATMENTS.index("contacted")
HELD_OUT: Final = TREATMENTS.index("held_out")

PROVISIONAL_LABELS: Final = (None, False, True)
"""What a snapshot's label was said to be before its horizon closed: nothing, that they stayed, that they left."""

SILENT: Final = 4
"""What is added to a place in `PROVISIONAL_LABELS` where the subscriber had fallen silent at the snapshot."""

HOLDOUT_VALUES: Final = 2**64
STANDING_MS: Final = 2**62
"""Later than any snapshot."""
_SUSPENDED: Final = STATUS_CODES["suspended"]

_REVENUE: Final = 1
_TREATED: Final = 2
_TOLD: Final = 3
"""Places in a row of `Watch.pending`; when the snapshot was taken stands first."""

EXPLICIT_KINDS: Final[dict[Life, LabelKind]] = {Life.PORTED_OUT: "port_out", Life.TERMINATED: "termination"}


def last_revenue_ms(facts: Facts) -> int:
    """Return when the subscriber last paid or used; when first heard of, if never."""
    return max(facts.times.last_top_up_ms, facts.times.last_active_ms) or facts.times.first_ms


def is_gone(facts: Facts, at_ms: int, label: LabelPolicy) -> bool:
    """Say whether the subscriber has left by the definition: explicitly, or by silence for the whole horizon."""
    if facts.life != Life.HERE:
        return True
    return label.inactivity and at_ms - last_revenue_ms(facts) >= label.horizon_days * DAY_MS


def censored_before_ms(facts: Facts) -> int:
    """Return the time before which snapshots were taken whose silence is none of the subscriber's own; 0 for none.

    Who is suspended by no wish of their own cannot use the line: such silence is censored as an involuntary leaving is,
    for all snapshots while the suspension stands, and for those of before it when it is over.
    """
    times, profile = facts.times, facts.profile
    suspended_ms, wish_ms = times.suspended_ms, times.suspended_by_wish_ms
    if not suspended_ms:
        return 0
    # The day's use is known at its end only, and may have been before the suspension of that day.
    in_service_ms = last_revenue_ms(facts) - DAY_MS
    if facts.life == Life.HERE and facts.life_at_ms > in_service_ms:
        in_service_ms = facts.life_at_ms
    if profile is not None and profile.status != _SUSPENDED and profile.at_ms > in_service_ms:
        in_service_ms = profile.at_ms
    if wish_ms and (wish_ms >= in_service_ms or wish_ms >= suspended_ms):
        return 0
    return STANDING_MS if suspended_ms >= in_service_ms else suspended_ms


def is_suspended(facts: Facts) -> bool:
    """Say whether the line is suspended by no wish of the subscriber's own."""
    return censored_before_ms(facts) == STANDING_MS


def has_fallen_silent(facts: Facts, at_ms: int, label: LabelPolicy) -> bool:
    """Say whether the subscriber has been silent for so long that a leaving is no news, by a label that looks ahead."""
    return label.looks_ahead and at_ms - last_revenue_ms(facts) >= label.silent_days * DAY_MS


def is_held_out(subscriber_id: str, share: float) -> bool:
    """Say whether a subscriber is one of the share (0 to 1) of whom nobody is notified; the same ones in every run.

    >>> sum(is_held_out(f"s_{number}", 0.05) for number in range(1000))
    50
    """
    digest = blake2b(f"held out|{subscriber_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) < share * HOLDOUT_VALUES


def take_snapshot(  # noqa: PLR0917 - all that a snapshot holds, from the one place that knows it
    watch: Watch,
    at_ms: int,
    features: tuple[float, ...],
    table: str,
    model_version: str,
    treated: int = 0,
    band: int = LOW_BAND,
    told: int = 0,
) -> tuple[SnapshotTaken | SnapshotDropped, ...]:
    """Hand out the features and the score as served, and wait for the outcome; the oldest gives way to the bound.

    `told` is `SILENT` where the subscriber is silent for so long that it has to be known when the label is settled.
    """
    watch.snapshot_at_ms, watch.first_revenue_ms = at_ms, 0
    # Of its exact size, where an array that is extended takes half as much again.
    watch.pending = rows = watch.pending + array("q", (at_ms, 0, treated, told))
    taken = SnapshotTaken(at_ms, pack_snapshot(at_ms, features, table, watch.probability, model_version, band))
    if len(rows) <= PENDING_MAX * PENDING_WIDTH:
        return (taken,)
    oldest_ms = rows[0]
    del rows[:PENDING_WIDTH]
    return taken, SnapshotDropped(oldest_ms)


def note_revenue(watch: Watch, at_ms: int) -> None:
    """Remember, for each waiting snapshot, its first revenue event; called in any order of events."""
    rows = watch.pending
    for i in range(len(rows) - PENDING_WIDTH, -1, -PENDING_WIDTH):
        if rows[i] >= at_ms:
            continue
        if 0 < rows[i + _REVENUE] <= at_ms:
            break
        rows[i + _REVENUE] = at_ms
    _keep_newest_at_hand(watch)


def note_treatment(watch: Watch, treated: int, at_ms: int) -> None:
    """Remember that something was done at a time about every snapshot before it; the most that was done counts."""
    rows = watch.pending
    for i in range(0, len(rows), PENDING_WIDTH):
        if rows[i] < at_ms and rows[i + _TREATED] < treated:
            rows[i + _TREATED] = treated


def tell_early(watch: Watch, at_ms: int, label: LabelPolicy, censored_ms: int = 0) -> tuple[ExampleDraft, ...]:
    """Return a provisional example of each waiting snapshot whose first `surrogate_days` are over, once.

    Nothing is said of the silence of snapshots that were taken before `censored_ms`.

    Silence through all of them stands for leaving.  Bugajev et al. 2025 predict prepaid churn of 90 days from labels
    of 40; what it costs where nobody corrects it is in the decision record on the times of labels.
    """
    surrogate_ms = label.surrogate_days * DAY_MS
    drafts, rows = [], watch.pending
    for i in range(0, len(rows), PENDING_WIDTH):
        known_ms = rows[i] + surrogate_ms
        told = rows[i + _TOLD]
        if told % SILENT or not surrogate_ms or known_ms >= at_ms:
            continue
        is_silent = label.inactivity and not 0 < rows[i + _REVENUE] <= known_ms
        if is_silent and rows[i] < censored_ms:
            continue
        is_leaver = is_silent and not told
        rows[i + _TOLD] = told + PROVISIONAL_LABELS.index(is_leaver)
        kind: LabelKind = "inactivity" if is_leaver else "stayed"
        drafts.append(_draft(rows, i, kind, known_ms, known_ms, provisional=True))
    return tuple(drafts)


def settle_at_leaving(
    watch: Watch, at_ms: int, life: Life, label: LabelPolicy
) -> tuple[ExampleDraft | SnapshotDropped, ...]:
    """Settle the snapshots whose horizon covers an explicit leaving at `at_ms`; involuntary leaving censors them.

    Those before which the subscriber had gone already wait for the close, as those of all who are no leavers do.
    """
    horizon_ms, kind = label.horizon_days * DAY_MS, EXPLICIT_KINDS.get(life)
    rows = watch.pending
    covered = [i for i in range(0, len(rows), PENDING_WIDTH) if rows[i] < at_ms <= rows[i] + horizon_ms]
    if kind is not None:
        covered = [i for i in covered if rows[i + _TOLD] < SILENT or 0 < rows[i + _REVENUE] <= at_ms]
    if not label.explicit or not covered:
        return ()
    left = array("q")
    for i in range(0, len(rows), PENDING_WIDTH):
        if i not in covered:
            left.extend(rows[i : i + PENDING_WIDTH])
    watch.pending = left
    _keep_newest_at_hand(watch)
    if kind is None:
        return tuple([SnapshotDropped(rows[i]) for i in covered])
    return tuple([_draft(rows, i, kind, at_ms, rows[i] + horizon_ms) for i in covered])


def settle_closed(
    watch: Watch, at_ms: int, label: LabelPolicy, band_now: int = HIGH_BAND, censored_ms: int = 0
) -> tuple[ExampleDraft | SnapshotDropped, ...]:
    """Settle the snapshots whose horizon has closed by `at_ms`: inactive through all of it, worth less, or stayed.

    Who had gone before a snapshot has not left after it.  `band_now` is the value band at `at_ms`; it is looked at only
    where a loss of value counts as leaving.  Those that were taken before `censored_ms` and were inactive are dropped
    (`censored_before_ms`), and are not worth less.
    """
    horizon_ms = label.horizon_days * DAY_MS
    is_worth_less = label.value_loss and band_now == LOW_BAND
    rows, settled, count = watch.pending, list[ExampleDraft | SnapshotDropped](), 0
    while count < len(rows) and rows[count] + horizon_ms < at_ms:
        closed_ms, first_ms = rows[count] + horizon_ms, rows[count + _REVENUE]
        is_censored = rows[count] < censored_ms
        is_silent, was_silent = not 0 < first_ms <= closed_ms, rows[count + _TOLD] >= SILENT
        if is_silent and is_censored and label.inactivity:
            settled.append(SnapshotDropped(rows[count]))
        elif is_silent and (label.inactivity or was_silent):
            kind: LabelKind = "stayed" if was_silent else "inactivity"
            settled.append(_draft(rows, count, kind, closed_ms, closed_ms))
        else:
            known_ms = closed_ms if label.explicit or label.value_loss else first_ms
            lost = is_worth_less and not is_censored
            settled.append(_draft(rows, count, "stayed", known_ms, closed_ms, is_worth_less=lost))
        count += PENDING_WIDTH
    if settled:
        del rows[:count]
        _keep_newest_at_hand(watch)
    return tuple(settled)


def _keep_newest_at_hand(watch: Watch) -> None:
    rows = watch.pending
    watch.first_revenue_ms = rows[len(rows) - PENDING_WIDTH + _REVENUE] if rows else 0


def _draft(
    rows: "array[int]",
    i: int,
    kind: LabelKind,
    knowable_at_ms: int,
    closed_at_ms: int,
    *,
    provisional: bool = False,
    is_worth_less: bool = False,
) -> ExampleDraft:
    """Return the example of the snapshot whose row begins at `i`, without what the snapshot holds."""
    treatment = TREATMENTS[rows[i + _TREATED]]
    corrects = None if provisional else PROVISIONAL_LABELS[rows[i + _TOLD] % SILENT]
    return ExampleDraft(rows[i], kind, knowable_at_ms, closed_at_ms, treatment, corrects, provisional, is_worth_less)

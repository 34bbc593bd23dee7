"""Learning, beside the path: what leaving is, and when a past score's outcome is settled.

Leaving is a completed port-out or a voluntary termination, or no revenue event (a completed top-up, a day with
activity) for the whole horizon after the snapshot.  Who is made to leave (non-payment, fraud, death, closing of a
business) is censored: neither left nor stayed.  Each settled snapshot becomes one `LabelledExample` with the features
as they were served; when it is learned is the trainer's policy, so both times are on it: when the label could be
known, and when its horizon closed.  What was done about the subscriber meanwhile is on it too, since an offer that
works makes a right warning look wrong.
"""

from functools import cache
from hashlib import blake2b
from struct import Struct
from typing import Final, get_args

from streams.core.alerts.policy import LabelPolicy
from streams.core.contracts.effects import LabelKind, LabelledExample, Treatment
from streams.core.subscriber.facts import Facts, Watch
from streams.core.subscriber.fold import Life
from streams.core.subscriber.state import PENDING_MAX, PendingSnapshot
from streams.core.times import DAY_MS

TREATMENTS: Final[tuple[Treatment, ...]] = get_args(Treatment)
ALERTED: Final = TREATMENTS.index("alerted")
CONTACTED: Final = TREATMENTS.index("contacted")
HELD_OUT: Final = TREATMENTS.index("held_out")

PROVISIONAL_LABELS: Final = (None, False, True)
"""What a snapshot's label was said to be before its horizon closed: nothing, that they stayed, that they left."""

HIGH_BAND: Final = 2
LOW_BAND: Final = 0
HOLDOUT_VALUES: Final = 2**64

EXPLICIT_KINDS: Final[dict[Life, LabelKind]] = {Life.PORTED_OUT: "port_out", Life.TERMINATED: "termination"}


def last_revenue_ms(facts: Facts) -> int:
    """Return when the subscriber last paid or used; when first heard of, if never."""
    return max(facts.last_top_up_ms, facts.last_active_ms) or facts.first_ms


def is_gone(facts: Facts, at_ms: int, label: LabelPolicy) -> bool:
    """Say whether the subscriber has left by the definition: explicitly, or by silence for the whole horizon."""
    if facts.life != Life.HERE:
        return True
    return label.inactivity and at_ms - last_revenue_ms(facts) >= label.horizon_days * DAY_MS


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
) -> None:
    """Remember the features and the score as served, until the outcome is known; the oldest gives way to the bound."""
    watch.snapshot_at_ms, watch.first_revenue_ms = at_ms, 0
    packed = _doubles(len(features)).pack(*features)
    snapshot = PendingSnapshot(at_ms, packed, table, watch.probability, model_version, treated=treated, band=band)
    watch.pending.append(snapshot)
    if len(watch.pending) > PENDING_MAX:
        del watch.pending[0]


def note_revenue(watch: Watch, at_ms: int) -> None:
    """Remember, for each waiting snapshot, its first revenue event; called in any order of events."""
    for snapshot in reversed(watch.pending):
        if snapshot.at_ms >= at_ms:
            continue
        if 0 < snapshot.first_revenue_ms <= at_ms:
            break
        snapshot.first_revenue_ms = at_ms
    _keep_newest_at_hand(watch)


def note_treatment(watch: Watch, treated: int, at_ms: int) -> None:
    """Remember that something was done at a time about every snapshot before it; the most that was done counts."""
    for snapshot in watch.pending:
        if snapshot.at_ms < at_ms and snapshot.treated < treated:
            snapshot.treated = treated


def tell_early(watch: Watch, subscriber_id: str, at_ms: int, label: LabelPolicy) -> tuple[LabelledExample, ...]:
    """Return a provisional example of each waiting snapshot whose first `surrogate_days` are over, once.

    Silence through all of them stands for leaving.  Bugajev et al. 2025 predict prepaid churn of 90 days from labels
    of 40; what it costs where nobody corrects it is in the decision record on the times of labels.
    """
    surrogate_ms = label.surrogate_days * DAY_MS
    told = []
    for snapshot in watch.pending:
        known_ms = snapshot.at_ms + surrogate_ms
        if snapshot.told or not surrogate_ms or known_ms >= at_ms:
            continue
        is_silent = label.inactivity and not 0 < snapshot.first_revenue_ms <= known_ms
        snapshot.told = PROVISIONAL_LABELS.index(is_silent)
        kind: LabelKind = "inactivity" if is_silent else "stayed"
        told.append(_example(subscriber_id, snapshot, kind, known_ms, known_ms, provisional=True))
    return tuple(told)


def settle_at_leaving(
    watch: Watch, subscriber_id: str, at_ms: int, life: Life, label: LabelPolicy
) -> tuple[LabelledExample, ...]:
    """Settle the snapshots whose horizon covers an explicit leaving at `at_ms`; involuntary leaving censors them."""
    horizon_ms = label.horizon_days * DAY_MS
    covered = [s for s in watch.pending if s.at_ms < at_ms <= s.at_ms + horizon_ms]
    if not label.explicit or not covered:
        return ()
    watch.pending = [s for s in watch.pending if not s.at_ms < at_ms <= s.at_ms + horizon_ms]
    _keep_newest_at_hand(watch)
    kind = EXPLICIT_KINDS.get(life)
    if kind is None:
        return ()
    return tuple(_example(subscriber_id, s, kind, at_ms, s.at_ms + horizon_ms) for s in covered)


def settle_closed(
    watch: Watch, subscriber_id: str, at_ms: int, label: LabelPolicy, band_now: int = HIGH_BAND
) -> tuple[LabelledExample, ...]:
    """Settle the snapshots whose horizon has closed by `at_ms`: inactive through all of it, worth less, or stayed.

    `band_now` is the value band at `at_ms`; it is looked at only where a loss of value counts as leaving.
    """
    horizon_ms = label.horizon_days * DAY_MS
    pending = watch.pending
    count = 0
    while count < len(pending) and pending[count].at_ms + horizon_ms < at_ms:
        count += 1
    if not count:
        return ()
    settled = []
    for snapshot in pending[:count]:
        closed_ms, first_ms = snapshot.at_ms + horizon_ms, snapshot.first_revenue_ms
        if label.inactivity and not 0 < first_ms <= closed_ms:
            settled.append(_example(subscriber_id, snapshot, "inactivity", closed_ms, closed_ms))
        elif label.value_loss and snapshot.band == HIGH_BAND and band_now == LOW_BAND:
            settled.append(_example(subscriber_id, snapshot, "value_loss", closed_ms, closed_ms))
        else:
            knowable_ms = closed_ms if label.explicit or label.value_loss else first_ms
            settled.append(_example(subscriber_id, snapshot, "stayed", knowable_ms, closed_ms))
    del pending[:count]
    _keep_newest_at_hand(watch)
    return tuple(settled)


def _keep_newest_at_hand(watch: Watch) -> None:
    watch.first_revenue_ms = watch.pending[-1].first_revenue_ms if watch.pending else 0


@cache
def _doubles(count: int) -> Struct:
    return Struct(f"<{count}d")


def _example(
    subscriber_id: str,
    snapshot: PendingSnapshot,
    kind: LabelKind,
    knowable_at_ms: int,
    closed_at_ms: int,
    *,
    provisional: bool = False,
) -> LabelledExample:
    key = f"{subscriber_id}|{snapshot.at_ms}"
    digest = blake2b(key.encode(), digest_size=16).hexdigest()
    return LabelledExample(
        example_id=f"{'p' if provisional else 'e'}_{digest}",
        subscriber_id=subscriber_id,
        snapshot_at_ms=snapshot.at_ms,
        features=_doubles(len(snapshot.features) // 8).unpack(snapshot.features),
        feature_table=snapshot.feature_table,
        label=kind != "stayed",
        kind=kind,
        knowable_at_ms=knowable_at_ms,
        closed_at_ms=closed_at_ms,
        probability=snapshot.probability,
        model_version=snapshot.model_version,
        treatment=TREATMENTS[snapshot.treated],
        provisional=provisional,
        corrects=None if provisional else PROVISIONAL_LABELS[snapshot.told],
    )

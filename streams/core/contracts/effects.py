"""What the core asks of the world: the only things `step` returns beside the state.

Most effects are whole.  A draft lacks what a waiting snapshot holds: snapshots lie in a store, and the core reads none.
Whoever calls `step` reads the snapshot that the draft names, and `core.snapshots` makes the whole effect of both.
"""

from typing import Literal, final

from msgspec import Struct

from streams.core.contracts.source import SourceNumber

DeadLetterReason = Literal[
    "not_json", "unknown_topic", "missing_field", "unknown_field", "wrong_type", "out_of_range", "bad_time",
    "bad_period", "future_time", "too_large", "empty",
]  # fmt: skip
AlertStateName = Literal["inactive", "pending", "firing", "resolved"]
AlertChange = Literal["opened", "fired", "worsened", "eased", "restaged", "dropped", "resolved"]
Stage = Literal["requested", "at_risk", "lapsed"]
"""How far it has come: the subscriber has asked to leave, may leave, or has gone quiet beyond the own habit."""
WhyCode = Literal[
    "threshold_reached", "threshold_reached_again", "hold_time_elapsed", "fell_below_opening", "fell_below_closing",
    "left_before_hold_time", "consent_withdrawn", "band_rose", "band_fell", "clear_time_elapsed", "subscriber_left",
    "leave_requested", "request_ended", "silent_beyond_habit", "used_again",
]  # fmt: skip
"""Why an alert changed; `codes.WHYS` has the sentence of each."""
ActionCode = Literal[
    "offer_fitting_plan", "offer_payment_help", "offer_renewal", "report_repair", "review_plan", "offer_to_stay",
    "offer_win_back",
]  # fmt: skip
"""What the default policy asks people to do; `codes.ACTIONS` has the sentence of each."""
RiskBand = Literal["low", "medium", "high", "critical"]
ValueBand = Literal["low", "mid", "high"]
ChurnKind = Literal["natural", "involuntary", "competitive", "service_fault", "value_loss"]
LabelKind = Literal["port_out", "termination", "inactivity", "value_loss", "stayed"]
Treatment = Literal["none", "alerted", "contacted", "held_out"]


@final
class DeadLetter(Struct, frozen=True, gc=False):
    """A record that cannot be used: where it stood, why, its raw bytes, and what a log knows beside them.

    `key` is the record's own, None where it had none; `redrives` counts how often it was sent again before.
    """

    topic: str
    partition: int
    offset: int
    reason: DeadLetterReason
    detail: str
    value: bytes
    key: bytes | None = None
    redrives: int = 0


@final
class LateEvent(Struct, frozen=True, gc=False):
    """An event older than the lateness horizon allows: counted and kept out of the state."""

    subscriber_id: str
    topic: str
    partition: int
    offset: int
    event_id: str
    at_ms: int
    late_by_s: int


class Evidence(Struct, frozen=True, gc=False):
    """The measurement behind a reason: its value now, the subscriber's own usual one, and over which window."""

    measure: str
    unit: str
    value: float
    baseline: float | None
    window_days: int | None


class Reason(Struct, frozen=True, gc=False):
    """One theme's share of the logit, with the feature contributions that add up to it.

    `change` is how much more the share is than at `since_ms`, when the newest waiting snapshot was taken, both under
    the scorer that serves now; None where none was waiting.
    """

    code: str
    theme: str
    contribution: float
    features: dict[str, float]
    evidence: tuple[Evidence, ...]
    change: float | None = None
    since_ms: int | None = None


@final
class AlertChanged(Struct, frozen=True, gc=False):
    """One transition of one alert, carrying everything that a person or a replay needs to understand it.

    `why_code` and `action_code` say what `why` and `action` say; None stands for a sentence without a code, such as an
    action of the operator's own.
    """

    alert_id: str
    transition_id: str
    subscriber_id: str
    kind: ChurnKind
    episode: int
    state: AlertStateName
    change: AlertChange
    why: str
    at_ms: int
    opened_at_ms: int
    probability: float
    logit: float
    intercept: float
    threshold: float
    band: RiskBand
    value_band: ValueBand
    value_at_risk_minor: int
    currency: str
    reasons: tuple[Reason, ...]
    action: str
    due_at_ms: int
    model_version: str
    feature_table: str
    policy_version: str
    schema_version: str
    offsets: dict[SourceNumber, int]
    account_manager_id: str | None
    group_id: str | None
    area_id: str | None
    signals_version: str | None = None
    held_out: bool = False
    contact_allowed: bool = True
    why_code: WhyCode | None = None
    action_code: ActionCode | None = None
    stage: Stage = "at_risk"


@final
class LabelledExample(Struct, frozen=True, gc=False):
    """A past snapshot whose outcome is settled: the features as served, the label, and when it could be known.

    `treatment` is the most that was done about the subscriber until then.  A `provisional` one says before the horizon
    has closed what its first days showed; the final one of the same snapshot, which alone is judged, has the label that
    was told then in `corrects`.
    """

    example_id: str
    subscriber_id: str
    snapshot_at_ms: int
    features: tuple[float, ...]
    feature_table: str
    label: bool
    kind: LabelKind
    knowable_at_ms: int
    closed_at_ms: int
    probability: float
    model_version: str
    treatment: Treatment = "none"
    provisional: bool = False
    corrects: bool | None = None


class RepeatedEvent(Struct, frozen=True, gc=False):
    """The event was applied before, or another with its id was: nothing changed."""


class UnmatchedLeaving(Struct, frozen=True, gc=False):
    """A leaving settled nothing: nobody by that name was known, or no score was waiting for its outcome."""


Effect = LateEvent | AlertChanged | LabelledExample | RepeatedEvent | UnmatchedLeaving
"""What happened, whole."""


@final
class SnapshotTaken(Struct, frozen=True, gc=False):
    """A snapshot that waits for its outcome from now on: it has to be kept until a draft or a drop ends its wait."""

    at_ms: int
    body: bytes


@final
class SnapshotDropped(Struct, frozen=True, gc=False):
    """A snapshot that nobody waits for any more, and of which no example is made."""

    at_ms: int


@final
class ExampleDraft(Struct, frozen=True, gc=False):
    """A labelled example without what its snapshot holds; one that is not `provisional` ends the snapshot's wait.

    `is_worth_less` says that the subscriber is in the lowest value band now, where that counts as leaving: the kind is
    then "value_loss" if the snapshot was taken in the highest.
    """

    at_ms: int
    kind: LabelKind
    knowable_at_ms: int
    closed_at_ms: int
    treatment: Treatment
    corrects: bool | None
    provisional: bool
    is_worth_less: bool


@final
class AlertDraft(Struct, frozen=True, gc=False):
    """A transition whose reasons do not say yet what has changed since the newest waiting snapshot, of `since_ms`.

    `shares` are what the features add to the logit now.
    """

    changed: AlertChanged
    since_ms: int
    shares: tuple[float, ...]


Draft = ExampleDraft | AlertDraft
StepEffect = Effect | SnapshotTaken | SnapshotDropped | Draft
"""What `step` returns; the engine keeps and drops snapshots and finishes drafts, and hands on `Effect` alone."""

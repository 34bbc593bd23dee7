"""What is remembered of one subscriber: plain data, versioned, packed with msgpack.

`Facts` is what the events add up to and depends on nothing but the set of accepted events; `Watch` is where
the scoring, the alert and the label queue stand and depends on when the state was woken.  Both are working
copies that the core changes in place; `pack` and `unpack` are the border.
"""

from array import array
from itertools import accumulate
from operator import sub
from typing import Final, TypeVar

import msgspec
from msgspec import Struct, field

from streams.core.effects import AlertStateName, ChurnKind, RiskBand
from streams.core.usage_days import parted

V = TypeVar("V")

STATE_VERSION: Final = 1
DAY_MS: Final = 86_400_000
NEVER_MS: Final = 2**62
"""Later than any event."""

USAGE_DAYS: Final = 42
"""Day buckets kept for usage: two windows of 14 days, a 30-day denominator, and the lateness horizon."""

RARE_DAYS: Final = 70
"""Days kept for top-ups, failed calls and complaints: two windows of 30 days and the lateness horizon."""

FORGETTING_DAYS: Final = 7
"""What is out of every window is dropped once in so many days, on days that the calendar fixes: when a subscriber's
events come in does not decide what is kept."""

IDS_MAX: Final = 512
TICKETS_MAX: Final = 16
"""Of more tickets, open or settled, those are kept of which the newest snapshot is the newest, whatever the order of
arrival.  A rule that let an open ticket go before a settled one could not be kept in any order: what settles later
makes room for what was forgotten before."""

PENDING_MAX: Final = 64

PLANES_MAX: Final = 255
AGES: Final = 9
_NO_DAYS: Final = array("Q", bytes(8 * USAGE_DAYS))
_BLANK: Final = bytes(USAGE_DAYS)


class Profile(Struct, array_like=True, gc=False, frozen=True):
    """The part of the newest `subscribers` record that is used; codes are indices, money is minor units."""

    at_ms: int
    status: int
    payment: int
    segment: int
    monthly_fee_minor: int
    currency: str
    start_ms: int
    contract_end_ms: int
    flags: int
    account_manager_id: str | None
    group_id: str | None
    area_id: str | None


class Ticket(Struct, array_like=True, gc=False, frozen=True):
    """The newest known snapshot of one complaint: when it was taken, opened and due (0 = no date)."""

    at_ms: int
    is_open: bool
    created_ms: int
    due_ms: int
    reopened: int


class Facts(Struct, gc=False):
    """Everything that the accepted events add up to; the same for every interleaving of them.

    `days` holds the last `USAGE_DAYS` days of usage up to `usage_day`, each as one number (`usage_days.py`), the n-th
    day since 1970 at n modulo `USAGE_DAYS`.  The rows of top-ups, failed calls and complaints lie one after the other,
    in one array each.  What every event needs stands first, in few cache lines.
    """

    first_ms: int
    newest_ms: int
    usage_day: int = 0
    days: "array[int]" = field(default_factory=lambda: array("Q", _NO_DAYS))
    revisions: dict[int, int] = field(default_factory=dict)
    offsets: dict[int, int] = field(default_factory=dict)
    last_active_ms: int = 0
    answered_total: int = 0
    voice_s_total: int = 0
    data_level_total: int = 0
    usage_days_total: int = 0
    first_usage_day: int = 0
    dropped_total: int = 0
    top_ups_total: int = 0
    top_up_days_total: int = 0
    amount_minor_total: int = 0
    complaints_total: int = 0
    top_ups: "array[int]" = field(default_factory=lambda: array("q"))
    failed_calls: "array[int]" = field(default_factory=lambda: array("q"))
    complaints: "array[int]" = field(default_factory=lambda: array("q"))
    first_top_up_ms: int = 0
    last_top_up_ms: int = 0
    last_failed_top_up_ms: int = 0
    last_drop_ms: int = 0
    last_complaint_ms: int = 0
    currency: str = ""
    profile: Profile | None = None
    tickets: dict[int, Ticket] = field(default_factory=dict)
    life_at_ms: int = 0
    life: int = 0
    asked_at_ms: int = 0
    asked: bool = False
    recent_ids: dict[int, int] = field(default_factory=dict)

    @property
    def days_in_order(self) -> "array[int]":
        """The days of usage, the newest last."""
        oldest = (self.usage_day + 1) % USAGE_DAYS
        return self.days[oldest:] + self.days[:oldest]

    @property
    def voice_s(self) -> list[int]:
        """Answered seconds by day, the newest last."""
        return [parted(day)[0] for day in self.days_in_order]

    @property
    def answered(self) -> list[int]:
        """Answered calls by day, the newest last."""
        return [parted(day)[1] for day in self.days_in_order]

    @property
    def data_level(self) -> list[int]:
        """Data level by day, the newest last."""
        return [parted(day)[2] for day in self.days_in_order]

    @property
    def active_days(self) -> int:
        """Days with activity as bits, the newest lowest."""
        return sum(parted(day)[3] << age for age, day in enumerate(reversed(self.days_in_order)))


class AlertState(Struct, array_like=True, gc=False, frozen=True):
    """Where the subscriber's alert stands; times are event times in ms, 0 where nothing happened yet.

    A firing one has been in lower bands than its `band` since `lower_since_ms`, the highest of them `lower_band`.  The
    last two are new: an alert that was packed without them has not been in a lower band.
    """

    state: AlertStateName = "inactive"
    episode: int = 0
    kind: ChurnKind = "natural"
    band: RiskBand = "low"
    opened_at_ms: int = 0
    below_since_ms: int = 0
    cool_until_ms: int = 0
    lower_since_ms: int = 0
    lower_band: RiskBand = "low"


class Pending(Struct, array_like=True, gc=False):
    """A snapshot that waits for its outcome: the features as served (packed doubles) and the score that was served.

    `treated` and `told` are places in `TREATMENTS` and `TOLD`, `band` is the value band at the snapshot.  The last
    three are new: a snapshot that was packed without them has zeros.
    """

    at_ms: int
    features: bytes
    feature_table: str
    probability: float
    model_version: str
    first_revenue_ms: int = 0
    treated: int = 0
    told: int = 0
    band: int = 0


INACTIVE: Final = AlertState()


class Watch(Struct, gc=False):
    """Where scoring, the alert and the label queue of one subscriber stand.

    `first_revenue_ms` is that of the newest waiting snapshot, at hand for every event.
    """

    next_wake_ms: int = 0
    scored_at_ms: int = 0
    snapshot_at_ms: int = 0
    probability: float = 0.0
    alert: AlertState = INACTIVE
    pending: list[Pending] = field(default_factory=list)
    first_revenue_ms: int = 0


class SubscriberState(Struct, gc=False):
    """One subscriber: facts and watch."""

    facts: Facts
    watch: Watch


class _Packed(Struct, array_like=True, gc=False):
    """The wire form of a state: one msgpack array, the version and the wake that it asks for first."""

    version: int
    next_wake_ms: int
    newest_ms: int
    usage_day: int
    planes: int
    days: bytes
    revisions: dict[int, int]
    top_ups: list[int]
    failed_calls: list[int]
    complaints: list[int]
    totals: tuple[int, int, int, int, int, int, int, int, int, int]
    ages: list[int | None]
    currency: str
    profile: Profile | None
    tickets: dict[int, Ticket]
    life_at_ms: int
    life: int
    asked_at_ms: int
    asked: bool
    recent_ids: dict[int, int]
    offsets: dict[int, int]
    probability: float
    alert: AlertState | None
    pending: list[Pending]


class _Head(Struct, array_like=True, gc=False):
    """What stands first in a packed state."""

    version: int
    next_wake_ms: int


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Packed).decode
_decode_head: Final = msgspec.msgpack.Decoder(_Head).decode


class UnreadableStateError(ValueError):
    """A packed state is damaged or of a version that this program does not know."""


def new_state(at_ms: int) -> SubscriberState:
    """Return the state of a subscriber first heard of at `at_ms`.

    >>> new_state(5).facts.newest_ms
    5
    """
    return SubscriberState(Facts(at_ms, at_ms), Watch())


def pack(state: SubscriberState) -> bytes:
    """Return the state as bytes; equal states give equal bytes.

    >>> unpack(pack(new_state(86_400_000))) == new_state(86_400_000)
    True
    """
    f, w = state.facts, state.watch
    newest_ms = f.newest_ms
    planes, days = _planes(f.days)
    times = (
        f.first_ms, f.first_top_up_ms, f.last_top_up_ms, f.last_failed_top_up_ms, f.last_active_ms, f.last_drop_ms,
        f.last_complaint_ms, w.scored_at_ms, w.snapshot_at_ms,
    )  # fmt: skip
    return _encode(
        _Packed(
            STATE_VERSION, w.next_wake_ms, newest_ms, f.usage_day, planes, days, _sorted(f.revisions),
            _columns(f.top_ups, 4), _columns(f.failed_calls, 3), _columns(f.complaints, 2),
            (f.answered_total, f.voice_s_total, f.data_level_total, f.usage_days_total, f.first_usage_day,
             f.dropped_total, f.top_ups_total, f.top_up_days_total, f.amount_minor_total, f.complaints_total),
            [newest_ms - time_ms if time_ms else None for time_ms in times],
            f.currency, f.profile, _sorted(f.tickets), f.life_at_ms, f.life,
            f.asked_at_ms, f.asked, _sorted(f.recent_ids), _sorted(f.offsets),
            w.probability, None if w.alert == INACTIVE else w.alert,
            w.pending,
        )
    )  # fmt: skip


def unpack(packed: bytes) -> SubscriberState:
    """Return the state that `pack` wrote.

    Raises:
        UnreadableStateError: the bytes are no state, or one of another version.
    """
    try:
        p = _decode(packed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableStateError(f"not a packed state: {error}") from error
    if p.version != STATE_VERSION:
        raise UnreadableStateError(f"state version {p.version}, this program reads {STATE_VERSION}")
    rows_are_whole = not (len(p.top_ups) % 4 or len(p.failed_calls) % 3 or len(p.complaints) % 2)
    days_are_whole = 0 <= p.planes <= PLANES_MAX and len(p.days) == p.planes.bit_count() * USAGE_DAYS
    if not rows_are_whole or not days_are_whole or len(p.ages) != AGES:
        raise UnreadableStateError("not a packed state: its days do not add up")
    times = [0 if age_ms is None else p.newest_ms - age_ms for age_ms in p.ages]
    first_ms, first_top_up_ms, last_top_up_ms, failed_ms, active_ms, drop_ms, complaint_ms, scored_ms, kept_ms = times
    facts = Facts(
        first_ms, p.newest_ms, p.usage_day, _days(p.planes, p.days), p.revisions, p.offsets, active_ms, *p.totals,
        _rows(p.top_ups, 4), _rows(p.failed_calls, 3), _rows(p.complaints, 2),
        first_top_up_ms, last_top_up_ms, failed_ms, drop_ms, complaint_ms, p.currency, p.profile, p.tickets,
        p.life_at_ms, p.life, p.asked_at_ms, p.asked, p.recent_ids,
    )  # fmt: skip
    first_revenue_ms = p.pending[-1].first_revenue_ms if p.pending else 0
    watch = Watch(p.next_wake_ms, scored_ms, kept_ms, p.probability, p.alert or INACTIVE, p.pending, first_revenue_ms)
    return SubscriberState(facts, watch)


def _sorted(values: dict[int, V]) -> dict[int, V]:
    if len(values) < 2:
        return values
    in_order = sorted(values)
    return values if in_order == list(values) else {number: values[number] for number in in_order}


def next_wake_ms(packed: bytes) -> int:
    """Return the wake that a packed state asks for (0 = none), without unpacking the rest of it.

    Raises:
        UnreadableStateError: the bytes are no state, or one of another version.

    >>> next_wake_ms(pack(new_state(5)))
    0
    """
    try:
        head = _decode_head(packed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableStateError(f"not a packed state: {error}") from error
    if head.version != STATE_VERSION:
        raise UnreadableStateError(f"state version {head.version}, this program reads {STATE_VERSION}")
    return head.next_wake_ms


def _planes(days: "array[int]") -> tuple[int, bytes]:
    """Return the days as their byte planes, the lowest first, without those that are all zero, and which there are.

    Most days are small numbers in wide fields: three planes of eight are blank as a rule.
    """
    raw = days.tobytes()
    there, kept = 0, []
    for i in range(8):
        plane = raw[i::8]
        if plane != _BLANK:
            there |= 1 << i
            kept.append(plane)
    return there, b"".join(kept)


def _days(planes: int, kept: bytes) -> "array[int]":
    """Return the days of which `_planes` made the planes."""
    raw, at = bytearray(8 * USAGE_DAYS), 0
    for i in range(8):
        if planes >> i & 1:
            raw[i::8] = kept[at : at + USAGE_DAYS]
            at += USAGE_DAYS
    return array("Q", bytes(raw))


def _columns(rows: "array[int]", width: int) -> list[int]:
    """Return the rows column by column, the days as distances from the one before: one byte instead of three."""
    if not rows:
        return []
    values = rows.tolist()
    days = values[::width]
    columns = [days[0], *map(sub, days[1:], days)]
    for i in range(1, width):
        columns += values[i::width]
    return columns


def _rows(columns: list[int], width: int) -> "array[int]":
    """Return the rows of which `_columns` made the columns."""
    count = len(columns) // width
    rows = array("q", bytes(8 * len(columns)))
    try:
        rows[::width] = array("q", accumulate(columns[:count]))
        for i in range(1, width):
            rows[i::width] = array("q", columns[i * count : (i + 1) * count])
    except OverflowError as error:
        raise UnreadableStateError("not a packed state: a number that no row can hold") from error
    return rows

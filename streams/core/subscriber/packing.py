"""A state as bytes and back: days in planes, rows in columns, times as distances, one msgpack array."""

import struct
from array import array
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Final, TypeVar, cast

import msgspec

from streams.core.subscriber.facts import PENDING_WIDTH, Facts, SubscriberState, Times, Totals, Watch
from streams.core.subscriber.state import (
    COMPLAINT_WIDTH,
    FAILED_CALL_WIDTH,
    INACTIVE,
    STATE_VERSION,
    TOP_UP_WIDTH,
    USAGE_DAYS,
    PackedHead,
    PackedState,
    PendingSnapshot,
)
from streams.core.times import UNSET_MS, DayNumber, EventMs

K = TypeVar("K", bound=int)
V = TypeVar("V")

PLANES_MAX: Final = 255
_WATCH_PLACE: Final = 7
"""Among the ages, the two times of the watch stand behind the first seven of `Times`; those that are newer follow."""
AGES_MIN: Final = _WATCH_PLACE + 2
AGES_MAX: Final = len(fields(Times)) + 2
TOTALS_MAX: Final = len(fields(Totals))
_BLANK: Final = bytes(USAGE_DAYS)

_times_of: Final = attrgetter(*[field.name for field in fields(Times)])
_totals_of: Final = attrgetter(*[field.name for field in fields(Totals)])
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(PackedState).decode
_decode_head: Final = msgspec.msgpack.Decoder(PackedHead).decode


class UnreadableStateError(ValueError):
    """A packed state is damaged or of a version that this program does not know."""


def pack(state: SubscriberState) -> bytes:
    """Return the state as bytes; equal states give equal bytes.

    >>> from streams.core.subscriber.facts import new_state
    >>> unpack(pack(new_state(86_400_000))) == new_state(86_400_000)
    True
    """
    f, w = state.facts, state.watch
    newest_ms = f.newest_ms
    planes, days = _planes(f.days)
    times = _times_of(f.times)
    moments = (*times[:_WATCH_PLACE], w.scored_at_ms, w.snapshot_at_ms, *times[_WATCH_PLACE:])
    return _encode(
        PackedState(
            version=STATE_VERSION,
            next_wake_ms=w.next_wake_ms,
            newest_ms=newest_ms,
            usage_day=f.usage_day,
            planes=planes,
            days=days,
            revisions=_sorted(f.revisions),
            top_ups=_columns(f.top_ups, TOP_UP_WIDTH),
            failed_calls=_columns(f.failed_calls, FAILED_CALL_WIDTH),
            complaints=_columns(f.complaints, COMPLAINT_WIDTH),
            totals=_totals_of(f.totals),
            ages=[newest_ms - moment_ms if moment_ms else None for moment_ms in moments],
            currency=f.currency,
            profile=f.profile,
            tickets=_sorted(f.tickets),
            life_at_ms=f.life_at_ms,
            life=f.life,
            asked_at_ms=f.asked_at_ms,
            asked=f.asked,
            recent_ids=_sorted(f.recent_ids),
            offsets=_sorted(f.offsets),
            probability=w.probability,
            alert=None if w.alert == INACTIVE else w.alert,
            pending=_hollow(w.pending),
        )
    )


def unpack(packed: bytes) -> SubscriberState:
    """Return the state that `pack` wrote; of one of before, without what its snapshots hold (`unpack_whole` has it).

    Raises:
        UnreadableStateError: the bytes are no state, or one of another version.
    """
    return unpack_whole(packed)[0]


def unpack_whole(packed: bytes) -> tuple[SubscriberState, list[PendingSnapshot]]:
    """Return the state that `pack` wrote, and the snapshots that one of before has in it, not beside it.

    Raises:
        UnreadableStateError: the bytes are no state, or one of another version.
    """
    try:
        p = _decode(packed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableStateError(f"not a packed state: {error}") from error
    if p.version != STATE_VERSION:
        raise UnreadableStateError(f"state version {p.version}, this program reads {STATE_VERSION}")
    rows_are_whole = not (
        len(p.top_ups) % TOP_UP_WIDTH or len(p.failed_calls) % FAILED_CALL_WIDTH or len(p.complaints) % COMPLAINT_WIDTH
    )
    days_are_whole = 0 <= p.planes <= PLANES_MAX and len(p.days) == p.planes.bit_count() * USAGE_DAYS
    numbers_fit = AGES_MIN <= len(p.ages) <= AGES_MAX and len(p.totals) <= TOTALS_MAX
    if not rows_are_whole or not days_are_whole or not numbers_fit:
        raise UnreadableStateError("not a packed state: its days do not add up")
    moments = [UNSET_MS if age_ms is None else EventMs(p.newest_ms - age_ms) for age_ms in p.ages]
    scored_at_ms, snapshot_at_ms = moments[_WATCH_PLACE:AGES_MIN]
    facts = Facts(
        newest_ms=p.newest_ms,
        times=Times(*moments[:_WATCH_PLACE], *moments[AGES_MIN:]),
        totals=Totals(*cast("tuple[DayNumber, ...]", p.totals)),  # Some are days, the others any number.
        usage_day=p.usage_day,
        days=_days(p.planes, p.days),
        revisions=p.revisions,
        offsets=p.offsets,
        top_ups=_rows(p.top_ups, TOP_UP_WIDTH),
        failed_calls=_rows(p.failed_calls, FAILED_CALL_WIDTH),
        complaints=_rows(p.complaints, COMPLAINT_WIDTH),
        currency=p.currency,
        profile=p.profile,
        tickets=p.tickets,
        life_at_ms=p.life_at_ms,
        life=p.life,
        asked_at_ms=p.asked_at_ms,
        asked=p.asked,
        recent_ids=p.recent_ids,
    )
    waiting: list[int] = []
    for pending in p.pending:
        waiting += (pending.at_ms, pending.first_revenue_ms, pending.treated, pending.told)
    watch = Watch(
        next_wake_ms=p.next_wake_ms,
        scored_at_ms=scored_at_ms,
        snapshot_at_ms=snapshot_at_ms,
        probability=p.probability,
        alert=p.alert or INACTIVE,
        pending=_array(waiting),
        first_revenue_ms=p.pending[-1].first_revenue_ms if p.pending else 0,
    )
    return SubscriberState(facts, watch), [pending for pending in p.pending if pending.features]


def _hollow(rows: "array[int]") -> list[PendingSnapshot]:
    """Return the waiting snapshots as a state has them: without what they hold."""
    return [
        PendingSnapshot(rows[i], b"", "", 0.0, "", rows[i + 1], rows[i + 2], rows[i + 3])
        for i in range(0, len(rows), PENDING_WIDTH)
    ]


def _sorted(values: dict[K, V]) -> dict[K, V]:
    if len(values) < 2:
        return values
    in_order = sorted(values)
    return values if in_order == list(values) else {number: values[number] for number in in_order}


def next_wake_ms(packed: bytes) -> int:
    """Return the wake that a packed state asks for (0 = none), without unpacking the rest of it.

    Raises:
        UnreadableStateError: the bytes are no state, or one of another version.

    >>> from streams.core.subscriber.facts import new_state
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
    values, before = rows.tolist(), 0
    count = len(values) // width
    columns = values.copy()
    for i in range(count):
        day = values[i * width]
        columns[i] = day - before
        before = day
        for j in range(1, width):
            columns[j * count + i] = values[i * width + j]
    return columns


def _rows(columns: list[int], width: int) -> "array[int]":
    """Return the rows of which `_columns` made the columns."""
    if not columns:
        return array("q")
    values, day = columns.copy(), 0
    count = len(columns) // width
    for i in range(count):
        day += columns[i]
        values[i * width] = day
        for j in range(1, width):
            values[i * width + j] = columns[j * count + i]
    return _array(values)


def _array(values: list[int]) -> "array[int]":
    try:
        return array("q", _numbers(len(values)).pack(*values))  # Twice as fast as of the list itself.
    except struct.error as error:
        raise UnreadableStateError("not a packed state: a number that no row can hold") from error


@cache
def _numbers(count: int) -> struct.Struct:
    return struct.Struct(f"={count}q")

"""A state as bytes and back: days in planes, rows in columns, times as distances, one msgpack array."""

import struct
from array import array
from functools import cache
from typing import Final, TypeVar

import msgspec

from streams.core.subscriber.facts import PENDING_WIDTH, Facts, SubscriberState, Watch
from streams.core.subscriber.state import INACTIVE, STATE_VERSION, USAGE_DAYS, PackedHead, PackedState, PendingSnapshot

K = TypeVar("K", bound=int)
V = TypeVar("V")

PLANES_MAX: Final = 255
AGES: Final = 9
_BLANK: Final = bytes(USAGE_DAYS)

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
    times = (
        f.first_ms, f.first_top_up_ms, f.last_top_up_ms, f.last_failed_top_up_ms, f.last_active_ms, f.last_drop_ms,
        f.last_complaint_ms, w.scored_at_ms, w.snapshot_at_ms,
    )  # fmt: skip
    return _encode(
        PackedState(
            STATE_VERSION, w.next_wake_ms, newest_ms, f.usage_day, planes, days, _sorted(f.revisions),
            _columns(f.top_ups, 4), _columns(f.failed_calls, 3), _columns(f.complaints, 2),
            (f.answered_total, f.voice_s_total, f.data_level_total, f.usage_days_total, f.first_usage_day,
             f.dropped_total, f.top_ups_total, f.top_up_days_total, f.amount_minor_total, f.complaints_total),
            [newest_ms - time_ms if time_ms else None for time_ms in times],
            f.currency, f.profile, _sorted(f.tickets), f.life_at_ms, f.life,
            f.asked_at_ms, f.asked, _sorted(f.recent_ids), _sorted(f.offsets),
            w.probability, None if w.alert == INACTIVE else w.alert,
            _hollow(w.pending),
        )
    )  # fmt: skip


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
    rows_are_whole = not (len(p.top_ups) % 4 or len(p.failed_calls) % 3 or len(p.complaints) % 2)
    days_are_whole = 0 <= p.planes <= PLANES_MAX and len(p.days) == p.planes.bit_count() * USAGE_DAYS
    if not rows_are_whole or not days_are_whole or len(p.ages) != AGES:
        raise UnreadableStateError("not a packed state: its days do not add up")
    times = [0 if age_ms is None else p.newest_ms - age_ms for age_ms in p.ages]
    first_ms, first_top_up_ms, last_top_up_ms, failed_ms, active_ms, drop_ms, complaint_ms, scored_ms, kept_ms = times
    answered, voice_s, level, days, first_day, dropped, top_ups, top_up_days, minor, complaints = p.totals
    facts = Facts(
        first_ms, p.newest_ms, p.usage_day, _days(p.planes, p.days), p.revisions, p.offsets, active_ms,
        answered, voice_s, level, days, first_day, dropped, top_ups, top_up_days, minor, complaints,
        _rows(p.top_ups, 4), _rows(p.failed_calls, 3), _rows(p.complaints, 2),
        first_top_up_ms, last_top_up_ms, failed_ms, drop_ms, complaint_ms, p.currency, p.profile, p.tickets,
        p.life_at_ms, p.life, p.asked_at_ms, p.asked, p.recent_ids,
    )  # fmt: skip
    waiting: list[int] = []
    for pending in p.pending:
        waiting += (pending.at_ms, pending.first_revenue_ms, pending.treated, pending.told)
    first_revenue_ms = p.pending[-1].first_revenue_ms if p.pending else 0
    watch = Watch(
        p.next_wake_ms, scored_ms, kept_ms, p.probability, p.alert or INACTIVE, _array(waiting), first_revenue_ms
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

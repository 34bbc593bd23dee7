"""Hop 2: bytes to an event, or to a dead letter that says why not.

Beyond what the schemas can say, four rules hold: an event may not lie more than a day ahead of the moment
it was received, a usage summary covers one day (23 to 25 hours, for the change of clocks) and is dated by
its end, nothing in a market ends before it begins, and a record holds at most `VALUE_BYTES_MAX`.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from streams.core.contracts.effects import DeadLetter, DeadLetterReason
from streams.core.contracts.events import (
    BROADCASTS,
    INPUTS,
    Body,
    BroadcastEvent,
    Event,
    MarketEvent,
    Record,
    Usage,
)
from streams.core.contracts.source import TOPIC_NUMBERS, source_at
from streams.core.contracts.validation import refusal, without_values
from streams.core.times import DAY_MS, EventMs

AHEAD_MS_MAX: Final = DAY_MS
VALUE_BYTES_MAX: Final = 1 << 20
PERIOD_MIN: Final = timedelta(hours=23)
PERIOD_MAX: Final = timedelta(hours=25)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_READERS: Final[dict[str, tuple[Callable[[bytes], Body], int]]] = {
    topic: (msgspec.json.Decoder(struct).decode, TOPIC_NUMBERS[topic]) for topic, struct in INPUTS.items()
}
"""For each topic what reads a value, and its number."""
_NOTICE_READERS: Final[dict[str, Callable[[bytes], MarketEvent]]] = {
    topic: msgspec.json.Decoder(struct).decode for topic, struct in BROADCASTS.items()
}
_any_json: Final = msgspec.json.Decoder().decode


def epoch_ms(moment: datetime) -> EventMs:
    """Return milliseconds since 1970-01-01 UTC, whole and exact, of a time with an offset.

    >>> epoch_ms(datetime(1970, 1, 2, tzinfo=UTC))
    86400000
    """
    since = moment - _EPOCH  # Dividing it by a millisecond would cost as much as half of reading a record.
    # The call of a NewType would cost this function a quarter of its time.
    return since.days * DAY_MS + since.seconds * 1000 + since.microseconds // 1000  # type: ignore[return-value]


def decode(record: Record) -> Event | DeadLetter:
    """Turn one record into an `Event`, or into a `DeadLetter` with its reason; never raises on bad data.

    >>> letter = decode(Record(topic="top-ups", partition=0, offset=7, value=b"{", received_ms=0))
    >>> letter.reason, letter.offset
    ('not_json', 7)
    """
    return decode_value(record.topic, record.partition, record.offset, record.value, record.received_ms)


def decode_value(topic: str, partition: int, offset: int, value: bytes, received_ms: int) -> Event | DeadLetter:
    """Do as `decode` does with the parts of a record: a worker has no other use for the whole.

    >>> decode_value("top-ups", 0, 7, b"", 0).reason
    'empty'
    """
    reader = _READERS.get(topic)
    if reader is None:
        return DeadLetter(topic, partition, offset, "unknown_topic", "no contract has this topic's name", value)
    if len(value) > VALUE_BYTES_MAX:
        return DeadLetter(topic, partition, offset, *_too_large(value), value)
    try:
        body = reader[0](value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return DeadLetter(topic, partition, offset, *why_undecodable(value, error), value)
    at_ms = epoch_ms(body.event_time)
    if not 0 <= at_ms <= received_ms + AHEAD_MS_MAX:
        return DeadLetter(topic, partition, offset, *_time_problem(at_ms), value)
    if type(body) is Usage and (problem := _period_problem(body)):
        return DeadLetter(topic, partition, offset, "bad_period", problem, value)
    return Event(source_at(reader[1], partition), offset, at_ms, body)


def decode_broadcast(record: Record) -> BroadcastEvent | DeadLetter:
    """Turn a record of a broadcast topic into a `BroadcastEvent`, or into a `DeadLetter` with its reason; as `decode`.

    >>> decode_broadcast(Record(topic="market-events", partition=0, offset=2, value=b"", received_ms=0)).reason
    'empty'
    """
    value = record.value
    if len(value) > VALUE_BYTES_MAX:
        return _dead_letter(record, *_too_large(value))
    try:
        body = _NOTICE_READERS[record.topic](value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _dead_letter(record, *why_undecodable(value, error))
    at_ms = epoch_ms(body.event_time)
    if not 0 <= at_ms <= record.received_ms + AHEAD_MS_MAX:
        return _dead_letter(record, *_time_problem(at_ms))
    if body.valid_to is not None and body.valid_to < body.valid_from:
        return _dead_letter(record, "bad_period", "valid_to is before valid_from")
    return BroadcastEvent(record.partition, record.offset, at_ms, body)


def decode_any(record: Record) -> Event | BroadcastEvent | DeadLetter:
    """Turn a record of any topic that is read into what it says, or into a `DeadLetter`.

    >>> decode_any(Record(topic="weather", partition=0, offset=0, value=b"{}", received_ms=0)).reason
    'unknown_topic'
    """
    return decode_broadcast(record) if record.topic in BROADCASTS else decode(record)


def why_undecodable(value: bytes, error: Exception) -> tuple[DeadLetterReason, str]:
    """Return the reason, and a text without the record's values, for bytes that a decoder of JSON has refused.

    A wrong field may stand before the JSON breaks off.
    """
    if isinstance(error, msgspec.ValidationError):
        try:
            _any_json(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
            error = broken
        else:
            return refusal(error), without_values(error)
    return "not_json" if value.strip() else "empty", without_values(error)


def _too_large(value: bytes) -> tuple[DeadLetterReason, str]:
    return "too_large", f"{len(value)} bytes, at most {VALUE_BYTES_MAX} are read"


def _time_problem(at_ms: int) -> tuple[DeadLetterReason, str]:
    if at_ms < 0:
        return "bad_time", "event_time is before 1970"
    return "future_time", "event_time is more than a day ahead of the time of receipt"


def _period_problem(usage: Usage) -> str | None:
    end = usage.period_end
    if not PERIOD_MIN <= end - usage.period_start <= PERIOD_MAX:
        return "period_start to period_end is not one day (23 to 25 hours)"
    if usage.event_time != end:
        return "event_time is not period_end"
    return None


def _dead_letter(record: Record, reason: DeadLetterReason, detail: str) -> DeadLetter:
    return DeadLetter(record.topic, record.partition, record.offset, reason, detail, record.value)

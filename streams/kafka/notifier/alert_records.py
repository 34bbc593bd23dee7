"""Reads records of the topic `alerts`: the transition in each, or why there is none."""

from typing import Final

import msgspec

from streams.core.contracts.decode import VALUE_BYTES_MAX, why_undecodable
from streams.core.contracts.decode_alert import alert_changed
from streams.core.contracts.effects import AlertChanged, DeadLetter, DeadLetterReason
from streams.core.contracts.outputs import AlertMessage, redrives_of
from streams.kafka.worker.source_queues import LogRecord

ALERTS: Final = "alerts"


def read_alert(record: LogRecord, partition: int) -> AlertChanged | DeadLetter:
    """Return the transition that a record tells of, or the dead letter that says why it tells of none."""
    value = record.value or b""
    if len(value) > VALUE_BYTES_MAX:
        return _dead_letter(record, partition, "too_large", f"{len(value)} bytes, at most {VALUE_BYTES_MAX} are read")
    try:
        return alert_changed(_read(value))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _dead_letter(record, partition, *why_undecodable(value, error))


def _dead_letter(record: LogRecord, partition: int, reason: DeadLetterReason, detail: str) -> DeadLetter:
    redrives = redrives_of(record.headers)
    return DeadLetter(ALERTS, partition, record.offset, reason, detail, record.value or b"", record.key, redrives)


_read: Final = msgspec.json.Decoder(AlertMessage).decode

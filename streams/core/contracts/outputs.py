"""What leaves: the three output contracts as frozen values; `encode` makes them of effects.

Each struct is field for field a file in `schemas/json/` (`tests/contracts/` proves it).  Times are RFC 3339 in
UTC with milliseconds and `Z`, names snake_case with the unit last, subscribers pseudonyms.  No phone number and
no name of a person has a field here; the raw bytes in a dead letter are the one exception, and its topic is
kept for 7 days only.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import isfinite
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from streams.core.contracts.effects import (
    ActionCode,
    AlertChange,
    ChurnKind,
    DeadLetterReason,
    LabelKind,
    RiskBand,
    Stage,
    Treatment,
    ValueBand,
    WhyCode,
)
from streams.core.contracts.events import (
    INPUTS,
    INT32_MAX,
    INT53_MAX,
    Code,
    Currency,
    Name,
    Reference,
)
from streams.core.contracts.ids import PSEUDONYM, PSEUDONYM_CHARS
from streams.core.contracts.source import PARTITIONS_MAX, InputTopic
from streams.core.contracts.validation import RefusedValueError

SubscriberIdText = Annotated[str, Meta(pattern=PSEUDONYM, min_length=PSEUDONYM_CHARS, max_length=PSEUDONYM_CHARS)]
"""Checked by its pattern, where each value comes in; that of an event (`SubscriberId`) is checked in a cheaper way."""

SCHEMA_VERSION: Final = "contracts-3b982e66"
"""Names the released contracts, inputs and outputs: the start of the SHA-256 of `schemas/history/LOCK`."""

DETAIL_CHARS_MAX: Final = 512
TOPIC_CHARS_MAX: Final = 249
TRUNCATED_BYTES: Final = 65_536
RAW_BYTES_MAX: Final = 1_048_578
"""Just over 1 MiB: the most that 1,398,104 characters of base64 can hold, so that both limits are one."""

TIMES_REMEMBERED: Final = 4_096
"""Times as text that are kept at hand: most are those at which everybody is scored."""

REDRIVES: Final = "redrives"
"""The header with how often a record was sent again: whoever does so adds one, and its dead letter carries it."""
REDRIVES_DIGITS_MAX: Final = 9
KEY: Final = "key"
"""The header of a dead letter with the key of its record; there is none where the record had none."""

TIME_PATTERN: Final = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$"

TimeText = Annotated[str, Meta(pattern=TIME_PATTERN, min_length=24, max_length=24)]
CheckedTime = Annotated[str, Meta(min_length=24, max_length=24, extra_json_schema={"pattern": TIME_PATTERN})]
"""The same, looked at by `_check_times`, which every struct with such a field calls: few times stand in many."""
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Sentence = Annotated[str, Meta(min_length=1, max_length=256)]
VersionName = Annotated[str, Meta(min_length=1, max_length=128)]
Episode = Annotated[int, Meta(ge=1, le=INT32_MAX)]
Partition = Annotated[int, Meta(ge=0, le=PARTITIONS_MAX - 1)]
Offset = Annotated[int, Meta(ge=0, le=INT53_MAX)]
ValueAtRisk = Annotated[int, Meta(ge=0, le=INT53_MAX)]
WindowDays = Annotated[int, Meta(ge=1, le=3_660)]
PublishedState = Literal["pending", "firing", "resolved"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(TIME_PATTERN)


class EvidenceMessage(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """One measurement behind a reason: now, the subscriber's own usual, and over which window."""

    measure: Name
    unit: Code
    value: float
    baseline: float | None = None
    window_days: WindowDays | None = None

    def __post_init__(self) -> None:
        # JSON has no NaN: it would be written as null and read back as "no baseline".
        if self.baseline is not None and not isfinite(self.baseline):
            raise ValueError("baseline is not a finite number")


class ContributionMessage(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """One feature's share of the logit."""

    feature: Name
    contribution: float


class ReasonMessage(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """One theme's share of the logit, with the feature contributions that add up to it."""

    code: Code
    theme: Code
    contribution: float
    features: Annotated[tuple[ContributionMessage, ...], Meta(max_length=256)]
    evidence: Annotated[tuple[EvidenceMessage, ...], Meta(max_length=64)]
    change: float | None = None
    since: CheckedTime | None = None

    def __post_init__(self) -> None:
        # As above: null would be read back as "nothing to compare with".
        if self.change is not None and not isfinite(self.change):
            raise ValueError("change is not a finite number")
        if self.since is not None:
            _check_times(self.since)


class PositionMessage(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """The last record of one source that the subscriber's state had taken in."""

    topic: InputTopic
    partition: Partition
    offset: Offset


class AlertMessage(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """One transition of one alert, whole: topic `alerts`, key `subscriber_id`."""

    alert_id: Reference
    transition_id: Reference
    event_time: CheckedTime
    subscriber_id: SubscriberIdText
    kind: ChurnKind
    episode: Episode
    state: PublishedState
    change: AlertChange
    why: Sentence
    opened_at: CheckedTime
    probability: Probability
    logit: float
    intercept: float
    threshold: Probability
    band: RiskBand
    value_band: ValueBand
    value_at_risk_minor: ValueAtRisk
    currency: Currency | None = None
    reasons: Annotated[tuple[ReasonMessage, ...], Meta(max_length=64)]
    action: Sentence
    due_at: CheckedTime
    model_version: VersionName
    feature_table: Code
    policy_version: VersionName
    schema_version: VersionName
    sources: Annotated[tuple[PositionMessage, ...], Meta(max_length=1_024)]
    account_manager_id: Reference | None = None
    group_id: Reference | None = None
    area_id: Reference | None = None
    signals_version: VersionName | None = None
    held_out: bool = False
    contact_allowed: bool = True
    why_code: WhyCode | None = None
    action_code: ActionCode | None = None
    stage: Stage = "at_risk"

    def __post_init__(self) -> None:
        _check_times(self.event_time, self.opened_at, self.due_at)


class ExampleMessage(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A past snapshot whose outcome is settled, features as served: topic `examples`, key `subscriber_id`."""

    example_id: Reference
    subscriber_id: SubscriberIdText
    snapshot_at: CheckedTime
    features: Annotated[tuple[float, ...], Meta(min_length=1, max_length=1_024)]
    feature_table: Code
    label: bool
    kind: LabelKind
    knowable_at: CheckedTime
    closed_at: CheckedTime
    probability: Probability
    model_version: VersionName
    treatment: Treatment = "none"
    provisional: bool = False
    corrects: bool | None = None

    def __post_init__(self) -> None:
        _check_times(self.snapshot_at, self.knowable_at, self.closed_at)


class DeadLetterMessage(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A record that cannot be used, its raw bytes in base64: topic `dead-letters`, key topic/partition/offset."""

    topic: Annotated[str, Meta(max_length=TOPIC_CHARS_MAX)]
    partition: Partition
    offset: Offset
    reason: DeadLetterReason
    detail: Annotated[str, Meta(max_length=DETAIL_CHARS_MAX)]
    value: Annotated[bytes, Meta(max_length=RAW_BYTES_MAX)]


Message = AlertMessage | ExampleMessage | DeadLetterMessage

OUTPUTS: Final[dict[str, type[Message]]] = {
    "alerts": AlertMessage,
    "examples": ExampleMessage,
    "dead-letters": DeadLetterMessage,
}
"""Topic to contract, as `INPUTS` is for what arrives."""

REDRIVEN: Final = (*INPUTS, "examples", "alerts")
"""The topics to which dead letters are sent again: whoever reads them buries what is bad, and knows a repeat."""


class OutputRecord(Struct, frozen=True, gc=False):
    """A message ready to be sent: its topic, its key (which chooses the partition), its bytes and its headers."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


def redrives_of(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """Return how often a record was sent again after it had become a dead letter; 0 where its headers do not say.

    >>> redrives_of((("trace", b"7"), ("redrives", b"2"))), redrives_of((("redrives", b"many"),)), redrives_of(())
    (2, 0, 0)
    """
    text = dict(headers).get(REDRIVES) or b""
    return int(text) if text.isdigit() and len(text) <= REDRIVES_DIGITS_MAX else 0


@lru_cache(TIMES_REMEMBERED)
def rfc3339(at_ms: int) -> str:
    """Return milliseconds since 1970-01-01 UTC as RFC 3339 text; raises `OverflowError` outside years 1 to 9999.

    >>> rfc3339(1_700_000_000_123)
    '2023-11-14T22:13:20.123Z'
    """
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _check_times(*texts: str) -> None:
    for text in texts:
        _check_time(text)


@lru_cache(TIMES_REMEMBERED)
def _check_time(text: str) -> None:
    # The pattern fixes the shape; only a calendar knows that February has no 30th.
    if not _TIME.fullmatch(text):
        raise RefusedValueError("out_of_range", "a time is not RFC 3339 in UTC with milliseconds")
    datetime.fromisoformat(text)

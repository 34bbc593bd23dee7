"""The pure way from an effect to the bytes of its message; the same effect always gives the same bytes."""

from math import isfinite
from typing import Final

import msgspec

from streams.core.contracts.effects import AlertChanged, DeadLetter, LabelledExample, Reason
from streams.core.contracts.outputs import (
    DETAIL_CHARS_MAX,
    KEY,
    OUTPUTS,
    REDRIVES,
    TOPIC_CHARS_MAX,
    TRUNCATED_BYTES,
    AlertMessage,
    ContributionMessage,
    DeadLetterMessage,
    EvidenceMessage,
    ExampleMessage,
    Message,
    OutputRecord,
    PositionMessage,
    ReasonMessage,
    rfc3339,
)
from streams.core.contracts.source import SourceNumber, partition_number, topic_name

_DECODERS: Final[dict[type[Message], msgspec.json.Decoder[Message]]] = {
    struct: msgspec.json.Decoder(struct) for struct in OUTPUTS.values()
}
_ENCODER: Final = msgspec.json.Encoder()


def output_record(effect: AlertChanged | LabelledExample | DeadLetter) -> OutputRecord:
    """Return the message that publishes one effect; the same effect always gives the same bytes.

    Raises `msgspec.ValidationError` or `ValueError` as `encode` does.

    >>> letter = DeadLetter(topic="usage", partition=1, offset=9, reason="not_json", detail="", value=b"?")
    >>> output_record(letter).key
    b'usage/1/9'
    """
    if type(effect) is LabelledExample:
        return OutputRecord("examples", effect.subscriber_id.encode(), encode(example_message(effect)))
    if type(effect) is AlertChanged:
        return OutputRecord("alerts", effect.subscriber_id.encode(), encode(alert_message(effect)))
    letter = dead_letter_message(effect)
    key = f"{letter.topic}/{letter.partition}/{letter.offset}"
    return OutputRecord("dead-letters", key.encode(), encode(letter), _headers(letter, effect))


def encode(message: Message) -> bytes:
    """Return a message as JSON in UTF-8, proven to meet its own contract.

    Raises `msgspec.ValidationError` when it does not, a number that is not finite included: that is a broken
    invariant of the caller, never bad data.

    >>> encode(DeadLetterMessage(topic="usage", partition=0, offset=2, reason="empty", detail="", value=b""))
    b'{"topic":"usage","partition":0,"offset":2,"reason":"empty","detail":"","value":""}'
    """
    body = _ENCODER.encode(message)
    if type(message) is ExampleMessage and isfinite(sum(message.features) + message.probability):
        return body  # There are many of these, and nothing else in them comes from data.
    # Building a struct checks no bound; reading it back does.  The others are rare, so this costs nothing that counts.
    _DECODERS[type(message)].decode(body)
    return body


def alert_message(change: AlertChanged) -> AlertMessage:
    """Return the message of one transition of an alert.

    An alert that goes back to `inactive` without having fired is published as `resolved` with change `dropped`,
    so that three states are enough for a reader and each open alert is seen to close.
    """
    return AlertMessage(
        alert_id=change.alert_id,
        transition_id=change.transition_id,
        event_time=rfc3339(change.at_ms),
        subscriber_id=change.subscriber_id,
        kind=change.kind,
        episode=change.episode,
        state="resolved" if change.state == "inactive" else change.state,
        change=change.change,
        why=change.why,
        opened_at=rfc3339(change.opened_at_ms),
        probability=change.probability,
        logit=change.logit,
        intercept=change.intercept,
        threshold=change.threshold,
        band=change.band,
        value_band=change.value_band,
        value_at_risk_minor=change.value_at_risk_minor,
        currency=change.currency or None,
        reasons=tuple(_reason_message(reason) for reason in change.reasons),
        action=change.action,
        due_at=rfc3339(change.due_at_ms),
        model_version=change.model_version,
        feature_table=change.feature_table,
        policy_version=change.policy_version,
        schema_version=change.schema_version,
        sources=tuple(_position_message(source, change.offsets[source]) for source in sorted(change.offsets)),
        account_manager_id=change.account_manager_id,
        group_id=change.group_id,
        area_id=change.area_id,
        signals_version=change.signals_version,
        held_out=change.held_out,
        contact_allowed=change.contact_allowed,
        why_code=change.why_code,
        action_code=change.action_code,
        stage=change.stage,
    )


def example_message(example: LabelledExample) -> ExampleMessage:
    """Return the message of one labelled example."""
    return ExampleMessage(
        example_id=example.example_id,
        subscriber_id=example.subscriber_id,
        snapshot_at=rfc3339(example.snapshot_at_ms),
        features=example.features,
        feature_table=example.feature_table,
        label=example.label,
        kind=example.kind,
        knowable_at=rfc3339(example.knowable_at_ms),
        closed_at=rfc3339(example.closed_at_ms),
        probability=example.probability,
        model_version=example.model_version,
        treatment=example.treatment,
        provisional=example.provisional,
        corrects=example.corrects,
    )


def dead_letter_message(letter: DeadLetter) -> DeadLetterMessage:
    """Return the message of one dead letter; of a value that was `too_large`, only the first 64 KiB.

    >>> letter = DeadLetter(topic="usage", partition=0, offset=3, reason="too_large", detail="", value=bytes(1 << 21))
    >>> len(dead_letter_message(letter).value)
    65536
    """
    return DeadLetterMessage(
        topic=letter.topic[:TOPIC_CHARS_MAX],
        partition=letter.partition,
        offset=letter.offset,
        reason=letter.reason,
        detail=letter.detail[:DETAIL_CHARS_MAX],
        value=letter.value[:TRUNCATED_BYTES] if letter.reason == "too_large" else letter.value,
    )


def _reason_message(reason: Reason) -> ReasonMessage:
    return ReasonMessage(
        code=reason.code,
        theme=reason.theme,
        contribution=reason.contribution,
        features=tuple(
            [ContributionMessage(feature=name, contribution=share) for name, share in reason.features.items()]
        ),
        evidence=tuple([EvidenceMessage(**msgspec.structs.asdict(evidence)) for evidence in reason.evidence]),
        change=reason.change,
        since=None if reason.since_ms is None else rfc3339(reason.since_ms),
    )


def _position_message(source: SourceNumber, offset: int) -> PositionMessage:
    return PositionMessage(topic=topic_name(source), partition=partition_number(source), offset=offset)


def _headers(message: DeadLetterMessage, letter: DeadLetter) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of a dead letter, by which it can be chosen and sent again without reading its bytes."""
    place = (
        ("topic", message.topic.encode()),
        ("partition", b"%d" % message.partition),
        ("offset", b"%d" % message.offset),
        ("reason", message.reason.encode()),
        (REDRIVES, b"%d" % letter.redrives),
    )
    return place if letter.key is None else (*place, (KEY, letter.key))

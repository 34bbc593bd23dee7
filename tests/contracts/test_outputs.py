"""What the core wants said becomes a message that meets its contract, complete and the same each time."""

import base64
import json
import math
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.contracts.effects import AlertChanged, DeadLetter, Evidence, LabelledExample, Reason
from streams.core.contracts.encode import encode, output_record
from streams.core.contracts.events import INPUTS
from streams.core.contracts.outputs import (
    DETAIL_CHARS_MAX,
    OUTPUTS,
    RAW_BYTES_MAX,
    TOPIC_CHARS_MAX,
    TRUNCATED_BYTES,
    AlertMessage,
    redrives_of,
    rfc3339,
)
from streams.core.contracts.source import InputTopic, source_number
from tests.contracts.catalogue import schema_of, topic_file, validator

SUBSCRIBER = "s_3f7a0c5e9b1d4826a7c3e5f109b8d264"
AT_MS = 1_795_284_251_230
CHANGE = AlertChanged(
    alert_id="a_77c1f0d2",
    transition_id="t_0b9e41aa",
    subscriber_id=SUBSCRIBER,
    kind="service_fault",
    episode=1,
    state="firing",
    change="fired",
    why="Probability above 0.20 for 24 hours",
    at_ms=AT_MS,
    opened_at_ms=AT_MS - 86_400_000,
    probability=0.31,
    logit=-0.8,
    intercept=-3.9,
    threshold=0.2,
    band="high",
    value_band="mid",
    value_at_risk_minor=61_200,
    currency="CNY",
    reasons=(
        Reason(
            code="drops_rising",
            theme="call_quality",
            contribution=3.1,
            features={"drop_ratio_7d": 2.6, "complaints_open": 0.5},
            evidence=(
                Evidence(measure="drop_ratio_7d", unit="ratio", value=0.14, baseline=0.02, window_days=7),
                Evidence(measure="complaints_open", unit="count", value=1.0, baseline=None, window_days=None),
            ),
            change=-0.25,
            since_ms=AT_MS - 604_800_000,
        ),
    ),
    action="Call back",
    due_at_ms=AT_MS + 172_800_000,
    model_version="champion-7-1f0c22ab",
    feature_table="9c2e11d0",
    policy_version="default-3a7d10ff",
    schema_version="contracts-0a1b2c3d",
    offsets={source_number("complaints", 2): 311, source_number("call-drops", 0): 40_117},
    account_manager_id=None,
    group_id="g_5d1e77",
    area_id=None,
)
EXAMPLE = LabelledExample(
    example_id="e_41c09b77",
    subscriber_id=SUBSCRIBER,
    snapshot_at_ms=AT_MS,
    features=(12.0, 0.5, -1.25),
    feature_table="9c2e11d0",
    label=True,
    kind="port_out",
    knowable_at_ms=AT_MS + 1,
    closed_at_ms=AT_MS + 2,
    probability=0.41,
    model_version="champion-5-aa01ff02",
)
LETTER = DeadLetter(topic="top-ups", partition=3, offset=7, reason="not_json", detail="malformed", value=b'{"a')


def sent(effect: AlertChanged | LabelledExample | DeadLetter) -> dict[str, Any]:
    """Return the document that an effect is sent as, after checking it against its schema."""
    message = output_record(effect)
    document: dict[str, Any] = json.loads(message.value)
    validator(schema_of(message.topic)).validate(document)
    return document


def as_published(name: str) -> str:
    """Return the name on the wire of a field of an effect: times lose their unit and gain a text."""
    return {"at_ms": "event_time", "offsets": "sources"}.get(name, name.removesuffix("_ms"))


def test_an_alert_is_sent_with_all_that_the_core_said() -> None:
    document = sent(CHANGE)
    assert document["event_time"] == "2026-11-21T18:04:11.230Z"
    assert document["due_at"] == "2026-11-23T18:04:11.230Z"
    assert document["sources"] == [
        {"topic": "call-drops", "partition": 0, "offset": 40_117},
        {"topic": "complaints", "partition": 2, "offset": 311},
    ]
    (reason,) = document["reasons"]
    assert reason["features"] == [
        {"feature": "drop_ratio_7d", "contribution": 2.6},
        {"feature": "complaints_open", "contribution": 0.5},
    ]
    assert reason["evidence"][0]["baseline"] == 0.02
    assert (reason["change"], reason["since"]) == (-0.25, "2026-11-14T18:04:11.230Z")
    same = ("alert_id", "transition_id", "subscriber_id", "probability", "logit", "why", "group_id", "area_id")
    assert {name: document[name] for name in same} == {name: getattr(CHANGE, name) for name in same}


def test_no_field_of_an_effect_is_lost_on_the_way() -> None:
    for effect, topic in ((AlertChanged, "alerts"), (LabelledExample, "examples"), (DeadLetter, "dead-letters")):
        in_headers = {"key", "redrives"} if effect is DeadLetter else set()
        published = {as_published(name) for name in effect.__struct_fields__}
        assert published == set(OUTPUTS[topic].__struct_fields__) | in_headers


def test_an_alert_dropped_before_it_fired_is_published_as_resolved() -> None:
    document = sent(msgspec.structs.replace(CHANGE, state="inactive", change="dropped"))
    assert (document["state"], document["change"]) == ("resolved", "dropped")


def test_an_alert_on_a_subscriber_without_a_known_currency_says_so() -> None:
    assert sent(msgspec.structs.replace(CHANGE, currency=""))["currency"] is None


def test_an_example_is_sent_with_the_features_as_served() -> None:
    document = sent(EXAMPLE)
    assert document["features"] == [12.0, 0.5, -1.25]
    assert (document["snapshot_at"], document["knowable_at"]) == (rfc3339(AT_MS), rfc3339(AT_MS + 1))


def test_a_dead_letter_is_sent_with_its_raw_bytes() -> None:
    document = sent(LETTER)
    assert base64.b64decode(document["value"]) == LETTER.value
    assert output_record(LETTER).key == b"top-ups/3/7"


def test_a_dead_letter_has_headers_by_which_it_is_chosen_and_sent_again() -> None:
    keyless = {"topic": b"top-ups", "partition": b"3", "offset": b"7", "reason": b"not_json", "redrives": b"0"}
    assert dict(output_record(LETTER).headers) == keyless
    again = output_record(msgspec.structs.replace(LETTER, key=b"s_1", redrives=2))
    assert dict(again.headers) == {**keyless, "redrives": b"2", "key": b"s_1"}
    assert set(dict(again.headers)) == topic_file("dead-letters")["headers"].keys()


@pytest.mark.parametrize("value", [b"", None, b"-1", b"1.5", b"9" * 20, "\u0663".encode()])
def test_a_header_that_counts_nothing_counts_as_never_sent_again(value: bytes | None) -> None:
    assert redrives_of([("redrives", value)]) == 0


def test_alerts_and_examples_have_their_subscriber_as_key_and_no_headers() -> None:
    assert output_record(CHANGE).key == output_record(EXAMPLE).key == SUBSCRIBER.encode()
    assert output_record(CHANGE).headers == output_record(EXAMPLE).headers == ()


def test_whatever_came_in_as_topic_or_detail_a_dead_letter_can_be_sent() -> None:
    document = sent(msgspec.structs.replace(LETTER, topic="x" * 999, detail="\u00e9" * 999, reason="unknown_topic"))
    assert (len(document["topic"]), len(document["detail"])) == (TOPIC_CHARS_MAX, DETAIL_CHARS_MAX)


def test_of_a_record_that_is_too_large_the_beginning_is_sent() -> None:
    value = bytes(range(256)) * 8192
    document = sent(msgspec.structs.replace(LETTER, reason="too_large", value=value))
    assert base64.b64decode(document["value"]) == value[:TRUNCATED_BYTES]


def test_the_largest_record_that_is_read_fits_into_a_dead_letter() -> None:
    sent(msgspec.structs.replace(LETTER, value=bytes(RAW_BYTES_MAX)))
    with pytest.raises(msgspec.ValidationError, match="length"):
        output_record(msgspec.structs.replace(LETTER, value=bytes(RAW_BYTES_MAX + 1)))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_never_sent(number: float) -> None:
    evidence = Evidence(measure="x", unit="days", value=1.0, baseline=number, window_days=None)
    (reason,) = CHANGE.reasons
    for broken in (
        msgspec.structs.replace(CHANGE, logit=number),
        msgspec.structs.replace(CHANGE, reasons=(msgspec.structs.replace(reason, features={"x": number}),)),
        msgspec.structs.replace(CHANGE, reasons=(msgspec.structs.replace(reason, evidence=(evidence,)),)),
        msgspec.structs.replace(CHANGE, reasons=(msgspec.structs.replace(reason, change=number),)),
        msgspec.structs.replace(EXAMPLE, features=(1.0, number)),
    ):
        with pytest.raises(ValueError, match=r"finite|null"):
            output_record(broken)


@pytest.mark.parametrize(
    "broken",
    [
        {"episode": 0},
        {"probability": 1.5},
        {"subscriber_id": "+10000000000"},
        {"value_at_risk_minor": -1},
        {"why": ""},
        {"currency": "yuan"},
    ],
    ids=str,
)
def test_an_alert_that_breaks_its_contract_stops_its_sender(broken: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        output_record(msgspec.structs.replace(CHANGE, **broken))


def test_the_same_effect_gives_the_same_bytes_whatever_the_order_of_its_offsets() -> None:
    turned = msgspec.structs.replace(CHANGE, offsets=dict(reversed(CHANGE.offsets.items())))
    assert output_record(CHANGE) == output_record(turned)


def test_a_message_reads_back_as_it_was() -> None:
    value = output_record(CHANGE).value
    assert encode(msgspec.json.decode(value, type=AlertMessage)) == value


def test_the_topics_of_a_position_are_numbered_as_the_inputs_are() -> None:
    assert get_args(InputTopic) == tuple(INPUTS)
    for topic in INPUTS:
        changed = msgspec.structs.replace(CHANGE, offsets={source_number(topic, 65_535): 9})
        assert sent(changed)["sources"] == [{"topic": topic, "partition": 65_535, "offset": 9}]


@settings(deadline=None)
@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_is_written_to_the_millisecond_and_read_back(moment: datetime) -> None:
    at_ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // (datetime.resolution * 1000)
    text = rfc3339(at_ms)
    assert len(text) == 24
    assert datetime.fromisoformat(text) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def test_a_time_outside_the_calendar_is_an_error() -> None:
    with pytest.raises(OverflowError):
        rfc3339(10**15)

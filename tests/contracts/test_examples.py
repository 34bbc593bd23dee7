"""Every example is read, or refused for the reason that it names, by the schema, the struct and the decoder."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.core.contracts.decode import decode_any, epoch_ms
from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.events import BROADCASTS, INPUTS, BroadcastEvent, Event, Record
from tests.contracts.catalogue import (
    SCHEMAS,
    STRUCTS,
    TOPICS,
    example_files,
    example_name,
    raw_bytes,
    schema_of,
    struct_accepts,
    topic_of,
    validator,
)

RECEIVED_MS = epoch_ms(datetime(2026, 12, 1, tzinfo=UTC))
REASON_BY_KEYWORD = {
    "required": "missing_field",
    "additionalProperties": "unknown_field",
    "type": "wrong_type",
    "enum": "out_of_range",
    "minimum": "out_of_range",
    "maximum": "out_of_range",
    "minLength": "out_of_range",
    "maxLength": "out_of_range",
    "minItems": "out_of_range",
    "maxItems": "out_of_range",
    "pattern": "out_of_range",
    "format": "bad_time",
}


READ = {**INPUTS, **BROADCASTS}


def reasons_by_schema(topic: str, value: object) -> set[str]:
    """Return the reasons that the schema has against a message, one for each place in it."""
    errors = list(validator(schema_of(topic)).iter_errors(value))
    of_wrong_type = {error.json_path for error in errors if error.validator == "type"}
    reasons = set()
    for error in errors:
        if error.json_path in of_wrong_type and error.validator != "type":
            continue
        is_time = isinstance(error.schema, dict) and error.schema.get("format") == "date-time"
        is_text = isinstance(error.instance, str)
        reasons.add("bad_time" if is_time and is_text else REASON_BY_KEYWORD[str(error.validator)])
    return reasons


def decoded(topic: str, value: bytes) -> Event | BroadcastEvent | DeadLetter:
    return decode_any(Record(topic=topic, partition=0, offset=0, value=value, received_ms=RECEIVED_MS))


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_has_several_examples_of_both_verdicts(topic: str) -> None:
    assert sum(topic_of(file) == topic for file in example_files("accepted")) >= 3
    assert sum(topic_of(file) == topic for file in example_files("refused")) >= 5


def test_no_example_lies_where_nothing_looks_for_it() -> None:
    found = {*example_files("accepted"), *example_files("refused")}
    assert {file for file in (SCHEMAS / "examples").rglob("*") if file.is_file()} == found
    assert {topic_of(file) for file in found} == set(TOPICS)


@pytest.mark.parametrize("file", example_files("accepted"), ids=example_name)
def test_an_accepted_example_is_read_by_schema_struct_and_decoder(file: Path) -> None:
    topic, body = topic_of(file), file.read_bytes()
    assert reasons_by_schema(topic, json.loads(body)) == set()
    message = msgspec.json.decode(body, type=STRUCTS[topic])
    if topic in READ:
        event = decoded(topic, body)
        assert isinstance(event, Event | BroadcastEvent), event
        assert event.body == message


@pytest.mark.parametrize("topic", TOPICS)
def test_some_accepted_example_uses_every_field(topic: str) -> None:
    used: set[str] = set()
    for file in example_files("accepted"):
        if topic_of(file) == topic:
            used |= json.loads(file.read_bytes()).keys()
    assert used == set(schema_of(topic)["properties"])


@pytest.mark.parametrize("file", example_files("refused"), ids=example_name)
def test_a_refused_example_is_refused_for_its_reason(file: Path) -> None:
    topic, refused = topic_of(file), json.loads(file.read_bytes())
    body = raw_bytes(refused)
    beyond_schema = refused.get("beyond_schema", False)
    assert struct_accepts(topic, body) == beyond_schema
    if "value" in refused:
        assert reasons_by_schema(topic, refused["value"]) == (set() if beyond_schema else {refused["reason"]})
    if topic in READ:
        letter = decoded(topic, body)
        assert isinstance(letter, DeadLetter), letter
        assert letter.reason == refused["reason"]
        assert letter.value == body


@pytest.mark.parametrize("file", example_files("refused"), ids=example_name)
def test_a_refused_example_says_what_it_is_and_no_more(file: Path) -> None:
    refused: dict[str, Any] = json.loads(file.read_bytes())
    assert refused.keys() <= {"reason", "value", "text", "base64", "beyond_schema"}
    assert len(refused.keys() & {"value", "text", "base64"}) == 1
    assert "reason" in refused


def test_the_examples_show_every_reason_that_a_message_alone_can_have() -> None:
    shown = {json.loads(file.read_bytes())["reason"] for file in example_files("refused")}
    assert shown >= {
        "not_json",
        "missing_field",
        "unknown_field",
        "wrong_type",
        "out_of_range",
        "bad_time",
        "bad_period",
        "future_time",
        "empty",
    }


INPUT_FILES = [file for file in example_files("refused") if topic_of(file) in READ]


@pytest.mark.parametrize("file", INPUT_FILES, ids=example_name)
def test_a_dead_letters_detail_repeats_no_text_of_the_record(file: Path) -> None:
    letter = decoded(topic_of(file), raw_bytes(json.loads(file.read_bytes())))
    assert isinstance(letter, DeadLetter)
    for text in re.findall(rb'"([^"]{9,})"(?!:)', letter.value):
        assert text.decode(errors="replace") not in letter.detail

"""The schema files keep the rules of `schemas/README.md`: closed, described, traceable, with units."""

import json
import re
from typing import Any

import jsonschema
import pytest

from tests.contracts.catalogue import SCHEMAS, TOPICS, schema_of, subschemas, types_of
from tests.contracts.compatibility import KNOWN

SUFFIX_BY_UNIT = {
    "s": "_s",
    "minor": "_minor",
    "bytes": "_bytes",
    "days": "_days",
    "pct": "_pct",
    "1": None,
    "unit": None,
}
STANDARD = re.compile(
    r"3GPP TS \d\d\.\d{3}(?: |$)|IETF RFC \d+|ITU-T [A-Z]\.\d+|ISO \d+$|CloudEvents 1\.0 |TMF\d{3}(?: |$)"
)
FORBIDDEN_NAMES = re.compile(
    r"msisdn|imsi|imei|phone|surname|first_name|last_name|full_name|email|address|voucher_code"
)


def fields_of(topic: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (path, name, schema) of every property at every level."""
    found = []
    for path, schema in subschemas(schema_of(topic)):
        for name, inner in schema.get("properties", {}).items():
            found.append((f"{path}.{name}", name, inner))
    return found


@pytest.mark.parametrize("topic", TOPICS)
def test_a_schema_is_valid_draft_07_within_the_small_vocabulary(topic: str) -> None:
    schema = schema_of(topic)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema.Draft7Validator.check_schema(schema)
    assert {keyword for _, inner in subschemas(schema) for keyword in inner} <= KNOWN


@pytest.mark.parametrize("topic", TOPICS)
def test_a_schema_is_closed_at_every_object(topic: str) -> None:
    for path, schema in subschemas(schema_of(topic)):
        assert ("object" in types_of(schema)) == ("properties" in schema), path
        if "properties" in schema:
            assert schema["additionalProperties"] is False, path
            assert set(schema["required"]) <= schema["properties"].keys(), path


@pytest.mark.parametrize("topic", TOPICS)
def test_a_field_has_a_description_and_names_its_standard(topic: str) -> None:
    schema = schema_of(topic)
    for path, _, inner in [("$", "", schema), *fields_of(topic)]:
        assert inner["description"].endswith("."), path
        for source in inner["x-std"].split("; "):
            assert source == "own" or STANDARD.match(source), f"{path}: {source}"


@pytest.mark.parametrize("topic", TOPICS)
def test_a_number_says_its_unit_and_its_name_ends_with_it(topic: str) -> None:
    for path, name, inner in fields_of(topic):
        is_number = bool({"integer", "number"} & set(types_of(inner)))
        assert is_number == ("x-unit" in inner), path
        suffixes = [suffix for suffix in SUFFIX_BY_UNIT.values() if suffix and name.endswith(suffix) and is_number]
        wanted = SUFFIX_BY_UNIT[inner["x-unit"]] if is_number else None
        assert suffixes == ([wanted] if wanted else []), path


@pytest.mark.parametrize("topic", TOPICS)
def test_everything_that_grows_has_a_bound(topic: str) -> None:
    for path, schema in subschemas(schema_of(topic)):
        types = set(types_of(schema))
        if "integer" in types:
            assert schema["minimum"] <= schema["maximum"] < 2**53, path
        if "array" in types:
            assert "maxItems" in schema, path
        if "string" in types:
            assert schema.keys() & {"maxLength", "enum", "format"}, path


@pytest.mark.parametrize("topic", TOPICS)
def test_an_optional_field_has_a_default_and_a_required_one_has_none(topic: str) -> None:
    for path, schema in subschemas(schema_of(topic)):
        for name, inner in schema.get("properties", {}).items():
            assert ("default" in inner) == (name not in schema["required"]), f"{path}.{name}"
            if "default" in inner:
                assert jsonschema.Draft7Validator(inner).is_valid(inner["default"]), f"{path}.{name}"


@pytest.mark.parametrize("topic", TOPICS)
def test_no_field_is_made_for_a_phone_number_or_a_persons_name(topic: str) -> None:
    for path, name, inner in fields_of(topic):
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name), path
        assert not FORBIDDEN_NAMES.search(name), path
        if name == "subscriber_id":
            assert inner["pattern"] == "^s_[0-9a-f]{32}$", path


def test_titles_are_snake_case_and_unique() -> None:
    titles = [schema_of(topic)["title"] for topic in TOPICS]
    assert len(set(titles)) == len(titles)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", title) for title in titles)


def test_the_same_field_means_the_same_in_every_input() -> None:
    shared = ("event_id", "event_time", "subscriber_id", "provenance")
    for name in shared:
        forms = {json.dumps(schema_of(topic)["properties"][name]) for topic in TOPICS[:6]}
        assert len(forms) == 1, name


def test_every_schema_file_belongs_to_a_topic() -> None:
    assert {file.name for file in (SCHEMAS / "json").iterdir()} == {f"{topic}.v1.schema.json" for topic in TOPICS}

"""The structs accept and refuse exactly what the schemas do: by comparing them, and by drawing documents."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.catalogue import (
    STRUCTS,
    TOPICS,
    example_files,
    history_of,
    schema_of,
    struct_accepts,
    topic_of,
    types_of,
    validator,
)
from tests.contracts.drawing import OUTPUT_TIME, documents, near_misses, one_near_miss

Outline = dict[str, Any]
DRAWN = settings(max_examples=40, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
KEPT = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "contentEncoding", "format")


def outline_of_schema(schema: dict[str, Any]) -> Outline:
    """Reduce a schema file to what a struct can say as well."""
    outline: Outline = {"types": set(types_of(schema)), **{word: schema[word] for word in KEPT if word in schema}}
    if "enum" in schema:
        outline["enum"] = set(schema["enum"]) - {None}
    if "pattern" in schema and "contentEncoding" not in schema and not _is_input_time(schema):
        outline["pattern"] = schema["pattern"]
    if "items" in schema:
        outline["items"] = outline_of_schema(schema["items"])
    if "properties" in schema:
        outline["closed"] = schema["additionalProperties"] is False
        outline["required"] = set(schema["required"])
        outline["defaults"] = {name: inner["default"] for name, inner in _optional(schema)}
        outline["properties"] = {name: outline_of_schema(inner) for name, inner in schema["properties"].items()}
    return outline


def outline_of_struct(struct: type[msgspec.Struct]) -> Outline:
    """Reduce what msgspec says of a struct to the same form."""
    told = msgspec.json.schema(struct)
    return _outline_of_told(told, told["$defs"])


def _outline_of_told(told: dict[str, Any], named: dict[str, Any]) -> Outline:
    if "$ref" in told:
        return _outline_of_told(named[told["$ref"].rpartition("/")[2]], named)
    if "anyOf" in told:
        (inner,) = [option for option in told["anyOf"] if option != {"type": "null"}]
        outline = _outline_of_told(inner, named)
        return {**outline, "types": outline["types"] | {"null"}}
    if "enum" in told:
        return {"types": {"string"}, "enum": set(told["enum"])}
    outline = {"types": {told["type"]}, **{word: told[word] for word in (*KEPT, "pattern") if word in told}}
    if told.get("pattern") == OUTPUT_TIME:
        outline["format"] = "date-time"
    if "items" in told:
        outline["items"] = _outline_of_told(told["items"], named)
    if "properties" in told:
        outline["closed"] = told["additionalProperties"] is False
        outline["required"] = set(told["required"])
        # msgspec gives the default of a list as a tuple.
        defaults = {name: inner["default"] for name, inner in _optional(told)}
        outline["defaults"] = {name: [] if default == () else default for name, default in defaults.items()}
        outline["properties"] = {name: _outline_of_told(inner, named) for name, inner in told["properties"].items()}
    return outline


def _optional(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, inner) for name, inner in schema["properties"].items() if name not in schema["required"]]


def _is_input_time(schema: dict[str, Any]) -> bool:
    return schema.get("format") == "date-time" and schema["pattern"] != OUTPUT_TIME


def verdicts(topic: str, schema_validator: Any, document: object) -> tuple[bool, bool]:
    """Return whether the schema takes a document, and whether the struct does."""
    return schema_validator.is_valid(document), struct_accepts(topic, json.dumps(document).encode())


@pytest.mark.parametrize("topic", TOPICS)
def test_struct_and_schema_have_the_same_names_types_bounds_and_defaults(topic: str) -> None:
    assert outline_of_struct(STRUCTS[topic]) == outline_of_schema(schema_of(topic))


@pytest.mark.parametrize("topic", TOPICS)
def test_struct_and_schema_name_their_fields_in_the_same_order(topic: str) -> None:
    assert list(STRUCTS[topic].__struct_encode_fields__) == list(schema_of(topic)["properties"])


@pytest.mark.slow
@pytest.mark.parametrize("topic", TOPICS)
def test_struct_and_schema_agree_on_every_single_change_to_an_example(topic: str) -> None:
    schema = schema_of(topic)
    schema_validator = validator(schema)
    tried, refused, different = 0, 0, []
    for file in example_files("accepted"):
        if topic_of(file) != topic or file.stem not in {"every-field", "left", "not-json"}:
            continue
        example = json.loads(file.read_bytes())
        for change in near_misses(schema, example):
            document = change.applied_to(example)
            by_schema, by_struct = verdicts(topic, schema_validator, document)
            tried += 1
            refused += not by_schema
            if by_schema != by_struct:
                different.append(f"{change}: the {'schema' if by_schema else 'struct'} alone takes it")
    assert different == []
    assert refused > tried / 2 > 50, "the changes are meant to be near misses, most of them misses"


@pytest.mark.parametrize("topic", TOPICS)
def test_struct_and_schema_accept_what_is_drawn_from_the_schema(topic: str) -> None:
    schema_validator = validator(schema_of(topic))

    @DRAWN
    @given(documents(schema_of(topic)))
    def both_accept(document: object) -> None:
        assert verdicts(topic, schema_validator, document) == (True, True)

    both_accept()


@pytest.mark.slow
@pytest.mark.parametrize("topic", TOPICS)
def test_struct_and_schema_agree_on_drawn_documents_after_some_changes(topic: str) -> None:
    schema = schema_of(topic)
    schema_validator = validator(schema)

    @DRAWN
    @given(documents(schema), st.data())
    def both_agree(document: object, data: st.DataObject) -> None:
        for _ in range(data.draw(st.integers(1, 3))):
            document = data.draw(one_near_miss(schema, document)).applied_to(document)
        by_schema, by_struct = verdicts(topic, schema_validator, document)
        assert by_schema == by_struct

    both_agree()


@pytest.mark.slow
@pytest.mark.parametrize("topic", TOPICS)
def test_the_struct_reads_what_every_released_revision_could_write(topic: str) -> None:
    for revision, old_schema in history_of(topic).items():

        @settings(DRAWN, max_examples=20)
        @given(documents(old_schema))
        def still_read(document: object) -> None:
            assert struct_accepts(topic, json.dumps(document).encode()), revision  # noqa: B023 - called in this turn

        still_read()


def test_an_integer_written_with_a_fraction_is_the_known_difference_from_plain_draft_07() -> None:
    import jsonschema

    schema = {"type": "integer"}
    assert jsonschema.Draft7Validator(schema).is_valid(73.0)
    assert not validator(schema).is_valid(73.0)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b"73.0", type=int)


def test_a_struct_that_differs_in_one_bound_is_caught_by_both_comparisons() -> None:
    from typing import Annotated

    class Wider(msgspec.Struct, forbid_unknown_fields=True):
        duration_s: Annotated[int, msgspec.Meta(ge=0, le=11)]

    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["duration_s"],
        "properties": {"duration_s": {"type": "integer", "minimum": 0, "maximum": 10}},
    }
    assert outline_of_struct(Wider) != outline_of_schema(schema)
    decoder = msgspec.json.Decoder(Wider)
    caught = []
    for change in near_misses(schema, {"duration_s": 5}):
        document = change.applied_to({"duration_s": 5})
        try:
            decoder.decode(json.dumps(document))
            by_struct = True
        except msgspec.ValidationError:
            by_struct = False
        if by_struct != validator(schema).is_valid(document):
            caught.append(str(change))
    assert caught == ["duration_s = '11'"]

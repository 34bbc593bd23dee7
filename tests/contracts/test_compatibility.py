"""The compatibility checker: a table of changes, breaks planted in the real schemas, and what its yes is worth."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.contracts.catalogue import TOPICS, history_of, schema_of, subschemas, validator
from tests.contracts.compatibility import Rule, breaks
from tests.contracts.drawing import documents

Schema = dict[str, Any]


def closed(required: tuple[str, ...] = ("kind",), **properties: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {"kind": {"type": "string", "enum": ["a", "b"]}, **properties},
    }


def opened(required: tuple[str, ...] = ("kind",), **properties: Schema) -> Schema:
    return {**closed(required, **properties), "additionalProperties": True}


COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 9, "default": 0, "x-unit": "1"}
TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 9, "default": "x"}
LIST: Schema = {"type": "array", "maxItems": 3, "items": COUNT, "default": []}

ALLOWED: dict[str, tuple[Schema, Schema]] = {
    "nothing": (closed(n=COUNT), closed(n=COUNT)),
    "closed, optional field added": (closed(), closed(n=COUNT)),
    "open, optional field removed": (opened(n=COUNT), opened()),
    "closed becomes open": (closed(), opened()),
    "required field becomes optional": (closed(("kind", "n"), n=COUNT), closed(n=COUNT)),
    "required becomes optional and gets a default": (
        closed(("kind", "n"), n={"type": "integer"}),
        closed(n={"type": "integer", "default": 5}),
    ),
    "number becomes number or null": ({"type": "number"}, {"type": ["number", "null"]}),
    "integer becomes number": ({"type": "integer"}, {"type": "number"}),
    "integer gets another type with its own bounds": (
        {"type": "integer"},
        {"type": ["integer", "string"], "maxLength": 5, "pattern": "^x"},
    ),
    "any type": ({"type": "integer"}, {}),
    "enum value added": (closed(), closed(kind={"type": "string", "enum": ["a", "b", "c"]})),
    "enum reordered": (closed(), closed(kind={"type": "string", "enum": ["b", "a"]})),
    "enum removed": (closed(), closed(kind={"type": "string"})),
    "bounds widened": (closed(n=COUNT), closed(n={**COUNT, "minimum": -1, "maximum": 10})),
    "bounds removed": (closed(n=COUNT), closed(n={"type": "integer", "default": 0, "x-unit": "1"})),
    "lengths widened": (closed(t=TEXT), closed(t={**TEXT, "minLength": 0, "maxLength": 10})),
    "a minimum length of nothing added": ({"type": "string"}, {"type": "string", "minLength": 0}),
    "pattern removed": ({"type": "string", "pattern": "^x"}, {"type": "string"}),
    "format removed": ({"type": "string", "format": "date-time"}, {"type": "string"}),
    "description and source changed": (
        {"type": "string", "description": "A.", "x-std": "own"},
        {"type": "string", "description": "B.", "x-std": "TMF621"},
    ),
    "list lengthened": (closed(m=LIST), closed(m={**LIST, "maxItems": 4})),
    "item widened": (closed(m=LIST), closed(m={**LIST, "items": {**COUNT, "maximum": 10}})),
    "items no longer described": (closed(m=LIST), closed(m={"type": "array", "default": []})),
    "optional field deep inside": (
        {"type": "array", "items": closed()},
        {"type": "array", "items": closed(n=COUNT)},
    ),
}
BREAKING: dict[str, tuple[Schema, Schema, Rule]] = {
    "open, optional field added": (opened(), opened(n=COUNT), "property_added_to_open"),
    "open, required field added": (opened(), opened(("kind", "n"), n=COUNT), "required_added"),
    "closed, required field added": (closed(), closed(("kind", "n"), n=COUNT), "required_added"),
    "closed, optional field removed": (closed(n=COUNT), closed(), "property_removed"),
    "closed, required field removed": (closed(("kind", "n"), n=COUNT), closed(), "property_removed"),
    "field renamed": (closed(n=COUNT), closed(m=COUNT), "property_removed"),
    "open becomes closed": (opened(), closed(), "closed"),
    "optional becomes required": (closed(n=COUNT), closed(("kind", "n"), n=COUNT), "required_added"),
    "number becomes integer": ({"type": "number"}, {"type": "integer"}, "type_narrowed"),
    "null no longer allowed": ({"type": ["string", "null"]}, {"type": "string"}, "type_narrowed"),
    "another type": ({"type": "string"}, {"type": "integer"}, "type_narrowed"),
    "type given for the first time": ({}, {"type": "integer"}, "type_narrowed"),
    "enum value removed": (closed(), closed(kind={"type": "string", "enum": ["a"]}), "enum_value_removed"),
    "enum value renamed": (closed(), closed(kind={"type": "string", "enum": ["a", "B"]}), "enum_value_removed"),
    "true is not 1": ({"enum": [True]}, {"enum": [1]}, "enum_value_removed"),
    "enum added": ({"type": "string"}, {"type": "string", "enum": ["a"]}, "enum_added"),
    "minimum raised": (closed(n=COUNT), closed(n={**COUNT, "minimum": 1}), "bound_narrowed"),
    "maximum lowered": (closed(n=COUNT), closed(n={**COUNT, "maximum": 8}), "bound_narrowed"),
    "minimum added": ({"type": "number"}, {"type": "number", "minimum": -9}, "bound_narrowed"),
    "longest shortened": (closed(t=TEXT), closed(t={**TEXT, "maxLength": 8}), "bound_narrowed"),
    "shortest lengthened": (closed(t=TEXT), closed(t={**TEXT, "minLength": 2}), "bound_narrowed"),
    "list shortened": (closed(m=LIST), closed(m={**LIST, "maxItems": 2}), "bound_narrowed"),
    "fewest items added": (closed(m=LIST), closed(m={**LIST, "minItems": 1}), "bound_narrowed"),
    "item narrowed": (closed(m=LIST), closed(m={**LIST, "items": {**COUNT, "maximum": 8}}), "bound_narrowed"),
    "items described for the first time": ({"type": "array"}, {"type": "array", "items": COUNT}, "items_narrowed"),
    "pattern added": (closed(t=TEXT), closed(t={**TEXT, "pattern": "^x"}), "pattern_added"),
    "pattern changed": ({"type": "string", "pattern": "x"}, {"type": "string", "pattern": "y"}, "pattern_added"),
    "format added": ({"type": "string"}, {"type": "string", "format": "date-time"}, "format_added"),
    "text becomes base64": ({"type": "string"}, {"type": "string", "contentEncoding": "base64"}, "encoding_changed"),
    "default changed": (closed(n=COUNT), closed(n={**COUNT, "default": 1}), "default_changed"),
    "default from 0 to false": (
        closed(n={"type": ["integer", "boolean"], "default": 0}),
        closed(n={"type": ["integer", "boolean"], "default": False}),
        "default_changed",
    ),
    "seconds become milliseconds": (
        {"type": "integer", "x-unit": "s"},
        {"type": "integer", "x-unit": "ms"},
        "unit_changed",
    ),
    "required field deep inside": (
        {"type": "array", "items": closed()},
        {"type": "array", "items": closed(("kind", "n"), n=COUNT)},
        "required_added",
    ),
}


@pytest.mark.parametrize("change", ALLOWED)
def test_a_change_that_reads_all_old_documents_is_allowed(change: str) -> None:
    old, new = ALLOWED[change]
    assert breaks(old, new) == []


@pytest.mark.parametrize("change", BREAKING)
def test_a_change_that_refuses_or_misreads_old_documents_is_found(change: str) -> None:
    old, new, rule = BREAKING[change]
    assert rule in {found.rule for found in breaks(old, new)}


@pytest.mark.parametrize(
    "schema",
    [{"type": "integer", "multipleOf": 5}, {"$ref": "#/definitions/x"}, {"anyOf": []}, {"not": {}}],
)
def test_a_keyword_outside_the_vocabulary_is_never_passed_in_silence(schema: Schema) -> None:
    with pytest.raises(ValueError, match="not understood"):
        breaks(schema, {})
    with pytest.raises(ValueError, match="not understood"):
        breaks({}, schema)


def test_a_schema_for_unknown_fields_is_never_passed_in_silence() -> None:
    with pytest.raises(ValueError, match="not understood"):
        breaks(opened(), {**opened(), "additionalProperties": {"type": "integer"}})


@pytest.mark.parametrize("topic", TOPICS)
def test_every_schema_reads_all_that_its_released_revisions_could_write(topic: str) -> None:
    history = history_of(topic)
    assert history
    for revision, old in history.items():
        assert breaks(old, schema_of(topic)) == [], revision


def planted_breaks(schema: Schema) -> list[tuple[str, Schema, Rule]]:
    """Return (what, schema with one break in it, the rule that must find it) for every place where one fits."""
    planted: list[tuple[str, Schema, Rule]] = []

    def plant(what: str, path: str, rule: Rule, **change: object) -> None:
        broken = copy.deepcopy(schema)
        dict(subschemas(broken))[path].update(change)
        planted.append((f"{path}: {what}", broken, rule))

    for path, inner in subschemas(schema):
        for name in inner.get("properties", {}):
            fewer = {other: part for other, part in inner["properties"].items() if other != name}
            plant(f"without {name}", path, "property_removed", properties=fewer)
            if name not in inner["required"]:
                plant(f"{name} required", path, "required_added", required=[*inner["required"], name])
        if "properties" in inner:
            more = {**inner["properties"], "new_field": {"type": "string"}}
            plant(
                "new required field",
                path,
                "required_added",
                properties=more,
                required=[*inner["required"], "new_field"],
            )
        for value in inner.get("enum", ()):
            fewer_values = [other for other in inner["enum"] if other != value]
            plant(f"without value {value}", path, "enum_value_removed", enum=fewer_values)
        for word, step in (("minimum", 1), ("maximum", -1), ("maxLength", -1), ("minLength", 1), ("maxItems", -1)):
            if word in inner:
                plant(f"{word} narrowed", path, "bound_narrowed", **{word: inner[word] + step})
        if inner["type"] == "string":
            plant("another pattern", path, "pattern_added", pattern="^planted$")
        if isinstance(inner["type"], list):
            plant("null refused", path, "type_narrowed", type=inner["type"][0])
        if "default" in inner and inner["default"] != "planted":
            plant("another default", path, "default_changed", default="planted")
        if "x-unit" in inner:
            plant("another unit", path, "unit_changed", **{"x-unit": "furlong"})
    return planted


@pytest.mark.parametrize("topic", TOPICS)
def test_every_break_planted_in_a_real_schema_is_found(topic: str) -> None:
    schema = schema_of(topic)
    planted = planted_breaks(schema)
    missed = [what for what, broken, rule in planted if rule not in {found.rule for found in breaks(schema, broken)}]
    assert missed == []
    assert len(planted) > 20


@st.composite
def edited(draw: st.DrawFn) -> tuple[Schema, Schema]:
    """Draw a small closed schema and a copy with one to three edits, allowed or not."""
    old = closed(
        draw(st.sampled_from([("kind",), ("kind", "n"), ("n", "t")])),
        n=draw(st.sampled_from([COUNT, {**COUNT, "type": ["integer", "null"]}, {**COUNT, "type": "number"}])),
        t=draw(st.sampled_from([TEXT, {**TEXT, "type": ["string", "null"]}])),
        m=LIST,
    )
    new = copy.deepcopy(old)
    fields = new["properties"]
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(["kind", "n", "t", "m"]))
        edit = draw(st.sampled_from(["drop", "require", "free", "bound", "type", "enum", "add", "unbound"]))
        if edit == "drop":
            fields.pop(name, None)
            new["required"] = [other for other in new["required"] if other != name]
        elif edit == "require" and name in fields:
            new["required"] = sorted({*new["required"], name})
        elif edit == "free":
            new["required"] = [other for other in new["required"] if other != name]
        elif edit == "add":
            fields["added"] = draw(st.sampled_from([COUNT, TEXT]))
        elif name in fields:
            field = fields[name] = copy.deepcopy(fields[name])
            bounds = sorted(field.keys() & {"minimum", "maximum", "minLength", "maxLength", "maxItems"})
            if edit == "bound" and bounds:
                word = draw(st.sampled_from(bounds))
                field[word] = max(0, field[word] + draw(st.integers(-2, 2)))
            elif edit == "unbound" and bounds:
                del field[draw(st.sampled_from(bounds))]
            elif edit == "type" and name in {"n", "t"}:
                field["type"] = draw(
                    st.sampled_from(["integer", "number", "string", ["integer", "null"], ["string", "null"]])
                )
            elif edit == "enum" and "enum" in field:
                field["enum"] = draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, unique=True))
    return old, new


@pytest.mark.slow
@settings(max_examples=100, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
@given(edited(), st.data())
def test_what_the_checker_passes_reads_every_document_drawn_from_the_old_schema(
    pair: tuple[Schema, Schema], data: st.DataObject
) -> None:
    old, new = pair
    assume(not breaks(old, new))
    document = data.draw(documents(old))
    assert validator(old).is_valid(document)
    assert validator(new).is_valid(document)

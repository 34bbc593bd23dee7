"""Says what in a new schema would refuse, or read otherwise, a document written under an old one.

Conservative: what it passes is compatible; what it is not sure of, it reports; a keyword that it does not know is
an error, since it might narrow anything.  Pure functions over parsed draft-07 schemas of a small vocabulary.
"""

import json
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

Rule = Literal[
    "type_narrowed", "enum_added", "enum_value_removed", "bound_narrowed", "pattern_added", "format_added",
    "encoding_changed", "items_narrowed", "required_added", "property_removed", "property_added_to_open", "closed",
    "default_changed", "unit_changed",
]  # fmt: skip
Schema = dict[str, Any]

ANNOTATIONS: Final = frozenset({"$schema", "$id", "title", "description", "x-std"})
LOWER: Final = {"minimum": "number", "minLength": "string", "minItems": "array"}
UPPER: Final = {"maximum": "number", "maxLength": "string", "maxItems": "array"}
KNOWN: Final = (
    ANNOTATIONS
    | LOWER.keys()
    | UPPER.keys()
    | {"type", "enum", "pattern", "format", "contentEncoding", "items"}
    | {"properties", "required", "additionalProperties", "default", "x-unit"}
)
TYPES: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


class Break(NamedTuple):
    """One reason why old documents are not safe with a new schema."""

    path: str
    rule: Rule
    detail: str


def breaks(old: Schema, new: Schema, path: str = "$") -> list[Break]:
    """Return every way in which `new` could refuse or misread what `old` accepts; an empty list is a promise.

    Raises `ValueError` on a keyword outside the vocabulary.

    >>> breaks({"type": "integer", "minimum": 0}, {"type": "integer", "minimum": 1})
    [Break(path='$', rule='bound_narrowed', detail='minimum 0 -> 1')]
    >>> breaks({"type": "integer"}, {"type": ["number", "null"]})
    []
    """
    for schema in (old, new):
        if unknown := schema.keys() - KNOWN:
            raise ValueError(f"{path}: not understood, so not judged: {', '.join(sorted(unknown))}")
    return [*_value_breaks(old, new, path), *_text_breaks(old, new, path), *_inner_breaks(old, new, path)]


def _value_breaks(old: Schema, new: Schema, path: str) -> Iterator[Break]:
    lost = _types(old) - _types(new)
    if lost:
        yield Break(path, "type_narrowed", f"no longer: {', '.join(sorted(lost))}")
    if "enum" in new:
        if "enum" not in old:
            yield Break(path, "enum_added", "any value was allowed")
        elif gone := {_exact(value) for value in old["enum"]} - {_exact(value) for value in new["enum"]}:
            yield Break(path, "enum_value_removed", ", ".join(sorted(gone)))
    for bounds, sign in ((LOWER, 1), (UPPER, -1)):
        for keyword, kind in bounds.items():
            before, after = old.get(keyword), new.get(keyword)
            if after is None or not _allows(old, kind):
                continue
            if (before is None and not _is_trivial(keyword, after)) or (
                before is not None and sign * (after - before) > 0
            ):
                yield Break(path, "bound_narrowed", f"{keyword} {before} -> {after}")
    if old.get("x-unit") != new.get("x-unit"):
        yield Break(path, "unit_changed", f"{old.get('x-unit')} -> {new.get('x-unit')}")


def _text_breaks(old: Schema, new: Schema, path: str) -> Iterator[Break]:
    if not _allows(old, "string"):
        return
    rules: tuple[tuple[str, Rule], ...] = (("pattern", "pattern_added"), ("format", "format_added"))
    for keyword, rule in rules:
        if keyword in new and new[keyword] != old.get(keyword):
            yield Break(path, rule, f"{old.get(keyword)} -> {new[keyword]}")
    if old.get("contentEncoding") != new.get("contentEncoding"):
        yield Break(path, "encoding_changed", f"{old.get('contentEncoding')} -> {new.get('contentEncoding')}")


def _inner_breaks(old: Schema, new: Schema, path: str) -> Iterator[Break]:
    if _allows(old, "array") and "items" in new:
        if "items" in old:
            yield from breaks(old["items"], new["items"], f"{path}[]")
        else:
            yield Break(path, "items_narrowed", "items could be anything")
    if _allows(old, "object") and _allows(new, "object"):
        yield from _object_breaks(old, new, path)


def _object_breaks(old: Schema, new: Schema, path: str) -> Iterator[Break]:
    fields, new_fields = old.get("properties", {}), new.get("properties", {})
    needed = set(old.get("required", ()))
    old_is_open, new_is_open = _is_open(old, path), _is_open(new, path)
    if old_is_open and not new_is_open:
        yield Break(path, "closed", "unknown fields were allowed")
    for name in sorted(set(new.get("required", ())) - needed):
        yield Break(f"{path}.{name}", "required_added", "old documents may lack it")
    for name in sorted(fields.keys() - new_fields.keys()):
        if not new_is_open:
            yield Break(f"{path}.{name}", "property_removed", "old documents may have it")
    for name in sorted(new_fields.keys() - fields.keys()):
        if old_is_open:
            yield Break(f"{path}.{name}", "property_added_to_open", "old documents may have it, and of any type")
    for name in sorted(fields.keys() & new_fields.keys()):
        before, after = fields[name], new_fields[name]
        yield from breaks(before, after, f"{path}.{name}")
        if name not in needed and _default(before) != _default(after):
            yield Break(f"{path}.{name}", "default_changed", f"{_default(before)} -> {_default(after)}")


def _types(schema: Schema) -> frozenset[str]:
    named = schema.get("type", TYPES)
    types = frozenset([named] if isinstance(named, str) else named)
    return types | {"integer"} if "number" in types else types


def _allows(schema: Schema, kind: str) -> bool:
    types = _types(schema)
    return kind in types or (kind == "number" and "integer" in types)


def _is_trivial(keyword: str, bound: float) -> bool:
    return keyword in {"minLength", "minItems"} and bound <= 0


def _is_open(schema: Schema, path: str) -> bool:
    others = schema.get("additionalProperties", True)
    if not isinstance(others, bool):
        raise ValueError(f"{path}: not understood, so not judged: a schema in additionalProperties")  # noqa: TRY004 - it is the value that is out of range
    return others


def _default(schema: Schema) -> str:
    return _exact(schema["default"]) if "default" in schema else "none"


def _exact(value: Any) -> str:
    return json.dumps(value, sort_keys=True)

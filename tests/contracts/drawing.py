"""Documents drawn from a closed schema, and its near misses: what a careless or hostile producer would send.

Only the small vocabulary of `schemas/json/` is understood; `test_schemas.py` keeps the files within it.
"""

import string
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from tests.contracts.catalogue import types_of

MISSING: Final = "(left out)"
HEX: Final = "0123456789abcdef"
OUTPUT_TIME: Final = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$"

TIMES: Final = (
    "2026-11-21T18:04:11Z", "2026-11-21T18:04:11.230Z", "2026-11-21t18:04:11z", "2026-11-21 18:04:11Z",
    "2026-11-21T18:04:11.230+08:00", "2026-11-21T18:04:11+0800", "2026-11-21T18:04:11-00:00",
    "2026-11-21T18:04:11.1234567890123Z", "2024-02-29T00:00:00.000Z", "2026-02-29T00:00:00.000Z",
    "1900-02-29T00:00:00.000Z", "2000-02-29T00:00:00.000Z", "2026-04-31T00:00:00.000Z", "2026-04-00T00:00:00.000Z",
    "2026-00-01T00:00:00.000Z", "2026-13-01T00:00:00.000Z", "0000-01-01T00:00:00.000Z", "0001-01-01T00:00:00.000Z",
    "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.9999994Z", "9999-12-31T23:59:59.9999995Z", "9999-12-31T23:59:59-23:59",
    "2026-11-21T24:00:00.000Z", "2026-11-21T23:60:00.000Z", "2016-12-31T23:59:60.000Z", "2026-11-21T18:04:11",
    "2026-11-21T18:04:11.230", "2026-11-21T18:04Z", "2026-11-21", "2026-11-21T18:04:11.Z", "2026-11-21T18:04:11,2Z",
    "2026-11-21T18:04:11+24:00", "2026-11-21T18:04:11+08:60", "2026-11-21T18:04:11+08", "2026-11-21T18:04:11+8:00",
    "2026-11-21T18:04:11 Z", " 2026-11-21T18:04:11Z", "2026-11-21T18:04:11Z ", "2026-11-21T18:04:11.230Z\n",
    "2026-11-21_18:04:11Z", "26-11-21T18:04:11Z", "12026-11-21T18:04:11Z", "+2026-11-21T18:04:11Z",
    "20261121T180411Z", "1795284251", "\uff12\uff10\uff12\uff16-11-21T18:04:11.230Z", "now",
)  # fmt: skip
WRONG: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 73.0, 0.5, -0.0, 1e308, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**30,
    "", "x", "0", "true", "null", "x\n", [], [0], [None], {}, {"x": 0},
)  # fmt: skip

_PATTERNS: Final[dict[str, st.SearchStrategy[str]]] = {
    "^s_[0-9a-f]{32}$": st.text(HEX, min_size=32, max_size=32).map("s_{}".format),
    "^[A-Z]{3}$": st.text(string.ascii_uppercase, min_size=3, max_size=3),
}


def documents(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return a strategy of documents that the schema accepts, drawn to its bounds more often than chance would."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return st.one_of([_of_type(kind, schema) for kind in types_of(schema)])


def _of_type(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "null":
        return st.none()
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        low, high = schema["minimum"], schema["maximum"]
        return st.sampled_from([low, high]) | st.integers(low, high)
    if kind == "number":
        low, high = schema.get("minimum"), schema.get("maximum")
        return st.floats(low, high, allow_nan=False, allow_infinity=False) | st.integers(low or 0, high or 2**70)
    if kind == "array":
        fewest, most = schema.get("minItems", 0), min(schema["maxItems"], schema.get("minItems", 0) + 3)
        return st.lists(documents(schema["items"]), min_size=fewest, max_size=most)
    if kind == "object":
        needed = {name: documents(inner) for name, inner in schema["properties"].items() if name in schema["required"]}
        free = {name: documents(inner) for name, inner in schema["properties"].items() if name not in needed}
        return st.fixed_dictionaries(needed, optional=free)
    return _texts(schema)


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        moments = st.datetimes()
        if schema["pattern"] == OUTPUT_TIME:
            return moments.map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z")
        endings = st.sampled_from(["Z", "z", "+08:00", "-0330", "+23:59"])
        return st.builds("{}{}".format, moments.map(lambda moment: moment.isoformat()), endings)
    if schema.get("contentEncoding") == "base64":
        return st.sampled_from(["", "YQ==", "YR==", "YWI=", "YWJj", "+/+/"])
    if "pattern" in schema:
        return _PATTERNS[schema["pattern"]]
    low, high = schema.get("minLength", 0), schema["maxLength"]
    return st.sampled_from(["x" * max(low, 1), "x" * high, "\U0001f4f5" * high]) | st.text(min_size=low, max_size=high)


class Change(NamedTuple):
    """One change to one part of a document; applied only when wanted, since there are thousands."""

    path: tuple[Any, ...]
    value: Any

    def applied_to(self, document: Any) -> Any:
        """Return a changed copy; only what lies on the way to the change is copied."""
        return _changed(document, self.path, self.value)

    def __str__(self) -> str:
        """Say where and what, shortened."""
        said = self.value if self.value is MISSING else str(self.value)[:40]
        return f"{'.'.join(map(str, self.path))} = {said!r}"


def near_misses(schema: dict[str, Any], document: Any) -> Iterator[Change]:
    """Yield every single change worth trying on every part of a document."""
    for inner, path in _parts(schema, document):
        yield from _changes_of_part(document, inner, path)


def one_near_miss(schema: dict[str, Any], document: Any) -> st.SearchStrategy[Change]:
    """Return a strategy of what `near_misses` yields, without making all of it for one."""
    parts = st.sampled_from(list(_parts(schema, document)))
    return parts.flatmap(lambda part: st.sampled_from(_changes_of_part(document, *part)))


def _changes_of_part(document: Any, inner: dict[str, Any], path: tuple[Any, ...]) -> list[Change]:
    changes = [Change(path, value) for value in suspects(inner)]
    if path:
        changes.append(Change(path, MISSING))
    if "properties" in inner and isinstance(_at(document, path), dict):
        changes += [Change((*path, name), "x") for name in ("unknown", "Event_id", "event_id ", "")]
    return changes


def suspects(schema: dict[str, Any]) -> list[Any]:
    """Return values on, just inside and just outside every bound of a schema, and of every wrong type."""
    values = [*WRONG, *schema.get("enum", ())]
    for value in schema.get("enum", ()):
        if isinstance(value, str):
            values += [value.upper(), value.title(), f"{value} ", f"{value}\n", value[:-1]]
    for bound in ("minimum", "maximum"):
        if bound in schema:
            values += [schema[bound] - 1, schema[bound], schema[bound] + 1, schema[bound] + 0.5, schema[bound] - 1e-9]
    for length in {schema[word] for word in ("minLength", "maxLength") if word in schema}:
        values += [letter * n for letter in ("x", "\u00e9", "\U0001f4f5") for n in (length - 1, length, length + 1)]
    if schema.get("format") == "date-time":
        values += TIMES
    if schema.get("pattern") in _PATTERNS:
        right = {"^s_[0-9a-f]{32}$": "s_" + HEX * 2, "^[A-Z]{3}$": "CNY"}[schema["pattern"]]
        values += [right, f"{right}\n", f" {right}", right.swapcase(), right[:-1], f"{right}0", f"{right[:-1]}\uff11"]
    if schema.get("contentEncoding") == "base64":
        most = schema["maxLength"]
        values += ["YQ==", "YR==", "YQ", "YQ=", "Y Q=", "YQ==\n", "-_-_", "+/+/", "=", "A" * most, "A" * (most + 4)]
    for length in {schema[word] for word in ("minItems", "maxItems") if word in schema}:
        values += [[0.5] * n for n in (length - 1, length, length + 1) if n >= 0]
    return values


def _parts(schema: dict[str, Any], document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield (schema, path) of a document, its fields whether given or not, and the first item of its lists."""
    yield schema, at
    if isinstance(document, dict):
        for name, inner in schema.get("properties", {}).items():
            yield from _parts(inner, document.get(name), (*at, name))
    if isinstance(document, list) and document and "items" in schema:
        yield from _parts(schema["items"], document[0], (*at, 0))


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document.get(key) if isinstance(document, dict) else document[key]
    return document


def _changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    key, rest = path[0], path[1:]
    copied = document.copy()
    if value is MISSING and not rest:
        if isinstance(copied, list):
            del copied[key]
        else:
            copied.pop(key, None)
    else:
        copied[key] = _changed(document[key] if rest else None, rest, value)
    return copied

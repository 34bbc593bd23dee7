"""The contracts as the tests read them: files of `schemas/`, and a validator as strict as the README says."""

import base64
import functools
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import jsonschema
import msgspec
import yaml

from streams.core.contracts.events import BROADCASTS, INPUTS
from streams.core.contracts.outputs import OUTPUTS

SCHEMAS: Final = Path(__file__).parents[2] / "schemas"
STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {**INPUTS, **BROADCASTS, **OUTPUTS}
TOPICS: Final = tuple(STRUCTS)

_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]+))?(?:[Zz]|[+-]([0-9]{2}):?([0-9]{2}))"
)
_LAST_SECOND: Final = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001 - compared with others that have no zone either


def is_time(text: object) -> bool:
    """Say whether a text is a time that the contracts take; written without msgspec, so that the two can differ.

    >>> is_time("2026-11-21T18:04:11.230Z"), is_time("2026-02-30T00:00:00Z")
    (True, False)
    """
    if not isinstance(text, str):
        return True
    match = _TIME.fullmatch(text)
    if match is None:
        return False
    *fields, fraction, offset_h, offset_min = match.groups()
    try:
        year, month, day, hour, minute, seconds = map(int, fields)
        second = datetime(year, month, day, hour, minute, seconds)  # noqa: DTZ001 - the offset is checked below
    except ValueError:
        return False
    rounds_up = fraction is not None and fraction[:6] == "999999" and fraction[6:7] >= "5"
    past_the_end = rounds_up and second == _LAST_SECOND
    return int(offset_h or 0) < 24 and int(offset_min or 0) < 60 and not past_the_end


def _is_integer(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_FORMATS: Final = jsonschema.FormatChecker(formats=())
_FORMATS.checks("date-time")(is_time)
_Strict: Final = jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # the stubs leave it untyped
    jsonschema.Draft7Validator,
    type_checker=jsonschema.Draft7Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def validator(schema: dict[str, Any]) -> Any:
    """Return a draft-07 validator that checks times and refuses integers written with a fraction."""
    return _Strict(schema, format_checker=_FORMATS)


@functools.cache
def schema_of(topic: str) -> dict[str, Any]:
    """Return the current schema of a topic."""
    schema: dict[str, Any] = json.loads((SCHEMAS / "json" / f"{topic}.v1.schema.json").read_bytes())
    return schema


@functools.cache
def topic_file(topic: str) -> dict[str, Any]:
    """Return `topics/<topic>.yaml`."""
    declared: dict[str, Any] = yaml.safe_load((SCHEMAS / "topics" / f"{topic}.yaml").read_text())
    return declared


def history_of(topic: str) -> dict[str, dict[str, Any]]:
    """Return the released revisions of a topic, oldest first, by revision (`1.0`)."""
    files = (SCHEMAS / "history" / topic).glob("v*.json")
    revisions = {file.stem.removeprefix("v"): json.loads(file.read_bytes()) for file in files}
    return dict(sorted(revisions.items(), key=lambda item: revision_number(item[0])))


def revision_number(revision: str) -> tuple[int, ...]:
    """Return a revision in a form that sorts.

    >>> revision_number("1.10") > revision_number("1.9")
    True
    """
    return tuple(map(int, revision.split(".")))


def example_files(verdict: str) -> list[Path]:
    """Return all files of `examples/*/v1/<verdict>/`, in order."""
    return sorted((SCHEMAS / "examples").glob(f"*/v1/{verdict}/*.json"))


def topic_of(example: Path) -> str:
    """Return the topic that an example belongs to."""
    return example.parents[2].name


def example_name(example: Path) -> str:
    """Return a name to report an example by."""
    return f"{topic_of(example)}/{example.parent.name}/{example.stem}"


def raw_bytes(refused: dict[str, Any]) -> bytes:
    """Return the bytes of the record that a refused example describes."""
    if "base64" in refused:
        return base64.b64decode(refused["base64"], validate=True)
    if "text" in refused:
        text: str = refused["text"]
        return text.encode()
    return json.dumps(refused["value"]).encode()


def struct_accepts(topic: str, body: bytes) -> bool:
    """Say whether the topic's struct reads these bytes."""
    try:
        _decoder(topic).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


@functools.cache
def _decoder(topic: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(STRUCTS[topic])


def subschemas(schema: dict[str, Any], path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a schema and every schema inside it, each with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from subschemas(inner, f"{path}.{name}")
    if "items" in schema:
        yield from subschemas(schema["items"], f"{path}[]")


def types_of(schema: dict[str, Any]) -> tuple[str, ...]:
    """Return the types of a schema as a tuple, whether it has one or several."""
    named = schema["type"]
    return (named,) if isinstance(named, str) else tuple(named)

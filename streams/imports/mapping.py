"""Import maps are read and checked here: against their language, the contracts, and a table's heading."""

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from streams.core.contracts.events import INPUTS, Body
from streams.imports.language import (
    FILLED_IN,
    ChoiceField,
    EventMap,
    Field,
    FromColumn,
    Map,
    MonthsBeforeField,
    Rebuild,
    Scalar,
)
from streams.shared.errors import MappingError

SUFFIX: Final = ".toml"


class LoadedMap(Struct, frozen=True):
    """A map that was found good, with its name for messages and its text."""

    map: Map
    file: str
    text: str

    def columns(self) -> set[str]:
        """Return the columns that the map reads."""
        return {column for column, _ in columns_used(self.map)}

    def line_of(self, name: str) -> str:
        """Return where a name stands in the map, as ` (line 7)`, or nothing where it does not."""
        for number, line in enumerate(self.text.splitlines(), 1):
            if f'"{name}"' in line or f"'{name}'" in line or line.split("=")[0].strip() == name:
                return f" (line {number})"
        return ""


def shipped_maps() -> tuple[str, ...]:
    """Return the names of the maps that come with the package, sorted.

    >>> shipped_maps()
    ('cdnow', 'iranian_churn')
    """
    folder = resources.files("streams.imports").joinpath("maps")
    return tuple(sorted(entry.name.removesuffix(SUFFIX) for entry in folder.iterdir() if entry.name.endswith(SUFFIX)))


def load_map(name_or_path: str | Path) -> LoadedMap:
    """Read a map by the name of a shipped one or by its path, and check all that can be checked without the table.

    Raises:
        MappingError: no such map, no TOML, or a name or value that the language or the contracts do not have.
    """
    file, text = _read(name_or_path)
    try:
        loaded = LoadedMap(msgspec.convert(tomllib.loads(text), Map), file, text)
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"the map {file} is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise MappingError(f"the map {file} is wrong: {error}") from None
    for problem in _problems(loaded):
        raise MappingError(f"the map {file}: {problem}")
    return loaded


def _read(name_or_path: str | Path) -> tuple[str, str]:
    path = Path(name_or_path)
    if str(name_or_path) in shipped_maps():
        shipped = resources.files("streams.imports").joinpath("maps", f"{name_or_path}{SUFFIX}")
        return shipped.name, shipped.read_text("utf-8")
    try:
        return path.name, path.read_text("utf-8")
    except FileNotFoundError:
        raise MappingError(f"there is no map {name_or_path}: it should be a TOML file, or a map that is shipped "
                           f"({', '.join(shipped_maps())})") from None  # fmt: skip
    except OSError as error:
        raise MappingError(f"the map {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MappingError(f"the map {path} cannot be read: it is not UTF-8") from None


def columns_used(given: Map) -> Iterator[tuple[str, str]]:
    """Yield every column that a map reads with the place in the map that reads it."""
    if given.identity.column:
        yield given.identity.column, "[identity] column"
    if given.rebuild:
        yield given.rebuild.label, "[rebuild] label"
        for name, column in _usage_columns(given.rebuild):
            yield column, f"[rebuild.usage] {name}"
    for number, event in enumerate(given.event, 1):
        for part, column in event_columns(event):
            yield column, f"[[event]] {number} ({event.topic}), {part}"


def event_columns(event: EventMap) -> Iterator[tuple[str, str]]:
    """Yield (part of the table, column) for all that one kind of event reads."""
    yield from ((name, getattr(event, name)) for name in ("repeat", "id") if getattr(event, name))
    if event.time:
        yield "time", event.time.column
    yield from ((f"when {number}", condition.column) for number, condition in enumerate(event.when, 1))
    for name, value in event.fields.items():
        if isinstance(value, FromColumn):
            yield f"fields.{name}", value.column


def check_columns(loaded: LoadedMap, columns: Iterable[str], table: str) -> None:
    """Compare a map with the headings of the file that it is used on.

    Raises:
        MappingError: the file lacks a column, or has two of its name; the message names it, its place in the map
            and the columns there are.
    """
    existing = list(columns)
    for column, where in columns_used(loaded.map):
        if existing.count(column) > 1:
            raise MappingError(f"{table} has two columns {column!r}, and the map {loaded.file} reads it in {where}")
        if column not in existing:
            near = difflib.get_close_matches(column, existing, 1)
            raise MappingError(
                f"{table} has no column {column!r}, which the map {loaded.file} reads in {where}"
                f"{loaded.line_of(column)}; its columns are {', '.join(map(repr, existing))}",
                hint=f"did you mean {near[0]!r}?" if near else None,
            )


def _usage_columns(rebuild: Rebuild) -> Iterator[tuple[str, str]]:
    for name in ("voice_answered", "voice_s", "voice_setup_failed", "sms_count", "data_sessions"):
        column = getattr(rebuild.usage, name, None)
        if column:
            yield name, column


def _problems(loaded: LoadedMap) -> Iterator[str]:
    given = loaded.map
    if (given.identity.column is None) is not given.identity.row_number:
        yield "[identity] needs either column or row_number = true"
    if given.rebuild and given.provenance != "reconstructed":
        yield 'a map with [rebuild] says provenance = "reconstructed"'
    for number, event in enumerate(given.event, 1):
        for problem in (*_shape_problems(event, given.rebuild), *_field_problems(event, loaded)):
            yield f"[[event]] {number} ({event.topic}): {problem}"


def _shape_problems(event: EventMap, rebuild: Rebuild | None) -> Iterator[str]:
    if rebuild is None:
        if event.time is None or event.place or event.repeat:
            yield "a dated event needs time, and place and repeat are for maps with [rebuild]"
        if any(isinstance(value, MonthsBeforeField) for value in event.fields.values()):
            yield 'as = "months_before_start" needs a [rebuild] window'
        return
    if event.time or event.id or event.place is None:
        yield "an event of a map with [rebuild] needs place, and has no time or id"
    if event.repeat and event.place not in ("within", "active"):
        yield 'repeat needs place = "within" or "active"'
    for part, column in event_columns(event):
        if column == rebuild.label and event.place != "outcome":
            yield f'{part} reads {column!r}, the label, which only an event with place = "outcome" may'


def _field_problems(event: EventMap, loaded: LoadedMap) -> Iterator[str]:
    struct: type[Body] = INPUTS[event.topic]
    known = {one.name: one for one in msgspec.structs.fields(struct) if one.name not in FILLED_IN}
    for name, value in event.fields.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            yield f"the contract has no field {name}{loaded.line_of(name)}" + (
                f"; did you mean {near[0]}?" if near else ""
            )
        else:
            for constant in _constants(value):
                try:
                    msgspec.convert(constant, known[name].type)
                except msgspec.ValidationError as error:
                    yield f"fields.{name}{loaded.line_of(name)} cannot be {constant!r}: {error}"
    missing = [name for name, one in known.items() if one.required and name not in event.fields]
    if missing:
        yield f"the contract needs the fields {', '.join(missing)}"


def _constants(value: Scalar | Field) -> Iterator[Scalar]:
    if isinstance(value, ChoiceField):
        yield from value.values.values()
        if value.other is not None:
            yield value.other
    elif isinstance(value, str | int):
        yield value

"""`import_file`: a table, a map and a key in; a folder of topics that `forewarn run` reads out."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from streams.imports.conversions import RefusedError
from streams.imports.mapping import LoadedMap, check_columns, load_map
from streams.imports.reading import BadRow, Progress, Row, open_table
from streams.imports.recipes import ImportedRow, Recipe
from streams.imports.writing import SIGNATURE, TopicWriter
from streams.shared.compression import Compression
from streams.shared.errors import InputError

REFUSALS_SHOWN_MAX: Final = 100


class Refusal(Struct, frozen=True):
    """A row that was left out: the line it begins on, and why, without its content."""

    line: int
    reason: str


class ImportReport(Struct, frozen=True, kw_only=True):
    """What an import did; times are event times in ms since 1970 UTC.

    `refusals` are the first hundred; the folder's `rejects.jsonl` has all.  `columns_unused` are columns that
    the map neither reads nor names as ignored.
    """

    map: str
    provenance: str
    rows_read: int
    duplicates_removed: int
    rows_refused: int
    refusals: tuple[Refusal, ...]
    subscribers: int
    events: dict[str, int]
    first_ms: int
    last_ms: int
    columns_unused: tuple[str, ...]
    files: tuple[str, ...]


def import_file(
    map_name_or_path: str | Path,
    file: Path,
    out: Path,
    *,
    key: bytes,
    seed: int = 0,
    compression: Compression = "none",
    progress: Progress | None = None,
) -> ImportReport:
    """Turn a table into topics: `<topic>.jsonl` in time order, `forewarn.toml` with the map's policy, `rejects.jsonl`.

    The same file, map, key and seed give the same bytes.  A row is used whole or not at all.  An earlier
    import in `out` is replaced once this one is complete.  `progress` is called with (bytes read, bytes).

    Raises:
        MappingError: the map is wrong, or the file lacks a column that it reads.
        InputError: the file cannot be read, no row of it can be used, or `out` cannot be written to.
        SettingsError: the key is shorter than 16 bytes.
    """
    loaded = load_map(map_name_or_path)
    tally = _ImportCounts()
    with open_table(file, loaded.map.reader, progress) as table, TopicWriter(out, compression) as writer:
        check_columns(loaded, table.columns, str(file))
        recipe = Recipe(loaded.map, table.columns, key=key, seed=seed)
        for row in table:
            tally.rows += 1
            made = row if isinstance(row, BadRow) else _make_row(recipe, row)
            if isinstance(made, BadRow):
                tally.refuse(made)
                writer.reject(made.line, made.reason)
            else:
                tally.take(made)
                for event in made.events:
                    writer.add(event.topic, event.at_ms, made.subscriber_id, event.line)
        if not tally.events:
            raise InputError(f"no row of {file} could be used{tally.first_reason()}")
        files = writer.finish(_settings_text(loaded, seed))
        return tally.report(loaded, table.duplicates, _unused_columns(loaded, table.columns), files)


def _make_row(recipe: Recipe, row: Row) -> ImportedRow | BadRow:
    try:
        return recipe.make(row)
    except RefusedError as refused:
        return BadRow(row.line, str(refused))


class _ImportCounts:
    """The running counts of an import."""

    def __init__(self) -> None:
        self.rows = 0
        self.refused = 0
        self.refusals: list[Refusal] = []
        self.events: Counter[str] = Counter()
        self.subscribers: set[str] = set()
        self.first_ms = self.last_ms = 0

    def refuse(self, row: BadRow) -> None:
        self.refused += 1
        if len(self.refusals) < REFUSALS_SHOWN_MAX:
            self.refusals.append(Refusal(row.line, row.reason))

    def take(self, made: ImportedRow) -> None:
        for event in made.events:
            if not self.events or event.at_ms < self.first_ms:
                self.first_ms = event.at_ms
            if event.at_ms > self.last_ms:
                self.last_ms = event.at_ms
            self.events[event.topic] += 1
        if made.events:
            self.subscribers.add(made.subscriber_id)

    def first_reason(self) -> str:
        if not self.refusals:
            return ": it has none that the map makes an event of"
        return f"; the first of {self.refused} refusals is line {self.refusals[0].line}: {self.refusals[0].reason}"

    def report(
        self, loaded: LoadedMap, duplicates: int, unused: tuple[str, ...], files: tuple[Path, ...]
    ) -> ImportReport:
        return ImportReport(
            map=loaded.map.name,
            provenance=loaded.map.provenance,
            rows_read=self.rows + duplicates,
            duplicates_removed=duplicates,
            rows_refused=self.refused,
            refusals=tuple(self.refusals),
            subscribers=len(self.subscribers),
            events=dict(sorted(self.events.items())),
            first_ms=self.first_ms,
            last_ms=self.last_ms,
            columns_unused=unused,
            files=tuple(map(str, files)),
        )


def _unused_columns(loaded: LoadedMap, columns: tuple[str, ...]) -> tuple[str, ...]:
    known = {*loaded.columns(), *loaded.map.reader.ignored}
    return tuple(column for column in columns if column not in known)


def _settings_text(loaded: LoadedMap, seed: int) -> str:
    """Return the settings file of the result; it holds nothing that differs between two equal imports."""
    lines = [f"{SIGNATURE} --map {loaded.map.name} (seed {seed}): {loaded.map.title}.", f"# {loaded.map.source}"]
    for table, values in loaded.map.policy.items():
        lines += ["", f"[policy.{table}]", *(f"{name} = {_toml(value)}" for name, value in values.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:  # noqa: ANN401  # Whatever TOML can hold; a JSON scalar or array reads the same in it.
    return json.dumps(value)

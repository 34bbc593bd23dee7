"""Hop 1, read: files of JSON Lines or standard input, merged into one sequence in event time.

The sequence is total (event time, then topic and partition, then offset), the same on every machine and for any
size of block, and it can be taken up at any place: `MergedSources.positions` says what the next run must be given.
"""

import stat
from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from streams.core.contracts.decode import decode, decode_any
from streams.core.contracts.events import BROADCASTS, INPUTS
from streams.files.cursors import Cursor, Decode, Item
from streams.files.lines import BLOCK_BYTES, PACKINGS, DamagedInputError
from streams.shared.errors import InputError
from streams.store.run.batch import Position

__all__ = [
    "Decode",
    "Item",
    "MergedSources",
    "Position",
    "Source",
    "decoder_of",
    "discover",
    "ignored_paths",
    "market_sources",
    "merge_sources",
    "total_bytes",
]

STANDARD_INPUT: Final = "-"
SOURCES_MAX: Final = 512
"""Each source is an open file, and most systems allow a process 1024."""

_BLOCKS_BYTES: Final = 16 * BLOCK_BYTES
_BLOCK_BYTES_MIN: Final = 1 << 14
_FORMATS: Final = (".jsonl", ".ndjson", ".json")


class Source(Struct, frozen=True):
    """One thing to read: a file, or standard input where `path` is None.

    `topic` None means that every line is an envelope `{"topic": …, "value": {…}}`.
    """

    topic: str | None
    partition: int
    path: Path | None

    @property
    def name(self) -> str:
        """The key of the source's position.

        >>> Source("usage", 3, None).name, Source(None, 0, None).name
        ('usage/3', '-/0')
        """
        return f"{self.topic or STANDARD_INPUT}/{self.partition}"


def discover(place: str, topic: str | None = None, topics: Sequence[str] = tuple(INPUTS)) -> tuple[Source, ...]:
    """Find what there is to read at a folder, a file or `-` (standard input), in the order of topics and partitions.

    A folder holds `<topic>.jsonl` (or .ndjson, .json), or a folder `<topic>` whose files, sorted by name, are
    partitions 0, 1, …; each may end in .gz or .zst.  `topic` narrows a folder to one topic, and says what a
    single file or standard input holds; without it a file is what it is called after, and anything else is
    read as lines that name their topic themselves.  `topics` are those that are looked for.  Raises `InputError` if
    there is nothing to read.
    """
    if topic is not None and topic not in topics:
        raise InputError(f"there is no topic {topic}", hint=f"the topics are {_join_names(topics)}")
    if place == STANDARD_INPUT:
        return (Source(topic, 0, None),)
    path = Path(place)
    if not path.exists():
        raise InputError(f"there is no file or folder {path}", hint="check the path, or write - for standard input")
    if not path.is_dir():
        return (Source(topic or _topic_of(path.name, topics), 0, path),)
    found = tuple(source for one in topics if topic in {None, one} for source in _sources_of(path, one))
    if not found:
        raise InputError(
            f"no topic was found in {path}, which holds {_join_names(entry.name for entry in _entries(path))}",
            hint=f"name the files <topic>.jsonl, where the topics are {_join_names([topic] if topic else topics)}",
        )
    if len(found) > SOURCES_MAX:
        raise InputError(
            f"{path} holds {len(found)} files, and at most {SOURCES_MAX} can be merged",
            hint="join the files of a topic, in the order of time, into <topic>.jsonl",
        )
    return found


def market_sources(place: str) -> tuple[Source, ...]:
    """Return what a folder holds about the whole market; nothing for a file, standard input or a folder without it."""
    path = Path(place)
    if place == STANDARD_INPUT or not path.is_dir():
        return ()
    return tuple(source for topic in BROADCASTS for source in _sources_of(path, topic))


def ignored_paths(place: str) -> tuple[Path, ...]:
    """Return the files and folders in a folder that belong to no topic, and so are not read; none for a file or `-`."""
    path = Path(place)
    if place == STANDARD_INPUT or not path.is_dir():
        return ()
    topics = (*INPUTS, *BROADCASTS)
    used = {source.path for topic in topics for source in _sources_of(path, topic)}
    beside = [entry for entry in _entries(path) if entry not in used and entry.name not in topics]
    inside = [entry for topic in topics if (path / topic).is_dir() for entry in _entries(path / topic)]
    return tuple(beside + [entry for entry in inside if entry not in used])


def total_bytes(sources: Sequence[Source]) -> int | None:
    """Return how many bytes there are to read, as they lie in the files; None if that is unknown, as of a pipe."""
    total = 0
    for source in sources:
        if source.path is None:
            return None
        try:
            status = source.path.stat()
        except OSError:
            return None  # Reading it will say why, and where.
        if not stat.S_ISREG(status.st_mode):
            return None
        total += status.st_size
    return total


def decoder_of(sources: Iterable[Source]) -> Decode:
    """Return what decodes the records of sources; only where lines name their topic can they be about the market."""
    return decode_any if any(source.topic is None for source in sources) else decode


def merge_sources(
    sources: Sequence[Source],
    positions: Mapping[str, Position],
    received_ms: int,
    decode: Decode,
    *,
    block_bytes: int | None = None,
) -> "MergedSources":
    """Read the sources from their positions on (from the start where there is none) as one sequence in event time.

    `received_ms` (ms since 1970 UTC) is given to every record, `decode` is applied to each.  While it is iterated
    over, `InputError` is raised where a source cannot be read on, after all that comes before that place.
    """
    size = block_bytes or max(_BLOCK_BYTES_MIN, min(BLOCK_BYTES, _BLOCKS_BYTES // max(1, len(sources))))
    cursors = {
        source.name: Cursor(
            source.topic,
            source.partition,
            source.path,
            position=positions.get(source.name, Position()),
            received_ms=received_ms,
            decode=decode,
            block_bytes=size,
        )
        for source in sources
    }
    return MergedSources(cursors)


class MergedSources:
    """The merged sequence: an iterator of events and dead letters that knows how far it has come.

    Sources that wait for their turn are read ahead by a block each.  Take as many records as are surely in
    order (those up to the end of the block that ends first), sort them by the keys that the cursors gave them,
    which the sort finds in long runs, and hand them out: this costs less than choosing a source for each record.
    """

    __slots__ = ("_cursors", "_items", "_order", "_shares", "_taken")

    def __init__(self, cursors: Mapping[str, Cursor]) -> None:
        self._cursors = cursors
        self._order: Sequence[int] = ()
        self._shares: list[tuple[Cursor, int]] = []
        self._taken = 0
        self._items = self._run()

    def __iter__(self) -> Iterator[Item]:
        return self._items

    def __next__(self) -> Item:
        return next(self._items)

    def close(self) -> None:
        """Stop reading and let go of the files; the positions stay as they are."""
        self._items.close()

    @property
    def bytes_read(self) -> int:
        """The bytes read so far, as they lie in the files, a block of each source ahead of what was handed out."""
        return sum(cursor.lines.bytes_read for cursor in self._cursors.values())

    def put_back(self) -> None:
        """Count the record handed out last as not handed out: the positions stand before it."""
        self._taken -= 1

    def positions(self) -> dict[str, Position]:
        """Return where each source stands after the record handed out last; takes a few milliseconds at most."""
        taken = dict.fromkeys(self._cursors.values(), 0)
        ends = [0]
        for _, count in self._shares:
            ends.append(ends[-1] + count)
        for index in self._order[: self._taken]:
            taken[self._shares[bisect_right(ends, index) - 1][0]] += 1
        return {name: cursor.position(taken[cursor]) for name, cursor in self._cursors.items()}

    def _run(self) -> Generator[Item]:
        live = list(self._cursors.values())
        try:
            while live:
                for cursor in live:
                    self._fill(cursor)
                live = [cursor for cursor in live if cursor.start < len(cursor.items)]
                items, keys = self._share_out(live)
                # Stable, so that of equal keys the earlier source and in it the earlier record stays first.
                self._order = sorted(range(len(keys)), key=keys.__getitem__)
                for taken, index in enumerate(self._order, 1):
                    self._taken = taken
                    yield items[index]
                for cursor, count in self._shares:
                    cursor.start += count
                self._order, self._shares, self._taken = (), [], 0
        finally:
            for cursor in self._cursors.values():
                cursor.close()

    def _fill(self, cursor: Cursor) -> None:
        try:
            cursor.fill()
        except DamagedInputError as error:
            error.source = next(name for name, one in self._cursors.items() if one is cursor)
            raise

    def _share_out(self, live: Sequence[Cursor]) -> tuple[list[Item], list[int]]:
        """Take from each cursor what surely comes before anything that is not read yet."""
        bound = min(((cursor.keys[-1], place) for place, cursor in enumerate(live) if not cursor.ended), default=None)
        items: list[Item] = []
        keys: list[int] = []
        for place, cursor in enumerate(live):
            if bound is None:
                end = len(cursor.keys)
            else:
                # At the very key of the bound, sources before the bounding one come first, those after it later.
                cut = bisect_right if place <= bound[1] else bisect_left
                end = cut(cursor.keys, bound[0], cursor.start)
            self._shares.append((cursor, end - cursor.start))
            items += cursor.items[cursor.start : end]
            keys += cursor.keys[cursor.start : end]
        return items, keys


def _sources_of(folder: Path, topic: str) -> list[Source]:
    """Return a topic's partitions in a folder; it is in doubt which to read where there are two of the same."""
    files = [entry for entry in _entries(folder) if _stem_of(entry.name) == topic and not entry.is_dir()]
    partitions = folder / topic
    if not partitions.is_dir():
        _refuse_doubles(topic, files)
        return [Source(topic, 0, file) for file in files]
    inside = [entry for entry in _entries(partitions) if _stem_of(entry.name) is not None and not entry.is_dir()]
    if inside:
        _refuse_doubles(topic, [*files, partitions] if files else [])
    for stem in {_stem_of(entry.name) for entry in inside}:
        _refuse_doubles(topic, [entry for entry in inside if _stem_of(entry.name) == stem])
    if not inside:
        return [Source(topic, 0, file) for file in files]
    return [Source(topic, partition, file) for partition, file in enumerate(inside)]


def _refuse_doubles(topic: str, paths: Sequence[Path]) -> None:
    if len(paths) > 1:
        raise InputError(
            f"{_join_names(str(path) for path in paths)} hold the same part of topic {topic}",
            hint="keep one of them; partitions go into a folder of the topic's name",
        )


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}") from error


def _stem_of(name: str) -> str | None:
    """Return a file's name without the endings of JSON Lines, or None if it has none of these.

    >>> _stem_of("usage.jsonl.gz"), _stem_of("usage.csv")
    ('usage', None)
    """
    for packing in PACKINGS:
        name = name.removesuffix(packing.suffix)
    for suffix in _FORMATS:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return None


def _topic_of(name: str, topics: Sequence[str]) -> str | None:
    stem = _stem_of(name)
    return stem if stem in topics else None


def _join_names(names: Iterable[str], most: int = 8) -> str:
    """Put names into a sentence.

    >>> _join_names(["a", "b", "c"], most=2), _join_names([])
    ('a, b and 1 more', 'nothing')
    """
    every = list(names)
    if len(every) > most:
        return f"{', '.join(every[:most])} and {len(every) - most} more"
    return ", ".join(every) or "nothing"

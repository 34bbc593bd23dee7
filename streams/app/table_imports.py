"""An operator's tables as topics, and its identifiers as subscriber ids."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from streams.app.progress import Progress, TellProgress
from streams.imports.importing import ImportReport, import_file
from streams.shared.compression import Compression
from streams.shared.pseudonyms import pseudonym


def import_data(
    map_name_or_path: str,
    file: Path,
    out: Path,
    *,
    key: bytes,
    seed: int = 0,
    compression: Compression = "none",
    progress: TellProgress | None = None,
) -> ImportReport:
    """Turn a table into topics."""
    tell = None if progress is None else lambda done, total: progress(Progress(0, done, total, 0, 0))
    return import_file(map_name_or_path, file, out, key=key, seed=seed, compression=compression, progress=tell)


def pseudonyms(identifiers: Iterable[str], key: bytes) -> Iterator[tuple[str, str]]:
    """Yield each identifier with the subscriber id that it becomes under the key."""
    for identifier in identifiers:
        yield identifier, pseudonym(key, identifier)

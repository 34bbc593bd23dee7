"""The store of a partition's packed states while a worker owns it: in memory, or on a disk where memory is too small.

Neither is a truth of its own: the changelog is, and whoever takes a partition reads it whole into a store that is made
anew.  So a store needs no recovery, and is gone when its process is.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

import lmdb

from streams.engine.subscribers import SNAPSHOT_BYTE, PackedStates
from streams.shared.errors import SettingsError
from streams.shared.exits import EXIT_IO, StoppedError

FRESH_MAX: Final = 10_000
"""What is put is kept in memory until so many have come, and is then written in the order of the keys."""
BYTES_MAX: Final = 1 << 40
"""To what the file could grow: addresses only, no disk is taken for it."""


class StateStore(PackedStates, Protocol):
    """Packed states by their keys, for as long as their partition number is ours."""

    def close(self) -> None:
        """Let go of everything."""


class InMemoryStore(dict[bytes, bytes]):
    """Packed states in memory."""

    def close(self) -> None:
        """Let go of everything."""
        self.clear()


class LmdbStore:
    """Packed states in a file without a name (LMDB), which ends with this process however it ends."""

    def __init__(self, folder: Path, *, fresh_max: int = FRESH_MAX) -> None:
        """Make the file.

        Raises:
            StoppedError: it cannot be made there.
        """
        self._folder = folder
        self._fresh_max = fresh_max
        self._fresh: dict[bytes, bytes] = {}
        self._taken = 0
        try:
            handle, path = tempfile.mkstemp(prefix="forewarn-", suffix=".states", dir=folder)
            os.close(handle)
            try:
                # Nothing is kept over a crash, so nothing has to be forced to the disk, and nobody else opens it.
                self._environment: Any = lmdb.open(
                    path, map_size=BYTES_MAX, subdir=False, max_dbs=2, sync=False, lock=False, readahead=False
                )
            finally:
                Path(path).unlink()
            self._states = self._environment.open_db(b"states")
            self._snapshots = self._environment.open_db(b"snapshots")
            self._transaction: Any = self._environment.begin(write=True)
        except (OSError, lmdb.Error) as error:
            self._give_up(error)

    def __setitem__(self, key: bytes, packed: bytes) -> None:
        """Put one there, in place of what was there before."""
        self._fresh[key] = packed
        if len(self._fresh) >= self._fresh_max:
            self._flush()

    def pop(self, key: bytes, default: None) -> bytes | None:
        """Take one away and return it, or `default` where there is none."""
        fresh = self._fresh.pop(key, default)
        try:
            found: bytes | None = self._transaction.pop(key, db=self._where(key))
        except lmdb.Error as error:
            self._give_up(error)
        self._taken += 1
        if self._taken >= self._fresh_max:
            self._flush()
        return found if fresh is None else fresh

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the states, in the order of their keys."""
        self._flush()
        yield from self._transaction.cursor(self._states)

    def close(self) -> None:
        """Let go of everything."""
        self._transaction.abort()
        self._environment.close()

    def _where(self, key: bytes) -> Any:  # noqa: ANN401 - LMDB's handles have no type
        return self._snapshots if SNAPSHOT_BYTE in key else self._states

    def _flush(self) -> None:
        """Write what is in memory only; a transaction that grew larger would hold its pages in memory too."""
        try:
            for key in sorted(self._fresh):
                self._transaction.put(key, self._fresh[key], db=self._where(key))
            self._transaction.commit()
            self._transaction = self._environment.begin(write=True)
        except lmdb.Error as error:
            self._give_up(error)
        self._fresh.clear()
        self._taken = 0

    def _give_up(self, error: Exception) -> NoReturn:
        raise StoppedError(EXIT_IO, f"the local store in {self._folder} cannot be used: {error}") from error


def check_folder(folder: Path) -> Path:
    """Return the folder, once a store could be made in it.

    Raises:
        SettingsError: it cannot.
    """
    try:
        LmdbStore(folder).close()
    except StoppedError as error:
        raise SettingsError(f"store: {error}", hint="name a folder that exists and may be written") from error
    return folder

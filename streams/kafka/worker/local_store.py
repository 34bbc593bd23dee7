"""The store of a partition's packed states and snapshots while a worker owns it: on a disk, or in memory.

Neither is a truth of its own: the changelog is, and whoever takes a partition reads it whole into a store that is made
anew.  So a store needs no recovery, and is gone when its process is.
"""

import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

import lmdb

from streams.core.times import DAY_MS
from streams.engine.subscribers import SNAPSHOT_BYTE, PackedInMemory, PackedStore, stored_key
from streams.engine.waiting_snapshots import TIME_BYTES
from streams.shared.errors import SettingsError
from streams.shared.exits import EXIT_IO, StoppedError

FRESH_MAX: Final = 10_000
"""What is put is kept in memory until so many have come, and is then written in the order of the keys."""
SNAPSHOTS_MAX: Final = 50_000
"""Snapshots that are gathered in memory at most, new ones and such as are to be taken away: some 30 MB."""
PART_MAX: Final = 2_000
"""Snapshots of one transaction, which keeps its pages in memory, and the memory afterwards."""
BYTES_MAX: Final = 1 << 40
"""To what the file could grow: addresses only, no disk is taken for it."""


class StateStore(PackedStore, Protocol):
    """Packed states and snapshots by their keys, for as long as their partition number is ours."""

    def close(self) -> None:
        """Let go of everything."""


class InMemoryStore(PackedInMemory):
    """Packed states and snapshots in memory."""

    def close(self) -> None:
        """Let go of everything."""
        self.clear()


class LmdbStore:
    """Snapshots, and packed states too unless those stay in memory, in a file without a name (LMDB).

    The file ends with this process however it ends.  In it the key of a snapshot begins with its time: what is taken
    on one day lies together, and is settled together a horizon later.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fresh_max: int = FRESH_MAX,
        snapshots_max: int = SNAPSHOTS_MAX,
        states_in_memory: bool = False,
    ) -> None:
        """Make the file.

        Raises:
            StoppedError: it cannot be made there.
        """
        self._folder = folder
        self._fresh_max = fresh_max
        self._held: dict[bytes, bytes] | None = {} if states_in_memory else None
        self._fresh: dict[bytes, bytes] = {}
        self._snapshots_max = snapshots_max
        self._fresh_snapshots: dict[bytes, bytes | None] = {}
        self._day = 0
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
        if SNAPSHOT_BYTE in key:
            self.write_snapshots({stored_key(key): packed}, ())
        elif self._held is not None:
            self._held[key] = packed
        else:
            self._fresh[key] = packed
            if len(self._fresh) >= self._fresh_max:
                self._flush()

    def pop(self, key: bytes, default: None) -> bytes | None:
        """Take one away and return it, or `default` where there is none."""
        if SNAPSHOT_BYTE in key:
            stored = stored_key(key)
            body = self.read_snapshots([stored]).get(stored)
            self.write_snapshots({}, [stored])
            return body
        if self._held is not None:
            return self._held.pop(key, default)
        fresh = self._fresh.pop(key, default)
        try:
            found: bytes | None = self._transaction.pop(key, db=self._states)
        except lmdb.Error as error:
            self._give_up(error)
        self._taken += 1
        if self._taken >= self._fresh_max:
            self._flush()
        return found if fresh is None else fresh

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the states, in the order of their keys unless they are in memory."""
        if self._held is not None:
            yield from self._held.items()
            return
        self._flush()
        yield from self._transaction.cursor(self._states)

    def read_snapshots(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return those that are there."""
        fresh = self._fresh_snapshots
        found = {key: body for key in keys if (body := fresh.get(key)) is not None}
        left = sorted([key for key in keys if key not in fresh])  # In order they cost least.
        try:
            found.update(self._transaction.cursor(self._snapshots).getmulti(left))
        except lmdb.Error as error:
            self._give_up(error)
        return found

    def write_snapshots(self, new: Mapping[bytes, bytes], gone: Collection[bytes]) -> None:
        """Add some, and take some away.

        Those of one day are gathered in memory, a seventh of all as a rule, and written in the order of their keys when
        the next day begins: so they fill one page after the other, where each by itself would have a page rewritten.
        """
        if new and (day := int.from_bytes(max(new)[:TIME_BYTES], "big") // DAY_MS) > self._day:
            self.flush_snapshots()
            self._day = day
        self._fresh_snapshots |= new
        self._fresh_snapshots |= dict.fromkeys(gone)
        if len(self._fresh_snapshots) >= self._snapshots_max:
            self.flush_snapshots()

    def flush_snapshots(self) -> None:
        """Write the snapshots that are in memory only, in transactions that hold few pages."""
        fresh, keys = self._fresh_snapshots, sorted(self._fresh_snapshots)
        try:
            for start in range(0, len(keys), PART_MAX):
                part = keys[start : start + PART_MAX]
                for key in part:
                    if fresh[key] is None:
                        self._transaction.delete(key, db=self._snapshots)
                added = [(key, body) for key in part if (body := fresh[key]) is not None]
                self._transaction.cursor(self._snapshots).putmulti(added)
                self._commit()
        except lmdb.Error as error:
            self._give_up(error)
        self._fresh_snapshots = {}

    def close(self) -> None:
        """Let go of everything."""
        self._transaction.abort()
        self._environment.close()

    def _flush(self) -> None:
        """Write what is in memory only; a transaction that grew larger would hold its pages in memory too."""
        try:
            for key in sorted(self._fresh):
                self._transaction.put(key, self._fresh[key], db=self._states)
            self._commit()
        except lmdb.Error as error:
            self._give_up(error)
        self._fresh.clear()
        self._taken = 0

    def _commit(self) -> None:
        self._transaction.commit()
        self._transaction = self._environment.begin(write=True)

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
        raise SettingsError(
            f"store: {error}", hint="name a folder that exists and may be written, or `--store memory`"
        ) from error
    return folder

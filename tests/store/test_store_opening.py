"""A database that cannot be used is refused, in words that say what to do."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from streams.shared.errors import StoreError
from streams.store import RunStore
from streams.store.base.tables import SCHEMA_VERSION


def _text_file(folder: Path) -> str:
    (folder / "notes.txt").write_text("These are my notes, and more than sixteen letters.\n")
    return str(folder / "notes.txt")


def _other_program(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "photos.db")) as connection:
        connection.execute("CREATE TABLE albums (name TEXT)")
    return str(folder / "photos.db")


def _other_forewarn(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "other.db")) as connection:
        connection.execute("CREATE TABLE forewarn (weather TEXT)")
    return str(folder / "other.db")


def _of_version(version: int) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        path = folder / f"v{version}.db"
        RunStore.open(path).close()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE forewarn SET schema_version = ?", (version,))
        return str(path)

    return make


def _cut_short(folder: Path) -> str:
    path = folder / "cut.db"
    RunStore.open(path).close()
    path.write_bytes(path.read_bytes()[:5_000])
    return str(path)


REFUSED: dict[str, tuple[Callable[[Path], str], str]] = {
    "a folder": (str, r"is a folder; name a file in it, such as .*forewarn\.db"),
    "a missing folder": (lambda folder: str(folder / "no" / "x.db"), r"there is no folder .*no to put the database in"),
    "a text file": (_text_file, r"notes\.txt is no database but some other file; name another file after --db"),
    "another program's": (_other_program, r"photos\.db belongs to another program \(its tables: albums\)"),
    "a namesake's": (_other_forewarn, r"other\.db belongs to another program \(its tables: forewarn\)"),
    "an older version's": (
        _of_version(3), r"an older Forewarn \(.* version 3, not 7\); `forewarn db upgrade --db .*v3\.db` upgrades it"
    ),
    "one without a way up": (
        _of_version(2), r"made by an older Forewarn \(.* version 2, not 7\); start a new database"
    ),
    "a newer version's": (_of_version(SCHEMA_VERSION + 1), r"made by a newer .*; use the Forewarn that made it"),
    "a part of a database": (_cut_short, r"cut\.db is damaged; move it away and run again"),
    "memory": (lambda _: ":memory:", r"a database in memory would be gone when the command ends; name a file"),
    "an unknown kind of URL": (lambda _: "oracles://host/x", r"there is no driver for oracles"),
    "a URL that is none": (lambda _: "://", r"the database URL cannot be read; write it as postgresql"),
    "a URL with a bad port": (lambda _: "postgresql://me:secret@host:port/x", r"the database URL cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize(("place", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_database_of_ours_is_refused(tmp_path: Path, place: Callable[[Path], str], message: str) -> None:
    where = place(tmp_path)
    with pytest.raises(StoreError, match=message) as caught:
        RunStore.open(where)
    assert "secret" not in str(caught.value)


def test_a_refused_file_stays_as_it_was(tmp_path: Path) -> None:
    for place in (_text_file(tmp_path), _other_program(tmp_path)):
        before = Path(place).read_bytes()
        with pytest.raises(StoreError):
            RunStore.open(place)
        assert Path(place).read_bytes() == before


def test_what_only_reads_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no database .*x\.db; `forewarn run --db .*x\.db` makes one"):
        RunStore.open(tmp_path / "x.db", create=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match=r"empty\.db is empty"):
        RunStore.open(tmp_path / "empty.db", create=False)


def test_an_empty_file_becomes_a_database(tmp_path: Path, make: SimpleNamespace) -> None:
    (tmp_path / "empty.db").touch()
    with RunStore.open(tmp_path / "empty.db") as store:
        store.start(make.run)
        store.commit(make.batch())
    with RunStore.open(tmp_path / "empty.db", create=False) as store:
        assert store.load() is not None


def test_a_closed_database_is_one_file(tmp_path: Path, make: SimpleNamespace) -> None:
    with RunStore.open(tmp_path / "run.db") as store:
        store.start(make.run)
        store.commit(make.full_batch())
    assert [path.name for path in tmp_path.iterdir()] == ["run.db"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read and write everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "private.db"
    RunStore.open(path).close()
    path.chmod(0)
    with pytest.raises(StoreError, match=r"private\.db cannot be read: Permission denied"):
        RunStore.open(path)


def test_a_database_that_another_program_holds_is_reported(
    tmp_path: Path, make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.store.base.connections.BUSY_TIMEOUT_S", 0.05)
    with RunStore.open(tmp_path / "run.db") as store, closing(sqlite3.connect(tmp_path / "run.db")) as holder:
        store.start(make.run)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"is in use: another process is writing to it; wait until that has ended"):
            store.commit(make.batch())
        holder.rollback()
        store.commit(make.batch())


def test_a_full_disk_is_reported_and_the_last_commit_stays(tmp_path: Path, make: SimpleNamespace) -> None:
    with RunStore.open(tmp_path / "run.db") as store:
        store.start(make.run)
        store.commit(make.full_batch())
        before = make.contents(store)
        with store._engine.connect() as connection:
            # What SQLite says at the limit that it is given here is what it says of a full disk.
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match=r"cannot grow: the disk is full; make room and run again"):
            store.commit(make.batch(2, states=[(f"s_{number}", bytes(1_000)) for number in range(100)]))
        assert make.contents(store) == before

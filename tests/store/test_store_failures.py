"""What a failure of a database means is decided by its kind, in whatever language the driver speaks."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from streams.shared.errors import StoreError
from streams.store.base.connections import as_store_errors
from streams.store.base.failures import is_locked, meaning
from tests.postgres.server import Server

SQLITE = {
    "SQLITE_BUSY": "is in use", "SQLITE_BUSY_SNAPSHOT": "is in use", "SQLITE_LOCKED_SHAREDCACHE": "is in use",
    "SQLITE_FULL": "the disk is full", "SQLITE_READONLY_DIRECTORY": "may only be read",
    "SQLITE_CANTOPEN_ISDIR": "cannot be opened", "SQLITE_NOTADB": "is not a database",
    "SQLITE_CORRUPT_INDEX": "is damaged",
}  # fmt: skip
POSTGRESQL = {
    "28P01": "takes neither this user", "28000": "knows no such user", "3D000": "is not there",
    "53300": "takes no more connections", "42501": "does not let this user", "25006": "may only be read",
    "53100": "the disk is full", "57P01": "has ended the connection", "57P02": "has ended the connection",
    "57P03": "is starting or stopping",
}  # fmt: skip


def failed(error: Exception, *, invalidated: bool = False) -> DBAPIError:
    return OperationalError("select 1", {}, error, connection_invalidated=invalidated)


def told(error: SQLAlchemyError) -> str:
    with pytest.raises(StoreError) as caught, as_store_errors("x.db"):
        raise error
    return str(caught.value)


@pytest.mark.parametrize(("name", "problem"), SQLITE.items(), ids=SQLITE)
def test_sqlite_is_understood_by_the_names_of_its_errors(name: str, problem: str) -> None:
    error = sqlite3.OperationalError("daraus wird heute nichts")
    error.sqlite_errorname = name
    assert problem in told(failed(error))


@pytest.mark.parametrize(("state", "problem"), POSTGRESQL.items(), ids=POSTGRESQL)
def test_postgresql_is_understood_by_its_sqlstate(state: str, problem: str) -> None:
    assert problem in told(failed(psycopg.errors.lookup(state)("daraus wird heute nichts")))


def test_words_of_other_failures_inside_a_sentence_decide_nothing() -> None:
    error = sqlite3.IntegrityError("CHECK failed: the disk is full of malformed notes")
    error.sqlite_errorname = "SQLITE_CONSTRAINT_CHECK"
    assert meaning(failed(error)) is None
    assert meaning(failed(psycopg.errors.lookup("23514")("permission denied, said the note"))) is None
    assert meaning(SQLAlchemyError("database is locked")) is None


def test_a_connection_that_was_lost_needs_no_words() -> None:
    lost = failed(psycopg.OperationalError("weg"), invalidated=True)
    assert "has ended the connection" in told(lost)
    assert told(failed(psycopg.OperationalError("weg"))) == "database x.db: weg"


def test_who_is_in_the_way_is_known_from_a_real_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(path, timeout=0.0)) as other:
        one.execute("create table t (x)")
        one.execute("begin immediate")
        with pytest.raises(sqlite3.OperationalError) as caught:
            other.execute("begin immediate")
        assert is_locked(caught.value)
        with pytest.raises(sqlite3.OperationalError) as wrong:
            other.execute("select no_such_column")
        assert not is_locked(wrong.value)


@pytest.mark.slow
def test_a_real_server_says_what_it_refuses_by_kind(postgres: Server) -> None:
    plain = postgres.database().replace("+psycopg", "")
    with psycopg.connect(plain) as connection:
        connection.execute("set default_transaction_read_only = on")
        connection.commit()
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("create table t (x integer)")
    assert "may only be read" in told(failed(caught.value))

"""How a database is reached: by path or URL, ours only, and every failure said in words.

SQLite runs with a write-ahead log, so that reading never waits for writing, and with `synchronous=NORMAL`: a
process killed at any point leaves its last commit whole.  A power cut may take the last commits away, but in
order and each as a whole; the run then goes on from the commit before, which leads to the same alerts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from streams.errors import StoreError
from streams.store.tables import SCHEMA_VERSION, THE_ROW, forewarn, metadata

SQLITE_HEADER: Final = b"SQLite format 3\x00"
BUSY_TIMEOUT_S: Final = 30.0
_PRAGMAS: Final = (
    # SQLite's own settings have no form in SQLAlchemy: these lines are the only SQL written out by hand.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA cache_size = -65536",  # 64 MiB: a commit rewrites states all over the tree.
    "PRAGMA journal_size_limit = 67108864",  # Give the disk space of an unusually large commit back.
)
_LOG_AHEAD: Final = "PRAGMA journal_mode = WAL"
_SAID: Final = (
    ("database is locked", "is in use: another process is writing to it", "wait until that has ended"),
    ("disk is full", "cannot grow: the disk is full", "make room and run again: it goes on from the last commit"),
    ("readonly database", "may only be read, not written", "check the permissions of the file and its folder"),
    ("unable to open", "cannot be opened", "check the permissions of the file and its folder"),
    ("not a database", "is not a database", "name another file after --db"),
    ("malformed", "is damaged", "move it away and run again: the input gives the same alerts"),
)


@contextmanager
def reporting(name: str) -> Iterator[None]:
    """Turn a failure of the database `name` into a `StoreError` that says what to do about it."""
    try:
        yield
    except SQLAlchemyError as error:
        # Only the driver's own words: the statement and its values are of no use to a reader, and may be private.
        words = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        for fragment, problem, hint in _SAID:
            if fragment in words:
                raise StoreError(f"database {name} {problem}", hint=hint) from error
        raise StoreError(f"database {name}: {words}") from error


def url_of(place: str | Path) -> URL:
    """Read a URL (`sqlite:///x.db`, `postgresql+psycopg://…`) or take a path as that of an SQLite file.

    >>> url_of("alerts.db").database, url_of("postgresql+psycopg://host/forewarn").get_backend_name()
    ('alerts.db', 'postgresql')
    """
    if "://" not in str(place):
        return URL.create("sqlite", database=str(place))
    try:
        return make_url(str(place))
    except (ArgumentError, ValueError) as error:
        # The text is not repeated: it may hold a password.
        raise StoreError(
            "the database URL cannot be read", hint="write it as postgresql+psycopg://host/name"
        ) from error


def open_engine(url: URL, *, create: bool) -> Engine:
    """Connect, make the tables where there are none and `create` says so, and refuse a database that is not ours."""
    name = name_of(url)
    if url.get_backend_name() == "sqlite":
        _check_file(url, create=create)
    try:
        engine = create_engine(url, json_serializer=_to_json, json_deserializer=msgspec.json.decode, **_options(url))
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(
            f"database {name}: there is no driver for {url.drivername}",
            hint="use a path (SQLite), or install the driver that the URL names",
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin)
    try:
        with reporting(name), engine.begin() as connection:
            _check_schema(connection, name, create=create)
    except StoreError:
        engine.dispose()
        raise
    if engine.dialect.name == "sqlite":
        # Only now, and in new connections: this setting is written into the file, which might not have been ours.
        engine.dispose()
        event.listen(engine, "connect", _log_ahead)
    return engine


def name_of(url: URL) -> str:
    """Name a database for people: the path of a file, or a URL without its password."""
    if url.get_backend_name() == "sqlite" and url.database:
        return url.database
    return url.render_as_string(hide_password=True)


def _to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _options(url: URL) -> dict[str, Any]:
    return {"connect_args": {"timeout": BUSY_TIMEOUT_S}} if url.get_backend_name() == "sqlite" else {}


def _set_up_sqlite(connection: SqliteConnection, _entry: ConnectionPoolEntry) -> None:
    # Python's driver would begin transactions by itself, but not around the making of tables.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _log_ahead(connection: SqliteConnection, _entry: ConnectionPoolEntry) -> None:
    connection.execute(_LOG_AHEAD)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _check_file(url: URL, *, create: bool) -> None:
    """Say what is wrong with the path of an SQLite file before SQLite says less."""
    if url.database in {None, "", ":memory:"}:
        raise StoreError("a database in memory would be gone when the command ends", hint="name a file")
    path = Path(str(url.database))
    if path.is_dir():
        raise StoreError(f"{path} is a folder", hint=f"name a file in it, such as {path / 'forewarn.db'}")
    if not path.exists():
        if not path.parent.is_dir():
            raise StoreError(f"there is no folder {path.parent} to put the database in", hint="make it, and run again")
        if not create:
            raise StoreError(f"there is no database {path}", hint=f"`forewarn run --db {path}` makes one")
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(SQLITE_HEADER))
    except OSError as error:
        raise StoreError(f"database {path} cannot be read: {error.strerror or error}") from error
    if start and start != SQLITE_HEADER:
        raise StoreError(f"{path} is no database but some other file", hint="name another file after --db")


def _check_schema(connection: Connection, name: str, *, create: bool) -> None:
    tables = inspect(connection).get_table_names()
    if not tables and create:
        metadata.create_all(connection)
        connection.execute(insert(forewarn).values(id=THE_ROW, schema_version=SCHEMA_VERSION))
        return
    if not tables:
        raise StoreError(f"database {name} is empty", hint=f"`forewarn run --db {name}` fills one")
    found = None
    if forewarn.name in tables and {column["name"] for column in inspect(connection).get_columns(forewarn.name)} == set(
        forewarn.columns.keys()
    ):
        found = connection.scalar(select(forewarn.c.schema_version).where(forewarn.c.id == THE_ROW))
    if found is None:
        raise StoreError(
            f"database {name} belongs to another program (its tables: {', '.join(sorted(tables)[:5])})",
            hint="name another database after --db",
        )
    if found != SCHEMA_VERSION:
        made_by, remedy = (
            ("an older", "start a new database with --db; the input gives the same alerts again")
            if found < SCHEMA_VERSION
            else ("a newer", "use the Forewarn that made it")
        )
        raise StoreError(
            f"database {name} was made by {made_by} Forewarn (its tables are of version {found}, not {SCHEMA_VERSION})",
            hint=remedy,
        )

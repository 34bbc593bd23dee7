"""How a database is reached: by path or URL, ours only, and every failure said in words.

SQLite runs with a write-ahead log, so that reading never waits for writing, and with `synchronous=NORMAL`: a
process killed at any point leaves its last commit whole.  A power cut may take the last commits away, but in
order and each as a whole; the run then goes on from the commit before, which leads to the same alerts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import OperationalError as SqliteError
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from streams.shared.errors import StoreError
from streams.store.base.failures import CONNECT_TIMEOUT_S, is_locked, meaning
from streams.store.base.tables import SCHEMA_VERSION, THE_ROW, forewarn
from streams.store.migrations import FIRST, migrate

if TYPE_CHECKING:
    from psycopg import Connection as PostgresqlConnection

SQLITE_HEADER: Final = b"SQLite format 3\x00"
BUSY_TIMEOUT_S: Final = 30.0
WRITING: Final = "is_writing"
"""The option of an SQLAlchemy engine whose transactions all write."""

_MIGRATING: Final = 0x666F7265
"""Our number among PostgreSQL's advisory locks: the letters `fore`."""
_PRAGMAS: Final = (
    # SQLite's own settings have no form in SQLAlchemy: these lines are the only SQL written out by hand.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA cache_size = -65536",  # 64 MiB: a commit rewrites states all over the tree.
    "PRAGMA journal_size_limit = 67108864",  # Give the disk space of an unusually large commit back.
)
_LOG_AHEAD: Final = "PRAGMA journal_mode = WAL"
_SECRET: Final = ("password", "sslpassword")
"""What may stand in the query of a URL and is told to nobody."""


@contextmanager
def as_store_errors(name: str) -> Iterator[None]:
    """Turn a failure of the database `name` into a `StoreError` that says what to do about it."""
    try:
        yield
    except SQLAlchemyError as error:
        meant = meaning(error)
        if meant is not None:
            raise StoreError(f"database {name} {meant.problem}", hint=meant.hint) from error
        # Only the driver's own words: the statement and its values are of no use to a reader, and may be private.
        words = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        raise StoreError(f"database {name}: {words.partition(chr(10))[0]}") from error


def url_of(place: str | Path) -> URL:
    """Read a URL (`sqlite:///x.db`, `postgresql+psycopg://…`) or take a path as that of an SQLite file.

    >>> url_of("alerts.db").database, url_of("postgres://host/forewarn").drivername
    ('alerts.db', 'postgresql+psycopg')
    """
    if "://" not in str(place):
        return URL.create("sqlite", database=str(place))
    try:
        url = make_url(str(place))
    except (ArgumentError, ValueError) as error:
        # The text is not repeated: it may hold a password.
        raise StoreError(
            "the database URL cannot be read", hint="write it as postgresql+psycopg://host/name"
        ) from error
    # The driver that comes with us, and the name by which others know PostgreSQL.
    return url.set(drivername="postgresql+psycopg") if url.drivername in {"postgresql", "postgres"} else url


def open_engine(url: URL, *, create: bool) -> Engine:
    """Connect, make the tables where there are none and `create` says so, and refuse a database that is not ours."""
    name = name_of(url)
    engine = _engine(url, create=create)
    try:
        with as_store_errors(name), engine.begin() as connection:
            _check_schema(connection, name, create=create)
    except StoreError:
        engine.dispose()
        raise
    if engine.dialect.name == "sqlite":
        # Only now, and in new connections: this setting is written into the file, which might not have been ours.
        engine.dispose()
        event.listen(engine, "connect", _log_ahead)
    return engine


def version_of(place: str | Path) -> int:
    """Return of which version the tables of a database are, also of one that `open_engine` refuses for it."""
    url = url_of(place)
    name, engine = name_of(url), _engine(url, create=False)
    try:
        with as_store_errors(name), engine.connect() as connection:
            found = _version(connection, name)
    finally:
        engine.dispose()
    if found is None:
        raise StoreError(f"database {name} is empty", hint=f"`forewarn db upgrade --db {name}` makes its tables")
    return found


def upgrade(place: str | Path) -> int | None:
    """Bring the tables of a database to the newest version, all in one transaction; return the version before.

    None is that of a database without tables, which are made.  Raises `StoreError` where there is no way up.
    """
    url = url_of(place)
    name, engine = name_of(url), _engine(url, create=False)
    try:
        with as_store_errors(name), engine.begin() as connection:
            _hold(connection)
            found = _version(connection, name)
            if found is not None and not FIRST <= found <= SCHEMA_VERSION:
                raise _refusal(found, name)
            if found != SCHEMA_VERSION:
                migrate(connection, found)
    finally:
        engine.dispose()
    return found


def _engine(url: URL, *, create: bool) -> Engine:
    """Return an engine that has not connected yet; an SQLite file has to be there unless `create` says so."""
    if url.get_backend_name() == "sqlite":
        _check_file(url, create=create)
    try:
        engine = create_engine(url, json_serializer=_to_json, json_deserializer=msgspec.json.decode, **_options(url))
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(
            f"database {name_of(url)}: there is no driver for {url.drivername}",
            hint="use a path (SQLite), or a URL such as postgresql+psycopg://host/name",
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin)
    elif engine.driver == "psycopg":
        event.listen(engine, "connect", _set_up_postgresql)
    return engine


def name_of(url: URL) -> str:
    """Name a database for people: the path of a file, or a URL without its password."""
    if url.get_backend_name() == "sqlite" and url.database:
        return url.database
    return url.difference_update_query(_SECRET).render_as_string(hide_password=True)


def _to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_TIMEOUT_S}}
    # A server that was started anew is noticed before a transaction is begun, not by one that fails.
    return {"connect_args": {"connect_timeout": CONNECT_TIMEOUT_S}, "pool_pre_ping": True}


def _set_up_sqlite(connection: SqliteConnection, _entry: ConnectionPoolEntry) -> None:
    # Python's driver would begin transactions by itself, but not around the making of tables.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _set_up_postgresql(connection: "PostgresqlConnection[Any]", _entry: ConnectionPoolEntry) -> None:
    from streams.store.base.text_codec import TextDumper  # noqa: PLC0415 - SQLite needs nothing of PostgreSQL's driver

    connection.adapters.register_dumper(str, TextDumper)


def _log_ahead(connection: SqliteConnection, _entry: ConnectionPoolEntry) -> None:
    try:
        connection.execute(_LOG_AHEAD)
    except SqliteError as error:
        # It is written into the file once; where another process has it open just now, that one or the next writes it.
        if not is_locked(error):
            raise


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once where another one has written in between.
    is_writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


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
    found = _version(connection, name)
    if found is None and create:
        _hold(connection)
        # Another process may have made the tables while this one waited.
        found = _version(connection, name)
        if found is None:
            migrate(connection, None)
            return
    if found is None:
        raise StoreError(f"database {name} is empty", hint=f"`forewarn run --db {name}` fills one")
    if found != SCHEMA_VERSION:
        raise _refusal(found, name)


def _hold(connection: Connection) -> None:
    """Let no other process make or change tables until this transaction, which has written nothing yet, ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
        return
    # SQLite takes its lock with the first write, and then fails at once where another process has read as well.
    connection.exec_driver_sql("ROLLBACK")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _version(connection: Connection, name: str) -> int | None:
    """Return of which version the tables are, None where there are none; raises `StoreError` if they are not ours."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    found: int | None = None
    if forewarn.name in tables and {column["name"] for column in inspect(connection).get_columns(forewarn.name)} == set(
        forewarn.columns.keys()
    ):
        found = connection.scalar(select(forewarn.c.schema_version).where(forewarn.c.id == THE_ROW))
    if found is None:
        raise StoreError(
            f"database {name} belongs to another program (its tables: {', '.join(sorted(tables)[:5])})",
            hint="name another database after --db",
        )
    return found


def _refusal(found: int, name: str) -> StoreError:
    made_by, remedy = "an older", f"`forewarn db upgrade --db {name}` upgrades it"
    if found < FIRST:
        remedy = "start a new database with --db; the input gives the same alerts again"
    if found > SCHEMA_VERSION:
        made_by, remedy = "a newer", "use the Forewarn that made it"
    return StoreError(
        f"database {name} was made by {made_by} Forewarn (its tables are of version {found}, not {SCHEMA_VERSION})",
        hint=remedy,
    )

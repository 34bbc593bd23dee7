"""What a failure of a database means to people, by its kind.

The kind is the name that SQLite gives an error, or the SQLSTATE of PostgreSQL.  Only where a connection could not be
made is there none: libpq gives a sentence and nothing else.  Those sentences stand in `_UNCONNECTED`, and are read
where there is no kind.
"""

import sqlite3
from typing import Final

from msgspec import Struct
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

CONNECT_TIMEOUT_S: Final = 5


class Meaning(Struct, frozen=True):
    """What is wrong with a database, to be said behind its name, and what to do about it."""

    problem: str
    hint: str


_AGAIN: Final = "run again: it goes on from the last commit"
_CHECK_URL: Final = "put both right in the URL; the password may stand in PGPASSWORD or in ~/.pgpass instead"
_FULL: Final = Meaning("cannot grow: the disk is full", "make room and run again: it goes on from the last commit")
_ENDED: Final = Meaning("has ended the connection", _AGAIN)
_UNKNOWN_USER: Final = Meaning("knows no such user", _CHECK_URL)
_WRONG_PASSWORD: Final = Meaning("takes neither this user nor this password", _CHECK_URL)
_NOT_THERE: Final = Meaning("is not there", "make it first, as with `createdb`; its tables are made when it is opened")
_CROWDED: Final = Meaning("takes no more connections", "close some, or raise max_connections of the server")
_FORBIDDEN: Final = Meaning(
    "does not let this user do that", "let the user own the database, or grant it what it needs"
)
_NOT_UP: Final = Meaning("is starting or stopping", "wait until it is up, and run again")
_SLOW: Final = Meaning(f"does not answer within {CONNECT_TIMEOUT_S} s", "put host and port right, or mend the network")
_NO_LISTENER: Final = Meaning("does not answer: nothing listens there", "start the server, or put host and port right")
_IN_USE: Final = Meaning("is in use: another process is writing to it", "wait until that has ended")

_BY_SQLITE_NAME: Final = {
    "SQLITE_BUSY": _IN_USE,
    "SQLITE_LOCKED": _IN_USE,
    "SQLITE_FULL": _FULL,
    "SQLITE_READONLY": Meaning("may only be read, not written", "check the permissions of the file and its folder"),
    "SQLITE_CANTOPEN": Meaning("cannot be opened", "check the permissions of the file and its folder"),
    "SQLITE_NOTADB": Meaning("is not a database", "name another file after --db"),
    "SQLITE_CORRUPT": Meaning("is damaged", "move it away and run again: the input gives the same alerts"),
}
"""By the first two words of the name; what follows says which of its kind it is."""
_BY_SQLSTATE: Final = {
    "28000": _UNKNOWN_USER,
    "28P01": _WRONG_PASSWORD,
    "3D000": _NOT_THERE,
    "53300": _CROWDED,
    "42501": _FORBIDDEN,
    "25006": Meaning("may only be read, not written", "name the server that takes writes"),
    "53100": _FULL,
    "57P01": _ENDED,
    "57P02": _ENDED,
    "57P03": _NOT_UP,
    "08006": _ENDED,
}
_UNCONNECTED: Final = (
    ("password authentication failed", _WRONG_PASSWORD),
    ("FATAL:  role", _UNKNOWN_USER),
    ("FATAL:  database", _NOT_THERE),
    ("Connection refused", _NO_LISTENER),
    ("failed to resolve host", Meaning("cannot be found: nobody knows its host", "put the host in the URL right")),
    ("too many clients", _CROWDED),
    ("connection slots are reserved", _CROWDED),
    ("permission denied", _FORBIDDEN),
    ("the database system is", _NOT_UP),
    ("server closed the connection", _ENDED),
)  # fmt: skip


def meaning(error: SQLAlchemyError) -> Meaning | None:
    """Return what a failure means to people, None where that is not known."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return None
    if isinstance(error.orig, sqlite3.Error):
        return _BY_SQLITE_NAME.get(_sqlite_kind(error.orig))
    from psycopg.errors import ConnectionTimeout  # noqa: PLC0415 - SQLite needs nothing of PostgreSQL's driver

    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return _BY_SQLSTATE.get(state)
    if isinstance(error.orig, ConnectionTimeout):
        return _SLOW
    if error.connection_invalidated:
        return _ENDED
    words = str(error.orig)
    return next((meant for fragment, meant in _UNCONNECTED if fragment in words), None)


def is_locked(error: sqlite3.Error) -> bool:
    """Say whether another process was in the way, so that the same may succeed later."""
    return _sqlite_kind(error) in {"SQLITE_BUSY", "SQLITE_LOCKED"}


def _sqlite_kind(error: sqlite3.Error) -> str:
    """Return the kind of an error of SQLite, empty where Python's driver has made it itself.

    >>> error = sqlite3.OperationalError("it is busy")
    >>> error.sqlite_errorname = "SQLITE_BUSY_SNAPSHOT"
    >>> _sqlite_kind(error), _sqlite_kind(sqlite3.ProgrammingError("closed"))
    ('SQLITE_BUSY', '')
    """
    return "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])

"""What SQLite and PostgreSQL say differently, or not at all in SQLAlchemy's own words: upserts, and lists in parts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import ARRAY, BindParameter, ColumnElement, Connection, Table, and_, any_, bindparam, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from streams.store.base.tables import forewarn

RowValues = Mapping[str, Any]
Insert = sqlite.Insert | postgresql.Insert
T = TypeVar("T")

PART: Final = 500
"""How many values one statement names: both databases have limits far above it."""

_LAST_CHARACTER: Final = "\U0010ffff"
"""No id has it, so that what begins so comes before the same with this behind it."""

_INSERTS: Final[dict[str, Callable[[Table], Insert]]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def lock_outbox(connection: Connection) -> None:
    """Let nobody else decide who is told of what until this transaction ends: one row is locked for all that there is.

    SQLite has one writer at a time anyway.
    """
    connection.execute(select(forewarn.c.id).with_for_update())


def inline_value(value: object) -> BindParameter[Any]:
    """Return a value that stands in the statement itself: an index of some rows alone is used only where it does."""
    return bindparam(None, value, unique=True, literal_execute=True, expanding=isinstance(value, tuple))


def among(connection: Connection, column: ColumnElement[T], values: Sequence[T]) -> ColumnElement[bool]:
    """Say that a column is one of the values.

    PostgreSQL is given a single list: the statement is the same whatever its length, and so stays prepared.
    """
    if connection.dialect.name == "postgresql":
        return column == any_(literal(values, ARRAY(column.type)))
    return column.in_(values)


def begins_with(connection: Connection, column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    """Say that a text begins so, letter by letter, small and capital ones apart.

    SQLite's LIKE takes them for the same and passes its index over, so there it is a range.  PostgreSQL orders text as
    the language of the database does, where what begins alike need not stand together.
    """
    if connection.dialect.name == "postgresql":
        return column.startswith(prefix, autoescape=True)
    return and_(column >= prefix, column < prefix + _LAST_CHARACTER)


def insert_into(connection: Connection, table: Table) -> Insert:
    """Return the database's own INSERT, since what to do on a conflict is said outside the SQL standard."""
    return _INSERTS[connection.dialect.name](table)


def add(connection: Connection, table: Table, rows: Iterable[RowValues]) -> None:
    """Add rows; those whose key is there already change nothing."""
    if listed := list(rows):
        connection.execute(insert_into(connection, table).on_conflict_do_nothing(), listed)


def upsert(connection: Connection, table: Table, names: Iterable[str]) -> Insert:
    """Return the statement that adds rows, or overwrites the named columns of those that have the same key."""
    statement = insert_into(connection, table)
    new = {name: statement.excluded[name] for name in names}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=new)


def replace(connection: Connection, table: Table, rows: Sequence[RowValues]) -> None:
    """Add rows, or overwrite those that have the same key."""
    if rows:
        connection.execute(upsert(connection, table, (name for name in rows[0] if not table.c[name].primary_key)), rows)


def parts(values: Iterable[T]) -> Iterator[list[T]]:
    """Yield the values in lists short enough for one statement.

    >>> [len(part) for part in parts(range(1_100))]
    [500, 500, 100]
    """
    left = iter(values)
    while part := list(islice(left, PART)):
        yield part

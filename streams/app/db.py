"""Joins what `forewarn db` needs: the version of a database's tables, and the way to the newest one."""

from typing import Final

from msgspec import Struct

from streams.store.base.connections import name_of, upgrade, url_of, version_of
from streams.store.base.tables import SCHEMA_VERSION

NEWEST: Final = SCHEMA_VERSION


class DatabaseVersion(Struct, frozen=True, kw_only=True):
    """A database, named without its password, and of which version its tables are, were, and could be.

    `before` is None where there were no tables.
    """

    database: str
    version: int
    newest: int
    before: int | None


def database_version(db: str) -> DatabaseVersion:
    """Return of which version the tables of a database are; raises `StoreError` if they are not ours."""
    found = version_of(db)
    return DatabaseVersion(database=name_of(url_of(db)), version=found, newest=NEWEST, before=found)


def upgrade_database(db: str) -> DatabaseVersion:
    """Bring the tables of a database to the newest version; raises `StoreError` where there is no way up."""
    before = upgrade(db)
    return DatabaseVersion(database=name_of(url_of(db)), version=NEWEST, newest=NEWEST, before=before)

"""The table that tells our databases from others, and of which version all tables are."""

from typing import Final

from sqlalchemy import Column, Integer, MetaData, SmallInteger, Table

SCHEMA_VERSION: Final = 7
"""Goes up with every change to the tables, each of which is a migration; a database of another version is refused."""

THE_ROW: Final = 1
"""The id of the one row of a table that has only one."""

metadata: Final = MetaData()

forewarn: Final = Table(
    # Tells our databases from everybody else's, and its row is written last when a database is made.
    "forewarn",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("schema_version", Integer, nullable=False),
)

"""How the tables of a database come to be and grow: one migration for each version, in the caller's transaction."""

import logging
from pathlib import Path
from threading import Lock
from typing import Final

from sqlalchemy import Connection

FIRST: Final = 3
"""The version of the tables that the first migration makes; what is older has no way up."""

# Alembic keeps what it works on in its modules.
_ONE_AT_A_TIME: Final = Lock()


def migrate(connection: Connection, found: int | None) -> None:
    """Bring the tables from version `found`, None where there are none, to the newest; commits nothing."""
    # Also what it says while it is imported: nobody who opens a database has asked for it.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command  # noqa: PLC0415 - a fifth of a second, and databases are made and upgraded seldom
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        if found == FIRST:
            # The first one that migrations make was made without them as well.
            command.stamp(config, f"{FIRST:04}")
        command.upgrade(config, "head")

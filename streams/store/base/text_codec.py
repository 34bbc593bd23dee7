"""Text on its way to PostgreSQL, which cannot hold the character 0, though JSON and so our records can."""

from typing import Final

from psycopg.abc import Buffer
from psycopg.types.string import StrDumperUnknown

NUL: Final = "\x00"
IN_ITS_PLACE: Final = "\ufffd"
"""Unicode's replacement character."""


class TextDumper(StrDumperUnknown):
    """Psycopg's dumper of text, with every NUL replaced: one record must not stop whoever writes it down."""

    def dump(self, obj: str) -> Buffer | None:
        """Return the text in the encoding of the connection."""
        return super().dump(obj.replace(NUL, IN_ITS_PLACE) if NUL in obj else obj)

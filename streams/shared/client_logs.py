"""What becomes of the log lines of the Kafka client: they stay off standard error, unless somebody asks for them.

aiokafka warns of each connection that it loses and then opens it again by itself.  Whatever it cannot mend it raises,
and that becomes our one line.  Without a handler Python writes such a warning beside it, so that a person cannot tell
which of two lines is meant.
"""

import logging
import sys
from typing import Final

CLIENTS: Final = ("aiokafka",)


class _StderrNotes(logging.Handler):
    """Writes a record to standard error in one line that names its logger."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"note: {record.name}: {' '.join(record.getMessage().split())}", file=sys.stderr)  # noqa: T201 - for people


_NOTES: Final = _StderrNotes()


def route_client_logs(*, shown: bool) -> None:
    """Write what the clients warn of to standard error as notes if `shown`, else nowhere.

    It can be called again; the last call holds.
    """
    # A handler that refuses a record counts as one: Python's handler of last resort stays silent.
    _NOTES.setLevel(logging.WARNING if shown else logging.CRITICAL + 1)
    for client in CLIENTS:
        logging.getLogger(client).addHandler(_NOTES)

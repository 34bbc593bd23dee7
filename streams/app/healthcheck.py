"""Whether the process in this container does its part, for a container's health check: exit code 0, else 1 and why.

`python -m streams.app.healthcheck` asks whether a broker can be reached with the settings of the environment, and
`python -m streams.app.healthcheck ADDRESS` whether the worker that was started with `--health ADDRESS` is ready.
"""

import asyncio
import os
import sys
from http.client import HTTPConnection, HTTPException
from typing import Final

from streams.kafka.client.connection import check_connection, connection_settings
from streams.shared.client_logs import route_client_logs
from streams.shared.errors import ForewarnError, InputError
from streams.shared.settings import load_settings

_PATIENCE_S: Final = 5.0
_HERE: Final = "127.0.0.1"


def why_unready(address: str) -> str | None:
    """Return what the worker at an address, or a port of this machine, says why it is not ready; None if it is.

    Raises:
        InputError: it does not answer.
    """
    host, _, port = address.rpartition(":")
    connection = HTTPConnection(host.strip("[]") or _HERE, int(port), timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        raise InputError(f"no answer from a worker at {address}: {error}") from error
    finally:
        connection.close()
    return None if answer.status == 200 else body


def main() -> None:
    """Leave with the exit code that a health check wants."""
    route_client_logs(shown=False)
    try:
        if len(sys.argv) > 1:
            sys.exit(why_unready(sys.argv[1]))
        asyncio.run(check_connection(connection_settings(load_settings(os.environ)), _PATIENCE_S))
    except ForewarnError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

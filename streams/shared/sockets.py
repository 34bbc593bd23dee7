"""A socket that listens, taken before anything else begins, so that a busy port is told at once."""

import os
import socket

from streams.shared.errors import SettingsError


def listen(host: str, port: int, option: str = "--health") -> socket.socket:
    """Return a socket that listens there; `option` is what named the address.

    Raises:
        SettingsError: it cannot be had.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        # Python adds the address to the system's words, and a name server has numbers of its own.
        words = str(error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0))
        raise SettingsError(
            f"{option}: cannot listen at {host}:{port}: {words.lower()}", hint="name another address or port"
        ) from error

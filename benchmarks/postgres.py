"""A PostgreSQL for benchmarks, thrown away afterwards."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
LISTENS = "PostgreSQL listens at "


@contextmanager
def database() -> Iterator[str]:
    """Yield the URL of a database with nothing in it, on a server of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.postgres.server", "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline() if process.stdout else ""
            if not said.startswith(LISTENS):
                raise SystemExit("no PostgreSQL: python -m tests.postgres.server serve ended before it listened")
            yield said.removeprefix(LISTENS).split(";")[0]
        finally:
            process.terminate()
            process.communicate()  # It says that it stops, and tidies up.

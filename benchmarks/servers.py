"""Servers for benchmarks, those of the tests, thrown away afterwards."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
GIVEN = "FOREWARN_TEST_KAFKA"


@contextmanager
def broker() -> Iterator[str]:
    """Yield the address of the broker that the environment names, or of one that is thrown away afterwards."""
    given = os.environ.get(GIVEN)
    if given:
        yield given
        return
    with _served("tests.kafka.broker", "Kafka") as address:
        yield address


@contextmanager
def database() -> Iterator[str]:
    """Yield the URL of a database with nothing in it, on a PostgreSQL of its own."""
    with _served("tests.postgres.server", "PostgreSQL") as url:
        yield url


@contextmanager
def _served(module: str, name: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command, listens = [sys.executable, "-m", module, "serve", "--port", str(port)], f"{name} listens at "
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline() if process.stdout else ""
            if not said.startswith(listens):
                raise SystemExit(f"no {name}: python -m {module} serve ended before it listened")
            yield said.removeprefix(listens).split(";")[0]
        finally:
            process.terminate()
            process.communicate()  # It says that it stops, and tidies up.

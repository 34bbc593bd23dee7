"""The server that other tests stand on: it is real, it is thrown away, and each test has a database of its own."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests.postgres.databases import postgres, postgres_url
from tests.postgres.server import Server

__all__ = ["postgres", "postgres_url"]

pytestmark = pytest.mark.slow


def test_a_killed_server_starts_again_with_what_was_committed() -> None:
    server = Server()
    try:
        server.start()
        url = server.database().replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            connection.execute("create table t (x int)")
            connection.execute("insert into t values (7)")
        server.kill()
        server.run()
        with psycopg.connect(url) as connection:
            assert connection.execute("select x from t").fetchall() == [(7,)]
    finally:
        server.close()


def test_two_databases_know_nothing_of_each_other(postgres: Server) -> None:
    first, second = (postgres.database().replace("+psycopg", "") for _ in range(2))
    with psycopg.connect(first) as connection:
        connection.execute("create table t (x int)")
    with psycopg.connect(second) as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("select x from t")


def test_a_server_does_not_outlive_whoever_started_it() -> None:
    program = (
        "import time; from tests.postgres.server import Server; s = Server(); s.start(); "
        "print(s.pid, s._folder, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid, folder = starter.stdout.readline().split()
        starter.kill()
    give_up = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    shutil.rmtree(folder)

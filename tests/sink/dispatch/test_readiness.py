"""What a dispatcher says of itself to whoever started it."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import psycopg
import pytest

from streams.core.notify.endpoints import Endpoint
from streams.store.sink import Sink

pytestmark = pytest.mark.slow

IMPATIENT = (
    "import sys; from streams.app import dispatcher as one; one.UNHEARD_S = 4.0; "
    "sys.argv[0] = 'forewarn'; from streams.cli import main; main()"
)
"""`forewarn` with a dispatcher that believes in a silent database for a shorter time."""


def asked(port: int, path: str) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except OSError:
        return 0, {}
    finally:
        connection.close()


def until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    give_up_s = time.monotonic() + 40
    while not is_so():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up_s
        time.sleep(0.1)


def test_a_dispatcher_is_ready_while_its_database_answers_and_lives_when_it_does_not(postgres_url: str) -> None:
    with Sink.open(postgres_url) as sink:
        sink.add_endpoint(Endpoint(name="crm", preset="standard", url="https://crm.example/hook"), None, 0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", IMPATIENT, "dispatcher", "--db", postgres_url, "--health", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: asked(port, "/ready")[0] == 200, process)
            assert asked(port, "/ready")[1]["in_flight"] == 0
            with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
                connection.execute("LOCK TABLE endpoints IN ACCESS EXCLUSIVE MODE")
                until(lambda: asked(port, "/ready")[0] == 503, process)
                assert asked(port, "/ready")[1]["ready"] is False
                assert asked(port, "/live") == (200, {"live": True})
            until(lambda: asked(port, "/ready")[0] == 200, process)
        finally:
            process.terminate()
        assert process.wait(30) == 0, process.communicate()

"""A process killed at any point of a commit leaves all of it or nothing."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from streams.shared.errors import StoreError
from streams.store import RunStore
from tests.postgres.server import Server

pytestmark = pytest.mark.slow

WRITER = """
import os, signal, sys
from sqlalchemy import event
from streams.core.contracts.effects import DeadLetter
from streams.store import Batch, Position, Run, RunStore
from streams.store.base import connections as engine

path, steps = sys.argv[1], int(sys.argv[2])

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

set_up = engine._set_up_sqlite
def arm(connection, entry):
    set_up(connection, entry)
    if steps:
        connection.set_progress_handler(kill, steps)
engine._set_up_sqlite = arm

run = Run(input="-", settings={}, policy={}, policy_version="", feature_table="", received_ms=0, started_ms=0)
store = RunStore.open(path)
if store.load() is None:
    store.start(run)
while True:
    number = store.load().counters.get("batches", 0) + 1
    print(number, flush=True)
    store.commit(Batch(
        positions={"usage/0": Position(number, number, number)}, stream_ms=number, counters={"batches": number},
        states=[(f"s_{one:04}", b"%d" % number + bytes(600)) for one in range(400)],
        dead=[DeadLetter("usage", 0, number * 100 + one, "empty", "", b"") for one in range(20)],
        trainer=b"%d" % number,
    ))
"""


def _check_whole(path: Path | str) -> int:
    """Assert that everything is of one and the same batch, and return its number."""
    with RunStore.open(path) as store:
        checkpoint = store.load()
        if checkpoint is None or not checkpoint.counters:
            assert list(store.states()) == []
            return 0
        number = checkpoint.counters["batches"]
        assert checkpoint.stream_ms == number
        assert checkpoint.positions["usage/0"].next_offset == number
        assert checkpoint.trainer == b"%d" % number
        assert {body.rstrip(b"\x00") for _, body in store.states()} == {b"%d" % number}
        assert len(list(store.dead_letters())) == 20 * number
        return number


def test_a_writer_killed_between_any_two_steps_of_sqlite_leaves_whole_commits(tmp_path: Path) -> None:
    path, random, reached = tmp_path / "run.db", Random(7), [0]
    # The first numbers hit the making of the tables, the later ones the first, second or a later commit.
    for steps in (5, 300, 1_500, *(random.randrange(2_000, 60_000) for _ in range(9))):
        ended = subprocess.run([sys.executable, "-c", WRITER, path, str(steps)], capture_output=True, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
        reached.append(_check_whole(path))
    print(f"commits after each kill: {reached}")
    assert reached == sorted(reached)
    assert reached[-1] > 0


def test_a_writer_killed_at_any_moment_leaves_whole_commits(database_url: str) -> None:
    random, reached = Random(8), [0]
    for _ in range(4):
        words = [sys.executable, "-c", WRITER, database_url, "0"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(random.uniform(0.0, 0.2))
            writer.kill()
        reached.append(_check_whole(database_url))
    print(f"commits after each kill: {reached}")
    assert reached == sorted(reached)
    assert reached[-1] > 0


def test_a_killed_server_leaves_whole_commits_and_the_same_store_goes_on_when_it_is_back(make: SimpleNamespace) -> None:
    server = Server()
    try:
        server.start()
        url = server.database()
        with RunStore.open(url) as store:
            store.start(make.run)
            store.commit(make.full_batch())
            before = make.contents(store)
            server.kill()
            with pytest.raises(StoreError, match=r"has ended the connection|nothing listens there|is starting"):
                store.commit(make.batch(2))
            server.run()
            assert make.contents(store) == before
            store.commit(make.batch(2))
    finally:
        server.close()


def test_a_killed_run_goes_on_from_its_last_commit(tmp_path: Path, make: SimpleNamespace) -> None:
    path = tmp_path / "run.db"
    subprocess.run([sys.executable, "-c", WRITER, path, "40000"], capture_output=True, check=False)
    number = _check_whole(path)
    with RunStore.open(path) as store:
        store.commit(make.batch(number + 1, counters={"batches": number + 1}, states=[("s_new", b"x")]))
        assert store.state("s_new") == b"x"

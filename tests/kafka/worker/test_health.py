"""A worker says whether it is ready, as it is: not before it has restored and moved, and not for want of traffic."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition  # type: ignore[import-untyped]  # aiokafka comes without types
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]  # as above

from streams.kafka.worker.health import UNREACHED_S, HealthStatus
from streams.shared.errors import SettingsError
from streams.shared.sockets import listen
from tests.cli.calling import call
from tests.kafka.broker import Broker, free_ports
from tests.kafka.workers import PARTITIONS, SentRecord, Worker, prepare, send, until, wait_until_applied

RESTORES_SLOWLY = """
import asyncio
from streams.kafka.worker import changelog
read = changelog.Changelog.read
async def slowly(self, partition, states):
    await asyncio.sleep(3.0 if partition == 2 else 0.0)
    return await read(self, partition, states)
changelog.Changelog.read = slowly
"""
WRITES_LATE = """
from functools import partial
from streams.kafka.worker import process
process.Pace = partial(process.Pace, write_s=4.0)
"""
RUN = "import sys; from streams.cli import main; sys.argv[0] = 'forewarn'; main()"
EVERY = tuple(range(PARTITIONS))


class WorkerUnderTest:
    """A worker, asked over HTTP how it stands."""

    def __init__(self, worker: Worker, port: int) -> None:
        self.worker = worker
        self.port = port

    def ask(self, path: str = "/ready") -> tuple[int, dict[str, Any]]:
        """Return the status and the body, 0 and nothing while it does not answer yet."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, msgspec.json.decode(answer.read())
        except (ConnectionRefusedError, ConnectionResetError):
            return 0, {}
        finally:
            connection.close()

    def wait_for(self, status: int, path: str = "/ready") -> dict[str, Any]:
        """Wait until it answers with a status, and return what it said then."""
        until(lambda: self.ask(path)[0] == status, 40.0, lambda: f"{self.ask(path)}\n{self.worker.words[-2000:]}")
        return self.ask(path)[1]

    def is_healthy(self) -> "subprocess.CompletedProcess[str]":
        """Ask as the health check of the compose file does."""
        command = [sys.executable, "-m", "streams.app.healthcheck", str(self.port)]
        return subprocess.run(command, check=False, capture_output=True, text=True)


@contextmanager
def watched(broker: Broker, prefix: str, folder: Path, *script: str) -> Iterator[WorkerUnderTest]:
    """Start a worker that says how it stands."""
    (port,) = free_ports(1)
    whole = "\n".join((*script, RUN)) if script else None
    with Worker(broker.address, prefix, folder, script=whole, options=["--health", str(port)]) as worker:
        yield WorkerUnderTest(worker, port)


async def committed(address: str, group: str) -> dict[TopicPartition, int]:
    """Return the offsets that a group has committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return {place: at.offset for place, at in found.items() if at.offset > 0}


@pytest.mark.parametrize(
    ("standing", "why_not"),
    [
        (HealthStatus(), "the group has not said which partitions are ours"),
        (HealthStatus(partitions=(0, 1, 2), restored=(1,), moved=(1,)), "partitions 0, 2: being restored"),
        (
            HealthStatus(partitions=(0, 1), restored=(0, 1), moved=(0,)),
            "partition 1: records wait, and none has been written yet",
        ),
        (
            HealthStatus(partitions=(0,), restored=(0,), moved=(0,), unreached_s=UNREACHED_S + 1),
            "no broker has answered for 21 s",
        ),
        (HealthStatus(partitions=(0,), restored=(0,), moved=(0,), unreached_s=UNREACHED_S), None),
        (HealthStatus(partitions=()), None),
    ],
    ids=["unassigned", "restoring", "unmoved", "unreached", "ready", "nothing to take"],
)
def test_a_worker_is_ready_when_all_that_it_was_given_is_restored_and_moved(
    standing: HealthStatus, why_not: str | None
) -> None:
    assert standing.why_not == why_not


def test_a_worker_is_not_ready_before_its_partitions_are_restored_and_ready_without_traffic(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    asyncio.run(prepare(broker.address, prefix))
    with watched(broker, prefix, tmp_path, RESTORES_SLOWLY) as worker:
        assert worker.wait_for(200, "/live")["ready"] is False
        worker.worker.wait_for("partition 1 restored")
        status, said = worker.ask()
        assert (status, said["why_not"]) == (503, "partitions 2, 3: being restored")
        assert "being restored" in worker.is_healthy().stderr
        said = worker.wait_for(200)
        assert (said["partitions"], said["restored"], said["moved"]) == ([*EVERY], [*EVERY], [*EVERY])
        assert said["written_s"] is None
        assert worker.is_healthy().returncode == 0
        time.sleep(2.0)
        assert worker.ask()[0] == 200
        assert worker.worker.stop() == 0
        assert worker.is_healthy().stderr.startswith("no answer from a worker at ")


def test_a_worker_with_a_backlog_is_ready_once_it_has_moved_and_committed_an_offset(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, fed))
    with watched(broker, prefix, tmp_path, WRITES_LATE) as worker:
        worker.worker.wait_for("partition 3 restored")
        status, said = worker.ask()
        assert (status, said["moved"]) == (503, [])
        assert said["why_not"] == "partitions 0, 1, 2, 3: records wait, and none has been written yet"
        said = worker.wait_for(200)
        assert 0.0 <= said["written_s"] < 4.0
        wait_until_applied(broker.address, prefix, len(fed))
        group = f"{prefix}forewarn"
        until(lambda: asyncio.run(committed(broker.address, group)), 10.0, lambda: "no offset was committed")
        assert worker.ask()[0] == 200


def test_a_worker_with_no_partition_to_take_is_ready_and_takes_over(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    asyncio.run(prepare(broker.address, prefix, 1))
    with watched(broker, prefix, tmp_path) as one, watched(broker, prefix, tmp_path) as two:

        def shares() -> list[list[int] | None]:
            return sorted((worker.ask()[1].get("partitions") for worker in (one, two)), key=str)

        until(lambda: shares() == [[0], []], 40.0, lambda: f"{one.ask()} {two.ask()}")
        assert [worker.wait_for(200)["ready"] for worker in (one, two)] == [True, True]
        idle, busy = (one, two) if one.ask()[1]["partitions"] == [] else (two, one)
        assert busy.worker.stop() == 0
        until(lambda: idle.ask()[1]["partitions"] == [0], 40.0, lambda: str(idle.ask()))
        idle.wait_for(200)


def test_a_busy_port_is_one_line_and_exit_code_two(broker: Broker, prefix: str, tmp_path: Path) -> None:
    asyncio.run(prepare(broker.address, prefix))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Worker(broker.address, prefix, tmp_path, options=["--health", str(port)]) as worker:
            assert worker.process.wait(60) == 2
            (line,) = [line for line in worker.words.splitlines() if "error" in line]
            assert line == (
                f"error: --health: cannot listen at 127.0.0.1:{port}: address already in use; "
                "name another address or port"
            )


def test_an_address_of_both_families_is_listened_at() -> None:
    with listen("127.0.0.1", 0) as four:
        assert four.getsockname()[0] == "127.0.0.1"
    if socket.has_ipv6:
        with listen("::1", 0) as six:
            assert six.getsockname()[0] == "::1"


def test_a_host_that_no_name_server_knows_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> socket.socket:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_server", unknown)
    with pytest.raises(SettingsError, match="cannot listen at nowhere:8080: name or service not known; name another"):
        listen("nowhere", 8080)


@pytest.mark.parametrize("address", ["", "0", "65536", "host", "host:", "127.0.0.1:http", "8080 "])
def test_what_is_no_address_is_refused_with_an_example(address: str) -> None:
    refused = call("worker", "--health", address)
    assert refused.exit_code == 2
    assert "0.0.0.0:8080" in refused.output

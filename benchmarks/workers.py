"""The full core on Kafka: events a second by workers, partitions and subscribers; restored states a second.

    python benchmarks/workers.py [--cases 100000x4x1 ...] [--events 2000000] [--rounds 1] [--store FOLDER]
                                 [--open-max N] [--compiled WHEEL] [--out FILE]

A case is SUBSCRIBERS x PARTITIONS x WORKERS.  The subscribers have lived through 75 days before (two thousand did, the
others are copies), their states are in the changelog; the next days' records are in the topics before a worker starts.
A process that has ended has written them, so that what it took of the memory is the system's again.
The clock runs from when every worker has restored what it was given until all records are committed, so that the
opening of states, the last write and a late rebalance are in it; the processor time is that of all workers.
What a case has committed and applied is read from the changelog's marks, so that a lost or doubled record shows.
Of several rounds the fastest counts, and the rates of all are kept: what else a shared machine does only ever costs.
The result of a case replaces that of the same case before.  With `--store` packed states lie on a disk, and the case is
called so; `--open-max` states of each partition are open then (50,000 unless told).  With `--compiled` the workers are
those of the wheel that `make compiled` wrote, and the case is called so; it is also called after its records, where
they are more than two million.  The broker is that of the tests, or the one that FOREWARN_TEST_KAFKA names; it takes
processor time of its own.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]  # aiokafka comes without types
from msgspec import Struct
from on_kafka import KafkaOperator, counted, fill
from servers import broker
from step import served, warm_states
from traffic import remove

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "workers.json"
CASES = ("100000x1x1", "100000x2x2", "100000x4x1", "100000x4x2", "100000x4x4", "10000x4x1", "1000000x4x1")
POLL_S = 0.1
LIMIT_S = 900.0
EVENTS = 2_000_000
RESTORED = re.compile(r"restored: ([\d,]+) subscribers from ([\d,]+) records in ([\d.]+) s")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Program(Struct, frozen=True):
    """What is run: so many workers, the folder that has their package, and what they are told."""

    workers: int = 1
    package: Path = ROOT
    options: tuple[str, ...] = ()


class WorkerProcess:
    """A worker, and what it costs."""

    def __init__(self, operator: KafkaOperator, said: Path, program: Program) -> None:
        """Start it."""
        self.said = said
        where = ["--kafka", operator.brokers, "--prefix", operator.prefix]
        command = [sys.executable, "-P", "-m", "streams.cli", "worker", *where, *program.options]
        given = os.environ | {"PYTHONPATH": str(program.package)}
        with said.open("wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=given)

    def wait_for(self, text: str) -> None:
        """Wait until it has said something."""
        deadline_s = time.monotonic() + LIMIT_S
        while text not in self.said.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"no result: {self.said.read_text()[-2000:]}")
            time.sleep(POLL_S)

    def cpu_s(self) -> float:
        """Return the processor time that it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def peak_bytes(self) -> int:
        """Return the most memory that it has had, pages of files that lay in memory included."""
        return self._status("VmHWM")

    def own_bytes(self) -> int:
        """Return the memory that is its own now, without pages of files."""
        return self._status("RssAnon")

    def _status(self, field: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(f"{field}:")[1].split()[0]) * 1024


def wait_until_restored(running: list[WorkerProcess], partitions: int) -> None:
    """Wait until every worker has something, and all is with somebody."""
    for each in running:
        each.wait_for("restored")
    while sum(each.said.read_text().count("restored") for each in running) < partitions:
        time.sleep(POLL_S)


async def committed(admin: AIOKafkaAdminClient, operator: KafkaOperator) -> int:
    """Return how many records the group has committed."""
    offsets = await admin.list_consumer_group_offsets(operator.settings.group)
    return sum(max(0, found.offset) for found in offsets.values())


async def until(operator: KafkaOperator, count: int, running: list[WorkerProcess]) -> tuple[float, float]:
    """Wait until so many are committed; return the time then, and the processor time of all workers."""
    deadline_s = time.monotonic() + LIMIT_S
    admin = AIOKafkaAdminClient(bootstrap_servers=operator.brokers)
    await admin.start()
    try:
        while await committed(admin, operator) < count:
            ended = [each for each in running if each.process.poll() is not None]
            if ended or time.monotonic() > deadline_s:
                raise SystemExit(f"no result: {(ended or running)[0].said.read_text()[-2000:]}")
            await asyncio.sleep(POLL_S)
    finally:
        await admin.close()
    return time.monotonic(), sum(each.cpu_s() for each in running)


def restored(running: list[WorkerProcess]) -> dict[str, float]:
    """Return what the workers say of their restores."""
    found = [match for each in running for match in RESTORED.findall(each.said.read_text())]
    records = sum(int(match[1].replace(",", "")) for match in found)
    seconds = sum(float(match[2]) for match in found)
    return {"records": records, "seconds": seconds, "records_per_s": records / seconds if seconds else 0.0}


async def measure(operator: KafkaOperator, state_bytes: int, events: int, program: Program) -> dict[str, Any]:
    """Run one case, whose topics are filled."""
    folder = Path(tempfile.mkdtemp(prefix="forewarn-workers-"))
    running = [WorkerProcess(operator, folder / f"{n}.txt", program) for n in range(program.workers)]
    try:
        wait_until_restored(running, operator.partitions)
        begun_s, begun_cpu_s = time.monotonic(), sum(each.cpu_s() for each in running)
        done_s, done_cpu_s = await until(operator, events, running)
        peaks, own = [each.peak_bytes() for each in running], [each.own_bytes() for each in running]
    finally:
        for each in running:
            each.process.terminate()
        for each in running:
            each.process.wait(60)
    counts = await counted(operator)
    applied = sum(count for name, count in counts.items() if name.startswith(("events:", "dead:")))
    if applied != events:
        raise SystemExit(f"no result: {applied} records applied, {events} sent")
    seconds = done_s - begun_s
    return {
        "subscribers": operator.subscribers,
        "partitions": operator.partitions,
        "workers": program.workers,
        "events": events,
        "seconds": seconds,
        "events_per_s": events / seconds,
        "cpu_s_per_million": (done_cpu_s - begun_cpu_s) / events * 1e6,
        "peak_bytes_by_worker": peaks,
        "own_bytes_by_worker": own,
        "changelog_bytes_by_subscriber": state_bytes / operator.subscribers,
        "restored": restored(running),
        "counted": counts,
    }


def main() -> None:
    """Run the cases and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), metavar="SUBSCRIBERSxPARTITIONSxWORKERS")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--open-max", type=int)
    parser.add_argument("--compiled", type=Path, metavar="WHEEL")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    package = ROOT
    if options.compiled is not None:
        if not zipfile.is_zipfile(options.compiled):
            parser.error(f"argument --compiled: {options.compiled} is no wheel; `make compiled` writes one into dist/")
        package = Path(tempfile.mkdtemp(prefix="forewarn-compiled-"))
        zipfile.ZipFile(options.compiled).extractall(package)
    told: tuple[str, ...] = () if options.store is None else ("--store", str(options.store))
    told += () if options.open_max is None else ("--open-max", str(options.open_max))
    templates = warm_states(served())
    cases = json.loads(options.out.read_text())["cases"] if options.out.exists() else {}
    with broker() as address:
        for case in options.cases:
            subscribers, partitions, workers = map(int, case.split("x"))
            rounds = []
            for _ in range(options.rounds):
                prefix = f"bench-{uuid.uuid4().hex[:8]}."
                operator = KafkaOperator(brokers=address, prefix=prefix, subscribers=subscribers, partitions=partitions)
                try:
                    state_bytes = fill(operator, templates, options.events)
                    measuring = measure(operator, state_bytes, options.events, Program(workers, package, told))
                    rounds.append(asyncio.run(measuring))
                finally:
                    asyncio.run(remove(address, prefix))
            measured = max(rounds, key=lambda each: each["events_per_s"])
            measured["python"] = f"{platform.python_version()}, {platform.python_compiler()}"
            measured["rounds_events_per_s"] = [each["events_per_s"] for each in rounds]
            name = case + " on disk" * (options.store is not None) + " compiled" * (options.compiled is not None)
            name += f" of {options.events / 1e6:g} million" * (options.events > EVENTS)
            cases[name] = measured
            print(name, json.dumps(measured), flush=True)
            result = {"machine": platform.machine(), "cases": cases}
            options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

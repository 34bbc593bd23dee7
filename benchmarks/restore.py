"""How fast a worker that starts takes over what is in the changelog: records (states and waiting snapshots) a second.

    python benchmarks/restore.py [--subscribers 10000 100000 1000000] [--partitions 4] [--rounds 5] [--store FOLDER]
                                 [--out FILE]

The subscribers have lived through 75 days (two thousand did, the others are copies), and their states are in the
changelog as a worker would have written them.  In each round a worker is started, fences, reads and verifies its
partitions one after the other, rebuilds who is to be woken when, and is stopped.  Counted are the seconds that it says
itself, from the first record of a partition that it asks for to the last wake; connecting and joining the group are
not in them.  The broker is on the same machine and comes to a log that it has not read before in the first round.  The
states are written by a process of its own, so that its memory is the system's again.  What else runs on the machine
only takes away, so the fastest round counts; all of them are kept, and their median.  With `--store` the states are put
on a disk, and the case is called so.
"""

import argparse
import asyncio
import json
import platform
import statistics
import tempfile
import uuid
from pathlib import Path
from typing import Any

from on_kafka import KafkaOperator, fill
from servers import broker
from step import Template, served, warm_states
from traffic import remove
from workers import Program, WorkerProcess, restored, wait_until_restored

RESULT = Path(__file__).parent / "results" / "restore.json"


def measure(operator: KafkaOperator, templates: list[Template], rounds: int, store: Path | None) -> dict[str, Any]:
    """Write the states once and have a new worker take them over again and again."""
    fill(operator, templates)
    folder = Path(tempfile.mkdtemp(prefix="forewarn-restore-"))
    options = () if store is None else ("--store", str(store))
    found, own_bytes = [], []
    for number in range(rounds):
        worker = WorkerProcess(operator, folder / f"{number}.txt", Program(options=options))
        try:
            wait_until_restored([worker], operator.partitions)
            own_bytes.append(worker.own_bytes())
        finally:
            worker.process.terminate()
            worker.process.wait(60)
        found.append(restored([worker]))
    rates = [each["records_per_s"] for each in found]
    return {
        "subscribers": operator.subscribers,
        "partitions": operator.partitions,
        **max(found, key=lambda each: each["records_per_s"]),
        "median_records_per_s": statistics.median(rates),
        "rounds_records_per_s": rates,
        "own_bytes": max(own_bytes),
        "python": f"{platform.python_version()}, {platform.python_compiler()}",
    }


def main() -> None:
    """Run the cases and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    templates = warm_states(served())
    cases = json.loads(options.out.read_text())["cases"] if options.out.exists() else {}
    with broker() as address:
        for subscribers in options.subscribers:
            prefix = f"bench-{uuid.uuid4().hex[:8]}."
            operator = KafkaOperator(
                brokers=address, prefix=prefix, subscribers=subscribers, partitions=options.partitions
            )
            try:
                measured = measure(operator, templates, options.rounds, options.store)
            finally:
                asyncio.run(remove(address, prefix))
            name = f"{subscribers}x{options.partitions}" + ("" if options.store is None else " on disk")
            cases[name] = measured
            print(name, json.dumps(measured), flush=True)
            result = {"machine": platform.machine(), "cases": cases}
            options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

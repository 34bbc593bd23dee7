"""The same job in every engine, one after the other, on one topic of one broker: events a second, processor, memory.

    python benchmarks/engines.py [--engines faust quix ...] [--events 2000000] [--rounds 3] [--out FILE]

The job is bare: read JSON events keyed by subscriber, parse them, keep {count, last offset} a subscriber with a
changelog, commit every second at most.  An engine that counts one event too many or too few has no result; this is
read from its changelog and its committed offsets, not from its own word.  docs/benchmarks.md says what is done to be
fair.  The broker is that of the tests (`tests/kafka/broker.py`), or the one that FOREWARN_TEST_KAFKA names.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import environments
import msgspec
from counted import complaints, counted, ends
from msgspec import Struct
from rich import box
from rich.console import Console
from rich.table import Table
from servers import broker
from traffic import Traffic, produce, remove, wake

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
RESULT = Path(__file__).parent / "results" / "engines.json"
WARM_SHARE = 0.1
COMMIT_S = 1.0
REHEARSALS = 1
"""How often a JVM does the whole job before the time that is measured."""
REFERENCES = ("faust", "quix", "kafka-streams-rocksdb")
"""What every other engine is compared with."""


class Peer(Struct, frozen=True, kw_only=True):
    """How an engine is started; `is_slow` says that it gets the shorter topic."""

    command: Callable[[], list[str]]
    options: tuple[str, ...] = ()
    is_slow: bool = False


class Measurement(Struct, frozen=True, kw_only=True):
    """The line that a peer prints: the time from the end of its warm-up until all is durable."""

    engine: str
    version: str
    events: int
    seconds: float
    cpu_s: float
    peak_rss_bytes: int
    changelog: str
    state: str
    settings: dict[str, Any]


class BenchmarkTopic(Struct, frozen=True, kw_only=True):
    """Where the events are, and how many."""

    brokers: str
    name: str
    partitions: int
    ends: tuple[int, ...]


class NoResultError(Exception):
    """An engine failed or miscounted; the message is one line that says how."""


def _own(script: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, str(PEERS / script)]


def _quix() -> list[str]:
    return [*environments.quix(), str(PEERS / "quix_streams.py")]


def _kafka_streams(store: str, guarantee: str) -> Peer:
    options = ("--store", store, "--guarantee", guarantee, "--rehearsals", str(REHEARSALS))
    return Peer(command=environments.kafka_streams, options=options)


ENGINES = {
    "faust": Peer(command=_own("faust_table.py"), is_slow=True),
    "quix": Peer(command=_quix),
    "kafka-streams-rocksdb": _kafka_streams("rocksdb", "at_least_once"),
    "kafka-streams-memory": _kafka_streams("memory", "at_least_once"),
    "kafka-streams-rocksdb-eos": _kafka_streams("rocksdb", "exactly_once_v2"),
    "kafka-streams-memory-eos": _kafka_streams("memory", "exactly_once_v2"),
    "aiokafka-loop": Peer(command=_own("aiokafka_loop.py")),
    "forewarn": Peer(command=_own("forewarn_bare.py")),
}


def run(peer: Peer, topic: BenchmarkTopic, application: str, limit_s: float) -> Measurement:
    """Run one engine to its end; raises `NoResultError` when it fails, takes too long or prints no result."""
    folder = Path(tempfile.mkdtemp(prefix="forewarn-engines-"))
    job = {"brokers": topic.brokers, "topic": topic.name, "partitions": topic.partitions, "application": application,
           "events": sum(topic.ends), "warm": WARM_SHARE, "commit": COMMIT_S, "folder": folder}  # fmt: skip
    words = [word for name, value in job.items() for word in (f"--{name}", str(value))]
    try:
        command = [*peer.command(), *words, *peer.options]
        done = subprocess.run(command, check=False, capture_output=True, timeout=limit_s)
    except environments.UnpreparedError as error:
        raise NoResultError(str(error)) from None
    except subprocess.TimeoutExpired as error:
        raise NoResultError(f"it did not end within {limit_s:.0f} s: {last_line(error.stderr or b'')}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    printed = [line for line in done.stdout.splitlines() if line.startswith(b"{")]
    if done.returncode or not printed:
        raise NoResultError(f"it ended with {done.returncode}: {last_line(done.stderr)}")
    return msgspec.json.decode(printed[-1], type=Measurement)


def last_line(said: bytes) -> str:
    """Return the last line that is not empty of a program's words, without our folder: the result is kept."""
    text = said.decode("utf-8", "replace").replace(f"{ROOT}{os.sep}", "")
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def judged(measured: Measurement, topic: BenchmarkTopic, application: str) -> dict[str, Any]:
    """Return the figures of one run; raises `NoResultError` if not every event was counted exactly once."""
    found = asyncio.run(
        counted(
            topic.brokers,
            topic.name,
            topic.partitions,
            group=application,
            changelog=measured.changelog,
            state=measured.state,
        )
    )
    wrong = complaints(found, topic.ends)
    if wrong:
        raise NoResultError("; ".join(wrong))
    return {
        "events": measured.events,
        "seconds": round(measured.seconds, 3),
        "events_per_s": round(measured.events / measured.seconds),
        "cpu_s": round(measured.cpu_s, 3),
        "cpu_s_per_million": round(measured.cpu_s / measured.events * 1e6, 3),
        "peak_rss_bytes": measured.peak_rss_bytes,
        "states": found.states,
        "changelog_records": found.changelog_records,
    }


def measure(name: str, topic: BenchmarkTopic, application: str, limit_s: float) -> dict[str, Any]:
    """Run one engine once, judge it, tidy up after it, and return its figures with what it says of itself."""
    try:
        measured = run(ENGINES[name], topic, application, limit_s)
        about = {"version": measured.version, "settings": measured.settings, "topic_events": sum(topic.ends)}
        return about | judged(measured, topic, application)
    finally:
        asyncio.run(remove(topic.brokers, application))


def middle(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the round whose pace is the median (the slower of two), with the paces of all."""
    pace = statistics.median_low(each["events_per_s"] for each in rounds)
    chosen = next(each for each in rounds if each["events_per_s"] == pace)
    return chosen | {"rounds_events_per_s": [each["events_per_s"] for each in rounds]}


def ratios(engines: dict[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return by engine and reference: times the events a second, and shares of the processor time and the memory."""

    def against(one: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
        return {
            "times_the_events_per_s": round(one["events_per_s"] / other["events_per_s"], 3),
            "share_of_the_cpu_s_per_million": round(one["cpu_s_per_million"] / other["cpu_s_per_million"], 4),
            "share_of_the_peak_rss_bytes": round(one["peak_rss_bytes"] / other["peak_rss_bytes"], 3),
        }

    measured = {name: figures for name, figures in engines.items() if "no_result" not in figures}
    return {
        name: {other: against(figures, measured[other]) for other in REFERENCES if other in measured and other != name}
        for name, figures in measured.items()
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Print the result as a table, and under it why an engine has none."""
    table = Table(
        title=f"the bare job, {result['topic']['events']:,} events (* a part of them)", box=box.SIMPLE, pad_edge=False
    )
    table.add_column("engine", no_wrap=True)
    times_of = [f"x {name.removesuffix('-rocksdb')}" for name in REFERENCES]
    for column in ("events/s", "CPU s per M", "peak MiB", *times_of):
        # Words of a heading stand one above the other, so that the figures fit into 80 columns.
        table.add_column(column.replace("-", " ").replace(" ", "\n"), justify="right", no_wrap=True)
    for name, figures in result["engines"].items():
        if "no_result" in figures:
            continue
        times = [result["ratios"][name].get(other, {}).get("times_the_events_per_s") for other in REFERENCES]
        table.add_row(
            name + "*" * (figures["topic_events"] < result["topic"]["events"]),
            f"{figures['events_per_s']:,}",
            f"{figures['cpu_s_per_million']:.2f}",
            f"{figures['peak_rss_bytes'] / 2**20:.0f}",
            *("" if each is None else f"{each:.2f}" for each in times),
        )
    console.print(table)
    for name, figures in result["engines"].items():
        if "no_result" in figures:
            console.print(f"{name}: no result: {figures['no_result']}", highlight=False, markup=False)


def machine() -> dict[str, Any]:
    """Return what the figures depend on, the load of other programs before the first engine included."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def compare(brokers: str, given: argparse.Namespace) -> dict[str, Any]:
    """Produce the topics, run the engines, and return all that was measured."""
    run_id = f"engines-{uuid.uuid4().hex[:8]}"
    traffic = Traffic(subscribers=given.subscribers, partitions=given.partitions)
    about, size_bytes, topics = machine(), 0, {}
    asyncio.run(wake(brokers))
    for is_slow, count in ((False, given.events), (True, min(given.events, given.slow_events))):
        if any(ENGINES[name].is_slow == is_slow for name in given.engines):
            name = f"{run_id}-{'part' if is_slow else 'all'}"
            print(f"producing {count:,} events", file=sys.stderr)
            size_bytes = asyncio.run(produce(brokers, name, traffic, count)) // count
            stand = asyncio.run(ends(brokers, name, traffic.partitions))
            topics[is_slow] = BenchmarkTopic(brokers=brokers, name=name, partitions=traffic.partitions, ends=stand)
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in given.engines}
    failed: dict[str, str] = {}
    for number in range(1, given.rounds + 1):
        for name in [name for name in given.engines if name not in failed]:
            print(f"round {number} of {given.rounds}: {name}", file=sys.stderr)
            application = f"{run_id}-{name}-{number}"
            try:
                figures = measure(name, topics[ENGINES[name].is_slow], application, given.limit)
            except NoResultError as error:
                failed[name] = str(error)
                print(f"{name}: no result: {error}", file=sys.stderr)
            else:
                rounds[name].append(figures)
                print(f"  {figures['events_per_s']:,} events/s", file=sys.stderr)
    asyncio.run(remove(brokers, run_id))
    engines = {name: {"no_result": failed[name]} if name in failed else middle(rounds[name]) for name in given.engines}
    return {
        "machine": about,
        "topic": {"events": given.events, "subscribers": given.subscribers, "partitions": given.partitions,
                  "value_bytes_mean": size_bytes},
        "job": {"warm_share": WARM_SHARE, "commit_s": COMMIT_S, "rounds": given.rounds},
        "engines": engines,
        "ratios": ratios(engines),
    }  # fmt: skip


def main() -> int:
    """Compare the engines, print the table, keep the result; 1 if an engine has no result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES), metavar="NAME",
                        help=f"of {', '.join(ENGINES)}; all by default")  # fmt: skip
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--slow-events", type=int, default=200_000, help="for engines too slow for all: stock Faust")
    parser.add_argument("--subscribers", type=int, default=100_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3, help="of all engines in turn; the median round is the result")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds after which an engine is given up")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    with broker() as brokers:
        result = compare(brokers, given)
    result = {"command": " ".join(["python", "benchmarks/engines.py", *sys.argv[1:]])} | result
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    show(result, Console())
    return int(any("no_result" in figures for figures in result["engines"].values()))


if __name__ == "__main__":
    sys.exit(main())

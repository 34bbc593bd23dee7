"""What every peer written in Python shares: its command line, its clock, and the line that it prints at the end.

Only the standard library is used, since a peer may run in an environment of its own.
"""

import argparse
import json
import platform
import resource
import struct
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

PAIR: Final = struct.Struct(">qq")
"""A subscriber's state in 16 bytes: how many events were counted, and the offset of the last one."""
POLL_S: Final = 0.01
"""How often the broker is asked whether all is committed, once the last event has been processed."""


class Job(NamedTuple):
    """What a peer is told; `warm` is the share of the events before the clock starts, `commit` is in seconds."""

    brokers: str
    topic: str
    partitions: int
    application: str
    events: int
    warm: float
    commit: float
    folder: Path


def from_command_line(description: str | None) -> Job:
    """Return the job that the command line describes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True, help="host:port")
    parser.add_argument("--topic", required=True, help="the events, each with its subscriber as the key")
    parser.add_argument("--partitions", required=True, type=int, help="of the topic")
    parser.add_argument("--application", required=True, help="consumer group, and beginning of the changelog's name")
    parser.add_argument("--events", required=True, type=int, help="in the topic; the job ends when all are counted")
    parser.add_argument("--warm", type=float, default=0.1, help="share of the events before the clock starts")
    parser.add_argument("--commit", type=float, default=1.0, help="seconds between commits, at most")
    parser.add_argument("--folder", required=True, type=Path, help="for local state")
    return Job(**vars(parser.parse_args()))


class Meter:
    """The clock: it runs from the end of the warm-up until `stop`; processor time is that of the whole process."""

    def __init__(self, job: Job) -> None:
        """Begin with nothing seen and the clock standing."""
        self.events = job.events
        self.seen = 0
        self._warm = max(1, int(job.events * job.warm))
        self._first = 0
        self._began_s = self._began_cpu_s = self._took_s = self._took_cpu_s = 0.0

    def saw(self, count: int = 1) -> bool:
        """Count events as processed, start the clock when the warm-up is over, and return whether all were seen."""
        self.seen += count
        if not self._first and self.seen >= self._warm:
            self._first = self.seen  # What a run of several events brought beyond the warm-up is not counted either.
            self._began_s, self._began_cpu_s = time.perf_counter(), cpu_s()
        return self.seen >= self.events

    def stop(self) -> None:
        """Stop the clock: all that was seen is durably committed."""
        self._took_s, self._took_cpu_s = time.perf_counter() - self._began_s, cpu_s() - self._began_cpu_s

    def report(self, *, engine: str, version: str, changelog: str, state: str, settings: dict[str, Any]) -> None:
        """Print the result as the last line of standard output.

        `changelog` is the topic whose newest values by key are the states; `state` says how such a value is read:
        "pair" (`PAIR`), "json" or "msgpack" (a map with `count` and `offset`).
        """
        line = {
            "engine": engine,
            "version": version,
            "events": self.seen - self._first,
            "seconds": self._took_s,
            "cpu_s": self._took_cpu_s,
            "peak_rss_bytes": peak_rss_bytes(),
            "changelog": changelog,
            "state": state,
            "settings": {**settings, "python": platform.python_version()},
        }
        print(json.dumps(line), flush=True)


def cpu_s() -> float:
    """Return the processor time of this process so far, all threads, user and system, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_rss_bytes() -> int:
    """Return the most memory that was ever resident in this process.

    The kernel's own peak of the address space is taken where there is one: `ru_maxrss` also remembers the parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(
            int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM:")
        )
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

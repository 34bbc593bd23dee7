"""Deliveries a second of one dispatcher to a receiver on this machine, and what the sending alone could do.

    python benchmarks/deliveries.py [--deliveries 20000] [--rounds 2] [--databases postgresql sqlite] [--out FILE]

One endpoint of the preset `standard`, signed, 64 calls at a time.  The receiver is a process of its own that answers
204 and keeps count.  The dispatcher is a process of its own as well, `forewarn dispatcher --once`; the clock runs from
its first request to its last at the receiver, so that neither its start nor the filling of the database is in it.  The
processor time is the dispatcher's whole life.
The peers in the same run are an `httpx.AsyncClient` (8 calls at a time, with which it is fastest: its pool slows down
with its size) and an `aiohttp.ClientSession` (64) that post the same bodies, without database, signature or retries:
what a program that only sends gets done.  `latency` is from the transaction that records an
alert to its request at the receiver, with a dispatcher that runs and 50 alerts a second.
Of several rounds the fastest counts; the rates of all are kept.  PostgreSQL is the server of the tests.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))
from streams.app.endpoints import NewEndpoint, add
from streams.core.notify.contact import ContactRules
from streams.core.notify.endpoints import Endpoint
from streams.shared.settings import load_settings
from streams.sink.presets import Request, prepare, sample_delivery
from streams.store.sink import Sink
from tests.postgres.server import Server
from tests.sink.alerts_told import told
from tests.sink.receivers import arrivals

RESULT = Path(__file__).parent / "results" / "deliveries.json"
CALLS = 64
HTTPX_CALLS = 8
ALERTS_PER_S = 50
LATENCY_ALERTS = 1_000


@contextmanager
def receiving(log: Path) -> Iterator[str]:
    """Run a receiver that takes everything, and yield its address."""
    command = [sys.executable, "-m", "tests.sink.receivers", str(log), "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{int((process.stdout or sys.stdin).readline())}/ok"
        finally:
            process.kill()


def endpoint(place: str, url: str) -> None:
    """Add the endpoint that is told."""
    fields = {
        "name": "bench", "preset": "standard", "url": url, "allow_cidrs": ("127.0.0.0/8",), "in_flight_max": CALLS,
        "rate_per_s": 100_000.0,
    }  # fmt: skip
    add(load_settings(os.environ, None, {"database": place}), [NewEndpoint(fields=fields)])


def filled(place: str, count: int) -> None:
    """Record so many alerts that fire, each of a subscriber of its own."""
    with Sink.open(place) as sink:
        for start in range(0, count, 2_000):
            changes = [told(number) for number in range(start, min(start + 2_000, count))]
            sink.record(changes, ContactRules(), round(time.time() * 1_000))


def dispatcher(place: str, *words: str) -> subprocess.Popen[str]:
    """Start `forewarn dispatcher`."""
    command = [sys.executable, "-m", "streams.cli", "dispatcher", "--db", place, "--json", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def measured(place: str, count: int, folder: Path) -> dict[str, Any]:
    """Return what one dispatcher does with so many deliveries."""
    log = folder / f"log-{time.monotonic_ns()}"
    with receiving(log) as url:
        endpoint(place, url)
        filled(place, count)
        before = os.times()
        with dispatcher(place, "--once") as process:
            said = json.loads((process.stdout or sys.stdin).read())
        after = os.times()
        found = arrivals(log)
    seconds = (max(one.at_ms for one in found) - min(one.at_ms for one in found)) / 1_000
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    if said["delivered"] != count or len({one.message_id for one in found}) != count:
        raise SystemExit(f"no result: {said}, {len(found)} arrivals")
    return {
        "deliveries": count,
        "seconds": seconds,
        "deliveries_per_s": count / seconds,
        "cpu_s_per_thousand": 1_000 * cpu_s / count,
        "repeats": len(found) - count,
    }


def latency(place: str, folder: Path) -> dict[str, float]:
    """Return how long after its transaction an alert reaches the receiver (ms)."""
    log = folder / f"log-{time.monotonic_ns()}"
    recorded: dict[str, float] = {}
    with receiving(log) as url:
        endpoint(place, url)
        process = dispatcher(place)
        time.sleep(3.0)
        with Sink.open(place) as sink:
            for number in range(LATENCY_ALERTS):
                change = told(number)
                recorded[change.transition_id] = time.time() * 1_000
                sink.record([change], ContactRules(), round(time.time() * 1_000))
                time.sleep(1 / ALERTS_PER_S)
        time.sleep(2.0)
        process.send_signal(signal.SIGTERM)
        process.communicate()
        waits = sorted(one.at_ms - recorded[one.message_id] for one in arrivals(log))
    if len(waits) != LATENCY_ALERTS:
        raise SystemExit(f"no result: {len(waits)} arrivals")
    return {"median_ms": statistics.median(waits), "p99_ms": waits[int(len(waits) * 0.99)]}


async def httpx_peer(count: int, url: str) -> float:
    """Return how many posts a second a plain httpx client gets done."""
    request, left = _request(url), iter(range(count))
    limits = httpx.Limits(max_connections=HTTPX_CALLS, max_keepalive_connections=HTTPX_CALLS)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:

        async def posting() -> None:
            for _ in left:
                answer = await client.post(url, content=request.body, headers=dict(request.headers))
                answer.raise_for_status()

        begun_s = time.perf_counter()
        await asyncio.gather(*(posting() for _ in range(HTTPX_CALLS)))
        return count / (time.perf_counter() - begun_s)


async def aiohttp_peer(count: int, url: str) -> float:
    """Return how many posts a second a plain aiohttp client gets done."""
    request, left = _request(url), iter(range(count))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CALLS)) as client:

        async def posting() -> None:
            for _ in left:
                async with client.post(url, data=request.body, headers=dict(request.headers)) as answer:
                    answer.raise_for_status()

        begun_s = time.perf_counter()
        await asyncio.gather(*(posting() for _ in range(CALLS)))
        return count / (time.perf_counter() - begun_s)


def _request(url: str) -> Request:
    endpoint = Endpoint(name="bench", preset="standard", url=url, allow_cidrs=("127.0.0.0/8",), allow_http=True)
    request = prepare(endpoint).render(sample_delivery("create"), "create", now_ms=0)
    if not isinstance(request, Request):
        raise SystemExit(f"no result: {request.why}")
    return request


def best(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the fastest round, with the rates of all."""
    fastest = max(rounds, key=lambda one: one["deliveries_per_s"])
    return fastest | {"all_per_s": [round(one["deliveries_per_s"]) for one in rounds]}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deliveries", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--databases", nargs="*", default=["postgresql", "sqlite"])
    parser.add_argument("--no-latency", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    os.environ["FOREWARN_SINK_KEY"] = "a key for measurements only"
    result: dict[str, Any] = {"machine": platform.machine(), "calls": CALLS, "databases": {}}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with receiving(home / "peer") as url:
            for name, peer in (("httpx", httpx_peer), ("aiohttp", aiohttp_peer)):
                posts_per_s = max(asyncio.run(peer(asked.deliveries // 4, url)) for _ in range(asked.rounds))
                result[f"{name}_posts_per_s"] = posts_per_s
                print(f"{name}: {posts_per_s:,.0f} posts/s", flush=True)
        for kind in asked.databases:
            server = Server() if kind == "postgresql" else None
            if server:
                server.start()
            try:
                rounds = []
                for number in range(asked.rounds):
                    place = server.database() if server else str(home / f"{number}.db")
                    rounds.append(measured(place, asked.deliveries, home))
                    print(f"{kind}: {rounds[-1]['deliveries_per_s']:,.0f} deliveries/s", flush=True)
                result["databases"][kind] = best(rounds)
                if not asked.no_latency:
                    place = server.database() if server else str(home / "latency.db")
                    result["databases"][kind]["latency"] = latency(place, home)
                    print(kind, result["databases"][kind]["latency"], flush=True)
            finally:
                if server:
                    server.close()
    asked.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

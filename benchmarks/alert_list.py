"""What `forewarn alerts --limit 10` and an id by its beginning cost: chosen by the database, or by loading every alert.

    python benchmarks/alert_list.py [--alerts 50000] [--rounds 9] [--out FILE]

A database of each kind is filled with alerts that fire, each with what an alert says of its reasons.  Both ways take
turns in one process, and both give the same alerts in the same order, or there is no result.
"""

import argparse
import gc
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from servers import database

from streams.core.contracts.effects import AlertChanged, Evidence, Reason
from streams.core.contracts.source import source_at
from streams.store import Batch, Run, RunStore
from streams.store.run.batch import AlertRow
from streams.words.wording import REASON_CODES

RESULT: Final = Path(__file__).parent / "results" / "alert_list.json"
COMMAND: Final = [sys.executable, "-m", "streams.cli", "alerts", "--limit", "10", "--json", "--db"]
DAY_MS: Final = 86_400_000
AT_MS: Final = 20_000 * DAY_MS
COMMIT: Final = 5_000
SHOWN: Final = 10
PREFIX_CHARS: Final = 12
RUN: Final = Run(
    input="-", settings={}, policy={}, policy_version="p", feature_table="f", received_ms=AT_MS, started_ms=AT_MS
)


def alert(number: int, draw: Random) -> tuple[AlertChanged, AlertChanged]:
    """Return the two transitions by which an alert opened and fired."""
    evidence = Evidence("dropped_calls", "percent of answered", 9.0, 1.0, 14)
    codes = draw.sample(sorted(REASON_CODES), 9)
    reasons = tuple(Reason(code, code, draw.random(), {code: 0.5}, (evidence,), 0.25, AT_MS) for code in codes)
    identity = f"{draw.getrandbits(128):032x}"

    def changed(change: str, at_ms: int) -> AlertChanged:
        return AlertChanged(
            alert_id=f"a_{identity}", transition_id=f"t_{change}_{identity[:16]}", subscriber_id=f"s_{number:032x}",
            kind="service_fault", episode=1, state="firing" if change == "fired" else "pending",
            change="fired" if change == "fired" else "opened", why="the risk reached the opening threshold",
            at_ms=at_ms, opened_at_ms=AT_MS, probability=draw.random(), logit=0.0, intercept=-1.5, threshold=0.25,
            band="high", value_band="mid", value_at_risk_minor=draw.randrange(200_000), currency="EUR",
            reasons=reasons, action="call", due_at_ms=AT_MS + 3 * DAY_MS, model_version="champion-1-abcdef01",
            feature_table="f00d", policy_version="policy-1", schema_version="contracts-1",
            offsets={source_at(topic, 0): number for topic in range(6)},
            account_manager_id="am_1", group_id=None, area_id=None,
            why_code="threshold_reached",
        )  # fmt: skip

    return changed("opened", AT_MS), changed("fired", AT_MS + DAY_MS)


def fill(store: RunStore, count: int) -> None:
    """Write the alerts."""
    draw = Random(1)
    store.start(RUN)
    for start in range(0, count, COMMIT):
        told = [one for number in range(start, min(count, start + COMMIT)) for one in alert(number, draw)]
        store.commit(Batch(positions={}, stream_ms=AT_MS, counters={}, transitions=told))


def loaded(store: RunStore) -> list[AlertRow]:
    """Return the first alerts as they were listed before: load every one, choose, sort, and cut."""
    chosen = [row for row in store.alerts(held_out=False) if row.fired_at_ms is not None]
    return sorted(chosen, key=_order)[:SHOWN]


def _order(row: AlertRow) -> tuple[bool, float, str]:
    one = row.latest
    return one.state != "firing", -one.probability * (one.value_at_risk_minor + 1), one.alert_id


def took_ms(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long a piece of work took, and what it gave."""
    gc.collect()
    begun_s = time.perf_counter()
    found = work()
    return (time.perf_counter() - begun_s) * 1000.0, found


def against(rounds: int, before: Callable[[], Any], now: Callable[[], Any]) -> dict[str, Any]:
    """Return how long both ways take, in turns, as medians, and how many times as long the one before."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        (before_ms, expected), (now_ms, found) = took_ms(before), took_ms(now)
        if expected != found:
            raise SystemExit("no result: the two ways give different alerts")
        times[0].append(before_ms)
        times[1].append(now_ms)
    before_ms, now_ms = statistics.median(times[0]), statistics.median(times[1])
    return {"loading_all_ms": before_ms, "ms": now_ms, "times": before_ms / now_ms}


def measure(place: str, count: int, rounds: int) -> dict[str, Any]:
    """Return the figures of one database."""
    with RunStore.open(place) as store:
        fill(store, count)
        wanted = sorted(row.latest.alert_id for row in store.alerts())[count // 2]
        prefix = wanted[:PREFIX_CHARS]
        listing = against(rounds, lambda: loaded(store), lambda: list(store.alert_page(limit=SHOWN).rows))
        finding = against(
            rounds,
            lambda: [row.latest.alert_id for row in store.alerts() if row.latest.alert_id.startswith(prefix)],
            lambda: store.alert_ids(prefix),
        )
    commands = [
        took_ms(lambda: subprocess.run([*COMMAND, place], check=True, capture_output=True))[0] for _ in range(5)
    ]
    return {"list": listing, "prefix": finding, "command_ms": statistics.median(commands)}


@contextmanager
def places() -> Iterator[dict[str, str]]:
    """Yield where an empty database of each kind is."""
    with tempfile.TemporaryDirectory() as folder, database() as url:
        yield {"sqlite": str(Path(folder) / "alerts.db"), "postgresql": url}


def main(words: Sequence[str]) -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args(words)
    with places() as where:
        figures = {kind: measure(place, given.alerts, given.rounds) for kind, place in where.items()}
    result = {
        "python": platform.python_version(), "machine": platform.machine(), "alerts": given.alerts, "shown": SHOWN,
        "rounds": given.rounds, "databases": figures,
    }  # fmt: skip
    given.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])

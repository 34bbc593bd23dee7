"""From a complaint being produced to its alert on the `alerts` topic, with 5,000 other events a second around it.

    python benchmarks/latency.py [--rate 5000] [--seconds 60] [--subscribers 100000] [--out FILE]

One worker, four partitions, subscribers who have lived through 75 days before.  The events pass as fast as the clock
does.  The complaints are of subscribers whose next complaint fires an alert (found by trying `step` on a copy of their
state), under a policy without the day that an alert is held back by default.  An alert counts as arrived when a reader
of committed records has it; both clocks are that of the benchmark's own process.
"""

import argparse
import asyncio
import json
import platform
import random
import statistics
import tempfile
import time
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]  # aiokafka comes without types
from on_kafka import KafkaOperator, prepare, produce
from servers import broker
from step import BEGIN_MS, RECEIVED_MS, TEMPLATES, WARM_DAYS, Stream, Template, time_text, warm_states
from traffic import remove
from workers import Program, WorkerProcess

from streams.core.alerts.policy import policy_from_layers
from streams.core.contracts.decode import decode
from streams.core.contracts.effects import AlertChanged, AlertDraft
from streams.core.contracts.events import Event, Record, Wake
from streams.core.scoring.models import read_scorecard
from streams.core.step import Context, step
from streams.core.subscriber.packing import unpack
from streams.core.times import DAY_MS
from streams.defaults import read_default

RESULT = Path(__file__).parent / "results" / "latency.json"
PARTITIONS = 4
COMPLAINTS_PER_S = 20
SETTLE_S = 5.0
WARM_S = 15
"""Before the first complaint: the first event of the day has everybody scored."""
NOON_MS = BEGIN_MS + WARM_DAYS * DAY_MS + DAY_MS // 2
PROMPT = "[alerting.low]\nhold_hours = 0\n[alerting.mid]\nhold_hours = 0\n[alerting.high]\nhold_hours = 0\n"


def complaint(sid: str, at_ms: int, number: int) -> Record:
    """Return a new complaint of a subscriber."""
    at = time_text(at_ms)
    body = {
        "event_id": f"0198c0de-0000-7000-9000-{number:012x}", "event_time": at, "subscriber_id": sid,
        "ticket_id": f"l-{number}", "change": "created", "ticket_type": "complaint", "category": "call_drop",
        "channel": "hotline", "status": "acknowledged", "creation_date": at, "last_update": at,
    }  # fmt: skip
    return Record("complaints", 0, 1 << 41, msgspec.json.encode(body), RECEIVED_MS)


def about_to_fire(context: Context, templates: list[Template], ids: list[str]) -> list[str]:
    """Return the subscribers whose complaint at noon fires an alert."""
    firing = set()
    for number, template in enumerate(templates):
        event = decode(complaint(ids[number], NOON_MS, number))
        if not isinstance(event, Event):
            raise SystemExit(f"no result: {event}")
        state = unpack(template.packed)
        morning_ms = state.watch.next_wake_ms
        if 0 < morning_ms <= NOON_MS:
            step(state, Wake(ids[number], morning_ms), context)
        _, effects = step(state, event, context)
        moves = [effect.changed for effect in effects if isinstance(effect, AlertDraft)]
        moves += [effect for effect in effects if isinstance(effect, AlertChanged)]
        if any(move.change == "fired" for move in moves):
            firing.add(number)
    return [sid for number, sid in enumerate(ids) if number % TEMPLATES in firing]


class Traffic:
    """Top-ups of anybody else, and now and then a complaint of who is about to fire; remembers when each was made."""

    def __init__(self, ids: list[str], firing: list[str], per_s: int) -> None:
        """Begin with nothing."""
        self.made_s: dict[str, float] = {}
        at_risk = set(firing)  # Whoever tops up is at risk no more.
        self._ids = [sid for sid in ids if sid not in at_risk]
        self._firing, self._per_s = firing, per_s

    def records(self) -> Iterator[Record]:
        """Yield records whose event time passes as fast as the clock does at the rate that was given."""
        draw, every = random.Random(3), self._per_s // COMPLAINTS_PER_S
        number = 0
        while True:
            at_ms = NOON_MS + number * 1000 // self._per_s
            if number > WARM_S * self._per_s and number % every == every - 1 and self._firing:
                sid = self._firing.pop()
                self.made_s[sid] = time.monotonic()
                yield complaint(sid, at_ms, number)
            else:
                body = {
                    "event_id": f"0198c0de-0000-7000-8000-{number:012x}", "event_time": time_text(at_ms),
                    "subscriber_id": draw.choice(self._ids), "top_up_id": f"l{number}", "status": "completed",
                    "amount_minor": 2000, "currency": "CNY", "channel": "app", "payment_method": "wallet",
                }  # fmt: skip
                yield Record("top-ups", 0, 0, msgspec.json.encode(body), RECEIVED_MS)
            number += 1


async def arrivals(operator: KafkaOperator, arrived_s: dict[str, float], ready: asyncio.Event) -> None:
    """Note when the first alert of each subscriber can be read."""
    reader = AIOKafkaConsumer(
        operator.prefix + "alerts",
        bootstrap_servers=operator.brokers,
        isolation_level="read_committed",
        auto_offset_reset="latest",
        fetch_max_wait_ms=20,
    )
    await reader.start()
    try:
        await reader.seek_to_end()
        ready.set()
        async for record in reader:
            arrived_s.setdefault(record.key.decode(), time.monotonic())
    finally:
        await reader.stop()


async def measure(
    operator: KafkaOperator, traffic: Traffic, worker: WorkerProcess, rate: int, seconds: int
) -> dict[str, Any]:
    """Have the traffic pass the worker once."""
    arrived_s: dict[str, float] = {}
    ready = asyncio.Event()
    reading = asyncio.ensure_future(arrivals(operator, arrived_s, ready))
    try:
        await asyncio.to_thread(worker.wait_for, f"partition {operator.partitions - 1} restored")
        await ready.wait()
        await asyncio.sleep(SETTLE_S)
        await produce(operator, traffic.records(), rate * (WARM_S + seconds), per_s=rate)
        await asyncio.sleep(SETTLE_S)
    finally:
        reading.cancel()
    taken_ms = sorted((arrived_s[sid] - made_s) * 1000 for sid, made_s in traffic.made_s.items() if sid in arrived_s)
    if len(taken_ms) < len(traffic.made_s) // 2:
        raise SystemExit(f"no result: {len(taken_ms)} alerts of {len(traffic.made_s)} complaints")
    cuts = statistics.quantiles(taken_ms, n=100)
    return {
        "subscribers": operator.subscribers,
        "events_per_s": rate,
        "complaints": len(traffic.made_s),
        "alerts": len(taken_ms),
        "median_ms": statistics.median(taken_ms),
        "p90_ms": cuts[89],
        "p99_ms": cuts[98],
        "max_ms": taken_ms[-1],
    }


def main() -> None:
    """Run the benchmark and write what it measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5_000, help="events a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--subscribers", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    policy = tomllib.loads(read_default("policy.toml"))
    scorer = read_scorecard(read_default("scorecard.toml"))
    templates = warm_states(Context(scorer, policy_from_layers(policy)))
    prompt = Context(scorer, policy_from_layers(policy, tomllib.loads(PROMPT)))
    ids = Stream(options.subscribers, seed=2).ids
    traffic = Traffic(ids, about_to_fire(prompt, templates, ids), options.rate)
    with broker() as address, tempfile.TemporaryDirectory() as folder:
        prefix = f"bench-{uuid.uuid4().hex[:8]}."
        operator = KafkaOperator(brokers=address, prefix=prefix, subscribers=options.subscribers, partitions=PARTITIONS)
        told = Path(folder, "policy.toml")
        told.write_text(PROMPT)
        try:
            asyncio.run(prepare(operator, prompt, templates))
            worker = WorkerProcess(operator, Path(folder, "worker.txt"), Program(options=("--policy", str(told))))
            try:
                found = asyncio.run(measure(operator, traffic, worker, options.rate, options.seconds))
            finally:
                worker.process.terminate()
                worker.process.wait(60)
        finally:
            asyncio.run(remove(address, prefix))
    result = {"python": platform.python_version(), "machine": platform.machine(), **found}
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

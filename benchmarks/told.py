"""From an alert on the topic `alerts` to the signed call at its receiver, through notifier, PostgreSQL and dispatcher.

    python benchmarks/told.py [--rate 100] [--seconds 60] [--out FILE]

Each alert is of a subscriber of its own and fires once.  It is timed from when it is handed to the producer until the
receiver, which is in this process, has read the call's headers: both clocks are one.  All else runs in processes of its
own: broker, PostgreSQL, one notifier, one dispatcher.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # aiokafka comes without types
from servers import broker, database
from traffic import remove

from streams.app import topic_admin
from streams.core.contracts.effects import AlertChanged, Evidence, Reason
from streams.core.contracts.encode import output_record
from streams.core.contracts.source import source_at
from streams.core.times import DAY_MS
from streams.shared.settings import Settings

RESULT = Path(__file__).parent / "results" / "told.json"
FOREWARN = [sys.executable, "-m", "streams.cli"]
PARTITIONS = 4
WARM_S = 5
SETTLE_S = 5.0
AT_MS = 20_000 * DAY_MS
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


def alert(number: int) -> AlertChanged:
    """Return the firing of one of many alerts, each of a subscriber of its own."""
    evidence = Evidence("dropped_calls", "percent of answered", 9.0, 1.0, 14)
    return AlertChanged(
        alert_id=f"a_{number:032x}",
        transition_id=f"t_{number:032x}",
        subscriber_id=f"s_{number:032x}",
        kind="service_fault",
        episode=1,
        state="firing",
        change="fired",
        why="probability above the threshold for 24 hours",
        at_ms=AT_MS,
        opened_at_ms=AT_MS - DAY_MS,
        probability=0.5,
        logit=0.0,
        intercept=-1.5,
        threshold=0.25,
        band="high",
        value_band="mid",
        value_at_risk_minor=120_000,
        currency="EUR",
        reasons=(Reason("drop_rate_up", "network", 1.5, {"drops": 1.5}, (evidence,)),),
        action="call",
        due_at_ms=AT_MS + 3 * DAY_MS,
        model_version="champion-1-abcdef01",
        feature_table="f00d",
        policy_version="policy-1",
        schema_version="contracts-1",
        offsets={source_at(0, 0): number},
        account_manager_id="am_1",
        group_id=None,
        area_id=None,
    )


class CountingReceiver:
    """Takes every call and notes when it first heard of each message."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.heard_s: dict[str, float] = {}
        self.calls = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the calls of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                now_s = time.monotonic()
                fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
                await reader.readexactly(int(fields["content-length"]))
                self.heard_s.setdefault(fields["webhook-id"], now_s)
                self.calls += 1
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()


@contextmanager
def started(words: list[str], log: Path, environment: dict[str, str]) -> Iterator[None]:
    """Run a command meanwhile."""
    with log.open("wb") as out, subprocess.Popen([*FOREWARN, *words], stderr=out, env=os.environ | environment) as one:
        try:
            yield
            if one.poll() is not None:
                raise SystemExit(f"no result: {words[0]} ended: {log.read_text()[-2000:]}")
        finally:
            one.terminate()


async def measure(operator: Settings, rate: int, seconds: int, folder: Path) -> dict[str, Any]:
    """Have alerts pass from the topic to the receiver."""
    receiver = CountingReceiver()
    server = await asyncio.start_server(receiver.take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    keys, url = {"FOREWARN_SINK_KEY": uuid.uuid4().hex}, operator.database
    where = ["--url", f"http://127.0.0.1:{port}/", "--allow-cidr", "127.0.0.0/8", "--db", url]
    adding = ["endpoints", "add", "crm", "--preset", "standard", *where, "--rate", "10000", "--in-flight", "32"]
    run = partial(subprocess.run, [*FOREWARN, *adding], check=True, capture_output=True, env=os.environ | keys)
    await asyncio.to_thread(run)
    produced_s: dict[str, float] = {}
    topics = ["--kafka", operator.kafka, "--prefix", operator.kafka_prefix]
    notifier = started(["notifier", *topics, "--db", url], folder / "notifier.txt", keys)
    dispatcher = started(["dispatcher", "--db", url], folder / "dispatcher.txt", keys)
    producer = AIOKafkaProducer(bootstrap_servers=operator.kafka)
    with notifier, dispatcher:
        await producer.start()
        await asyncio.sleep(SETTLE_S)
        begun_s = time.monotonic()
        for number in range(rate * (WARM_S + seconds)):
            await asyncio.sleep(max(0.0, begun_s + number / rate - time.monotonic()))
            fired = alert(number)
            sent = output_record(fired)
            produced_s[fired.transition_id] = time.monotonic()
            await producer.send(f"{operator.kafka_prefix}{sent.topic}", sent.value, key=sent.key)
        await producer.stop()
        await asyncio.sleep(SETTLE_S)
    server.close()
    measured = list(produced_s)[rate * WARM_S :]
    lost = [one for one in produced_s if one not in receiver.heard_s]
    if lost:
        raise SystemExit(f"no result: {len(lost)} of {len(produced_s)} alerts were not told")
    took_ms = sorted((receiver.heard_s[one] - produced_s[one]) * 1_000 for one in measured)
    cuts = statistics.quantiles(took_ms, n=100)
    return {
        "alerts_per_s": rate,
        "alerts": len(measured),
        "calls_more_than_alerts": receiver.calls - len(produced_s),
        "median_ms": statistics.median(took_ms),
        "p90_ms": cuts[89],
        "p99_ms": cuts[98],
        "max_ms": took_ms[-1],
    }


def main() -> None:
    """Run the benchmark and write what it measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=100, help="alerts a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    with broker() as address, database() as url, tempfile.TemporaryDirectory() as folder:
        operator = Settings(kafka=address, kafka_prefix=prefix, database=url)
        topic_admin.create_topics(operator, partitions=PARTITIONS, replication=1, application="forewarn")
        try:
            found = asyncio.run(measure(operator, options.rate, options.seconds, Path(folder)))
        finally:
            asyncio.run(remove(address, prefix))
    result = {"python": platform.python_version(), "machine": platform.machine(), **found}
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

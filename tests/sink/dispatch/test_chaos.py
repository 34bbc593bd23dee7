"""Dispatchers that are killed, receivers that misbehave, and the receivers' own log, which says what really arrived."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.core.notify.contact import ContactRules
from streams.core.notify.endpoints import Endpoint
from streams.core.notify.messages import delivery_id
from streams.core.times import HOUR_MS
from streams.sink.secrets.signing import new_secret
from streams.sink.secrets.vault import Secrets, SigningKey, seal
from streams.store.sink import Sink
from tests.postgres.databases import database_url, postgres, postgres_url
from tests.sink.alerts_told import BEGAN_MS, told
from tests.sink.dispatch.dispatching import KEY
from tests.sink.receivers import PATHS, Arrival, arrivals

__all__ = ["database_url", "postgres", "postgres_url"]

pytestmark = pytest.mark.slow

GIVE_UP_S = 240.0


@contextmanager
def receiving(log: Path) -> Iterator[str]:
    """Run the receivers in a process of their own, and yield their address."""
    command = [sys.executable, "-m", "tests.sink.receivers", str(log), "7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def begun(place: str, number: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.sink.dispatch.dispatching", place, f"w{number}"]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def prepared(sink: Sink, address: str, alerts: int, now_ms: int) -> int:
    """Add an endpoint for each mood, and write three messages of each alert; return how many deliveries wait."""
    for path in PATHS:
        name = path.strip("/")
        endpoint = Endpoint(
            name=name, preset="standard", url=address + path, allow_cidrs=("127.0.0.0/8",), allow_http=True,
            channel=name, rate_per_s=5_000.0, in_flight_max=16, timeout_s=1.0, coalesce=False,
        )  # fmt: skip
        sink.add_endpoint(endpoint, seal(KEY, name, Secrets(signing=(SigningKey(new_secret()),))), now_ms)
    count = 0
    for hour, change in enumerate(("fired", "worsened", "resolved")):
        changes = [told(number, change, BEGAN_MS + hour * HOUR_MS) for number in range(alerts)]  # type: ignore[arg-type]
        count += sink.record(changes, ContactRules(), now_ms).deliveries
    return count


def unfinished(sink: Sink) -> int:
    return sink.backlog(int(time.time() * 1_000)).waiting


def killed_until_done(place: str, sink: Sink, dispatchers: int) -> int:
    """Keep so many dispatchers running, kill one after the other, and return how many died before all was done."""
    chance, number = random.Random(3), dispatchers
    running = [begun(place, worker) for worker in range(dispatchers)]
    deaths, give_up = 0, time.monotonic() + GIVE_UP_S
    killing_until = time.monotonic() + 30
    try:
        while (left := unfinished(sink)) or any(row.state != "active" for row in sink.endpoints()):
            assert time.monotonic() < give_up, f"{left} deliveries were still waiting"
            # Somebody looks after the receiver that said it was gone.
            for row in sink.endpoints():
                if row.state != "active":
                    sink.set_state(row.endpoint.name, "active", "it is back", int(time.time() * 1_000))
            time.sleep(chance.uniform(0.3, 1.2))
            if time.monotonic() < killing_until:
                victim = chance.randrange(dispatchers)
                running[victim].kill()
                running[victim].wait()
                running[victim] = begun(place, number)
                number, deaths = number + 1, deaths + 1
    finally:
        for process in running:
            process.terminate()
        for process in running:
            assert process.wait(30) in {0, -15}
    return deaths


def violations(found: list[Arrival]) -> list[tuple[str, str]]:
    """Return (path, alert) wherever an earlier message of an alert came after a later one."""
    order = {"alert.fired": 0, "alert.worsened": 1, "alert.resolved": 2}
    latest: dict[tuple[str, str], int] = {}
    wrong = []
    for one in found:
        key = (one.path, one.alert_id)
        if order[one.type] < latest.get(key, 0):
            wrong.append(key)
        latest[key] = max(latest.get(key, 0), order[one.type])
    return wrong


@pytest.mark.parametrize(
    ("dispatchers", "alerts"), [pytest.param(4, 95, id="a few"), pytest.param(8, 953, id="twenty thousand")]
)
def test_nothing_is_lost_or_out_of_order_and_repeats_have_the_same_id_when_dispatchers_are_killed(
    database_url: str, tmp_path: Path, dispatchers: int, alerts: int
) -> None:
    if "://" not in database_url and alerts > 500:
        pytest.skip("SQLite has one writer: the large variant is for PostgreSQL")
    log = tmp_path / "arrivals.jsonl"
    with receiving(log) as address, Sink.open(database_url) as sink:
        waiting = prepared(sink, address, alerts, int(time.time() * 1_000))
        assert waiting == alerts * 3 * len(PATHS)
        began_s = time.monotonic()
        deaths = killed_until_done(database_url, sink, dispatchers)
        took_s = time.monotonic() - began_s
        rows = sink.deliveries()
        found = arrivals(log)

    states = Counter(row.state for row in rows)
    ids = {delivery_id(one.path.strip("/"), one.message_id) for one in found if one.answered == 204}
    lost = [row for row in rows if row.state == "delivered" and row.delivery_id not in ids]
    repeats = len(found) - len({(one.path, one.message_id) for one in found})
    taken = Counter((one.path, one.message_id) for one in found if one.answered == 204)
    twice = sum(count - 1 for count in taken.values())
    print(f"\n{len(rows)} deliveries, {dict(states)}, {deaths} killed, {len(found)} arrivals, {repeats} of them again,"
          f" {twice} taken twice, {took_s:.0f} s")  # fmt: skip

    assert len(rows) == waiting
    assert set(states) <= {"delivered", "failed", "skipped"}, "whatever was not delivered was given up for a reason"
    told_of = {(row.endpoint, row.alert_id) for row in rows if row.state == "delivered"}
    skipped = {(row.endpoint, row.alert_id) for row in rows if row.state == "skipped"}
    assert not skipped & told_of, "an end is left out only where nothing of its alert was taken"
    assert not lost
    assert not violations(found)
    known = {row.delivery_id for row in rows}
    assert {delivery_id(one.path.strip("/"), one.message_id) for one in found} <= known, "no id that we never gave"
    refused = {row.delivery_id for row in rows if row.state == "failed"}
    assert all(
        row.endpoint in {"fails", "hangs", "busy", "cuts", "gone", "away"} for row in rows if row.delivery_id in refused
    )

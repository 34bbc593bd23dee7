"""A broker that is away for longer than any client waits for one answer."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.kafka.broker import Broker
from tests.kafka.workers import (
    SentRecord,
    SupervisedWorker,
    assert_exact,
    feed,
    in_parts,
    prepare,
    send,
    wait_until_applied,
)

AWAY_S = 70.0


@pytest.mark.slow
def test_a_broker_that_is_away_for_seventy_seconds_costs_nothing(
    own_broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    """Workers go on, or end and are started again until the broker is back: either way the states are exact."""
    parts = in_parts(fed, 24)
    asyncio.run(prepare(own_broker.address, prefix))
    with (
        SupervisedWorker(own_broker.address, prefix, tmp_path, name="one") as one,
        SupervisedWorker(own_broker.address, prefix, tmp_path, name="two") as two,
    ):
        for each in (one, two):
            each.worker.wait_for("restored")
        feed(own_broker.address, prefix, parts[:12])
        asyncio.run(send(own_broker.address, prefix, parts[12]))
        own_broker.kill()  # In the middle of what was sent last.
        back_s = time.monotonic() + AWAY_S
        while time.monotonic() < back_s:
            one.look_after()
            two.look_after()
            time.sleep(1.0)
        own_broker.restart()
        feed(own_broker.address, prefix, parts[13:])
        left = wait_until_applied(own_broker.address, prefix, len(fed), 150.0, supervised=[one, two])
        print(one.ends, two.ends)
    assert_exact(own_broker.address, prefix, left, len(fed))

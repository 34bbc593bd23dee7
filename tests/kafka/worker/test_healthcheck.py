"""What the image's own health check asks: can Kafka be reached."""

import os
import subprocess
import sys

from tests.kafka.broker import Broker, free_ports


def asked(address: str) -> "subprocess.CompletedProcess[str]":
    """Ask as a container does."""
    environment = {**os.environ, "FOREWARN_KAFKA": address}
    command = [sys.executable, "-m", "streams.app.healthcheck"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_broker_that_can_be_reached_is_enough(broker: Broker) -> None:
    assert asked(broker.address).returncode == 0


def test_a_broker_that_is_not_there_is_said_in_one_line() -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    answer = asked(address)
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert address in answer.stderr

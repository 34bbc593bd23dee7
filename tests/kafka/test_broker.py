"""The brokers that other tests build on: started, killed, restarted, shared, and closed to strangers."""

import asyncio
import gc
import os
import signal
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    TopicPartition,
)
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # as above
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError  # type: ignore[import-untyped]  # as above

from tests.kafka.broker import Broker, GivenBroker, free_ports
from tests.kafka.engines import ROOT
from tests.kafka.secure import ClientCredentials

pytestmark = pytest.mark.slow

VALUES = [str(number).encode() for number in range(100)]
GONE_S = 30.0


async def produced(address: str, topic: str, values: Sequence[bytes], **options: Any) -> None:
    """Make a topic of one partition and write to it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address, **options)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all", enable_idempotence=True, **options)
    await producer.start()
    try:
        for value in values:
            await producer.send(topic, value)
    finally:
        await producer.stop()


async def consumed(address: str, topic: str, count: int, **options: Any) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest", **options)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


def test_a_killed_and_restarted_broker_has_its_address_and_every_record(own_broker: Broker, prefix: str) -> None:
    address, topic = own_broker.address, f"{prefix}usage"
    asyncio.run(produced(address, topic, VALUES))
    own_broker.kill()
    assert own_broker.pid is None
    own_broker.restart()
    assert own_broker.address == address
    assert asyncio.run(consumed(address, topic, len(VALUES))) == VALUES
    own_broker.stop()
    own_broker.restart()
    assert asyncio.run(consumed(address, topic, len(VALUES))) == VALUES


def test_the_shared_broker_takes_and_gives_back_records(broker: Broker, prefix: str) -> None:
    asyncio.run(produced(broker.address, f"{prefix}usage", VALUES))
    assert asyncio.run(consumed(broker.address, f"{prefix}usage", len(VALUES))) == VALUES


def test_a_topic_that_nobody_made_does_not_come_to_be(broker: Broker, prefix: str) -> None:
    async def write() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=broker.address, request_timeout_ms=2000)
        await producer.start()
        try:
            await producer.send_and_wait(f"{prefix}none", b"1")
        finally:
            await producer.stop()

    with pytest.raises((KafkaError, UnknownTopicOrPartitionError)):
        asyncio.run(write())


def test_no_test_can_stop_what_others_use(broker: Broker) -> None:
    for touch in (broker.start, broker.stop, broker.kill, broker.restart):
        with pytest.raises(RuntimeError, match="not this test's"):
            touch()


def test_a_broker_from_outside_is_not_ours_to_touch() -> None:
    given = GivenBroker("127.0.0.1:1", "it was given from outside")
    with pytest.raises(RuntimeError, match=r"127\.0\.0\.1:1 .* from outside"):
        given.kill()
    given.close()


def test_each_test_has_a_prefix_that_tells_whose_topics_they_are(prefix: str) -> None:
    assert prefix.startswith("each-test-has-a-prefix-that-tells-whose")
    assert prefix.endswith(".")


def test_free_ports_are_different_ones() -> None:
    assert len(set(free_ports(20))) == 20


USER = """
import sys, time
from pathlib import Path
from tests.kafka.sharing import shared_broker
with shared_broker(Path(sys.argv[1])) as broker:
    print(broker.address, broker.log_file, flush=True)
    sys.stdin.read()
"""


def test_all_processes_share_one_broker_that_ends_with_the_last_even_if_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", USER, str(tmp_path)]
    users = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in "abc"
    ]
    try:
        said = {user.stdout.readline() for user in users if user.stdout}
        assert len(said) == 1
        log = Path(said.pop().split()[1])
        users[0].communicate()
        users[1].send_signal(signal.SIGKILL)
        users[1].communicate()
        assert log.exists()
    finally:
        for user in users:
            user.kill()
            user.communicate()
    give_up = time.monotonic() + GONE_S
    while log.parent.exists():
        assert time.monotonic() < give_up, "the broker was left behind"
        time.sleep(0.1)
    assert not (tmp_path / "broker.json").exists()


def trusting(
    credentials: ClientCredentials, *, certificate: tuple[Path, Path] | None, ca: Path | None = None
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca or credentials.ca_file)
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def login(credentials: ClientCredentials, mechanism: str = "SCRAM-SHA-512", **changes: Any) -> dict[str, Any]:
    """Return the options of a client that is let in, except for what `changes` says."""
    options = {
        "security_protocol": "SASL_SSL",
        "ssl_context": trusting(credentials, certificate=(credentials.cert_file, credentials.key_file)),
        "sasl_mechanism": mechanism,
        "sasl_plain_username": credentials.user,
        "sasl_plain_password": credentials.password,
    }
    return options | changes


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_who_has_certificate_and_password_is_let_in(secure_broker: Broker, prefix: str, mechanism: str) -> None:
    assert secure_broker.credentials
    assert secure_broker.secure_address
    options = login(secure_broker.credentials, mechanism)
    topic = f"{prefix}{mechanism}"
    asyncio.run(produced(secure_broker.secure_address, topic, VALUES, **options))
    assert asyncio.run(consumed(secure_broker.secure_address, topic, len(VALUES), **options)) == VALUES


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_wrong_password_is_refused(secure_broker: Broker, prefix: str, mechanism: str) -> None:
    right = secure_broker.credentials
    assert right
    refused(secure_broker, prefix, login(right, mechanism, sasl_plain_password=right.wrong_password))


def test_a_client_without_a_certificate_is_refused(secure_broker: Broker, prefix: str) -> None:
    right = secure_broker.credentials
    assert right
    refused(secure_broker, prefix, login(right, ssl_context=trusting(right, certificate=None)))


def test_a_certificate_of_another_authority_is_refused(secure_broker: Broker, prefix: str) -> None:
    right = secure_broker.credentials
    assert right
    context = trusting(right, certificate=(right.other_cert_file, right.other_key_file))
    refused(secure_broker, prefix, login(right, ssl_context=context))


def test_a_client_with_another_authority_does_not_trust_the_broker(secure_broker: Broker, prefix: str) -> None:
    right = secure_broker.credentials
    assert right
    context = trusting(right, certificate=(right.cert_file, right.key_file), ca=right.other_ca_file)
    refused(secure_broker, prefix, login(right, ssl_context=context))


def test_a_client_without_encryption_is_refused(secure_broker: Broker, prefix: str) -> None:
    refused(secure_broker, prefix, {"request_timeout_ms": 3000})


def refused(broker: Broker, prefix: str, options: dict[str, Any]) -> None:
    assert broker.secure_address
    with warnings.catch_warnings():
        # aiokafka leaves the sockets of a connection that was refused to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(KafkaError):
            asyncio.run(produced(broker.secure_address, f"{prefix}none", VALUES, **options))
        gc.collect()


def test_the_foreground_broker_says_where_it_is_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.kafka.broker", "serve", "--secure", f"--port={port}"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment) as serving:
        try:
            assert serving.stdout
            assert f"127.0.0.1:{port}; Ctrl-C" in serving.stdout.readline()
            assert "user forewarn, password" in serving.stdout.readline()
            taken = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert (taken.returncode, taken.stderr.count("\n")) == (1, 1)
            assert f"error: something listens at 127.0.0.1:{port} already" in taken.stderr
            serving.send_signal(signal.SIGINT)
            assert serving.wait(GONE_S) == 0
        finally:
            serving.kill()
    assert list(tmp_path.iterdir()) == []

"""What a container's health check asks: can Kafka be reached, and does it know of a member at this address."""

import asyncio
import os
import subprocess
import sys

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]  # aiokafka comes without types
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # as above

from streams.kafka.healthy import healthy
from streams.settings import Settings, load_settings
from tests.kafka.broker import Broker, free_ports


def settings(broker: Broker, prefix: str) -> Settings:
    return load_settings({"FOREWARN_KAFKA": broker.address, "FOREWARN_KAFKA_PREFIX": prefix})


def test_a_reachable_broker_is_enough_where_no_group_is_asked_for(broker: Broker, prefix: str) -> None:
    assert asyncio.run(healthy(settings(broker, prefix), None)) is None


def test_a_group_is_healthy_while_a_member_of_ours_is_in_it(broker: Broker, prefix: str) -> None:
    async def look() -> tuple[str | None, str | None, str | None]:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
        await admin.start()
        await admin.create_topics([NewTopic(f"{prefix}usage", num_partitions=1, replication_factor=1)])
        await admin.close()
        before = await healthy(settings(broker, prefix), "forewarn")
        member = AIOKafkaConsumer(f"{prefix}usage", bootstrap_servers=broker.address, group_id=f"{prefix}forewarn")
        await member.start()
        during = await healthy(settings(broker, prefix), "forewarn")
        await member.stop()
        return before, during, await healthy(settings(broker, prefix), "forewarn")

    before, during, after = asyncio.run(look())
    assert during is None
    assert before == after == f"no member of the group {prefix}forewarn is at 127.0.0.1"


def test_a_broker_that_is_not_there_is_said_in_one_line() -> None:
    environment = {**os.environ, "FOREWARN_KAFKA": f"127.0.0.1:{free_ports(1)[0]}"}
    command = [sys.executable, "-m", "streams.kafka.healthy", "forewarn"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert asked.returncode == 1
    assert asked.stderr.count("\n") == 1
    assert environment["FOREWARN_KAFKA"] in asked.stderr

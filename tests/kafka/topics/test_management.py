"""Topics against a real broker: made once, checked for each way of being wrong, described as they are."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # aiokafka comes without types
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # as above
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]  # as above

from streams.core.contracts.events import BROADCASTS, INPUTS
from streams.core.contracts.outputs import OUTPUTS
from streams.core.times import DAY_MS
from streams.kafka.client.admin import settings_of
from streams.kafka.client.connection import ConnectionSettings
from streams.kafka.client.partitioning import partition_of
from streams.kafka.topics import management as topics
from streams.kafka.topics.management import BlockingProblem
from streams.kafka.topics.specs import BROADCAST, topic_specs
from streams.shared.errors import SettingsError
from tests.contracts.catalogue import topic_file
from tests.kafka.broker import Broker
from tests.kafka.workers import read_topic, until

T = TypeVar("T")

NOW_MS = int(time.time() * 1000)


def done(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def wire_of(broker: Broker) -> ConnectionSettings:
    return ConnectionSettings(brokers=broker.address)


async def changed(broker: Broker, topic: str, **settings: str) -> None:
    """Set a topic's settings and wait until they show; those that are not named fall back to the broker's."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    try:
        configs = {name.replace("_", "."): value for name, value in settings.items()}
        (response,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
        assert [code for code, *_ in response.resources] == [0]
        async with asyncio.timeout(30.0):
            while True:
                if configs.items() <= (await settings_of(admin, [topic]))[topic].items():
                    break
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def made(broker: Broker, topic: str, partitions: int, **settings: str) -> None:
    """Make one topic by hand."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    try:
        configs = {name.replace("_", "."): value for name, value in settings.items()}
        response = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
        assert [code for _, code, _ in response.topic_errors] == [0]
    finally:
        await admin.close()


async def revised(broker: Broker, topic: str) -> None:
    """Send three versions of one record, each dated a month later: Kafka begins a new segment with each."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)
    await producer.start()
    try:
        for months, value in ((3, b"1"), (2, b"2"), (1, b"3")):
            await producer.send_and_wait(topic, value, key=b"k", timestamp_ms=NOW_MS - months * 30 * DAY_MS)
    finally:
        await producer.stop()


async def sent(broker: Broker, topic: str, *records: tuple[bytes | None, bytes | None, int]) -> None:
    """Send records of (key, value, partition) wherever they are told to go."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)
    await producer.start()
    try:
        for key, value, partition in records:
            await producer.send_and_wait(topic, value, key=key, partition=partition)
    finally:
        await producer.stop()


def test_the_declared_topics_are_those_of_the_contracts_and_our_own() -> None:
    specs = {spec.name: spec for spec in topic_specs("app")}
    assert set(specs) == {*INPUTS, *BROADCASTS, *OUTPUTS, *BROADCAST, "app-state", "app-trainer-state"}
    assert {name for name, spec in specs.items() if spec.partitions} == {
        *BROADCASTS,
        *BROADCAST,
        "examples",
        "app-trainer-state",
    }
    assert {name for name, spec in specs.items() if spec.keyed} == {*INPUTS, "app-state"}
    for topic in (*INPUTS, *OUTPUTS):
        declared = topic_file(topic)
        configs = specs[topic].configs(3)
        assert configs["cleanup.policy"] == declared["cleanup"]
        assert configs["retention.ms"] == str(declared["retention_ms"])
        assert configs["max.message.bytes"] == str(declared["max_message_bytes"])
        assert configs["compression.type"] == declared["compression"]
        assert configs["min.insync.replicas"] == "2"
        assert configs.get("min.compaction.lag.ms") == (str(7 * DAY_MS) if declared["cleanup"] == "compact" else None)


# The values of `Utils.murmur2` for these keys are those of Kafka's own Java tests.
@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)
@pytest.mark.parametrize("partitions", [1, 4, 7, 64])
def test_a_key_has_the_partition_that_the_java_client_gives_it(key: bytes, hashed: int, partitions: int) -> None:
    assert partition_of(key, partitions) == (hashed & 0x7FFFFFFF) % partitions


def test_aiokafkas_own_partitioner_agrees() -> None:
    from aiokafka.partitioner import DefaultPartitioner  # type: ignore[import-untyped]  # as above

    choose = DefaultPartitioner()
    for number in range(200):
        key = f"s_{number:032x}".encode()
        assert choose(key, list(range(12)), list(range(12))) == partition_of(key, 12)


def test_all_topics_are_made_once_and_then_found_good(broker: Broker, prefix: str) -> None:
    first = done(topics.create(wire_of(broker), prefix, 3, 1))
    assert {created.outcome for created in first} == {"created"}
    again = done(topics.create(wire_of(broker), prefix, 5, 1))
    assert {created.outcome for created in again} == {"exists"}
    partitions = {created.topic.removeprefix(prefix): created.partitions for created in again}
    assert partitions == {spec.name: spec.partitions or 3 for spec in topic_specs()}
    assert done(topics.check(wire_of(broker), prefix)) == []


def test_what_is_described_is_what_was_made(broker: Broker, prefix: str) -> None:
    done(topics.create(wire_of(broker), prefix, 2, 1, application="other"))
    done(sent(broker, f"{prefix}usage", (b"a", b"{}", 0), (b"b", b"{}", 1), (b"c", b"{}", 1)))
    states = {state.topic: state for state in done(topics.describe(wire_of(broker), prefix, application="other"))}
    assert list(states)[:2] == [f"{prefix}call-drops", f"{prefix}usage"]
    usage, changelog = states[f"{prefix}usage"], states[f"{prefix}other-state"]
    assert (usage.partitions, usage.replication, usage.leaderless, usage.records) == (2, 1, 0, 3)
    assert usage.settings["retention.ms"] == str(180 * 86_400_000)
    assert (changelog.settings["cleanup.policy"], changelog.settings["retention.ms"]) == ("compact", "-1")
    assert done(topics.describe(wire_of(broker), f"{prefix}nothing.")) == []


def test_each_way_of_being_wrong_is_one_line_that_says_what_it_should_be(broker: Broker, prefix: str) -> None:
    done(made(broker, f"{prefix}top-ups", 5, **{"retention.ms": str(180 * 86_400_000)}))
    done(topics.create(wire_of(broker), prefix, 3, 1))
    done(changed(broker, f"{prefix}usage", cleanup_policy="compact", retention_ms=str(180 * 86_400_000)))
    done(changed(broker, f"{prefix}outcomes", cleanup_policy="delete", retention_ms="1000000"))
    done(changed(broker, f"{prefix}forewarn-state", cleanup_policy="compact,delete", retention_ms="604800000"))
    done(changed(broker, f"{prefix}subscribers", cleanup_policy="compact", retention_ms="-1"))
    done(changed(broker, f"{prefix}alerts", retention_ms="34560000000", min_insync_replicas="2"))
    problems = done(topics.check(wire_of(broker), prefix))
    assert [one.topic for one in problems if isinstance(one, BlockingProblem)] == [f"{prefix}top-ups"]
    lines = [problem.words().removeprefix(prefix) for problem in problems]
    assert sorted(lines) == [
        "alerts: min.insync.replicas is 2 and should be 1, since with 1 replicas nothing can be written",
        "forewarn-state: cleanup.policy is compact,delete and should be compact",
        "forewarn-state: max.message.bytes is 1048588 and should be 8388704 or more",
        "forewarn-state: retention.ms is 604800000 and should be -1",
        "outcomes: retention.ms is 1000000 and should be 34560000000",
        "subscribers: message.timestamp.type is CreateTime and should be LogAppendTime",
        "subscribers: min.compaction.lag.ms is 0 and should be 604800000",
        "top-ups: number of partitions is 5 and should be 3, as of the other topics with its key",
        "usage: cleanup.policy is compact and should be delete",
    ]


def test_old_versions_of_a_profile_outlive_the_cleaner_until_a_backlog_is_worked_off(
    broker: Broker, prefix: str
) -> None:
    """A file of last year is as old as its records: without the setting nobody would ever see who somebody was."""

    def values(topic: str) -> list[bytes]:
        return [record.value for record in done(read_topic(broker.address, topic))]

    def wait_for_the_cleaner(number: int) -> None:
        control = f"{prefix}control-{number}"
        done(made(broker, control, 1, cleanup_policy="compact"))
        done(revised(broker, control))
        until(lambda: len(values(control)) < 3, 90.0, lambda: "the cleaner has not come")

    done(topics.create(wire_of(broker), prefix, 1, 1))
    for topic in ("subscribers", "market-events"):
        done(revised(broker, prefix + topic))
    wait_for_the_cleaner(1)
    wait_for_the_cleaner(2)  # It may have been in the middle of its round the first time.
    assert [values(prefix + topic) for topic in ("subscribers", "market-events")] == [[b"1", b"2", b"3"]] * 2


def test_missing_topics_are_named_each(broker: Broker, prefix: str) -> None:
    problems = done(topics.check(wire_of(broker), prefix))
    assert {problem.topic.removeprefix(prefix) for problem in problems} == {spec.name for spec in topic_specs()}
    assert all(isinstance(problem, BlockingProblem) for problem in problems)
    assert problems[0].words() == f"{prefix}call-drops: it is missing and should be there"


def test_a_producer_without_murmur2_or_with_another_key_is_found_out(broker: Broker, prefix: str) -> None:
    done(topics.create(wire_of(broker), prefix, 4, 1))
    ids = [f"s_{number:032x}" for number in range(40)]
    right = [(one.encode(), f'{{"subscriber_id":"{one}"}}'.encode(), partition_of(one.encode(), 4)) for one in ids]
    done(sent(broker, f"{prefix}usage", *right, (None, b"not JSON", 0), (ids[0].encode(), None, right[0][2])))
    assert done(topics.check(wire_of(broker), prefix)) == []

    done(sent(broker, f"{prefix}outcomes", *((key, value, (place + 1) % 4) for key, value, place in right)))
    done(sent(broker, f"{prefix}complaints", *((b"k", value, partition_of(b"k", 4)) for _, value, _ in right)))
    words = [problem.words() for problem in done(topics.check(wire_of(broker), prefix))]
    assert len(words) == 2
    assert "complaints: number of records whose key is not their subscriber_id is 40 of 40" in words[0]
    assert "outcomes: number of records in another partition than murmur2 says is 40 of 40" in words[1]
    assert "murmur2_random" in words[1]


def test_too_many_replicas_are_refused_with_the_option_that_asked_for_them(broker: Broker, prefix: str) -> None:
    with pytest.raises(SettingsError, match=r"does not make topic .*call-drops.*--replication can be the number"):
        done(topics.create(wire_of(broker), prefix, 3, 3))

"""Models and policies on a real broker: read whole at the start, followed live, refused where they cannot be used."""

import asyncio
from pathlib import Path

import pytest

from streams.core.scoring.features import FEATURE_TABLE
from streams.core.times import DAY_MS
from streams.engine.in_force import MODELS, POLICIES, ContextTimeline, policy_message
from streams.kafka.client.connection import ConnectionSettings
from streams.kafka.topics.broadcast import BroadcastReader, publish
from streams.shared.errors import InputError, SettingsError
from tests.cli.calling import call
from tests.kafka.broker import Broker, free_ports
from tests.kafka.learners import TRAINER
from tests.kafka.worker.test_in_force import COLD, another_policy, body, version
from tests.kafka.workers import SentRecord, Worker, prepare, read_topic, send, wait_until_applied


def published(broker: Broker, prefix: str, topic: str, *records: tuple[bytes, bytes | None]) -> None:
    asyncio.run(publish(ConnectionSettings(brokers=broker.address), prefix + topic, records))


def test_a_running_worker_takes_a_good_version_refuses_broken_ones_and_a_later_worker_does_the_same(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    good = version(1, 0, intercept=0.5)
    altered = body(version(2, 0)).replace(b"-1.0", b"-9.0", 1)
    foreign = body(version(3, 0, table="features-00000000"))
    asyncio.run(prepare(broker.address, prefix))
    with Worker(broker.address, prefix, tmp_path, name="first") as first:
        first.wait_for("partition 3 restored")
        assert f"the newest versions are {COLD.scorer.version} and {COLD.policy.version}" in first.words
        published(broker, prefix, MODELS, (good.served_as.encode(), body(good)), (b"2", altered), (b"3", foreign))
        published(broker, prefix, MODELS, (b"4", b"{"))
        published(broker, prefix, POLICIES, (b"policy-0", b'{"version":"policy-0","policy":{}}'))
        first.wait_for("policies at offset 0 refused, what serves stays: the policy cannot be used")
        first.wait_for("models at offset 3 refused, what serves stays: no model version")
        asyncio.run(send(broker.address, prefix, fed))
        left = wait_until_applied(broker.address, prefix, len(fed))
        lines = [line for line in first.words.splitlines() if line.startswith("models")]
        assert first.stop() == 0, first.words
    assert lines[0] == f"models: {good.served_as} taken"
    assert "at offset 1 refused, what serves stays: champion version 2 was changed after" in lines[1]
    assert "at offset 2 refused, what serves stays: champion version 3 was learned on features-0" in lines[2]
    assert {alert["model_version"] for alert in left.alerts} == {good.served_as}
    assert {alert["policy_version"] for alert in left.alerts} == {COLD.policy.version}
    with Worker(broker.address, prefix, tmp_path, name="second") as second:
        second.wait_for(f"the newest versions are {good.served_as} and {COLD.policy.version}")
        assert second.words.count("refused") == 4
        published(broker, prefix, MODELS, (good.served_as.encode(), None))
        second.wait_for(f"models: {good.served_as} withdrawn")


def test_old_versions_that_a_new_feature_table_left_behind_are_one_line_for_workers_and_trainers(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    old = [version(number, number * DAY_MS, table="features-00000000") for number in range(1, 8)]
    asyncio.run(prepare(broker.address, prefix))
    published(broker, prefix, MODELS, *((one.served_as.encode(), body(one)) for one in old), (b"8", b"{"))
    for name, script in (("worker", None), ("trainer", TRAINER)):
        with Worker(broker.address, prefix, tmp_path, name=name, script=script) as started:
            started.wait_for("partition 0 restored")
            refused = [line for line in started.words.splitlines() if "refused" in line]
        one_by_one, together = refused
        assert one_by_one == "models at offset 7 refused, what serves stays: no model version: Input data was truncated"
        assert together == (
            f"models refused, what serves stays: 7 versions, {old[0].served_as} of 1970-01-02 to {old[-1].served_as} "
            f"of 1970-01-08: learned on features-00000000, this program computes {FEATURE_TABLE}"
        )


def test_what_was_published_by_the_command_is_read_back_and_followed(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "cautious.toml"
    file.write_text("[policy.scoring]\nquiet_below = 0.01\n", "utf-8")
    where = ("--kafka", broker.address, "--prefix", prefix)
    asyncio.run(prepare(broker.address, prefix))
    answer = call("policy", "publish", file, "--from", "2024-06-01", "--json", *where)
    assert answer.exit_code == 0, answer.output
    expected = another_policy(0.01)
    (record,) = asyncio.run(read_topic(broker.address, prefix + POLICIES))
    assert record.key == expected.version.encode()
    assert expected.version in answer.stdout
    said: list[str] = []
    broadcast = BroadcastReader(ConnectionSettings(brokers=broker.address), prefix, ContextTimeline(COLD), said.append)
    later = another_policy(0.02)

    async def read_and_follow() -> None:
        await broadcast.read()
        following = asyncio.create_task(broadcast.follow())
        topic = prefix + POLICIES
        await publish(
            ConnectionSettings(brokers=broker.address), topic, [(later.version.encode(), policy_message(later, None))]
        )
        async with asyncio.timeout(20.0):
            while broadcast.serving.newest_context().policy != later:  # noqa: ASYNC110 - a worker is told as little
                await asyncio.sleep(0.05)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    assert broadcast.serving.newest_context().policy == COLD.policy
    asyncio.run(read_and_follow())
    begins_ms = 1_717_200_000_000
    assert said == [f"policies: {later.version} taken"]
    assert broadcast.serving.at(begins_ms)[0].policy == later
    published(broker, prefix, POLICIES, (later.version.encode(), None))
    asyncio.run(broadcast.read())
    policies = [broadcast.serving.at(at_ms)[0].policy for at_ms in (begins_ms - 1, begins_ms)]
    assert policies == [COLD.policy, expected]


def test_a_bad_policy_file_is_refused_before_anything_is_published(broker: Broker, prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[policy.scoring]\nquiet_below = 7\n", "utf-8")
    asyncio.run(prepare(broker.address, prefix))
    answer = call("policy", "publish", file, "--kafka", broker.address, "--prefix", prefix)
    assert answer.exit_code == 2
    assert "quiet_below" in answer.stderr
    assert asyncio.run(read_topic(broker.address, prefix + POLICIES)) == []


def test_a_topic_that_is_missing_is_named(broker: Broker, prefix: str) -> None:
    with pytest.raises(SettingsError, match=r"policies is missing; forewarn topics create"):
        published(broker, prefix, POLICIES, (b"policy-0", b"{}"))


def test_brokers_that_cannot_be_reached_are_an_error_and_nothing_serves() -> None:
    nowhere = BroadcastReader(
        ConnectionSettings(brokers=f"127.0.0.1:{free_ports(1)[0]}"), "", ContextTimeline(COLD), print
    )
    with pytest.raises(InputError, match="models, policies and market-events cannot be read"):
        asyncio.run(nowhere.read())

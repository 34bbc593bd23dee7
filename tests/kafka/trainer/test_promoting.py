"""Promotions on a real broker: written by the command, taken by whoever serves, and undone."""

import asyncio
from pathlib import Path

from streams.engine.in_force import MODELS, ContextTimeline
from streams.kafka.client.connection import ConnectionSettings
from streams.kafka.topics.broadcast import BroadcastReader, publish
from tests.cli.calling import call, lines
from tests.kafka.broker import Broker, free_ports
from tests.kafka.worker.test_in_force import COLD, body, of_line, served_at, version
from tests.kafka.workers import prepare

DATED_MS = 1_717_200_000_000


def test_a_promotion_on_kafka_serves_from_its_time_and_a_rollback_undoes_it(broker: Broker, prefix: str) -> None:
    champion, challenger = version(1, 100), of_line("hazard", version(1, 100, intercept=-2.0))
    where = ("--kafka", broker.address, "--prefix", prefix)
    cluster = ConnectionSettings(brokers=broker.address)
    asyncio.run(prepare(broker.address, prefix))
    assert "no model version was published yet" in call("model", "promote", "hazard", *where).stderr
    records = [(one.served_as.encode(), body(one)) for one in (champion, challenger)]
    asyncio.run(publish(cluster, prefix + MODELS, records))
    (made,) = lines(call("model", "promote", "hazard", "--from", "2024-06-01", "--json", *where))
    assert (made["from"], made["to"], made["at"]) == ("champion", "hazard", "2024-06-01T00:00:00.000Z")
    listed = lines(call("model", "list", "--json", *where))
    assert [(row["version"], row["serves"]) for row in listed] == [
        (champion.served_as, False), (challenger.served_as, True),
    ]  # fmt: skip
    said: list[str] = []
    broadcast = BroadcastReader(cluster, prefix, ContextTimeline(COLD), said.append)
    asyncio.run(broadcast.read())
    assert [served_at(broadcast.serving, at_ms) for at_ms in (DATED_MS - 1, DATED_MS)] == [
        champion.served_as, challenger.served_as,
    ]  # fmt: skip
    (back,) = lines(call("model", "rollback", "--json", *where))
    assert (back["from"], back["to"]) == ("hazard", "champion")
    asyncio.run(broadcast.read())
    assert broadcast.serving.newest_context().scorer.version == champion.served_as
    assert served_at(broadcast.serving, DATED_MS) == challenger.served_as
    assert said == []


def test_topics_that_are_missing_or_out_of_reach_are_named(broker: Broker, prefix: str, tmp_path: Path) -> None:
    missing = call("model", "list", "--kafka", broker.address, "--prefix", prefix)
    assert (missing.exit_code, f"topic {prefix}models is missing" in missing.stderr) == (2, True)
    away = call("model", "list", "--kafka", f"127.0.0.1:{free_ports(1)[0]}", env={"HOME": str(tmp_path)})
    assert away.exit_code == 2

"""Notifiers on a real broker: every alert once, whatever is killed or read again; and outcomes on their way out."""

import asyncio
import random
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaConsumer,
    AIOKafkaProducer,
)
from sqlalchemy import delete, func, select

from streams.app.healthcheck import why_unready
from streams.core.contracts.effects import AlertChange, AlertChanged, DeadLetter
from streams.core.contracts.encode import output_record
from streams.core.notify.contact import ContactRules
from streams.core.notify.endpoints import Endpoint
from streams.core.times import HOUR_MS
from streams.kafka.notifier.alert_records import read_alert
from streams.kafka.notifier.database_progress import with_deadline
from streams.kafka.topics.specs import APPLICATION, notifiers_of
from streams.sink.inbound.outcomes import reports
from streams.store.base.connections import open_engine, url_of
from streams.store.outbox import tables as sink_tables
from streams.store.run import tables
from streams.store.sink import Sink
from tests.kafka.broker import Broker
from tests.kafka.workers import PARTITIONS, Raw, SupervisedWorker, Worker, prepare, read_topic, until
from tests.postgres.databases import KINDS, fresh
from tests.sink.alerts_told import BEGAN_MS, told

NOTIFIER = "import sys; sys.argv[:2] = ['forewarn', 'notifier']; from streams.cli import main; main()"
"""In the place of a worker's script: the same options, another command."""
STORY: tuple[AlertChange, ...] = ("opened", "fired", "worsened", "eased", "resolved")
KILLS = 12


def story(number: int) -> list[AlertChanged]:
    """Return all that happens to one alert."""
    return [told(number, change, BEGAN_MS + hour * HOUR_MS) for hour, change in enumerate(STORY)]


def in_order(count: int) -> list[AlertChanged]:
    """Return the transitions of many alerts by their time."""
    return sorted((one for number in range(count) for one in story(number)), key=lambda one: one.at_ms)


async def write(address: str, prefix: str, changes: Sequence[AlertChanged], *more: tuple[bytes, bytes | None]) -> None:
    """Write transitions as workers do, and then other records."""
    records = [(one.key, one.value) for one in map(output_record, changes)]
    producer = AIOKafkaProducer(bootstrap_servers=address, linger_ms=5)
    await producer.start()
    try:
        sent = [await producer.send(f"{prefix}alerts", value, key=key) for key, value in [*records, *more]]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def database(folder: Path) -> str:
    """Return a database of SQLite with two endpoints."""
    return prepared(str(folder / "sink.db"))


def prepared(place: str) -> str:
    with Sink.open(place) as sink:
        for name in ("crm", "log"):
            sink.add_endpoint(Endpoint(name=name, preset="standard", url="https://crm.example"), None, 0)
    return place


def counted(place: str) -> dict[str, int]:
    """Return how many rows each table has."""
    engine = open_engine(url_of(place), create=False)
    names = (tables.alerts, tables.transitions, sink_tables.messages, sink_tables.deliveries)
    try:
        with engine.connect() as connection:
            return {one.name: connection.scalar(select(func.count()).select_from(one)) or 0 for one in names}
    finally:
        engine.dispose()


def forget_positions(place: str) -> None:
    engine = open_engine(url_of(place), create=False)
    with engine.begin() as connection:
        connection.execute(delete(sink_tables.consumed))
    engine.dispose()


def notifier(broker: Broker, prefix: str, folder: Path, place: str, *options: str, name: str = "n") -> Worker:
    return Worker(broker.address, prefix, folder, script=NOTIFIER, name=name, options=["--db", place, *options])


def wait_until_written(place: str, count: int, timeout_s: float = 60.0) -> None:
    until(lambda: counted(place)["transitions"] >= count, timeout_s, lambda: str(counted(place)))


def test_a_record_is_read_as_the_transition_that_it_was_made_of() -> None:
    for one in story(7):
        assert read_alert(Raw(3, 0, b"k", output_record(one).value), 2) == one


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"{", "not_json"),
        (b"{}", "missing_field"),
        (b" " * 2_000_000, "too_large"),
        (b"[]", "wrong_type"),
    ],
)
def test_a_record_that_is_no_alert_is_a_dead_letter_that_says_where_it_stood(value: bytes | None, reason: str) -> None:
    letter = read_alert(Raw(3, 0, b"k", value, (("redrives", b"2"),)), 5)
    assert isinstance(letter, DeadLetter)
    assert (letter.topic, letter.partition, letter.offset) == ("alerts", 5, 3)
    assert (letter.reason, letter.key, letter.redrives, letter.value) == (reason, b"k", 2, value or b"")


def test_a_topic_that_is_read_three_times_tells_nobody_anything_new(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    asyncio.run(prepare(broker.address, prefix))
    place, log = database(tmp_path), in_order(200)
    asyncio.run(write(broker.address, prefix, log))
    with notifier(broker, prefix, tmp_path, place) as first:
        wait_until_written(place, len(log))
        assert first.stop() == 0, first.words
    before = counted(place)
    assert before["alerts"] == 200
    assert before["messages"] == 200 * (len(STORY) - 1)
    for number in range(2):
        forget_positions(place)
        with notifier(broker, prefix, tmp_path, place, "--application", f"again{number}") as again:
            again.wait_for(" from 0")
            until(lambda: consumed(place) == len(log), 40.0, lambda: str(consumed(place)))
            assert again.stop() == 0, again.words
        assert counted(place) == before


def consumed(place: str) -> int:
    with Sink.open(place) as sink:
        return sum(sink.positions("alerts").values())


@pytest.mark.parametrize("kind", KINDS)
def test_notifiers_that_are_killed_again_and_again_write_every_alert_once(
    broker: Broker, prefix: str, tmp_path: Path, kind: str
) -> None:
    """Two at a time, killed at random moments while alerts keep coming; one seed decides when."""
    with fresh(kind) as place:
        kill_and_count(broker, prefix, tmp_path, prepared(place))


def kill_and_count(broker: Broker, prefix: str, tmp_path: Path, place: str) -> None:
    draw = random.Random(31)
    asyncio.run(prepare(broker.address, prefix))
    log = in_order(600)
    share = len(log) // KILLS + 1
    pair = [
        SupervisedWorker(broker.address, prefix, tmp_path, name=f"n{number}", script=NOTIFIER, options=["--db", place])
        for number in range(2)
    ]
    with pair[0], pair[1]:
        for number in range(KILLS):
            asyncio.run(write(broker.address, prefix, log[number * share : (number + 1) * share]))
            time.sleep(draw.uniform(0.2, 2.0))
            draw.choice(pair).restart()
        until(
            lambda: has_all(place, len(log), pair),
            90.0,
            lambda: f"{counted(place)} {[each.worker.words[-500:] for each in pair]}",
        )
    found = counted(place)
    assert (found["alerts"], found["transitions"]) == (600, len(log))
    assert found["messages"] == 600 * (len(STORY) - 1)
    assert found["deliveries"] == 2 * found["messages"]
    engine = open_engine(url_of(place), create=False)
    with engine.connect() as connection:
        states = {row.alert_id: row.state for row in connection.execute(select(tables.alerts))}
    engine.dispose()
    assert set(states.values()) == {"resolved"}


def has_all(place: str, count: int, pair: Sequence[SupervisedWorker]) -> bool:
    for each in pair:
        each.look_after()
    return counted(place)["transitions"] >= count


def test_a_record_that_is_no_alert_becomes_a_dead_letter_and_holds_nobody_up(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    asyncio.run(prepare(broker.address, prefix))
    place, log = database(tmp_path), in_order(3)
    asyncio.run(write(broker.address, prefix, log[:7], (b"k", b"{"), (b"k", None), (b"k", b"{}")))
    asyncio.run(write(broker.address, prefix, log[7:]))
    with notifier(broker, prefix, tmp_path, place) as one:
        wait_until_written(place, len(log))
        letters = until_letters(broker, prefix, 3)
        assert one.stop() == 0, one.words
    assert {letter["topic"] for letter in letters} == {"alerts"}
    assert sorted(letter["reason"] for letter in letters) == ["empty", "missing_field", "not_json"]


def until_letters(broker: Broker, prefix: str, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def are_there() -> bool:
        records = asyncio.run(read_topic(broker.address, f"{prefix}dead-letters"))
        found[:] = [msgspec.json.decode(record.value) for record in records]
        return len(found) >= count

    until(are_there, 40.0, lambda: str(found))
    return found


def test_a_flood_ends_it_and_a_database_of_another_topic_too(broker: Broker, prefix: str, tmp_path: Path) -> None:
    asyncio.run(prepare(broker.address, prefix))
    place = database(tmp_path)
    asyncio.run(write(broker.address, prefix, [], *[(b"k", b"{")] * 600))
    with notifier(broker, prefix, tmp_path, place) as flooded:
        assert flooded.process.wait(60) == 65, flooded.words
        assert flooded.words.splitlines()[-1].startswith("stopped: a flood of bad records in partition ")
    with Sink.open(place) as sink:
        sink.record([], ContactRules(), 0, {("alerts", 0): 10_000})
    with notifier(broker, prefix, tmp_path, place) as foreign:
        assert foreign.process.wait(60) == 70, foreign.words
        assert "the topic was made anew, or the database belongs to another one" in foreign.words


def test_work_that_is_cancelled_just_as_it_ends_is_cancelled_all_the_same() -> None:
    """Or what is told to stop would go on for ever, if it was told at the wrong moment."""

    async def cancelled_as_it_ends() -> bool:
        answer = asyncio.get_running_loop().create_future()
        asking = asyncio.ensure_future(with_deadline(answer, "nothing came"))
        await asyncio.sleep(0)
        answer.set_result(1)
        asking.cancel()
        await asyncio.wait([asking])
        return asking.cancelled()

    assert asyncio.run(cancelled_as_it_ends())


def test_outcomes_that_people_reported_are_published_and_it_says_that_it_is_ready(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    asyncio.run(prepare(broker.address, prefix))
    place = database(tmp_path)
    told_of = [
        one for number in range(3) for one in reports(f"i_{number}", told(number), "saved", None, at_ms=BEGAN_MS)
    ]
    with Sink.open(place) as sink:
        sink.report([(one.event_id, one.subscriber_id, one.body) for one in told_of], BEGAN_MS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with notifier(broker, prefix, tmp_path, place, "--health", str(port)) as one:
        until(
            lambda: published(broker, prefix) == {(r.subscriber_id.encode(), r.body) for r in told_of}, 40.0, lambda: ""
        )
        until(lambda: why_unready(str(port)) is None, 40.0, lambda: str(why_unready(str(port))))
        assert one.stop() == 0, one.words
    with Sink.open(place) as sink:
        assert sink.unsent_outcomes(10) == []


def published(broker: Broker, prefix: str) -> set[tuple[bytes, bytes]]:
    return {(one.key, one.value) for one in asyncio.run(read_topic(broker.address, f"{prefix}outcomes"))}


def test_a_spare_waits_and_takes_over_where_the_first_one_stood(broker: Broker, prefix: str, tmp_path: Path) -> None:
    asyncio.run(prepare(broker.address, prefix, 1))
    place, log = database(tmp_path), in_order(20)
    pair = [notifier(broker, prefix, tmp_path, place, name=name) for name in ("a", "b")]
    with pair[0], pair[1]:
        until(lambda: all("partitions of" in one.words for one in pair), 40.0, lambda: str([p.words for p in pair]))
        asyncio.run(write(broker.address, prefix, log[:50]))
        wait_until_written(place, 50)
        holding = max(pair, key=lambda one: one.words.rfind(": 0 from"))
        holding.kill()
        asyncio.run(write(broker.address, prefix, log[50:]))
        until(lambda: consumed(place) == len(log), 40.0, lambda: str(consumed(place)))
    assert counted(place)["transitions"] == len(log)


async def wait_for(is_so: Callable[[], bool]) -> None:
    """Wait as `until` does, and let the loop go round meanwhile."""
    await asyncio.to_thread(until, is_so, 60.0, lambda: "it has not come")


async def replace(before: Any, begin: Callable[[], Worker], is_all_in: Callable[[], bool]) -> int:
    """Have a notifier of before stand in the group until a new one has its share; return how the new one ends."""
    await before.start()
    await wait_for(lambda: len(before.assignment()) == PARTITIONS)
    await before.commit(dict.fromkeys(before.assignment(), 10_000))
    with begin() as ours:
        await wait_for(lambda: len(before.assignment()) == PARTITIONS // 2)
        await before.stop()
        await wait_for(is_all_in)
        return await asyncio.to_thread(ours.stop)


def test_a_new_one_joins_a_notifier_of_before_and_goes_on_where_the_database_stands(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Those of before assign partitions in turns, and what they have committed only shows how far they were."""
    asyncio.run(prepare(broker.address, prefix))
    place, log = database(tmp_path), in_order(50)
    with Sink.open(place) as sink:
        sink.record([], ContactRules(), 0, {("alerts", partition): 1 for partition in range(PARTITIONS)})
    asyncio.run(write(broker.address, prefix, log))

    async def run() -> int:
        group = prefix + notifiers_of(APPLICATION)
        before = AIOKafkaConsumer(f"{prefix}alerts", bootstrap_servers=broker.address, group_id=group)
        begin = partial(notifier, broker, prefix, tmp_path, place)
        return await replace(before, begin, lambda: consumed(place) == len(log))

    assert asyncio.run(run()) == 0
    assert counted(place)["transitions"] == len(log) - PARTITIONS


def test_without_its_topics_or_its_database_one_line_says_so(broker: Broker, prefix: str, tmp_path: Path) -> None:
    with notifier(broker, prefix, tmp_path, str(tmp_path / "x.db")) as bare:
        assert bare.process.wait(60) == 2
        assert "forewarn topics create" in bare.words
    asyncio.run(prepare(broker.address, prefix))
    with notifier(broker, prefix, tmp_path, str(tmp_path / "nowhere" / "x.db")) as lost:
        assert lost.process.wait(60) == 4
        assert "there is no folder" in lost.words

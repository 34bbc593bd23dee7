"""Records that could not be used: what is known of them, and that each is sent again exactly once if that is asked."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.core.contracts.decode import VALUE_BYTES_MAX
from streams.kafka.client.partitioning import partition_of
from tests.cli.calling import call, error_line, lines
from tests.kafka.broker import Broker
from tests.kafka.worker.test_protections import RUN
from tests.kafka.workers import (
    PARTITIONS,
    SentRecord,
    Worker,
    facts_of,
    folded,
    prepare,
    read_topic,
    send,
    states_of,
    until,
    wait_until_applied,
)

REFUSES_NEWER_TOP_UPS = """
import re
from streams.kafka.worker import source_queues
decode, newer = source_queues.decode_value, re.compile(b'"event_time":"2024-02-2[6-9]')
def of_an_older_release(topic, partition, offset, value, received_ms):
    if topic == "top-ups" and newer.search(value):
        return source_queues.DeadLetter(topic, partition, offset, "unknown_field", "", value)
    return decode(topic, partition, offset, value, received_ms)
source_queues.decode_value = of_an_older_release
"""
DIES_IN_THE_THIRD_TRANSACTION = """
import os
from streams.kafka.topics import dead_letters
dead_letters.BATCH_LETTERS = 2
send, sent = dead_letters._Redriver._send, []
async def until_it_dies(self, producer, one, futures):
    await send(self, producer, one, futures)
    sent.append(one)
    if len(sent) == 6:
        await dead_letters.asyncio.gather(*futures)
        os._exit(9)
dead_letters._Redriver._send = until_it_dies
"""
WAITS_IN_ITS_TRANSACTION = """
import pathlib, sys
from streams.kafka.topics import dead_letters
send, go = dead_letters._Redriver._send, pathlib.Path(sys.argv.pop())
async def when_it_is_told_to(self, producer, one, futures):
    await send(self, producer, one, futures)
    go.with_suffix(".begun").touch()
    while not go.exists():
        await dead_letters.asyncio.sleep(0.05)
dead_letters._Redriver._send = when_it_is_told_to
"""
KEY = b"s_" + b"0" * 32


def bad(number: int) -> SentRecord:
    """Return a record that no release takes."""
    return SentRecord("usage", KEY, b'{"subscriber_id":"%s","number":%d}' % (KEY, number))


def ask(broker: Broker, prefix: str, *words: str) -> list[dict[str, Any]]:
    """Give a command about dead letters, and return what it answers."""
    return lines(call("dead-letters", *words, "--kafka", broker.address, "--prefix", prefix, "--json"))


def letters_of(broker: Broker, prefix: str, count: int, *words: str) -> list[dict[str, Any]]:
    """Wait until so many letters are listed, and return them."""
    found: list[dict[str, Any]] = []

    def is_so() -> bool:
        found[:] = ask(broker, prefix, "list", *words)
        return len(found) >= count

    until(is_so, 30.0, lambda: str(found))
    return found


def sent_again(broker: Broker, prefix: str, topic: str) -> list[Any]:
    """Return the records of a topic that were sent again."""
    return [record for record in asyncio.run(read_topic(broker.address, prefix + topic)) if record.headers]


def test_what_an_older_release_refused_is_in_the_states_once_it_was_sent_again(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    records = [record for record in fed if record.key != b"unreadable"]
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, records))
    with Worker(broker.address, prefix, tmp_path, script=REFUSES_NEWER_TOP_UPS + RUN) as older:
        before = wait_until_applied(broker.address, prefix, len(records))
        assert older.stop() == 0, older.words
    count = before.counted["dead:unknown_field"]
    assert count > 20
    twice = [ask(broker, prefix, "redrive", "--reason", "unknown_field") for _ in range(2)]
    assert [answer["sent"] for (answer,) in twice] == [{"top-ups": count}, {}]
    with Worker(broker.address, prefix, tmp_path) as mended:
        after = wait_until_applied(broker.address, prefix, len(records) + count)
        assert mended.stop() == 0, mended.words
    facts = facts_of(states_of(asyncio.run(folded(broker.address, prefix))))
    assert facts_of(after.states) == facts
    assert facts_of(before.states) != facts


def test_a_record_that_stays_bad_counts_how_often_it_was_sent_again_until_it_is_left_out(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, [bad(1)]))
    with Worker(broker.address, prefix, tmp_path):
        for redrives in (0, 1, 2):
            (letter,) = letters_of(broker, prefix, 1)
            assert letter["redrives"] == redrives
            (answer,) = ask(broker, prefix, "redrive", "--max-redrives", "2")
            assert answer["sent"] == ({"usage": 1} if redrives < 2 else {})
        assert answer["refused"] == {"too_often": 1}
        assert [letter["redrives"] for letter in letters_of(broker, prefix, 3, "--all")] == [0, 1, 2]
    again = sent_again(broker, prefix, "usage")
    assert [dict(record.headers) for record in again] == [{"redrives": b"1"}, {"redrives": b"2"}]
    assert {(record.key, record.value) for record in again} == {(KEY, bad(1).value)}
    assert {record.partition for record in again} == {partition_of(KEY, PARTITIONS)}
    published = [record for record in asyncio.run(read_topic(broker.address, f"{prefix}dead-letters")) if record.value]
    for record in published:
        value, headers = msgspec.json.decode(record.value), dict(record.headers)
        place = {name: str(value[name]).encode() for name in ("topic", "partition", "offset", "reason")}
        assert headers.items() >= {**place, "key": KEY}.items()
    assert sorted(dict(record.headers)["redrives"] for record in published) == [b"0", b"1", b"2"]


def test_whoever_is_killed_while_sending_again_gives_the_command_again_and_nothing_is_doubled_or_left_out(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    records = [bad(number) for number in range(20)]
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, records))
    with Worker(broker.address, prefix, tmp_path) as worker:
        letters_of(broker, prefix, len(records))
        assert worker.stop() == 0
    words = ["dead-letters", "redrive", "--kafka", broker.address, "--prefix", prefix]
    killed = subprocess.run([sys.executable, "-c", DIES_IN_THE_THIRD_TRANSACTION + RUN, *words], check=False)
    assert killed.returncode == 9
    (answer,) = ask(broker, prefix, "redrive")
    assert answer["sent"] == {"usage": len(records) - 4}
    again = sent_again(broker, prefix, "usage")
    assert sorted(record.value for record in again) == sorted(record.value for record in records if record.value)
    assert ask(broker, prefix, "redrive")[0]["sent"] == {}


def test_of_two_who_send_again_at_the_same_time_the_first_is_ended_and_has_sent_nothing(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    records = [bad(number) for number in range(5)]
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, records))
    with Worker(broker.address, prefix, tmp_path) as worker:
        letters_of(broker, prefix, len(records))
        assert worker.stop() == 0
    go = tmp_path / "go"
    words = ["dead-letters", "redrive", "--kafka", broker.address, "--prefix", prefix, str(go)]
    command = [sys.executable, "-c", WAITS_IN_ITS_TRANSACTION + RUN, *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as first:
        until(lambda: go.with_suffix(".begun").exists(), 30.0, lambda: "it sends nothing")
        (answer,) = ask(broker, prefix, "redrive")
        go.touch()
        _, said = first.communicate(timeout=60)
    assert answer["sent"] == {"usage": len(records)}
    assert first.returncode == 3, said.decode()
    assert "takes no more records after 0 that were sent again: another process took the same work" in error_line(said)
    assert len(sent_again(broker, prefix, "usage")) == len(records)


def test_letters_are_chosen_by_reason_topic_and_time_and_a_dry_run_sends_none(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    others = [SentRecord("top-ups", KEY, b"{"), SentRecord("complaints", b"x", b"")]
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, [bad(1), bad(2), *others]))
    with Worker(broker.address, prefix, tmp_path) as worker:
        every = letters_of(broker, prefix, 4)
        assert worker.stop() == 0
    assert sorted(letter["reason"] for letter in every) == ["empty", "not_json", "unknown_field", "unknown_field"]
    assert all("value" not in letter and letter["detail"] for letter in every)

    def places(*words: str) -> set[tuple[str, int]]:
        return {(letter["topic"], letter["offset"]) for letter in ask(broker, prefix, "list", *words)}

    assert places("--reason", "not_json", "--reason", "empty") == {("top-ups", 0), ("complaints", 0)}
    assert places("--topic", "usage") == {("usage", 0), ("usage", 1)}
    assert places("--topic", "usage", "--reason", "empty") == set()
    written = max(letter["written_at"] for letter in every)
    assert 0 < len(places("--since", written)) <= len(every)
    assert places("--since", "2100-01-01") == set()
    assert len(ask(broker, prefix, "list", "--limit", "3")) == 3
    (planned,) = ask(broker, prefix, "redrive", "--dry-run", "--limit", "3")
    assert (sum(planned["sent"].values()), planned["dry_run"]) == (3, True)
    assert places() == {(letter["topic"], letter["offset"]) for letter in every}
    (sent,) = ask(broker, prefix, "redrive", "--topic", "usage", "--limit", "1")
    assert sent["sent"] == {"usage": 1}
    until(lambda: len(places("--topic", "usage")) == 1, 10.0, lambda: str(places()))
    shown = call("dead-letters", "list", "--all", "--kafka", broker.address, "--prefix", prefix)
    assert shown.exit_code == 0
    assert "(sent again)" in shown.stdout
    done = call("dead-letters", "redrive", "--kafka", broker.address, "--prefix", prefix, "--max-redrives", "1")
    assert done.exit_code == 0
    assert "3  (" in done.stdout


def test_the_largest_bad_record_is_a_dead_letter_and_not_the_end_of_its_partition(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    value = b"!" + os.urandom(VALUE_BYTES_MAX - 2048)
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(send(broker.address, prefix, [SentRecord("usage", KEY, value)]))
    with Worker(broker.address, prefix, tmp_path) as worker:
        (letter,) = letters_of(broker, prefix, 1)
        assert (letter["reason"], letter["size_bytes"]) == ("not_json", len(value))
        (answer,) = ask(broker, prefix, "redrive")
        assert answer["sent"] == {"usage": 1}
        left = wait_until_applied(broker.address, prefix, 2)
        assert len(left.dead) == 2
        assert worker.stop() == 0


@pytest.mark.parametrize("command", ["list", "redrive"])
def test_a_cluster_without_dead_letters_is_told_in_one_line(broker: Broker, prefix: str, command: str) -> None:
    refused = call("dead-letters", command, "--kafka", broker.address, "--prefix", prefix)
    assert refused.exit_code == 2
    assert f"there is no topic {prefix}dead-letters" in error_line(refused.stderr)
    assert refused.stdout == ""

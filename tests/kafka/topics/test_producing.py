"""`forewarn produce` against a real broker: every line arrives once, keyed, in order; what cannot be sent is named."""

import asyncio
import gzip
import json
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest
import zstandard
from aiokafka import ConsumerRecord, TopicPartition  # type: ignore[import-untyped]  # without types

from streams.core.contracts.events import INPUTS, MARKET
from streams.kafka.client.admin import admin_client, partitions_of, reader
from streams.kafka.client.batcher import Batches, RecordPlace
from streams.kafka.client.connection import ConnectionSettings, check_connection
from streams.kafka.client.partitioning import partition_of
from streams.kafka.topics.producing import FLUSH_MS
from tests.cli.calling import call, lines
from tests.kafka.broker import Broker
from tests.kafka.topics.test_management import done, made

NOW_S = int(time.time())


def top_up(number: int, at_s: int, subscriber: int = 1) -> str:
    """Return the line of a top-up that every contract takes."""
    example = json.loads(Path("schemas/examples/top-ups/v1/accepted/smallest.json").read_text("utf-8"))
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
    changed = {"event_id": f"t-{number}", "event_time": moment, "subscriber_id": f"s_{subscriber:032x}"}
    return json.dumps(example | changed, separators=(",", ":"))


async def _read(address: str, topics: list[str]) -> list[ConsumerRecord]:
    cluster = ConnectionSettings(brokers=address)
    async with admin_client(cluster) as admin:
        counts = {topic: len(parts) for topic, parts in (await partitions_of(admin)).items() if topic in topics}
    async with reader(cluster) as consumer:
        places = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        found: list[ConsumerRecord] = []
        async with asyncio.timeout(60.0):
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += records
        return found


def everything(broker: Broker, prefix: str, *topics: str) -> list[ConsumerRecord]:
    """Return all records of the input topics, or of those that are named."""
    return asyncio.run(_read(broker.address, [prefix + topic for topic in topics or INPUTS]))


def ready(broker: Broker, prefix: str, partitions: int = 4) -> list[str]:
    """Make the topics and return the options that lead there."""
    there = ["--kafka", broker.address, "--prefix", prefix]
    assert call("topics", "create", *there, "--partitions", str(partitions), "--json").exit_code == 0
    return there


def test_a_simulated_operator_arrives_whole_keyed_and_in_the_order_of_time(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    there = ready(broker, prefix)
    events = tmp_path / "events"
    start = time.strftime("%Y-%m-%d", time.gmtime(NOW_S - 60 * 86_400))
    simulated = ["--subscribers", "60", "--days", "50", "--malformed", "0.02", "--compression", "zst", "--start"]
    assert call("simulate", "--out", events, *simulated, start).exit_code == 0
    (sent,) = lines(call("produce", events, *there, "--keep-bad", "--json"))

    wanted, in_order = dict[str, list[bytes]](), dict[str, list[bytes]]()
    for topic in INPUTS:
        content = zstandard.ZstdDecompressor().decompressobj().decompress((events / f"{topic}.jsonl.zst").read_bytes())
        in_order[topic] = [line for line in content.split(b"\n") if line.strip()]
        wanted[topic] = sorted(in_order[topic])
    assert sent["records"].pop(MARKET) > 2
    assert sent["records"] == {topic: len(found) for topic, found in wanted.items() if found}
    records = everything(broker, prefix)
    for topic, found in wanted.items():
        assert sorted(record.value for record in records if record.topic == prefix + topic) == found
    without_key = [record for record in records if record.key is None]
    assert len(without_key) == sent["without_key"]
    assert 0 < sent["without_key"] <= sent["unusable"]
    for record in records:
        if record.key is not None:
            assert json.loads(record.value)["subscriber_id"].encode() == record.key
            assert record.partition == partition_of(record.key, 4)
    check = call("topics", "check", *there)
    assert (check.exit_code, check.stdout) == (0, "")

    # Within a partition the records stand as they stood in their file.
    for topic in INPUTS:
        of_partition: dict[int, list[bytes]] = defaultdict(list)
        for record in sorted(records, key=lambda record: int(record.offset)):
            if record.topic == prefix + topic and record.key is not None:
                of_partition[record.partition].append(record.value)
        for partition, values in of_partition.items():
            inside = set(values)
            assert values == [line for line in in_order[topic] if line in inside], (topic, partition)


def test_plain_gzip_and_zstd_files_and_standard_input_are_all_sent(broker: Broker, prefix: str, tmp_path: Path) -> None:
    there = ready(broker, prefix)
    all_lines = [top_up(number, NOW_S - 5000 + number, subscriber=number) for number in range(8)]
    (tmp_path / "a.jsonl").write_text("\n".join(all_lines[:2]) + "\n\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(all_lines[2:4]).encode()))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress("\n".join(all_lines[4:6]).encode()))
    files = [tmp_path / name for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst")]
    (sent,) = lines(call("produce", *files, "--topic", "top-ups", *there, "--json"))
    assert (sent["records"], sent["unusable"]) == ({"top-ups": 6}, 0)

    wrapped = "\n".join(f'{{"topic":"top-ups","value":{line}}}' for line in all_lines[6:])
    assert call("produce", "-", *there, text=wrapped).exit_code == 0
    records = everything(broker, prefix, "top-ups")
    assert sorted(record.value.decode() for record in records) == sorted(all_lines)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("not JSON", "has no subscriber_id that can be read (not_json)"),
        ('{"subscriber_id": 7}', "has no subscriber_id that can be read"),
        ('{"event_id": "x"}', "has no subscriber_id that can be read (missing_field)"),
    ],
)
def test_a_line_without_a_subscriber_is_named_by_file_and_number_and_what_was_sent_is_counted(
    broker: Broker, prefix: str, tmp_path: Path, line: str, says: str
) -> None:
    there = ready(broker, prefix)
    file = tmp_path / "top-ups.jsonl"
    file.write_text("\n".join([top_up(1, NOW_S - 50), top_up(2, NOW_S - 40), line, top_up(3, NOW_S - 30)]))
    result = call("produce", file, *there)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {file}:3 {says}")
    assert "--keep-bad sends such lines without a key" in result.stderr
    assert "the 2 records before it were sent" in result.stderr
    assert len(everything(broker, prefix, "top-ups")) == 2

    (sent,) = lines(call("produce", file, *there, "--keep-bad", "--json"))
    assert (sent["records"], sent["unusable"], sent["without_key"]) == ({"top-ups": 4}, 1, 1)
    bad = [record for record in everything(broker, prefix, "top-ups") if record.key is None]
    assert [record.value.decode() for record in bad] == [line]


def test_a_bad_line_that_says_whose_it_is_goes_where_that_subscriber_is(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    there = ready(broker, prefix)
    (tmp_path / "usage.jsonl").write_text('{"subscriber_id": "s_1", "minutes": "many"}\n')
    (sent,) = lines(call("produce", tmp_path, *there, "--json"))
    assert (sent["unusable"], sent["without_key"]) == (1, 0)
    (record,) = everything(broker, prefix, "usage")
    assert (record.key, record.partition) == (b"s_1", partition_of(b"s_1", 4))


def test_lines_that_no_option_can_save_are_refused(broker: Broker, prefix: str, tmp_path: Path) -> None:
    there = ready(broker, prefix)
    (tmp_path / "top-ups.jsonl").write_text('{"subscriber_id": "s_1", "note": "' + "x" * (1 << 20) + '"}\n')
    result = call("produce", tmp_path, *there, "--keep-bad")
    assert result.exit_code == 3
    assert f"{tmp_path / 'top-ups.jsonl'}:1 is too large to be sent" in result.stderr
    result = call("produce", "-", *there, "--keep-bad", text='{"topic":"weather","value":{}}\n')
    assert result.exit_code == 3
    assert "standard input:1 names no topic that there is" in result.stderr


def test_a_record_older_than_its_topic_keeps_is_refused_unless_dated_by_its_sending(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    there = ready(broker, prefix)
    (tmp_path / "top-ups.jsonl").write_text(top_up(1, NOW_S - 200 * 86_400))
    result = call("produce", tmp_path, *there)
    assert result.exit_code == 3
    assert "top-ups.jsonl:1 is older than the 180 days that topic" in result.stderr
    assert "--stamp sending" in result.stderr
    assert call("produce", tmp_path, *there, "--stamp", "sending").exit_code == 0
    (record,) = everything(broker, prefix, "top-ups")
    assert record.timestamp >= NOW_S * 1000


def test_a_record_has_the_time_of_its_event_but_never_one_to_come(broker: Broker, prefix: str, tmp_path: Path) -> None:
    there = ready(broker, prefix)
    (tmp_path / "top-ups.jsonl").write_text(top_up(1, NOW_S - 3600) + "\n" + top_up(2, NOW_S + 7200))
    assert call("produce", tmp_path, *there).exit_code == 0
    first, second = sorted(record.timestamp for record in everything(broker, prefix, "top-ups"))
    assert first == (NOW_S - 3600) * 1000
    assert NOW_S * 1000 <= second <= time.time() * 1000


def test_no_topic_falls_far_behind_another_however_few_records_it_has(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[int] = []
    spans: list[int] = []

    class Watched(Batches):
        async def add(self, place: RecordPlace, key: bytes | None, value: bytes, at_ms: int) -> None:
            waiting.append(at_ms)
            await super().add(place, key, value, at_ms)

        async def flush(self) -> None:
            spans.append(max(waiting, default=0) - min(waiting, default=0))
            waiting.clear()
            await super().flush()

    monkeypatch.setattr("streams.kafka.topics.producing.Batches", Watched)
    there = ready(broker, prefix)
    hour_s = 3600
    (tmp_path / "top-ups.jsonl").write_text("\n".join(top_up(n, NOW_S - (240 - n) * hour_s, n) for n in range(240)))
    assert call("produce", tmp_path, *there).exit_code == 0
    assert waiting == []
    assert max(spans) <= FLUSH_MS
    assert len(everything(broker, prefix, "top-ups")) == 240


def test_a_rate_is_kept_to(broker: Broker, prefix: str, tmp_path: Path) -> None:
    there = ready(broker, prefix)
    (tmp_path / "top-ups.jsonl").write_text("\n".join(top_up(n, NOW_S - 9000 + n, n) for n in range(100)))
    (sent,) = lines(call("produce", tmp_path, *there, "--rate", "100", "--json"))
    assert 0.95 <= sent["elapsed_s"] < 10.0
    assert len(everything(broker, prefix, "top-ups")) == 100


def test_a_missing_topic_and_uneven_partitions_are_told_before_anything_is_sent(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "top-ups.jsonl").write_text(top_up(1, NOW_S))
    there = ["--kafka", broker.address, "--prefix", prefix]
    result = call("produce", tmp_path, *there)
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: kafka_prefix: there is no topic {prefix}top-ups; "
        "`forewarn topics create` makes the topics with that prefix\n"
    )
    done(made(broker, f"{prefix}usage", 3))
    ready(broker, prefix)
    result = call("produce", tmp_path, *there)
    assert result.exit_code == 2
    assert f"topic {prefix}usage: number of partitions is 3 and should be 4" in result.stderr
    assert everything(broker, prefix, "top-ups") == []


def test_what_cannot_be_read_or_reached_is_one_line(tmp_path: Path) -> None:
    result = call("produce", tmp_path / "gone")
    assert (result.exit_code, "there is no file or folder" in result.stderr) == (3, True)
    (tmp_path / "top-ups.jsonl").write_text(top_up(1, NOW_S))
    result = call("produce", tmp_path, "--kafka", "127.0.0.1:1")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: kafka: nothing listens at 127.0.0.1:1; ")
    result = call("produce", tmp_path, "--kafka", "nowhere")
    assert result.stderr.startswith("error: kafka in the command line should be host:port")


def test_a_broker_that_dies_and_comes_back_costs_no_record_and_doubles_none(own_broker: Broker, tmp_path: Path) -> None:
    prefix = "killed."
    there = ready(own_broker, prefix)
    wanted = [top_up(number, NOW_S - 50_000 + number, subscriber=number % 40) for number in range(3000)]
    (tmp_path / "top-ups.jsonl").write_text("\n".join(wanted))

    def kill() -> None:
        time.sleep(1.0)
        own_broker.kill()
        own_broker.restart()

    killer = threading.Thread(target=kill)
    killer.start()
    (sent,) = lines(call("produce", tmp_path, *there, "--rate", "600", "--json"))
    killer.join()
    assert sent["records"] == {"top-ups": 3000}
    records = everything(own_broker, prefix, "top-ups")
    assert sorted(record.value.decode() for record in records) == sorted(wanted)


def test_a_broker_that_stays_away_ends_the_command_with_what_it_had_taken(
    own_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ready(own_broker, "")
    (tmp_path / "top-ups.jsonl").write_text("\n".join(top_up(n, NOW_S - 9000 + n, n) for n in range(2000)))
    monkeypatch.setattr("streams.kafka.topics.producing.PATIENCE_S", 2.0)
    killer = threading.Timer(1.5, own_broker.kill)
    killer.start()
    result = call("produce", tmp_path, *there, "--rate", "500")
    killer.join()
    assert result.exit_code == 3
    assert f"Kafka at {own_broker.address} takes no more records after " in result.stderr
    assert "nothing was confirmed within 2 s" in result.stderr
    assert "send all again" in result.stderr


def test_a_wire_needs_nothing_but_an_address(broker: Broker) -> None:
    asyncio.run(check_connection(ConnectionSettings(brokers=broker.address)))

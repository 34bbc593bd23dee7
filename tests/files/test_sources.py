"""Reading: every line of every file, once, in one order that nothing but the files decides."""

import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.contracts import decode as decoding
from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.events import MARKET, Event, Record
from streams.core.contracts.source import source_number, topic_name
from streams.core.times import DAY_MS, EventMs
from streams.files.lines import KEPT_BYTES, LINE_BYTES_MAX
from streams.files.sources import (
    Item,
    Position,
    Source,
    discover,
    ignored_paths,
    market_sources,
    merge_sources,
    total_bytes,
)
from streams.shared.errors import InputError
from streams.store import NO_TIME_MS

RECEIVED_MS = 1_760_000_000_000  # In October 2025.
TOPICS = ("call-drops", "usage", "top-ups")


def days(record: Record) -> Item:
    """A decoder for tests: a line is the number of a day, and anything else is a dead letter."""
    try:
        at_ms = EventMs(int(record.value) * DAY_MS)
    except ValueError:
        return DeadLetter(record.topic, record.partition, record.offset, "not_json", "", record.value)
    return Event(source_number(record.topic, record.partition), record.offset, at_ms, cast("Any", None))


def read(
    place: Path | str,
    topic: str | None = None,
    *,
    positions: dict[str, Position] | None = None,
    decode: Callable[[Record], Item] = days,
    block_bytes: int | None = None,
) -> list[Item]:
    return list(
        merge_sources(discover(str(place), topic), positions or {}, RECEIVED_MS, decode, block_bytes=block_bytes)
    )


def told(items: Iterable[Item]) -> list[tuple[str, int, object]]:
    """Topic, offset and either the day or the reason."""
    return [
        (item.topic, item.offset, item.reason)
        if isinstance(item, DeadLetter)
        else (topic_name(item.source) if isinstance(item, Event) else MARKET, item.offset, item.at_ms // DAY_MS)
        for item in items
    ]


def offsets(items: Iterable[Item]) -> list[int]:
    return [item.offset for item in items]


def write(folder: Path, files: dict[str, list[object]]) -> Path:
    for name, lines in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder


def top_up(number: int, event_time: str) -> dict[str, object]:
    return {
        "event_id": f"e{number}", "event_time": event_time, "subscriber_id": "s_" + "0" * 32, "top_up_id": f"t{number}",
        "status": "completed", "amount_minor": 500, "currency": "EUR", "channel": "app",
    }  # fmt: skip


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(data))))

    return give


# What there is to read.


def test_a_folder_gives_its_topics_in_the_order_of_the_contracts(tmp_path: Path) -> None:
    write(tmp_path, {"top-ups.json": [1], "usage.ndjson.gz": [], "call-drops.jsonl.zst": [], "truth.jsonl": [1]})
    write(tmp_path, {"forewarn.toml": [], "README": [], ".hidden.jsonl": []})
    assert discover(str(tmp_path)) == (
        Source("call-drops", 0, tmp_path / "call-drops.jsonl.zst"),
        Source("usage", 0, tmp_path / "usage.ndjson.gz"),
        Source("top-ups", 0, tmp_path / "top-ups.json"),
    )
    assert [path.name for path in ignored_paths(str(tmp_path))] == ["README", "forewarn.toml", "truth.jsonl"]


def test_what_a_folder_says_about_the_market_is_read_apart_and_is_not_ignored(tmp_path: Path) -> None:
    write(tmp_path, {"usage.jsonl": [1], "market-events.jsonl": [1]})
    assert [source.name for source in discover(str(tmp_path))] == ["usage/0"]
    assert [source.name for source in market_sources(str(tmp_path))] == ["market-events/0"]
    assert ignored_paths(str(tmp_path)) == ()
    assert market_sources("-") == market_sources(str(tmp_path / "usage.jsonl")) == ()
    found = discover(str(tmp_path), None, ("usage", "market-events"))
    assert [source.topic for source in found] == ["usage", "market-events"]


def test_a_folder_of_a_topic_holds_its_partitions_by_name(tmp_path: Path) -> None:
    write(tmp_path, {"usage/b.jsonl": [2], "usage/a.jsonl": [1], "usage/c.jsonl.gz": [], "usage/notes.txt": []})
    write(tmp_path, {"top-ups.jsonl": [3]})
    found = discover(str(tmp_path))
    assert [(source.name, source.path and source.path.name) for source in found] == [
        ("usage/0", "a.jsonl"), ("usage/1", "b.jsonl"), ("usage/2", "c.jsonl.gz"), ("top-ups/0", "top-ups.jsonl"),
    ]  # fmt: skip
    assert [path.name for path in ignored_paths(str(tmp_path))] == ["notes.txt"]
    assert [source.name for source in discover(str(tmp_path), "top-ups")] == ["top-ups/0"]


def test_a_file_is_what_it_is_called_after_unless_it_is_said(tmp_path: Path) -> None:
    write(tmp_path, {"usage.jsonl": [1], "dump.jsonl": [1]})
    assert discover(str(tmp_path / "usage.jsonl"))[0].topic == "usage"
    assert discover(str(tmp_path / "dump.jsonl"))[0].topic is None
    assert discover(str(tmp_path / "dump.jsonl"), "top-ups")[0].topic == "top-ups"
    assert discover("-", "usage") == (Source("usage", 0, None),)
    assert ignored_paths(str(tmp_path / "dump.jsonl")) == ignored_paths("-") == ()


def _no_topic(folder: Path) -> Path:
    return write(folder, {"truth.jsonl": [1], "data.csv": [1]})


def _two_of_a_topic(folder: Path) -> Path:
    return write(folder, {"usage.jsonl": [1], "usage.jsonl.gz": [1]})


def _file_and_folder(folder: Path) -> Path:
    return write(folder, {"usage.jsonl": [1], "usage/0.jsonl": [1]})


def _two_of_a_partition(folder: Path) -> Path:
    return write(folder, {"usage/0.jsonl": [1], "usage/0.json": [1]})


def _too_many(folder: Path) -> Path:
    return write(folder, {f"usage/{number}.jsonl": [] for number in range(513)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nothing", r"there is no file or folder .*nothing; check the path, or write -"),
        (lambda folder: folder, r"no topic was found in .*, which holds nothing; name the files <topic>.jsonl"),
        (_no_topic, r"which holds data.csv, truth.jsonl; .* topics are call-drops, usage, top-ups, complaints, subsc"),
        (_two_of_a_topic, r"usage.jsonl, .*usage.jsonl.gz hold the same part of topic usage; keep one of them"),
        (_file_and_folder, r"usage.jsonl, .*usage hold the same part of topic usage"),
        (_two_of_a_partition, r"0.json, .*0.jsonl hold the same part of topic usage"),
        (_too_many, r"holds 513 files, and at most 512 can be merged; join the files of a topic"),
    ],
    ids=["missing", "empty", "no topic", "two of a topic", "file and folder", "two of a partition", "too many"],
)
def test_a_place_without_anything_to_read_is_refused_in_words(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        discover(str(make(tmp_path)))


def test_an_unknown_topic_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no topic top-up; the topics are call-drops"):
        discover(str(tmp_path), "top-up")


def test_the_size_of_the_input_is_known_unless_it_is_a_pipe(tmp_path: Path) -> None:
    write(tmp_path, {"usage.jsonl": [1, 2], "top-ups.jsonl": [11]})
    sources = discover(str(tmp_path))
    assert total_bytes(sources) == 7
    assert total_bytes([*sources, Source("usage", 0, None)]) is None
    assert total_bytes([Source("usage", 0, tmp_path / "gone.jsonl")]) is None
    reading = merge_sources(sources, {}, RECEIVED_MS, days)
    assert reading.bytes_read == 0
    assert len(list(reading)) == 3
    assert reading.bytes_read == 7


# Lines.


def test_blank_lines_count_but_give_nothing(tmp_path: Path) -> None:
    (tmp_path / "usage.jsonl").write_bytes(b"\xef\xbb\xbf\n1\r\n  \t\n\r\n2\nx\n\n3")
    assert told(read(tmp_path)) == [("usage", 1, 1), ("usage", 4, 2), ("usage", 5, "not_json"), ("usage", 7, 3)]


@pytest.mark.parametrize("content", [b"", b"\n\n \n", b"\xef\xbb\xbf"], ids=["nothing", "blank lines", "a mark"])
def test_an_empty_file_gives_no_records(tmp_path: Path, content: bytes) -> None:
    for name in ("usage.jsonl", "top-ups.jsonl.gz", "complaints.jsonl.zst"):
        (tmp_path / name).write_bytes(content if name == "usage.jsonl" else b"")
    assert read(tmp_path) == []


@pytest.mark.parametrize("block_bytes", [1 << 12, 1 << 18, 1 << 19])
def test_a_line_too_long_is_one_dead_letter_that_shows_its_beginning(tmp_path: Path, block_bytes: int) -> None:
    longest = b"7".rjust(LINE_BYTES_MAX)
    with gzip.open(tmp_path / "usage.jsonl.gz", "wb", compresslevel=1) as file:
        file.write(b"\n".join([b"1", b"y" * (3 * LINE_BYTES_MAX), longest, b"0" + longest, b"8", b"z" * (1 << 21)]))
    items = read(tmp_path, block_bytes=block_bytes)
    assert [item.offset for item in items] == [0, 1, 2, 3, 4, 5]
    letters = [item for item in items if isinstance(item, DeadLetter)]
    assert [(letter.offset, letter.reason) for letter in letters] == [
        (1, "too_large"),
        (3, "too_large"),
        (5, "too_large"),
    ]
    assert letters[0].value == b"y" * KEPT_BYTES
    assert letters[0].detail.startswith("3145728 bytes, at most 1048576 are read")
    assert letters[1].value == (b"0" + longest)[:KEPT_BYTES]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_packed_files_give_what_plain_ones_give(tmp_path: Path, suffix: str) -> None:
    first, second = b"1\n2\n" * 30_000 + b"3", b"\n4\n"
    pack: dict[str, Callable[[bytes], bytes]] = {
        "": bytes, ".gz": lambda data: gzip.compress(data, 1), ".zst": zstandard.ZstdCompressor().compress
    }  # fmt: skip
    (tmp_path / f"usage.jsonl{suffix}").write_bytes(pack[suffix](first) + pack[suffix](second))
    items = read(tmp_path)
    assert offsets(items) == list(range(60_002))
    assert told(items[-2:]) == [("usage", 60_000, 3), ("usage", 60_001, 4)]


def test_packed_data_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "usage.jsonl").write_bytes(gzip.compress(b"1\n") + bytes(512))
    assert told(read(tmp_path)) == [("usage", 0, 1)]
    (tmp_path / "usage.jsonl").rename(tmp_path / "top-ups.jsonl")
    (tmp_path / "usage.jsonl.gz").write_bytes(b"1\n2\n3\n")
    with pytest.raises(InputError, match=r"usage.jsonl.gz is not gzip data, though its name ends in .gz; take the end"):
        read(tmp_path)


@given(st.data())
@settings(max_examples=40)
def test_of_packed_data_cut_short_all_whole_lines_come_before_the_error(data: st.DataObject) -> None:
    lines = b"".join(b"%d\n" % (number * 7919 % 50) for number in range(3_000))
    packed = gzip.compress(lines) if (is_gzip := data.draw(st.booleans())) else zstandard.compress(lines)
    cut = packed[: data.draw(st.integers(4, len(packed) - 1))]
    unpacker = zlib.decompressobj(31) if is_gzip else zstandard.ZstdDecompressor().decompressobj()
    whole = unpacker.decompress(cut).count(b"\n")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "usage.jsonl"
        path.write_bytes(cut)
        reading = merge_sources(
            discover(str(path)), {}, RECEIVED_MS, days, block_bytes=data.draw(st.integers(1, 5_000))
        )
        for offset in range(whole):
            assert next(reading).offset == offset
        where = rf"usage.jsonl: the (gzip|zstd) data end too early{f' after line {whole}' if whole else ''}; the copy"
        with pytest.raises(InputError, match=where):
            next(reading)
        assert reading.positions()["usage/0"].next_offset == whole


def test_damaged_data_are_reported_with_their_place(tmp_path: Path) -> None:
    random = Random(1)
    packed = bytearray(gzip.compress(b"".join(b"%d\n" % random.randrange(10**9) for _ in range(20_000))))
    packed[-2_000:-1_900] = b"\xff" * 100
    (tmp_path / "usage.jsonl.gz").write_bytes(packed)
    with pytest.raises(InputError, match=r"usage.jsonl.gz: the gzip data are damaged after line \d+; replace the file"):
        read(tmp_path)


def test_a_broken_source_stops_the_merge_where_it_breaks_and_not_before(tmp_path: Path) -> None:
    packed = gzip.compress(b"10\n20\n30\n")[:-8]  # Without its check sum and length.
    (tmp_path / "top-ups.jsonl.gz").write_bytes(packed)
    write(tmp_path, {"usage.jsonl": [5, 15, 25, 30, 35]})
    reading = merge_sources(discover(str(tmp_path)), {}, RECEIVED_MS, days)
    seen = list(islice(reading, 7))
    with pytest.raises(InputError, match="after line 3"):
        next(reading)
    assert [day for _, _, day in told(seen)] == [5, 10, 15, 20, 25, 30, 30]
    positions = reading.positions()
    (tmp_path / "top-ups.jsonl.gz").write_bytes(gzip.compress(b"10\n20\n30\n40\n"))
    assert told(read(tmp_path, positions=positions)) == [("usage", 4, 35), ("top-ups", 3, 40)]


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "usage.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(InputError, match=r"usage.jsonl cannot be read: No such file or directory"):
        read(tmp_path)


# The order.


def test_equal_times_come_in_the_order_of_topics_and_late_records_right_after_their_elders(tmp_path: Path) -> None:
    write(tmp_path, {"top-ups.jsonl": [1, 3, 2, "?", 4], "usage.jsonl": [1, 3, 3, 5], "call-drops.jsonl": ["?", 3]})
    assert told(read(tmp_path)) == [
        ("call-drops", 0, "not_json"), ("usage", 0, 1), ("top-ups", 0, 1), ("call-drops", 1, 3), ("usage", 1, 3),
        ("usage", 2, 3), ("top-ups", 1, 3), ("top-ups", 2, 2), ("top-ups", 3, "not_json"), ("top-ups", 4, 4),
        ("usage", 3, 5),
    ]  # fmt: skip


LINES = st.lists(st.integers(0, 50) | st.sampled_from(["", "?"]), max_size=25)
WILD_LINES = st.lists(st.integers(0, 50) | st.integers(9_000, 9_010) | st.sampled_from(["", "?"]), max_size=25)


def by_heads(files: dict[str, list[object]]) -> list[tuple[str, int]]:
    """The order by its definition: over and over the source whose next record is the earliest."""
    waiting: dict[str, list[tuple[float, int]]] = {}
    for topic in TOPICS:
        last, queue = float("-inf"), waiting.setdefault(topic, [])
        for offset, line in enumerate(files.get(f"{topic}.jsonl", [])):
            last = line if isinstance(line, int) else last
            if line != "":
                queue.append((last, offset))
    order = []
    while any(waiting.values()):
        topic = min((queue[0][0], TOPICS.index(topic), topic) for topic, queue in waiting.items() if queue)[2]
        order.append((topic, waiting[topic].pop(0)[1]))
    return order


@given(st.fixed_dictionaries({}, optional={f"{topic}.jsonl": LINES for topic in TOPICS}), st.integers(1, 60))
def test_the_order_is_that_of_the_earliest_head_whatever_the_size_of_a_block(
    files: dict[str, list[object]], block_bytes: int
) -> None:
    with TemporaryDirectory() as folder:
        write(Path(folder), files | {"complaints.jsonl": []})
        items = read(folder, block_bytes=block_bytes)
    assert [(topic, offset) for topic, offset, _ in told(items)] == by_heads(files)


@given(st.fixed_dictionaries({f"{topic}.jsonl": WILD_LINES for topic in TOPICS}), st.data())
def test_from_any_position_the_rest_is_what_it_would_have_been(
    files: dict[str, list[object]], data: st.DataObject
) -> None:
    sizes = st.integers(1, 60)
    with TemporaryDirectory() as folder:
        write(Path(folder), files)
        whole = read(folder)
        assert read(folder, block_bytes=data.draw(sizes)) == whole
        reading = merge_sources(discover(folder), {}, RECEIVED_MS, days, block_bytes=data.draw(sizes))
        taken = data.draw(st.integers(0, len(whole)))
        assert list(islice(reading, taken)) == whole[:taken]
        positions = reading.positions()
        reading.close()
        assert read(folder, positions=positions, block_bytes=data.draw(sizes)) == whole[taken:]


def test_a_position_says_how_far_a_source_has_come(tmp_path: Path) -> None:
    write(tmp_path, {"usage.jsonl": ["", 1, 5, 3, "?"], "top-ups.jsonl": [9]})
    reading = merge_sources(discover(str(tmp_path)), {}, RECEIVED_MS, days)
    assert reading.positions() == {name: Position(0, NO_TIME_MS, NO_TIME_MS) for name in ("usage/0", "top-ups/0")}
    found = [reading.positions()["usage/0"] for _ in reading]
    assert found == [
        Position(2, DAY_MS, DAY_MS), Position(3, 5 * DAY_MS, 5 * DAY_MS), Position(4, 3 * DAY_MS, 5 * DAY_MS),
        Position(5, 3 * DAY_MS, 5 * DAY_MS), Position(5, 3 * DAY_MS, 5 * DAY_MS),
    ]  # fmt: skip
    assert reading.positions()["top-ups/0"] == Position(1, 9 * DAY_MS, 9 * DAY_MS)


def test_a_grown_file_is_read_on_and_a_shrunk_one_refused(tmp_path: Path) -> None:
    write(tmp_path, {"usage.jsonl": [1, 2, 3]})
    reading = merge_sources(discover(str(tmp_path)), {}, RECEIVED_MS, days)
    assert offsets(reading) == [0, 1, 2]
    write(tmp_path, {"usage.jsonl": [1, 2, 3, 4]})
    assert offsets(read(tmp_path, positions=reading.positions())) == [3]
    write(tmp_path, {"usage.jsonl": [1, 2]})
    with pytest.raises(
        InputError, match=r"usage.jsonl has 2 lines, but the last run had read 3; continue with the same"
    ):
        read(tmp_path, positions=reading.positions())


# Times that cannot be.


def test_a_record_of_the_year_2100_is_a_dead_letter_and_disturbs_nothing(tmp_path: Path) -> None:
    dates = ["2100-01-01T00:00:00Z", "1997-01-01T00:00:00Z", "2100-06-01T00:00:00Z", "1997-01-03T00:00:00Z"]
    (tmp_path / "top-ups.jsonl").write_text("\n".join(json.dumps(top_up(n, date)) for n, date in enumerate(dates)))
    reading = merge_sources(discover(str(tmp_path)), {}, RECEIVED_MS, decoding.decode)
    found = [item.reason if isinstance(item, DeadLetter) else item.body.event_time.day for item in reading]
    assert found == ["future_time", 1, "future_time", 3]
    assert reading.positions()["top-ups/0"].max_ms == 852_249_600_000


@pytest.mark.parametrize(
    ("lines", "strays"),
    [
        ([1, 2, 9_000, 3, 4], [2]),
        ([9_000, 1, 2, 3], [0]),
        ([1, 2, 9_000, "?", "", 9_000, 3, 4, 5], [2, 5]),
        ([1, 2, 70, 71, 3, 72, 73], []),
        ([1, 62, 63], []),
        ([100, 1, 101, 102], []),
        ([1, 2, 9_000], []),
        ([1, 62, 2, 3], [1]),
    ],
    ids=[
        "one slip", "a slip at the start", "two slips", "a gap with a late record", "a gap", "an early second",
        "the last", "just over the limit",
    ],
)  # fmt: skip
def test_a_leap_that_the_next_records_do_not_follow_is_a_dead_letter(
    tmp_path: Path, lines: list[object], strays: list[int]
) -> None:
    write(tmp_path, {"usage.jsonl": lines})
    letters = [item for item in read(tmp_path) if isinstance(item, DeadLetter) and item.reason == "future_time"]
    assert offsets(letters) == strays
    assert [letter.value for letter in letters] == [str(lines[offset]).encode() for offset in strays]
    assert all(letter.detail.startswith("event_time is more than 60 days ahead") for letter in letters)


def test_a_leap_does_not_hold_a_source_back(tmp_path: Path) -> None:
    write(tmp_path, {"usage.jsonl": [1, 9_000, 2, 3, 4], "top-ups.jsonl": [1, 2, 3, 4]})
    assert [found[2] for found in told(read(tmp_path))] == [1, "future_time", 1, 2, 2, 3, 3, 4, 4]


# Lines that name their topic, and standard input.


def test_lines_that_name_their_topic_are_read_as_that_topic(stdin: Callable[[bytes], None]) -> None:
    good = top_up(1, "1997-01-01T00:00:00Z")
    lines: list[object] = [
        {"topic": "top-ups", "value": good}, {"topic": "tops", "value": good}, {"topic": "top-ups", "value": {}},
        {"topic": "top-ups"}, {"topic": "top-ups", "value": good, "key": 1}, {"topic": 3, "value": good}, [], good,
        {"topic": "", "value": good},
    ]  # fmt: skip
    stdin("\n".join(map(json.dumps, lines)).encode() + b"\nnot json\n" + b'{"topic":"usage","value":' + b"[" * 99_999)
    items = read("-", decode=decoding.decode)
    assert isinstance(items[0], Event)
    assert (items[0].source, items[0].offset) == (source_number("top-ups", 0), 0)
    assert [(item.topic, item.reason) for item in items if isinstance(item, DeadLetter)] == [
        ("tops", "unknown_topic"), ("top-ups", "missing_field"), ("-", "missing_field"), ("-", "unknown_field"),
        ("-", "wrong_type"), ("-", "wrong_type"), ("-", "unknown_field"), ("-", "out_of_range"), ("-", "not_json"),
        ("-", "not_json"),
    ]  # fmt: skip


def test_a_leap_among_lines_that_name_their_topic_is_a_letter_of_that_topic(stdin: Callable[[bytes], None]) -> None:
    dates = ["1997-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "1997-01-02T00:00:00Z"]
    lines = [json.dumps({"topic": "top-ups", "value": top_up(n, date)}) for n, date in enumerate(dates)]
    stdin("\n".join(lines).encode())
    letters = [item for item in read("-", decode=decoding.decode) if isinstance(item, DeadLetter)]
    assert [(letter.topic, letter.offset, letter.reason) for letter in letters] == [("top-ups", 1, "future_time")]
    assert letters[0].value == lines[1].encode()


def test_standard_input_holds_one_topic_if_it_is_said_and_may_be_packed(stdin: Callable[[bytes], None]) -> None:
    stdin(gzip.compress(b"1\n2\n"))
    assert told(read("-", "usage")) == [("usage", 0, 1), ("usage", 1, 2)]


def test_standard_input_is_taken_up_where_it_was_left_when_it_is_given_again(stdin: Callable[[bytes], None]) -> None:
    stdin(b"1\n2\n3\n")
    assert offsets(read("-", "usage", positions={"usage/0": Position(2, 2 * DAY_MS, 2 * DAY_MS)})) == [2]

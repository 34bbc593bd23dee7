"""Bad maps stop at once and say where; bad rows are refused one by one and never shown; folders are kept safe."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from streams.imports import import_file, load_map
from streams.imports.writing import TopicWriter
from streams.shared.compression import Compression
from streams.shared.errors import ForewarnError, InputError, MappingError, SettingsError
from streams.shared.pseudonyms import pseudonym

KEY = b"a key for tests only"
Read = Callable[[Path], dict[str, list[dict[str, Any]]]]

MAP = """
format = 1
name = "ours"
title = "Top-ups of our billing"
source = "billing"
provenance = "observed"

[reader]
format = "csv"
delimiter = ";"

[identity]
column = "msisdn"

[[event]]
topic = "top-ups"
id = "reference"
time = { as = "time", column = "when", format = "iso", zone = "Asia/Shanghai" }
when = [{ column = "paid", differs = "no" }]

[event.fields]
top_up_id = { as = "reference", prefix = "topup" }
status = { as = "choice", column = "state", values = { ok = "completed", nok = "failed" } }
amount_minor = { as = "minor", column = "yuan" }
bonus_minor = { as = "integer", column = "gift", multiply = 100, optional = true }
currency = "CNY"
channel = "app"
"""
REBUILD = """
[rebuild]
start = 2020-01-01
window_days = 9
shift_days = 9
outcome_after_days = 9
label = "paid"
"""
HEADING = "msisdn;reference;when;paid;state;yuan;gift\n"
GOOD = "+86 138 0013 8000;t1;2026-03-01T08:00:00;yes;ok;50.00;5\n"


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    path = tmp_path / "ours.toml"
    path.write_text(MAP)
    return path


@pytest.fixture
def run(ours: Path, tmp_path: Path, read: Read) -> Callable[[str | bytes], tuple[Any, list[dict[str, Any]]]]:
    def go(text: str | bytes) -> tuple[Any, list[dict[str, Any]]]:
        table = tmp_path / "table.csv"
        table.write_bytes(text if isinstance(text, bytes) else text.encode())
        report = import_file(ours, table, tmp_path / "out", key=KEY)
        return report, read(tmp_path / "out")["top-ups"]

    return go


Run = Callable[[str | bytes], tuple[Any, list[dict[str, Any]]]]


def test_one_row_of_an_operators_own_table_becomes_one_event(run: Run) -> None:
    _, (event,) = run("\ufeff" + HEADING + GOOD)
    assert event == {
        "event_id": event["event_id"],
        "event_time": "2026-03-01T00:00:00.000Z",
        "subscriber_id": pseudonym(KEY, "8613800138000"),
        "provenance": "observed",
        "top_up_id": f"topup-{event['event_id']}",
        "status": "completed",
        "amount_minor": 5000,
        "bonus_minor": 500,
        "currency": "CNY",
        "channel": "app",
    }


def test_an_event_with_an_id_of_its_own_keeps_its_id_in_every_import(run: Run) -> None:
    _, (first,) = run(HEADING + GOOD)
    _, (second, again) = run(HEADING + "8613800138001;t0;2026-02-01T00:00:00;yes;ok;1;\n" + GOOD)
    assert again["event_id"] == first["event_id"] != second["event_id"]


def test_a_row_that_fails_the_condition_is_no_event_and_no_refusal(run: Run) -> None:
    report, events = run(HEADING + GOOD + "8613800138001;t2;never;no;?;?;\n")
    assert (len(events), report.rows_refused, report.rows_read) == (1, 0, 2)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (";t2;2026-03-01;yes;ok;1;\n", "no subscriber"),
        ("13800138000;t2;yesterday;yes;ok;1;\n", "'when' does not hold a time as iso"),
        ("13800138000;t2;2026-03-01;yes;13800138000;1;\n", "'state' holds none of ok, nok"),
        ("13800138000;t2;2026-03-01;yes;ok;13800138000,5;\n", "'yuan' does not hold an amount with at most 2"),
        ("13800138000;t2;2026-03-01;yes;ok;1.005;\n", "'yuan' does not hold an amount with at most 2"),
        ("13800138000;t2;2026-03-01;yes;ok;;\n", "'yuan' is empty, and amount_minor needs it"),
        ("13800138000;t2;2026-03-01;yes;ok;-1;\n", "no top-ups event: .*>= 0.*amount_minor"),
        ("13800138000;t2;2026-03-01;yes;ok;1;\u0661\n", "'gift' does not hold a whole number"),
        ("13800138000;t2;2026-03-01;yes;ok;1e3;\n", "'yuan' does not hold"),
        ("13800138000;t2;1969-03-01;yes;ok;1;\n", "before 1970"),
        ("13800138000;t2;2026-03-01;yes;ok\n", "5 cells, and the heading has 7"),
        ('13800138000;"t2"x;2026-03-01;yes;ok;1;\n', "not CSV"),
        ("13800138000\udcff;t2;2026-03-01;yes;ok;1;\n", "not UTF-8"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_reason_and_the_others_are_kept(
    run: Run, tmp_path: Path, row: str, reason: str
) -> None:
    report, events = run((HEADING + GOOD + row + GOOD.replace("t1", "t9")).encode("utf-8", "surrogateescape"))
    assert len(events) == 2
    (refusal,) = report.refusals
    assert refusal.line == 3
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(refusal.reason)
    rejects = (tmp_path / "out" / "rejects.jsonl").read_text()
    assert msgspec.json.decode(rejects) == {"line": 3, "reason": refusal.reason}
    assert "13800138000" not in rejects


def test_no_file_of_the_result_holds_an_identifier(run: Run, tmp_path: Path) -> None:
    run(HEADING + GOOD)
    for path in (tmp_path / "out").iterdir():
        assert b"13800138000" not in path.read_bytes().replace(b" ", b"")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty; it should begin with a line of column headings"),
        (HEADING, "no row of .* could be used: it has none"),
        (HEADING + "bad\n", "no row of .* could be used; the first of 1 refusals is line 2: 1 cells"),
        (HEADING.replace("gift", "yuan"), "two columns 'yuan'.*fields.amount_minor"),
        ("\udcff;b\n", "heading of .* cannot be read: not UTF-8"),
    ],
)
def test_a_table_of_which_nothing_can_be_used_stops_with_a_message(run: Run, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        run(text.encode("utf-8", "surrogateescape"))
    assert caught.value.exit_code == 3


def test_a_missing_column_is_named_with_its_place_in_the_map_and_the_columns_there_are(run: Run) -> None:
    with pytest.raises(MappingError) as caught:
        run(HEADING.replace("yuan", "yuans") + GOOD)
    message = str(caught.value)
    assert "has no column 'yuan'" in message
    assert "ours.toml reads in [[event]] 1 (top-ups), fields.amount_minor (line 24)" in message
    assert "'msisdn', 'reference', 'when', 'paid', 'state', 'yuans', 'gift'" in message
    assert "did you mean 'yuans'?" in message


def test_missing_broken_and_compressed_files_are_told_apart(ours: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress((HEADING + GOOD * 100).encode())[:-12])
    plain = tmp_path / "plain.csv.gz"
    plain.write_text(HEADING)
    cases = {
        tmp_path / "none.csv": "No such file",
        tmp_path: "Is a directory",
        cut: "cannot be read to its end",
        plain: "Not a gzipped file",
        tmp_path / "book.xlsx": "export it as CSV first",
    }
    (tmp_path / "book.xlsx").write_bytes(b"PK")
    for path, says in cases.items():
        with pytest.raises(InputError, match=says):
            import_file(ours, path, tmp_path / "out", key=KEY)
    whole = tmp_path / "whole.csv.gz"
    whole.write_bytes(gzip.compress((HEADING + GOOD).encode()))
    assert import_file(ours, whole, tmp_path / "out", key=KEY).events == {"top-ups": 1}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('topic = "top-ups"', 'topic = "topups"', "Invalid enum value 'topups'"),
        ('topic = "top-ups"', 'topik = "top-ups"', "unknown field `topik`"),
        ("amount_minor =", "amount_minors =", "no field amount_minors .line 24.; did you mean amount_minor"),
        ('currency = "CNY"', 'currency = "yuan"', "fields.currency .line 26. cannot be 'yuan'"),
        ('nok = "failed"', 'nok = "broken"', "fields.status .* cannot be 'broken'"),
        ('channel = "app"', "", "needs the fields channel"),
        ('as = "minor"', 'as = "money"', "money"),
        ("[identity]", "[identity", "is not TOML"),
        ('column = "msisdn"', "", "needs either column or row_number"),
        ('provenance = "observed"', 'provenance = "guessed"', "guessed"),
        ("[identity]", REBUILD + "[identity]", 'says provenance = "reconstructed"'),
        ("format = 1", "format = 2", "2"),
        ("Asia/Shanghai", "Asia/Nowhere", "no time zone 'Asia/Nowhere'"),
    ],
)  # fmt: skip
def test_a_bad_map_stops_and_says_where(run: Run, ours: Path, old: str, new: str, says: str) -> None:
    assert old in MAP
    ours.write_text(MAP.replace(old, new, 1))
    with pytest.raises(MappingError, match=says):
        run(HEADING + GOOD)


def test_a_map_may_not_let_anything_but_an_outcome_read_the_label(tmp_path: Path) -> None:
    text = load_map("iranian_churn").text
    path = tmp_path / "leaky.toml"
    path.write_text(text.replace('column = "Complains", equals', 'column = "Churn", equals'))
    with pytest.raises(MappingError, match=r"\[\[event\]\] 4 \(complaints\): when 1 reads 'Churn', the label"):
        load_map(path)


def test_a_map_that_is_not_there_names_those_that_are_shipped(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"no map nowhere.*cdnow, iranian_churn"):
        load_map("nowhere")
    with pytest.raises(MappingError, match="cannot be read"):
        load_map(tmp_path)


def test_a_second_row_of_a_rebuilt_subscriber_is_refused(tmp_path: Path, iranian: Path) -> None:
    path = tmp_path / "by_age.toml"
    text = load_map("iranian_churn").text.replace("row_number = true", 'column = "Age Group"')
    path.write_text(text)
    report = import_file(path, iranian, tmp_path / "out", key=KEY)
    assert (report.subscribers, [one.line for one in report.refusals]) == (4, [4])


def test_a_total_beyond_belief_refuses_its_row(tmp_path: Path, iranian: Path) -> None:
    huge = tmp_path / "huge.csv"
    rows = (
        "9000000000,0,38,0,4370,71,5,17,3,1,1,30,197.64,0",
        "1,0,38,0,4370,-71,5,17,3,1,1,30,197.64,0",
        "1,0,38,0,99999999999,71,5,17,3,1,1,30,197.64,0",
    )
    huge.write_text(iranian.read_text() + "\n".join(rows))
    report = import_file("iranian_churn", huge, tmp_path / "out", key=KEY)
    assert [one.line for one in report.refusals] == [8, 9, 10]


def test_a_short_key_stops_the_import(tmp_path: Path, cdnow: Path) -> None:
    with pytest.raises(SettingsError, match="16"):
        import_file("cdnow", cdnow, tmp_path / "out", key=b"short")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_compressed_topics_hold_the_same_lines(tmp_path: Path, cdnow: Path, compression: Compression) -> None:
    plain = import_file("cdnow", cdnow, tmp_path / "plain", key=KEY)
    packed = import_file("cdnow", cdnow, tmp_path / "packed", key=KEY, compression=compression)
    content = Path(packed.files[0]).read_bytes()
    lines = (
        gzip.decompress(content)
        if compression == "gz"
        else zstandard.ZstdDecompressor().decompressobj().decompress(content)
    )
    assert lines == Path(plain.files[0]).read_bytes()


def test_a_second_import_replaces_the_first_and_a_failed_one_leaves_it(
    tmp_path: Path, cdnow: Path, iranian: Path
) -> None:
    out = tmp_path / "out"
    import_file("iranian_churn", iranian, out, key=KEY)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(MappingError):
        import_file("cdnow", iranian, out, key=KEY)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    import_file("cdnow", cdnow, out, key=KEY)
    assert sorted(path.name for path in out.iterdir()) == ["forewarn.toml", "top-ups.jsonl"]


def test_topics_that_no_import_wrote_are_not_written_over(tmp_path: Path, cdnow: Path) -> None:
    (tmp_path / "usage.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="holds topics that no import wrote"):
        import_file("cdnow", cdnow, tmp_path, key=KEY)
    with pytest.raises(ForewarnError, match="cannot be written to"):
        import_file("cdnow", cdnow, cdnow, key=KEY)


def test_runs_that_spill_to_disk_give_the_same_file_as_one_in_memory(tmp_path: Path) -> None:
    for name, run_lines in (("memory", 1000), ("spilled", 7)):
        with TopicWriter(tmp_path / name, run_lines=run_lines) as writer:
            for number in range(100):
                writer.add("usage", number * 37 % 50, "s_" + f"{number % 3:032x}", b"%d" % number)
            writer.finish("# nothing\n")
    assert (tmp_path / "memory/usage.jsonl").read_bytes() == (tmp_path / "spilled/usage.jsonl").read_bytes()
    assert len((tmp_path / "spilled/usage.jsonl").read_bytes().split()) == 100


def test_progress_ends_with_the_whole_file(tmp_path: Path, cdnow: Path) -> None:
    calls: list[tuple[int, int]] = []
    import_file("cdnow", cdnow, tmp_path / "out", key=KEY, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (cdnow.stat().st_size, cdnow.stat().st_size)

"""The shipped maps: added up, the stream gives the source back, and the label moves nothing."""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts.policy import policy_from
from streams.core.contracts.decode import decode
from streams.core.contracts.events import INPUTS, Event, Record
from streams.defaults import read_default
from streams.imports import import_file, load_map, shipped_maps
from streams.imports.mapping import columns_used
from streams.shared.pseudonyms import pseudonym

KEY = b"a key for tests only"
Read = Callable[[Path], dict[str, list[dict[str, Any]]]]
Real = Callable[[str], Path]


def headings(path: Path) -> list[dict[str, str]]:
    """Rows without exact duplicates, each under its number in the file."""
    seen: dict[tuple[str, ...], dict[str, str]] = {}
    for number, row in enumerate(csv.DictReader(path.read_text().splitlines()), 1):
        clean = {" ".join(name.split()): cell for name, cell in row.items()}
        seen.setdefault(tuple(clean.values()), {**clean, "row": str(number)})
    return list(seen.values())


def totals(events: dict[str, list[dict[str, Any]]]) -> dict[str, Counter[str]]:
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for day in events["usage"]:
        one = sums[day["subscriber_id"]]
        one["Frequency of use"] += day["voice_answered"]
        one["Seconds of Use"] += day["voice_s"]
        one["Frequency of SMS"] += day["sms_count"]
        one["attempts"] += day["voice_attempts"]
        one["failures in usage"] += day["voice_setup_failed"]
    for failure in events["call-drops"]:
        sums[failure["subscriber_id"]]["Call Failure"] += 1
    for complaint in events["complaints"]:
        sums[complaint["subscriber_id"]]["Complains"] += 1
    return sums


def check_totals(source: Path, out: Path, read: Read) -> None:
    events = read(out)
    sums = totals(events)
    first: dict[str, dict[str, Any]] = {}
    last: dict[str, dict[str, Any]] = {}
    for profile in events["subscribers"]:
        first.setdefault(profile["subscriber_id"], profile)
        last[profile["subscriber_id"]] = profile
    outcomes = {outcome["subscriber_id"]: outcome for outcome in events["outcomes"]}
    rows = headings(source)
    assert len(outcomes) == len(events["outcomes"]) == len(first) == len(rows)
    for row in rows:
        subscriber = pseudonym(KEY, row["row"])
        added = sums[subscriber]
        for column in ("Call Failure", "Complains", "Seconds of Use", "Frequency of use", "Frequency of SMS"):
            assert added[column] == int(row[column]), column
        assert added["failures in usage"] == added["Call Failure"]
        assert added["attempts"] == added["Frequency of use"] + added["Call Failure"]
        profile, outcome = last[subscriber], outcomes[subscriber]
        opened = datetime.fromisoformat(first[subscriber]["event_time"]).replace(hour=0)
        assert (opened - datetime.fromisoformat(profile["start_date"])).days == 30 * int(row["Subscription Length"])
        assert profile["monthly_fee_minor"] == 1000 * int(row["Charge Amount"])
        assert profile["product_status"] == ("active" if row["Status"] == "1" else "suspended")
        assert profile["plan_id"] == ("pay-as-you-go" if row["Tariff Plan"] == "1" else "contractual")
        assert outcome["change"] == ("terminated" if row["Churn"] == "1" else "retained")
        assert (datetime.fromisoformat(outcome["event_time"]) - opened).days == 360


def test_the_maps_that_are_shipped_are_good() -> None:
    assert shipped_maps() == ("cdnow", "iranian_churn")
    for name in shipped_maps():
        assert load_map(name).map.name == name


@pytest.mark.parametrize("name", ["cdnow", "iranian_churn"])
def test_the_policy_of_a_shipped_map_can_be_laid_over_the_default_one(name: str) -> None:
    default = msgspec.toml.decode(read_default("policy.toml"))
    for table, values in load_map(name).map.policy.items():
        assert set(values) <= set(default[table])
        default[table] |= values
    policy_from(default)


def test_a_purchase_becomes_a_completed_top_up_of_as_many_cents(cdnow: Path, tmp_path: Path, read: Read) -> None:
    report = import_file("cdnow", cdnow, tmp_path / "out", key=KEY)
    top_ups = read(tmp_path / "out")["top-ups"]
    mine = [one for one in top_ups if one["subscriber_id"] == pseudonym(KEY, "00002")]
    assert [(one["amount_minor"], one["event_time"]) for one in mine] == [
        (1200, "1997-01-12T12:00:00.000Z"),
        (7700, "1997-01-12T12:00:00.001Z"),
        (7700, "1997-01-12T12:00:00.002Z"),
    ]
    assert {(one["status"], one["currency"], one["provenance"]) for one in top_ups} == {
        ("completed", "USD", "observed")
    }
    assert len({one["event_id"] for one in top_ups}) == len(top_ups) == report.events["top-ups"] == 6
    assert [one["event_time"] for one in top_ups] == sorted(one["event_time"] for one in top_ups)
    assert 0 in [one["amount_minor"] for one in top_ups]
    assert (report.rows_read, report.rows_refused, report.columns_unused) == (6, 0, ())


def test_totals_become_a_stream_that_adds_up_to_them(iranian: Path, tmp_path: Path, read: Read) -> None:
    report = import_file("iranian_churn", iranian, tmp_path / "out", key=KEY, seed=3)
    assert (report.rows_read, report.duplicates_removed, report.subscribers) == (6, 1, 5)
    check_totals(iranian, tmp_path / "out", read)


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(*(st.integers(0, top) for top in (60, 1, 47, 10, 20_000, 300, 600))),
        min_size=1,
        max_size=4,
        unique=True,
    ),
    st.integers(0, 1000),
)
def test_whatever_the_totals_and_the_seed_the_stream_adds_up_to_them(
    tmp_path_factory: pytest.TempPathFactory, read: Read, rows: list[tuple[int, ...]], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("totals")
    source = folder / "table.csv"
    heading = (
        "Call  Failure,Complains,Subscription  Length,Charge  Amount,Seconds of Use,Frequency of use,Frequency of SMS,"
        "Age Group,Tariff Plan,Status,Churn"
    )
    source.write_text("\n".join([heading, *(",".join(map(str, (*row, 1, 2, 2, 1))) for row in rows)]) + "\n")
    import_file("iranian_churn", source, folder / "out", key=KEY, seed=seed)
    check_totals(source, folder / "out", read)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cdnow", "iranian_churn"])
def test_every_line_is_an_event_in_time_order_under_a_pseudonym(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source: Path = request.getfixturevalue(name.removesuffix("_churn"))
    report = import_file(name, source, tmp_path / "out", key=KEY)
    ids = []
    for path in map(Path, report.files):
        times = []
        for offset, line in enumerate(path.read_bytes().splitlines()):
            event = decode(Record(path.stem, 0, offset, line, received_ms=2**42))
            assert isinstance(event, Event), event
            assert isinstance(event.body, INPUTS[path.stem])
            times.append(event.at_ms)
            ids.append(event.body.event_id)
            assert event.body.provenance == load_map(name).map.provenance
        assert times == sorted(times)
        assert len(times) == report.events[path.stem]
    assert len(set(ids)) == len(ids)


def test_flipping_the_label_changes_the_outcomes_and_not_one_byte_else(iranian: Path, tmp_path: Path) -> None:
    flipped = tmp_path / "flipped.csv"
    lines = iranian.read_text().splitlines()
    flip = {"0": "1", "1": "0"}
    flipped.write_text("\n".join([lines[0], *(line[:-1] + flip[line[-1]] for line in lines[1:])]) + "\n")
    for name, source in (("as_is", iranian), ("other", flipped)):
        import_file("iranian_churn", source, tmp_path / name, key=KEY)
    for topic in ("usage", "call-drops", "complaints", "subscribers"):
        assert (tmp_path / "as_is" / f"{topic}.jsonl").read_bytes() == (
            tmp_path / "other" / f"{topic}.jsonl"
        ).read_bytes()
    outcomes = [(tmp_path / name / "outcomes.jsonl").read_text().splitlines() for name in ("as_is", "other")]
    for one, other in zip(*outcomes, strict=True):
        mine, theirs = msgspec.json.decode(one), msgspec.json.decode(other)
        assert [mine[name] for name in ("event_id", "event_time", "subscriber_id")] == [
            theirs[name] for name in ("event_id", "event_time", "subscriber_id")
        ]
        assert {mine["change"], theirs["change"]} == {"terminated", "retained"}


def test_nothing_happens_between_the_window_and_the_outcome(iranian: Path, tmp_path: Path, read: Read) -> None:
    import_file("iranian_churn", iranian, tmp_path / "out", key=KEY)
    events = read(tmp_path / "out")
    opened = {one["subscriber_id"]: one["event_time"] for one in reversed(events["subscribers"])}
    for topic in ("usage", "call-drops", "complaints", "subscribers"):
        for event in events[topic]:
            since = datetime.fromisoformat(event["event_time"]) - datetime.fromisoformat(
                opened[event["subscriber_id"]]
            ).replace(hour=0)
            assert 0 <= since.total_seconds() <= 270 * 86_400


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_days(iranian: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        import_file("iranian_churn", iranian, tmp_path / name, key=KEY, seed=seed)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert (tmp_path / "a" / "usage.jsonl").read_bytes() != (tmp_path / "c" / "usage.jsonl").read_bytes()


def test_only_outcomes_read_the_label() -> None:
    loaded = load_map("iranian_churn").map
    assert loaded.rebuild
    readers = {where for column, where in columns_used(loaded) if column == loaded.rebuild.label}
    assert all("outcomes" in where or where == "[rebuild] label" for where in readers)


@pytest.mark.slow
def test_the_real_purchases_come_back_exactly(real: Real, tmp_path: Path, read: Read) -> None:
    source = real("cdnow/CDNOW_master.txt")
    report = import_file("cdnow", source, tmp_path, key=KEY)
    assert (report.rows_read, report.rows_refused, report.subscribers) == (69_659, 0, 23_570)
    expected = Counter(
        (pseudonym(KEY, cells[0]), cells[1], round(float(cells[3]) * 100))
        for cells in (line.split() for line in source.read_text().splitlines()[1:])
    )
    top_ups = read(tmp_path)["top-ups"]
    assert expected == Counter(
        (one["subscriber_id"], one["event_time"][:10].replace("-", ""), one["amount_minor"]) for one in top_ups
    )
    assert len({one["event_id"] for one in top_ups}) == 69_659


@pytest.mark.slow
def test_the_real_totals_come_back_exactly(real: Real, tmp_path: Path, read: Read) -> None:
    source = real("iranian_churn/customer_churn_iranian.csv")
    report = import_file("iranian_churn", source, tmp_path, key=KEY, seed=1)
    assert (report.rows_read, report.duplicates_removed, report.rows_refused) == (3_150, 300, 0)
    check_totals(source, tmp_path, read)
    outcomes = read(tmp_path)["outcomes"]
    assert Counter(one["change"] for one in outcomes) == {"retained": 2_404, "terminated": 446}
    days = {one["event_time"][:10] for one in outcomes}
    assert len(days) > 300

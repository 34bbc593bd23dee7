"""The whole path as somebody scripts it: an endpoint, a run, a dispatcher, and a receiver that believes signatures."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.cli.calling import call, lines
from tests.cli.receiving import RecordingServer, receiving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sink") / "events"
    made = call("simulate", "--out", folder, "--subscribers", "150", "--days", "100", "--seed", "11")
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture
def receiver() -> Iterator[RecordingServer]:
    with receiving() as server:
        yield server


def added(receiver: RecordingServer, db: Path, *more: str) -> dict[str, str]:
    words = ("endpoints", "add", "crm", "--url", receiver.url, "--preset", "standard", "--db", db, "--json")
    (made,) = lines(call(*words, "--allow-cidr", "127.0.0.0/8", *more))
    return made


def test_every_firing_alert_arrives_once_signed_and_a_second_run_tells_nobody(
    events: Path, receiver: RecordingServer, tmp_path: Path
) -> None:
    db = tmp_path / "alerts.db"
    verifier = Webhook(added(receiver, db)["secret"])
    lines(call("run", "--input", events, "--db", db, "--json"))
    (summary,) = lines(call("dispatcher", "--db", db, "--once", "--json"))

    told = [verifier.verify(body, headers) for headers, body in receiver.calls]
    firing = {row["alert_id"] for row in lines(call("alerts", "--db", db, "--state", "firing", "--json"))}
    assert firing
    assert {message["data"]["alert"]["id"] for message in told} == firing
    assert len(told) == len(firing) == summary["delivered"]
    assert all(message["type"].startswith("alert.") for message in told)
    assert len({headers["webhook-id"] for headers, _ in receiver.calls}) == len(told)

    lines(call("run", "--input", events, "--db", db, "--json"))
    (again,) = lines(call("dispatcher", "--db", db, "--once", "--json"))
    assert (again["delivered"], len(receiver.calls)) == (0, len(told))


def test_a_run_stopped_halfway_tells_of_each_alert_as_it_stood_and_later_how_it_ended(
    events: Path, receiver: RecordingServer, tmp_path: Path
) -> None:
    db = tmp_path / "alerts.db"
    added(receiver, db)
    by_alert: dict[str, list[str]] = {}
    for until in ("2024-02-20", "2024-03-10", "2024-03-25", None):
        lines(call("run", "--input", events, "--db", db, "--json", *(("--until", until) if until else ())))
        lines(call("dispatcher", "--db", db, "--once", "--json"))
    for _, body in receiver.calls:
        message = json.loads(body)
        by_alert.setdefault(message["data"]["alert"]["id"], []).append(message["type"])

    assert any(types[-1] == "alert.resolved" for types in by_alert.values())
    assert all(types[0] != "alert.resolved" for types in by_alert.values()), (
        "nobody hears the end of what they never heard of"
    )
    resolved = {row["alert_id"] for row in lines(call("alerts", "--db", db, "--state", "resolved", "--json"))}
    assert all((types[-1] == "alert.resolved") == (alert in resolved) for alert, types in by_alert.items())


def test_a_receiver_that_is_away_is_told_later_and_the_summary_says_so(
    events: Path, receiver: RecordingServer, tmp_path: Path
) -> None:
    db = tmp_path / "alerts.db"
    added(receiver, db)
    lines(call("run", "--input", events, "--db", db, "--json"))
    receiver.status = 503
    (away,) = lines(call("dispatcher", "--db", db, "--once", "--json"))
    assert away["delivered"] == 0
    assert away["retrying"] > 0
    rows = lines(call("deliveries", "list", "--db", db, "--state", "pending", "--json"))
    assert any(row["attempts"] == 1 and "503" in row["why"] for row in rows)


def test_without_an_allow_list_an_address_of_this_machine_is_refused_in_one_line(tmp_path: Path) -> None:
    db = tmp_path / "alerts.db"
    refused = call("endpoints", "add", "crm", "--url", "http://127.0.0.1:9/x", "--preset", "standard", "--db", db)
    assert refused.exit_code in {2, 3}
    assert "allow-cidr" in refused.output
    assert "Traceback" not in refused.output

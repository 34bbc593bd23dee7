"""The commands about endpoints and deliveries, as scripts use them."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from streams.core.notify.contact import ContactRules
from streams.store.sink import Sink
from tests.cli.calling import call, lines
from tests.cli.receiving import RecordingServer, receiving
from tests.sink.alerts_told import BEGAN_MS, told

URL = "https://crm.example.net/hook?token=hushhush"
HOOK = ("--preset", "standard")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREWARN_SINK_KEY", "a sink key for tests alone")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "alerts.db"


@pytest.fixture
def receiver() -> Iterator[RecordingServer]:
    with receiving() as server:
        yield server


def near(receiver: RecordingServer) -> tuple[str, ...]:
    return ("--url", receiver.url, "--allow-cidr", "127.0.0.0/8", *HOOK)


def test_add_prints_the_secret_once_and_no_other_command_ever_does(db: Path) -> None:
    (added,) = lines(call("endpoints", "add", "crm", "--url", URL, *HOOK, "--db", db, "--json"))
    assert set(added) == {"name", "preset", "url", "state", "secret"}
    assert added["secret"].startswith("whsec_")
    assert (added["name"], added["preset"], added["state"]) == ("crm", "standard", "active")
    for words in (("list",), ("show", "crm"), ("render", "crm"), ("pause", "crm")):
        for json_ in ((), ("--json",)):
            said = call("endpoints", *words, "--db", db, *json_)
            assert said.exit_code == 0, said.output
            assert added["secret"] not in said.output
            assert "hushhush" not in said.output, "a token in the address is a secret too"


def test_render_gives_the_request_of_each_message_without_secrets(db: Path) -> None:
    lines(call("endpoints", "add", "crm", "--url", URL, *HOOK, "--db", db, "--json"))
    for kind in ("alert.fired", "alert.worsened", "alert.resolved", "alert.closed"):
        (request,) = lines(call("endpoints", "render", "crm", "--type", kind, "--db", db, "--json"))
        assert request["body"]["type"] == kind
        assert request["headers"]["webhook-signature"] == "[redacted]"


@pytest.mark.slow
def test_a_test_message_is_signed_and_a_refusal_ends_with_1(db: Path, receiver: RecordingServer) -> None:
    (added,) = lines(call("endpoints", "add", "crm", *near(receiver), "--db", db, "--json"))
    (tried,) = lines(call("endpoints", "test", "crm", "--db", db, "--json"))
    assert (tried["ok"], tried["status"]) == (True, 204)
    headers, body = receiver.calls[0]
    assert Webhook(added["secret"]).verify(body, headers)
    assert headers["webhook-id"].startswith("test_")
    receiver.status = 403
    refused = call("endpoints", "test", "crm", "--db", db, "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["status"] == 403


@pytest.mark.slow
def test_after_a_rotation_both_secrets_verify_until_the_overlap_ends(db: Path, receiver: RecordingServer) -> None:
    (old,) = lines(call("endpoints", "add", "crm", *near(receiver), "--db", db, "--json"))
    (new,) = lines(call("endpoints", "rotate", "crm", "--db", db, "--json"))
    assert new["secret"] != old["secret"]
    lines(call("endpoints", "test", "crm", "--db", db, "--json"))
    headers, body = receiver.calls[0]
    assert all(Webhook(one["secret"]).verify(body, headers) for one in (old, new))
    lines(call("endpoints", "rotate", "crm", "--overlap-hours", "0", "--db", db, "--json"))
    lines(call("endpoints", "test", "crm", "--db", db, "--json"))
    assert len(receiver.calls[1][0]["webhook-signature"].split()) == 1


def test_a_file_adds_all_of_its_endpoints_or_none(db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_TOKEN", "xyz")
    file = tmp_path / "endpoints.toml"
    good = f'[endpoints.crm]\npreset = "standard"\nurl = "{URL}"\nfilter = {{ types = ["alert.fired"] }}\n'
    file.write_text(good + '[endpoints.bad]\npreset = "standard"\nurl = "https://10.1.1.1/"\n')
    assert call("endpoints", "add", "--file", file, "--db", db).exit_code == 2
    assert not db.exists()
    file.write_text(good + '[endpoints.log]\npreset = "cloudevents"\nurl = "https://log.example.net/"\n')
    assert [row["name"] for row in lines(call("endpoints", "add", "--file", file, "--db", db, "--json"))] == [
        "crm", "log",
    ]  # fmt: skip
    (shown,) = lines(call("endpoints", "show", "crm", "--db", db, "--json"))
    assert shown["settings"]["filter"] == {"types": ["alert.fired"]}


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (("crm", "--url", "https://10.0.0.1/x", *HOOK), 2, "allow-cidr"),
        (("crm", "--url", "http://crm.example.net/x", *HOOK), 2, "https"),
        (("crm", "--url", "https://127.1/x", *HOOK), 2, "odd spelling"),
        (("crm", "--url", "https://me:pw@crm.example.net/", *HOOK), 2, "user or password"),
        (("crm", "--url", "ftp://crm.example.net/", *HOOK), 2, "https://"),
        (("Bad Name", "--url", URL, *HOOK), 2, "name"),
        (("crm", "--url", URL, "--preset", "jira"), 2, "auth"),
        (("crm", "--url", URL, *HOOK, "--auth", "bearer"), 2, "--auth-secret"),
        (("crm", "--url", URL, *HOOK, "--auth", "bearer", "--auth-secret", "s3cr3t"), 2, "env:NAME"),
        (("crm", "--url", URL, *HOOK, "--auth", "bearer", "--auth-secret", "env:NO_SUCH"), 2, "NO_SUCH"),
        (("crm", "--url", URL, *HOOK, "--types", "alert.exploded"), 2, "alert.exploded"),
        (("crm", "--url", URL, *HOOK, "--map", "severity=1"), 2, "severity.critical"),
        (("crm", "--url", URL, *HOOK, "--map", "severty.critical=1"), 2, "severity"),
        (("crm", "--url", URL, *HOOK, "--header", "webhook-id=1"), 2, "webhook-id"),
        (("crm", "--url", URL, *HOOK, "--value", "projet=1"), 2, "projet"),
        (("crm", "--url", URL, *HOOK, "--allow-cidr", "10.0.0.1/8"), 2, "10.0.0.1/8"),
        (("crm", "--preset", "standard"), 2, "--url"),
        ((), 2, "NAME"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else None,
)
def test_what_cannot_be_used_is_refused_in_one_line_that_says_what_to_do(
    db: Path, words: tuple[str, ...], exit_code: int, said: str
) -> None:
    refused = call("endpoints", "add", *words, "--db", db)
    assert refused.exit_code == exit_code, refused.output
    assert said in refused.output
    assert "Traceback" not in refused.output
    assert "s3cr3t" not in refused.output
    assert sum(line.startswith("error:") for line in refused.output.splitlines()) == 1
    assert not db.exists()


def test_an_unknown_endpoint_is_answered_with_the_nearest_name_and_a_second_of_a_name_is_refused(db: Path) -> None:
    lines(call("endpoints", "add", "crm", "--url", URL, *HOOK, "--db", db, "--json"))
    unknown = call("endpoints", "pause", "crn", "--db", db)
    assert unknown.exit_code == 3
    assert "did you mean crm" in unknown.output
    assert call("endpoints", "add", "crm", "--url", URL, *HOOK, "--db", db).exit_code == 3


def test_pause_resume_disable_and_remove_change_what_stands_in_the_list(db: Path) -> None:
    lines(call("endpoints", "add", "crm", "--url", URL, *HOOK, "--db", db, "--json"))
    for word, state in (("pause", "paused"), ("resume", "active"), ("disable", "disabled")):
        (row,) = lines(call("endpoints", word, "crm", "--db", db, "--json"))
        assert row["state"] == state
        assert lines(call("endpoints", "list", "--db", db, "--json"))[0]["state"] == state
    lines(call("endpoints", "remove", "crm", "--db", db, "--json"))
    assert lines(call("endpoints", "list", "--db", db, "--json")) == []


def test_another_sink_key_is_one_clear_line(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines(call("endpoints", "add", "crm", "--url", URL, *HOOK, "--db", db, "--json"))
    monkeypatch.setenv("FOREWARN_SINK_KEY", "quite another sink key")
    refused = call("endpoints", "render", "crm", "--db", db)
    assert refused.exit_code == 2
    assert "another sink key" in refused.output


def test_a_secret_from_standard_input_is_sealed_and_used(db: Path, receiver: RecordingServer) -> None:
    login = ("--auth", "bearer", "--auth-secret", "-")
    lines(call("endpoints", "add", "crm", *near(receiver), *login, "--db", db, "--json", text="a login\n"))
    lines(call("endpoints", "test", "crm", "--db", db, "--json"))
    assert receiver.calls[0][0]["authorization"] == "Bearer a login"
    assert b"a login" not in db.read_bytes()


@pytest.fixture
def failed(db: Path, receiver: RecordingServer) -> Callable[[], list[dict[str, object]]]:
    """Add an endpoint whose receiver refuses three alerts, and return a list of what became of them."""
    lines(call("endpoints", "add", "crm", *near(receiver), "--db", db, "--json"))
    with Sink.open(db) as sink:
        sink.record([told(number, "fired", BEGAN_MS) for number in range(3)], ContactRules(), int(time.time() * 1_000))
    receiver.status = 422
    (tally,) = lines(call("dispatcher", "--db", db, "--once", "--json"))
    assert tally["failed"] == 3
    return lambda: lines(call("deliveries", "list", "--db", db, "--json"))


@pytest.mark.slow
def test_what_failed_is_listed_shown_and_recovered(
    db: Path, receiver: RecordingServer, failed: Callable[[], list[dict[str, object]]]
) -> None:
    rows = failed()
    assert {(row["state"], row["attempts"]) for row in rows} == {("failed", 1)}
    (shown,) = lines(call("deliveries", "show", str(rows[0]["delivery_id"])[:12], "--db", db, "--json"))
    assert [attempt["status"] for attempt in shown["attempts_made"]] == [422]
    receiver.status = 204
    again = call("deliveries", "resend", str(rows[0]["delivery_id"]), "--db", db, "--json")
    assert lines(again)[0]["state"] == "pending"
    words = ("deliveries", "recover", "--endpoint", "crm", "--since", "2020-01-01", "--db", db, "--json")
    assert lines(call(*words)) == [{"endpoint": "crm", "recovered": 2}]
    (tally,) = lines(call("dispatcher", "--db", db, "--once", "--json"))
    assert tally["delivered"] == 3
    assert {row["state"] for row in failed()} == {"delivered"}


@pytest.mark.slow
def test_a_receiver_that_is_gone_is_told_of_at_another_endpoint_signed_and_without_secrets(
    db: Path, receiver: RecordingServer
) -> None:
    (crm,) = lines(call("endpoints", "add", "crm", *near(receiver), "--db", db, "--json"))
    with receiving() as other:
        (ops,) = lines(call("endpoints", "add", "ops", *near(other), "--channel", "ops", "--db", db, "--json"))
        with Sink.open(db) as sink:
            sink.record([told(1, "fired", BEGAN_MS)], ContactRules(), int(time.time() * 1_000))
        receiver.status = 410
        done = call("dispatcher", "--db", db, "--once", "--json", "--endpoint", "crm", "--warn-endpoint", "ops")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["failed"] == 1
    assert "endpoint crm is disabled" in done.stderr
    (headers, body) = other.calls[0]
    message = Webhook(ops["secret"]).verify(body, headers)
    assert message["type"] == "endpoint.disabled"
    assert message["data"]["endpoint"] == "crm"
    assert crm["secret"] not in done.output + body.decode()


def test_times_the_wrong_way_round_and_unknown_deliveries_are_said(db: Path) -> None:
    lines(call("endpoints", "add", "crm", "--url", URL, *HOOK, "--db", db, "--json"))
    words = ("deliveries", "recover", "--endpoint", "crm", "--since", "2024-02-01", "--until", "2024-01-01")
    assert call(*words, "--db", db).exit_code == 3
    assert call("deliveries", "show", "d_0000", "--db", db).exit_code == 3


def test_a_dispatcher_without_a_database_says_so(tmp_path: Path) -> None:
    missing = call("dispatcher", "--db", tmp_path / "none.db", "--once")
    assert missing.exit_code == 4
    assert "none.db" in missing.output

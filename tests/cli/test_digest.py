"""`forewarn digest` as it is typed: printed, as JSON, and sent once to a mail server that is there."""

from pathlib import Path

import pytest

from streams.core.contracts.outputs import rfc3339
from streams.core.times import DAY_MS
from tests.cli.calling import call, lines
from tests.sink.alerts_told import BEGAN_MS
from tests.sink.digest.mail_server import MailServer
from tests.sink.digest.test_digest_rows import filled

AT = rfc3339(BEGAN_MS + DAY_MS)
RULES = """
[managers.am_1]
email = "one@operator.example"
[managers.am_2]
email = "two@operator.example"
language = "zh"
time_zone = "Asia/Shanghai"
[managers.am_3]
email = "three@operator.example"
"""


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a command's words on a filled database, with rules of contact in force."""
    rules = tmp_path / "contact.toml"
    rules.write_text(RULES, "utf-8")
    monkeypatch.setenv("FOREWARN_CONTACT", str(rules))
    return ["digest", "--db", filled(str(tmp_path / "alerts.db")), "--at", AT]


def mail_at(monkeypatch: pytest.MonkeyPatch, server: MailServer) -> None:
    monkeypatch.setenv("FOREWARN_SMTP", f"127.0.0.1:{server.port}")
    monkeypatch.setenv("FOREWARN_SMTP_TLS", "none")
    monkeypatch.setenv("FOREWARN_SMTP_FROM", "forewarn@operator.example")


def test_a_digest_is_printed_for_each_manager_who_has_something_to_be_told(words: list[str]) -> None:
    printed = call(*words)
    assert printed.exit_code == 0, printed.output
    assert "To: am_1" in printed.output
    assert "Worse (1)" in printed.output
    assert "To: am_2" in printed.output
    assert "am_3" not in printed.output
    told = lines(call(*words, "--json", "--manager", "am_2"))
    assert [(one["account_manager_id"], one["parts"][0]["section"]) for one in told] == [("am_2", "new")]


def test_a_digest_is_sent_once_however_often_it_is_asked_for(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with MailServer() as server:
        mail_at(monkeypatch, server)
        assert call(*words, "--send").exit_code == 0
        again = call(*words, "--send")
    assert again.exit_code == 0
    assert again.output.count("mail was sent before") == 2
    assert sorted(server.recipients) == ["one@operator.example", "two@operator.example"]


def test_one_that_is_refused_holds_up_no_other_and_is_sent_the_next_time(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with MailServer(refuses=frozenset({"one@operator.example"})) as server:
        mail_at(monkeypatch, server)
        refused = call(*words, "--send")
    assert refused.exit_code == 3
    assert "one@operator.example" not in refused.output
    assert server.recipients == ["two@operator.example"]
    with MailServer() as server:
        mail_at(monkeypatch, server)
        assert call(*words, "--send").exit_code == 0
    assert server.recipients == ["one@operator.example"]


def test_without_a_mail_server_or_with_an_unknown_manager_one_line_says_so(words: list[str]) -> None:
    for more, code, expected in ((["--send"], 2, "smtp is missing"), (["--manager", "am_9"], 3, "am_9")):
        refused = call(*words, *more)
        assert refused.exit_code == code
        assert expected in refused.output
        assert "Traceback" not in refused.output

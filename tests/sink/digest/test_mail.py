"""Digests by mail, to a server that is there; and to chats, as far as that goes without one."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from threading import Thread
from typing import Any

import pytest
import trustme

from streams.shared.errors import InputError, SettingsError
from streams.shared.settings import Secret, SmtpTls
from streams.sink.digest import chat
from streams.sink.digest.chat import send_chat
from streams.sink.digest.mail import MailRefusedError, Smtp, compose_mail, mailer, send_mail
from streams.sink.digest.words import DigestText
from tests.sink.digest.mail_server import MailServer

WRITTEN = DigestText(subject="Forewarn: 3 alerts", text="Höher\n.\nthe end\n", html="<p>Höher</p>\n")
TO = "manager@operator.example"


def smtp(server: MailServer, tls: SmtpTls = "none", **more: Any) -> Smtp:
    return Smtp(host="127.0.0.1", port=server.port, sender="forewarn@operator.example", tls=tls, **more)


def deliver(to: Smtp, recipient: str = TO) -> None:
    mail = compose_mail(WRITTEN, to=recipient, sender=to.sender, digest_id="digest-1-ab", now_ms=1_728_036_000_000)
    with mailer(to) as server:
        send_mail(server, mail)


def test_a_digest_arrives_as_text_and_page_with_an_id_that_stays() -> None:
    with MailServer() as server:
        deliver(smtp(server))
        deliver(smtp(server))
    first, second = server.mails
    assert server.recipients == [TO, TO]
    assert first["Message-ID"] == second["Message-ID"] == "<digest-1-ab@operator.example>"
    assert first["From"] == "forewarn@operator.example"
    assert first["Subject"] == WRITTEN.subject
    assert first["List-Unsubscribe"].strip() == "<mailto:forewarn@operator.example?subject=unsubscribe%20digest-1-ab>"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Date"] == "Fri, 04 Oct 2024 10:00:00 +0000"
    plain, page = first.get_body(("plain",)), first.get_body(("html",))
    assert plain is not None
    assert page is not None
    assert plain.get_content().replace("\r\n", "\n") == WRITTEN.text
    assert page.get_content().replace("\r\n", "\n") == WRITTEN.html


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Return an authority that this process trusts."""
    ca = trustme.CA()
    made = ssl.create_default_context

    def trusting(*args: Any, **options: Any) -> ssl.SSLContext:
        context = made(*args, **options)
        ca.configure_trust(context)
        return context

    monkeypatch.setattr(ssl, "create_default_context", trusting)
    return ca


def server_side(ca: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize(("tls", "at_once"), [("starttls", False), ("tls", True)])
def test_who_we_are_is_said_over_an_encrypted_connection_only(
    authority: trustme.CA, tls: SmtpTls, at_once: bool
) -> None:
    with MailServer(tls=server_side(authority), at_once=at_once, login=("robot", "secret")) as server:
        deliver(smtp(server, tls, user="robot", password=Secret(b"secret")))
        with pytest.raises(SettingsError, match=r"smtp_user, smtp_password: .* does not take them"):
            deliver(smtp(server, tls, user="robot", password=Secret(b"wrong")))
    assert server.encrypted == [True]


@pytest.mark.parametrize(("tls", "at_once"), [("starttls", False), ("tls", True)])
def test_a_certificate_that_nobody_vouches_for_is_refused(tls: SmtpTls, at_once: bool) -> None:
    with (
        MailServer(tls=server_side(trustme.CA()), at_once=at_once) as server,
        pytest.raises(SettingsError, match="smtp"),
    ):
        deliver(smtp(server, tls))
    assert server.mails == []


def test_a_server_that_cannot_encrypt_is_told_nothing() -> None:
    with MailServer() as server, pytest.raises(SettingsError, match="smtp_tls") as refused:
        deliver(smtp(server, "starttls", user="robot", password=Secret(b"secret")))
    assert "none" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert server.mails == []


def test_a_refusal_of_one_address_names_nobody() -> None:
    with MailServer(refuses=frozenset({TO})) as server, pytest.raises(MailRefusedError) as refused:
        deliver(smtp(server))
    assert TO not in str(refused.value)
    assert "550" in str(refused.value)


def test_no_server_gives_one_clear_line() -> None:
    with MailServer() as server:
        gone = smtp(server)
    with pytest.raises(SettingsError, match=r"smtp: no mail server answers at 127\.0\.0\.1:"):
        deliver(gone)


@pytest.mark.parametrize("address", ["", "nobody", "a@b\r\nBcc: x@y.example", "a b@c.example", "@", "ä@b.example"])
def test_an_address_that_is_none_is_refused_before_anything_is_sent(address: str) -> None:
    with pytest.raises(SettingsError, match="should be an address"):
        compose_mail(WRITTEN, to=address, sender="forewarn@operator.example", digest_id="d", now_ms=0)


class ChatHandler(BaseHTTPRequestHandler):
    """A chat that takes posts, or sends them elsewhere."""

    server: Any

    def do_POST(self) -> None:
        self.server.posts.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - as above

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
        pass


@contextmanager
def chatting(status: int) -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), ChatHandler) as server:
        server.posts, server.status = [], status  # type: ignore[attr-defined]  # for the handler above
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.slow  # Importing apprise takes a second.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # apprise's own, of what Python 3.13 no longer has
def test_a_digest_arrives_in_a_chat_once_and_no_redirect_is_followed() -> None:
    pytest.importorskip("apprise", reason="the extra `chat` is not installed")
    with chatting(200) as taking:
        send_chat(WRITTEN, f"json://127.0.0.1:{taking.server_port}/?retry=3")
    with chatting(302) as elsewhere, pytest.raises(InputError, match="did not take"):
        send_chat(WRITTEN, f"json://127.0.0.1:{elsewhere.server_port}/?redirect=yes")
    assert len(taking.posts) == len(elsewhere.posts) == 1
    assert "Höher" in json.loads(taking.posts[0])["message"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as above
def test_an_address_of_no_chat_is_refused_without_showing_it() -> None:
    pytest.importorskip("apprise", reason="the extra `chat` is not installed")
    with pytest.raises(SettingsError) as refused:
        send_chat(WRITTEN, "nosuchthing://token-123")
    assert "token-123" not in str(refused.value)


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        return import_module(f"no_such_{name}")

    monkeypatch.setattr(chat, "import_module", missing)
    with pytest.raises(SettingsError, match=r"forewarn\[chat\]"):
        send_chat(WRITTEN, "json://127.0.0.1/")


def test_the_sender_may_have_a_name() -> None:
    mail = compose_mail(WRITTEN, to=TO, sender="Forewarn <robot@operator.example>", digest_id="d-1", now_ms=0)
    assert mail["From"] == "Forewarn <robot@operator.example>"
    assert mail["Message-ID"] == "<d-1@operator.example>"
    assert mail["List-Unsubscribe"].startswith("<mailto:robot@operator.example?")

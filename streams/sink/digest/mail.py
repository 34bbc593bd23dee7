"""A digest by mail: text and page in one message, whose id says whether it was sent before (RFC 5322, RFC 2369)."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from streams.shared.errors import InputError, SettingsError
from streams.shared.settings import Secret, SmtpTls
from streams.sink.digest.words import DigestText

TIMEOUT_S: Final = 20.0


class Smtp(Struct, frozen=True, kw_only=True):
    """Where mail is handed over, who we are there, and from whom it comes."""

    host: str
    port: int
    sender: str
    tls: SmtpTls = "starttls"
    user: str | None = None
    password: Secret | None = None


class MailRefusedError(InputError):
    """A server took this mail from us for nobody; another one may go."""


def compose_mail(written: DigestText, *, to: str, sender: str, digest_id: str, now_ms: int) -> EmailMessage:
    """Return a digest as a mail; its id and its day are the same whenever it is composed.

    Raises:
        SettingsError: an address is none.
    """
    ours = _address(sender, "smtp_from")
    message = EmailMessage()
    message["From"] = ours
    message["To"] = _address(to, "an account manager's email")
    message["Subject"] = written.subject
    message["Date"] = format_datetime(datetime.fromtimestamp(now_ms / 1000, UTC))
    message["Message-ID"] = f"<{digest_id}@{ours.domain}>"
    message["List-Unsubscribe"] = f"<mailto:{quote(ours.addr_spec, safe='@')}?subject=unsubscribe%20{quote(digest_id)}>"
    message["List-Id"] = f"Forewarn digests <digests.{ours.domain}>"
    # So that no out-of-office note comes back.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(written.text, cte="quoted-printable")
    message.add_alternative(written.html, subtype="html", cte="quoted-printable")
    return message


@contextmanager
def mailer(smtp: Smtp) -> Iterator[smtplib.SMTP]:
    """Give a connection to the mail server, encrypted and known to it as the settings say.

    Raises:
        SettingsError: there is none; the message names the setting that is probably wrong.
    """
    where = f"{smtp.host}:{smtp.port}"
    try:
        context = ssl.create_default_context()
        if smtp.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(smtp.host, smtp.port, timeout=TIMEOUT_S)
    except ssl.SSLError as error:
        raise SettingsError(f"smtp_tls: {where} does not speak TLS that can be trusted: {_plain(error)}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise SettingsError(f"smtp: no mail server answers at {where}: {_plain(error)}") from error
    try:
        _introduce(server, smtp, context, where)
        yield server
    finally:
        # What was taken is taken, whether or not the server hears our farewell.
        with suppress(OSError, smtplib.SMTPException):
            server.quit()
        server.close()


def _introduce(server: smtplib.SMTP, smtp: Smtp, context: ssl.SSLContext, where: str) -> None:
    try:
        if smtp.tls == "starttls":
            server.starttls(context=context)
        if smtp.user is not None and smtp.password is not None:
            server.login(smtp.user, smtp.password.reveal.decode("utf-8"))
    except smtplib.SMTPAuthenticationError as error:
        raise SettingsError(f"smtp_user, smtp_password: {where} does not take them") from error
    except smtplib.SMTPNotSupportedError as error:
        raise SettingsError(
            f"smtp_tls: {where} cannot do what is asked of it: {_plain(error)}",
            hint="it is starttls, tls, or, for a server on this machine, none",
        ) from error
    except ssl.SSLError as error:
        raise SettingsError(f"smtp_tls: {where} does not speak TLS that can be trusted: {_plain(error)}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise SettingsError(f"smtp: {where} broke off: {_plain(error)}") from error


def send_mail(server: smtplib.SMTP, message: EmailMessage) -> None:
    """Hand one mail over.

    Raises:
        MailRefusedError: the server does not take it; the words name nobody.
    """
    try:
        server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code = next(iter(error.recipients.values()))[0]
        raise MailRefusedError(f"the mail server does not take the account manager's address ({code})") from error
    except (smtplib.SMTPException, OSError) as error:
        why = f"{type(error).__name__} {getattr(error, 'smtp_code', '')}".strip()
        raise MailRefusedError(f"the mail server did not take the digest: {why}") from error


def _address(text: str, where: str) -> Address:
    try:
        name, plain = parseaddr(text) if "<" in text else ("", text)
        found = Address(name, addr_spec=plain)
    except (ValueError, MessageError, IndexError) as error:
        raise SettingsError(f"{where} should be an address such as retention@operator.example") from error
    if not found.domain or not text.isascii():
        raise SettingsError(f"{where} should be an address such as retention@operator.example")
    return found


def _plain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__

"""Joins the daily digest: contact rules, the database, the mail server, and chats."""

import os
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from smtplib import SMTP
from typing import Any, Final

import msgspec
from msgspec import Struct

from streams.app.contact import contact_rules
from streams.app.deliveries import now_ms
from streams.core.notify.contact import Manager
from streams.core.times import DAY_MS
from streams.shared.errors import InputError, SettingsError
from streams.shared.settings import Settings
from streams.sink.digest.chat import send_chat
from streams.sink.digest.digest import CATCH_UP_MS, Digest, digest_of, local_day
from streams.sink.digest.mail import Smtp, compose_mail, mailer, send_mail
from streams.sink.digest.words import DigestText, as_json, write_digest
from streams.sink.secrets.vault import reference
from streams.store.outbox.digest_rows import DigestStore, SentDigest

MAIL: Final = "mail"
CHAT: Final = "chat"


class DigestResult(Struct, frozen=True, kw_only=True):
    """One manager's digest, where it went, and what was wrong."""

    manager: str
    text: str
    as_json: dict[str, Any]
    went: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def digests(
    settings: Settings, *, at_ms: int | None, managers: Sequence[str], top: int, send: bool
) -> list[DigestResult]:
    """Return what the managers are told at a moment (ms, None for now), and with `send` tell them.

    A manager whose mail or chat does not take it is passed over, and said in `failed`.

    Raises:
        SettingsError: the contact rules or the settings of mail cannot be used.
        InputError: a manager is none of the contact rules.
        StoreError: the database cannot be read.
    """
    rules = contact_rules(settings)
    for name in managers:
        if name not in rules.managers:
            raise InputError(f"the contact rules know no account manager {name}", hint="see [managers] in their file")
    chosen = {name: rules.managers[name] for name in managers or sorted(rules.managers)}
    until_ms = now_ms() if at_ms is None else at_ms
    results: list[DigestResult] = []
    with DigestStore.open(settings.database) as book, ExitStack() as stack:
        post = _DigestSender(settings, book, stack) if send else None
        for name, manager in chosen.items():
            channels = [*([MAIL] if manager.email else []), *([CHAT] if manager.chat else [])] or [MAIL]
            for channel in channels if send else channels[:1]:
                found = _digest(book, name, manager, channel, until_ms=until_ms, top=top)
                if found is not None:
                    words = write_digest(found, manager.language)
                    one = DigestResult(manager=name, text=words.text, as_json=as_json(found))
                    results.append(one if post is None else post.deliver(one, manager, channel, found, words))
    return results


def refuse_unsent(results: Collection[DigestResult]) -> None:
    """Say that some digests did not arrive.

    Raises:
        InputError: some did not.
    """
    failed = [f"{one.manager}: {why}" for one in results for why in one.failed]
    if failed:
        raise InputError(f"{len(failed)} digests were not sent; {failed[0]}", hint="give the same command again")


class _DigestSender:
    """Sends digests, over one connection to the mail server, and notes what was sent."""

    def __init__(self, settings: Settings, book: DigestStore, stack: ExitStack) -> None:
        self._settings = settings
        self._book = book
        self._stack = stack
        self._server: SMTP | None = None

    def deliver(
        self, one: DigestResult, manager: Manager, channel: str, digest: Digest, words: DigestText
    ) -> DigestResult:
        if self._book.is_sent(one.manager, channel, digest.day):
            return msgspec.structs.replace(one, went=(f"{channel} was sent before",))
        try:
            message_id = (
                self._send_mail(manager, digest, words) if channel == MAIL else self._send_chat(manager, digest, words)
            )
        except InputError as error:
            return msgspec.structs.replace(one, failed=(str(error),))
        self._book.note_sent(
            SentDigest(
                account_manager_id=one.manager,
                channel=channel,
                day=digest.day,
                until_ms=digest.until_ms,
                message_id=message_id,
                sent_ms=now_ms(),
            )
        )
        return msgspec.structs.replace(one, went=(channel,))

    def _send_mail(self, manager: Manager, digest: Digest, words: DigestText) -> str:
        smtp = smtp_of(self._settings)
        if manager.email is None:
            raise InputError("the contact rules give neither email nor chat")
        message = compose_mail(
            words, to=manager.email, sender=smtp.sender, digest_id=digest.digest_id, now_ms=digest.until_ms
        )
        if self._server is None:
            self._server = self._stack.enter_context(mailer(smtp))
        send_mail(self._server, message)
        return str(message["Message-ID"])

    def _send_chat(self, manager: Manager, digest: Digest, words: DigestText) -> str:
        send_chat(words, reference(manager.chat or "", os.environ))
        return digest.digest_id


def smtp_of(settings: Settings) -> Smtp:
    """Return how mail is sent.

    Raises:
        SettingsError: a setting is missing.
    """
    for name in ("smtp", "smtp_from"):
        if getattr(settings, name) is None:
            raise SettingsError(f"{name} is missing, and mail needs it", hint=f"set FOREWARN_{name.upper()}")
    host, _, port = str(settings.smtp).rpartition(":")
    return Smtp(
        host=host.strip("[]"),
        port=int(port),
        sender=str(settings.smtp_from),
        tls=settings.smtp_tls,
        user=settings.smtp_user,
        password=settings.smtp_password,
    )


def _digest(book: DigestStore, name: str, manager: Manager, channel: str, *, until_ms: int, top: int) -> Digest | None:
    last = book.newest_before(name, channel, local_day(until_ms, manager.time_zone))
    since_ms = until_ms - DAY_MS if last is None else max(last.until_ms, until_ms - CATCH_UP_MS)
    matters = book.matters([name], since_ms, until_ms)[name]
    return digest_of(name, matters, since_ms=since_ms, until_ms=until_ms, time_zone=manager.time_zone, top=top)

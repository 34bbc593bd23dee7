"""A mail server on loopback that keeps what it was handed: EHLO, STARTTLS, AUTH, and answers that a test chooses."""

import asyncio
import ssl
import threading
from base64 import b64decode
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self, cast


class MailServer:
    """Runs in a thread of its own for as long as the `with` statement lasts."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        at_once: bool = False,
        login: tuple[str, str] | None = None,
        refuses: frozenset[str] = frozenset(),
    ) -> None:
        """Offer STARTTLS with `tls`, or begin encrypted `at_once`; ask for a `login`; refuse some recipients."""
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.encrypted: list[bool] = []
        self.port = 0
        self._tls, self._at_once, self._login, self._refuses = tls, at_once, login, refuses
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=self._tls if self._at_once else None)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            self._listening.set()
            await self._stopping.wait()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_known, is_encrypted, to = self._login is None, self._at_once, ""
        writer.write(b"220 mail ESMTP\r\n")
        while line := await reader.readline():
            word, _, rest = line.decode().strip().partition(" ")
            answer = "250 fine"
            if word.upper() == "EHLO":
                offers = ["STARTTLS"] if self._tls is not None and not is_encrypted else []
                offers += ["AUTH PLAIN"] if self._login is not None else []
                answer = "\r\n".join([*(f"250-{offer}" for offer in ["mail", *offers]), "250 8BITMIME"])
            elif word.upper() == "STARTTLS":
                writer.write(b"220 go on\r\n")
                await writer.drain()
                await writer.start_tls(cast("ssl.SSLContext", self._tls))
                is_encrypted = True
                continue
            elif word.upper() == "AUTH":
                said = b64decode(rest.removeprefix("PLAIN ")).decode().split("\0")[1:]
                is_known = tuple(said) == self._login
                answer = "235 welcome" if is_known else "535 no"
            elif word.upper() == "MAIL":
                answer = "250 fine" if is_known else "530 who are you"
            elif word.upper() == "RCPT":
                to = rest[rest.index("<") + 1 : rest.index(">")]
                answer = "550 nobody" if to in self._refuses else "250 fine"
            elif word.upper() == "DATA":
                writer.write(b"354 go on\r\n")
                body = await reader.readuntil(b"\r\n.\r\n")
                self._keep(body[: -len(b".\r\n")], to, is_encrypted=is_encrypted)
            elif word.upper() == "QUIT":
                answer = "221 farewell"
            writer.write(answer.encode() + b"\r\n")
            if word.upper() == "QUIT":
                break
        writer.close()

    def _keep(self, body: bytes, to: str, *, is_encrypted: bool) -> None:
        kept: Any = message_from_bytes(body.replace(b"\r\n..", b"\r\n."), policy=policy.default)
        self.mails.append(kept)
        self.recipients.append(to)
        self.encrypted.append(is_encrypted)

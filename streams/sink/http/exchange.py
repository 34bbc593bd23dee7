"""One HTTP/1.1 exchange without its connection: the head of a request as bytes, and an answer read from bytes.

`httptools` reads, as strictly as its parser does by itself; this module adds what a client of webhooks needs.
Standard: RFC 9110, RFC 9112.
"""

import re
from collections.abc import Iterable
from typing import Final

import httptools

HEAD_BYTES_MAX: Final = 65_536
"""Of a status line and headers, those of interim answers with them."""

_METHOD: Final = re.compile(r"[A-Z]+")
_TARGET: Final = re.compile(r"[\x21-\x7e]+")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"(?:[^\x00-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?")
_INTERIM: Final = range(100, 200)


class UnsendableError(Exception):
    """What was to be sent is no request of HTTP."""


class CutOffError(Exception):
    """The connection was closed before the answer."""


class GarbledError(Exception):
    """What came is no answer of HTTP."""


def head_of(method: str, target: str, headers: Iterable[tuple[str, str]], body_bytes: int) -> bytes:
    r"""Return a request up to its body.

    Raises:
        UnsendableError: a part has characters that would end it, or that HTTP does not take; it is not quoted, as it
            may be a secret.

    >>> head_of("POST", "/hook", [("Host", "crm.example")], 2)
    b'POST /hook HTTP/1.1\r\nHost: crm.example\r\nContent-Length: 2\r\n\r\n'
    """
    if not (_METHOD.fullmatch(method) and _TARGET.fullmatch(target)):
        raise UnsendableError("the method or the address has characters that HTTP does not take")
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in headers:
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise UnsendableError("a header has characters that HTTP does not take")
        lines.append(f"{name}: {value}")
    lines.append(f"Content-Length: {body_bytes}\r\n\r\n")
    try:
        return "\r\n".join(lines).encode()
    except UnicodeEncodeError:
        raise UnsendableError("a header has characters that HTTP does not take") from None


class ResponseParser:
    """An answer as far as it has come: `status` is None until its head is there, `body` at least its beginning.

    It is done when all of it has come, or as much of the body as is wanted.
    """

    def __init__(self, body_bytes_max: int) -> None:
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.is_done = self.is_reusable = False
        self._body_bytes_max = body_bytes_max
        self._head_bytes = 0
        self._parser = httptools.HttpResponseParser(self)

    def take(self, data: bytes) -> None:
        """Read on; no data say that the other side has closed.

        Raises:
            CutOffError: it closed too early.
            GarbledError: this is no answer.
        """
        if not data:
            self._end_at_close()
            return
        if self.status is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.is_reusable = False
            if not self.is_done:
                raise GarbledError("the answer is not HTTP") from None
        if self.status is None and self._head_bytes > HEAD_BYTES_MAX:
            raise GarbledError("the answer is not HTTP: its head has no end")
        if len(self.body) >= self._body_bytes_max:
            self.is_done = True
        if self.is_done:
            del self._parser  # It knows this object, and so would keep it until the garbage is collected.

    def _end_at_close(self) -> None:
        """The end of the connection is the end of a body whose length nobody gave."""
        names = {name.lower() for name, _ in self.headers}
        if self.status is None or names & {b"content-length", b"transfer-encoding"}:
            raise CutOffError("the connection was closed before the answer")
        self.is_done = True

    def on_message_begin(self) -> None:
        """Begin an answer: the first, the one after an interim one, or one that nobody asked for."""
        self.is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in one header; what follows a body is none."""
        if self.status is None:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Know the status, unless a better one follows."""
        if self.status is not None:
            return
        status = self._parser.get_status_code()
        if status in _INTERIM:
            self.headers.clear()
        else:
            self.status = status

    def on_body(self, body: bytes) -> None:
        """Take in a part of the body."""
        if not self.is_done:
            self.body += body

    def on_message_complete(self) -> None:
        """Note that nothing is missing, and whether the connection can be used again."""
        if self.status is not None and not self.is_done:
            self.is_done, self.is_reusable = True, self._parser.should_keep_alive()

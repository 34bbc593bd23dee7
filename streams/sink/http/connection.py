"""One connection on asyncio's own sockets, plain or under TLS, that knows whether anything was sent over it.

Time limits are the caller's, over the whole call: those of single reads would let a receiver drip for hours.
"""

import asyncio
import socket
import ssl
from typing import Any, Final, cast

UNREAD_BYTES_MAX: Final = 65_536
"""How much is taken in before somebody reads it; then the sender has to wait."""


class UnconnectedError(Exception):
    """There is no connection over which anything could be sent."""


class ConnectTimeoutError(UnconnectedError):
    """There was none in time."""


class TlsError(UnconnectedError):
    """No TLS: the server is not who it should be, or speaks something else."""


class HttpConnection:
    """A connection; `is_used` says whether anything was sent since `rest` was called."""

    def __init__(self, transport: asyncio.Transport, intake: "_Intake") -> None:
        self._transport = transport
        self._intake = intake
        self.is_used = False

    def rest(self) -> None:
        """Begin a new request."""
        self.is_used = False

    @property
    def is_over(self) -> bool:
        """Whether the other side closed it, or said something that nobody asked for."""
        return self._intake.is_over or bool(self._intake.unread)

    @property
    def peer(self) -> tuple[Any, ...]:
        """The address of the other side."""
        return cast("tuple[Any, ...]", self._transport.get_extra_info("peername"))

    def send(self, data: bytes) -> None:
        """Send this in one piece, without waiting."""
        self.is_used = True
        self._transport.write(data)

    async def read(self) -> bytes:
        """Return what comes; nothing where the other side closed."""
        return await self._intake.take()

    def close(self) -> None:
        """Close it at once: nothing that anybody waits for is under way."""
        self._transport.abort()

    async def start_tls(self, context: ssl.SSLContext, name: str, limit_s: float) -> "HttpConnection":
        """Return this connection under TLS.

        Raises:
            TlsError: the other side is not who it should be.
            ConnectTimeoutError: it was not agreed on in time.
        """
        try:
            async with asyncio.timeout(limit_s):
                transport = await asyncio.get_running_loop().start_tls(
                    self._transport, self._intake, context, server_hostname=name
                )
        except TimeoutError:
            self._transport.abort()
            raise ConnectTimeoutError("TLS was not agreed on in time") from None
        except (OSError, ssl.CertificateError) as error:
            self._transport.abort()
            raise TlsError(_words(error)) from None
        if transport is None:
            raise TlsError("the connection was closed while TLS was agreed on")
        self._intake.transport = transport
        return HttpConnection(transport, self._intake)


async def open_connection(family: socket.AddressFamily, address: tuple[Any, ...]) -> HttpConnection:
    """Return a connection to exactly this address; raises OSError."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        transport, intake = await loop.create_connection(_Intake, sock=sock)
    except BaseException:
        sock.close()
        raise
    return HttpConnection(transport, intake)


class _Intake(asyncio.Protocol):
    """What came in and was not read yet."""

    def __init__(self) -> None:
        self.unread = bytearray()
        self.is_over = False
        self.transport: asyncio.Transport | None = None
        self._is_paused = False
        self._waiting: asyncio.Future[None] | None = None

    async def take(self) -> bytes:
        """Return what is there, after waiting if there is nothing; nothing where nothing will come."""
        if not self.unread and not self.is_over:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        data = bytes(self.unread)
        self.unread.clear()
        if self._is_paused and self.transport is not None:
            self._is_paused = False
            self.transport.resume_reading()
        return data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.unread += data
        if self.transport is not None and len(self.unread) >= UNREAD_BYTES_MAX:
            self._is_paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self.is_over = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - who reads learns that it is over
        self.is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {error.reason or 'it speaks something else'}"
    return "the connection was closed while TLS was agreed on"

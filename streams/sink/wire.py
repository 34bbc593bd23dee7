"""One connection as httpcore wants it, on asyncio's own sockets: what is written goes out when an answer is waited for.

Head and body of a request leave in one piece this way, and the connection knows whether anything of it left at all.
Time limits are the caller's, over the whole call: those of single reads would let a receiver drip for hours.
"""

import asyncio
import socket
import ssl
from typing import Any, Final, cast

import httpcore

UNREAD_BYTES_MAX: Final = 65_536
"""How much is taken in before somebody reads it; then the sender has to wait."""


class Wire(httpcore.AsyncNetworkStream):
    """A connection; `is_used` says whether anything was sent since `rest` was called."""

    def __init__(self, transport: asyncio.Transport, intake: "_Intake") -> None:
        self._transport = transport
        self._intake = intake
        self._unsent: list[bytes] = []
        self.is_used = False

    def rest(self) -> None:
        """Begin a new request."""
        self.is_used = False
        self._unsent.clear()

    @property
    def is_over(self) -> bool:
        """Whether the other side closed it, or said something that nobody asked for."""
        return self._intake.is_over or bool(self._intake.unread)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109 - httpcore's
        """Send what was written, and return what comes; nothing where the other side closed."""
        if self._unsent:
            self.is_used = True
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()
        return await self._intake.taken(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - httpcore's
        """Keep this to be sent with what follows."""
        if buffer:
            self._unsent.append(buffer)

    async def aclose(self) -> None:
        """Close it, as `close` does."""
        self.close()

    def close(self) -> None:
        """Close it at once: nothing that anybody waits for is under way."""
        self._transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the name and the meaning are httpcore's
    ) -> "Wire":
        """Return this connection under TLS; raises TlsError where the other side is not who it should be."""
        try:
            async with asyncio.timeout(timeout):
                transport = await asyncio.get_running_loop().start_tls(
                    self._transport, self._intake, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError:
            self._transport.abort()
            raise httpcore.ConnectTimeout("TLS was not agreed on in time") from None
        except (OSError, ssl.CertificateError) as error:
            self._transport.abort()
            raise TlsError(_words(error)) from None
        if transport is None:
            raise TlsError("the connection was closed while TLS was agreed on")
        self._intake.transport = transport
        return Wire(transport, self._intake)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - each kind of information has its type
        """Return what httpcore or asyncio call by this name."""
        return self.is_over if info == "is_readable" else self._transport.get_extra_info(info)


class TlsError(httpcore.ConnectError):
    """No TLS: the server is not who it should be, or speaks something else."""


async def opened(family: socket.AddressFamily, address: tuple[Any, ...]) -> Wire:
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
    return Wire(transport, intake)


class _Intake(asyncio.Protocol):
    """What came in and was not read yet."""

    def __init__(self) -> None:
        self.unread = bytearray()
        self.is_over = False
        self.transport: asyncio.Transport | None = None
        self._is_paused = False
        self._waiting: asyncio.Future[None] | None = None

    async def taken(self, bytes_max: int) -> bytes:
        """Return what is there, after waiting if there is nothing; nothing where nothing will come."""
        if not self.unread and not self.is_over:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        data = bytes(self.unread[:bytes_max])
        del self.unread[:bytes_max]
        if self._is_paused and self.transport is not None and len(self.unread) < UNREAD_BYTES_MAX:
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

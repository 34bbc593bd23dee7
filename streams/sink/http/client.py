"""Sends requests and brings back answers, whatever happens: a failure is an answer too.

Each endpoint has a pool of connections of its own, so that one that hangs takes none from another.  Each socket checks
its address when it is opened.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Final

from streams.core.notify.endpoints import Endpoint
from streams.core.notify.retry import Answer, Failure
from streams.shared.errors import SettingsError
from streams.sink.http.addresses import networks
from streams.sink.http.connection import ConnectTimeoutError, HttpConnection, TlsError, UnconnectedError
from streams.sink.http.egress import (
    CONNECT_S,
    POLICY,
    BlockedError,
    Gate,
    Origin,
    Resolver,
    SystemResolver,
    UnresolvedError,
    origin_of,
    tls_context,
)
from streams.sink.http.exchange import CutOffError, GarbledError, ResponseParser, UnsendableError, head_of
from streams.sink.http.request import Request

ANSWER_BYTES_MAX: Final = 20_000
IDLE_S_MAX: Final = 4.0
"""Receivers close idle connections after 5 s or more: ours are gone before one closes just as we send."""

_RESERVED: Final = frozenset({
    "accept-encoding", "connection", "content-length", "host", "te", "transfer-encoding", "upgrade", "user-agent",
})  # fmt: skip
_AGENT: Final = f"Forewarn/{version('forewarn')}"
_FAILURES: Final[tuple[tuple[type[Exception], Failure], ...]] = (
    (BlockedError, "blocked"),
    (UnresolvedError, "unresolved"),
    (TlsError, "tls"),
    (ConnectTimeoutError, "connect_timeout"),
    (UnconnectedError, "unreachable"),
    (UnsendableError, "unsendable"),
    (GarbledError, "garbled"),
    (CutOffError, "cut_off"),
)


class Client:
    """Sends requests to endpoints; belongs to one event loop.

    `resolve` and `now_s` (seconds since 1970) stand in for the system's in tests.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._tls = tls_context() if tls is None else tls
        self._system = SystemResolver()
        self._resolve = self._system if resolve is None else resolve
        self._now_s = now_s
        self._pools: dict[str, _ConnectionPool] = {}

    async def send(self, request: Request, endpoint: Endpoint, timeout_s: float | None = None) -> Answer:
        """Return the answer to a request, or what kept it from coming; at most 20 kB of the body are read.

        No redirect is followed, and no proxy is asked.  The request has to go to the endpoint's own scheme, host and
        port.  `timeout_s` is for the whole call, the endpoint's unless given.
        """
        try:
            pool = self._pool(endpoint)
            target = pool.target(request.url)
        except SettingsError as error:
            return Answer(failure="blocked", why=str(error))
        async with pool.room:
            return await self._exchange(pool, request, target, endpoint.timeout_s if timeout_s is None else timeout_s)

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        self._system.close()

    def forget(self, name: str) -> None:
        """Close the connections to an endpoint that is no more; those in use when they are done."""
        pool = self._pools.pop(name, None)
        if pool is not None:
            pool.close()

    def _pool(self, endpoint: Endpoint) -> "_ConnectionPool":
        pool = self._pools.get(endpoint.name)
        if pool is None or not pool.is_for(endpoint):
            self.forget(endpoint.name)
            pool = self._pools[endpoint.name] = _ConnectionPool(endpoint, self._resolve, self._tls)
        return pool

    async def _exchange(self, pool: "_ConnectionPool", request: Request, target: str, timeout_s: float) -> Answer:
        call = _Call()
        try:
            async with asyncio.timeout(timeout_s):
                await pool.exchange(call, request, target)
        except TimeoutError:
            failure: Failure = "timed_out" if call.is_sent else "connect_timeout"
            why = f"no answer within {timeout_s:g} s" if call.is_sent else f"not sent within {timeout_s:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is an answer; what is not listed is named
            failure, why = _failure(error, is_sent=call.is_sent)
        else:
            return call.answer(self._now_s)
        # The status had come, and says all that matters.
        return call.answer(self._now_s) if call.reading.status is not None else Answer(failure=failure, why=why)


class _Call:
    """How far a call has come."""

    def __init__(self) -> None:
        self.connection: HttpConnection | None = None
        self.reading = ResponseParser(ANSWER_BYTES_MAX)

    @property
    def is_sent(self) -> bool:
        return self.connection is not None and self.connection.is_used

    def answer(self, now_s: Callable[[], float]) -> Answer:
        headers = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self.reading.headers
        )
        patience = next((value for name, value in headers if name == "retry-after"), None)
        return Answer(
            status=self.reading.status,
            headers=headers,
            body=bytes(self.reading.body[:ANSWER_BYTES_MAX]),
            retry_after_s=None if patience is None else retry_after_s(patience, now_s()),
        )


class _ConnectionPool:
    """The connections to one endpoint; the one used last is used first."""

    def __init__(self, endpoint: Endpoint, resolve: Resolver, tls: ssl.SSLContext) -> None:
        self._endpoint = endpoint
        self._origin: Origin = origin_of(endpoint.url)
        is_plain = self._origin.scheme == "http"
        allowed = networks(endpoint.allow_cidrs if endpoint.allow_http or not is_plain else ())
        self._gate = Gate(allowed, resolve, is_plain=is_plain)
        self._tls = None if is_plain else tls
        self._headers = (
            ("Host", self._origin.authority),
            ("User-Agent", _AGENT),
            ("Accept-Encoding", "identity"),
        )
        self._idle: list[tuple[HttpConnection, float]] = []
        self.room = asyncio.Semaphore(endpoint.in_flight_max)
        self.is_closed = False

    def is_for(self, endpoint: Endpoint) -> bool:
        """Say whether what the connections depend on is as it was."""
        mine = self._endpoint
        return mine is endpoint or (
            mine.url == endpoint.url
            and mine.allow_cidrs == endpoint.allow_cidrs
            and mine.allow_http == endpoint.allow_http
            and mine.in_flight_max == endpoint.in_flight_max
        )

    def target(self, url: str) -> str:
        """Return the path and query of a URL of this endpoint; raises SettingsError if it is another's."""
        if url == self._endpoint.url:
            return self._origin.target
        origin = origin_of(url)
        if (origin.scheme, origin.host, origin.port) != (self._origin.scheme, self._origin.host, self._origin.port):
            raise SettingsError(f"{POLICY}: the request goes to {origin.host}, which is not the endpoint's own host")
        return origin.target

    async def exchange(self, call: _Call, request: Request, target: str) -> None:
        """Send a request and take in the answer, writing down in `call` how far it has come."""
        said = [(name, value) for name, value in request.headers if name.lower() not in _RESERVED]
        head = head_of(request.method, target, (*self._headers, *said), len(request.body))
        connection = call.connection = self._idle_connection() or await self._connect()
        connection.rest()
        try:
            connection.send(head + request.body)
            while not call.reading.is_done:
                call.reading.take(await connection.read())
        except BaseException:
            connection.close()
            raise
        if call.reading.is_reusable and not self.is_closed:
            self._idle.append((connection, time.monotonic() + IDLE_S_MAX))
        else:
            connection.close()

    def close(self) -> None:
        """Close what is idle now, and the others when they are done."""
        self.is_closed = True
        while self._idle:
            self._idle.pop()[0].close()

    def _idle_connection(self) -> HttpConnection | None:
        now_s = time.monotonic()
        while self._idle:
            connection, until_s = self._idle.pop()
            if now_s < until_s and not connection.is_over:
                return connection
            connection.close()
        return None

    async def _connect(self) -> HttpConnection:
        connection = await self._gate.connect(self._origin.host, self._origin.port)
        return connection if self._tls is None else await connection.start_tls(self._tls, self._origin.host, CONNECT_S)


def retry_after_s(value: str, now_s: float) -> float | None:
    """Return how many seconds a `Retry-After` asks for, by number or date; None where it cannot be understood.

    >>> retry_after_s("120", 0.0), retry_after_s("Thu, 01 Jan 1970 00:02:00 GMT", 60.0), retry_after_s("soon", 0.0)
    (120.0, 60.0, None)
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        # More digits than a century has seconds are no number worth reading.
        return float(text) if len(text) <= len("3155760000") else None
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now_s)


def _failure(error: Exception, *, is_sent: bool) -> tuple[Failure, str]:
    for kind, failure in _FAILURES:
        if isinstance(error, kind):
            return failure, str(error)
    return ("cut_off" if is_sent else "unreachable"), f"the connection failed: {type(error).__name__}"

"""Where calls may go: an endpoint's URL is checked when it is added, and every address when its socket is opened.

The second check is what counts.  It resolves a name once, checks each of its addresses, and connects the socket to an
address that it checked: there is no second resolution in which the name could answer differently.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
from msgspec import Struct

from streams.core.notify.endpoints import Endpoint
from streams.shared.errors import SettingsError
from streams.sink.http.addresses import Network, is_listed, networks, refusal
from streams.sink.http.connection import ConnectTimeoutError, HttpConnection, UnconnectedError, open_connection

POLICY: Final = "blocked by the egress policy"
CONNECT_S: Final = 5.0
_LOOKUP_THREADS: Final = 4
_PORTS: Final = {"http": 80, "https": 443}
_UNFIT: Final = re.compile(r"[\x00-\x20\x7f\\]")
_HAS_USER: Final = re.compile(r"[^:/?#]*://[^/?#]*@")
_ENDS_IN_NUMBER: Final = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?$")
_FOUR_NUMBERS: Final = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")

SocketAddress = tuple[socket.AddressFamily, tuple[Any, ...]]
Resolver = Callable[[str, int], Awaitable[list[SocketAddress]]]
"""From a name or literal and a port to the addresses of sockets; raises OSError where there are none."""


class BlockedError(UnconnectedError):
    """The egress policy does not let us call this address."""


class UnresolvedError(UnconnectedError):
    """The name has no address, or nobody could be asked."""


class Origin(Struct, frozen=True):
    """The scheme, the host and the port that an endpoint's URL names, and the path with its query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What the header `Host` says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def origin_of(url: str) -> Origin:
    """Return the parts of a URL that a call is made of.

    Raises:
        SettingsError: it is none for http or https, names no host, or has user information, a fragment, a host that is
            an address in an odd spelling, or characters that no URL has.

    >>> origin_of("https://crm.example/hook?a=1").target
    '/hook?a=1'
    """
    if _UNFIT.search(url):
        raise _setting_error("the URL has blanks, backslashes or control characters")
    try:
        parsed = httpx.URL(url)
        host, port = parsed.raw_host.decode("ascii"), parsed.port
    except (httpx.InvalidURL, ValueError):
        raise _setting_error("the URL cannot be understood") from None
    if parsed.scheme not in _PORTS:
        raise _setting_error("the URL should begin with https://")
    if _HAS_USER.match(url):
        raise _setting_error("the URL has a user or password in it", "give it as the endpoint's auth")
    if "#" in url:
        raise _setting_error("the URL has a fragment, which is never sent")
    if not host or "%" in host:
        raise _setting_error("the URL should name a host")
    if ":" not in host and _ENDS_IN_NUMBER.search(host) and not _FOUR_NUMBERS.fullmatch(host):
        raise _setting_error(f"{host} is an address in an odd spelling", "write it as four numbers")
    if port is not None and not 0 < port < 1 << 16:
        raise _setting_error(f"there is no port {port}")
    return Origin(parsed.scheme, host.removesuffix("."), port or _PORTS[parsed.scheme], parsed.raw_path.decode("ascii"))


def check_url(endpoint: Endpoint, lookup: Callable[[str, int], Iterable[str]] | None = None) -> Origin:
    """Return the parts of an endpoint's URL if nothing speaks against calling it, as far as that can be seen now.

    `lookup` gives the addresses of a name; without it a name is not looked at.

    Raises:
        SettingsError: as `origin_of`; or an address may not be called; or it is not https, and `allow_http` is not set
            or an address is not in the allow list.
    """
    origin, allowed = origin_of(endpoint.url), networks(endpoint.allow_cidrs)
    is_plain = origin.scheme == "http"
    if is_plain and not (endpoint.allow_http and allowed):
        raise _setting_error(
            "without https only addresses of the allow list may be called",
            "use https, or set allow_http and open the range of this address with --allow-cidr (allow_cidrs)",
        )
    for address in _known_addresses(origin, lookup):
        why = refusal(address, allowed) or _why_unlisted(address, allowed, is_plain=is_plain)
        if why is not None:
            raise _setting_error(why, "open its range with --allow-cidr (allow_cidrs) if it is one of yours")
    return origin


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a name as the system knows them, none where it knows none."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


class Gate:
    """Opens sockets to addresses that may be called, and to no others.

    `is_plain` is for calls without TLS: they go to addresses of the allow list alone.
    """

    def __init__(self, allowed: tuple[Network, ...], resolve: Resolver, *, is_plain: bool = False) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._is_plain = is_plain

    async def connect(self, host: str, port: int, limit_s: float = CONNECT_S) -> HttpConnection:
        """Return a connection to the first address of a host that takes it.

        Raises:
            BlockedError: one of its addresses may not be called, whichever would have been taken.
            UnresolvedError: it has none.
            ConnectTimeoutError: no address answered in time.
            UnconnectedError: all addresses refused.
        """
        try:
            async with asyncio.timeout(limit_s):
                found = await self._resolve_host(host, port)
        except TimeoutError:
            raise UnresolvedError(f"{host} was not resolved within {limit_s:g} s") from None
        failure: Exception | None = None
        for family, address in found:
            try:
                async with asyncio.timeout(limit_s / len(found)):
                    return await open_connection(family, address)
            except TimeoutError:
                failure = ConnectTimeoutError(f"no connection within {limit_s:g} s")
            except OSError as error:
                failure = UnconnectedError(f"no connection: {error.strerror or error}")
        raise failure or UnresolvedError(f"{host} has no address")

    async def _resolve_host(self, host: str, port: int) -> list[SocketAddress]:
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            words = error.strerror if isinstance(error, OSError) else None
            raise UnresolvedError(f"{host} cannot be resolved: {words or error}") from None
        for _, address in found:
            text = str(address[0])
            why = refusal(text, self._allowed) or _why_unlisted(text, self._allowed, is_plain=self._is_plain)
            if why is not None:
                raise BlockedError(f"{POLICY}: {why}")
        return found


class SystemResolver:
    """Asks the system in threads of its own, so that a name server that hangs holds up nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="lookup")

    async def __call__(self, host: str, port: int) -> list[SocketAddress]:
        """Return the addresses of a host; raises OSError as `socket.getaddrinfo` does."""
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port)
        return [(family, address) for family, _, _, _, address in found]

    def close(self) -> None:
        """Take no more questions, and wait for no answers."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def tls_context() -> ssl.SSLContext:
    """Return how servers are verified: by the system's authorities (or those of `SSL_CERT_FILE`), for HTTP/1.1."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _look_up(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _known_addresses(origin: Origin, lookup: Callable[[str, int], Iterable[str]] | None) -> Iterable[str]:
    if ":" in origin.host or _FOUR_NUMBERS.fullmatch(origin.host):
        return (origin.host,)
    if origin.host == "localhost" or origin.host.endswith(".localhost"):
        return ("127.0.0.1",)
    return () if lookup is None else lookup(origin.host, origin.port)


def _why_unlisted(address: str, allowed: tuple[Network, ...], *, is_plain: bool) -> str | None:
    if not is_plain or is_listed(address, allowed):
        return None
    return f"{address} is not in the allow list, and without https only its addresses may be called"


def _setting_error(why: str, hint: str | None = None) -> SettingsError:
    return SettingsError(f"{POLICY}: {why}", hint=hint)

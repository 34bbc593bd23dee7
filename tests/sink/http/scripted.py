"""Receivers that say what a test tells them to, on loopback, and one call to them."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Self

from streams.core.notify.endpoints import Endpoint
from streams.core.notify.retry import Answer
from streams.sink.http.client import Client
from streams.sink.http.egress import tls_context
from streams.sink.http.request import Request

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BODY = '{"prix": "5 €"}'.encode()


class ScriptedReceiver:
    """A server on loopback; `requests` are the heads and bodies that it was sent, `opened` counts connections."""

    def __init__(self, handler: Handler | None = None, *answers: bytes) -> None:
        self.requests: list[tuple[list[str], bytes]] = []
        self.opened = 0
        self.answers = list(answers)
        self._handler = handler or self._answer
        self.port = 0

    async def __aenter__(self) -> Self:
        return await self.listen(None)

    async def listen(self, tls: ssl.SSLContext | None) -> Self:
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            await self._handler(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def read(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        length = next(int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:"))
        self.requests.append((head[:-2], await reader.readexactly(length)))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self.read(reader)
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else (self.answers or [OK])[0])

    def endpoint(self, host: str = "127.0.0.1", scheme: str = "http", **changes: object) -> Endpoint:
        said = {
            "name": "crm", "preset": "standard", "url": f"{scheme}://{host}:{self.port}/hook?a=1", "allow_http": True,
            "allow_cidrs": ("127.0.0.0/8",), "timeout_s": 5.0,
        }  # fmt: skip
        return Endpoint(**(said | changes))  # type: ignore[arg-type]  # Fields of all types.


def request(url: str, *headers: tuple[str, str], body: bytes = BODY) -> Request:
    return Request("POST", url, (("Content-Type", "application/json"), *headers), body)


@cache
def authorities() -> ssl.SSLContext:
    """Return how servers are verified; reading all authorities takes longer than a call."""
    return tls_context()


def sent(receiver: ScriptedReceiver, timeout_s: float | None = None, **changes: object) -> Answer:
    async def go() -> Answer:
        async with receiver:
            client = Client(tls=authorities())
            endpoint = receiver.endpoint(**changes)  # type: ignore[arg-type]  # As above.
            answer = await client.send(request(endpoint.url), endpoint, timeout_s)
            await client.aclose()
            return answer

    return asyncio.run(go())


def saying(*parts: bytes, linger_s: float = 0.0) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
        await asyncio.sleep(linger_s)

    return handle

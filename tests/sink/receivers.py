"""Receivers of webhooks that behave badly in every way we know of, with a log of all that reached them.

`python -m tests.sink.receivers LOG SEED` listens on loopback, prints its port, and serves until it is killed.  The
path says how: /ok, /fails, /hangs, /busy (429), /away (503 for a while, then well), /gone (410 now and then), /cuts.
"""

import asyncio
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

AWAY_S: Final = 4.0
"""For how long after its first request /away takes nothing."""

_REASONS: Final = {204: "No Content", 410: "Gone", 429: "Too Many Requests", 500: "Internal Server Error",
                   503: "Service Unavailable"}  # fmt: skip
HANG, CUT = 0, -1
"""No answer at all, and a connection that is closed in the middle of one."""


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """One request as it arrived: when (ms), where, its id, of which alert, and what was answered."""

    at_ms: float
    path: str
    message_id: str
    alert_id: str
    type: str
    answered: int


def arrivals(log: Path) -> list[Arrival]:
    """Return all that was logged so far; the last line may still be on its way."""
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    return [msgspec.json.decode(line, type=Arrival) for line in lines]


class ReceiverConnection(asyncio.Protocol):
    """One connection."""

    def __init__(self, answer: Callable[[str], int], took: Callable[[Arrival], None]) -> None:
        self._answer = answer
        self._took = took
        self._unread = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._unread[:end].decode().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            whole = end + 4 + int(headers["content-length"])
            if len(self._unread) < whole:
                return
            body, self._unread = self._unread[end + 4 : whole], self._unread[whole:]
            self._taken(first.split(" ")[1], headers, body)

    def _taken(self, path: str, headers: dict[str, str], body: bytes) -> None:
        status = self._answer(path)
        message = msgspec.json.decode(body)
        alert = message["data"].get("alert", {"id": ""})["id"]
        message_id = headers.get("webhook-id", "")
        self._took(Arrival(time.time() * 1_000, path, message_id, alert, message["type"], status))
        if status == HANG:
            return
        if status == CUT:
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Le")
            self._transport.close()
            return
        more = b"Retry-After: 1\r\n" if status == 429 else b""
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\n".encode()
        length = b"" if status == 204 else b"Content-Length: 0\r\n"
        self._transport.write(head + more + length + b"\r\n")


class Moods:
    """How each path behaves."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._first_s: float | None = None

    def answer(self, path: str) -> int:
        """Return the status of an answer, or `HANG` or `CUT`."""
        chance = self._random.random()
        match path:
            case "/fails":
                return 500 if chance < 0.25 else 204
            case "/hangs":
                return HANG if chance < 0.03 else 204
            case "/busy":
                return 429 if chance < 0.2 else 204
            case "/gone":
                return 410 if chance < 0.01 else 204
            case "/cuts":
                return CUT if chance < 0.2 else 204
            case "/away":
                self._first_s = time.monotonic() if self._first_s is None else self._first_s
                return 503 if time.monotonic() < self._first_s + AWAY_S else 204
            case _:
                return 204


PATHS: Final = ("/ok", "/fails", "/hangs", "/busy", "/away", "/gone", "/cuts")


async def main(log: Path, seed: int) -> None:
    """Serve until killed."""
    encode, moods = msgspec.json.encode, Moods(seed)
    with log.open("ab", buffering=0) as file:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: ReceiverConnection(moods.answer, lambda one: void(file.write(encode(one) + b"\n"))), "127.0.0.1", 0
        )
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


def void(_: object) -> None:
    """Do nothing with what was returned."""


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

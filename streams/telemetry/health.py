"""How a worker stands, and the two questions about it that whoever watches over containers asks over HTTP.

`GET /live` is answered with 200 by every worker whose loop goes round: a worker that must not go on ends by itself.
`GET /ready` is answered with 200 by a worker that does its part, and with 503 and the reason by one that does not yet,
or not any more.  Both say how it stands, in one small JSON object.
"""

import socket
from collections.abc import Callable
from typing import Final

import faust
import msgspec
from aiohttp import web
from msgspec import Struct

UNREACHED_S: Final = 20.0
"""For how long brokers may be away before a worker counts as not ready: four of the watchdog's looks."""


class HealthStatus(Struct, frozen=True, kw_only=True):
    """How a worker stands; partition numbers stand for all keyed topics.

    `partitions` are those that the group has given it, None until it has said; `restored` those whose states are here;
    `moved` those of which something was written since, or where nothing waits; `written_s` seconds since the last
    write, None before the first; `unreached_s` seconds since a broker answered.
    """

    partitions: tuple[int, ...] | None = None
    restored: tuple[int, ...] = ()
    moved: tuple[int, ...] = ()
    written_s: float | None = None
    unreached_s: float = 0.0

    @property
    def why_not(self) -> str | None:
        """Why it is not ready, None if it is.

        >>> HealthStatus(partitions=(0, 1), restored=(0, 1), moved=(1,)).why_not
        'partition 0: records wait, and none has been written yet'
        >>> HealthStatus(partitions=()).why_not is None
        True
        """
        if self.partitions is None:
            return "the group has not said which partitions are ours"
        if to_restore := sorted({*self.partitions} - {*self.restored}):
            return f"{_named(to_restore)}: being restored"
        if to_move := sorted({*self.partitions} - {*self.moved}):
            return f"{_named(to_move)}: records wait, and none has been written yet"
        if self.unreached_s > UNREACHED_S:
            return f"no broker has answered for {self.unreached_s:.0f} s"
        return None


class HealthServer(faust.Service):
    """Answers `/live` and `/ready` in the loop that everything else runs in."""

    def __init__(self, listening: socket.socket, standing: Callable[[], HealthStatus]) -> None:
        """Keep where to answer, and whom to ask."""
        super().__init__()
        self._listening = listening
        self._standing = standing

    async def on_start(self) -> None:
        """Begin to answer."""
        app = web.Application()
        app.add_routes([web.get("/live", self._live), web.get("/ready", self._ready)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.SockSite(self._runner, self._listening).start()

    async def on_stop(self) -> None:
        """Answer no more."""
        await self._runner.cleanup()

    async def _live(self, _: web.Request) -> web.Response:
        return _answer(self._standing(), is_well=True)

    async def _ready(self, _: web.Request) -> web.Response:
        standing = self._standing()
        return _answer(standing, is_well=standing.why_not is None)


def _answer(standing: HealthStatus, *, is_well: bool) -> web.Response:
    rounded = {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in msgspec.structs.asdict(standing).items()
    }
    body = {"ready": standing.why_not is None, "why_not": standing.why_not, **rounded}
    return web.Response(
        status=200 if is_well else 503, body=msgspec.json.encode(body) + b"\n", content_type="application/json"
    )


def _named(partitions: list[int]) -> str:
    return f"partition{'s' * (len(partitions) > 1)} {', '.join(map(str, partitions))}"

"""How a worker stands, as it says it to whoever watches over containers.

A worker that must not go on ends by itself, so that every one whose loop goes round is alive.  It is ready while it
does its part.
"""

import socket
from collections.abc import Callable, Mapping
from typing import Final

import faust
import msgspec
from msgspec import Struct

from streams.telemetry.health import HealthServer, Readiness

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
            return f"{_partition_names(to_restore)}: being restored"
        if to_move := sorted({*self.partitions} - {*self.moved}):
            return f"{_partition_names(to_move)}: records wait, and none has been written yet"
        if self.unreached_s > UNREACHED_S:
            return f"no broker has answered for {self.unreached_s:.0f} s"
        return None

    def readiness(self) -> Readiness:
        """Return the same as an answer."""
        rounded = {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in msgspec.structs.asdict(self).items()
        }
        why_not = self.why_not
        return Readiness(is_ready=why_not is None, body={"ready": why_not is None, "why_not": why_not, **rounded})


class HealthService(faust.Service):
    """The health server as Faust starts and stops it; both questions are answered with how the worker stands."""

    def __init__(self, listening: socket.socket, health_status: Callable[[], HealthStatus]) -> None:
        """Keep where to answer, and whom to ask."""
        super().__init__()

        async def ready() -> Readiness:
            return health_status().readiness()

        def live() -> Mapping[str, object]:
            return health_status().readiness().body

        self._server = HealthServer(listening, ready, live)

    async def on_start(self) -> None:
        """Begin to answer."""
        await self._server.start()

    async def on_stop(self) -> None:
        """Answer no more."""
        await self._server.stop()


def _partition_names(partitions: list[int]) -> str:
    return f"partition{'s' * (len(partitions) > 1)} {', '.join(map(str, partitions))}"

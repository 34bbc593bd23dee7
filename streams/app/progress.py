"""How far work has come, as a use case tells the command that shows it."""

from collections.abc import Callable

from msgspec import Struct


class Progress(Struct, frozen=True):
    """How far work has come; `bytes_total` is 0 where nobody knows."""

    records: int
    bytes_done: int
    bytes_total: int
    event_ms: int
    alerts: int


TellProgress = Callable[[Progress], None]

"""What the commands of the sink share: its key, its clock, and deliveries as people look at them."""

import os
import sys
from collections.abc import Sequence
from time import time
from typing import Any, Final

import msgspec

from streams.core.contracts.outputs import rfc3339
from streams.shared.errors import InputError
from streams.shared.settings import Settings, own_key
from streams.store.outbox.values import AttemptRow, DeliveryRow
from streams.store.sink import Sink

_LENGTHS: Final = frozenset({"took_ms"})


def sink_key_of(settings: Settings) -> bytes:
    """Return the configured key of the sink, or this user's own, which is made when it is needed first.

    Raises:
        SettingsError: none is configured, and none can be made.
    """
    if settings.sink_key is not None:
        return settings.sink_key.reveal
    key, path, is_new = own_key(os.environ, "sink")
    if is_new:
        say(f"No sink key is configured; made one for you: {path}. Keep it: secrets are sealed with it.")
    return key.reveal


def say(line: str) -> None:
    """Write one line to standard error at once."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def now_ms() -> int:
    """Return the time of the wall's clock in ms since 1970."""
    return int(time() * 1_000)


def deliveries(
    settings: Settings,
    *,
    states: Sequence[str] = (),
    endpoint: str | None = None,
    alert_id: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
    limit: int | None = None,
) -> list[DeliveryRow]:
    """Return deliveries, the newest first; each argument narrows the choice.

    Raises:
        InputError: there is no such endpoint.
        StoreError: the database cannot be read.
    """
    with Sink.open(settings.database, create=False) as sink:
        found = sink.deliveries(
            states=states or None,
            endpoint=endpoint,
            alert_id=alert_id,
            from_ms=since_ms,
            until_ms=until_ms,
            limit=limit,
        )
        if not found and endpoint is not None:
            sink.endpoint(endpoint)
        return found


def delivery(settings: Settings, delivery_id: str) -> tuple[DeliveryRow, list[AttemptRow]]:
    """Return a delivery by its id or the beginning of it, with its attempts; raises InputError if there is none."""
    with Sink.open(settings.database, create=False) as sink:
        row, attempts = sink.delivery(delivery_id)
        return row, list(attempts)


def resend(settings: Settings, delivery_id: str) -> DeliveryRow:
    """Let a delivery be sent again; raises InputError if there is none, or that means nothing."""
    with Sink.open(settings.database, create=False) as sink:
        return sink.resend(delivery_id, now_ms())


def recover(settings: Settings, endpoint: str, since_ms: int, until_ms: int | None) -> int:
    """Let all that failed between two times be sent again, of each alert the newest; return how many that is.

    Raises:
        InputError: there is no such endpoint, or the times are the wrong way round.
    """
    now = now_ms()
    until = now if until_ms is None else until_ms
    if until <= since_ms:
        raise InputError("--until should come after --since")
    with Sink.open(settings.database, create=False) as sink:
        sink.endpoint(endpoint)
        return sink.recover(endpoint, since_ms, until, now)


def printable(row: msgspec.Struct) -> dict[str, Any]:
    """Return a row for programs: times as RFC 3339 under `..._at`, all else as it is."""
    shown: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(row).items():
        if name.endswith("_ms") and name not in _LENGTHS:
            shown[f"{name.removesuffix('_ms')}_at"] = None if value is None else rfc3339(value)
        else:
            shown[name] = value
    return shown

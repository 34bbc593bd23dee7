"""What a run has left, in a form that depends on no packing, no module and no class: values under their fields' names.

A number with a point is written as its bits (`float.hex`), so that equal digests mean equal bits.
"""

import dataclasses
import json
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from streams.core.subscriber.facts import Facts, SubscriberState
from streams.core.subscriber.packing import unpack, unpack_whole
from streams.core.subscriber.snapshots import unpack_snapshot
from streams.core.subscriber.state import PendingSnapshot
from streams.engine.subscribers import SNAPSHOT
from streams.store.database import RunStore

DECLARED: tuple[str, ...] = ("why_code", "action_code", "schema_version")
"""Fields that a declared change adds or alters, and that are left out wherever they stand: an alert's codes, and the
version of the message format, which says that they are there."""
SNAPSHOTS_APART: tuple[str, ...] = ("pending",)
"""Fields of a watch that hold its snapshots, which have a digest of their own wherever they are kept."""
RENAMED: dict[str, str] = {}
"""Fields whose names have changed since the digests were written: the new name, and the old one that is digested."""


def plain(value: Any, without: Sequence[str] = DECLARED) -> Any:
    """Return a value as lists, whole numbers, texts and pairs sorted by name.

    >>> plain({2: 0.5, 1: (True, None)})
    [[1, [True, None]], [2, '0x1.0000000000000p-1']]
    """
    if isinstance(value, float):
        return value.hex()
    if value is msgspec.UNSET:
        return "unset"
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)  # Of an enumeration the number alone counts.
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        pairs = [[plain(key), plain(one, without)] for key, one in value.items() if key not in without]
        return sorted(pairs, key=lambda pair: json.dumps(pair[0]))
    if isinstance(value, list | tuple | array | set | frozenset):
        return [plain(one, without) for one in (sorted(value) if isinstance(value, set | frozenset) else value)]
    return plain({RENAMED.get(name, name): one for name, one in _fields(value).items()}, without)


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.compare}


def _flat(facts: Facts) -> dict[str, Any]:
    """Return the fields of facts as if totals and times stood among them, as they did when the digests were written."""
    fields = _fields(facts)
    totals, times = _fields(fields.pop("totals")), _fields(fields.pop("times"))
    first_usage_day = totals.pop("first_usage_day")
    return (
        fields
        | times
        | {f"{name}_total": count for name, count in totals.items()}
        | {"first_usage_day": first_usage_day}
    )


def snapshot(value: Any) -> Any:
    """Return a waiting snapshot in plain values: its features are packed doubles, and each is written as its bits."""
    fields = _fields(value)
    packed = fields["features"]
    return plain(fields | {"features": struct.unpack(f"<{len(packed) // 8}d", packed)})


def digest(values: Iterable[Any]) -> str:
    """Return the SHA-256 of plain values in the order given."""
    sink = sha256()
    for value in values:
        sink.update(json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode())
        sink.update(b"\n")
    return sink.hexdigest()


class OpenState(NamedTuple):
    """A state with the snapshots that wait in it, each as it was when it stood whole in its state."""

    name: str
    state: SubscriberState
    snapshots: list[PendingSnapshot]


def of_states(states: Iterable[OpenState]) -> dict[str, str]:
    """Return the digests of states: facts, what watches over them, and the snapshots that wait, each for itself."""
    told = sorted(states, key=lambda one: one.name)
    watches = [[one.name, plain(one.state.watch, (*DECLARED, *SNAPSHOTS_APART))] for one in told]
    return {
        "facts": digest([one.name, plain(_flat(one.state.facts))] for one in told),
        "watches": digest(watches),
        "snapshots": digest([one.name, [snapshot(each) for each in one.snapshots]] for one in told),
    }


def stored(store: RunStore) -> list[OpenState]:
    """Return the states that a database holds, with their snapshots."""
    states = dict(store.states())
    waiting = [(name, row.at_ms) for name, packed in states.items() for row in unpack(packed).watch.waiting]
    apart: dict[str, dict[int, bytes]] = {}
    for name, at_ms, body in store.snapshots(waiting):
        apart.setdefault(name, {})[at_ms] = body
    return [_opened(name, packed, apart.get(name, {})) for name, packed in states.items()]


def opened(written: Mapping[bytes, bytes]) -> list[OpenState]:
    """Return the states of a changelog without its checkpoint, each with the snapshots written apart from it."""
    apart: dict[bytes, dict[int, bytes]] = {}
    whole: dict[bytes, bytes] = {}
    for key, packed in written.items():
        name, is_snapshot, at_ms = key.partition(SNAPSHOT.encode())
        if is_snapshot:
            apart.setdefault(name, {})[int(at_ms)] = packed
        else:
            whole[key] = packed
    return [_opened(key.decode(), packed, apart.get(key, {})) for key, packed in whole.items()]


def _opened(name: str, packed: bytes, apart: Mapping[int, bytes]) -> OpenState:
    """Return a state with its snapshots, each joined from its two halves; one of before has both halves inside."""
    state, inside = unpack_whole(packed)
    halves = {one.at_ms: one for one in inside} | {at_ms: unpack_snapshot(body, at_ms) for at_ms, body in apart.items()}
    joined = [
        msgspec.structs.replace(
            halves[row.at_ms], first_revenue_ms=row.first_revenue_ms, treated=row.treated, told=row.told
        )
        for row in state.watch.waiting
    ]
    return OpenState(name, state, joined)

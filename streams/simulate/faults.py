"""What happens to records on the way: late, twice, out of order, or damaged.

No good record is ever lost: a damaged one is sent again whole, as a damaged copy before the good one.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec
import numpy as np

from streams.core.times import DAY_MS, HOUR_MS
from streams.simulate.simulation import Simulation
from streams.simulate.world import FAULT_STREAM, Ints, generator

Fault = Literal["late", "duplicated", "reordered", "malformed"]
FAULTS: Final[tuple[Fault, ...]] = ("late", "duplicated", "reordered", "malformed")
LATE_MS: Final = (DAY_MS, int(6.5 * DAY_MS))
VERY_LATE_MS: Final = (8 * DAY_MS, 12 * DAY_MS)
VERY_LATE: Final = 0.1  # Of the late ones: beyond the usual lateness horizon of 7 days.
REORDERED_MS: Final = (60_000, 6 * HOUR_MS)
DUPLICATED_MS: Final = (1_000, DAY_MS)

DAMAGES: Final = ("cut", "noise", "missing_field", "unknown_field", "wrong_type", "year_2100", "bad_time")


@dataclass(slots=True)
class Road:
    """The way of one topic's records from where they happen to the file, ordered by arrival.

    `waiting` holds what is still on its way: (arrival ms, line).
    """

    waiting: list[tuple[int, bytes]] = field(default_factory=list)

    def arrivals(self, at_ms: Ints, lines: list[bytes], until_ms: int) -> list[bytes]:
        """Take lines with their arrival times, and return those that have arrived before `until_ms`, in order."""
        if self.waiting:
            at_ms = np.concatenate([at_ms, np.array([arrival for arrival, _ in self.waiting], dtype=np.int64)])
            lines = lines + [line for _, line in self.waiting]
        order = np.argsort(at_ms, kind="stable")
        here = int(np.searchsorted(at_ms[order], until_ms))
        self.waiting = [(int(at_ms[i]), lines[i]) for i in order[here:].tolist()]
        return [lines[i] for i in order[:here].tolist()]


class Faults:
    """The faults of a whole simulation, drawn from a stream of their own; `counts` says how many of each."""

    def __init__(self, settings: Simulation) -> None:
        """Start the stream of the simulation's seed."""
        self.rng = generator(settings.seed, FAULT_STREAM)
        self.edges = np.cumsum([getattr(settings, fault) for fault in FAULTS])
        self.counts: Counter[str] = Counter()

    def strike(self, at_ms: Ints, lines: list[bytes]) -> tuple[Ints, list[bytes]]:
        """Return arrival times and lines after this topic's and day's share of faults; each record has one at most."""
        arrival = at_ms.copy()
        fault = np.searchsorted(self.edges, self.rng.random(len(lines)), side="right")
        extra: list[tuple[int, bytes]] = []
        for i in np.flatnonzero(fault < len(FAULTS)).tolist():
            kind = FAULTS[fault[i]]
            self.counts[kind] += 1
            if kind == "late":
                arrival[i] += self._between(*(VERY_LATE_MS if self.rng.random() < VERY_LATE else LATE_MS))
            elif kind == "reordered":
                arrival[i] += self._between(*REORDERED_MS)
            elif kind == "duplicated":
                extra.append((int(arrival[i]) + self._between(*DUPLICATED_MS), lines[i]))
            else:
                extra.append((int(arrival[i]), self._damage(lines[i])))
        if not extra:
            return arrival, lines
        return np.concatenate([[at for at, _ in extra], arrival]), [line for _, line in extra] + lines

    def _between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high))

    def _damage(self, line: bytes) -> bytes:
        """Return a line that a reader must refuse, damaged in one of the ways of `DAMAGES`."""
        damage = DAMAGES[self.rng.integers(len(DAMAGES))]
        return damage_line(line, damage, float(self.rng.uniform(0.2, 0.9)))


def damage_line(line: bytes, damage: str, where: float) -> bytes:
    """Return the JSON object in `line` damaged in one way; `where` (0 to 1) says where it is cut.

    >>> damage_line(b'{"event_id":"a","event_time":"2024-01-01T00:00:00Z"}', "missing_field", 0.5)
    b'{"event_id":"a"}'
    >>> damage_line(b'{"event_id":"a"}', "cut", 0.5)
    b'{"event_'
    """
    if damage == "cut":
        return line[: max(int(where * len(line)), 1)]
    if damage == "noise":
        return b"\xff\xfe" + line[:20].replace(b'"', b"?")
    body = msgspec.json.decode(line)
    if damage == "missing_field":
        body.pop("event_time", None)
    elif damage == "unknown_field":
        body["comment"] = "?"
    elif damage == "wrong_type":
        body["subscriber_id"] = 7
    elif damage == "year_2100":
        body["event_time"] = "2100-01-01T00:00:00Z"
    else:
        body["event_time"] = "yesterday"
    return msgspec.json.encode(body)

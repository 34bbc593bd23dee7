"""The parts of a trainer's state that are records of their own, so that a transaction writes only what has changed.

There is one record for each example that waits, for each block of remembered ids, and for each row and each fit of a
yardstick.  All else changes with every example, and is in the checkpoint.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from streams.learning.models.boosting import BoostingState, Fit, TrainingRow
from streams.learning.models.linear import TrainerError
from streams.learning.queue import WaitingExample
from streams.learning.trainer import TrainerState

BLOCK_IDS: Final = 256
WAITING: Final = b"waiting/"
IDS: Final = b"ids/"
ROWS: Final = b"rows/"
FITS: Final = b"fits/"


class TrainerParts(Struct):
    """What has a state of its own: examples by their id, blocks of ids and their ends by number, rows, fits by time.

    A row and a fit never change; an example that waits changes only when it came again after it was forgotten, and a
    block of ids only by what is added to it.
    """

    waiting: dict[str, list[WaitingExample]] = {}
    blocks: dict[int, list[int]] = {}
    ends: dict[int, int] = {}
    rows: dict[int, TrainingRow] = {}
    fits: dict[int, Fit] = {}

    def __bool__(self) -> bool:
        """Say whether there is anything."""
        return bool(self.waiting or self.blocks or self.rows or self.fits)

    def read(self, key: bytes, value: bytes) -> None:
        """Take in a state that was written.

        Raises:
            ValueError: it cannot be read, or its key is none of these.
        """
        if key.startswith(WAITING):
            self.waiting[key.removeprefix(WAITING).decode()] = _read_waiting(value)
        elif key.startswith(ROWS):
            self.rows[int(key.removeprefix(ROWS))] = _read_row(value)
        elif key.startswith(FITS):
            self.fits[int(key.removeprefix(FITS))] = _read_fit(value)
        else:
            self.blocks[int(key.removeprefix(IDS))] = _read_ids(value)

    def join(self, state: TrainerState) -> TrainerState:
        """Return the whole state of which a checkpoint has the rest.

        Raises:
            TrainerError: something is missing.
        """
        ids = [one for number in sorted(self.blocks) for one in self.blocks[number]]
        count = min(_ids_ever(state), state.settings.remembered_ids)
        if count > len(ids):
            raise TrainerError(f"it remembers {count} ids, and they are not all there")
        waiting = sorted(entry for entries in self.waiting.values() for entry in entries)
        queue = replace(state.queue, waiting=waiting, ids=ids[len(ids) - count :])
        lineup = state.lineup
        if lineup is not None and lineup.boosting is not None:
            fits = [self.fits[from_ms] for from_ms in sorted(self.fits)]
            boosting = replace(lineup.boosting, rows=sorted(self.rows.values()), fits=fits)
            lineup = replace(lineup, boosting=boosting)
        return replace(state, queue=queue, lineup=lineup)

    def states_since(self, saved: "TrainerParts") -> list[tuple[bytes, bytes | None]]:
        """Return the states that differ from those that were saved, by key; None for what is gone."""
        states: list[tuple[bytes, bytes | None]] = []
        for name in sorted(self.waiting.keys() | saved.waiting.keys()):
            entries = self.waiting.get(name)
            if len(entries or ()) != len(saved.waiting.get(name, ())):
                states.append((WAITING + name.encode(), _encode(entries) if entries else None))
        for number in sorted(self.ends.keys() | saved.ends.keys()):
            if self.ends.get(number) != saved.ends.get(number):
                block = self.blocks.get(number)
                states.append((IDS + b"%d" % number, None if block is None else _encode(block)))
        states += _changed_parts(ROWS, self.rows, saved.rows)
        return states + _changed_parts(FITS, self.fits, saved.fits)


def parts_of(state: TrainerState) -> TrainerParts:
    """Return what of a whole state is written apart."""
    waiting: dict[str, list[WaitingExample]] = defaultdict(list)
    for entry in state.queue.waiting:
        waiting[entry[3]].append(entry)
    ids, ever = state.queue.ids, _ids_ever(state)
    first = ever - len(ids)
    ends = _ends(ever, len(ids))
    blocks = {number: ids[max(number * BLOCK_IDS - first, 0) : end - first] for number, end in ends.items()}
    boosting = _boosting_state(state)
    rows = {} if boosting is None else {row[0]: row for row in boosting.rows}
    fits = {} if boosting is None else {fit.from_ms: fit for fit in boosting.fits}
    return TrainerParts(dict(waiting), blocks, ends, rows, fits)


def without_parts(state: TrainerState) -> TrainerState:
    """Return what is left of a whole state for the checkpoint."""
    lineup, boosting = state.lineup, _boosting_state(state)
    if lineup is not None and boosting is not None:
        lineup = replace(lineup, boosting=replace(boosting, rows=[], fits=[]))
    return replace(state, queue=replace(state.queue, waiting=[], ids=[]), lineup=lineup)


def _boosting_state(state: TrainerState) -> BoostingState | None:
    return None if state.lineup is None else state.lineup.boosting


def _changed_parts(
    prefix: bytes, now: Mapping[int, TrainingRow | Fit], saved: Mapping[int, TrainingRow | Fit]
) -> list[tuple[bytes, bytes | None]]:
    numbers = sorted(now.keys() ^ saved.keys())
    return [(prefix + b"%d" % number, _encode(now[number]) if number in now else None) for number in numbers]


def _ids_ever(state: TrainerState) -> int:
    """Return how many ids were ever remembered: every example that was taken, learned by now or not."""
    return state.settled.example_count + sum(tally.example_count for _, tally in state.queue.ticks)


def _ends(ever: int, count: int) -> dict[int, int]:
    """Return the blocks that the last `count` of all ids lie in, each with the number of the id at which it ends.

    >>> _ends(600, 300)
    {1: 512, 2: 600}
    """
    first = ever - count
    numbers = range(first // BLOCK_IDS, -(-ever // BLOCK_IDS))
    return {number: min((number + 1) * BLOCK_IDS, ever) for number in numbers}


_encode: Final = msgspec.json.Encoder().encode
_read_waiting: Final = msgspec.json.Decoder(list[WaitingExample]).decode
_read_ids: Final = msgspec.json.Decoder(list[int]).decode
_read_row: Final = msgspec.json.Decoder(TrainingRow).decode
_read_fit: Final = msgspec.json.Decoder(Fit).decode

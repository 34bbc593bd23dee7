"""What a report reads beside a database: files of labelled examples, and the probabilities that a ceiling had."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from streams.core.contracts.decode import epoch_ms
from streams.core.contracts.effects import LabelledExample
from streams.core.contracts.outputs import ExampleMessage, Probability
from streams.files.lines import LineReader
from streams.shared.errors import InputError
from streams.store.run.batch import PredictionRow

T = TypeVar("T")

SETTLED_AT_ONCE: Final = frozenset({"port_out", "termination"})
"""Leaving that is known when it happens; all else once the horizon has closed."""


class CeilingRow(Struct, frozen=True, forbid_unknown_fields=True):
    """The true probability of leaving, as only a simulation knows it, for one snapshot."""

    subscriber_id: str
    snapshot_at: datetime
    probability: Probability


def read_examples(paths: Sequence[Path]) -> list[LabelledExample]:
    """Return the labelled examples of files of JSON Lines, plain or packed; an id counts once, as it came first.

    Raises:
        InputError: a file cannot be read, or a line of it is no example.
    """
    found: dict[str, LabelledExample] = {}
    for path in paths:
        for message in _rows(path, ExampleMessage, "a labelled example"):
            found.setdefault(message.example_id, _example(message))
    return list(found.values())


def read_ceiling(path: Path) -> dict[tuple[str, int], float]:
    """Return the probability for each (subscriber, snapshot in ms) of a file of JSON Lines.

    Raises:
        InputError: the file cannot be read, or a line of it is none of a ceiling.
    """
    rows = _rows(path, CeilingRow, "a ceiling")
    return {(row.subscriber_id, epoch_ms(row.snapshot_at)): row.probability for row in rows}


def prediction(example: LabelledExample) -> PredictionRow:
    """Return what was predicted in an example, without its features."""
    return PredictionRow(
        example_id=example.example_id,
        subscriber_id=example.subscriber_id,
        snapshot_at_ms=example.snapshot_at_ms,
        probability=example.probability,
        label=example.label,
        kind=example.kind,
        model_version=example.model_version,
        knowable_at_ms=example.knowable_at_ms,
        closed_at_ms=example.closed_at_ms,
        treatment=example.treatment,
    )


def end_ms(examples: Sequence[LabelledExample]) -> int:
    """Return the latest time that had come when the examples were made (ms since 1970 UTC); 0 without any."""
    return max((e.knowable_at_ms if e.kind in SETTLED_AT_ONCE else e.closed_at_ms for e in examples), default=0)


def _example(message: ExampleMessage) -> LabelledExample:
    return LabelledExample(
        example_id=message.example_id,
        subscriber_id=message.subscriber_id,
        snapshot_at_ms=epoch_ms(datetime.fromisoformat(message.snapshot_at)),
        features=message.features,
        feature_table=message.feature_table,
        label=message.label,
        kind=message.kind,
        knowable_at_ms=epoch_ms(datetime.fromisoformat(message.knowable_at)),
        closed_at_ms=epoch_ms(datetime.fromisoformat(message.closed_at)),
        probability=message.probability,
        model_version=message.model_version,
        treatment=message.treatment,
        provisional=message.provisional,
        corrects=message.corrects,
    )


def _rows(path: Path, kind: type[T], what: str) -> Iterator[T]:
    """Yield the values of a file's lines; blank ones are passed over."""
    decode = msgspec.json.Decoder(kind).decode
    number = 0
    for block in LineReader(path).blocks():
        for line in (block.first, *block.rest):
            number += 1
            if not line.strip():
                continue
            try:
                yield decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise InputError(f"{path} line {number} is no line of {what}: {error}") from None

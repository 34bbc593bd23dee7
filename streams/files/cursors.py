"""One source, read in order: lines to events and dead letters, each with its place in the merge.

The merge takes the source whose next record is the earliest, and keeps the order inside a source.  That is the
same as sorting by the *latest* time that a source has reached so far (an event that is late comes right after
the one before it), so this is the key given to each record here; it only ever grows.

A single record dated years ahead would raise that key for good, hold its source back to the end and make all
that follow late.  So a record that leaps ahead is checked against the ones after it: see `core/subscriber/strays.py`.
"""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from streams.core.contracts.effects import DeadLetter, DeadLetterReason
from streams.core.contracts.events import BroadcastEvent, Event, Record
from streams.core.contracts.source import topic_name
from streams.core.contracts.validation import refusal
from streams.core.subscriber.strays import LEAP_MS, LOOK_AHEAD, WHY_STRAY, is_stray
from streams.files.lines import BLOCK_BYTES, KEPT_BYTES, LINE_BYTES_MAX, LineBlock, LineReader
from streams.shared.errors import InputError
from streams.store.run.batch import NO_TIME_MS, Position

ENVELOPE_TOPIC: Final = "-"
"""The topic of a dead letter whose line does not say which topic it belongs to."""


Item = Event | BroadcastEvent | DeadLetter
Decode = Callable[[Record], Item]


class _Envelope(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A line that says itself which topic it belongs to."""

    topic: Annotated[str, Meta(min_length=1, max_length=249)]
    value: msgspec.Raw


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_ENVELOPE_PROBLEMS: Final[dict[DeadLetterReason, str]] = {
    "missing_field": 'the line has no "topic" or no "value"',
    "unknown_field": 'the line has a field beside "topic" and "value"',
    "out_of_range": "the topic's name is empty or too long",
}
_NO_ENVELOPE: Final = 'the line is not {"topic": "...", "value": {...}}'


class Cursor:
    """A source from a position on: `fill` reads ahead, `items` and their `keys` wait from `start` on to be taken.

    `topic` None means that each line is an envelope `{"topic": …, "value": {…}}`.  Blank lines count in offsets
    and give nothing.  A failure to read is kept until every record before it has been taken.
    """

    __slots__ = (
        "_base", "_blocks", "_decode", "_error", "_max_ms", "_next_offset", "_partition", "_received_ms", "_topic",
        "ended", "items", "keys", "lines", "start",
    )  # fmt: skip

    def __init__(
        self,
        topic: str | None,
        partition: int,
        path: Path | None,
        *,
        position: Position,
        received_ms: int,
        decode: Decode,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._received_ms = received_ms
        self._decode = decode
        self._base = position
        self._max_ms = position.max_ms
        self._next_offset = position.next_offset
        self._error: InputError | None = None
        self.lines = LineReader(path, block_bytes)
        self._blocks = _blocks_from(self.lines, position.next_offset)
        self.ended = False
        self.items: list[Item] = []
        self.keys: list[int] = []
        self.start = 0

    def fill(self) -> None:
        """Read on if nothing waits; afterwards something does, or the source has `ended`.

        Raises `InputError` where the source cannot be read any further.
        """
        if self.start < len(self.items):
            return
        self._base = self.position(len(self.items) - self.start)
        self.items, self.keys, self.start = [], [], 0
        while not self.items and not self.ended:
            if self._error is not None:
                raise self._error
            self._read()

    def position(self, taken: int) -> Position:
        """Return where the source stands when `taken` of the records that wait have been taken."""
        end = self.start + taken
        if not end:
            return self._base
        last_ms = self._base.last_ms
        for index in range(end - 1, -1, -1):
            item = self.items[index]
            if isinstance(item, Event):
                last_ms = item.at_ms
                break
        return Position(self.items[end - 1].offset + 1, last_ms, self.keys[end - 1])

    def close(self) -> None:
        """Let go of the file."""
        self._blocks.close()

    def _read(self) -> None:
        """Decode a block, and as many more as it takes to check its leaps; give each record its key."""
        first_offset, lines = self._next_offset, list[bytes]()
        self._decode_block(lines)
        items, add_key = self.items, self.keys.append
        max_ms = self._max_ms
        for index, item in enumerate(items):  # The list grows below, and the loop with it.
            if isinstance(item, Event):
                at_ms = item.at_ms
                if at_ms > max_ms:
                    before_ms = None if max_ms == NO_TIME_MS else max_ms
                    if at_ms - max_ms > LEAP_MS and is_stray(at_ms, before_ms, self._times_after(index, lines)):
                        items[index] = self._stray(item, lines[item.offset - first_offset])
                    else:
                        max_ms = at_ms
            add_key(max_ms)
        self._max_ms = max_ms

    def _decode_block(self, lines: list[bytes]) -> bool:
        """Append the next block's lines to `lines` and its records to `items`; say whether there was one."""
        if self._error is not None:
            return False
        try:
            block = next(self._blocks, None)
        except InputError as error:
            self._error = error
            return False
        if block is None:
            self.ended = True
            return False
        offset = self._next_offset
        self._next_offset += 1 + len(block.rest)
        fresh = [block.first, *block.rest]
        lines += fresh
        if block.first_bytes > LINE_BYTES_MAX:
            detail = f"{block.first_bytes} bytes, at most {LINE_BYTES_MAX} are read; the value is cut short"
            self.items.append(self._refuse(offset, "too_large", detail, block.first[:KEPT_BYTES]))
            fresh[0] = b""  # Dealt with; as a blank line it is passed over below.
        if self._topic is None:
            self.items += [self._unwrap(line, at) for at, line in enumerate(fresh, offset) if not _is_blank(line)]
        else:
            topic, partition, received_ms, decode = self._topic, self._partition, self._received_ms, self._decode
            add_item = self.items.append
            for at, line in enumerate(fresh, offset):
                if line and not line.isspace():
                    add_item(decode(Record(topic, partition, at, line, received_ms)))
        return True

    def _unwrap(self, line: bytes, offset: int) -> Item:
        """Decode a line that names its topic itself."""
        try:
            envelope = _ENVELOPE.decode(line)
        except msgspec.ValidationError as error:
            reason = refusal(error)
            return self._refuse(offset, reason, _ENVELOPE_PROBLEMS.get(reason, _NO_ENVELOPE), line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._refuse(offset, "not_json", _NO_ENVELOPE, line)
        return self._decode(Record(envelope.topic, self._partition, offset, bytes(envelope.value), self._received_ms))

    def _times_after(self, index: int, lines: list[bytes]) -> list[int]:
        """Return the times of the next events after an item, reading on where they have not been read yet."""
        times_ms: list[int] = []
        while len(times_ms) < LOOK_AHEAD:
            index += 1
            if index == len(self.items) and not self._reads_on(index, lines):
                break
            item = self.items[index]
            if isinstance(item, Event):
                times_ms.append(item.at_ms)
        return times_ms

    def _reads_on(self, index: int, lines: list[bytes]) -> bool:
        while index == len(self.items):
            if not self._decode_block(lines):
                return False
        return True

    def _stray(self, event: Event, line: bytes) -> DeadLetter:
        return DeadLetter(
            topic_name(event.source),
            self._partition,
            event.offset,
            "future_time",
            WHY_STRAY,
            line,
        )

    def _refuse(self, offset: int, reason: DeadLetterReason, detail: str, value: bytes) -> DeadLetter:
        return DeadLetter(self._topic or ENVELOPE_TOPIC, self._partition, offset, reason, detail, value)


def _blocks_from(lines: LineReader, next_offset: int) -> Generator[LineBlock]:
    """Yield the blocks of lines from a line on; where there are not that many lines, it is not the same source."""
    left = next_offset
    for block in lines.blocks():
        if left > len(block.rest):
            left -= 1 + len(block.rest)
        elif left:
            yield LineBlock(block.rest[left - 1], len(block.rest[left - 1]), block.rest[left:])
            left = 0
        else:
            yield block
    if left:
        raise InputError(
            f"{lines.name} has {lines.lines_read} lines, but the last run had read {next_offset}",
            hint="continue with the same input (it may have grown), or start a new database",
        )


def _is_blank(line: bytes) -> bool:
    return not line or line.isspace()

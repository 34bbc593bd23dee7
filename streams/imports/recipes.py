"""A map put to work on one table: row in, events out, each checked by the decoder that will read it."""

from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import blake2b
from random import Random
from typing import Any, Final

import msgspec
from msgspec import Struct

from streams.core.contracts.events import INPUTS, Body
from streams.core.contracts.validation import without_values
from streams.core.times import DAY_MS, HOUR_MS
from streams.imports import rebuilding
from streams.imports.conversions import (
    EPOCH,
    Cells,
    ConversionContext,
    Convert,
    RefusedError,
    condition,
    field,
    moment_ms,
    rfc3339,
    whole_number,
)
from streams.imports.language import EventMap, Map, Rebuild
from streams.imports.reading import Row
from streams.shared.errors import InputError
from streams.shared.pseudonyms import pseudonym

PLACES_MS: Final = {"start": HOUR_MS, "end": -HOUR_MS}
"""Where an event at the start or end of a window lies, from that border: an hour inside."""

_COUNTS: Final = ("voice_setup_failed", "sms_count", "data_sessions")
_encode: Final = msgspec.json.Encoder().encode
_decoders: Final[dict[str, Callable[[bytes], Body]]] = {
    topic: msgspec.json.Decoder(struct).decode for topic, struct in INPUTS.items()
}


class ImportedEvent(Struct, frozen=True, gc=False):
    """One event as its line of JSON."""

    topic: str
    at_ms: int
    line: bytes


class ImportedRow(Struct, frozen=True, gc=False):
    """All that one row became."""

    subscriber_id: str
    events: list[ImportedEvent]


class Recipe:
    """A map, compiled for the columns of one table, the key and the seed."""

    def __init__(self, given: Map, columns: tuple[str, ...], *, key: bytes, seed: int) -> None:
        """Compile the map; its columns are known to exist."""
        self._key = key
        self._places = {name: place for place, name in enumerate(columns)}
        self._identity = self._places[given.identity.column] if given.identity.column else None
        self._provenance = given.provenance
        self._dated: dict[tuple[str, str, int], int] = {}
        self._rebuilt: set[str] = set()
        self._kinds = [_Kind(number, event, self._places) for number, event in enumerate(given.event, 1)]
        self._window = _Window(given.rebuild, self._places, seed) if given.rebuild else None

    def make(self, row: Row) -> ImportedRow:
        """Return the events of a row.

        Raises:
            RefusedError: some cell cannot be used; then nothing of the row is.
        """
        subscriber_id = self._subscriber(row)
        if self._window is None:
            events = self._dated_events(subscriber_id, row.cells)
        else:
            if subscriber_id in self._rebuilt:
                raise RefusedError("a second row of one subscriber, whose totals another row has already given")
            events = self._rebuilt_events(self._window, subscriber_id, row.cells)
            self._rebuilt.add(subscriber_id)
        return ImportedRow(subscriber_id, events)

    def _subscriber(self, row: Row) -> str:
        try:
            return pseudonym(self._key, str(row.number) if self._identity is None else row.cells[self._identity])
        except InputError as error:
            raise RefusedError(f"the row has no subscriber: {error}") from None

    def _dated_events(self, subscriber_id: str, cells: Cells) -> list[ImportedEvent]:
        events = []
        for kind in self._kinds:
            if not kind.applies(cells):
                continue
            at_ms = kind.at_ms(cells)
            if kind.id_place is None:
                # Several alike at one time (a source with days only) are several events, a millisecond apart.
                which = self._dated.get((kind.topic, subscriber_id, at_ms), 0)
                self._dated[kind.topic, subscriber_id, at_ms] = which + 1
                event_id = _event_id(kind.topic, subscriber_id, str(at_ms), str(which))
                at_ms += which
            else:
                event_id = _event_id(kind.topic, subscriber_id, cells[kind.id_place])
            events.append(
                self._event(
                    kind.topic, subscriber_id, kind.body(cells, ConversionContext(event_id, at_ms)), event_id, at_ms
                )
            )
        return events

    def _rebuilt_events(self, window: "_Window", subscriber_id: str, cells: Cells) -> list[ImportedEvent]:
        spread = window.spread(subscriber_id, cells)
        alike: Counter[tuple[str, int]] = Counter()
        events = []
        for day_end_ms, body in spread.usage():
            event_id = _event_id("usage", subscriber_id, str(day_end_ms))
            events.append(self._event("usage", subscriber_id, body, event_id, day_end_ms))
        for kind in self._kinds:
            if not kind.applies(cells):
                continue
            for at_ms in spread.times(kind.given, kind.number):
                alike[kind.topic, at_ms] += 1
                event_id = _event_id(kind.topic, subscriber_id, str(at_ms), str(alike[kind.topic, at_ms]))
                body = kind.body(cells, ConversionContext(event_id, at_ms, spread.start_ms))
                events.append(self._event(kind.topic, subscriber_id, body, event_id, at_ms))
        return events

    def _event(self, topic: str, subscriber_id: str, body: dict[str, Any], event_id: str, at_ms: int) -> ImportedEvent:
        if at_ms < 0:
            raise RefusedError("its time is before 1970")
        line = _encode({
            "event_id": event_id,
            "event_time": rfc3339(at_ms),
            "subscriber_id": subscriber_id,
            "provenance": self._provenance,
            **body,
        })  # fmt: skip
        try:
            _decoders[topic](line)
        except msgspec.ValidationError as error:
            raise RefusedError(f"no {topic} event: {without_values(error)}") from None
        return ImportedEvent(topic, at_ms, line)


class _Kind:
    """One `[[event]]` of a map, compiled."""

    def __init__(self, number: int, given: EventMap, places: dict[str, int]) -> None:
        self.number = number
        self.given = given
        self.topic = given.topic
        self.id_place = places[given.id] if given.id else None
        self._conditions = [condition(when, places) for when in given.when]
        self._fields: list[tuple[str, Convert]] = [
            (name, field(name, value, places)) for name, value in given.fields.items()
        ]
        self._time = (moment_ms(given.time), places[given.time.column]) if given.time else None

    def applies(self, cells: Cells) -> bool:
        return all(holds(cells) for holds in self._conditions)

    def at_ms(self, cells: Cells) -> int:
        assert self._time is not None, "a map without [rebuild] has a time for each event"  # noqa: S101
        convert, place = self._time
        return convert(cells[place])

    def body(self, cells: Cells, moment: ConversionContext) -> dict[str, Any]:
        made = ((name, convert(cells, moment)) for name, convert in self._fields)
        return {name: value for name, value in made if value is not None}


class _Window:
    """The `[rebuild]` of a map for one table and seed."""

    def __init__(self, given: Rebuild, places: dict[str, int], seed: int) -> None:
        self.given = given
        self.places = places
        self.seed = seed
        self._first_ms = (given.start.toordinal() - EPOCH.toordinal()) * DAY_MS

    def spread(self, subscriber_id: str, cells: Cells) -> "_Spread":
        shift = rebuilding.generator(self.seed, subscriber_id, "shift").randrange(self.given.shift_days + 1)
        return _Spread(self, subscriber_id, cells, self._first_ms + shift * DAY_MS)


class _Spread:
    """One subscriber's totals on the days of its window."""

    def __init__(self, window: _Window, subscriber_id: str, cells: Cells, start_ms: int) -> None:
        self.start_ms = start_ms
        self._rebuild = window.given
        self._window = window
        self._subscriber_id = subscriber_id
        self._cells = cells
        self._weights = rebuilding.day_weights(self._generator("liveliness"), window.given.window_days)
        self._units: dict[str, list[int]] = {}

    def usage(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield each day's end and the fields of its summary."""
        totals = self._rebuild.usage
        if totals is None:
            return
        answered = self._by_day(totals.voice_answered)
        seconds = rebuilding.seconds_by_day(
            self._generator(totals.voice_s), self._total(totals.voice_s), answered, self._weights
        )
        counts = {name: self._by_day(column) for name in _COUNTS if (column := getattr(totals, name))}
        failed = counts.get("voice_setup_failed", [0] * len(answered))
        attempts = [a + f for a, f in zip(answered, failed, strict=True)]
        names = ("voice_attempts", "voice_answered", "voice_s", *counts)
        for day, numbers in enumerate(zip(attempts, answered, seconds, *counts.values(), strict=True)):
            if totals.empty_days or any(numbers):
                from_ms = self.start_ms + day * DAY_MS
                period = {"period_start": rfc3339(from_ms), "period_end": rfc3339(from_ms + DAY_MS)}
                yield from_ms + DAY_MS, period | dict(zip(names, numbers, strict=True))

    def times(self, given: EventMap, number: int) -> list[int]:
        """Return when the events of one kind happen, in milliseconds since 1970 UTC, in order."""
        days = self._rebuild.window_days
        match given.place:
            case "start":
                return [self.start_ms + PLACES_MS["start"]]
            case "end":
                return [self.start_ms + days * DAY_MS + PLACES_MS["end"]]
            case "outcome":
                return [self.start_ms + (days + self._rebuild.outcome_after_days) * DAY_MS]
            case _:
                rng = self._generator(f"times of {number}")
                by_day = self._days_of(given, rng, days)
                return sorted(
                    self.start_ms + rebuilding.waking_ms(rng, day) for day, n in enumerate(by_day) for _ in range(n)
                )

    def _days_of(self, given: EventMap, rng: Random, days: int) -> list[int]:
        if given.place == "active" and given.repeat:
            return self._by_day(given.repeat)
        total = self._total(given.repeat) if given.repeat else 1
        return rebuilding.units_by_day(rng, total, self._weights if given.place == "active" else [1.0] * days)

    def _by_day(self, column: str) -> list[int]:
        """Return a column's units by day; whoever asks for the same column gets the same days."""
        if column not in self._units:
            self._units[column] = rebuilding.units_by_day(self._generator(column), self._total(column), self._weights)
        return self._units[column]

    def _total(self, column: str) -> int:
        return whole_number(self._cells[self._window.places[column]], column)

    def _generator(self, part: str) -> Random:
        return rebuilding.generator(self._window.seed, self._subscriber_id, part)


def _event_id(*parts: str) -> str:
    """Return an id made of what the event is, not of where it stood: the same in every import of the same data."""
    return blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()

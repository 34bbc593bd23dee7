"""From the text of a cell to the value of a field: exact, strict, and silent about what the cell held.

A reason for refusing never quotes the cell.  Where columns have slipped, any of them may hold a phone number.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Context, Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from streams.core.times import DAY_MS
from streams.imports.language import (
    CellCondition,
    ChoiceField,
    EventTimeField,
    Field,
    FromColumn,
    IntegerField,
    MinorField,
    MonthsBeforeField,
    ReferenceField,
    Scalar,
    TextField,
    TimeField,
)
from streams.shared.errors import MappingError

MONTH_DAYS: Final = 30
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
NUMBER_CHARACTERS_MAX: Final = 32

_EXACT: Final = Context(prec=2 * NUMBER_CHARACTERS_MAX)
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)

Cells = tuple[str, ...]


class RefusedError(ValueError):
    """A row cannot become events; the message is the reason, without the row's content."""


class ConversionContext(Struct, frozen=True, gc=False):
    """What a field may need beside its cell: the event's id and time, and where the rebuilt window starts."""

    event_id: str
    at_ms: int
    start_ms: int = 0


Convert = Callable[[Cells, ConversionContext], Scalar | None]
"""A field's value from the row and the event; None leaves the field out."""


@lru_cache(maxsize=4096)
def rfc3339(at_ms: int) -> str:
    """Return milliseconds since 1970 UTC as a time of the contracts.

    >>> rfc3339(1)
    '1970-01-01T00:00:00.001Z'
    """
    return (EPOCH + at_ms * MILLISECOND).isoformat(timespec="milliseconds")[:-6] + "Z"


def whole_number(cell: str, column: str) -> int:
    """Return a cell that holds a whole number (12, 12.0); commas and exponents are refused.

    >>> whole_number("12.0", "calls")
    12
    """
    return _scaled_number(cell, 0, column, "a whole number")


def minor(cell: str, digits: int, column: str) -> int:
    """Return an amount of money in minor units, exactly; more decimals than `digits` are refused, never rounded.

    >>> minor("11.77", 2, "dollars")
    1177
    """
    return _scaled_number(cell, digits, column, f"an amount with at most {digits} decimals")


def moment_ms(given: TimeField) -> Callable[[str], int]:
    """Return the function from a cell to milliseconds since 1970 UTC that a time field stands for.

    Raises:
        MappingError: there is no such time zone.
    """
    zone = _zone(given)
    clock = time.fromisoformat(given.at)
    has_clock = given.format == "iso" or any(code in given.format for code in ("%H", "%I", "%X", "%c", "%s"))

    @lru_cache(maxsize=4096)
    def convert(cell: str) -> int:
        try:
            if given.format in ("unix_s", "unix_ms"):
                moment = EPOCH + _scaled_number(cell, 3 if given.format == "unix_s" else 0, "", "") * MILLISECOND
            else:
                moment = datetime.fromisoformat(cell) if given.format == "iso" else _by_pattern(cell, given.format)
                if not has_clock or (given.format == "iso" and len(cell) <= len("2026-01-31")):
                    moment = datetime.combine(moment.date(), clock)
                if moment.tzinfo is None:
                    moment = moment.replace(tzinfo=zone)
            return (moment - EPOCH) // MILLISECOND
        except (ValueError, OverflowError):
            raise RefusedError(f"column {given.column!r} does not hold a time as {given.format}") from None

    return convert


def field(name: str, value: Scalar | Field, places: Mapping[str, int]) -> Convert:
    """Return the function that makes one field; `places` is each column's number.

    Raises:
        MappingError: a time zone does not exist.
    """
    match value:
        case EventTimeField():
            return lambda _, moment: rfc3339(moment.at_ms)
        case ReferenceField(prefix=prefix):
            return lambda _, moment: f"{prefix}-{moment.event_id}"
        case str() | int():
            return lambda _, __: value
        case _:
            return _from_cell(name, value, places[value.column])


def condition(given: CellCondition, places: Mapping[str, int]) -> Callable[[Cells], bool]:
    """Return the test that a condition stands for."""
    place = places[given.column]

    def holds(cells: Cells) -> bool:
        cell = cells[place]
        return (
            (given.equals is None or cell == given.equals)
            and (given.differs is None or cell != given.differs)
            and (given.above is None or whole_number(cell, given.column) > given.above)
        )

    return holds


def _from_cell(name: str, value: FromColumn, place: int) -> Convert:
    convert = _conversion(value)

    def make(cells: Cells, moment: ConversionContext) -> Scalar | None:
        cell = cells[place]
        if cell:
            return convert(cell, moment)
        if value.optional:
            return None
        raise RefusedError(f"column {value.column!r} is empty, and {name} needs it")

    return make


def _conversion(value: FromColumn) -> Callable[[str, ConversionContext], Scalar]:
    match value:
        case TextField():
            return lambda cell, _: cell
        case IntegerField(column=column, multiply=factor):
            return lambda cell, _: whole_number(cell, column) * factor
        case MinorField(column=column, digits=digits):
            return lambda cell, _: minor(cell, digits, column)
        case TimeField():
            to_ms = moment_ms(value)
            return lambda cell, _: rfc3339(to_ms(cell))
        case MonthsBeforeField(column=column):
            return lambda cell, moment: rfc3339(moment.start_ms - whole_number(cell, column) * MONTH_DAYS * DAY_MS)
        case ChoiceField(column=column, values=values, other=other):

            def choose(cell: str, _: ConversionContext) -> Scalar:
                chosen = values.get(cell, other)
                if chosen is None:
                    raise RefusedError(f"column {column!r} holds none of {', '.join(values)}")
                return chosen

            return choose


def _scaled_number(cell: str, digits: int, column: str, what: str) -> int:
    if cell.isdigit() and cell.isascii() and len(cell) <= NUMBER_CHARACTERS_MAX:
        return int(cell) * int(10**digits)
    if _DECIMAL.fullmatch(cell) and len(cell) <= NUMBER_CHARACTERS_MAX:
        number = Decimal(cell).scaleb(digits, _EXACT)
        if number == number.to_integral_value():
            return int(number)
    raise RefusedError(f"column {column!r} does not hold {what}")


def _by_pattern(cell: str, pattern: str) -> datetime:
    # Whether the result has a zone is the pattern's affair; a cell without one is in the map's.
    return datetime.strptime(cell, pattern)  # noqa: DTZ007


def _zone(given: TimeField) -> tzinfo:
    if given.zone == "UTC":
        return UTC
    try:
        return ZoneInfo(given.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise MappingError(f"there is no time zone {given.zone!r} (column {given.column!r})",
                           hint="use a name such as Asia/Shanghai") from None  # fmt: skip

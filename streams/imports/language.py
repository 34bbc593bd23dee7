"""An import map: a TOML file that says, column by column, which events a table of an operator's becomes.

    format = 1                            the version of this language
    name, title, source, provenance       what the data is; "observed" (dated in the source) or "reconstructed"
    [reader]                              how the table is read; columns that are left out on purpose
    [identity]                            which column names the subscriber; it leaves only as a pseudonym
    [[event]]                             one kind of event: topic, time or place, conditions, fields
    [rebuild], [rebuild.usage]            only for totals: the window that they are spread over, by which rules
    [policy.*]                            laid over the default policy when the result is run

A field is a constant of TOML, or a table whose `as` says how it is made: see the `*Field` structs.  Every
name in a map is checked when the map is read (against the contracts) and again when the file's heading is
known (against its columns), so that a map is wrong at once or not at all.
"""

from datetime import date
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from streams.core.contracts.events import Provenance
from streams.core.contracts.source import InputTopic

FILLED_IN: Final = ("event_id", "event_time", "subscriber_id", "provenance")
"""Fields that the import makes itself; a map does not name them."""

EventPlace = Literal["start", "within", "active", "end", "outcome"]
Scalar = str | int | bool
Column = Annotated[str, Meta(min_length=1)]
ClockTime = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class _MapTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a map: a name that it does not know is an error."""


class TextField(_MapTable, frozen=True, tag_field="as", tag="text"):
    """The cell as it stands; `optional`: an empty cell leaves the field out instead of refusing the row."""

    column: Column
    optional: bool = False


class IntegerField(_MapTable, frozen=True, tag_field="as", tag="integer"):
    """The cell as a whole number, times `multiply`."""

    column: Column
    multiply: int = 1
    optional: bool = False


class MinorField(_MapTable, frozen=True, tag_field="as", tag="minor"):
    """The cell as an amount of money with at most `digits` decimals, in minor units: exact, never rounded."""

    column: Column
    digits: Annotated[int, Meta(ge=0, le=4)] = 2
    optional: bool = False


class ChoiceField(_MapTable, frozen=True, tag_field="as", tag="choice"):
    """The constant that `values` gives for the cell, else `other`; without `other` a new cell refuses the row."""

    column: Column
    values: dict[str, Scalar]
    other: Scalar | None = None
    optional: bool = False


class TimeField(_MapTable, frozen=True, tag_field="as", tag="time"):
    """The cell as a time: `format` is `iso`, `unix_s`, `unix_ms` or a pattern of strptime.

    A time without an offset is in `zone` (an IANA name); a date without a time is at `at`.
    """

    column: Column
    format: str
    zone: str = "UTC"
    at: ClockTime = "12:00"
    optional: bool = False


class MonthsBeforeField(_MapTable, frozen=True, tag_field="as", tag="months_before_start"):
    """The time that lies the cell's number of months, of 30 days, before the rebuilt window starts."""

    column: Column
    optional: bool = False


class EventTimeField(_MapTable, frozen=True, tag_field="as", tag="event_time"):
    """The event's own time once more."""


class ReferenceField(_MapTable, frozen=True, tag_field="as", tag="reference"):
    """An id made from the event's: `prefix`, a dash, 32 hexadecimal digits."""

    prefix: Annotated[str, Meta(pattern="^[a-z][a-z0-9]{0,15}$")]


FromColumn = TextField | IntegerField | MinorField | ChoiceField | TimeField | MonthsBeforeField
Field = FromColumn | EventTimeField | ReferenceField


class CellCondition(_MapTable, frozen=True):
    """A condition on one cell; all that is given must hold."""

    column: Column
    equals: str | None = None
    differs: str | None = None
    above: int | None = None


class EventMap(_MapTable, frozen=True):
    """One kind of event; `time` for a dated source, `place` (and `repeat`, a column that counts) for a rebuilt one."""

    topic: InputTopic
    time: TimeField | None = None
    place: EventPlace | None = None
    repeat: Column | None = None
    id: Column | None = None
    when: tuple[CellCondition, ...] = ()
    fields: dict[str, Scalar | Field] = field(default_factory=dict)


class TableOptions(_MapTable, frozen=True):
    """How the table is read.  Blanks around and repeated blanks inside a heading do not count.

    `columns` names them where the file has no heading; `ignored` are columns left out on purpose.
    """

    format: Literal["csv", "whitespace"]
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    columns: tuple[Column, ...] = ()
    ignored: tuple[Column, ...] = ()
    drop_duplicates: bool = False


class Identity(_MapTable, frozen=True):
    """What names the subscriber: a column, or the number of the row (the first after the heading is 1)."""

    column: Column | None = None
    row_number: bool = False


class UsageTotals(_MapTable, frozen=True):
    """Columns of totals that become daily usage summaries; attempts are answered calls and failed ones together."""

    voice_answered: Column
    voice_s: Column
    voice_setup_failed: Column | None = None
    sms_count: Column | None = None
    data_sessions: Column | None = None
    empty_days: bool = False


class Rebuild(_MapTable, frozen=True):
    """The window that totals are spread over, and when the outcome is known: the same for everyone.

    The source gives no dates: `start` is invented, and each subscriber's window starts up to `shift_days` later.
    `label` is the column that only the outcome may read.
    """

    start: date
    window_days: Annotated[int, Meta(ge=1, le=730)]
    shift_days: Annotated[int, Meta(ge=0, le=730)]
    outcome_after_days: Annotated[int, Meta(ge=1, le=730)]
    label: Column
    usage: UsageTotals | None = None


class Map(_MapTable, frozen=True):
    """A whole map; `file` and `text` are where it was read from."""

    format: Literal[1]
    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,31}$")]
    title: str
    source: str
    provenance: Provenance
    reader: TableOptions
    identity: Identity
    event: Annotated[tuple[EventMap, ...], Meta(min_length=1)]
    rebuild: Rebuild | None = None
    policy: dict[str, dict[str, Any]] = field(default_factory=dict)

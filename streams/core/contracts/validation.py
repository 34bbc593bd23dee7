"""Why msgspec refuses a value, as a kind: the one place that reads its sentences.

msgspec gives its errors no kind.  What it says stands here as a table, which a test holds against the version that is
pinned; everybody else asks for the kind.  A check of our own inside a struct raises `RefusedValueError`, which msgspec
keeps as the cause of its own error.
"""

import re
from typing import Final

import msgspec

from streams.core.contracts.effects import DeadLetterReason

_KINDS: Final[tuple[tuple[str, DeadLetterReason], ...]] = (
    ("Object contains unknown field", "unknown_field"),
    ("Object missing required field", "missing_field"),
    ("Invalid RFC3339", "bad_time"),
    ("with a timezone component", "bad_time"),
    ("Invalid enum value", "out_of_range"),
    (" of length ", "out_of_range"),
    ("matching regex", "out_of_range"),
    ("` >= ", "out_of_range"),
    ("` <= ", "out_of_range"),
    ("Integer value out of range", "out_of_range"),
)
"""What each sentence has in it, once the values in it are covered; any other says that a type is wrong."""
_VALUES: Final = re.compile(r"""(['"]).*\1|(?<=unknown field )`(?![a-z][a-z0-9_]{0,63}`).*`""", re.DOTALL)
"""Values, from the first quote to the last of its kind, since a value may hold quotes itself; and names of unknown
fields that are no names, since somebody may have keyed an object by a phone number."""
_PLACE: Final = " - at `$."


class RefusedValueError(ValueError):
    """A value breaks a rule that no type can say; `reason` is its kind, and the text never shows the value."""

    def __init__(self, reason: DeadLetterReason, text: str) -> None:
        """Say what is wrong."""
        super().__init__(text)
        self.reason = reason


def refusal(error: msgspec.ValidationError) -> DeadLetterReason:
    """Return of which kind a refusal is.

    >>> try:
    ...     msgspec.convert({"a": 1}, dict[str, str])
    ... except msgspec.ValidationError as error:
    ...     refusal(error)
    'wrong_type'
    """
    if isinstance(error.__cause__, RefusedValueError):
        return error.__cause__.reason
    text = without_values(error)
    return next((kind for fragment, kind in _KINDS if fragment in text), "wrong_type")


def without_values(error: Exception) -> str:
    """Return what a decoder says, without what it quotes of the value.

    >>> without_values(ValueError("Invalid enum value 'open'"))
    'Invalid enum value (not shown)'
    """
    return _VALUES.sub("(not shown)", str(error))


def with_place(error: msgspec.ValidationError) -> str:
    """Return what is wrong with a setting, and in which one, without `$` for the whole.

    >>> with_place(msgspec.ValidationError("Expected `int`, got `str` - at `$.rate`"))
    'Expected `int`, got `str` (at `rate`)'
    """
    what, at, place = str(error).rpartition(_PLACE)
    return (f"{what} (at `{place})" if at else place).replace("`$.", "`")

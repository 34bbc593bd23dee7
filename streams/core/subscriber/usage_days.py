"""A day of usage as one number, so that adding the numbers of many days adds all their fields at once.

    bits 40..63 answered seconds   19..39 answered calls   6..18 data level   0..5 with activity (1 or 0)

The contract bounds a day to 360,000 s, 65,535 calls and level 255: `SUM_DAYS_MAX` days fit without one field running
into the next.  One number a day instead of four is what makes the windows cheap.
"""

from bisect import bisect_right
from math import isqrt
from typing import Final

from streams.core.contracts.events import Usage

SUM_DAYS_MAX: Final = 31
VOICE_SHIFT: Final = 40
ANSWERED_SHIFT: Final = 19
ANSWERED_MASK: Final = (1 << 21) - 1
LEVEL_SHIFT: Final = 6
LEVEL_MASK: Final = (1 << 13) - 1
ACTIVE_MASK: Final = (1 << 6) - 1
LEVEL_MAX: Final = 255
_LEVELS_FROM: Final = tuple(
    isqrt(isqrt(isqrt(isqrt(10**96 << 2 * level - 1)))) + 1 - 10**6 for level in range(1, LEVEL_MAX + 1)
)
"""From how many bytes on a day has the levels 1 to 255: 2^((2 level - 1) / 16) - 1 million, in whole numbers alone."""


def is_active(usage: Usage) -> bool:
    """Say whether the line was used that day."""
    return True if usage.data_bytes or usage.voice_answered else bool(usage.voice_s or usage.sms_count)


def data_level(data_bytes: int | None) -> int:
    """Return a day's data volume as a level, 0 to 255: eight steps for each doubling, from a megabyte on.

    >>> data_level(None), data_level(1_000_000), data_level(3_000_000)
    (0, 8, 16)
    """
    return bisect_right(_LEVELS_FROM, data_bytes) if data_bytes else 0


def pack_day(voice_s: int, answered: int, level: int, active: int) -> int:
    """Return the number of the four fields.

    >>> unpack_day(pack_day(900, 7, 16, 1))
    (900, 7, 16, 1)
    """
    return voice_s << VOICE_SHIFT | answered << ANSWERED_SHIFT | level << LEVEL_SHIFT | active


def unpack_day(total: int) -> tuple[int, int, int, int]:
    """Return answered seconds, answered calls, data level and active days of a day, or of the sum of up to 31.

    >>> unpack_day(pack_day(900, 7, 16, 1) + pack_day(100, 3, 8, 1))
    (1000, 10, 24, 2)
    """
    return (
        total >> VOICE_SHIFT,
        total >> ANSWERED_SHIFT & ANSWERED_MASK,
        total >> LEVEL_SHIFT & LEVEL_MASK,
        total & ACTIVE_MASK,
    )

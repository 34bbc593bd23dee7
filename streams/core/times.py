"""Event time and its units: moments are milliseconds since 1970 UTC, days are whole days since 1970 UTC.

A moment, a day and a length of time are different types, so that one cannot stand in the place of another.
"""

from typing import Final, NewType

EventMs = NewType("EventMs", int)
"""A moment of event time: ms since 1970 UTC; 0 where nothing happened yet."""
DayNumber = NewType("DayNumber", int)
"""A day: the number of whole days since 1970 UTC; 0 where there was none yet."""

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
WEEK_MS: Final = 604_800_000
UNSET_MS: Final = EventMs(0)
"""The moment of what has not happened."""
NO_DAY: Final = DayNumber(0)
NEVER_MS: Final = 2**62
"""A time that never comes: later than every event time, and still a number that fits into 64 bits."""

"""Lengths of time in milliseconds, the unit of event time everywhere in Forewarn (ms since 1970 UTC)."""

from typing import Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
WEEK_MS: Final = 604_800_000
NEVER_MS: Final = 2**62
"""A time that never comes: later than every event time, and still a number that fits into 64 bits."""

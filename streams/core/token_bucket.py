"""A token bucket: so many of something a second, and so many at once after a rest.

The bucket is a value and time is an argument.  Whoever spends what is there (the dispatcher, the server for tickets'
news) asks `refill` first; whoever sends first and waits afterwards (`forewarn produce --rate`) spends into debt and
waits until it is paid.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

UNBOUNDED: Final = float("inf")
"""The burst of a bucket that forgets no time: whoever fell behind its rate may make up for all of it."""


class TokenBucket(Struct, frozen=True, kw_only=True):
    """A rate, the most that is saved up, and what was there at `at_ms`; `tokens` below 0 are owed."""

    rate_per_s: float
    burst: float
    tokens: float
    at_ms: int


def full_bucket(rate_per_s: float, now_ms: int, burst: float | None = None) -> TokenBucket:
    """Return a full bucket; it holds what a second brings unless told otherwise, and never less than one token.

    >>> full_bucket(50.0, 0).tokens
    50.0
    """
    burst = max(1.0, rate_per_s if burst is None else burst)
    return TokenBucket(rate_per_s=rate_per_s, burst=burst, tokens=burst, at_ms=now_ms)


def refill(bucket: TokenBucket, now_ms: int) -> TokenBucket:
    """Return the bucket as it stands now; a clock that goes back changes nothing.

    >>> refill(spend(full_bucket(10.0, 0), 10), 500).tokens
    5.0
    """
    at_ms = max(now_ms, bucket.at_ms)
    tokens = min(bucket.burst, bucket.tokens + (at_ms - bucket.at_ms) * bucket.rate_per_s / 1_000)
    return replace(bucket, tokens=tokens, at_ms=at_ms)


def spend(bucket: TokenBucket, count: int) -> TokenBucket:
    """Return the bucket without so many tokens; what is not there is owed.

    >>> spend(full_bucket(10.0, 0), 12).tokens
    -2.0
    """
    return replace(bucket, tokens=bucket.tokens - count)


def wait_ms(bucket: TokenBucket, now_ms: int, tokens: float = 1.0) -> int:
    """Return how long it takes until there are so many tokens; for 0 of them, until nothing is owed.

    >>> wait_ms(spend(full_bucket(10.0, 0, burst=1), 1), 40)
    60
    """
    missing = tokens - bucket.tokens - max(0, now_ms - bucket.at_ms) * bucket.rate_per_s / 1_000
    return max(0, int(-(-missing * 1_000 // bucket.rate_per_s)))

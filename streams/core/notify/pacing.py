"""How fast an endpoint is told: a bucket of tokens, of which retries get no more than half while fresh ones wait."""

from typing import Final

from msgspec import Struct

CREDIT_MAX: Final = 1
"""A retry may follow a fresh delivery, one for one; what was not used is not saved up."""


class TokenBucket(Struct, frozen=True, kw_only=True):
    """So many deliveries a second, and so many at once after a rest; `at_ms` is when `tokens` were counted."""

    rate_per_s: float
    burst: float
    tokens: float
    at_ms: int
    credit: int = CREDIT_MAX


class TokenGrant(Struct, frozen=True):
    """What was given out, and the bucket without it."""

    bucket: TokenBucket
    fresh: int
    retries: int


def full_bucket(rate_per_s: float, now_ms: int, burst: float | None = None) -> TokenBucket:
    """Return a full bucket; it holds what a second brings unless told otherwise, and never less than one token.

    >>> full_bucket(50.0, 0).tokens
    50.0
    """
    burst = max(1.0, rate_per_s if burst is None else burst)
    return TokenBucket(rate_per_s=rate_per_s, burst=burst, tokens=burst, at_ms=now_ms)


def take_tokens(bucket: TokenBucket, now_ms: int, *, fresh: int, retries: int) -> TokenGrant:
    """Give out tokens for deliveries that wait, as far as there are any: by turns while both kinds wait.

    >>> taken = take_tokens(full_bucket(10.0, 0), 0, fresh=100, retries=100)
    >>> taken.fresh, taken.retries
    (5, 5)
    """
    at_ms = max(now_ms, bucket.at_ms)
    tokens = min(bucket.burst, bucket.tokens + (at_ms - bucket.at_ms) * bucket.rate_per_s / 1_000)
    whole = int(tokens)
    given_retries = min(retries, (whole + bucket.credit) // 2)
    given_fresh = min(fresh, whole - given_retries)
    if given_fresh == fresh:
        given_retries = min(retries, whole - given_fresh)
    left = TokenBucket(
        rate_per_s=bucket.rate_per_s,
        burst=bucket.burst,
        tokens=tokens - given_fresh - given_retries,
        at_ms=at_ms,
        credit=min(CREDIT_MAX, max(0, bucket.credit + given_fresh - given_retries)),
    )
    return TokenGrant(left, given_fresh, given_retries)


def wait_ms(bucket: TokenBucket, now_ms: int) -> int:
    """Return how long it takes until there is a token.

    >>> wait_ms(take_tokens(full_bucket(10.0, 0, burst=1), 0, fresh=1, retries=0).bucket, 40)
    60
    """
    missing = 1 - bucket.tokens - max(0, now_ms - bucket.at_ms) * bucket.rate_per_s / 1_000
    return max(0, int(-(-missing * 1_000 // bucket.rate_per_s)))

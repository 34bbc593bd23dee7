"""How fast an endpoint is told: a bucket of tokens, of which retries get no more than half while fresh ones wait."""

from typing import Final

from msgspec import Struct

from streams.core.token_bucket import TokenBucket, full_bucket, refill, spend

RATE_PER_S: Final = 50.0
"""Messages a second to an endpoint, and calls a second from it, unless told otherwise."""

CREDIT_MAX: Final = 1
"""A retry may follow a fresh delivery, one for one; what was not used is not saved up."""


class DeliveryPace(Struct, frozen=True):
    """The tokens of one endpoint, and how many retries may go before the next fresh delivery."""

    bucket: TokenBucket
    credit: int = CREDIT_MAX


class TokenGrant(Struct, frozen=True):
    """What was given out, and the pace without it."""

    pace: DeliveryPace
    fresh: int
    retries: int


def full_pace(rate_per_s: float, now_ms: int) -> DeliveryPace:
    """Return the pace of an endpoint that was not told anything lately.

    >>> full_pace(50.0, 0).bucket.tokens
    50.0
    """
    return DeliveryPace(full_bucket(rate_per_s, now_ms))


def take_tokens(pace: DeliveryPace, now_ms: int, *, fresh: int, retries: int) -> TokenGrant:
    """Give out tokens for deliveries that wait, as far as there are any: by turns while both kinds wait.

    >>> taken = take_tokens(full_pace(10.0, 0), 0, fresh=100, retries=100)
    >>> taken.fresh, taken.retries
    (5, 5)
    """
    bucket = refill(pace.bucket, now_ms)
    whole = int(bucket.tokens)
    given_retries = min(retries, (whole + pace.credit) // 2)
    given_fresh = min(fresh, whole - given_retries)
    if given_fresh == fresh:
        given_retries = min(retries, whole - given_fresh)
    credit = min(CREDIT_MAX, max(0, pace.credit + given_fresh - given_retries))
    return TokenGrant(DeliveryPace(spend(bucket, given_fresh + given_retries), credit), given_fresh, given_retries)

"""Which partition a key belongs to: murmur2 as in Kafka's own Java client, since all producers have to agree."""

from functools import lru_cache
from typing import Final

from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]  # aiokafka comes without types

KEYS_REMEMBERED: Final = 1 << 18
_POSITIVE: Final = 0x7FFF_FFFF


@lru_cache(KEYS_REMEMBERED)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key in a topic of so many partitions; keys come again and again, so answers are kept.

    >>> partition_of(b"s_00000000000000000000000000000001", 8)
    5
    """
    return int(murmur2(key) & _POSITIVE) % partitions

"""Which topic and partition a record stood in, as one small integer: under it a state remembers how far it has applied.

The number is the topic's number times `PARTITIONS_MAX`, plus the partition.  Nobody else does this arithmetic
(tests/test_tidy.py).  The module is compiled with the hot path, where its functions become part of their callers.
"""

from typing import Final, Literal, NewType, get_args

InputTopic = Literal["call-drops", "usage", "top-ups", "complaints", "subscribers", "outcomes"]
"""The order is each topic's number and must never change: stored states count by it."""

TOPICS: Final[tuple[InputTopic, ...]] = get_args(InputTopic)
TOPIC_NUMBERS: Final[dict[str, int]] = {topic: number for number, topic in enumerate(TOPICS)}
PARTITIONS_MAX: Final = 65_536

SourceNumber = NewType("SourceNumber", int)


def source_number(topic: str, partition: int) -> SourceNumber:
    """Return the number of a partition of an input topic.

    >>> source_number("top-ups", 3)
    131075
    """
    return source_at(TOPIC_NUMBERS[topic], partition)


def source_at(topic: int, partition: int) -> SourceNumber:
    """Return the number of a partition of a topic that is known by its own number.

    >>> source_at(2, 3)
    131075
    """
    return topic * PARTITIONS_MAX + partition  # type: ignore[return-value]  # NewType's call costs more than the sum.


def topic_number(source: SourceNumber) -> int:
    """Return the number of a source's topic.

    >>> topic_number(source_at(2, 3))
    2
    """
    return source // PARTITIONS_MAX


def topic_name(source: SourceNumber) -> InputTopic:
    """Return the input topic of a source.

    >>> topic_name(source_at(2, 3))
    'top-ups'
    """
    return TOPICS[source // PARTITIONS_MAX]


def partition_number(source: SourceNumber) -> int:
    """Return the partition of a source.

    >>> partition_number(source_at(2, 3))
    3
    """
    return source % PARTITIONS_MAX

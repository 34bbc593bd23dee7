"""A source is a topic and a partition in one number, and each of the two can be read from it."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.events import INPUTS
from streams.core.contracts.source import (
    PARTITIONS_MAX,
    TOPICS,
    InputTopic,
    partition_number,
    source_at,
    source_number,
    topic_name,
    topic_number,
)


@given(st.sampled_from(TOPICS), st.integers(0, PARTITIONS_MAX - 1))
def test_topic_and_partition_are_read_from_the_number_that_they_make(topic: InputTopic, partition: int) -> None:
    source = source_number(topic, partition)
    assert (topic_name(source), partition_number(source)) == (topic, partition)
    assert source == source_at(topic_number(source), partition)


def test_the_numbers_are_those_that_stored_states_have() -> None:
    assert [source_number(topic, 1) for topic in TOPICS] == [1, 65_537, 131_073, 196_609, 262_145, 327_681]
    assert TOPICS == get_args(InputTopic) == tuple(INPUTS)
    assert TOPICS == ("call-drops", "usage", "top-ups", "complaints", "subscribers", "outcomes")

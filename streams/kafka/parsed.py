"""Records as aiokafka's parser makes them, for readers of millions: its dataclass around each costs two microseconds.

A consumer made with `key_deserializer=as_parsed` hands over the parser's own records: offset, timestamp, key, value
and headers, as bytes and numbers.  Topic and partition are those under which the records are handed over.  Any other
consumer is as it was.  aiokafka has no such switch; a test on a broker holds that this one still does what it is to do.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher  # type: ignore[import-untyped]  # aiokafka comes without types


def as_parsed(key: bytes) -> bytes:
    """Return the key as it is: whoever is given this as its deserializer gets the parser's records."""
    return key


class _Records(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka comes without types
    """One partition's part of a fetch."""

    def __iter__(self) -> Iterator[Any]:
        return self._records_iterator if self._key_deserializer is as_parsed else self

    def _consumer_record(self, tp: Any, record: Any) -> Any:  # noqa: ANN401 - aiokafka's own types
        return record if self._key_deserializer is as_parsed else super()._consumer_record(tp, record)


fetcher.PartitionRecords = _Records

"""Gives a consumer the records as aiokafka's parser makes them: the step after it costs three microseconds each.

A consumer made with `key_deserializer=as_parsed` hands over the parser's own records: offset, timestamp, key, value
and headers, as bytes and numbers, taken from the parser a batch at a time.  Topic and partition are those under which
the records are handed over.  Any other consumer is as it was.

aiokafka has no such switch, so whoever starts a process calls `install_parsed_records`; without it that consumer hands
over aiokafka's own records, which say the same.  A test on a broker holds that the switch still does what it is to do.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any
from weakref import proxy

from aiokafka.consumer import fetcher  # type: ignore[import-untyped]  # aiokafka comes without types


def install_parsed_records() -> None:
    """Replace the class of aiokafka that makes records, for the rest of this process; may be repeated."""
    fetcher.PartitionRecords = _Records


def as_parsed(key: bytes) -> bytes:
    """Return the key as it is: whoever is given this as its deserializer gets the parser's records."""
    return key


class _Records(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka comes without types
    """One partition's part of a fetch."""

    _records: Any

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 - aiokafka's own types
        super().__init__(*args)
        if self._key_deserializer is as_parsed:
            # A proxy, since in a cycle megabytes of fetched bytes would wait for a collector that seldom comes.
            self._records = _Batches(proxy(self), self._records)

    def __iter__(self) -> Iterator[Any]:
        if self._key_deserializer is not as_parsed:
            return self
        return chain.from_iterable(batch.records for batch in self._records_iterator)

    def _consumer_record(self, tp: Any, record: Any) -> Any:  # noqa: ANN401 - aiokafka's own types
        return record if self._key_deserializer is as_parsed else super()._consumer_record(tp, record)


class _Batches:
    """The batches of a fetch, each as one that holds a single record: itself."""

    def __init__(self, reading: Any, batches: Any) -> None:  # noqa: ANN401 - a proxy of _Records, and as above
        self._reading = reading
        self._batches = batches

    def has_next(self) -> bool:
        return bool(self._batches.has_next())

    def next_batch(self) -> "_Batch":
        return _Batch(self._reading, self._batches.next_batch())


class _Batch:
    """A batch that is its own only record: it stands where its last record does, and has all of them in `records`."""

    def __init__(self, reading: Any, batch: Any) -> None:  # noqa: ANN401 - as above
        self._reading = reading
        self._batch = batch
        self.records: list[Any] = []
        self.offset = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        return getattr(self._batch, name)

    def __next__(self) -> Any:  # noqa: ANN401 - the marker of a transaction
        return next(self._batch)

    def __iter__(self) -> Iterator["_Batch"]:
        records, begins = list(self._batch), self._reading.next_fetch_offset
        if records and records[0].offset < begins:  # A fetch begins with the whole batch of what was asked for.
            records = [record for record in records if record.offset >= begins]
        if records:
            self.records, self.offset = records, records[-1].offset
            yield self

"""Work on a partition number of one topic: its one source, in the order of the log."""

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from streams.core.contracts.source import SourceNumber, source_at
from streams.kafka.worker.source_queues import LogRecord
from streams.kafka.worker.subscriber_task import RecordCounts


class RecordQueue(Struct):
    """The one source: the records that wait, and up to where it was queued and applied."""

    waiting: deque[LogRecord]
    queued: int = 0
    applied: int = 0


class SingleSource(RecordCounts):
    """What work on one source has of a partition task, whatever it does with the records."""

    def __init__(self, partition: int, stands: int = 0) -> None:
        """Begin where the source stands."""
        super().__init__()
        self.partition = partition
        self._log = RecordQueue(deque(), stands, stands)
        self.source = source_at(0, partition)
        self.queues = {self.source: self._log}

    def rewind(self) -> None:
        """Forget what was queued and not applied; what was applied has to be written."""
        super().rewind()
        self._log.waiting.clear()
        self._log.queued = self._log.applied

    def queue(self, source: SourceNumber, start: int, records: Sequence[LogRecord]) -> bool:
        """Queue a run that begins where the reader stood at `start`; False if something before it went missing."""
        log = self.queues[source]
        if start > log.queued:
            return False
        log.waiting.extend(record for record in records if record.offset >= log.queued)
        log.queued = max(log.queued, records[-1].offset + 1)
        return True

    def waiting_count(self, source: SourceNumber) -> int:
        """Return how many records wait to be applied."""
        return len(self.queues[source].waiting)

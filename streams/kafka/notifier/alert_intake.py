"""The work on one partition of `alerts`: runs of records in, transitions for the database out.

It does no I/O and reads no clock, and it has no state but where it stands.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct

from streams.core.contracts.effects import AlertChanged, DeadLetter
from streams.core.contracts.source import SourceNumber
from streams.engine.timeline import count
from streams.kafka.notifier.alert_records import read_alert
from streams.kafka.worker.single_source import SingleSource


class AlertBatch(Struct, frozen=True):
    """What one transaction of the database writes, and the dead letters that have to be confirmed before."""

    transitions: Sequence[AlertChanged]
    letters: Sequence[DeadLetter]
    positions: Mapping[SourceNumber, int]


class AlertIntake(SingleSource):
    """Reads the alerts of one partition, as a partition task."""

    def __init__(self, partition: int, stands: int = 0) -> None:
        """Begin at the first offset that is not in the database yet."""
        super().__init__(partition, stands)
        self._transitions: list[AlertChanged] = []
        self._letters: list[DeadLetter] = []
        self._moved = False

    @property
    def changed_count(self) -> int:
        """How many records a write has to look at."""
        return len(self._transitions) + len(self._letters)

    def advance(self, ended: Collection[SourceNumber], limit: int) -> int:  # noqa: ARG002 - one source waits for no other
        """Read up to `limit` records, and return how many those were.

        It ends behind bad records that a good one follows, so that whoever looks out for a flood sees their run at its
        longest.
        """
        log, done, bad = self._log, 0, 0
        while log.waiting and done < limit:
            record = log.waiting[0]
            found = read_alert(record, self.partition)
            if isinstance(found, DeadLetter):
                bad += 1
                self._letters.append(found)
                count(self.counters, f"dead:{found.reason}")
            elif bad:
                break
            else:
                self.bad_run = 0
                self._transitions.append(found)
            log.waiting.popleft()
            log.applied = record.offset + 1
            done += 1
        self.bad_run += bad
        self._judge(done, bad)
        self._moved = self._moved or done > 0
        return done

    def gather(self) -> Iterator[AlertBatch | None]:
        """Yield in one part what was read since `note_written` was last called, or nothing."""
        if self._moved:
            yield AlertBatch(self._transitions, self._letters, {self.source: self._log.applied})

    def note_written(self) -> None:
        """Note that the changes gathered last are being written."""
        self._transitions, self._letters = [], []
        self._moved = False

    def trim_memory(self) -> Iterator[None]:
        """Yield nothing: nothing stays in memory."""
        return iter(())

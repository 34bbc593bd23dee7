"""The progress of the notifier: in the database, in the same transaction as what came of the alerts.

Reading begins where the database stands, and nowhere else.  So a notifier may be killed at any moment, two may believe
that a partition is theirs, and a topic may be read again: what is known adds nothing, and nobody has to be fenced.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import time
from typing import Final, ParamSpec, TypeVar

from streams.core.contracts.encode import output_record
from streams.core.contracts.source import partition_number
from streams.core.notify.contact import ContactRules
from streams.kafka.notifier.alert_intake import AlertBatch, AlertIntake
from streams.kafka.notifier.alert_records import ALERTS
from streams.kafka.notifier.group_commit import GroupCommit
from streams.kafka.notifier.publisher import Publisher
from streams.kafka.worker.faust_transport import PartitionOffsets
from streams.shared.errors import StoreError
from streams.shared.exits import EXIT_IO, EXIT_STALLED, StoppedError
from streams.store.sink import Sink

RECORDS_MAX: Final = 1_000
"""Records in one transaction, or a run more: few enough that one that is lost was no large piece of work."""
ANSWER_S: Final = 120.0
"""How long a transaction, or the confirmation of a dead letter, may take before we end."""

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseProgress:
    """Progress in the table `consumed` of the sink's database; `topic` is the topic of alerts as Kafka names it."""

    def __init__(
        self, topic: str, sink: Sink, rules: ContactRules, publisher: Publisher, say: Callable[[str], None]
    ) -> None:
        """Begin with nothing."""
        self._topic = topic
        self._sink = sink
        self._rules = rules
        self._publisher = publisher
        self._say = say
        self._stands: dict[int, int] = {}
        self._transactions = GroupCommit(self._record, size=_records_in, size_max=RECORDS_MAX)

    async def take(self, partition: int) -> AlertIntake:
        """Return the work on a partition, at the first offset that is not in the database yet.

        Raises:
            StoppedError: the database does not answer.
        """
        stored = await with_deadline(ask_database(self._sink.positions, ALERTS), "positions were not answered")
        stands = self._stands[partition] = stored.get(partition, 0)
        return AlertIntake(partition, stands)

    def settle(self, partitions: Sequence[int]) -> None:
        """Say what is ours."""
        words = ", ".join(f"{partition} from {self._stands[partition]}" for partition in partitions) or "none"
        self._say(f"partitions of {self._topic}: {words}")

    def misfit(self, place: str, applied: int, reach: PartitionOffsets) -> str | None:
        """Return why a log cannot be the one that was taken in, None if it can.

        What the group has committed is for those who look at its lag: a new database takes in the whole topic.
        """
        if reach.end < applied:
            return (
                f"{place} ends at {reach.end}, but {applied} of its records are taken in: "
                "the topic was made anew, or the database belongs to another one"
            )
        return None

    async def write(self, partition: int, changes: AlertBatch) -> None:  # noqa: ARG002 - its source has its number
        """Write dead letters, and once they are confirmed transitions and positions in one transaction.

        Raises:
            StoppedError: Kafka or the database does not answer, or takes too long.
        """
        await self._transactions.write(changes)

    async def _record(self, batches: Sequence[AlertBatch]) -> None:
        letters = [output_record(letter) for batch in batches for letter in batch.letters]
        if letters:
            await with_deadline(self._publisher.publish(letters), "a dead letter was not confirmed")
        transitions = [transition for batch in batches for transition in batch.transitions]
        positions = {
            (ALERTS, partition_number(source)): offset
            for batch in batches
            for source, offset in batch.positions.items()
        }
        await with_deadline(
            ask_database(self._sink.record, transitions, self._rules, int(time() * 1000), positions),
            "the database did not end a transaction",
        )

    async def give_up(self, partition: int) -> None:
        """Leave a partition to others: they read in the database where it stands."""
        self._stands.pop(partition, None)

    async def is_reachable(self) -> bool:
        """Say whether a broker answers."""
        return await self._publisher.is_reachable()


async def ask_database(ask: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Ask the database, off the loop.

    Raises:
        StoppedError: it does not answer; what was not written is read again by whoever comes next.
    """
    try:
        return await asyncio.to_thread(ask, *given, **named)
    except StoreError as error:
        raise StoppedError(EXIT_IO, str(error)) from error


async def with_deadline(work: Awaitable[T], otherwise: str) -> T:
    """Return what the work returns.

    Raises:
        StoppedError: it takes too long.
    """
    try:
        # Not `wait_for`: before Python 3.12 it forgets that it was cancelled where the work ends just then.
        async with asyncio.timeout(ANSWER_S):
            return await work
    except TimeoutError:
        raise StoppedError(EXIT_STALLED, f"{otherwise} within {ANSWER_S:.0f} s") from None


def _records_in(batch: AlertBatch) -> int:
    return len(batch.transitions) + len(batch.letters)

"""From the topic `alerts` into the database: alerts, transitions and what is to be told of them, each exactly once.

How far the topic was taken in stands in the database, written in the same transaction as what came from it, and every
reading begins there.  What the group has committed only shows to others how far we are.  So a notifier may be killed at
any moment, two may believe that a partition is theirs, and a topic may be read again: what is known adds nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic, time
from typing import Any, Final, TypeVar

from aiokafka import (  # type: ignore[import-untyped]  # aiokafka comes without types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from msgspec import Struct

from streams.core.contracts.effects import AlertChanged, DeadLetter
from streams.core.contracts.encode import outgoing
from streams.core.contracts.outputs import OutputRecord
from streams.core.notify.contact import ContactRules
from streams.kafka.client.admin import KafkaError, error_text, stop
from streams.kafka.client.connection import ConnectionSettings, client_options
from streams.kafka.notifier.alert_records import ALERTS, BadRecordCounter, read_alert
from streams.kafka.topics.specs import APPLICATION
from streams.kafka.worker.flood import FloodLimit
from streams.kafka.worker.health import HealthStatus
from streams.kafka.worker.source_queues import LogRecord
from streams.shared.errors import StoreError
from streams.shared.exits import EXIT_INVARIANT, EXIT_IO, EXIT_STALLED, StoppedError
from streams.store.sink import Sink

OUTCOMES: Final = "outcomes"
RUN_RECORDS: Final = 1_000
"""Records that are written in one transaction: few enough that one that is lost was no large piece of work."""
WAIT_MS: Final = 250
REPORT_S: Final = 1.0
REPORT_ROWS: Final = 500
WATCH_S: Final = 5.0
UNWRITTEN_S: Final = 120.0
"""How long a transaction, a confirmation of a dead letter, or records that wait may take before we end."""
UNASSIGNED_S: Final = 300.0
LOST_S: Final = 120.0
REBALANCE_MS: Final = 60_000

T = TypeVar("T")


def notifiers_of(application: str) -> str:
    """Return the name of the group of notifiers of an application's alerts.

    >>> notifiers_of(APPLICATION)
    'forewarn-notifier'
    """
    return f"{application}-notifier"


class NotifierSettings(Struct, frozen=True, kw_only=True):
    """What one notifier is told; `session_s` is how long it may be silent before others take its partitions."""

    application: str = APPLICATION
    prefix: str = ""
    session_s: float = 30.0
    flood: FloodLimit = FloodLimit()
    accepts_expired: bool = False

    @property
    def group(self) -> str:
        """The name of the consumer group."""
        return self.prefix + notifiers_of(self.application)

    @property
    def topic(self) -> str:
        """The topic that is read, as Kafka names it."""
        return self.prefix + ALERTS


class Notifier(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka comes without types
    """One of the notifiers of a group.  A lock keeps a rebalance out of the middle of a run."""

    def __init__(
        self,
        settings: NotifierSettings,
        wire: ConnectionSettings,
        sink: Sink,
        rules: ContactRules,
        say: Callable[[str], None],
    ) -> None:
        """Keep all of it; nothing is connected yet."""
        self._settings = settings
        self._options = client_options(wire)
        self._sink = sink
        self._rules = rules
        self._say = say
        self._lock = asyncio.Lock()
        self._given = asyncio.Event()
        self._consumer: Any = None
        self._producer: Any = None
        self._next: dict[TopicPartition, int] = {}
        self._tallies: dict[TopicPartition, BadRecordCounter] = {}
        self._moved: set[TopicPartition] = set()
        self._assigned: tuple[int, ...] | None = None
        self._edition = self._begun = 0
        self._written_s: float | None = None
        self._moved_s = self._reached_s = monotonic()

    def standing(self) -> HealthStatus:
        """Return how this notifier stands."""
        now_s = monotonic()
        return HealthStatus(
            partitions=self._assigned,
            restored=tuple(sorted(place.partition for place in self._next)),
            moved=tuple(sorted(place.partition for place in self._moved)),
            written_s=None if self._written_s is None else now_s - self._written_s,
            unreached_s=now_s - self._reached_s,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Take in what comes until told to stop.

        Raises:
            StoppedError: it must not, or cannot, go on.
        """
        session_ms = int(self._settings.session_s * 1000)
        self._consumer = AIOKafkaConsumer(
            **self._options,
            group_id=self._settings.group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 10,
            rebalance_timeout_ms=max(session_ms, REBALANCE_MS),
            request_timeout_ms=max(2 * session_ms, 40_000),
        )
        self._producer = AIOKafkaProducer(**self._options, enable_idempotence=True, acks="all", compression_type="zstd")
        try:
            await self._producer.start()
            self._consumer.subscribe([self._settings.topic], listener=self)
            await self._consumer.start()
            await self._until_told(stopping)
        except (KafkaError, OSError) as error:
            raise StoppedError(EXIT_IO, f"Kafka cannot be read or written: {error_text(error)}") from error
        finally:
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(UNWRITTEN_S):
                    await self._consumer.stop()
            await stop(self._producer)

    async def _until_told(self, stopping: asyncio.Event) -> None:
        """Read, report and watch side by side; the first of them that fails ends all."""
        told = asyncio.ensure_future(stopping.wait())
        works = [asyncio.ensure_future(work()) for work in (self._reading, self._reporting, self._watching)]
        try:
            done, _ = await asyncio.wait([told, *works], return_when=asyncio.FIRST_COMPLETED)
            for work in done - {told}:
                work.result()
            async with self._lock:  # A run that was begun is written to its end.
                pass
        finally:
            for work in (told, *works):
                work.cancel()
            await asyncio.gather(told, *works, return_exceptions=True)

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002 - aiokafka's name
        """Give everything up, once the run that is being written is written."""
        async with self._lock:
            self._edition += 1
            self._given.clear()
            self._assigned = None
            self._next.clear()
            self._moved.clear()

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:  # noqa: ARG002 - as above
        """Have the reading begin anew: what is raised here, aiokafka would only log."""
        self._edition += 1
        self._given.set()

    async def _reading(self) -> None:
        while True:
            await self._given.wait()
            if self._begun != self._edition and not await self._begin(self._edition):
                continue
            edition = self._edition
            runs = await self._consumer.getmany(timeout_ms=WAIT_MS, max_records=RUN_RECORDS)
            async with self._lock:
                if edition != self._edition:
                    continue  # What came may be from anywhere.
                taken = await self._take(runs) if runs else {}
                await self._note_moves()
            if taken:
                # Only for those who look: nothing begins from what the group has committed.
                with suppress(KafkaError, TimeoutError):
                    async with asyncio.timeout(WATCH_S):
                        await self._consumer.commit(taken)

    async def _begin(self, edition: int) -> bool:
        """Go to where the database stands; False if the partitions have changed meanwhile.

        Raises:
            StoppedError: records have expired unread, or the topic or the database is another one.
        """
        places = sorted(self._consumer.assignment())
        stored = await with_deadline(self._asked(lambda: self._sink.positions(ALERTS)), "positions were not answered")
        first = await self._consumer.beginning_offsets(places) if places else {}
        ends = await self._consumer.end_offsets(places) if places else {}
        async with self._lock:
            if edition != self._edition:
                return False
            for place in places:
                self._next[place] = self._place(place, stored.get(place.partition, 0), first[place], ends[place])
                self._consumer.seek(place, self._next[place])
                self._tallies[place] = BadRecordCounter(place.partition, self._settings.flood)
            self._begun, self._moved_s = edition, monotonic()
            self._assigned = tuple(place.partition for place in places)
        words = ", ".join(f"{place.partition} from {self._next[place]}" for place in places) or "none"
        self._say(f"partitions of {self._settings.topic}: {words}")
        return True

    def _place(self, place: TopicPartition, stands: int, first: int, end: int) -> int:
        """Return from which offset a partition is read."""
        name = f"{place.topic}/{place.partition}"
        if stands > end:
            raise StoppedError(
                EXIT_INVARIANT,
                f"{name} ends at {end}, but {stands} of its records are taken in: "
                "the topic was made anew, or the database belongs to another one",
            )
        if 0 < stands < first:
            gone = f"{first - stands:,} records of {name} ({stands} to {first - 1}) have expired unread"
            if not self._settings.accepts_expired:
                raise StoppedError(EXIT_INVARIANT, f"{gone}; restore them, or start once with --accept-expired")
            self._say(f"{gone}: accepted")
        return max(stands, first)

    async def _take(self, runs: Mapping[TopicPartition, Sequence[LogRecord]]) -> dict[TopicPartition, int]:
        """Write what the runs hold, dead letters first, and return the next offset of each partition."""
        await self._refuse_gaps(runs)
        transitions: list[AlertChanged] = []
        letters: list[DeadLetter] = []
        ends: dict[TopicPartition, int] = {}
        for place, records in runs.items():
            for record in records:
                if record.offset < self._next[place]:
                    continue
                found = read_alert(record, place.partition)
                self._tallies[place].take(is_bad=isinstance(found, DeadLetter))
                if isinstance(found, DeadLetter):
                    letters.append(found)
                else:
                    transitions.append(found)
                ends[place] = record.offset + 1
        if not ends:
            return {}
        if letters:
            await with_deadline(self._bury(letters), "a dead letter was not confirmed")
        positions = {(ALERTS, place.partition): offset for place, offset in ends.items()}
        now_ms = _now_ms()
        await with_deadline(
            self._asked(lambda: self._sink.record(transitions, self._rules, now_ms, positions)),
            "the database did not end a transaction",
        )
        self._next.update(ends)
        self._moved.update(ends)
        self._written_s = self._moved_s = monotonic()
        return ends

    async def _refuse_gaps(self, runs: Mapping[TopicPartition, Sequence[LogRecord]]) -> None:
        """See whether records that are missing before a run expired; most often they are a transaction's markers."""
        starts = {place: records[0].offset for place, records in runs.items() if records[0].offset > self._next[place]}
        first = await self._consumer.beginning_offsets(list(starts)) if starts else {}
        for place, start in starts.items():
            self._place(place, self._next[place], first[place], start)

    async def _note_moves(self) -> None:
        """Take note of the partitions that are read to their end; where all are, nothing waits."""
        ended = set()
        for place in self._next:
            # By position: a partition may end in a transaction's marker, which nobody is given.
            end = self._consumer.last_stable_offset(place)
            if end is not None and await self._consumer.position(place) >= end:
                ended.add(place)
        self._moved |= ended
        if len(ended) == len(self._next):
            self._moved_s = monotonic()

    async def _bury(self, letters: Sequence[DeadLetter]) -> None:
        await self._publish([outgoing(letter) for letter in letters])

    async def _publish(self, messages: Sequence[OutputRecord]) -> None:
        """Send messages, and wait until all replicas have them."""
        sent = [
            await self._producer.send(
                self._settings.prefix + message.topic,
                key=message.key,
                value=message.value,
                headers=list(message.headers),
            )
            for message in messages
        ]
        await asyncio.gather(*sent)

    async def _reporting(self) -> None:
        """Publish what people reported: at least once, and known by its id to whoever reads it."""
        while True:
            rows = await with_deadline(self._asked(lambda: self._sink.reported(REPORT_ROWS)), "outcomes were not read")
            if rows:
                messages = [OutputRecord(OUTCOMES, subscriber_id.encode(), body) for _, subscriber_id, body in rows]
                await with_deadline(self._publish(messages), "an outcome was not confirmed")
                await self._note_sent([event_id for event_id, _, _ in rows])
            if len(rows) < REPORT_ROWS:
                await asyncio.sleep(REPORT_S)

    async def _note_sent(self, event_ids: Sequence[str]) -> None:
        now_ms = _now_ms()
        await with_deadline(
            self._asked(lambda: self._sink.sent(event_ids, now_ms)), "the database did not end a transaction"
        )

    async def _watching(self) -> None:
        """End where nothing moves although it should: a supervisor does better than waiting."""
        begun_s = monotonic()
        while True:
            await asyncio.sleep(WATCH_S)
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await self._consumer.topics()
                self._reached_s = monotonic()
            now_s = monotonic()
            if now_s - self._reached_s > LOST_S:
                raise StoppedError(EXIT_STALLED, f"no broker has answered for {LOST_S:.0f} s")
            if not self._given.is_set():
                if now_s - max(begun_s, self._moved_s) > UNASSIGNED_S:
                    raise StoppedError(EXIT_STALLED, f"the group gave no answer for {UNASSIGNED_S:.0f} s")
            elif now_s - self._moved_s > UNWRITTEN_S:
                raise StoppedError(EXIT_STALLED, f"records wait, but none was written for {UNWRITTEN_S:.0f} s")

    async def _asked(self, ask: Callable[[], T]) -> T:
        """Ask the database, off the loop.

        Raises:
            StoppedError: it does not answer; what was not written is read again by whoever comes next.
        """
        try:
            return await asyncio.to_thread(ask)
        except StoreError as error:
            raise StoppedError(EXIT_IO, str(error)) from error


async def with_deadline(work: Awaitable[T], otherwise: str) -> T:
    """Return what the work returns.

    Raises:
        StoppedError: it takes too long.
    """
    try:
        # Not `wait_for`: before Python 3.12 it forgets that it was cancelled where the work ends just then.
        async with asyncio.timeout(UNWRITTEN_S):
            return await work
    except TimeoutError:
        raise StoppedError(EXIT_STALLED, f"{otherwise} within {UNWRITTEN_S:.0f} s") from None


def _now_ms() -> int:
    return int(time() * 1000)

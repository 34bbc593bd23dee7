"""One worker of the distributed engine: a Faust app whose only agent applies the runs of all keyed topics.

Faust does the membership, the assignment, the flow and the life cycle; `partition_manager.py` does the work.  Nothing
is raised out of an agent, since Faust would skip the run and go on: whatever must not happen ends the process at once,
with an exit code of its own and a last line that says why, and a supervisor starts it again.
"""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final, NoReturn, cast

import faust
from faust.types import TP
from msgspec import Struct

from streams.core.contracts.events import INPUTS
from streams.kafka.client.admin import KafkaError, error_text
from streams.kafka.client.connection import ConnectionSettings, client_options, faust_credentials
from streams.kafka.client.record_parser import install_parsed_records
from streams.kafka.topics.broadcast import BroadcastReader
from streams.kafka.topics.specs import APPLICATION, changelog_of
from streams.kafka.worker.allocator import settle
from streams.kafka.worker.changelog import Changelog
from streams.kafka.worker.changelog_progress import ChangelogProgress
from streams.kafka.worker.faust_transport import Consumer, KeyedApp, PartitionOffsets, RecordBatch
from streams.kafka.worker.flood import FloodLimit
from streams.kafka.worker.health import HealthService
from streams.kafka.worker.local_store import InMemoryStore, LmdbStore, StateStore
from streams.kafka.worker.partition_manager import WRITE_BEHIND_S, WRITE_RECORDS, Pace, PartitionManager
from streams.kafka.worker.partition_task import StatefulTask
from streams.kafka.worker.subscriber_task import SubscriberTask, TaskChanges
from streams.kafka.worker.task_progress import C, TaskProgress
from streams.shared.exits import EXIT_INVARIANT, EXIT_IO, EXIT_STALLED, StoppedError

TICK_S: Final = 0.05
QUEUED_RUNS: Final = 4
COMMIT_S: Final = 0.25
WATCH_S: Final = 5.0
RESTORE_S: Final = 600.0
"""How long the group waits for a member that restores, before it goes on without it."""


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """What one worker is told: names, and the deadlines of its watchdogs in seconds.

    Of each partition it has `open_max` states open (None: all).  Waiting snapshots, and the other states, lie packed in
    a `store` (None: memory).  Where all states may be open, those that nobody has asked for yet stay in memory.
    """

    application: str = APPLICATION
    prefix: str = ""
    session_s: float = 30.0
    unassigned_s: float = 300.0
    uncommitted_s: float = 120.0
    unmoved_s: float = 120.0
    lost_s: float = 120.0
    rebalance_s: float = 300.0
    shutdown_s: float = 30.0
    write_behind_s: float = WRITE_BEHIND_S
    flood: FloodLimit = FloodLimit()
    accepts_expired: bool = False
    store: Path | None = None
    open_max: int | None = None

    @property
    def group(self) -> str:
        """The name of the consumer group: what all workers of one application share.

        >>> WorkerSettings(prefix="staging.").group
        'staging.forewarn'
        """
        return self.prefix + self.application


class FaustConsumerControl:
    """What the partition manager may ask of Faust's consumer."""

    def __init__(self, app: KeyedApp) -> None:
        """Keep the app; its consumer is made later."""
        self._app = app

    @property
    def consumer(self) -> Consumer:
        """The consumer, of our own class."""
        return cast("Consumer", self._app.consumer)

    def read_again(self, topic: str, partition: int, position: int) -> None:
        """Go back to a position of a source."""
        self.consumer.read_again(TP(topic, partition), position)

    def pause(self, topic: str, partition: int, *, paused: bool) -> None:
        """Stop or go on fetching a source."""
        change = self.consumer.pause_partitions if paused else self.consumer.resume_partitions
        change([TP(topic, partition)])


class FailStopManager:
    """The partition manager as the transport sees it: a stop ends the process at once."""

    def __init__(self, manager: PartitionManager[Any], shutdown_s: float) -> None:
        """Wrap the partition manager; `shutdown_s` is how long the end may take."""
        self._manager = manager
        self._shutdown_s = shutdown_s
        self.keyed = manager.keyed

    async def take(self, assigned: Sequence[tuple[str, int]]) -> None:
        """Fence and restore what was assigned."""
        await exit_on_failure(self._manager.take(assigned))

    async def drop(self, revoked: Sequence[tuple[str, int]]) -> None:
        """Give up what was revoked."""
        await exit_on_failure(self._manager.drop(revoked))

    def begin(self, topic: str, partition: int, reach: PartitionOffsets) -> int | None:
        """Return from which offset the reader has to start."""
        try:
            return self._manager.begin(topic, partition, reach)
        except StoppedError as stop:
            end(stop.exit_code, str(stop))

    def note_expired(self, topic: str, partition: int, start: int, first: int) -> None:
        """Take note of records that are gone."""
        try:
            self._manager.note_expired(topic, partition, start, first)
        except StoppedError as stop:
            end(stop.exit_code, str(stop))

    def note_unreadable(self, error: Exception) -> None:
        """End: what the log does not give, only another try or a person can."""
        end(EXIT_IO, f"the log cannot be read: {type(error).__name__}: {error}")

    def safe_offset(self, topic: str, partition: int) -> int | None:
        """Return the first offset that is not written yet."""
        return self._manager.safe_offset(topic, partition)

    async def write(self) -> None:
        """Write what is left to write, while the partitions are still ours; past its deadline the process ends."""
        deadline = threading.Timer(self._shutdown_s, end, (EXIT_STALLED, f"not shut down in {self._shutdown_s:.0f} s"))
        deadline.daemon = True
        deadline.start()
        await exit_on_failure(self._manager.write())

    async def close(self) -> None:
        """Give everything up."""
        await exit_on_failure(self._manager.close())


def say(line: str) -> None:
    """Tell the operator something, at once."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a worker's log is its standard error


def end(exit_code: int, line: str) -> NoReturn:
    """End the process now, without asking anybody: what is in memory must not be used again."""
    say(f"stopped: {line}")
    os._exit(exit_code)


async def exit_on_failure(work: Awaitable[None]) -> None:
    """Do the work; whatever goes wrong in it ends the process."""
    try:
        await work
    except StoppedError as stop:
        end(stop.exit_code, str(stop))
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, Faust would log it and go on
        end(EXIT_INVARIANT, f"a broken invariant: {type(error).__name__}: {error}")


def _stores(settings: WorkerSettings) -> Callable[[], StateStore]:
    """Return what makes a store for each partition that is taken."""
    if settings.store is None:
        return InMemoryStore
    return partial(LmdbStore, settings.store, states_in_memory=settings.open_max is None)


def make_app(
    settings: WorkerSettings,
    cluster: ConnectionSettings,
    topics: Sequence[str],
    new_task: Callable[[int], StatefulTask],
) -> tuple[KeyedApp, PartitionManager[TaskChanges]]:
    """Return the Faust app of one worker over keyed topics, its states in the changelog, and its partition manager."""
    changelog = Changelog(settings.group, changelog_of(settings.group), settings.prefix, client_options(cluster))
    progress = ChangelogProgress(settings.group, changelog, new_task, new_store=_stores(settings), say=say)
    # What is not written stays open.
    write_records = min(WRITE_RECORDS, settings.open_max or WRITE_RECORDS)
    pace = Pace(write_behind_s=settings.write_behind_s, write_records=write_records)
    return make_app_over(settings, cluster, topics, progress, pace)


def make_app_over(
    settings: WorkerSettings, cluster: ConnectionSettings, topics: Sequence[str], progress: TaskProgress[C], pace: Pace
) -> tuple[KeyedApp, PartitionManager[C]]:
    """Return a Faust app over topics whose progress lies anywhere, and its partition manager."""
    manager = PartitionManager(
        topics, progress, pace=pace, flood=settings.flood, accepts_expired=settings.accepts_expired, say=say
    )
    app = _faust_app(settings, cluster)
    app.owner, app.options = FailStopManager(manager, settings.shutdown_s), client_options(cluster)
    raw: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    topic = app.topic(*sorted(manager.keyed), **raw)
    reader, watchdog = FaustConsumerControl(app), Watchdog(settings, manager, progress)

    async def apply(stream: Any) -> None:  # noqa: ANN401 - Faust's streams are untyped
        async for event in cast("AsyncIterator[Any]", stream.events()):
            tp = event.message.tp
            await exit_on_failure(
                manager.accept(tp.topic, tp.partition, cast("RecordBatch", event.message.value), reader)
            )

    async def tick() -> None:
        while not app.should_stop:
            await asyncio.sleep(TICK_S)
            if manager.has_partitions() and not app.rebalancing:
                await exit_on_failure(_tick(manager, reader))

    async def watch() -> None:
        while not app.should_stop:
            await asyncio.sleep(WATCH_S)
            is_moving = app.rebalancing or not reader.consumer.flow_active
            # A large restore takes minutes, and the changelog itself says when it gets no further.
            is_held = manager.joined and not manager.is_taking and is_moving
            await exit_on_failure(watchdog.look(is_held=is_held))

    app.health_status = lambda: manager.health_status(watchdog.unreached_s())
    app.agent(topic, name="apply", concurrency=1)(apply)
    app.task(tick)
    app.at_once.append(watch)
    return app, manager


def _faust_app(settings: WorkerSettings, cluster: ConnectionSettings) -> KeyedApp:
    return KeyedApp(
        settings.group,
        broker=";".join(f"forewarn://{address}" for address in cluster.brokers.split(",")),
        broker_credentials=faust_credentials(cluster),
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        stream_buffer_maxsize=QUEUED_RUNS,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=COMMIT_S,
        broker_session_timeout=settings.session_s,
        broker_heartbeat_interval=settings.session_s / 10,
        broker_request_timeout=max(2 * settings.session_s, 40.0),
        broker_max_poll_interval=1000.0,
        broker_rebalance_timeout=RESTORE_S,
        table_standby_replicas=0,
    )


def run_worker(
    settings: WorkerSettings,
    cluster: ConnectionSettings,
    broadcast: BroadcastReader,
    health: socket.socket | None = None,
) -> NoReturn:
    """Run one worker until it is told to stop, or something stops it; at `health` it says how it stands.

    It serves what `broadcast` has read, and goes on reading there.
    """

    async def follow() -> None:
        await exit_on_failure(_follow(broadcast))

    def new_task(partition: int) -> SubscriberTask:
        return SubscriberTask(partition, settings.group, broadcast.serving, open_max=settings.open_max)

    run_work(settings, cluster, tuple(INPUTS), new_task, health, follow)


def run_work(
    settings: WorkerSettings,
    cluster: ConnectionSettings,
    topics: Sequence[str],
    new_task: Callable[[int], StatefulTask],
    health: socket.socket | None,
    *tasks: Callable[[], Awaitable[None]],
) -> NoReturn:
    """Run any work on topics (named without the prefix) until it is told to stop, or something stops it."""
    app, _ = make_app(settings, cluster, [settings.prefix + topic for topic in topics], new_task)
    for task in tasks:
        app.task(task)
    run_app(app, *(() if health is None else (HealthService(health, app.health_status),)))


def run_app(app: KeyedApp, *services: faust.Service) -> NoReturn:
    """Run a worker's app in this process; the services begin before it and end after it."""
    settle()
    install_parsed_records()
    worker = faust.Worker(app, *services, loglevel="WARNING", quiet=True, redirect_stdouts=False)
    worker.spinner = None  # It draws on a terminal's last line, which is ours.
    worker.execute_from_commandline()


async def _follow(broadcast: BroadcastReader) -> None:
    try:
        await broadcast.follow()
    except KafkaError as error:
        raise StoppedError(EXIT_IO, f"models and policies cannot be read: {error_text(error)}") from error


async def _tick(manager: PartitionManager[Any], reader: FaustConsumerControl) -> None:
    ended, lags = await reader.consumer.progress()
    await manager.tick({(tp.topic, tp.partition): position for tp, position in ended.items()}, lags, reader)


class Watchdog:
    """Ends the process where nothing moves although it should: a supervisor does better than waiting."""

    def __init__(
        self,
        settings: WorkerSettings,
        manager: PartitionManager[Any],
        progress: TaskProgress[Any],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Begin now; `clock` gives seconds that never go back."""
        self._settings = settings
        self._manager = manager
        self._progress = progress
        self._clock = clock
        self._begun_s = self._reached_s = self._flowed_s = self._clock()

    def unreached_s(self) -> float:
        """Return for how long no broker has answered."""
        return self._clock() - self._reached_s

    async def look(self, *, is_held: bool) -> None:
        """Look once; `is_held` says that Faust lets nothing be fetched, as it does while partitions move.

        Raises:
            StoppedError: a deadline has passed.
        """
        manager, settings = self._manager, self._settings
        if await self._progress.is_reachable():
            self._reached_s = self._clock()
        now_s = self._clock()
        if not is_held:
            self._flowed_s = now_s
        if now_s - self._flowed_s > settings.rebalance_s:
            raise StoppedError(EXIT_STALLED, f"partitions have been moving for {settings.rebalance_s:.0f} s")
        if not manager.joined and now_s - self._begun_s > settings.unassigned_s:
            raise StoppedError(EXIT_STALLED, f"the group gave no answer for {settings.unassigned_s:.0f} s")
        if now_s - self._reached_s > settings.lost_s:
            raise StoppedError(EXIT_STALLED, f"no broker has answered for {settings.lost_s:.0f} s")
        if manager.unmoved_s() > settings.unmoved_s:
            raise StoppedError(EXIT_STALLED, f"records wait, but none was applied for {settings.unmoved_s:.0f} s")
        if manager.unwritten_s() > settings.uncommitted_s:
            raise StoppedError(
                EXIT_STALLED, f"records are applied, but nothing was written for {settings.uncommitted_s:.0f} s"
            )

"""The joins of what needs Kafka: topics made, checked and described, and files sent to them."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Final, NoReturn

import msgspec
from msgspec import Struct

from streams.app.embedded import Progress, TellProgress, cold_scorer, read_policy_for
from streams.app.models import promotion_for
from streams.app.new_trainer import check_learners, new_trainer
from streams.core.alerts.policy import Policy
from streams.core.scoring.promotions import Promotion
from streams.core.step import Context
from streams.engine.in_force import MODELS, POLICIES, ContextTimeline, policy_message
from streams.files.sources import total_bytes
from streams.kafka.client.admin import TopicState
from streams.kafka.client.connection import ConnectionSettings, connection_settings
from streams.kafka.topics import dead_letters as letters
from streams.kafka.topics import management as topics
from streams.kafka.topics import producing
from streams.kafka.topics.broadcast import BroadcastReader, publish
from streams.kafka.topics.dead_letters import DeadLetterFilter, DeadLetterSummary, RedriveResult
from streams.kafka.topics.management import TopicCreation, TopicProblem
from streams.kafka.topics.model_versions import read_versions
from streams.kafka.topics.producing import ProduceResult, Stamp
from streams.kafka.topics.specs import APPLICATION, trainer_of
from streams.kafka.worker.flood import FloodLimit
from streams.kafka.worker.local_store import check_folder
from streams.kafka.worker.process import WorkerSettings, run_work, run_worker, say
from streams.learning.registry import ModelRegistry
from streams.shared.errors import SettingsError
from streams.shared.settings import Settings
from streams.shared.sockets import listen

__all__ = [
    "APPLICATION",
    "DeadLetterFilter",
    "DeadLetterSummary",
    "ProduceResult",
    "RedriveResult",
    "ServiceOptions",
    "TopicCreation",
    "TopicProblem",
    "TopicState",
    "check_topics",
    "create_topics",
    "dead_letters",
    "describe_topics",
    "models",
    "produce",
    "publish_policy",
    "publish_promotion",
    "redrive",
    "train",
    "work",
]

OPEN_MAX: Final = 50_000
"""States of a partition that are open where the others lie on a disk: some 400 MB."""

# What goes wrong comes back as an error, in one line; aiokafka would write it to standard error as well, in many.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())


def create_topics(settings: Settings, *, partitions: int, replication: int, application: str) -> list[TopicCreation]:
    """Make the topics that are missing."""
    wire = connection_settings(settings)
    return asyncio.run(topics.create(wire, settings.kafka_prefix, partitions, replication, application=application))


def check_topics(settings: Settings, *, application: str, sample: int) -> list[TopicProblem]:
    """Return all that is wrong with the topics."""
    return asyncio.run(
        topics.check(connection_settings(settings), settings.kafka_prefix, application=application, sample=sample)
    )


def describe_topics(settings: Settings, *, application: str) -> list[TopicState]:
    """Return the topics as they are."""
    return asyncio.run(topics.describe(connection_settings(settings), settings.kafka_prefix, application=application))


def produce(
    settings: Settings,
    places: Sequence[str],
    *,
    topic: str | None = None,
    rate: float | None = None,
    keep_bad: bool = False,
    stamp: Stamp = "event",
    progress: TellProgress | None = None,
) -> ProduceResult:
    """Send records from files to their topics."""
    wire = connection_settings(settings)
    sources = producing.sources_of(places, topic)
    total = total_bytes(sources) or 0
    tell = None if progress is None else lambda sent, read, at_ms: progress(Progress(sent, read, total, at_ms, 0))
    work = producing.produce(wire, settings.kafka_prefix, sources, rate=rate, keep_bad=keep_bad, stamp=stamp, tell=tell)
    return asyncio.run(work)


def dead_letters(settings: Settings, wanted: DeadLetterFilter) -> list[DeadLetterSummary]:
    """Return the dead letters that are there now."""
    return asyncio.run(letters.letters(connection_settings(settings), settings.kafka_prefix, wanted))


def redrive(
    settings: Settings, wanted: DeadLetterFilter, *, redrives_max: int, limit: int | None = None, dry_run: bool = False
) -> RedriveResult:
    """Send the records of dead letters to where they came from."""
    wire, prefix = connection_settings(settings), settings.kafka_prefix
    return asyncio.run(letters.redrive(wire, prefix, wanted, redrives_max=redrives_max, limit=limit, dry_run=dry_run))


class ServiceOptions(Struct, frozen=True, kw_only=True):
    """What a command that runs until it is told to stop was told; `health` is host and port, None for nowhere.

    `open_max` states are open, None for all of them or, where the others lie in a `store`, for `OPEN_MAX`.
    """

    application: str
    session_s: float
    flood_run: int
    flood_ratio: float
    accept_expired: bool
    health: tuple[str, int] | None
    store: Path | None = None
    open_max: int | None = None

    def settings(self, prefix: str, application: str) -> WorkerSettings:
        """Return the settings of the process, in the group of an application."""
        return WorkerSettings(
            application=application,
            prefix=prefix,
            session_s=self.session_s,
            flood=FloodLimit(self.flood_ratio, self.flood_run),
            accepts_expired=self.accept_expired,
            store=None if self.store is None else check_folder(self.store),
            open_max=OPEN_MAX if self.open_max is None and self.store is not None else self.open_max,
        )

    def listening(self) -> socket.socket | None:
        """Return where it says how it stands, bound; raises `SettingsError` if the address is taken."""
        return None if self.health is None else listen(*self.health)


def work(settings: Settings, running: ServiceOptions) -> NoReturn:
    """Run one worker until it is told to stop, or bad records are too many.

    Raises:
        SettingsError: the cluster cannot be reached, its topics are not there or do not fit together, or the address
            at which to say how it stands is taken.
    """
    wire = connection_settings(settings)
    broadcast = _ready(settings, wire, running.application)
    context = broadcast.serving.newest()
    market = f", the market's is {context.signals.version}" if context.signals.version else ""
    say(f"the newest versions are {context.scorer.version} and {context.policy.version}{market}")
    run_worker(running.settings(settings.kafka_prefix, running.application), wire, broadcast, running.listening())


def train(settings: Settings, running: ServiceOptions) -> NoReturn:
    """Run the trainer of an application's examples until it is told to stop; while there is one, this one is a spare.

    Raises:
        SettingsError: as `work` does, or the policy names a learner whose library is not installed.
    """
    from streams.kafka.trainer.training_task import EXAMPLES, TrainingTask  # noqa: PLC0415 - importing River takes a second

    wire = connection_settings(settings)
    policy = _ready(settings, wire, running.application).serving.newest().policy
    check_learners(policy)
    told = running.settings(settings.kafka_prefix, trainer_of(running.application))

    def new_training(partition: int) -> TrainingTask:
        return TrainingTask(partition, told.group, lambda: new_trainer(policy))

    run_work(told, wire, (EXAMPLES,), new_training, running.listening())


def publish_policy(settings: Settings, path: Path, from_ms: int | None) -> Policy:
    """Publish the policy of a file, to serve from an event time or at once, and return it.

    Raises:
        SettingsError: the file makes no usable policy, or the cluster cannot be reached or lacks the topic.
        InputError: the cluster does not take it.
    """
    policy = read_policy_for("-", path)
    record = (policy.version.encode(), policy_message(policy, from_ms))
    asyncio.run(publish(connection_settings(settings), settings.kafka_prefix + POLICIES, [record]))
    return policy


def models(settings: Settings) -> ModelRegistry:
    """Return the versions on the topic `models`, as they stand now."""
    versions, promotions = asyncio.run(read_versions(connection_settings(settings), settings.kafka_prefix))
    return ModelRegistry(versions=versions, promotions=promotions, at_ms=int(time() * 1000))


def publish_promotion(settings: Settings, wanted: str | None, from_ms: int | None) -> Promotion:
    """Let a line or a version serve from an event time (ms) on, None for now, by a record on the topic `models`.

    Raises:
        InputError: there is no such line or version, it serves already, or the cluster does not take the record.
        SettingsError: the cluster cannot be reached, or lacks the topic.
    """
    shelf = models(settings)
    promotion = promotion_for(shelf, wanted, shelf.at_ms if from_ms is None else from_ms)
    record = (promotion.key, msgspec.json.encode(promotion))
    asyncio.run(publish(connection_settings(settings), settings.kafka_prefix + MODELS, [record]))
    return promotion


def _ready(settings: Settings, wire: ConnectionSettings, application: str) -> BroadcastReader:
    """Return what serves, read whole; a policy that was given by hand stays.

    Raises:
        SettingsError: a topic is missing, or has not as many partitions as it needs.
    """
    cold = Context(cold_scorer(), read_policy_for("-", settings.policy))
    serving = ContextTimeline(cold, takes_policies=settings.policy is None)
    broadcast = BroadcastReader(wire, settings.kafka_prefix, serving, say)
    asyncio.run(_checked_and_read(wire, settings.kafka_prefix, application, broadcast))
    return broadcast


async def _checked_and_read(
    wire: ConnectionSettings, prefix: str, application: str, broadcast: BroadcastReader
) -> None:
    problems = await topics.check(wire, prefix, application=application, sample=0)
    fatal = [problem for problem in problems if problem.found == "missing" or "number of partitions" in problem.what]
    if fatal:
        raise SettingsError(f"kafka_prefix {prefix!r}: topic {fatal[0].words()}", hint="see forewarn topics create")
    await broadcast.read()

"""The joins of what needs Kafka: topics made, checked and described, and files sent to them."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from streams.bootstrap import Progress, Tell, cold_scorer, new_trainer, read_policy_for
from streams.core.policy import Policy
from streams.core.step import Context
from streams.errors import SettingsError
from streams.kafka import dead_letters as letters
from streams.kafka import producing, topics
from streams.kafka.admin import TopicState
from streams.kafka.broadcast import Broadcast, publish
from streams.kafka.dead_letters import Letter, Redriven, Wanted
from streams.kafka.health import listen
from streams.kafka.keeping import Flood
from streams.kafka.producing import Produced, Stamp
from streams.kafka.serving import POLICIES, Serving, policy_message
from streams.kafka.specs import APPLICATION, trainer_of
from streams.kafka.topics import Created, Problem
from streams.kafka.wire import Wire, wire_from
from streams.kafka.worker import WorkerSettings, run_work, run_worker, say
from streams.runners.sources import total_bytes
from streams.settings import Settings

__all__ = [
    "APPLICATION",
    "Created",
    "Letter",
    "Problem",
    "Produced",
    "Redriven",
    "TopicState",
    "Wanted",
    "check_topics",
    "create_topics",
    "dead_letters",
    "describe_topics",
    "produce",
    "publish_policy",
    "redrive",
    "train",
    "work",
]

# What goes wrong comes back as an error, in one line; aiokafka would write it to standard error as well, in many.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())


def create_topics(settings: Settings, *, partitions: int, replication: int, application: str) -> list[Created]:
    """Make the topics that are missing."""
    wire = wire_from(settings)
    return asyncio.run(topics.create(wire, settings.kafka_prefix, partitions, replication, application=application))


def check_topics(settings: Settings, *, application: str, sample: int) -> list[Problem]:
    """Return all that is wrong with the topics."""
    return asyncio.run(topics.check(wire_from(settings), settings.kafka_prefix, application=application, sample=sample))


def describe_topics(settings: Settings, *, application: str) -> list[TopicState]:
    """Return the topics as they are."""
    return asyncio.run(topics.describe(wire_from(settings), settings.kafka_prefix, application=application))


def produce(
    settings: Settings,
    places: Sequence[str],
    *,
    topic: str | None = None,
    rate: float | None = None,
    keep_bad: bool = False,
    stamp: Stamp = "event",
    progress: Tell | None = None,
) -> Produced:
    """Send records from files to their topics."""
    wire = wire_from(settings)
    sources = producing.sources_of(places, topic)
    total = total_bytes(sources) or 0
    tell = None if progress is None else lambda sent, read, at_ms: progress(Progress(sent, read, total, at_ms, 0))
    work = producing.produce(wire, settings.kafka_prefix, sources, rate=rate, keep_bad=keep_bad, stamp=stamp, tell=tell)
    return asyncio.run(work)


def dead_letters(settings: Settings, wanted: Wanted) -> list[Letter]:
    """Return the dead letters that are there now."""
    return asyncio.run(letters.letters(wire_from(settings), settings.kafka_prefix, wanted))


def redrive(
    settings: Settings, wanted: Wanted, *, redrives_max: int, limit: int | None = None, dry_run: bool = False
) -> Redriven:
    """Send the records of dead letters to where they came from."""
    wire, prefix = wire_from(settings), settings.kafka_prefix
    return asyncio.run(letters.redrive(wire, prefix, wanted, redrives_max=redrives_max, limit=limit, dry_run=dry_run))


def work(
    settings: Settings,
    *,
    application: str,
    session_s: float,
    flood: tuple[float, int],
    accepts_expired: bool,
    health: tuple[str, int] | None = None,
) -> NoReturn:
    """Run one worker until it is told to stop, or bad records (a ratio, a run) are too many.

    Raises:
        SettingsError: the cluster cannot be reached, its topics are not there or do not fit together, or the address
            at which to say how it stands (`health`, host and port) is taken.
    """
    wire = wire_from(settings)
    broadcast = _broadcast(settings, wire)
    asyncio.run(_ready(wire, settings.kafka_prefix, application, broadcast))
    context = broadcast.serving.newest()
    say(f"the newest versions are {context.scorer.version} and {context.policy.version}")
    told = WorkerSettings(
        application=application,
        prefix=settings.kafka_prefix,
        session_s=session_s,
        flood=Flood(*flood),
        accepts_expired=accepts_expired,
    )
    run_worker(told, wire, broadcast, None if health is None else listen(*health))


def train(
    settings: Settings,
    *,
    application: str,
    session_s: float,
    flood: tuple[float, int],
    accepts_expired: bool,
    health: tuple[str, int] | None = None,
) -> NoReturn:
    """Run the trainer of an application's examples until it is told to stop; while there is one, this one is a spare.

    Raises:
        SettingsError: as `work` does.
    """
    from streams.kafka.training import EXAMPLES, Training  # noqa: PLC0415 - importing River takes a second

    wire = wire_from(settings)
    broadcast = _broadcast(settings, wire)
    asyncio.run(_ready(wire, settings.kafka_prefix, application, broadcast))
    told = WorkerSettings(
        application=trainer_of(application),
        prefix=settings.kafka_prefix,
        session_s=session_s,
        flood=Flood(*flood),
        accepts_expired=accepts_expired,
    )
    policy = broadcast.serving.newest().policy

    def new_training(partition: int) -> Training:
        return Training(partition, told.group, lambda: new_trainer(policy))

    run_work(told, wire, (EXAMPLES,), new_training, None if health is None else listen(*health))


def publish_policy(settings: Settings, path: Path, from_ms: int | None) -> Policy:
    """Publish the policy of a file, to serve from an event time or at once, and return it.

    Raises:
        SettingsError: the file makes no usable policy, or the cluster cannot be reached or lacks the topic.
        InputError: the cluster does not take it.
    """
    policy = read_policy_for("-", path)
    record = (policy.version.encode(), policy_message(policy, from_ms))
    asyncio.run(publish(wire_from(settings), settings.kafka_prefix + POLICIES, [record]))
    return policy


def _broadcast(settings: Settings, wire: Wire) -> Broadcast:
    """Return what will serve: nothing of it was read yet, and a policy that was given by hand stays."""
    cold = Context(cold_scorer(), read_policy_for("-", settings.policy))
    serving = Serving(cold, takes_policies=settings.policy is None)
    return Broadcast(wire, settings.kafka_prefix, serving, say)


async def _ready(wire: Wire, prefix: str, application: str, broadcast: Broadcast) -> None:
    """Raise `SettingsError` unless the topics are there with as many partitions as they need; read what serves."""
    problems = await topics.check(wire, prefix, application=application, sample=0)
    fatal = [problem for problem in problems if problem.found == "missing" or "number of partitions" in problem.what]
    if fatal:
        raise SettingsError(f"kafka_prefix {prefix!r}: topic {fatal[0].words()}", hint="see forewarn topics create")
    await broadcast.read()

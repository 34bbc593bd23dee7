"""The joins of what needs Kafka: topics made, checked and described, and files sent to them."""

import asyncio
import logging
from collections.abc import Sequence
from typing import NoReturn

from streams.bootstrap import Progress, Tell, cold_scorer, read_policy_for
from streams.core.step import Context
from streams.errors import SettingsError
from streams.kafka import producing, topics
from streams.kafka.admin import TopicState
from streams.kafka.keeping import Flood
from streams.kafka.producing import Produced, Stamp
from streams.kafka.specs import APPLICATION
from streams.kafka.topics import Created, Problem
from streams.kafka.wire import Wire, wire_from
from streams.kafka.worker import WorkerSettings, run_worker
from streams.runners.sources import total_bytes
from streams.settings import Settings

__all__ = [
    "APPLICATION",
    "Created",
    "Problem",
    "Produced",
    "TopicState",
    "check_topics",
    "create_topics",
    "describe_topics",
    "produce",
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


def work(
    settings: Settings, *, application: str, session_s: float, flood: tuple[float, int], accepts_expired: bool
) -> NoReturn:
    """Run one worker until it is told to stop, or bad records (a ratio, a run) are too many.

    Raises:
        SettingsError: the cluster cannot be reached, or its topics are not there or do not fit together.
    """
    wire = wire_from(settings)
    policy = read_policy_for("-", settings.policy)
    context = Context(cold_scorer(), policy)
    asyncio.run(_ready(wire, settings.kafka_prefix, application))
    told = WorkerSettings(
        application=application,
        prefix=settings.kafka_prefix,
        session_s=session_s,
        flood=Flood(*flood),
        accepts_expired=accepts_expired,
    )
    run_worker(told, wire, lambda: context)


async def _ready(wire: Wire, prefix: str, application: str) -> None:
    """Raise `SettingsError` unless the worker's topics are there and have the same number of partitions."""
    problems = await topics.check(wire, prefix, application=application, sample=0)
    fatal = [problem for problem in problems if problem.found == "missing" or "number of partitions" in problem.what]
    if fatal:
        raise SettingsError(f"kafka_prefix {prefix!r}: topic {fatal[0].words()}", hint="see forewarn topics create")

"""Makes, checks and describes topics: they exist, fit together, keep what they must, and have the right keys."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from aiokafka import errors as kafka_errors  # type: ignore[import-untyped]  # aiokafka comes without types
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]  # as above
from msgspec import Struct

from streams.kafka.client.admin import TopicState, admin_client, create_topics, error_text, partitions_of, states_of
from streams.kafka.client.connection import ConnectionSettings
from streams.kafka.topics.sampling import SAMPLE_RECORDS, TopicSample, sample_topics
from streams.kafka.topics.specs import APPLICATION, TopicSpec, changelog_of, insync_of, topic_specs
from streams.shared.errors import SettingsError

APPEARS_S: Final = 15.0
_POLL_S: Final = 0.05


class TopicCreation(Struct, frozen=True):
    """What became of one topic that was asked for."""

    topic: str
    outcome: Literal["created", "exists"]
    partitions: int


class TopicProblem(Struct, frozen=True):
    """One thing about one topic that is not as it should be."""

    topic: str
    what: str
    found: str
    expected: str

    def words(self) -> str:
        """Return it in one line.

        >>> TopicProblem("usage", "cleanup.policy", "compact", "delete").words()
        'usage: cleanup.policy is compact and should be delete'
        """
        return f"{self.topic}: {self.what} is {self.found} and should be {self.expected}"


class BlockingProblem(TopicProblem, frozen=True):
    """A problem with which nothing is to start: a topic is missing, or has not the partitions that it needs."""


async def create(
    cluster: ConnectionSettings, prefix: str, partitions: int, replication: int, *, application: str = APPLICATION
) -> list[TopicCreation]:
    """Make every topic that is missing, and leave those that exist as they are; may be repeated.

    Raises:
        SettingsError: the cluster cannot be reached, or refuses a topic (too few brokers, a missing right).
    """
    specs = {prefix + spec.name: spec for spec in topic_specs(application)}
    counts = {topic: spec.partitions or partitions for topic, spec in specs.items()}
    async with admin_client(cluster) as admin:
        there = await partitions_of(admin)
        missing = [topic for topic in specs if topic not in there]
        asked = [(topic, counts[topic], replication, specs[topic].configs(replication)) for topic in missing]
        failures = await create_topics(admin, asked) if asked else {}
        exist = {topic for topic, failure in failures.items() if isinstance(failure, _EXISTS)}
        for topic, failure in failures.items():
            if failure is not None and topic not in exist:
                raise SettingsError(f"Kafka does not make topic {topic}: {error_text(failure)}", hint=_advice(failure))
        await _wait_for(admin, missing)
        there = await partitions_of(admin)
    return [
        TopicCreation(topic, "created" if topic in failures and topic not in exist else "exists", len(there[topic]))
        for topic in specs
    ]


async def describe(cluster: ConnectionSettings, prefix: str, *, application: str = APPLICATION) -> list[TopicState]:
    """Return the topics of Forewarn that exist, as they are, in the order of the contracts.

    Raises:
        SettingsError: the cluster cannot be reached.
    """
    topics = [prefix + spec.name for spec in topic_specs(application)]
    async with admin_client(cluster) as admin:
        states = await states_of(admin, cluster, topics)
    return [states[topic] for topic in topics if topic in states]


async def check(
    cluster: ConnectionSettings, prefix: str, *, application: str = APPLICATION, sample: int = SAMPLE_RECORDS
) -> list[TopicProblem]:
    """Return all that is wrong with the topics, none if they are as the contracts say.

    Of each partition of the inputs the last `sample` records are read, to see whether their keys are right and lie
    where murmur2 puts them.

    Raises:
        SettingsError: the cluster cannot be reached.
    """
    specs = {prefix + spec.name: spec for spec in topic_specs(application)}
    async with admin_client(cluster) as admin:
        states = await states_of(admin, cluster, list(specs))
        inputs = {topic: states[topic].partitions for topic, spec in specs.items() if spec.keyed and topic in states}
        changelog = prefix + changelog_of(application)
        samples = await sample_topics(cluster, {topic: n for topic, n in inputs.items() if topic != changelog}, sample)
    return [
        *(BlockingProblem(topic, "it", "missing", "there") for topic in specs if topic not in states),
        *uneven_partitions(inputs),
        *(problem for topic, state in states.items() for problem in _setting_problems(state, specs[topic])),
        *(problem for topic, found in samples.items() for problem in _placement_problems(topic, found)),
    ]


def uneven_partitions(partitions: Mapping[str, int]) -> list[TopicProblem]:
    """Return a problem for each topic whose number of partitions is not that of most; the larger number at a tie.

    >>> [problem.topic for problem in uneven_partitions({"usage": 4, "top-ups": 8, "outcomes": 4})]
    ['top-ups']
    """
    if not partitions:
        return []
    wanted, _ = max(Counter(partitions.values()).items(), key=lambda pair: (pair[1], pair[0]))
    others = f"{wanted}, as of the other topics with its key"
    return [
        BlockingProblem(topic, "number of partitions", str(count), others)
        for topic, count in partitions.items()
        if count != wanted
    ]


def _setting_problems(state: TopicState, spec: TopicSpec) -> list[TopicProblem]:
    """Return in what a topic's own settings differ from what is declared."""
    problems: list[TopicProblem] = []
    if spec.partitions is not None and state.partitions != spec.partitions:
        wanted = str(spec.partitions)
        problems.append(BlockingProblem(state.topic, "number of partitions", str(state.partitions), wanted))
    if state.leaderless:
        found = f"{state.leaderless} of {state.partitions}"
        problems.append(BlockingProblem(state.topic, "number of partitions without a leader", found, "0"))
    for name in ("cleanup.policy", "retention.ms", *spec.lags()):
        found, expected = state.settings.get(name, "unknown"), spec.configs(1)[name]
        if found != expected:
            problems.append(TopicProblem(state.topic, name, found, expected))
    found = state.settings.get("max.message.bytes", "0")
    if int(found) < spec.max_message_bytes:
        problems.append(TopicProblem(state.topic, "max.message.bytes", found, f"{spec.max_message_bytes} or more"))
    found, insync = state.settings.get("min.insync.replicas", "1"), insync_of(state.replication)
    if int(found) < insync:
        words = f"{insync}, so that what was confirmed outlives a broker"
        problems.append(TopicProblem(state.topic, "min.insync.replicas", found, words))
    if int(found) > state.replication:
        words = f"{insync}, since with {state.replication} replicas nothing can be written"
        problems.append(TopicProblem(state.topic, "min.insync.replicas", found, words))
    return problems


def _placement_problems(topic: str, sample: TopicSample) -> list[TopicProblem]:
    problems = []
    if sample.elsewhere:
        found = f"{sample.elsewhere} of {sample.records} records looked at"
        what = "number of records in another partition than murmur2 says"
        cause = "0: a producer uses another partitioner (with librdkafka set partitioner=murmur2_random)"
        problems.append(TopicProblem(topic, what, found, cause))
    if sample.other_key:
        found = f"{sample.other_key} of {sample.records} records looked at"
        problems.append(TopicProblem(topic, "number of records whose key is not their subscriber_id", found, "0"))
    return problems


async def _wait_for(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> None:
    """Wait until every partition of new topics has a leader: before, whoever writes or reads them is turned away."""
    async with asyncio.timeout(APPEARS_S):
        while True:
            there = await partitions_of(admin)
            if all(topic in there and all(part["leader"] >= 0 for part in there[topic]) for topic in topics):
                return
            await asyncio.sleep(_POLL_S)


def _advice(failure: Exception) -> str | None:
    if isinstance(failure, kafka_errors.InvalidReplicationFactorError):
        return "--replication can be the number of brokers at most"
    if isinstance(failure, kafka_errors.TopicAuthorizationFailedError | kafka_errors.ClusterAuthorizationFailedError):
        return "kafka_user needs the right to create topics, or somebody who has it creates them"
    if isinstance(failure, kafka_errors.InvalidTopicError):
        return "see kafka_prefix"
    return None


_EXISTS: Final = kafka_errors.TopicAlreadyExistsError

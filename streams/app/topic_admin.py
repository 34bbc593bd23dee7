"""Kafka's topics: made, checked and described."""

import asyncio

from streams.kafka.client.admin import TopicState
from streams.kafka.client.connection import connection_settings
from streams.kafka.topics import management as topics
from streams.kafka.topics.management import TopicCreation, TopicProblem
from streams.shared.settings import Settings


def create_topics(settings: Settings, *, partitions: int, replication: int, application: str) -> list[TopicCreation]:
    """Make the topics that are missing."""
    cluster = connection_settings(settings)
    return asyncio.run(topics.create(cluster, settings.kafka_prefix, partitions, replication, application=application))


def check_topics(settings: Settings, *, application: str, sample: int) -> list[TopicProblem]:
    """Return all that is wrong with the topics."""
    return asyncio.run(
        topics.check(connection_settings(settings), settings.kafka_prefix, application=application, sample=sample)
    )


def describe_topics(settings: Settings, *, application: str) -> list[TopicState]:
    """Return the topics as they are."""
    return asyncio.run(topics.describe(connection_settings(settings), settings.kafka_prefix, application=application))

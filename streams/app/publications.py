"""What everybody on Kafka reads whole: policies, model versions and promotions."""

import asyncio
from pathlib import Path
from time import time

import msgspec

from streams.app.models import promotion_for
from streams.app.policies import read_policy_for
from streams.core.alerts.policy import Policy
from streams.core.scoring.promotions import Promotion
from streams.engine.in_force import MODELS, POLICIES, policy_message
from streams.kafka.client.connection import connection_settings
from streams.kafka.topics.broadcast import publish
from streams.kafka.topics.model_versions import read_versions
from streams.learning.registry import ModelRegistry
from streams.shared.settings import Settings


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
    registry = models(settings)
    promotion = promotion_for(registry, wanted, registry.at_ms if from_ms is None else from_ms)
    record = (promotion.key, msgspec.json.encode(promotion))
    asyncio.run(publish(connection_settings(settings), settings.kafka_prefix + MODELS, [record]))
    return promotion

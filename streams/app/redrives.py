"""Dead letters: listed, and sent again to where they came from."""

import asyncio

from streams.kafka.client.connection import connection_settings
from streams.kafka.topics import dead_letters as letters
from streams.kafka.topics.dead_letters import DeadLetterFilter, DeadLetterSummary, RedriveResult
from streams.shared.settings import Settings

__all__ = ["DeadLetterFilter", "dead_letters", "redrive"]


def dead_letters(settings: Settings, wanted: DeadLetterFilter) -> list[DeadLetterSummary]:
    """Return the dead letters that are there now."""
    return asyncio.run(letters.letters(connection_settings(settings), settings.kafka_prefix, wanted))


def redrive(
    settings: Settings, wanted: DeadLetterFilter, *, redrives_max: int, limit: int | None = None, dry_run: bool = False
) -> RedriveResult:
    """Send the records of dead letters to where they came from."""
    cluster, prefix = connection_settings(settings), settings.kafka_prefix
    return asyncio.run(
        letters.redrive(cluster, prefix, wanted, redrives_max=redrives_max, limit=limit, dry_run=dry_run)
    )

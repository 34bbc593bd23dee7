"""Records from files to their topics."""

import asyncio
from collections.abc import Sequence

from streams.app.progress import Progress, TellProgress
from streams.files.sources import total_bytes
from streams.kafka.client.connection import connection_settings
from streams.kafka.topics import producing
from streams.kafka.topics.producing import ProduceResult, Stamp
from streams.shared.settings import Settings


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
    cluster = connection_settings(settings)
    sources = producing.sources_of(places, topic)
    total = total_bytes(sources) or 0
    tell = None if progress is None else lambda sent, read, at_ms: progress(Progress(sent, read, total, at_ms, 0))
    work = producing.produce(
        cluster, settings.kafka_prefix, sources, rate=rate, keep_bad=keep_bad, stamp=stamp, tell=tell
    )
    return asyncio.run(work)

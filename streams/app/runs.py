"""A run in one process: an input into a database, going on where an earlier run stood."""

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from time import monotonic, time

import msgspec

from streams.app.new_trainer import trainer_from
from streams.app.policies import cold_scorer, read_policy_for
from streams.app.progress import Progress, TellProgress
from streams.core.alerts.policy import Policy
from streams.core.contracts.decode import decode, decode_any, decode_broadcast
from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.events import BroadcastEvent, Event, Record
from streams.core.notify.contact import WITHOUT_LIMITS, ContactRules
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.subscriber.packing import UnreadableStateError
from streams.engine.embedded import COMMIT_RECORDS, EmbeddedEngine, RunProgress
from streams.engine.summary import RunSummary, summarise
from streams.files.sources import MergedSources, Source, discover, market_sources, merge_sources, total_bytes
from streams.shared.errors import StoreError
from streams.store.database import RunStore
from streams.store.run.batch import Checkpoint, Run

__all__ = ["RunSummary", "decoder_of", "load_checkpoint", "run", "run_progress"]


def run(
    input: str,  # noqa: A002 - the option's name
    db: str,
    *,
    until_ms: int | None = None,
    policy_path: Path | None = None,
    topic: str | None = None,
    progress: TellProgress | None = None,
    commit_records: int = COMMIT_RECORDS,
    rules: ContactRules = WITHOUT_LIMITS,
) -> RunSummary:
    """Process an input into a database, going on where an earlier run over the same input stood.

    The database's endpoints are told of what is found, by the rules of contact, once a dispatcher runs.
    """
    begun_s = monotonic()
    sources = discover(input, topic)
    policy = read_policy_for(input, policy_path)
    with RunStore.open(db, rules=rules) as store:
        checkpoint = _begin(store, input, topic, policy)
        trainer = trainer_from(checkpoint, policy)
        try:
            runner = EmbeddedEngine(store, trainer, policy, cold_scorer(), checkpoint, commit_records=commit_records)
            at, received_ms = checkpoint.positions, checkpoint.run.received_ms
            published = merge_sources(market_sources(input) if topic is None else (), at, received_ms, decode_broadcast)
            with closing(merge_sources(sources, at, received_ms, decoder_of(sources))) as merge, closing(published):
                runner.run(merge, until_ms, run_progress(progress, merge, sources), published)
        except UnreadableStateError as error:
            raise StoreError(f"database {store.name} cannot be resumed: {error}", hint="run into a new one") from error
        return summarise(store, runner, checkpoint, monotonic() - begun_s)


def load_checkpoint(store: RunStore) -> Checkpoint:
    """Return how far the run in a database has come.

    Raises:
        StoreError: the database holds no run.
    """
    checkpoint = store.load()
    if checkpoint is None:
        raise StoreError(
            f"database {store.name} holds no run yet", hint="`forewarn run --input ... --db ...` makes one"
        )
    return checkpoint


def decoder_of(sources: Iterable[Source]) -> Callable[[Record], Event | BroadcastEvent | DeadLetter]:
    """Return what decodes the records of sources; only where lines name their topic can they be about the market."""
    return decode_any if any(source.topic is None for source in sources) else decode


def run_progress(
    progress: TellProgress | None, merge: MergedSources, sources: tuple[Source, ...]
) -> Callable[[RunProgress], None] | None:
    """Return what tells a command how far a run has come, with the bytes that were read of all there are."""
    if progress is None:
        return None
    total = total_bytes(sources) or 0
    return lambda tick: progress(Progress(tick.records, merge.bytes_read, total, tick.event_ms, tick.alerts))


def _begin(store: RunStore, input: str, topic: str | None, policy: Policy) -> Checkpoint:  # noqa: A002
    """Return the checkpoint to go on from, a fresh one if the database is new; refuse another input or policy."""
    place = input if input == "-" else str(Path(input).resolve())
    checkpoint = store.load()
    if checkpoint is None:
        now_ms = int(time() * 1000)
        content = msgspec.to_builtins(policy)
        store.start(
            Run(
                input=place,
                settings={"topic": topic, "scorecard": cold_scorer().version},
                policy=content,
                policy_version=policy.version,
                feature_table=FEATURE_TABLE,
                received_ms=now_ms,
                started_ms=now_ms,
            )
        )
        return load_checkpoint(store)
    began = checkpoint.run
    for what, now, then in (
        ("input", place, began.input),
        ("topic", topic or "any", began.settings.get("topic") or "any"),
        ("policy", policy.version, began.policy_version),
        ("feature table", FEATURE_TABLE, began.feature_table),
        ("scorecard", cold_scorer().version, began.settings.get("scorecard")),
    ):
        if now != then:
            raise StoreError(
                f"database {store.name} holds a run with another {what}: {then}, not {now}", hint="name a new one"
            )
    return checkpoint

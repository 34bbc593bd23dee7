"""A run in one process: an input into a database, going on where an earlier run stood."""

from functools import partial
from pathlib import Path
from time import monotonic, time

import msgspec

from streams.app.new_trainer import trainer_from
from streams.app.policies import cold_scorer, read_policy_for
from streams.app.progress import Progress, TellProgress
from streams.core.notify.contact import WITHOUT_LIMITS, ContactRules
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.step import Context
from streams.core.subscriber.packing import UnreadableStateError
from streams.engine.embedded import COMMIT_RECORDS, EmbeddedEngine, RunPlan, RunProgress
from streams.engine.summary import RunSummary, summarise
from streams.files.sources import discover, market_sources, total_bytes
from streams.shared.errors import StoreError
from streams.store.database import RunStore
from streams.store.run.batch import Checkpoint, Run

__all__ = ["RunSummary", "load_checkpoint", "run"]


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
    plan = _plan(input, topic, policy_path)
    with RunStore.open(db, rules=rules) as store:
        plan = _as_begun(plan, store.load())
        checkpoint = store.begin(plan.run)
        try:
            runner = EmbeddedEngine(store, plan, checkpoint, commit_records=commit_records)
            runner.run(until_ms, None if progress is None else lambda tick: progress(_progress(tick)))
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


def _plan(input: str, topic: str | None, policy_path: Path | None) -> RunPlan:  # noqa: A002
    """Return what a run over an input is made of, all of it known before a database is opened."""
    policy, now_ms = read_policy_for(input, policy_path), int(time() * 1000)
    scorer, sources = cold_scorer(policy), discover(input, topic)
    return RunPlan(
        run=Run(
            input=input if input == "-" else str(Path(input).resolve()),
            settings={"topic": topic, "scorecard": scorer.version},
            policy=msgspec.to_builtins(policy),
            policy_version=policy.version,
            feature_table=FEATURE_TABLE,
            received_ms=now_ms,
            started_ms=now_ms,
        ),
        sources=sources,
        market_sources=market_sources(input) if topic is None else (),
        bytes_total=total_bytes(sources) or 0,
        resume_trainer=partial(trainer_from, policy),
        cold=Context(scorer, policy),
    )


def _as_begun(plan: RunPlan, checkpoint: Checkpoint | None) -> RunPlan:
    """Return the plan with the scorecard that an earlier run began with, where that is the whole one."""
    if checkpoint is None:
        return plan
    policy = plan.cold.policy
    cold = cold_scorer(policy, began=checkpoint.run.settings.get("scorecard"))
    run = msgspec.structs.replace(plan.run, settings=plan.run.settings | {"scorecard": cold.version})
    return msgspec.structs.replace(plan, run=run, cold=Context(cold, policy))


def _progress(tick: RunProgress) -> Progress:
    return Progress(tick.records, tick.bytes_read, tick.bytes_total, tick.event_ms, tick.alerts)

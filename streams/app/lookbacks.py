"""Looking back at a run: everybody scored at a past moment, and an alert computed again."""

from collections.abc import Iterator

from msgspec import Struct

from streams.app.policies import cold_scorer
from streams.app.progress import Progress, TellProgress
from streams.app.runs import load_checkpoint
from streams.core.alerts.policy import policy_from
from streams.core.contracts.decode_alert import differences
from streams.core.contracts.effects import AlertChanged
from streams.core.scoring.scorer import Scorer
from streams.core.step import Context
from streams.core.subscriber.packing import unpack
from streams.engine import refold
from streams.engine.embedded import in_force_of
from streams.files.sources import MergedSources, Source, decoder_of, discover, merge_sources, total_bytes
from streams.shared.errors import InputError
from streams.store.database import RunStore
from streams.store.run.batch import Run


class Explanation(Struct, frozen=True):
    """An alert as stored and as computed again; `recomputed` is None where the records are not at hand.

    `equal` is of what `differences` compares.
    """

    stored: AlertChanged
    recomputed: AlertChanged | None
    equal: bool


def scores(db: str, at_ms: int, progress: TellProgress | None = None) -> Iterator[refold.Score]:
    """Yield everybody's probability at a moment; a moment before the stream's end folds the records again."""
    with RunStore.open(db, create=False) as store:
        checkpoint = load_checkpoint(store)
        policy = policy_from(checkpoint.run.policy)
        in_force = in_force_of(store, Context(_cold(checkpoint.run), policy))
        # Whoever is scored at the very moment of a new version is scored before it.
        scorer, (signals, _) = in_force.at(at_ms - 1)[0].scorer, in_force.market.at(at_ms)
        if at_ms >= checkpoint.stream_ms:
            found = ((subscriber_id, unpack(packed).facts) for subscriber_id, packed in store.states())
            yield from refold.scores(found, at_ms, scorer, policy, signals)
            return
    sources, merge = _again(checkpoint.run, None)
    facts = refold.facts_at(merge, at_ms, policy, _refolded(progress, merge, sources))
    merge.close()
    yield from refold.scores(sorted(facts.items()), at_ms, scorer, policy, signals)


def explain(db: str, alert_id: str, input: str | None = None, progress: TellProgress | None = None) -> Explanation:  # noqa: A002
    """Return an alert's newest transition and the same computed again from its subscriber's records."""
    with RunStore.open(db, create=False) as store:
        checkpoint = load_checkpoint(store)
        stored = _one_alert(store, alert_id)
        policy = policy_from(checkpoint.run.policy)
        in_force = in_force_of(store, Context(_cold(checkpoint.run), policy))
    market, scorer = in_force.market, in_force.scorer_of(stored.model_version)
    signals = market.of_version(stored.signals_version, stored.at_ms)
    try:
        sources, merge = _again(checkpoint.run, input)
    except InputError:
        if input is not None:
            raise
        return Explanation(stored, None, equal=False)
    tell = _refolded(progress, merge, sources)
    refolded = refold.alert_facts(merge, stored, policy, lambda ms: market.at(ms)[0], tell)
    merge.close()
    if refolded is None or scorer is None or signals is None:
        return Explanation(stored, None, equal=False)
    recomputed = refold.recompute(stored, refolded, scorer, policy, signals)
    return Explanation(stored, recomputed, equal=not differences(stored, recomputed))


def _cold(began: Run) -> Scorer:
    """Return the scorecard that a run began with."""
    return cold_scorer(policy_from(began.policy), began=began.settings.get("scorecard"))


def _again(began: Run, place: str | None) -> tuple[tuple[Source, ...], MergedSources]:
    """Return the sources of a run from their beginning."""
    if place is None and began.input == "-":
        raise InputError("the run read standard input, which is gone", hint="name where the records are with --input")
    sources = discover(place or began.input, began.settings.get("topic"))
    return sources, merge_sources(sources, {}, began.received_ms, decoder_of(sources))


def _refolded(
    progress: TellProgress | None, merge: MergedSources, sources: tuple[Source, ...]
) -> refold.TellRefolded | None:
    """Return what tells a command how far the records were folded again."""
    if progress is None:
        return None
    total = total_bytes(sources) or 0
    return lambda records, event_ms: progress(Progress(records, merge.bytes_read, total, event_ms, 0))


def _one_alert(store: RunStore, alert_id: str) -> AlertChanged:
    row = store.alert(alert_id)
    if row is not None:
        return row.latest
    near = store.alert_ids(alert_id) if len(alert_id) > 3 else []
    if len(near) == 1 and (row := store.alert(near[0])) is not None:
        return row.latest
    hint = "`forewarn alerts` lists them" if not near else "give more of it"
    raise InputError(f"{len(near) or 'no'} alert{'s' if near else ''} with the id {alert_id}", hint=hint)

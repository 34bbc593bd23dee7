"""The one place where the parts are chosen and joined: what the command line asks for, done with the real ones."""

import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from time import monotonic, time
from typing import Any, Final

import msgspec
from msgspec import Struct

from streams.app.new_trainer import SCORECARD, trainer_from
from streams.core.alerts.policy import Policy, PolicyError, layered, policy_from
from streams.core.contracts.decode import decode, decode_any, decode_broadcast
from streams.core.contracts.effects import AlertChanged, DeadLetter
from streams.core.contracts.events import BroadcastEvent, Event, Record
from streams.core.contracts.languages import LANGUAGES, Language
from streams.core.notify.contact import WITHOUT_LIMITS, ContactRules
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.scoring.models import read_scorecard, scorer_from
from streams.core.scoring.promotions import serving_periods
from streams.core.scoring.scorer import Scorer
from streams.core.subscriber.packing import UnreadableStateError, unpack
from streams.engine import refold
from streams.engine.embedded import COMMIT_RECORDS, EmbeddedEngine, RunProgress, known_market
from streams.engine.summary import RunSummary, summarise
from streams.files.sources import MergedSources, Source, discover, market_sources, merge_sources, total_bytes
from streams.imports.importing import ImportReport, import_file
from streams.shared.errors import InputError, SettingsError, StoreError
from streams.shared.pseudonyms import pseudonym
from streams.simulate.simulation import Compression, Simulation, SimulationReport
from streams.store.database import RunStore
from streams.store.run.batch import AlertRow, Checkpoint, Run
from streams.words.wording import LanguageCatalogue, read_wordings

__all__ = [
    "Explanation",
    "ImportReport",
    "Progress",
    "RunSummary",
    "SimulationReport",
    "alerts",
    "explain",
    "import_data",
    "pseudonyms",
    "run",
    "scores",
    "simulate",
    "wording",
]

DATASET_FILE: Final = "forewarn.toml"
"""A file in an input folder whose `[policy]` table says what the data is: its horizon, its rhythm."""

_DEFAULTS: Final = files("streams") / "defaults"


class Progress(Struct, frozen=True):
    """How far work has come; `bytes_total` is 0 where nobody knows."""

    records: int
    bytes_done: int
    bytes_total: int
    event_ms: int
    alerts: int


TellProgress = Callable[[Progress], None]


class Explanation(Struct, frozen=True):
    """An alert as stored and as computed again; `recomputed` is None where the records are not at hand."""

    stored: AlertChanged
    recomputed: AlertChanged | None
    equal: bool


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
            with closing(merge_sources(sources, at, received_ms, _decoder(sources))) as merge, closing(published):
                runner.run(merge, until_ms, _telling(progress, merge, sources), published)
        except UnreadableStateError as error:
            raise StoreError(f"database {store.name} cannot be resumed: {error}", hint="run into a new one") from error
        return summarise(store, runner, checkpoint, monotonic() - begun_s)


def read_policy_for(input: str, policy_path: Path | None) -> Policy:  # noqa: A002 - the option's name
    """Return the default policy with the input folder's and then the given file laid over it.

    Raises:
        SettingsError: a file cannot be read, or makes no usable policy.
    """
    trees = [tomllib.loads((_DEFAULTS / "policy.toml").read_text("utf-8"))]
    dataset = Path(input) / DATASET_FILE
    if input != "-" and dataset.is_file():
        trees.append(_tree(dataset).get("policy", {}))
    if policy_path is not None:
        tree = _tree(policy_path)
        trees.append(tree.get("policy", tree))
    try:
        return layered(*trees)
    except PolicyError as error:
        raise SettingsError(str(error)) from error


def _tree(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"the policy file {path} cannot be used: {error}") from error


def cold_scorer() -> Scorer:
    """Return the scorecard that serves until a model has learned enough."""
    return read_scorecard(SCORECARD.read_text("utf-8"))


def alerts(
    db: str,
    states: Iterable[str] | None = None,
    bands: Iterable[str] | None = None,
    kinds: Iterable[str] | None = None,
    limit: int | None = None,
    *,
    held_out: bool = False,
) -> list[AlertRow]:
    """Return the alerts that ever fired (pending ones too when asked for), firing first, then by what is at stake.

    Those of held-out subscribers, of whom nobody is told, are returned when they are asked for, and no others then.
    """
    wanted = set(states) if states is not None else None
    with RunStore.open(db, create=False) as store:
        rows = store.alerts(states=wanted, held_out=held_out)
    bands, kinds = set(bands or ()), set(kinds or ())
    kept = [
        row
        for row in rows
        if (row.fired_at_ms is not None or (wanted is not None and row.latest.state == "pending"))
        and (not bands or row.latest.band in bands)
        and (not kinds or row.latest.kind in kinds)
    ]
    kept.sort(key=_by_urgency)
    return kept[:limit]


def scores(db: str, at_ms: int, progress: TellProgress | None = None) -> Iterator[refold.Score]:
    """Yield everybody's probability at a moment; a moment before the stream's end folds the records again."""
    with RunStore.open(db, create=False) as store:
        checkpoint = _loaded(store)
        policy = policy_from(checkpoint.run.policy)
        signals, _ = known_market(store).at(at_ms)
        scorer = refold.scorer_in_force(at_ms, cold_scorer(), _served(store))
        if at_ms >= checkpoint.stream_ms:
            found = ((subscriber_id, unpack(packed).facts) for subscriber_id, packed in store.states())
            yield from refold.scores(found, at_ms, scorer, policy, signals)
            return
    sources, merge = _again(checkpoint.run, None)
    tell = _telling(progress, merge, sources)
    facts = refold.facts_at(merge, at_ms, policy, None if tell is None else lambda n, ms: tell(RunProgress(n, ms, 0)))
    merge.close()
    yield from refold.scores(sorted(facts.items()), at_ms, scorer, policy, signals)


def explain(db: str, alert_id: str, input: str | None = None, progress: TellProgress | None = None) -> Explanation:  # noqa: A002
    """Return an alert's newest transition and the same computed again from its subscriber's records."""
    with RunStore.open(db, create=False) as store:
        checkpoint = _loaded(store)
        stored = _one_alert(store, alert_id)
        market = known_market(store)
        signals = market.of_version(stored.signals_version, stored.at_ms)
        scorers = {scorer.version: scorer for scorer in map(scorer_from, store.models())}
    cold = cold_scorer()
    scorers[cold.version] = cold
    scorer = scorers.get(stored.model_version)
    try:
        sources, merge = _again(checkpoint.run, input)
    except InputError:
        if input is not None:
            raise
        return Explanation(stored, None, equal=False)
    policy = policy_from(checkpoint.run.policy)
    tell = _telling(progress, merge, sources)
    told = None if tell is None else lambda n, ms: tell(RunProgress(n, ms, 0))
    refolded = refold.alert_facts(merge, stored, policy, lambda ms: market.at(ms)[0], told)
    merge.close()
    if refolded is None or scorer is None or signals is None:
        return Explanation(stored, None, equal=False)
    recomputed = refold.recompute(stored, refolded, scorer, policy, signals)
    return Explanation(stored, recomputed, equal=recomputed == stored)


@cache
def wording(language: Language) -> LanguageCatalogue:
    """Return the words of a language, read once and checked against those of the others."""
    texts = {name: (_DEFAULTS / f"wording.{name}.toml").read_text("utf-8") for name in LANGUAGES}
    return read_wordings(texts)[language]


def simulate(
    out: Path,
    *,
    seed: int,
    subscribers: int,
    days: int,
    start_ms: int | None = None,
    progress: TellProgress | None = None,
    compression: Compression = "none",
    **faults: Any,  # noqa: ANN401 - checked by Simulation, field by field
) -> SimulationReport:
    """Write the topics of a simulated operator and the truth about it."""
    if start_ms is not None:
        faults["start"] = datetime.fromtimestamp(start_ms / 1000, UTC)
    settings = Simulation(seed=seed, subscribers=subscribers, days=days, compression=compression, **faults)
    from streams.simulate.operator import simulate as simulate_operator  # noqa: PLC0415 - as above, for NumPy

    return simulate_operator(settings, out, _simulated(progress, settings))


def import_data(
    map_name_or_path: str,
    file: Path,
    out: Path,
    *,
    key: bytes,
    seed: int = 0,
    compression: Compression = "none",
    progress: TellProgress | None = None,
) -> ImportReport:
    """Turn a table into topics."""
    tell = None if progress is None else lambda done, total: progress(Progress(0, done, total, 0, 0))
    return import_file(map_name_or_path, file, out, key=key, seed=seed, compression=compression, progress=tell)


def pseudonyms(identifiers: Iterable[str], key: bytes) -> Iterator[tuple[str, str]]:
    """Yield each identifier with the subscriber id that it becomes under the key."""
    for identifier in identifiers:
        yield identifier, pseudonym(key, identifier)


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
        return _loaded(store)
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


def _served(store: RunStore) -> list[tuple[int, Scorer]]:
    """Return the scorers that served, each with the event time (ms) from which it did."""
    versions = [(version.published_at_ms, version.served_as, scorer_from(version)) for version in store.models()]
    return serving_periods(versions, store.promotions())


def _loaded(store: RunStore) -> Checkpoint:
    checkpoint = store.load()
    if checkpoint is None:
        raise StoreError(
            f"database {store.name} holds no run yet", hint="`forewarn run --input ... --db ...` makes one"
        )
    return checkpoint


def _again(began: Run, place: str | None) -> tuple[tuple[Source, ...], MergedSources]:
    """Return the sources of a run from their beginning."""
    if place is None and began.input == "-":
        raise InputError("the run read standard input, which is gone", hint="name where the records are with --input")
    sources = discover(place or began.input, began.settings.get("topic"))
    return sources, merge_sources(sources, {}, began.received_ms, _decoder(sources))


def _decoder(sources: Iterable[Source]) -> Callable[[Record], Event | BroadcastEvent | DeadLetter]:
    """Return what decodes the records of sources; only where lines name their topic can they be about the market."""
    return decode_any if any(source.topic is None for source in sources) else decode


def _one_alert(store: RunStore, alert_id: str) -> AlertChanged:
    row = store.alert(alert_id)
    if row is not None:
        return row.latest
    near = [r.latest for r in store.alerts() if r.latest.alert_id.startswith(alert_id)] if len(alert_id) > 3 else []
    if len(near) == 1:
        return near[0]
    hint = "`forewarn alerts` lists them" if not near else "give more of it"
    raise InputError(f"{len(near) or 'no'} alert{'s' if near else ''} with the id {alert_id}", hint=hint)


def _telling(
    progress: TellProgress | None, merge: MergedSources, sources: tuple[Source, ...]
) -> Callable[[RunProgress], None] | None:
    if progress is None:
        return None
    total = total_bytes(sources) or 0
    return lambda tick: progress(Progress(tick.records, merge.bytes_read, total, tick.event_ms, tick.alerts))


def _simulated(progress: TellProgress | None, settings: Simulation) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(Progress(done, done, total, settings.start_ms, 0))


def _by_urgency(row: AlertRow) -> tuple[bool, float, str]:
    alert = row.latest
    return alert.state != "firing", -alert.probability * (alert.value_at_risk_minor + 1), alert.alert_id

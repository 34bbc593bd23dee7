"""Operators that both engines work off, and digests of all that is left: what is to stay the same, to the last bit.

    python -m tests.engine.bit_for_bit --write     writes the digests that this program gives
    python -m tests.engine.bit_for_bit             says which of them differ from those that are written

The large operators have more than 400,000 records each, with the seeds 7 and 11.  The simulator draws with NumPy, whose
streams may change from version to version: what was read has a digest of its own, and where that differs the engines
are not to blame.  What the trainer computes with NumPy depends on the processor of the machine: these digests hold on
x86-64 with glibc.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Final

import msgspec
from msgspec import Struct

from streams.app import policies
from streams.app.models import promote
from streams.app.new_trainer import new_trainer
from streams.core.alerts.policy import Policy, policy_from
from streams.core.contracts.events import INPUTS, MARKET
from streams.core.contracts.outputs import OutputRecord
from streams.core.contracts.source import SourceNumber, source_at, source_number
from streams.core.scoring.promotions import Promotion, with_promotion_hash
from streams.core.step import Context
from streams.core.times import DAY_MS
from streams.engine.in_force import MODELS, POLICIES, ContextTimeline, policy_message
from streams.engine.subscribers import PackedInMemory
from streams.kafka.client.partitioning import partition_of
from streams.kafka.trainer.training_task import TrainingTask, read_training_checkpoint
from streams.kafka.worker.checkpoint import CHECKPOINT_KEY, read_checkpoint
from streams.kafka.worker.subscriber_task import SubscriberTask, TaskChanges
from streams.store.database import RunStore
from tests.engine.canonical import digest, of_states, opened, plain, stored
from tests.engine.operators import FAULTY, LIVELY, run, write_operator
from tests.kafka.worker.test_subscriber_task import rest
from tests.kafka.workers import Raw

EXPECTED: Final = Path(__file__).with_name("bit_for_bit.json")
COMMAND: Final = "python -m tests.engine.bit_for_bit --write"
START_MS: Final = 1_704_067_200_000
PARTITIONS: Final = 4
SLICE_DAYS: Final = 4
APPLICATION: Final = "forewarn"
TRAINER: Final = "forewarn-trainer"
CHALLENGER: Final = "hazard"
RECEIVED_MS: Final = 2**62
AHEAD: Final = LIVELY.replace("looks_ahead = false", "surrogate_days = 5\nlooks_ahead = true")
"""Labels look ahead, as they do unless a policy says otherwise."""
EARLY: Final = LIVELY.replace("horizon_days = 14", "horizon_days = 14\nsurrogate_days = 5\nvalue_loss = true")
"""Labels are told early and corrected, and there is one more kind of them."""
MIDNIGHT: Final = EARLY + "\n[policy.scoring]\nat_hour = 0\n"
"""Everybody wakes at the very moments to which versions, policies and stops are dated."""
_DAY: Final = re.compile(rb'"event_time":"(20[0-9]{2}-[0-9]{2}-[0-9]{2})T')

Digests = dict[str, str]


class Case(Struct, frozen=True):
    """An operator: its seed, its size and its policy."""

    name: str
    seed: int
    subscribers: int
    days: int
    policy: str
    records_min: int


CASES: Final = (
    Case("small", 3, 60, 120, EARLY, 5_000),
    Case("midnight", 5, 60, 120, MIDNIGHT, 5_000),
    Case("ahead", 3, 60, 120, AHEAD, 5_000),
    Case("seed-7", 7, 3_350, 150, LIVELY, 400_000),
    Case("seed-11", 11, 4_500, 112, EARLY, 400_000),
)


def write_input(case: Case, folder: Path) -> Path:
    """Simulate the operator of a case into a folder."""
    return write_operator(
        folder, subscribers=case.subscribers, days=case.days, seed=case.seed, faults=FAULTY, policy=case.policy
    )


def of_input(folder: Path) -> tuple[int, Digests]:
    """Return how many records a simulated folder holds, and the digest of each topic."""
    found, records = {}, 0
    for topic in (*INPUTS, MARKET):
        raw = (folder / f"{topic}.jsonl").read_bytes()
        records += raw.count(b"\n")
        found[topic] = sha256(raw).hexdigest()
    return records, found


def embedded(case: Case, folder: Path) -> Digests:
    """Run a folder in one process, with a promotion on the way and a quiet time at the end, and digest the database."""
    with TemporaryDirectory() as place:
        db = Path(place) / "run.sqlite"
        run(folder, db, until_ms=_day(case, 0.7), commit_records=50_000)
        promote(str(db), CHALLENGER)
        run(folder, db)
        run(folder, db, until_ms=_day(case, 1.0) + 10 * DAY_MS)
        return of_database(db)


def of_database(db: Path) -> Digests:
    """Return the digests of all that a run has left in a database."""
    with RunStore.open(str(db), create=False) as store:
        checkpoint = store.load()
        assert checkpoint is not None
        assert checkpoint.trainer is not None
        alerts = sorted(store.alerts(), key=lambda row: row.latest.alert_id)
        return {
            **of_states(stored(store)),
            "alerts": digest(plain(row) for row in alerts),
            "transitions": digest(plain(store.transitions(row.latest.alert_id)) for row in alerts),
            "examples": digest(plain(example) for example in store.examples()),
            "predictions": digest(plain(prediction) for prediction in store.predictions()),
            "versions": digest(plain(version) for version in store.models()),
            "promotions": digest(plain(promotion) for promotion in store.promotions()),
            "market events": digest(plain(announced) for announced in store.market_events()),
            "dead letters": digest(plain(letter) for letter in store.dead_letters()),
            "late events": digest(plain(event) for event in store.late_events()),
            "counters": digest([plain(checkpoint.counters)]),
            "stream time": digest([checkpoint.stream_ms]),
            "positions": digest([plain(checkpoint.positions)]),
            "trainer": digest([plain(msgspec.json.decode(checkpoint.trainer))]),
        }


def _day(case: Case, share: float) -> int:
    return START_MS + round(case.days * share) * DAY_MS


class Log:
    """What one partition has written: states by key, and all that it has published, in order."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.states: dict[bytes, bytes] = {}
        self.outputs: list[OutputRecord] = []

    def take(self, changes: TaskChanges | None) -> list[OutputRecord]:
        """Write one transaction, and return what it publishes."""
        if changes is None:
            return []
        for key, value in (*changes.states, changes.checkpoint):
            if value is None:
                self.states.pop(key, None)
            else:
                self.states[key] = value
        self.outputs += changes.outputs
        return list(changes.outputs)

    @property
    def without_mark(self) -> dict[bytes, bytes]:
        """Return the states alone."""
        return {key: value for key, value in self.states.items() if key != CHECKPOINT_KEY}


class Workers:
    """Four partitions and the trainer without a broker: what the trainer publishes serves the partitions from then on.

    Every second partition keeps few states open.  All begin anew from what they have written whenever they are told to.
    """

    def __init__(self, policy: Policy) -> None:
        """Begin with nobody."""
        self.policy = policy
        self.serving = ContextTimeline(Context(policies.cold_scorer(policy), policy))
        self._new_trainer = partial(new_trainer, policy)
        self.logs = [Log() for _ in range(PARTITIONS)]
        self.learned = Log()
        self.begin()

    def begin(self) -> None:
        """Begin anew, as after a restart: all that is known is what was written."""
        self.tasks = []
        for number, log in enumerate(self.logs):
            task = SubscriberTask(number, APPLICATION, self.serving, open_max=50 if number % 2 else None)
            task.restore(PackedInMemory(log.states))
            self.tasks.append(task)
        self.training = TrainingTask(0, TRAINER, self._new_trainer)
        self.training.restore(PackedInMemory(self.learned.states))

    def publish(self, topic: str, key: bytes, value: bytes) -> None:
        """Have something broadcast."""
        why = self.serving.take(topic, key, value)
        assert why is None, why

    def work(self, runs: Mapping[SourceNumber, Sequence[Raw]], number: int, limit: int, *, to_the_end: bool) -> None:
        """Have one partition work off runs by source, and write; `to_the_end` says that its topics have no more."""
        task = self.tasks[number]
        for source, run_ in runs.items():
            assert task.queue(source, task.queues[source].queued, run_)
        ended = {source for source in task.queues if to_the_end or not task.waiting_count(source)}
        while task.advance(ended, limit):
            pass
        outputs = self.logs[number].take(task.changes())
        task.note_written()
        rest(task)
        values = [output.value for output in outputs if output.topic == "examples"]
        next_one = self.training.queues[source_at(0, 0)].queued
        records = [Raw(next_one + i, RECEIVED_MS, b"k", value) for i, value in enumerate(values)]
        if records:
            assert self.training.queue(source_at(0, 0), next_one, records)

    def learn(self) -> None:
        """Have the trainer learn what has come, write, and publish."""
        while self.training.advance(set(), 1_000):
            pass
        for output in self.learned.take(self.training.changes()):
            if output.topic == MODELS and output.key is not None:
                self.publish(MODELS, output.key, output.value)
        self.training.note_written()


def on_kafka(case: Case, folder: Path) -> Digests:
    """Work off a folder as workers do, slice by slice: versions, a promotion, a policy and erasures on the way."""
    workers = Workers(policies.read_policy_for(str(folder), None))
    slices = list(sliced(folder, case.days))
    for number in range(len(slices)):
        work_off(workers, folder, slices, number)
    return of_workers(workers)


def work_off(
    workers: Workers, folder: Path, slices: Sequence[list[dict[SourceNumber, list[Raw]]]], number: int
) -> None:
    """Have workers work off one slice of a folder, with all that is broadcast by then."""
    middle, begin_ms = len(slices) // 2, START_MS + number * SLICE_DAYS * DAY_MS
    until = datetime.fromtimestamp(begin_ms / 1000 + SLICE_DAYS * DAY_MS / 1000, UTC).isoformat()
    for line in (folder / f"{MARKET}.jsonl").read_bytes().splitlines():
        entry = msgspec.json.decode(line)
        if number > middle or entry["event_time"] < until:  # Some comes when its time is long over.
            workers.publish(MARKET, entry["entry_id"].encode(), line)
    if number == middle:
        stricter = _stricter(workers.policy)
        workers.publish(POLICIES, stricter.version.encode(), policy_message(stricter, begin_ms + DAY_MS))
        workers.begin()
    if number == middle + 2:
        made = _promotion(begin_ms + 5)
        workers.publish(MODELS, made.key, msgspec.json.encode(made))
    to_the_end = number % 2 == 1 or number == len(slices) - 1
    for partition in range(PARTITIONS):
        limit = 300 + 1_700 * (number % 4)
        workers.work(slices[number][partition], partition, limit, to_the_end=to_the_end)
    workers.learn()


def of_workers(workers: Workers) -> Digests:
    """Return the digests of all that partitions and the trainer have left in their changelogs, and published."""
    marks = [read_checkpoint(log.states[CHECKPOINT_KEY], APPLICATION) for log in workers.logs]
    outputs = [output for log in (*workers.logs, workers.learned) for output in log.outputs]
    by_topic = {
        topic: digest(
            [plain(output.key), plain(msgspec.json.decode(output.value)), plain(output.headers)]
            for output in outputs
            if output.topic == topic
        )
        for topic in ("alerts", "examples", "dead-letters", MODELS)
    }
    mark = read_training_checkpoint(workers.learned.states[CHECKPOINT_KEY], TRAINER)
    return {
        **of_states([one for log in workers.logs for one in opened(log.without_mark)]),
        "transitions": by_topic["alerts"],
        "examples": by_topic["examples"],
        "dead letters": by_topic["dead-letters"],
        "versions": by_topic[MODELS],
        "order": digest(
            [output.topic, plain(output.key)] for log in (*workers.logs, workers.learned) for output in log.outputs
        ),
        "counters": digest([plain([each.counters for each in marks]), plain(mark.counters)]),
        "stream time": digest([[each.stream_ms for each in marks], plain([each.newest_ms for each in marks])]),
        "positions": digest([plain([each.positions for each in marks]), mark.position]),
        "trainer": digest([plain(msgspec.json.decode(workers.training.trainer.snapshot()))]),
    }


def sliced(folder: Path, days: int) -> Iterator[list[dict[SourceNumber, list[Raw]]]]:
    """Yield what arrives in a few days at a time: for each partition the runs by source, keyed as producers do it.

    Behind what comes of their topic in the middle, three subscribers of each partition are erased.
    """
    slices = -(-days // SLICE_DAYS)
    arrived: list[list[tuple[str, int, bytes | None, bytes | None]]] = [[] for _ in range(slices)]
    for topic in INPUTS:
        keyless, latest = count(), "2024-01-01"
        for line in (folder / f"{topic}.jsonl").read_bytes().splitlines():
            dated = _DAY.search(line)
            latest = max(latest, dated[1].decode()) if dated else latest
            key = _key(line)
            partition = next(keyless) % PARTITIONS if key is None else partition_of(key, PARTITIONS)
            at_ms = int(datetime.fromisoformat(f"{latest}T00:00:00Z").timestamp()) * 1000
            number = min(max(at_ms - START_MS, 0) // (SLICE_DAYS * DAY_MS), slices - 1)
            arrived[number].append((topic, partition, key, line))
    known = sorted({(partition, key) for _, partition, key, _ in arrived[0] if key is not None})
    for number in range(PARTITIONS):
        erased = [key for partition, key in known if partition == number][:3]
        arrived[slices // 2 + 2] += [("subscribers", number, key, None) for key in erased]
    offsets: Counter[int] = Counter()
    for records in arrived:
        runs: list[dict[SourceNumber, list[Raw]]] = [{} for _ in range(PARTITIONS)]
        for topic, partition, key, value in records:
            source = source_number(topic, partition)
            runs[partition].setdefault(source, []).append(Raw(offsets[source], RECEIVED_MS, key, value))
            offsets[source] += 1
        yield runs


def _key(line: bytes) -> bytes | None:
    try:
        return str(msgspec.json.decode(line)["subscriber_id"]).encode()
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return None


def _stricter(policy: Policy) -> Policy:
    scoring = msgspec.structs.replace(policy.scoring, quiet_below=0.01)
    return policy_from({**msgspec.to_builtins(policy), "scoring": msgspec.to_builtins(scoring)})


def _promotion(at_ms: int) -> Promotion:
    return with_promotion_hash(Promotion(at_ms=at_ms, before="champion", to=CHALLENGER, by="operator", evidence={}))


ENGINES: Final[dict[str, Callable[[Case, Path], Digests]]] = {"embedded": embedded, "kafka": on_kafka}


def expected() -> dict[str, Any]:
    """Return the digests that are written, by case."""
    found: dict[str, Any] = json.loads(EXPECTED.read_text("utf-8"))
    return found


def differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Name the digests that are not the same."""
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))


def found_of(case: Case) -> dict[str, Any]:
    """Simulate a case, have both engines work it off, and return all its digests."""
    with TemporaryDirectory() as place:
        folder = write_input(case, Path(place) / "events")
        records, read = of_input(folder)
        found: dict[str, Any] = {"records": records, "input": read}
        for name, engine in ENGINES.items():
            begun_s = monotonic()
            found[name] = engine(case, folder)
            print(f"{case.name}: {records:,} records, {name} in {monotonic() - begun_s:.1f} s", flush=True)
    return found


def main() -> int:
    """Compare or write the digests of the cases that are named, of all by default; 1 if any differs."""
    parser = argparse.ArgumentParser(description="Digests of all that both engines leave of simulated operators.")
    parser.add_argument("--write", action="store_true", help="write what this program gives")
    parser.add_argument("cases", nargs="*", default=[case.name for case in CASES])
    asked = parser.parse_args()
    known = expected() if EXPECTED.exists() else {}
    differ = 0
    for case in CASES:
        if case.name not in asked.cases:
            continue
        found, before = found_of(case), known.get(case.name, {})
        for part in ("input", *ENGINES):
            names = differing(before.get(part, {}), found[part])
            differ += len(names)
            print(f"{case.name}: {part}: {', '.join(names) + ' differ' if names else 'the same'}")
        known[case.name] = found
        if asked.write:
            EXPECTED.write_text(json.dumps(known, indent=2) + "\n", "utf-8")
    return int(differ > 0 and not asked.write)


if __name__ == "__main__":
    sys.exit(main())

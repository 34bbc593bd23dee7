"""How many events a second one core decodes, folds, scores when due and alerts on, and what a subscriber costs.

    python benchmarks/step.py [--subscribers 10000 100000 1000000] [--events 1000000] [--rounds 3] [--out FILE]

The stream has the rates of the simulated operator: each day one usage summary a subscriber, a failed call every
nineteenth day (half of them dropped), a top-up every fourteenth, a complaint every third year.  Two thousand
subscribers live through 75 days first, outside the clock; their states are copied to as many as are asked for, and the
days that follow are timed: JSON bytes in, alerts and settled examples out, wakes included.  What waiting snapshots
hold goes to a store on a disk, as in a worker, and comes from it.  The hops are then timed alone, on the same records
and states.  Memory is what the process has for itself: pages of the store's file that the system keeps are not in it,
since it takes them back whenever it needs them.  What else runs on the machine only takes away, so the best of the
rounds counts, as in `timeit`; all of them are kept.
"""

import argparse
import gc
import json
import platform
import random
import statistics
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from hashlib import blake2b
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import msgspec

from streams.core.alerts.policy import policy_from_layers
from streams.core.contracts.decode import decode
from streams.core.contracts.events import Event, Record, Wake
from streams.core.scoring.features import vector
from streams.core.scoring.models import read_scorecard
from streams.core.scoring.windows import measure
from streams.core.step import Context, step
from streams.core.subscriber.facts import SubscriberState
from streams.core.subscriber.fold import fold
from streams.core.subscriber.packing import pack, unpack
from streams.core.times import DAY_MS
from streams.defaults import read_default
from streams.engine.waiting_snapshots import SnapshotStore, SubscriberEffects, WaitingSnapshots, parts_of, snapshot_key
from streams.engine.wakes import Wakes
from streams.kafka.worker.local_store import InMemoryStore, LmdbStore

BEGIN_MS = 19_723 * DAY_MS
WARM_DAYS = 75
TEMPLATES = 2_000
TURN_WAKES = 1_000
"""How many of those who wake at one time have their turn before others may have the loop, as in a worker."""
WRITE_SNAPSHOTS = 1_000
"""How many are left to the store at once, as a worker does with each write to the log."""
FETCH_RECORDS = 2_000
"""What a consumer is handed at once: a megabyte, as a Kafka fetch has by default."""
RECEIVED_MS = 2**62
RESULTS = Path(__file__).parent / "results" / "step.json"


def subscriber(number: int) -> str:
    """Return the id of the number-th subscriber."""
    return "s_" + blake2b(number.to_bytes(8, "big"), digest_size=16).hexdigest()


def time_text(at_ms: int) -> str:
    """Return RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Stream:
    """The records of one day at a time, for so many subscribers, in the order of event time."""

    def __init__(self, subscribers: int, seed: int) -> None:
        """Keep the ids; `seed` decides everything else."""
        self.ids = [subscriber(n) for n in range(subscribers)]
        self._random = random.Random(seed)
        self._offset = 0

    def day(self, day: int) -> Iterator[Record]:
        """Yield what reaches us on `day`: the events of the day, then its usage summaries at midnight."""
        draw, start = self._random.random, time_text(BEGIN_MS + day * DAY_MS)
        end = time_text(BEGIN_MS + (day + 1) * DAY_MS)
        noon = BEGIN_MS + day * DAY_MS + DAY_MS // 2
        for sid in self.ids:
            chance = draw()
            if chance < 0.125:
                at = time_text(noon + int(chance * 1e7))
                yield self._record(*self._rare(sid, chance, at))
        for sid in self.ids:
            calls = int(draw() * 9)
            yield self._record(
                "usage",
                {"event_time": end, "subscriber_id": sid, "period_start": start, "period_end": end,
                 "voice_attempts": calls + 1, "voice_answered": calls, "voice_s": calls * int(40 + 200 * draw()),
                 "data_sessions": 25, "data_bytes": 41_234_567, "sms_count": calls // 3},
            )  # fmt: skip

    def _rare(self, sid: str, chance: float, at: str) -> tuple[str, dict[str, object]]:
        base: dict[str, object] = {"event_time": at, "subscriber_id": sid}
        if chance < 0.002:
            is_new = chance < 0.001
            ticket = {"ticket_id": f"t-{sid[-8:]}", "change": "created" if is_new else "resolved",
                      "ticket_type": "complaint", "category": "call_drop", "channel": "hotline",
                      "status": "acknowledged" if is_new else "closed", "creation_date": at,
                      "last_update": at}  # fmt: skip
            return "complaints", base | ticket
        if chance < 0.055:
            is_drop = self._offset % 2 == 0
            call = {"call_id": f"c{self._offset}", "kind": "dropped" if is_drop else "setup_failed",
                    "service": "volte", "direction": "originating", "answered": is_drop, "duration_s": 73 * is_drop,
                    "cause_for_term": "abnormalRelease" if is_drop else "unsuccessfulCallAttempt", "rat": "eutran",
                    "release_protocol": "RELEASE_CAUSE", "release_code": 3, "qci": 1,
                    "cell_id": "460-00-1A2B3C4"}  # fmt: skip
            return "call-drops", base | call
        top_up = {"top_up_id": f"u{self._offset}", "status": "completed", "amount_minor": 2000, "currency": "CNY",
                  "channel": "app", "payment_method": "wallet"}  # fmt: skip
        return "top-ups", base | top_up

    def _record(self, topic: str, body: dict[str, object]) -> Record:
        offset = self._offset
        self._offset += 1
        value = msgspec.json.encode({"event_id": f"0198c0de-0000-7000-8000-{offset:012x}"} | body)
        return Record(topic, 0, offset, value, RECEIVED_MS)


class Loop:
    """The inner loop of a runner: records in, effects counted, wakes given when the stream passes them."""

    def __init__(self, context: Context, store: SnapshotStore) -> None:
        """Begin with no states; what waiting snapshots hold goes to the store."""
        self.context = context
        self.states: dict[str, SubscriberState] = {}
        self.waiting = WaitingSnapshots(store)
        self.wakes = Wakes()
        self.wakes_given = self.effects = 0

    def feed(self, records: list[Record]) -> None:
        """Process records in order."""
        states, wakes, context = self.states, self.wakes, self.context
        next_ms = wakes.next_ms or 2**62
        for record in records:
            given = decode(record)
            if given.__class__ is not Event:
                raise AssertionError(given)
            if given.at_ms >= next_ms:
                self._wake(given.at_ms)
                next_ms = wakes.next_ms or 2**62
            sid = given.body.subscriber_id
            state = states.get(sid)
            asked_ms = state.watch.next_wake_ms if state is not None else 0
            after, effects = step(state, given, context)
            if state is None:
                states[sid] = after
            wake_ms = after.watch.next_wake_ms
            if wake_ms != asked_ms:
                wakes.ask(wake_ms, sid)
                next_ms = min(next_ms, wake_ms)
            if effects:
                self.effects += len(self.waiting.finish(sid, effects, context.scorer))
        if len(self.waiting.new) + len(self.waiting.gone) >= WRITE_SNAPSHOTS:
            self.waiting.note_written()

    def _wake(self, stream_ms: int) -> None:
        states, context, ask = self.states, self.context, self.wakes.ask
        for at_ms, ids in self.wakes.take_due(stream_ms):
            self.wakes_given += len(ids)
            for start in range(0, len(ids), TURN_WAKES):
                made: list[SubscriberEffects] = []
                for sid in ids[start : start + TURN_WAKES]:
                    state, effects = step(states[sid], Wake(sid, at_ms), context)
                    if state.watch.next_wake_ms:
                        ask(state.watch.next_wake_ms, sid)
                    if effects:
                        made.append((sid, effects))
                self.effects += sum(len(whole) for _, whole in self.waiting.finish_all(made, context.scorer))


def served() -> Context:
    """Return the scorecard and the policy that the package brings."""
    return Context(
        read_scorecard(read_default("scorecard.toml")),
        policy_from_layers(tomllib.loads(read_default("policy.toml"))),
    )


def memory_bytes() -> int:
    """Return the resident memory that this process has for itself, in bytes: no pages of files."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])


class Template(NamedTuple):
    """A packed state after the warm-up, and its waiting snapshots by their times."""

    packed: bytes
    snapshots: dict[int, bytes]


def warm_states(context: Context) -> list[Template]:
    """Return the templates after the warm-up."""
    store = InMemoryStore()
    loop, stream = Loop(context, store), Stream(TEMPLATES, seed=1)
    for day in range(WARM_DAYS):
        loop.feed(list(stream.day(day)))
    loop.waiting.note_written()
    templates = []
    for sid in stream.ids:
        state = loop.states[sid]
        found = store.read_snapshots([snapshot_key(sid, snapshot.at_ms) for snapshot in state.watch.waiting])
        templates.append(Template(pack(state), {parts_of(key)[1]: body for key, body in found.items()}))
    return templates


def at_scale(templates: list[Template], subscribers: int, events: int) -> dict[str, float]:
    """Time whole days for so many subscribers until `events` are reached, two days at least."""
    context = served()
    before_bytes = memory_bytes()
    with TemporaryDirectory() as folder:
        store = LmdbStore(Path(folder))
    loop, stream = Loop(context, store), Stream(subscribers, seed=2)
    stream._offset = 1 << 40  # noqa: SLF001 - beyond the offsets of the warm-up, which the states remember
    for n, sid in enumerate(stream.ids):
        template = templates[n % TEMPLATES]
        loop.states[sid] = state = unpack(template.packed)
        store.write_snapshots({snapshot_key(sid, at_ms): body for at_ms, body in template.snapshots.items()}, ())
        loop.wakes.ask(state.watch.next_wake_ms, sid)
    store.flush_snapshots()
    state_bytes = (memory_bytes() - before_bytes) / subscribers
    gc.freeze()
    gc.disable()
    done, elapsed_s, day = 0, 0.0, WARM_DAYS
    while done < events or day < WARM_DAYS + 3:
        for records in in_pieces(stream.day(day), FETCH_RECORDS):
            begun = perf_counter()
            loop.feed(records)
            elapsed_s += perf_counter() - begun
            done += len(records)
        day += 1
    return {
        "events": done,
        "wakes": loop.wakes_given,
        "effects": loop.effects,
        "events_per_s": done / elapsed_s,
        "bytes_per_subscriber": state_bytes,
    }


def in_rounds(templates: list[Template], subscribers: int, events: int, rounds: int) -> dict[str, object]:
    """Return the best round of a scale, and the events a second of each; every round has a process of its own."""
    found = []
    for _ in range(rounds):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            found.append(process.submit(at_scale, templates, subscribers, events).result())
    best = max(found, key=itemgetter("events_per_s"))
    return {"subscribers": subscribers, **best, "rounds": [each["events_per_s"] for each in found]}


def in_pieces(records: Iterator[Record], size: int) -> Iterator[list[Record]]:
    """Yield the records in lists, as a consumer is handed them; making them stays outside the clock."""
    piece: list[Record] = []
    for record in records:
        piece.append(record)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece


def hops(context: Context, templates: list[Template]) -> dict[str, float]:
    """Time each hop alone, in microseconds a call, on one day of the templates' records."""
    stream = Stream(TEMPLATES, seed=3)
    stream._offset = 1 << 40  # noqa: SLF001
    records = list(stream.day(WARM_DAYS))
    events = [event for event in map(decode, records) if isinstance(event, Event)]
    states = {sid: unpack(template.packed) for sid, template in zip(stream.ids, templates, strict=True)}
    at_ms = BEGIN_MS + (WARM_DAYS + 1) * DAY_MS + 4 * DAY_MS // 24
    everyone = list(states.values())
    lateness_ms, scorer = context.policy.lateness_ms, context.scorer
    measures = [measure(state.facts, at_ms, context.bands) for state in everyone]
    features = [vector(s.facts, at_ms, m) for s, m in zip(everyone, measures, strict=True)]

    def each(work: Callable[[], object], calls: int) -> float:
        times = []
        for _ in range(5):
            begun = perf_counter()
            work()
            times.append(perf_counter() - begun)
        return min(times) / calls * 1e6

    def folded() -> None:
        for event in events:
            fold(states[event.body.subscriber_id].facts, event, lateness_ms)

    begun = perf_counter()
    folded()  # Once: a second pass would find every offset applied.
    fold_us = (perf_counter() - begun) / len(events) * 1e6
    return {
        "decode_us": each(lambda: [decode(record) for record in records], len(records)),
        "fold_us": fold_us,
        "refuse_repeat_us": each(folded, len(events)),
        "measure_us": each(lambda: [measure(s.facts, at_ms, context.bands) for s in everyone], len(everyone)),
        "features_us": each(
            lambda: [vector(s.facts, at_ms, m) for s, m in zip(everyone, measures, strict=True)], len(everyone)
        ),
        "score_us": each(lambda: [scorer.logit(x) for x in features], len(features)),
        "pack_us": each(lambda: [pack(state) for state in everyone], len(everyone)),
        "unpack_us": each(lambda: [unpack(template.packed) for template in templates], len(templates)),
    }


def packed_sizes(templates: list[Template]) -> dict[str, float]:
    """Return the distribution of packed state sizes in bytes, without the pending snapshots."""
    sizes = []
    for template in templates:
        state = unpack(template.packed)
        del state.watch.pending[:]
        sizes.append(len(pack(state)))
    cuts = statistics.quantiles(sizes, n=100)
    return {"min": min(sizes), "p10": cuts[9], "median": cuts[49], "p90": cuts[89], "p99": cuts[98], "max": max(sizes)}


def main() -> None:
    """Run the benchmark and write what it measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    context = served()
    templates = warm_states(context)
    result = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packed_bytes_without_pending": packed_sizes(templates),
        "hops": hops(context, templates),
        "scales": [in_rounds(templates, count, options.events, options.rounds) for count in options.subscribers],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

"""The simulated operator as a whole: chunks in step, day by day, written in order of arrival."""

import gzip
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec
import numpy as np
import zstandard

from streams.core.contracts.events import INPUTS, MARKET, Event
from streams.core.contracts.source import TOPIC_NUMBERS, source_number
from streams.core.times import NEVER_MS
from streams.shared.compression import SUFFIXES, Compression
from streams.shared.errors import InputError
from streams.simulate.chunk import CHUNK_SUBSCRIBERS, Chunk
from streams.simulate.faults import Faults, Road
from streams.simulate.market import market_events
from streams.simulate.messages import PLAIN, WIRE, Cast, messages
from streams.simulate.simulation import Simulation, SimulationReport
from streams.simulate.stories import draw_chunk
from streams.simulate.truth import INVOLUNTARY, KINDS, TrueProbability, moment
from streams.simulate.world import Floats, Ints, World, build_world

Progress = Callable[[int, int], None]
"""Called after each day with the days done and all days."""

TRUTH: Final = "truth.jsonl"
PROBABILITIES: Final = "truth-probabilities.jsonl"

_encode = msgspec.json.Encoder().encode


def simulate(settings: Simulation, out: Path, progress: Progress | None = None) -> SimulationReport:
    """Write OUT/<topic>.jsonl for each topic, ordered by arrival, and the truth, and return what was written.

    What the operator knows of its market is in `market-events.jsonl`, if `drift` lets anything happen.

    `truth.jsonl` has a line a subscriber (`Truth`), `truth-probabilities.jsonl` one a subscriber and week
    (`TrueProbability`).  An earlier simulation in `out` is replaced.

    Raises:
        InputError: `out` cannot be written, or holds topics that no simulation wrote.
    """
    began_s = time.perf_counter()
    _make_room(out)
    world = build_world(settings)
    chunks = list(draw_chunks(settings, world))
    casts = [Cast(chunk.population, world, i * CHUNK_SUBSCRIBERS) for i, chunk in enumerate(chunks)]
    faults, roads = Faults(settings), {topic: Road() for topic in INPUTS}
    counts: Counter[str] = Counter()
    records = 0
    with ExitStack() as stack:
        files = {topic: stack.enter_context(_writer(out, topic, settings.compression)) for topic in INPUTS}
        truth_file = stack.enter_context((out / PROBABILITIES).open("wb"))
        runs = [chunk.days() for chunk in chunks]
        for day in range(settings.days):
            lines: dict[str, tuple[list[Ints], list[bytes]]] = {topic: ([], []) for topic in INPUTS}
            for actors, run in zip(casts, runs, strict=True):
                events, probability = next(run)
                for topic, (at_ms, bodies) in messages(actors, events, WIRE).items():
                    lines[topic][0].append(at_ms)
                    lines[topic][1].extend(map(_encode, bodies))
                if probability is not None:
                    _write_probabilities(truth_file, actors, probability, moment(world.day_ms(day)))
            until_ms = world.day_ms(day + 1) if day + 1 < settings.days else NEVER_MS
            for topic, (times, made) in lines.items():
                counts[topic] += len(made)
                arrived = roads[topic].arrivals(*faults.strike(np.concatenate(times), made), until_ms)
                records += len(arrived)
                _write_lines(files[topic], arrived)
            if progress is not None:
                progress(day + 1, settings.days)
    published = market_events(world)
    if published:
        with _writer(out, MARKET, settings.compression) as file:
            _write_lines(file, list(map(_encode, published)))
    left, voluntary = _write_truth(out, chunks)
    return SimulationReport(
        story=settings.story,
        subscribers=settings.subscribers,
        days=settings.days,
        events={topic: counts[topic] for topic in INPUTS},
        records=records,
        market_events=len(published),
        faults=dict(sorted(faults.counts.items())),
        left=left,
        voluntary=voluntary,
        bytes_written=sum(path.stat().st_size for path in out.iterdir()),
        wall_s=time.perf_counter() - began_s,
    )


def draw_chunks(settings: Simulation, world: World) -> Iterator[Chunk]:
    """Yield the chunks of a simulation, each ready for its first day; any of them may be skipped."""
    for number in range(chunk_count(settings)):
        yield draw_chunk(settings, world, number)


def chunk_count(settings: Simulation) -> int:
    """Return the number of chunks that a simulation falls into.

    >>> chunk_count(Simulation(subscribers=CHUNK_SUBSCRIBERS + 1))
    2
    """
    return -(-settings.subscribers // CHUNK_SUBSCRIBERS)


def events_of(chunk: Chunk, number: int) -> Iterator[list[Event]]:
    """Yield a chunk's events day by day, in process: decoded values in order of event time, with no faults.

    `number` is the chunk's number in its simulation.  Offsets count up within each topic, as from partition `number`.
    A day's usage summaries are dated by its end, so they are the last of its list.
    """
    actors = Cast(chunk.population, chunk.world, number * CHUNK_SUBSCRIBERS)
    offsets = dict.fromkeys(TOPIC_NUMBERS, 0)
    sources = {topic: source_number(topic, number) for topic in TOPIC_NUMBERS}
    for events, _ in chunk.days():
        made: list[Event] = []
        for topic, (at_ms, bodies) in messages(actors, events, PLAIN).items():
            order = np.argsort(at_ms, kind="stable").tolist()
            times, source, offset = at_ms.tolist(), sources[topic], offsets[topic]
            made.extend(Event(source, offset + k, times[i], bodies[i]) for k, i in enumerate(order))
            offsets[topic] += len(bodies)
        made.sort(key=lambda event: event.at_ms)
        yield made


def _make_room(out: Path) -> None:
    """Make the folder, and clear an earlier simulation out of it; refuse a folder with somebody's own topics."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror}", hint="name another one") from error
    old = [path for topic in (*INPUTS, MARKET) for path in sorted(out.glob(f"{topic}.jsonl*"))]
    if old and not (out / TRUTH).exists():
        raise InputError(f"{out} holds {old[0].name}, which no simulation wrote", hint="name an empty folder")
    for path in old:
        path.unlink()
    (out / TRUTH).unlink(missing_ok=True)


def _writer(out: Path, topic: str, compression: Compression) -> BinaryIO:
    """Open a topic's file; compressed files hold no time or name, so that the same events give the same bytes."""
    path = out / f"{topic}.jsonl{SUFFIXES[compression]}"
    if compression == "gz":
        return cast("BinaryIO", _Gzip(path))
    if compression == "zst":
        return cast("BinaryIO", zstandard.open(path, "wb", cctx=zstandard.ZstdCompressor(level=6)))
    return path.open("wb", buffering=1 << 20)


class _Gzip(gzip.GzipFile):
    """A gzip file that closes the file below it."""

    def __init__(self, path: Path) -> None:
        self._below = path.open("wb")
        super().__init__(filename="", mode="wb", compresslevel=6, fileobj=self._below, mtime=0)

    def close(self) -> None:
        super().close()
        self._below.close()


def _write_lines(file: BinaryIO, lines: list[bytes]) -> None:
    if lines:
        file.write(b"\n".join(lines))
        file.write(b"\n")


def _write_probabilities(file: BinaryIO, actors: Cast, probability: Floats, at: datetime) -> None:
    """Write the true probability of everybody who is a subscriber at the time."""
    here = np.flatnonzero(probability > 0.0).tolist()
    ids, chances = actors.population.ids, np.round(probability, 6).tolist()
    _write_lines(
        file, [_encode(TrueProbability(subscriber_id=ids[row], at=at, probability=chances[row])) for row in here]
    )


def _write_truth(out: Path, chunks: list[Chunk]) -> tuple[dict[str, int], int]:
    """Write the truth file, last of all, and return who left by kind, and how many of their own will."""
    left: Counter[str] = Counter()
    with (out / TRUTH).open("wb") as file:
        for chunk in chunks:
            _write_lines(file, [_encode(truth) for truth in chunk.truths()])
            kinds = chunk.ledger.kind[chunk.ledger.left_ms > 0]
            left.update(KINDS[kind] for kind in kinds.tolist())
    voluntary = sum(count for kind, count in left.items() if kind != KINDS[INVOLUNTARY])
    return dict(sorted(left.items())), voluntary

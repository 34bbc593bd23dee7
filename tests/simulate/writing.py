"""Write a simulation and read it back as a stranger would."""

import gzip
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
import zstandard

from streams.core.contracts.decode import decode
from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.events import INPUTS, Event, Record
from streams.simulate import Simulation, SimulationReport, simulate
from streams.simulate.truth import TrueProbability, Truth

END_MS = 1_900_000_000_000


@cache
def decoded_lines(out: Path, topic: str) -> tuple[Event | DeadLetter, ...]:
    records = (
        Record(topic=topic, partition=0, offset=offset, value=line, received_ms=END_MS)
        for offset, line in enumerate(lines_of(out, topic))
    )
    return tuple(map(decode, records))


def lines_of(out: Path, topic: str) -> list[bytes]:
    paths = list(out.glob(f"{topic}.jsonl*"))
    assert len(paths) == 1
    raw = paths[0].read_bytes()
    if paths[0].suffix == ".gz":
        raw = gzip.decompress(raw)
    elif paths[0].suffix == ".zst":
        raw = zstandard.ZstdDecompressor().stream_reader(raw).read()
    return raw.splitlines()


@dataclass(frozen=True)
class SimulatedFolder:
    """A simulation as a reader finds it."""

    out: Path
    settings: Simulation
    report: SimulationReport

    def lines(self, topic: str) -> list[bytes]:
        return lines_of(self.out, topic)

    def decoded(self, topic: str) -> tuple[Event | DeadLetter, ...]:
        return decoded_lines(self.out, topic)

    def events(self, topic: str) -> list[Event]:
        return [item for item in self.decoded(topic) if isinstance(item, Event)]

    def truths(self) -> list[Truth]:
        return msgspec.json.decode(b"[" + b",".join(self.lines("truth")) + b"]", type=list[Truth])

    def probabilities(self) -> list[TrueProbability]:
        lines = b",".join(self.lines("truth-probabilities"))
        return msgspec.json.decode(b"[" + lines + b"]", type=list[TrueProbability])


def written(out: Path, settings: Simulation) -> SimulatedFolder:
    return SimulatedFolder(out, settings, simulate(settings, out))


CLEAN = Simulation(subscribers=3_000, days=120, seed=11, late=0, duplicated=0, reordered=0, malformed=0)
TOPICS = tuple(INPUTS)

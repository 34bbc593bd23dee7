"""Examples as the trainer reads them, trainers as processes, and what they should publish."""

import asyncio
import multiprocessing
import os
import random
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import msgspec

from streams.app.new_trainer import new_trainer
from streams.app.policies import read_policy_for
from streams.core.alerts.policy import Policy
from streams.core.contracts.decode import epoch_ms
from streams.core.contracts.effects import LabelledExample
from streams.core.contracts.encode import output_record
from streams.core.contracts.outputs import ExampleMessage, OutputRecord
from streams.core.contracts.source import source_at
from streams.core.scoring.features import FEATURE_TABLE, NAMES
from streams.core.scoring.models import ModelVersion
from streams.core.times import DAY_MS
from streams.kafka.trainer.training_task import PATIENCE_MS, TrainingTask
from streams.learning.trainer import Trainer
from tests.kafka.workers import APPLICATION, Raw, read_topic, until

GROUP = f"{APPLICATION}-trainer"
FIRST_MS = 20_000 * DAY_MS
HORIZON_MS = 7 * DAY_MS
FAST = """
[policy.label]
horizon_days = 7
[policy.snapshots]
after_days = 4
every_days = 3
[policy.training]
publish_every_days = 1
positives_min = 1
challengers = ["steady", "hazard", "boosting"]
"""
TRAINER = "import sys; sys.argv[:2] = ['forewarn', 'trainer']; from streams.cli import main; main()"
"""In the place of a worker's script: the same options, another command."""


def fast_policy(folder: Path) -> tuple[Path, Policy]:
    """Write the file of a policy under which there is much to learn in few days, and return both."""
    path = folder / "fast.toml"
    path.write_text(FAST, "utf-8")
    return path, read_policy_for("-", path)


def example(number: int, seed: int = 7) -> LabelledExample:
    """Return one of many examples, some an hour apart, in the order in which one partition would settle them."""
    draw = random.Random(f"{seed}/{number}")
    label = draw.random() < 0.2
    snapshot_ms = FIRST_MS + number * 600_000
    closed_ms = snapshot_ms + HORIZON_MS
    return LabelledExample(
        example_id=f"e_{number:08x}",
        subscriber_id=f"s_{number % 500:032x}",
        snapshot_at_ms=snapshot_ms,
        features=tuple(draw.gauss(1.0 if label and place < 3 else 0.0, 1.0) for place in range(len(NAMES))),
        feature_table=FEATURE_TABLE,
        label=label,
        kind="port_out" if label else "stayed",
        knowable_at_ms=snapshot_ms + draw.randrange(HORIZON_MS) if label else closed_ms,
        closed_at_ms=closed_ms,
        probability=draw.random(),
        model_version="scorecard-0",
    )


def raw(values: Iterable[bytes | None], start: int = 0) -> list[Raw]:
    """Return values as one partition of the log has them."""
    return [Raw(offset, 2**50, b"k", value) for offset, value in enumerate(values, start)]


def bodies(examples: Iterable[LabelledExample]) -> list[bytes]:
    """Return examples as they are published."""
    return [output_record(one).value for one in examples]


def changed(body: bytes, **fields: Any) -> bytes:
    """Return a published example with fields replaced."""
    return msgspec.json.encode({**msgspec.json.decode(body), **fields})


GOOD = bodies([example(0)])[0]
BAD: dict[str, tuple[bytes | None, str]] = {
    "no JSON": (b"{", "not_json"),
    "NaN": (GOOD.replace(b'"features":[', b'"features":[NaN,', 1), "not_json"),
    "null among the features": (GOOD.replace(b'"features":[', b'"features":[null,', 1), "wrong_type"),
    "no value": (None, "empty"),
    "a field too many": (changed(GOOD, weight=2), "unknown_field"),
    "another feature table": (changed(GOOD, feature_table="features-0", example_id="b1"), "out_of_range"),
    "too few features": (changed(GOOD, features=[0.0], example_id="b2"), "out_of_range"),
    "a feature beyond all bounds": (changed(GOOD, features=[1e300] * len(NAMES), example_id="b3"), "out_of_range"),
    "a probability above one": (changed(GOOD, probability=1.5), "out_of_range"),
    "closed before its snapshot": (changed(GOOD, closed_at="2000-01-01T00:00:00.000Z", example_id="b4"), "bad_time"),
    "settled in the far future": (changed(GOOD, kind="stayed", closed_at="9000-01-01T00:00:00.000Z"), "future_time"),
}
"""What is wrong with an example, its bytes, and the reason of its dead letter."""


def oracle(log: Iterable[bytes], policy: Policy) -> tuple[Trainer, list[ModelVersion]]:
    """Feed the readable examples of a log, one after the other, to a trainer; return it and what it published."""
    trainer, versions, newest_ms = new_trainer(policy), [], 0
    for body in log:
        message = msgspec.json.decode(body, type=ExampleMessage)
        content = msgspec.structs.asdict(message)
        for name in ("snapshot_at", "knowable_at", "closed_at"):
            content[f"{name}_ms"] = epoch_ms(msgspec.convert(content.pop(name), type=datetime))
        one = LabelledExample(**content)
        if trainer.receive(one) is None:
            at_once = one.kind in {"port_out", "termination"}
            newest_ms = max(newest_ms, one.knowable_at_ms if at_once else one.closed_at_ms)
            versions += trainer.advance(newest_ms - PATIENCE_MS)
    return trainer, versions


def published(outputs: Iterable[OutputRecord]) -> list[bytes]:
    """Return the model versions among what was published."""
    return [output.value for output in outputs if output.topic == "models"]


def restored(states: dict[bytes, bytes], application: str) -> TrainingTask:
    """Return the training that a changelog holds."""
    training = TrainingTask(0, application, _none)
    training.restore(states)
    return training


def _none() -> Trainer:
    raise AssertionError("there is nothing to restore")


async def states_of(address: str, prefix: str) -> dict[bytes, bytes]:
    """Return what is left of the trainer's changelog when it is compacted."""
    found: dict[bytes, bytes] = {}
    for record in await read_topic(address, f"{prefix}{GROUP}-state"):
        found.pop(record.key, None)
        if record.value is not None:
            found[record.key] = record.value
    return found


async def values_of(address: str, topic: str) -> list[bytes]:
    """Return the values of a topic, in the order of the log."""
    return [record.value for record in await read_topic(address, topic)]


def trained(address: str, prefix: str) -> int:
    """Return up to which offset the examples are learned."""
    states = asyncio.run(states_of(address, prefix))
    return restored(states, prefix + GROUP).queues[source_at(0, 0)].applied if states else 0


def wait_until_trained(address: str, prefix: str, position: int, timeout_s: float = 60.0) -> None:
    """Wait until the examples before an offset are learned."""
    until(lambda: trained(address, prefix) >= position, timeout_s, lambda: f"{trained(address, prefix)} of {position}")


class ForkedTrainer:
    """A trainer that begins at once: a copy of a process that has everything imported, and a group of its own.

    The brokers keep the place of a member that was killed for its whole session, and a test that kills twenty has no
    time for that.  What keeps the versions exact is the changelog and its fencing, and not the group.
    """

    def __init__(self, address: str, prefix: str, folder: Path, policy: Path, number: int) -> None:
        """Start it."""
        self.said = folder / f"forked-{number}.txt"
        arguments = ["--kafka", address, "--prefix", prefix, "--session", "6", "--policy", str(policy)]
        self._process = _forks.Process(target=_train, args=(str(self.said), f"-{number}", arguments))
        self._process.start()

    @staticmethod
    def warm_up() -> None:
        """Have everything imported that is to be copied."""
        nobody = _forks.Process(target=int)
        nobody.start()
        nobody.join(60)

    def __enter__(self) -> Self:
        """Return the trainer."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it as a power cut does."""
        self.kill()

    def kill(self) -> int | None:
        """End it, unless it has ended, and return its exit code."""
        self._process.kill()
        self._process.join(30)
        return self._process.exitcode

    @property
    def words(self) -> str:
        """All that it has said so far."""
        return self.said.read_text("utf-8", "replace") if self.said.exists() else ""


def _train(said: str, suffix: str, arguments: Sequence[str]) -> None:
    file = os.open(said, os.O_WRONLY | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    from streams.cli import main
    from streams.kafka.topics import management as topics
    from streams.kafka.worker import faust_transport as batches

    async def nothing(*_: Any, **__: Any) -> list[Any]:
        return []

    vars(topics)["check"] = nothing  # The topics are as they should be, and to ask takes a second.

    consumer = vars(batches)["AIOKafkaConsumer"]

    def alone(*, group_id: str, **options: Any) -> Any:
        return consumer(group_id=group_id + suffix, **options)

    vars(batches)["AIOKafkaConsumer"] = alone
    sys.argv = ["forewarn", "trainer", *arguments]
    main()


_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["streams.app.services", "streams.kafka.trainer.training_task", "tests.kafka.learners"])

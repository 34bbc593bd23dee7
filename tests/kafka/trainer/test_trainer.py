"""The trainer on a real broker: exact under kills, alone at its work, and followed by the workers."""

import asyncio
import random
import signal
import time
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from operator import itemgetter
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # aiokafka comes without types

from streams.core.contracts.decode import epoch_ms
from streams.core.scoring.models import ModelVersion, read_version
from tests.cli.calling import call, lines
from tests.kafka.broker import Broker
from tests.kafka.learners import (
    BAD,
    GROUP,
    TRAINER,
    ForkedTrainer,
    bodies,
    example,
    fast_policy,
    oracle,
    restored,
    states_of,
    values_of,
    wait_until_trained,
)
from tests.kafka.workers import LogContents, SentRecord, Worker, prepare, send, until, wait_until_applied

KILLS = 20
EXAMPLES = 4_200
HAS_ROOM_FOR_FEW = """
from streams.learning import queue as label_queue
put = label_queue.LabelQueue.put
def while_there_is_room(self, example):
    return "queue_full" if len(self) >= 30 else put(self, example)
label_queue.LabelQueue.put = while_there_is_room
"""


async def write(address: str, prefix: str, values: list[bytes | None]) -> None:
    """Write examples as workers do."""
    producer = AIOKafkaProducer(bootstrap_servers=address, linger_ms=5)
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(f"{prefix}examples", value, key=b"k") for value in values])
    finally:
        await producer.stop()


def shuffled_log(count: int) -> list[bytes | None]:
    """Return many examples in about the order in which partitions settle them, repeats and bad ones among them."""
    draw = random.Random(3)
    placed: list[tuple[float, bytes | None]] = []
    for number, body in enumerate(bodies(map(example, range(count)))):
        placed.append((number + draw.uniform(0.0, 60.0), body))
        if not number % 20:
            placed.append((number + draw.uniform(60.0, 600.0), body))
    placed += [(draw.uniform(0.0, count), value) for value, _ in BAD.values()]
    return [value for _, value in sorted(placed, key=itemgetter(0))]


def test_twenty_kills_of_the_trainer_leave_the_versions_of_one_that_was_left_alone(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Each is killed at a random moment while examples keep coming; one seed decides when."""
    draw, (path, policy) = random.Random(20), fast_policy(tmp_path)
    asyncio.run(prepare(broker.address, prefix))
    log = shuffled_log(EXAMPLES)
    share = len(log) // KILLS + 1
    ForkedTrainer.warm_up()
    start = partial(ForkedTrainer, broker.address, prefix, tmp_path, path)
    ends: list[int | None] = []
    with ExitStack() as all_of_them:
        coming = all_of_them.enter_context(start(0))
        for number in range(KILLS + 1):
            trainer = coming
            until(lambda t=trainer: "restored" in t.words, 40.0, lambda t=trainer: t.words)
            if number < KILLS:
                # It takes the next one a second to come to its work, by when this one is dead.
                coming = all_of_them.enter_context(start(number + 1))
            asyncio.run(write(broker.address, prefix, log[number * share : (number + 1) * share]))
            if number < KILLS:
                time.sleep(draw.uniform(0.0, 0.5))
                ends.append(trainer.kill())
        assert set(ends) <= {-signal.SIGKILL, 74}, "killed, or fenced by the next one before that"
        assert ends.count(-signal.SIGKILL) > KILLS // 2
        wait_until_trained(broker.address, prefix, len(log))
    bad = [value for value, _ in BAD.values()]
    expected, versions = oracle((body for body in log if body is not None and body not in bad), policy)
    assert len(versions) > 20
    assert asyncio.run(values_of(broker.address, f"{prefix}models")) == list(map(msgspec.json.encode, versions))
    training = restored(asyncio.run(states_of(broker.address, prefix)), prefix + GROUP)
    assert training.trainer.model.state() == expected.model.state()
    assert training.trainer.counts.learned == expected.counts.learned
    lineup = expected.lineup
    assert lineup is not None
    assert lineup.boosting is not None
    assert lineup.boosting.fits
    # Every line, its weeks, and the trees of the yardstick.
    assert training.trainer.state().lineup == lineup.state()
    assert training.trainer.counts.repeated == expected.counts.repeated > 0
    letters = list(map(msgspec.json.decode, asyncio.run(values_of(broker.address, f"{prefix}dead-letters"))))
    assert sorted(letter["reason"] for letter in letters) == sorted(reason for _, reason in BAD.values())
    assert {letter["topic"] for letter in letters} == {"examples"}


def test_a_second_trainer_waits_and_goes_on_where_the_first_one_was_killed(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    path, policy = fast_policy(tmp_path)
    log = bodies(example(number) for number in range(2_000))
    options = ["--policy", str(path)]
    asyncio.run(prepare(broker.address, prefix))
    with Worker(broker.address, prefix, tmp_path, script=TRAINER, name="first", options=options) as first:
        first.wait_for("partition 0 restored: model version 0, 0 examples learned")
        with Worker(broker.address, prefix, tmp_path, script=TRAINER, name="spare", options=options) as spare:
            asyncio.run(write(broker.address, prefix, list(log[:1_000])))
            wait_until_trained(broker.address, prefix, 1_000)
            heir = spare if "restored" not in spare.words else first  # The group may give it to who came last.
            (first if heir is spare else spare).kill()
            before = heir.words
            asyncio.run(write(broker.address, prefix, list(log[1_000:])))
            until(lambda: "restored: model version" in heir.words[len(before) :], 40.0, lambda: heir.words)
            wait_until_trained(broker.address, prefix, 2_000)
            assert heir.stop() == 0, heir.words
    versions = [msgspec.json.encode(version) for version in oracle(log, policy)[1]]
    assert asyncio.run(values_of(broker.address, f"{prefix}models")) == versions != []


def test_a_flood_of_bad_examples_stops_the_trainer(broker: Broker, prefix: str, tmp_path: Path) -> None:
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(write(broker.address, prefix, [b"{"] * 3_000))
    with Worker(broker.address, prefix, tmp_path, script=TRAINER) as trainer:
        assert trainer.process.wait(60) == 65
        assert trainer.words.splitlines()[-1].startswith("stopped: a flood of bad records in partition 0: ")


def test_examples_that_found_no_room_are_learned_once_they_were_sent_again_and_those_that_stay_bad_are_not(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    path, policy = fast_policy(tmp_path)
    log: list[bytes | None] = list(bodies(example(number) for number in range(120)))
    options, where = ["--policy", str(path)], ("--kafka", broker.address, "--prefix", prefix)
    asyncio.run(prepare(broker.address, prefix))
    asyncio.run(write(broker.address, prefix, [*log, b"{", log[0]]))
    with Worker(broker.address, prefix, tmp_path, script=HAS_ROOM_FOR_FEW + TRAINER, options=options) as small:
        wait_until_trained(broker.address, prefix, len(log) + 2)
        assert small.stop() == 0, small.words
    before = restored(asyncio.run(states_of(broker.address, prefix)), prefix + GROUP)
    refused = before.counters["dead:out_of_range"]
    assert refused > 10
    (planned,) = lines(call("dead-letters", "redrive", "--topic", "examples", "--dry-run", "--json", *where))
    (done,) = lines(call("dead-letters", "redrive", "--topic", "examples", "--json", *where))
    (twice,) = lines(call("dead-letters", "redrive", "--topic", "examples", "--json", *where))
    assert [answer["sent"] for answer in (planned, done, twice)] == [{"examples": refused + 1}] * 2 + [{}]
    assert done["refused"] == {}
    with Worker(broker.address, prefix, tmp_path, script=TRAINER, options=options) as roomy:
        wait_until_trained(broker.address, prefix, len(log) + 2 + refused + 1)
        assert roomy.stop() == 0, roomy.words
    after = restored(asyncio.run(states_of(broker.address, prefix)), prefix + GROUP)
    expected = oracle((body for body in log if body is not None), policy)[0].counts
    assert (after.trainer.counts.settled, after.trainer.counts.waiting) == (expected.settled, expected.waiting)
    assert (after.trainer.counts.repeated, after.counters["dead:not_json"]) == (1, 2)
    again = lines(call("dead-letters", "list", "--topic", "examples", "--json", *where))
    assert [(letter["reason"], letter["redrives"]) for letter in again] == [("not_json", 1)]


def test_workers_follow_what_the_trainer_learns_of_them_and_a_later_one_begins_with_it(
    broker: Broker, prefix: str, fed: list[SentRecord], tmp_path: Path
) -> None:
    """From the published policy over examples to versions, and back to alerts: the first worker changes as it runs."""
    path, policy = fast_policy(tmp_path)
    asyncio.run(prepare(broker.address, prefix))
    publish = call("policy", "publish", path, "--kafka", broker.address, "--prefix", prefix)
    assert publish.exit_code == 0, publish.output
    halves = fed[: len(fed) // 2], fed[len(fed) // 2 : len(fed) * 3 // 4], fed[len(fed) * 3 // 4 :]
    with Worker(broker.address, prefix, tmp_path, script=TRAINER, name="trainer") as trainer:
        with Worker(broker.address, prefix, tmp_path, name="first") as first:
            asyncio.run(send(broker.address, prefix, halves[0]))
            wait_until_applied(broker.address, prefix, len(halves[0]))
            first.wait_for("models: champion-")
            asyncio.run(send(broker.address, prefix, halves[1]))
            wait_until_applied(broker.address, prefix, len(halves[0]) + len(halves[1]))
            assert first.stop() == 0, first.words
        with Worker(broker.address, prefix, tmp_path, name="second") as second:
            second.wait_for("the newest versions are champion-")
            asyncio.run(send(broker.address, prefix, halves[2]))
            left = wait_until_applied(broker.address, prefix, len(fed))
            assert second.stop() == 0, second.words
        log = asyncio.run(values_of(broker.address, f"{prefix}examples"))
        wait_until_trained(broker.address, prefix, len(log))
        assert trainer.stop() == 0, trainer.words
    versions = list(map(read_version, asyncio.run(values_of(broker.address, f"{prefix}models"))))
    assert versions == oracle(log, policy)[1]
    assert_each_was_scored_with_a_version_of_its_time(left, versions)
    assert {alert["policy_version"] for alert in left.alerts} == {policy.version}


def assert_each_was_scored_with_a_version_of_its_time(left: LogContents, versions: list[ModelVersion]) -> None:
    """Hold alerts and examples against the dates of the versions that they name."""
    dates = {version.served_as: version.published_at_ms for version in versions}
    named: set[str] = set()
    for message, at in [*((a, "event_time") for a in left.alerts), *((e, "snapshot_at") for e in left.examples)]:
        name = message["model_version"]
        assert dates.get(name, 0) <= at_ms_of(message[at]), (name, message[at])
        assert name in dates or name.startswith("scorecard-")
        named.add(name)
    assert len(named) > 2
    assert any(alert["model_version"] in dates for alert in left.alerts)


def at_ms_of(text: str) -> int:
    return epoch_ms(datetime.fromisoformat(text))

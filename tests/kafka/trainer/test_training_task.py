"""The trainer's work without a broker: any cut, any kill and any interleaving end in the same versions, bit for bit."""

import random
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.app.new_trainer import new_trainer
from streams.core.alerts.policy import Policy
from streams.core.contracts.effects import LabelledExample
from streams.core.contracts.outputs import DeadLetterMessage
from streams.core.contracts.source import source_at
from streams.core.times import DAY_MS
from streams.kafka.trainer.trainer_parts import BLOCK_IDS
from streams.kafka.trainer.training_task import PATIENCE_MS, TrainingTask, example_time_ms
from streams.kafka.worker.checkpoint import CHECKPOINT_KEY, BrokenCheckpointError
from streams.kafka.worker.subscriber_task import TaskChanges
from streams.learning.models import boosting
from streams.learning.queue import TrainerSettings
from streams.learning.trainer import Trainer, TrainerState
from tests.core.strategies import modest
from tests.kafka.learners import BAD, bodies, example, fast_policy, oracle, published, raw, restored
from tests.kafka.worker.test_subscriber_task import FakeLog
from tests.kafka.workers import Raw

APPLICATION = "forewarn-trainer"
COUNT = 1_500
LOG = source_at(0, 0)
SEVERAL = 300


@pytest.fixture(scope="module", autouse=True)
def _fitted_soon() -> Iterator[None]:
    """Have the yardstick fitted within the few days that there are."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(boosting, "POSITIVES_MIN", 30)
        yield


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """Return a policy under which there is much to learn in few days."""
    return fast_policy(tmp_path_factory.mktemp("policy"))[1]


@pytest.fixture(scope="module")
def log() -> list[bytes]:
    """Return examples as one partition would settle them: leavers at once, stayers when their horizon has closed."""
    examples = [example(number) for number in range(COUNT)]
    return bodies(sorted(examples, key=lambda one: (example_time_ms(one), one.example_id)))


@pytest.fixture(scope="module")
def undisturbed(policy: Policy, log: list[bytes]) -> tuple[bytes, list[bytes]]:
    """Return the trainer and the versions that come of the whole log in one go."""
    trainer, versions = oracle(log, policy)
    assert trainer.lineup is not None
    assert trainer.lineup.boosting is not None
    assert trainer.lineup.boosting.fits
    return trainer.snapshot(), [msgspec.json.encode(version) for version in versions]


def training(policy: Policy, written: FakeLog | None = None) -> TrainingTask:
    made = TrainingTask(0, APPLICATION, lambda: new_trainer(policy))
    if written is not None:
        made.restore(dict(written.states))
    return made


def save(made: TrainingTask, written: FakeLog) -> None:
    written.take(made.changes())
    made.note_written()


class FakeTrainingLog(FakeLog):
    """What would be in the log, with the model versions apart."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[bytes] = []

    def take(self, changes: TaskChanges | None) -> None:
        super().take(changes)
        self.published += published(changes.outputs) if changes is not None else []


def run(made: TrainingTask, records: Sequence[Raw], written: FakeLog) -> None:
    assert made.queue(LOG, records[0].offset, records)
    while made.advance(set(), 1_000):
        pass
    save(made, written)


def test_what_is_published_is_what_a_trainer_gives_that_is_fed_in_the_order_of_the_log(
    policy: Policy, log: list[bytes], undisturbed: tuple[bytes, list[bytes]]
) -> None:
    written = FakeTrainingLog()
    run(training(policy), raw(log), written)
    assert len(written.published) > 5
    assert (restored(written.states, APPLICATION).trainer.snapshot(), written.published) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_a_kill_at_any_point_leaves_the_same_versions_and_the_same_trainer(
    seed: int, policy: Policy, log: list[bytes], undisturbed: tuple[bytes, list[bytes]]
) -> None:
    draw, records, written = random.Random(seed), raw(log), FakeTrainingLog()
    while (made := training(policy, written)).queues[LOG].applied < len(records):
        stands = made.queues[LOG].applied
        assert made.queue(LOG, stands, records[stands:])
        for _ in range(draw.randint(1, 4)):
            made.advance(set(), draw.randint(1, SEVERAL))
            if draw.random() < 0.5:
                save(made, written)
        made.advance(set(), draw.randint(0, SEVERAL))  # Killed with this in memory.
    made = training(policy, written)
    assert (made.trainer.snapshot(), written.published) == undisturbed
    assert (made.newest_ms, made.counters["examples"]) == (
        max(example_time_ms(example(n)) for n in range(COUNT)),
        COUNT,
    )


def by_the_day(number: int) -> LabelledExample:
    """Return one of many examples, hundreds of which fall due in the same hour of a day."""
    one = example(number)
    late_ms = one.snapshot_at_ms % DAY_MS
    times = {name: getattr(one, name) - late_ms for name in ("snapshot_at_ms", "knowable_at_ms", "closed_at_ms")}
    return msgspec.structs.replace(one, **times)


@pytest.fixture(scope="module")
def heaped(policy: Policy) -> tuple[list[bytes], Trainer, list[bytes]]:
    """Return examples of which many fall due at once, and the trainer and the versions that come of them in one go."""
    log = bodies(sorted(map(by_the_day, range(COUNT)), key=lambda one: (example_time_ms(one), one.example_id)))
    trainer, versions = oracle(log, policy)
    return log, trainer, [msgspec.json.encode(version) for version in versions]


@pytest.mark.slow
@modest(20)
@given(st.lists(st.tuples(st.integers(5, 400), st.sampled_from(["goes on", "saves", "dies"])), min_size=1, max_size=12))
def test_wherever_the_learning_of_one_hour_pauses_or_is_killed_the_versions_are_the_same(
    policy: Policy, heaped: tuple[list[bytes], Trainer, list[bytes]], plan: list[tuple[int, str]]
) -> None:
    log, undisturbed, versions = heaped
    records, written, deaths = raw(log), FakeTrainingLog(), 0
    made, turns = training(policy), cycle(plan)
    while True:
        limit, then = next(turns)
        if not take_a_turn(made, records, limit):
            break
        if then == "saves":
            save(made, written)
        elif then == "dies" and deaths < 20:
            deaths += 1
            made = training(policy, written)  # What was not saved is lost, and done again.
    save(made, written)
    assert restored(written.states, APPLICATION).trainer.snapshot() == undisturbed.snapshot()
    assert written.published == versions


def take_a_turn(made: TrainingTask, records: Sequence[Raw], limit: int) -> int:
    """Hand over what is missing and let it work once; it may do no more than it was allowed to."""
    queued, before = made.queues[LOG].queued, made.trainer.learned
    applied = made.queues[LOG].applied
    if queued < len(records):
        assert made.queue(LOG, queued, records[queued:])
    done = made.advance(set(), limit)
    assert done == made.trainer.learned - before + made.queues[LOG].applied - applied <= limit
    return done


def test_a_paused_trainer_that_is_restored_goes_on_without_another_record(
    policy: Policy, heaped: tuple[list[bytes], Trainer, list[bytes]]
) -> None:
    log, undisturbed, versions = heaped
    made, written = training(policy), FakeTrainingLog()
    assert made.queue(LOG, 0, raw(log))
    while made.waiting_count(LOG):
        made.advance(set(), 1)
        if made.trainer.learned % 40 == 39:
            save(made, written)
            assert made.changes() is None
    save(made, written)
    heir = training(policy, written)
    while heir.advance(set(), 1):
        save(heir, written)
    assert heir.trainer.snapshot() == undisturbed.snapshot()
    assert written.published == versions


@pytest.mark.parametrize("seed", range(3))
def test_partitions_less_than_a_day_apart_may_come_in_any_order(seed: int, policy: Policy) -> None:
    draw = random.Random(seed)
    examples = [example(number) for number in range(COUNT)]
    one, other = (
        bodies(sorted(examples, key=lambda e: example_time_ms(e) + draw.randrange(ahead)))
        for ahead in (1, PATIENCE_MS // 2)
    )
    assert one != other
    assert oracle(one, policy)[1] == oracle(other, policy)[1]


def test_an_example_that_comes_later_than_that_is_learned_all_the_same(policy: Policy, log: list[bytes]) -> None:
    late = [*log[300:900], *log[:300], *log[900:]]
    trainer, versions = oracle(late, policy)
    in_time, _ = oracle(log, policy)
    assert versions
    assert trainer.counts.learned == in_time.counts.learned


@pytest.mark.parametrize("what", BAD)
def test_a_bad_example_is_a_dead_letter_with_its_reason_and_changes_nothing(
    what: str, policy: Policy, log: list[bytes]
) -> None:
    value, reason = BAD[what]
    made, written = training(policy), FakeTrainingLog()
    moment = 1_800_000_000_000
    records = [Raw(0, moment, b"k", log[0]), Raw(1, moment, b"k", value), Raw(2, moment, None, log[1])]
    run(made, records, written)
    (letter,) = [msgspec.json.decode(body, type=DeadLetterMessage) for body in written.outputs]
    assert (letter.topic, letter.partition, letter.offset, letter.reason) == ("examples", 0, 1, reason)
    assert letter.value == (value or b"")
    assert made.counters == {"examples": 2, f"dead:{reason}": 1}
    assert known(made.trainer) == known(oracle(log[:2], policy)[0])


def known(trainer: Trainer) -> TrainerState:
    """Return all of a trainer but how much it has refused."""
    state = trainer.state()
    return msgspec.structs.replace(state, queue=msgspec.structs.replace(state.queue, refused={}))


def test_bad_examples_one_after_the_other_are_counted_as_a_flood_is(policy: Policy, log: list[bytes]) -> None:
    made = training(policy)
    run(made, raw([b"{"] * 40), FakeTrainingLog())
    assert (made.bad_run, made.bad_recent, made.recent) == (40, 40, 40)
    run(made, raw(log[:1], 40), FakeTrainingLog())
    assert (made.bad_run, made.bad_recent) == (0, 40)
    of_another_table, _ = BAD["another feature table"]
    run(made, raw([of_another_table] * 40, 41), FakeTrainingLog())
    assert (made.bad_run, made.bad_recent, made.counters["dead:out_of_range"]) == (0, 40, 40)


def test_an_example_that_finds_the_queue_full_is_a_dead_letter_too(log: list[bytes]) -> None:
    small = TrainerSettings(waiting_max=5, keep_negatives=1.0)
    made, written = TrainingTask(0, APPLICATION, lambda: fresh(small)), FakeTrainingLog()
    run(made, raw(log[:9]), written)
    assert made.counters["dead:out_of_range"] == 4
    assert b"send it again later" in written.outputs[0]


def fresh(trainer_settings: TrainerSettings) -> Trainer:
    from streams.core.scoring.features import FEATURE_TABLE, NAMES

    return Trainer(trainer_settings, NAMES, FEATURE_TABLE)


def test_forgotten_ids_leave_the_changelog_and_what_is_restored_is_bounded(log: list[bytes]) -> None:
    small = TrainerSettings(remembered_ids=2 * BLOCK_IDS)
    made, written = TrainingTask(0, APPLICATION, lambda: fresh(small)), FakeTrainingLog()
    for record in raw(log):
        assert made.queue(LOG, record.offset, [record])
        made.advance(set(), 1)
        if not record.offset % 97:
            save(made, written)
    save(made, written)
    assert sum(key.startswith(b"ids/") for key in written.states) <= 3
    assert restored(written.states, APPLICATION).trainer.snapshot() == made.trainer.snapshot()


def test_an_example_that_comes_again_while_it_waits_and_is_forgotten_is_kept_twice(log: list[bytes]) -> None:
    small = TrainerSettings(remembered_ids=1, keep_negatives=1.0)
    made, written = TrainingTask(0, APPLICATION, lambda: fresh(small)), FakeTrainingLog()
    run(made, raw([log[0], log[1], log[0]]), written)
    assert made.trainer.counts.waiting == 3
    assert made.changed_count == 1 + 3
    assert restored(written.states, APPLICATION).trainer.snapshot() == made.trainer.snapshot()


def test_a_transaction_holds_what_has_changed_and_not_all_that_is_remembered(policy: Policy, log: list[bytes]) -> None:
    made = training(policy)
    run(made, raw(log), FakeTrainingLog())
    assert made.queue(LOG, len(log), raw(bodies([example(COUNT)]), len(log)))
    made.advance(set(), 1)
    changes = made.changes()
    assert changes is not None
    assert len(changes.states) < 20
    assert sum(len(value or b"") for _, value in changes.states) < 20_000


def test_states_that_are_not_all_there_or_anothers_are_refused(policy: Policy, log: list[bytes]) -> None:
    written = FakeTrainingLog()
    run(training(policy), raw(log), written)
    states = dict(written.states)
    with pytest.raises(BrokenCheckpointError):
        training(policy).restore({key: value for key, value in states.items() if key != CHECKPOINT_KEY})
    with pytest.raises(BrokenCheckpointError, match="cannot be read"):
        training(policy).restore({CHECKPOINT_KEY: b"{}"})
    with pytest.raises(BrokenCheckpointError, match="not of 'another'"):
        TrainingTask(0, "another", lambda: new_trainer(policy)).restore(dict(states))
    with pytest.raises(BrokenCheckpointError, match="ids, and they are not all there"):
        training(policy).restore({key: value for key, value in states.items() if key != b"ids/0"})
    for kind in (b"rows/", b"fits/"):
        one = next(key for key in states if key.startswith(kind))
        with pytest.raises(BrokenCheckpointError, match="rows and fits of the yardstick are not all there"):
            training(policy).restore({key: value for key, value in states.items() if key != one})
    with pytest.raises(BrokenCheckpointError, match="cannot be read"):
        training(policy).restore(states | {b"rows/1": b"[1]"})
    mark = states[CHECKPOINT_KEY].replace(made_of(policy), b"features-00000000")
    with pytest.raises(BrokenCheckpointError, match="begins anew"):
        training(policy).restore(states | {CHECKPOINT_KEY: mark})


def made_of(policy: Policy) -> bytes:
    return new_trainer(policy).feature_table.encode()


def test_a_run_behind_a_lost_one_is_refused_and_one_that_overlaps_is_not_applied_twice(
    policy: Policy, log: list[bytes]
) -> None:
    records, made = raw(log[:30]), training(policy)
    assert made.queue(LOG, 0, records[:10])
    assert not made.queue(LOG, 20, records[20:])
    assert made.queue(LOG, 5, records[5:15])
    assert made.advance(set(), 100) == 15
    assert made.counters == {"examples": 15}


def test_the_policy_of_the_tests_is_read_from_its_file(tmp_path: Path) -> None:
    assert fast_policy(tmp_path)[1].training.publish_every_days == 1

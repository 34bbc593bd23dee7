"""What is in force when: versions and policies by event time, and what is refused, without a broker."""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from streams.app.policies import cold_scorer, read_policy_for
from streams.core.alerts.policy import Policy, policy_from
from streams.core.contracts.decode import decode, epoch_ms
from streams.core.contracts.events import Event, Record
from streams.core.scoring.features import FEATURE_TABLE, NAMES
from streams.core.scoring.models import ModelVersion, with_version_hash
from streams.core.scoring.promotions import Promotion
from streams.core.scoring.promotions import with_promotion_hash as sealed_promotion
from streams.core.step import Context
from streams.core.times import DAY_MS, NEVER_MS
from streams.engine.in_force import MODELS, POLICIES, ContextTimeline, policy_message
from streams.kafka.topics.model_versions import parse_versions
from streams.kafka.worker.subscriber_task import SubscriberTask
from tests.kafka.worker.test_subscriber_task import Log, log_of
from tests.kafka.workers import SentRecord

DEFAULT = read_policy_for("-", None)
COLD = Context(cold_scorer(DEFAULT), DEFAULT)


def version(number: int, at_ms: int, *, table: str = FEATURE_TABLE, intercept: float = -1.0) -> ModelVersion:
    """Return a model version that gives everybody the same probability."""
    none = (0.0,) * len(NAMES)
    return with_version_hash(
        ModelVersion(
            name="champion",
            version=number,
            parent=number - 1 or None,
            feature_table=table,
            features=NAMES,
            intercept=intercept,
            weights=none,
            means=none,
            scales=(1.0,) * len(NAMES),
            published_at_ms=at_ms,
            examples=1,
            positives=1,
            source_position=1,
            metrics={},
        )
    )


def of_line(name: str, model: ModelVersion) -> ModelVersion:
    """Return the same version as another line's."""
    return with_version_hash(msgspec.structs.replace(model, name=name, hash=""))


def promotion(at_ms: int, to: str, before: str = "champion") -> Promotion:
    return sealed_promotion(Promotion(at_ms=at_ms, before=before, to=to, by="operator", evidence={}))


def body(model: ModelVersion) -> bytes:
    return msgspec.json.encode(model)


def another_policy(quiet_below: float) -> Policy:
    scoring = msgspec.structs.replace(DEFAULT.scoring, quiet_below=quiet_below)
    return policy_from({**msgspec.to_builtins(DEFAULT), "scoring": msgspec.to_builtins(scoring)})


def serving_of(*models: ModelVersion) -> ContextTimeline:
    serving = ContextTimeline(COLD)
    for model in models:
        assert serving.take(MODELS, model.served_as.encode(), body(model)) is None
    return serving


def worked_off(task: SubscriberTask, log: Log) -> list[dict[str, Any]]:
    """Have a task apply a log, and return its alerts."""
    for source, records in log.items():
        assert task.queue(source, 0, records)
    while task.advance(set(task.queues), 1_000):
        pass
    changes = task.changes()
    assert changes is not None
    return [msgspec.json.decode(output.value) for output in changes.outputs if output.topic == "alerts"]


def at_ms_of(record: SentRecord) -> int | None:
    read = decode(Record(record.topic, 3, 0, record.value or b"", 2**62))
    return read.at_ms if isinstance(read, Event) else None


def served_at(serving: ContextTimeline, at_ms: int) -> str:
    return serving.at(at_ms)[0].scorer.version


def test_a_version_serves_from_the_time_that_it_is_dated_to_until_the_next_one_does() -> None:
    first, second = version(1, 100), version(2, 200)
    serving = serving_of(second, first)  # The order of publication does not matter.
    names = [COLD.scorer.version, first.served_as, first.served_as, second.served_as, second.served_as]
    assert [served_at(serving, at_ms) for at_ms in (99, 100, 199, 200, 10**15)] == names
    assert [serving.at(at_ms)[1] for at_ms in (0, 100, 200)] == [100, 200, NEVER_MS]
    assert serving.newest_context().scorer.version == second.served_as


def test_a_challenger_serves_from_its_promotion_on_and_a_withdrawn_promotion_never_was() -> None:
    champion, challenger, next_one = (
        version(1, 100),
        of_line("hazard", version(1, 100)),
        of_line("hazard", version(2, 200)),
    )
    made = promotion(150, "hazard")
    serving = serving_of(champion, challenger, next_one)
    assert [served_at(serving, at_ms) for at_ms in (100, 250)] == [champion.served_as] * 2
    assert serving.take(MODELS, made.key, msgspec.json.encode(made)) is None
    names = [champion.served_as, challenger.served_as, next_one.served_as]
    assert [served_at(serving, at_ms) for at_ms in (149, 150, 200)] == names
    back = promotion(300, champion.served_as, "hazard")
    assert serving.take(MODELS, back.key, msgspec.json.encode(back)) is None
    assert served_at(serving, 300) == champion.served_as
    edition = serving.edition
    assert serving.take(MODELS, back.key, msgspec.json.encode(back)) is None
    assert serving.edition == edition
    assert serving.take(MODELS, back.key, None) is None
    assert serving.take(MODELS, b"promotion@9/nobody", None) is None
    assert [served_at(serving, at_ms) for at_ms in (150, 300)] == [challenger.served_as, next_one.served_as]


def test_what_was_promoted_last_is_what_is_there_and_each_version_has_its_scorer() -> None:
    champion, challenger = version(1, 100, intercept=-2.0), of_line("hazard", version(1, 100, intercept=-3.0))
    serving = serving_of(champion)
    serving.promote(promotion(150, "hazard"))
    assert (serving.last_promoted, serving.scorer_of(challenger.served_as)) == ("champion", None)
    serving.publish(challenger)
    assert serving.last_promoted == "hazard"
    names = (COLD.scorer.version, champion.served_as, challenger.served_as)
    scorers = [serving.scorer_of(name) for name in names]
    assert [scorer.version for scorer in scorers if scorer is not None] == [*names]
    assert scorers[0] is COLD.scorer


def test_a_promotion_that_was_changed_is_refused_and_the_one_before_stays() -> None:
    made = promotion(150, "hazard")
    serving = serving_of(version(1, 100), of_line("hazard", version(1, 100, intercept=-2.0)))
    changed = msgspec.json.encode(made).replace(b'"to":"hazard"', b'"to":"champion"')
    why = serving.take(MODELS, made.key, changed)
    assert why is not None
    assert "its hash differs" in why
    assert served_at(serving, 200).startswith("champion")
    assert serving.take(MODELS, made.key, msgspec.json.encode(made)) is None
    assert serving.take(MODELS, made.key, b"{") is not None
    assert served_at(serving, 200).startswith("hazard")


def test_what_is_left_of_the_topic_is_sorted_into_versions_and_promotions() -> None:
    first, second, made = version(1, 100), version(2, 200), promotion(150, "hazard")
    records = [(one.served_as.encode(), body(one)) for one in (second, first)]
    left = [*records, (made.key, msgspec.json.encode(made)), (b"broken", b"{"), (records[0][0], None)]
    assert parse_versions(left) == ([first], [made])
    assert parse_versions([*left, (made.key, None), *records]) == ([first, second], [])


def test_of_two_versions_with_one_date_the_one_serves_that_was_published_last() -> None:
    one, other = version(1, 100), version(1, 100, intercept=-2.0)
    assert served_at(serving_of(one, other), 100) == other.served_as
    assert served_at(serving_of(other, one), 100) == one.served_as


def test_versions_of_another_feature_table_are_told_in_one_line_however_many_they_are() -> None:
    serving = ContextTimeline(COLD)
    old = [version(number, number * DAY_MS, table="features-00000000") for number in range(1, 60)]
    for one in old:
        assert serving.take(MODELS, one.served_as.encode(), body(one)) is not None
    assert serving.foreign_count == 59
    assert serving.foreign_ones() == (
        f"59 versions, {old[0].served_as} of 1970-01-02 to {old[-1].served_as} of 1970-03-01: "
        f"learned on features-00000000, this program computes {FEATURE_TABLE}"
    )
    single = ContextTimeline(COLD)
    single.take(MODELS, b"1", body(old[0]))
    assert single.foreign_ones().startswith(f"1 version, {old[0].served_as} of 1970-01-02: learned on features-0")
    older = version(1, 0, table="features-0000000f")
    serving.take(MODELS, b"older", body(older))
    assert "learned on features-0000000f and others, this" in serving.foreign_ones()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"{", "no model version"),
        (b"\xff", "no model version"),
        (body(version(2, 100)).replace(b"-1.0", b"-9.0", 1), "its hash differs"),
        (body(version(2, 100, table="features-00000000")), "was learned on features-00000000"),
    ],
)
def test_a_version_that_cannot_be_used_is_refused_and_the_one_before_it_stays(value: bytes, words: str) -> None:
    good = version(1, 100)
    serving = serving_of(good)
    edition = serving.edition
    why = serving.take(MODELS, b"champion-2", value)
    assert why is not None
    assert words in why
    assert (served_at(serving, 10**15), serving.edition) == (good.served_as, edition)


def test_a_key_without_a_value_withdraws_a_version() -> None:
    first, second = version(1, 100), version(2, 200)
    serving = serving_of(first, second)
    assert serving.take(MODELS, second.served_as.encode(), None) is None
    assert served_at(serving, 10**15) == first.served_as
    edition = serving.edition
    assert serving.take(MODELS, b"never published", None) is None
    assert serving.edition == edition


def test_the_policy_that_was_published_last_serves_from_its_time_or_at_once() -> None:
    at_once, later, again = (another_policy(share) for share in (0.01, 0.02, 0.03))
    serving = serving_of(version(1, 100))
    for policy, from_ms in ((at_once, None), (later, 500)):
        assert serving.take(POLICIES, policy.version.encode(), policy_message(policy, from_ms)) is None
    assert [serving.at(at_ms)[0].policy for at_ms in (0, 499, 500)] == [at_once, at_once, later]
    assert served_at(serving, 500).startswith("champion-1-")
    assert serving.take(POLICIES, again.version.encode(), policy_message(again, None)) is None
    assert [serving.at(at_ms)[0].policy for at_ms in (0, 500)] == [again, again]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"no JSON", "no published policy"),
        (b'{"version":"policy-0","policy":{}}', "missing required field"),
        (policy_message(DEFAULT, None).replace(b'"quiet_below":0.05', b'"quiet_below":0.5'), "and its content is"),
        (policy_message(DEFAULT, None).replace(b'"quiet_below":0.05', b'"quiet_below":5'), "quiet_below"),
        (policy_message(DEFAULT, 5).replace(b"1970-01-01", b"1970-02-30"), "no published policy"),
    ],
)
def test_a_policy_that_a_file_could_not_hold_is_refused_and_the_one_before_it_stays(value: bytes, words: str) -> None:
    serving = ContextTimeline(COLD)
    why = serving.take(POLICIES, b"policy-0", value)
    assert why is not None
    assert words in why
    assert serving.at(10**15)[0].policy == DEFAULT


def test_a_policy_that_was_given_by_hand_stays() -> None:
    serving, other = ContextTimeline(COLD, takes_policies=False), another_policy(0.01)
    assert serving.take(POLICIES, other.version.encode(), policy_message(other, None)) is None
    assert serving.at(10**15)[0].policy == DEFAULT


@pytest.mark.slow
@pytest.mark.parametrize("has_gap", [False, True], ids=["events all the time", "no events around the dates"])
@pytest.mark.parametrize("is_live", [False, True], ids=["known before", "while it works"])
def test_a_partition_changes_its_version_at_the_date_of_the_next_one(
    fed: list[SentRecord], *, is_live: bool, has_gap: bool
) -> None:
    """Nobody is scored with what was learned later, however far behind the partition is when the version comes."""
    readable = [record for record in fed if at_ms_of(record) is not None]
    probe = SubscriberTask(3, "forewarn", COLD)
    worked_off(probe, log_of(readable))
    first = version(1, probe.stream_ms - 20 * DAY_MS, intercept=0.5)
    second = version(2, probe.stream_ms - 10 * DAY_MS, intercept=1.5)
    gap = range(first.published_at_ms - DAY_MS, second.published_at_ms + 2 * DAY_MS) if has_gap else range(0)
    log = log_of([record for record in readable if at_ms_of(record) not in gap])
    serving = ContextTimeline(COLD) if is_live else serving_of(first, second)
    task = SubscriberTask(3, "forewarn", serving)
    if is_live:
        for source, records in log.items():
            assert task.queue(source, 0, records)
        task.advance(set(task.queues), 3_000)
        assert 0 < task.stream_ms < first.published_at_ms
        for one in (first, second):
            serving.take(MODELS, one.served_as.encode(), body(one))
    alerts = worked_off(task, {} if is_live else log)
    for alert in alerts:
        at_ms = epoch_ms(datetime.fromisoformat(alert["event_time"]))
        assert alert["model_version"] == served_at(serving, at_ms), alert["event_time"]
    assert {alert["model_version"] for alert in alerts} >= {first.served_as, second.served_as}


def test_an_event_at_the_very_date_of_a_version_is_the_first_that_it_serves(fed: list[SentRecord]) -> None:
    before, at = [record for record in fed if record.topic == "usage" and at_ms_of(record) is not None][:400:399]
    dated = version(1, at_ms_of(at) or 0)
    assert (at_ms_of(before) or 0) < dated.published_at_ms
    task = SubscriberTask(3, "forewarn", serving_of(dated))
    log = log_of([before, at])
    for source, records in log.items():
        assert task.queue(source, 0, records)
    assert task.advance(set(task.queues), 1) == 1
    assert task.subscribers.context.scorer == COLD.scorer
    while task.advance(set(task.queues), 1):
        pass
    assert task.subscribers.context.scorer.version == dated.served_as

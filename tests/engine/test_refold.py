"""Looking back: every alert's numbers come out again exactly, and a past moment's scores are those of that moment."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.app import lookbacks, policies
from streams.core.alerts.policy import policy_from
from streams.core.contracts.decode import decode
from streams.core.contracts.effects import AlertChange
from streams.core.contracts.events import Body, TopUp
from streams.core.contracts.source import source_number
from streams.core.scoring.models import scorer_from
from streams.core.signals.market import Market
from streams.core.step import Context
from streams.core.step import step as real_step
from streams.core.subscriber.packing import unpack
from streams.core.times import DAY_MS, HOUR_MS
from streams.engine import embedded, refold, subscribers
from streams.engine.in_force import ContextTimeline
from streams.files.sources import discover, merge_sources
from streams.shared.errors import InputError
from streams.store.database import RunStore
from tests.core import makers
from tests.engine.operators import CLEAN, LIVELY, checkpoint_of, contents, run, write_operator

START_MS = 1_704_067_200_000


def day(number: float) -> int:
    return START_MS + round(number * DAY_MS)


class FinishedRun(msgspec.Struct, frozen=True):
    """A folder, the database that it was run into, and what that holds."""

    folder: Path
    db: Path
    found: dict[str, Any]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    home = tmp_path_factory.mktemp("refold")
    folder, db = write_operator(home / "events", subscribers=80, days=80, seed=5), home / "run.db"
    run(folder, db)
    return FinishedRun(folder, db, contents(db))


def unexplained(db: Path, folder: Path) -> list[str]:
    """Compute every transition of every alert again, and name those that come out differently."""
    checkpoint = checkpoint_of(db)
    policy = policy_from(checkpoint.run.policy)
    cold = policies.cold_scorer(policy)
    items = list(merge_sources(discover(str(folder)), {}, checkpoint.run.received_ms, decode))
    found = contents(db)
    market = Market()
    for known in found["market events"]:
        market.take(known.event, known.known_ms)
    scorers = {scorer.version: scorer for scorer in (cold, *map(scorer_from, found["models"]))}
    wrong = []
    for change in (change for alert in found["transitions"] for change in alert):
        refolded = refold.alert_facts(items, change, policy, lambda ms: market.at(ms)[0], None)
        signals = market.of_version(change.signals_version, change.at_ms)
        scorer = scorers[change.model_version]
        if refolded is None or signals is None or refold.recompute(change, refolded, scorer, policy, signals) != change:
            wrong.append(change.transition_id)
    return wrong


@pytest.mark.slow
def test_every_transition_of_a_run_is_computed_again_to_the_last_bit(ran: FinishedRun) -> None:
    transitions = [change for alert in ran.found["transitions"] for change in alert]
    assert len(transitions) > 100
    assert len({change.model_version for change in transitions}) > 2
    assert len({change.signals_version for change in transitions}) > 2
    assert {change.change for change in transitions} == set(get_args(AlertChange))
    assert unexplained(ran.db, ran.folder) == []


SPARSE = """
[policy.scoring]
at_hour = {at_hour}
quiet_every_hours = 240

[policy.training]
publish_every_days = 1
positives_min = 1
keep_negatives = 0.1
"""
"""Few examples, settled days late, and versions as often as can be."""


@pytest.mark.slow
@pytest.mark.parametrize("at_hour", [0, 5])
def test_the_version_that_served_at_a_time_is_the_one_that_looking_back_takes(tmp_path: Path, at_hour: int) -> None:
    policy = LIVELY.replace("positives_min = 2", "").replace("[policy.training]", "") + SPARSE.format(at_hour=at_hour)
    run(write_operator(tmp_path / "events", subscribers=80, days=100, seed=5, policy=policy), tmp_path / "run.db")
    found = contents(tmp_path / "run.db")
    default = policies.read_policy_for("-", None)
    in_force = ContextTimeline(Context(policies.cold_scorer(default), default))
    for version in found["models"]:
        in_force.publish(version)
    for promotion in found["promotions"]:
        in_force.promote(promotion)
    served = [(one.snapshot_at_ms, one.model_version) for one in found["predictions"]]
    served += [(change.at_ms, change.model_version) for alert in found["transitions"] for change in alert]
    assert len({name for _, name in served}) > 5
    wrong = [(at_ms, name) for at_ms, name in served if in_force.at(at_ms - 1)[0].scorer.version != name]
    assert wrong == []


@pytest.mark.slow
def test_explain_gives_back_the_stored_numbers_of_every_alert(ran: FinishedRun) -> None:
    for alert in ran.found["alerts"]:
        explained = lookbacks.explain(str(ran.db), alert.latest.alert_id)
        assert explained.equal
        assert explained.recomputed == explained.stored == alert.latest


def test_some_alerts_say_what_changed_and_some_had_nothing_to_be_compared_with(ran: FinishedRun) -> None:
    transitions = [change for alert in ran.found["transitions"] for change in alert]
    since = [{(reason.since_ms, reason.change is None) for reason in change.reasons} for change in transitions]
    assert all(len(moments) == 1 for moments in since)
    assert {is_silent for moments in since for _, is_silent in moments} == {True, False}
    compared = [change for change in transitions if change.reasons[0].since_ms is not None]
    assert all(change.reasons[0].since_ms <= change.at_ms for change in compared)
    assert len(compared) > 50


def test_a_reason_says_as_much_as_its_features_and_all_add_up_to_the_logit(ran: FinishedRun) -> None:
    for change in (change for alert in ran.found["transitions"] for change in alert):
        shares = [reason.contribution for reason in change.reasons]
        assert abs(change.intercept + sum(shares) - change.logit) < 1e-12 * max(
            1.0, *map(abs, shares), abs(change.intercept)
        )
        assert shares == sorted(shares, reverse=True)


def changed_copy(ran: FinishedRun, to: Path, topic: str, offset: int, line: bytes | None) -> Path:
    """Copy the folder with one line of a topic put in another's place, or taken away with all that follow it."""
    to.mkdir()
    for path in ran.folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    lines = (to / f"{topic}.jsonl").read_bytes().splitlines(keepends=True)
    lines[offset:] = [] if line is None else [line, *lines[offset + 1 :]]
    (to / f"{topic}.jsonl").write_bytes(b"".join(lines))
    return to


def a_top_up_behind(ran: FinishedRun) -> tuple[str, int, bytes]:
    """Find a fired alert that rests on a top-up; return its id, and the record's offset and line."""
    lines = (ran.folder / "top-ups.jsonl").read_bytes().splitlines(keepends=True)
    source = source_number("top-ups", 0)
    for alert in ran.found["alerts"]:
        offset = alert.latest.offsets.get(source)
        if alert.latest.state == "firing" and offset is not None and b'"completed"' in lines[offset]:
            age_ms = alert.latest.at_ms - makers.at_ms_of(msgspec.json.decode(lines[offset], type=TopUp))
            if age_ms < 20 * DAY_MS:
                return alert.latest.alert_id, offset, lines[offset]
    raise AssertionError("no alert of this operator rests on a top-up")


def test_explain_shows_that_a_record_was_changed(ran: FinishedRun, tmp_path: Path) -> None:
    alert_id, offset, line = a_top_up_behind(ran)
    body = msgspec.json.decode(line)
    body["amount_minor"] *= 3
    other = changed_copy(ran, tmp_path / "changed", "top-ups", offset, msgspec.json.encode(body) + b"\n")
    explained = lookbacks.explain(str(ran.db), alert_id, str(other))
    assert not explained.equal
    assert explained.recomputed is not None
    assert explained.recomputed.logit != explained.stored.logit
    assert lookbacks.explain(str(ran.db), alert_id, str(ran.folder)).equal


def test_explain_says_that_it_cannot_where_a_record_is_gone(ran: FinishedRun, tmp_path: Path) -> None:
    alert_id, offset, _ = a_top_up_behind(ran)
    other = changed_copy(ran, tmp_path / "cut", "top-ups", offset, None)
    explained = lookbacks.explain(str(ran.db), alert_id, str(other))
    assert (explained.recomputed, explained.equal) == (None, False)


def test_explain_shows_that_a_record_was_damaged(ran: FinishedRun, tmp_path: Path) -> None:
    alert_id, offset, line = a_top_up_behind(ran)
    other = changed_copy(ran, tmp_path / "damaged", "top-ups", offset, line[:40] + b"\n")
    explained = lookbacks.explain(str(ran.db), alert_id, str(other))
    assert (explained.recomputed, explained.equal) == (None, False)


def test_explain_without_the_input_gives_the_stored_numbers_alone(tmp_path: Path) -> None:
    folder, db = write_operator(tmp_path / "events", subscribers=40, days=60, seed=5, faults=CLEAN), tmp_path / "run.db"
    run(folder, db)
    alert = contents(db)["alerts"][0].latest
    moved = folder.rename(tmp_path / "elsewhere")
    explained = lookbacks.explain(str(db), alert.alert_id)
    assert explained == lookbacks.Explanation(alert, None, equal=False)
    assert lookbacks.explain(str(db), alert.alert_id, str(moved)).equal
    with pytest.raises(InputError, match="no file or folder"):
        lookbacks.explain(str(db), alert.alert_id, str(folder))


def scored(db: Path, at_ms: int) -> dict[str, tuple[float, str]]:
    return {score.subscriber_id: (score.probability, score.model_version) for score in lookbacks.scores(str(db), at_ms)}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["midday", "at_a_version", "after_a_version", "at_a_wake", "early"])
def test_the_scores_of_a_past_moment_are_those_of_a_run_that_stopped_then(
    ran: FinishedRun, tmp_path: Path, moment: str
) -> None:
    published_ms = ran.found["models"][1].published_at_ms
    at_ms = {
        "midday": day(50.5),
        "at_a_version": published_ms,
        "after_a_version": published_ms + 2 * HOUR_MS,
        "at_a_wake": published_ms + 4 * HOUR_MS,
        "early": day(9) + 17,
    }[moment]
    stopped = tmp_path / "stopped.db"
    run(ran.folder, stopped, until_ms=at_ms)
    past = scored(ran.db, at_ms)
    assert len(past) > 60
    assert past == scored(stopped, at_ms)


def test_the_scores_after_the_end_come_from_the_states_and_leave_out_who_has_left(ran: FinishedRun) -> None:
    states = {name: unpack(packed) for name, packed in ran.found["states"]}
    here = {name for name, state in states.items() if not state.facts.life}
    assert 0 < len(here) < len(states)
    for at_ms in (ran.found["stream time"], ran.found["stream time"] + 5 * DAY_MS):
        assert scored(ran.db, at_ms).keys() == here
    later = scored(ran.db, ran.found["stream time"] + 20 * DAY_MS)
    assert sum(chance for chance, _ in later.values()) != sum(chance for chance, _ in scored(ran.db, day(80)).values())


def test_who_leaves_later_is_still_there_in_the_scores_of_the_past(ran: FinishedRun) -> None:
    left = {n: unpack(p).facts.life_at_ms for n, p in ran.found["states"] if unpack(p).facts.life}
    leaver, left_ms = max(left.items(), key=lambda one: one[1])
    assert leaver in scored(ran.db, left_ms - DAY_MS)
    assert leaver not in scored(ran.db, left_ms + 1)


# Small streams made up by hypothesis: three subscribers, every topic, a third of the records out of order or twice.

ANXIOUS = LIVELY.replace("0.05", "0.03").replace("close_at = 0.03", "close_at = 0.02") + "hold_hours = 0\n"
NAMES = ["s_" + c * 32 for c in "abc"]
DAYS = 45


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    at_ms = draw(st.integers(0, DAYS)) * DAY_MS + draw(st.sampled_from([0, 1, 4, 4, 13])) * HOUR_MS + makers.START_MS
    who = {"subscriber_id": draw(st.sampled_from(NAMES)), "event_id": f"e{draw(st.integers(0, 400))}"}
    match draw(st.sampled_from(["usage", "usage", "top_up", "top_up", "drop", "complaint", "profile", "outcome"])):
        case "usage":
            calls = draw(st.integers(0, 9))
            return makers.usage(
                at_ms, voice_answered=calls, voice_s=60 * calls, revision=draw(st.integers(0, 1)), **who
            )
        case "top_up":
            status = draw(st.sampled_from(["completed", "completed", "failed"]))
            return makers.top_up(at_ms, status=status, amount_minor=draw(st.integers(0, 9_000)), **who)
        case "drop":
            return makers.call_drop(at_ms, **who)
        case "complaint":
            ticket = f"ticket-{draw(st.integers(0, 2))}"
            change, status = draw(st.sampled_from([("created", "acknowledged"), ("resolved", "closed")]))
            return makers.complaint(at_ms, ticket_id=ticket, change=change, status=status, **who)
        case "profile":
            ends = draw(st.none() | st.integers(0, 60).map(makers.at).map(makers.moment))
            consent = draw(st.integers(0, 9)) > 0
            return makers.profile(at_ms, contract_end_date=ends, profiling_consent=consent, **who)
        case _:
            change = draw(st.sampled_from(["port_out_requested", "port_out_completed", "win_back", "terminated"]))
            return makers.outcome(at_ms, change, **who)


@st.composite
def arrivals(draw: st.DrawFn) -> list[Body]:
    """Records in the order in which they arrive: by time, but for the late ones, and with some of them twice."""
    made = draw(st.lists(bodies(), min_size=20, max_size=80))
    waits = st.sampled_from([0, 0, 0, 0, HOUR_MS, DAY_MS, 6 * DAY_MS, 9 * DAY_MS])
    arriving = [(makers.at_ms_of(body) + draw(waits), body) for body in made]
    arriving += [(at_ms + draw(waits), body) for at_ms, body in arriving if draw(st.integers(0, 9)) == 0]
    return [body for _, body in sorted(arriving, key=lambda one: one[0])]


def write(folder: Path, made: Sequence[Body]) -> None:
    folder.mkdir()
    (folder / policies.DATASET_FILE).write_text(ANXIOUS)
    lines: dict[str, list[bytes]] = {}
    # Somebody whom nothing happens to keeps the time going.
    for body in [*made, makers.usage(makers.at(DAYS + 20), subscriber_id="s_" + "0" * 32)]:
        lines.setdefault(makers.TOPIC_OF[type(body)], []).append(msgspec.json.encode(body) + b"\n")
    for topic, written in lines.items():
        (folder / f"{topic}.jsonl").write_bytes(b"".join(written))


class BrokenOffError(BaseException):
    """A run that is broken off without a chance to tidy up: nothing in the runner may catch it."""


@pytest.mark.parametrize("late_ms", [0, 3 * HOUR_MS])
def test_what_changed_since_a_score_that_a_complaint_called_for_is_explained_exactly(
    tmp_path: Path, late_ms: int
) -> None:
    """The first snapshot is due at an hour at which nobody wakes: the complaint comes before the next wake, or late."""
    who = {"subscriber_id": NAMES[0]}
    first_ms = makers.START_MS + 10 * HOUR_MS
    due_ms = first_ms + (14 + int(NAMES[0][-4:], 16) % 7) * DAY_MS
    made: list[Body] = [makers.top_up(first_ms + day * DAY_MS, event_id=f"t{day}", **who) for day in range(0, 21, 3)]
    before = {"change": "status_changed", "ticket_id": "before", "event_id": "b"}
    made.append(makers.complaint(due_ms + HOUR_MS + late_ms, **before, **who))
    made += [makers.complaint(due_ms + HOUR_MS, event_id=f"c{n}", ticket_id=f"ticket-{n}", **who) for n in range(2)]
    made += [
        makers.complaint(due_ms + day * DAY_MS, event_id=f"d{day}", ticket_id=f"again-{day}", **who)
        for day in (1, 2, 4)
    ]
    write(tmp_path / "events", made)
    run(tmp_path / "events", tmp_path / "run.db")
    changes = [change for alert in contents(tmp_path / "run.db")["transitions"] for change in alert]
    assert any(change.reasons[0].since_ms == due_ms + HOUR_MS + late_ms for change in changes)
    assert unexplained(tmp_path / "run.db", tmp_path / "events") == []


explained = 0


def check_explained(made: list[Body], stop_after: int) -> None:
    """Run, breaking off once after so many steps, and have every transition explained."""
    global explained  # noqa: PLW0603 - shown once at the end, over all examples
    with tempfile.TemporaryDirectory() as home:
        folder, db = Path(home) / "events", Path(home) / "run.db"
        write(folder, made)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(embedded, "PROGRESS_RECORDS", 8)
            steps = iter(range(stop_after))

            def step(*given: Any) -> Any:
                if next(steps, None) is None:
                    raise BrokenOffError
                return real_step(*given)

            patch.setattr(subscribers, "step", step)
            with pytest.raises(BrokenOffError):
                run(folder, db, commit_records=8)
            patch.setattr(subscribers, "step", real_step)
            run(folder, db, commit_records=8)
        assert unexplained(db, folder) == []
        with RunStore.open(str(db)) as store:
            alerts = store.alerts()
        explained += sum(alert.changes for alert in alerts)
        if alerts:
            assert lookbacks.explain(str(db), alerts[0].latest.alert_id).equal


@pytest.mark.slow
def test_any_stream_late_doubled_and_broken_off_is_explained_exactly() -> None:
    check = settings(max_examples=40)(given(arrivals(), st.integers(0, 20))(check_explained))
    check()
    print(f"{explained} transitions explained")
    assert explained > 60

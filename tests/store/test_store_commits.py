"""What is committed can be read back, to the last bit, once, and as it stands in event time."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.contracts.effects import AlertChanged, Evidence, LateEvent, Reason
from streams.shared.errors import StoreError
from streams.store import NO_TIME_MS, Checkpoint, MarketAnnouncement, Position, RunStore
from tests.postgres.databases import KINDS, fresh

CHANGES = ("opened", "fired", "worsened", "eased", "dropped", "resolved")
"""In the order in which they stand at one moment; `restaged` shares its place with others."""
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def test_all_that_was_committed_is_there_for_the_next_process(
    store: RunStore, make: SimpleNamespace, reopened: Callable[[], RunStore]
) -> None:
    batch = make.full_batch()
    store.commit(batch)
    later = reopened()
    assert later.load() == Checkpoint(
        run=make.run, positions=batch.positions, stream_ms=1_000, counters={"events": 1}, trainer=batch.trainer
    )
    assert list(later.states()) == sorted(batch.states)
    assert later.state("s_a") == b"one"
    assert later.state("s_nobody") is None
    assert later.transitions("alert-a") == list(batch.transitions[:2])
    assert later.models() == list(batch.models)
    assert later.promotions() == list(batch.promotions)
    assert list(later.dead_letters()) == sorted(batch.dead, key=lambda letter: letter.topic)
    assert later.market_events() == list(batch.announced)
    assert list(later.late_events()) == list(batch.late)
    assert [(kept.example_id, kept.label, kept.probability) for kept in later.predictions()] == [
        (one.example_id, one.label, one.probability) for one in batch.examples
    ]


def test_the_same_batch_twice_adds_nothing(store: RunStore, make: SimpleNamespace) -> None:
    store.commit(make.full_batch())
    once = make.contents(store)
    store.commit(make.full_batch())
    assert make.contents(store) == once


def test_a_repeat_with_other_numbers_changes_nothing_that_has_happened(store: RunStore, make: SimpleNamespace) -> None:
    store.commit(make.batch(transitions=[make.changed()], examples=[make.example()]))
    again = make.batch(transitions=[make.changed(why="another")], examples=[make.example(probability=0.9)])
    store.commit(again)
    assert store.transitions("alert-a") == [make.changed()]
    assert [kept.probability for kept in store.predictions()] == [1 / 3]


def test_an_empty_batch_is_a_commit_as_well(store: RunStore, make: SimpleNamespace) -> None:
    store.commit(make.batch(positions={}))
    checkpoint = store.load()
    assert checkpoint is not None
    assert checkpoint.stream_ms == 1_000


def test_before_the_first_commit_a_run_stands_before_all_time(store: RunStore, make: SimpleNamespace) -> None:
    assert store.load() == Checkpoint(run=make.run, positions={}, stream_ms=NO_TIME_MS, counters={}, trainer=None)


def test_an_alert_stands_as_its_newest_transition_left_it_even_if_an_older_one_arrives_later(
    store: RunStore, make: SimpleNamespace
) -> None:
    store.commit(make.batch(transitions=[make.changed(change="resolved", at_ms=9_000, probability=0.1, band="low")]))
    store.commit(make.batch(transitions=[make.changed(change="fired", at_ms=1_000, probability=0.9, band="critical")]))
    (row,) = store.alerts()
    assert (row.latest.change, row.latest.state, row.latest.band, row.latest.probability) == (
        "resolved", "resolved", "low", 0.1,
    )  # fmt: skip
    assert (row.fired_at_ms, row.changes) == (1_000, 2)
    assert [one.change for one in store.transitions("alert-a")] == ["fired", "resolved"]


@pytest.mark.parametrize("order", [CHANGES, CHANGES[::-1]], ids=["as they happened", "the other way round"])
def test_transitions_of_one_moment_follow_the_life_of_an_alert(
    store: RunStore, make: SimpleNamespace, order: tuple[str, ...]
) -> None:
    store.commit(make.batch(transitions=[make.changed(change=change) for change in order]))
    assert tuple(one.change for one in store.transitions("alert-a")) == CHANGES
    assert store.alerts()[0].latest.change == "resolved"


@pytest.mark.parametrize("stages", [("lapsed", "requested"), ("requested", "lapsed")], ids="-".join)
def test_of_two_changes_of_stage_at_one_moment_the_request_is_the_last(
    store: RunStore, make: SimpleNamespace, stages: tuple[str, str]
) -> None:
    """A wake finds that the line is silent; a request that comes late is judged at the same moment, and after it."""
    told = [make.changed(change="restaged", stage=stage, transition_id=f"t-{stage}") for stage in stages]
    store.commit(make.batch(transitions=[make.changed(change="fired"), *told]))
    assert [one.stage for one in store.transitions("alert-a")] == ["at_risk", "lapsed", "requested"]
    assert store.alerts()[0].latest.stage == "requested"
    assert store.stages_at_firing() == {"alert-a": "at_risk"}
    assert [store.alert_page(stages=[stage]).total for stage in ("requested", "lapsed")] == [1, 0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@given(
    moves=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(CHANGES), st.integers(0, 3)), max_size=12),
    random=st.randoms(use_true_random=False),
)
@settings(max_examples=12)
def test_any_order_and_any_repetition_of_transitions_gives_the_same_alerts(
    make: SimpleNamespace, kind: str, moves: list[tuple[str, str, int]], random: Random
) -> None:
    transitions = [make.changed(alert, change, at_ms) for alert, change, at_ms in moves]
    shuffled = transitions + transitions[::2]
    random.shuffle(shuffled)
    found = []
    for order in (transitions, shuffled):
        with fresh(kind) as place, RunStore.open(place) as store:
            store.start(make.run)
            for begin in range(0, len(order), 4):
                store.commit(make.batch(transitions=order[begin : begin + 4]))
            found.append((store.alerts(), store.transitions("alert-a")))
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@given(
    logit=NUMBERS,
    share=NUMBERS,
    baseline=st.none() | NUMBERS,
    offsets=st.dictionaries(st.integers(0, 2**40), st.integers(0, 2**53)),
)
@settings(max_examples=15)
def test_numbers_come_back_to_the_last_bit(
    *, make: SimpleNamespace, kind: str, logit: float, share: float, baseline: float | None, offsets: dict[int, int]
) -> None:
    evidence = Evidence("drops", "1", share, baseline, None)
    reason = Reason("r", "network", share, {"x": share}, (evidence,))
    given_in = make.changed(logit=logit, probability=share, reasons=(reason,), offsets=offsets)
    with fresh(kind) as place, RunStore.open(place) as store:
        store.start(make.run)
        store.commit(make.batch(transitions=[given_in]))
        (back,) = store.transitions(given_in.alert_id)
    assert back == given_in
    assert isinstance(back, AlertChanged)


def test_states_come_in_the_order_of_the_bytes_of_their_ids_whatever_the_language_of_the_database(
    store: RunStore, make: SimpleNamespace
) -> None:
    names = ["s_a", "s_B", "s-a", "sa", "s_\u00e9", "S_a"]
    store.commit(make.batch(states=[(name, b"") for name in names]))
    assert [name for name, _ in store.states()] == sorted(names)


def test_a_character_that_postgresql_cannot_hold_stops_nobody(store: RunStore, make: SimpleNamespace) -> None:
    odd = make.changed(account_manager_id="m\x001", why="\x00", currency="")
    late = LateEvent("s_a", "usage", 0, 3, "ev\x003", 4, 86_400)
    for _ in range(2):
        store.commit(
            make.batch(
                transitions=[odd], late=[late], announced=[MarketAnnouncement(7, make.promotion(entry_id="\x00"))]
            )
        )
    (back,) = store.transitions("alert-a")
    assert back.account_manager_id in {"m\x001", "m\ufffd1"}
    assert [one.event_id for one in store.late_events()] in (["ev\x003"], ["ev\ufffd3"])
    assert [one.event.entry_id for one in store.market_events()] == ["\x00"]


def test_states_are_replaced_and_forgotten(store: RunStore, make: SimpleNamespace) -> None:
    store.commit(make.batch(states=[("s_a", b"1"), ("s_b", b"1"), ("s_c", b"1")]))
    store.commit(make.batch(states=[("s_b", b"2"), ("s_c", b"2")], forgotten=["s_c", "s_never_seen"]))
    assert list(store.states()) == [("s_a", b"1"), ("s_b", b"2")]


def test_positions_that_a_batch_does_not_name_stay(store: RunStore, make: SimpleNamespace) -> None:
    store.commit(make.batch(positions={"usage/0": Position(3, 1, 2), "top-ups/0": Position(1)}, trainer=b"t"))
    store.commit(make.batch(positions={"usage/0": Position(7, 5, 6)}))
    checkpoint = store.load()
    assert checkpoint is not None
    assert checkpoint.positions == {"usage/0": Position(7, 5, 6), "top-ups/0": Position(1, NO_TIME_MS, NO_TIME_MS)}
    assert checkpoint.trainer == b"t"


def test_a_model_number_with_other_weights_is_refused_and_nothing_of_its_batch_is_kept(
    store: RunStore, make: SimpleNamespace
) -> None:
    store.commit(make.batch(models=[make.model(1)]))
    before = make.contents(store)
    with pytest.raises(StoreError, match=r"model champion version 1 is stored already, with other weights"):
        store.commit(make.batch(2, states=[("s_z", b"z")], dead=[], models=[make.model(1, intercept=-1.0)]))
    assert make.contents(store) == before
    store.commit(make.batch(2))


def test_alerts_are_chosen_by_state_band_kind_and_subscriber_and_come_by_falling_probability(
    store: RunStore, make: SimpleNamespace
) -> None:
    store.commit(
        make.batch(
            transitions=[
                make.changed("a", "fired", probability=0.4, band="high"),
                make.changed("b", "opened", probability=0.8, band="critical", kind="natural"),
                make.changed("c", "fired", probability=0.8, band="critical"),
                make.changed("d", "resolved", probability=0.1, band="low"),
            ]
        )
    )

    def found(**choice: object) -> str:
        return "".join(row.latest.alert_id[-1] for row in store.alerts(**choice))  # type: ignore[arg-type]  # Any choice.

    assert found() == "bcad"
    assert found(limit=2) == "bc"
    assert found(states=["firing"]) == "ca"
    assert found(states=["firing", "pending"], band="critical") == "bc"
    assert found(kind="natural") == "b"
    assert found(subscriber_id="s_d") == "d"
    assert found(states=[]) == ""
    assert store.alert("alert-c") == store.alerts(subscriber_id="s_c")[0]
    assert store.alert("alert-x") is None
    assert store.transitions("alert-x") == []


def test_predictions_are_chosen_by_time_and_model(store: RunStore, make: SimpleNamespace) -> None:
    store.commit(make.batch(examples=[make.example(2), make.example(1), make.example(3, model_version="champion-1-x")]))
    assert [kept.example_id for kept in store.predictions()] == ["e1", "e2", "e3"]
    assert [kept.example_id for kept in store.predictions(from_ms=2_000, until_ms=3_000)] == ["e2"]
    assert [kept.example_id for kept in store.predictions(model_version="champion-1-x")] == ["e3"]
    assert [type(kept.label) for kept in store.predictions()] == [bool] * 3


def test_dead_letters_are_chosen_by_reason(store: RunStore, make: SimpleNamespace) -> None:
    store.commit(make.full_batch())
    assert [letter.offset for letter in store.dead_letters(reason="empty")] == [6]


def test_states_can_be_read_while_a_commit_writes(store: RunStore, make: SimpleNamespace) -> None:
    store.commit(make.batch(states=[(f"s_{number:05}", b"old") for number in range(5_000)]))
    reading = store.states()
    assert next(reading) == ("s_00000", b"old")
    store.commit(make.batch(states=[(f"s_{number:05}", b"new") for number in range(5_000)]))
    assert {body for _, body in reading} == {b"old"}
    assert {body for _, body in store.states()} == {b"new"}


def test_the_second_of_two_writers_is_stopped(place: str, store: RunStore, make: SimpleNamespace) -> None:
    with RunStore.open(place) as other:
        store.commit(make.batch(1))
        with pytest.raises(StoreError, match=r"another process has written .* let only one"):
            other.commit(make.batch(9, states=[("s_a", b"lost")]))
        assert make.contents(other) == make.contents(store)
    store.commit(make.batch(2))


def test_a_database_takes_one_run(place: str, store: RunStore, make: SimpleNamespace) -> None:
    with pytest.raises(StoreError, match=r"holds a run already; continue that one, or name a new database"):
        store.start(make.run)
    with RunStore.open(place) as other, pytest.raises(StoreError, match="holds a run already"):
        other.start(make.run)


def test_nothing_can_be_committed_before_the_run_is_started(tmp_path: Path, make: SimpleNamespace) -> None:
    with RunStore.open(tmp_path / "new.db") as store:
        assert store.load() is None
        with pytest.raises(RuntimeError, match="start comes before"):
            store.commit(make.batch())


def test_snapshots_wait_beside_the_states_until_they_are_ended_or_their_subscriber_is_forgotten(
    store: RunStore, make: SimpleNamespace
) -> None:
    taken = [("s_a", 5, b"1"), ("s_a", 7, b"2"), ("s_b", 5, b"3"), ("s_ab", 5, b"4")]
    keys = [(who, at_ms) for who, at_ms, _ in taken]
    store.commit(make.batch(1, states=[("s_a", b"a"), ("s_b", b"b"), ("s_ab", b"ab")], snapshots=taken))
    assert sorted(store.snapshots([*keys, ("s_b", 7), ("nobody", 5)])) == sorted(taken)
    assert store.snapshots([]) == []
    store.commit(make.batch(2, ended_snapshots=[("s_a", 5), ("nobody", 5)]))
    assert sorted(store.snapshots(keys)) == sorted(taken[1:])
    store.commit(make.batch(3, forgotten=["s_a"]))
    assert sorted(store.snapshots(keys)) == sorted(taken[2:])


def test_more_snapshots_than_one_statement_names_are_found(store: RunStore, make: SimpleNamespace) -> None:
    taken = [(f"s_{number}", number, b"%d" % number) for number in range(1_200)]
    store.commit(make.batch(1, snapshots=taken))
    assert sorted(store.snapshots([(who, at_ms) for who, at_ms, _ in taken])) == sorted(taken)

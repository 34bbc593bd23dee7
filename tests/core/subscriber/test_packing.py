"""The packed state: nothing is lost, equal states are equal bytes, and what is no state is refused."""

from array import array
from dataclasses import astuple, fields
from itertools import chain

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.events import Body, Wake
from streams.core.step import Context, step
from streams.core.subscriber.facts import Facts, SubscriberState, Times, Totals, Watch, new_state
from streams.core.subscriber.packing import UnreadableStateError, next_wake_ms, pack, unpack
from streams.core.subscriber.state import INACTIVE, STATE_VERSION, USAGE_DAYS, AlertState, PackedState
from streams.core.times import DAY_MS, EventMs
from tests.core.makers import (
    at,
    call_drop,
    complaint,
    event,
    moment,
    numbered,
    outcome,
    policy,
    profile,
    scorecard,
    top_up,
    usage,
)
from tests.core.strategies import arrivals, histories, modest, reached

TYPICAL_BYTES_MAX = 600

alerts = st.just(INACTIVE) | st.builds(
    AlertState,
    st.sampled_from(["pending", "firing", "resolved"]),
    st.integers(0, 9),
    st.sampled_from(["natural", "value_loss"]),
    st.sampled_from(["low", "critical"]),
    *[st.integers(0, at(400))] * 3,
)
rows = st.tuples(st.integers(0, at(400)), st.integers(0, at(400)), st.integers(0, 3), st.integers(0, 2))
waiting = st.lists(rows, max_size=3).map(lambda found: array("q", chain.from_iterable(found)))


def _with_the_newest_at_hand(watch: Watch) -> Watch:
    watch.first_revenue_ms = watch.waiting[-1].first_revenue_ms if watch.pending else 0
    return watch


moments = st.integers(0, at(400))
watches = st.builds(
    Watch,
    next_wake_ms=moments,
    scored_at_ms=moments,
    snapshot_at_ms=moments,
    probability=st.floats(0, 1),
    alert=alerts,
    pending=waiting,
).map(_with_the_newest_at_hand)


@modest(45)
@given(reached(), watches)
def test_what_is_unpacked_is_what_was_packed(story: tuple[list[Body], Facts], watch: Watch) -> None:
    state = SubscriberState(story[1], watch)
    again = unpack(pack(state))
    assert again == state
    assert again.facts is not state.facts
    assert pack(again) == pack(state)


@modest(25)
@given(st.data())
def test_states_have_the_same_bytes_exactly_if_they_are_equal(data: st.DataObject) -> None:
    bodies = data.draw(histories(max_size=6))
    one, other = (
        SubscriberState(data.draw(reached(max_size=3))[1], Watch())
        if data.draw(st.booleans())
        else unpack(pack(_walked(data.draw(arrivals(bodies)))))
        for _ in range(2)
    )
    assert (one == other) == (pack(one) == pack(other))


def _walked(bodies: list[Body]) -> SubscriberState:
    """The state after the events, each followed by the wake that it asked for: alerts, snapshots and all."""
    context = Context(scorecard(), policy(snapshots={"after_days": 0, "every_days": 1}))
    state: SubscriberState | None = None
    for e in numbered(bodies):
        state, _ = step(state, e, context)
        state, _ = step(state, Wake(e.body.subscriber_id, state.watch.next_wake_ms), context)
    assert state is not None
    return state


@modest(20)
@given(histories(max_size=12))
def test_a_state_that_was_scored_and_woken_survives_its_packing(bodies: list[Body]) -> None:
    state = _walked(bodies)
    assert unpack(pack(state)) == state


def test_the_cheap_test_for_no_alert_still_works_after_unpacking() -> None:
    assert unpack(pack(new_state(EventMs(5)))).watch.alert is INACTIVE


def test_an_alert_that_was_packed_before_alerts_could_ease_is_read_as_one_in_no_lower_band() -> None:
    alert = AlertState("firing", 2, "natural", "high", 5, 6, 7)
    state = SubscriberState(new_state(EventMs(5)).facts, Watch(alert=alert))
    raw = msgspec.msgpack.decode(pack(state))
    (place,) = [i for i, value in enumerate(raw) if isinstance(value, list) and "firing" in value]
    raw[place] = raw[place][:7]
    assert unpack(msgspec.msgpack.encode(raw)) == state


@pytest.mark.parametrize("version", [0, STATE_VERSION + 1, 255])
def test_a_state_of_another_version_is_refused_by_its_number(version: int) -> None:
    raw = msgspec.msgpack.decode(pack(new_state(EventMs(5))))
    for read in (unpack, next_wake_ms):
        with pytest.raises(UnreadableStateError, match=f"version {version}"):
            read(msgspec.msgpack.encode([version, *raw[1:]]))


@given(watches)
def test_the_wake_is_read_without_unpacking_the_rest(watch: Watch) -> None:
    packed = pack(SubscriberState(new_state(EventMs(5)).facts, watch))
    assert next_wake_ms(packed) == watch.next_wake_ms
    with pytest.raises(UnreadableStateError, match="not a packed state"):
        next_wake_ms(packed[:-1])


def test_every_count_and_every_time_packs_itself_under_its_own_name() -> None:
    state = new_state(at(400))
    for number, name in enumerate(field.name for field in fields(Totals)):
        setattr(state.facts.totals, name, 1000 + number)
    for number, name in enumerate(field.name for field in fields(Times)):
        setattr(state.facts.times, name, at(number + 1))
    state.watch.scored_at_ms, state.watch.snapshot_at_ms = at(300), at(200)
    again = unpack(pack(state))
    assert again == state
    assert astuple(again.facts.totals) == tuple(range(1000, 1000 + len(fields(Totals))))


def test_a_state_that_was_packed_before_the_newest_count_existed_has_counted_none() -> None:
    state = new_state(EventMs(5))
    state.facts.totals.answered = state.facts.totals.complaints = 7
    raw = msgspec.msgpack.decode(pack(state))
    raw[FIELDS.index("totals")].pop()
    totals = unpack(msgspec.msgpack.encode(raw)).facts.totals
    assert (totals.answered, totals.complaints) == (7, 0)


FIELDS = PackedState.__struct_fields__
DAMAGE = [
    ("a plane that the days do not have", "planes", 256, "add up"),
    ("a plane less than a day has", "planes", -1, "add up"),
    ("more planes than days", "planes", 255, "add up"),
    ("half a plane", "days", bytes(21), "add up"),
    ("half a top-up row", "top_ups", [1, 2], "add up"),
    ("a time too few", "ages", [None] * 8, "add up"),
    ("a time too many", "ages", [None] * 12, "add up"),
    ("a count too many", "totals", [1] * 11, "add up"),
    ("a number that no row can hold", "top_ups", [1, 2**63, 0, 0], "no row can hold"),
    ("half a row of failed calls", "failed_calls", [1], "add up"),
    ("half a complaint row", "complaints", [1], "add up"),
    ("text where a number should be", "newest_ms", "x", "Expected"),
]


@pytest.mark.parametrize(("name", "value", "match"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE])
def test_a_state_whose_numbers_do_not_fit_is_refused(name: str, value: object, match: str) -> None:
    state, _ = step(None, event(usage(at(1)), 0), Context(scorecard(), policy()))
    raw = msgspec.msgpack.decode(pack(state))
    raw[FIELDS.index(name)] = value
    with pytest.raises(UnreadableStateError, match=match):
        unpack(msgspec.msgpack.encode(raw))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_state_are_refused(garbage: bytes) -> None:
    with pytest.raises(UnreadableStateError):
        unpack(garbage)


@modest(70)
@given(reached(max_size=8), st.data())
def test_damaged_bytes_are_refused_or_read_as_some_state_and_raise_nothing_else(
    story: tuple[list[Body], Facts], data: st.DataObject
) -> None:
    whole = bytearray(pack(SubscriberState(story[1], Watch())))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(len(whole) - 3, len(whole)))])
    try:
        state = unpack(damaged)
    except UnreadableStateError:
        return
    assert len(state.facts.voice_s) == len(state.facts.answered) == len(state.facts.data_level) == USAGE_DAYS


def typical() -> SubscriberState:
    """An active subscriber: known 8 weeks, weekly top-ups, calls daily, some drops, one complaint, all six sources."""
    bodies: list[Body] = [
        profile(at(0), contract_end_date=moment(at(300)), account_manager_id="manager-17", area_id="area-4")
    ]
    for day in range(1, 57):
        calls = 2 + day * 7 % 9
        bodies.append(usage(at(day), voice_answered=calls, voice_s=calls * 131, data_bytes=5_000_000))
        if day % 7 == 3:
            bodies.append(top_up(at(day, 17), amount_minor=2000))
        if day % 9 == 4:
            bodies.append(call_drop(at(day, 12)))
    bodies += [complaint(at(50, 9), expected_resolution_date=moment(at(53))), outcome(at(51), "contacted")]
    bodies.sort(key=lambda body: body.event_time)
    context = Context(scorecard(), policy())
    state: SubscriberState | None = None
    for e in numbered(bodies):
        while state is not None and 0 < state.watch.next_wake_ms <= e.at_ms:
            state, _ = step(state, Wake(e.body.subscriber_id, state.watch.next_wake_ms), context)
        state, _ = step(state, e, context)
    assert state is not None
    return state


def test_a_typical_active_subscriber_takes_600_bytes_or_less_without_its_snapshots() -> None:
    state = typical()
    assert len(state.facts.offsets) == 6
    assert state.watch.pending
    assert state.facts.newest_ms // DAY_MS == at(56) // DAY_MS
    whole, count = len(pack(state)), len(state.watch.waiting)
    del state.watch.pending[:]
    size = len(pack(state))
    print(f"typical state: {size} bytes, {whole} with {count} waiting snapshots")
    assert size <= TYPICAL_BYTES_MAX

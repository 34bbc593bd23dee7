"""What the subscribers of a runner hand over to be written: everybody who has changed, once, in any number."""

import pytest

from streams.core.contracts.events import Wake
from streams.core.step import Context
from streams.core.subscriber.packing import next_wake_ms, unpack
from streams.engine.subscribers import MANY_CHANGED, PackedInMemory, Subscribers
from tests.core.makers import at, event, policy, scorecard, top_up

EVERYBODY = [f"s_{number:032x}" for number in range(5 * MANY_CHANGED)]


def written(subscribers: Subscribers) -> dict[bytes, bytes | None]:
    pairs = list(subscribers.packed_apart())
    subscribers.note_written()
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


@pytest.mark.parametrize("count", [1, 4, 5, 6, len(EVERYBODY)])
def test_whoever_has_changed_is_written_and_who_was_erased_too_whether_few_or_many(count: int) -> None:
    subscribers = Subscribers(Context(scorecard(), policy()))
    for offset, sid in enumerate(EVERYBODY):
        subscribers.give(sid, event(top_up(at(1), subscriber_id=sid, event_id=f"first-{sid}"), offset))
    everybody = written(subscribers)
    assert set(everybody) == {sid.encode() for sid in EVERYBODY}
    chosen = EVERYBODY[-count:]
    for offset, sid in enumerate(chosen):
        subscribers.give(sid, event(top_up(at(2), subscriber_id=sid, event_id=f"second-{sid}"), 100 + offset))
    subscribers.forget(chosen[0])
    found = written(subscribers)
    assert set(found) == {sid.encode() for sid in chosen}
    assert found[chosen[0].encode()] is None
    assert all(found[sid.encode()] != everybody[sid.encode()] for sid in chosen)
    assert written(subscribers) == {}


def test_a_restored_subscriber_is_written_again_as_soon_as_a_wake_has_opened_it() -> None:
    before = Subscribers(Context(scorecard(), policy()))
    before.give(EVERYBODY[0], event(top_up(at(1), subscriber_id=EVERYBODY[0]), 0))
    (state,) = written(before).values()
    assert state is not None
    after = Subscribers(before.context)
    after.restore(PackedInMemory({EVERYBODY[0].encode(): state}))
    assert written(after) == {}
    after.give(EVERYBODY[0], Wake(EVERYBODY[0], next_wake_ms(state)))
    (again,) = written(after).values()
    assert again is not None
    assert unpack(again).watch.next_wake_ms > next_wake_ms(state)

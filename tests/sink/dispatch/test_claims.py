"""Deliveries handed out and taken back: by one at a time, in the order of each alert, and until a lease ends."""

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.core.notify.contact import ContactRules
from streams.core.notify.endpoints import Endpoint
from streams.core.times import HOUR_MS
from streams.shared.errors import InputError, StoreError
from streams.store.outbox.values import ClaimedDelivery, Ticket
from streams.store.sink import ClaimLimit, Sink
from tests.sink.alerts_told import BEGAN_MS, told
from tests.sink.telling import LEASE_MS, NOW_MS, RULES, add, claim, finished, rows, send, stands

MINUTE_MS = 60_000


def alerts(claimed: list[ClaimedDelivery]) -> list[int]:
    return [int(one.transition.alert_id.removeprefix("a_"), 16) for one in claimed]


def test_first_attempts_come_by_what_is_at_stake_and_retries_after_them_by_their_time(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1, value_at_risk_minor=900), told(2, value_at_risk_minor=800)], RULES, NOW_MS)
    for wait_ms, one in zip((9, 5), claim(sink), strict=True):
        sink.finish("w", [finished(one, "pending", next_attempt_ms=NOW_MS + wait_ms)], NOW_MS)
    sink.record([told(n, value_at_risk_minor=worth) for n, worth in ((3, 10), (4, 30), (5, 20))], RULES, NOW_MS)
    assert alerts(claim(sink, NOW_MS + 10)) == [4, 5, 3, 2, 1]


def test_an_endpoint_gets_no_more_than_it_has_room_for(sink: Sink) -> None:
    add(sink, "crm", "log")
    sink.record([told(n) for n in range(1, 6)], RULES, NOW_MS)
    first = sink.claim("w", NOW_MS, lease_ms=LEASE_MS, rooms={"crm": ClaimLimit(2, 0)}).handed
    assert [one.endpoint for one in first] == ["crm", "crm"]
    rooms = {"crm": ClaimLimit(9, 9), "log": ClaimLimit(1, 0), "none": ClaimLimit(9, 9)}
    rest = sink.claim("w", NOW_MS, lease_ms=LEASE_MS, rooms=rooms).handed
    assert Counter(one.endpoint for one in rest) == {"crm": 3, "log": 1}


def test_what_is_claimed_says_all_that_a_request_is_made_of(sink: Sink) -> None:
    add(sink, "crm", ttl_hours=1)
    sink.record([told(1)], RULES, NOW_MS)
    (one,) = claim(sink, NOW_MS + 5)
    assert (one.endpoint, one.type, one.message_id) == ("crm", "alert.fired", told(1).transition_id)
    assert (one.attempt, one.state_before, one.transition, one.ticket) == (1, "pending", told(1), None)
    assert (one.event_ms, one.created_ms, one.expires_ms) == (BEGAN_MS, NOW_MS, NOW_MS + HOUR_MS)
    assert one.work.version == 0
    assert sink.facts(one.delivery_id).transition == told(1)


def test_nothing_is_handed_out_twice_while_its_lease_lasts(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    (one,) = claim(sink)
    assert claim(sink, NOW_MS + LEASE_MS, "other") == []
    (again,) = claim(sink, NOW_MS + LEASE_MS + 1, "other")
    assert (again.delivery_id, again.attempt, again.state_before) == (one.delivery_id, 2, "in_flight")
    assert sink.finish("w", [finished(one)], NOW_MS) == 0, "who lost the lease changes nothing"
    assert sink.delivery(one.delivery_id)[1] == []
    assert sink.finish("other", [finished(again)], NOW_MS) == 1
    assert sink.finish("other", [finished(again)], NOW_MS) == 0


def test_of_one_alert_one_is_under_way_and_the_next_comes_after_it(sink: Sink) -> None:
    add(sink, "crm", coalesce=False)
    sink.record([told(1), told(1, "worsened", BEGAN_MS + 1), told(2)], RULES, NOW_MS)
    claimed = claim(sink)
    assert sorted(alerts(claimed)) == [1, 2]
    assert claim(sink) == []
    sink.finish("w", [finished(one, "failed") for one in claimed], NOW_MS)
    assert [one.type for one in claim(sink)] == ["alert.worsened"]


def test_what_waits_to_be_tried_again_holds_up_its_alert_alone(sink: Sink) -> None:
    add(sink, "crm", coalesce=False)
    sink.record([told(1), told(1, "worsened", BEGAN_MS + 1)], RULES, NOW_MS)
    send(sink, state="pending", next_attempt_ms=NOW_MS + HOUR_MS)
    sink.record([told(2)], RULES, NOW_MS)
    assert alerts(send(sink, NOW_MS + 1)) == [2]
    assert [one.type for one in claim(sink, NOW_MS + HOUR_MS)] == ["alert.fired"]


def test_a_newer_message_takes_the_place_of_one_that_failed_and_waits_as_long(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1), told(2)], RULES, NOW_MS)
    claimed = claim(sink)
    sink.record([told(1, "worsened", BEGAN_MS + 1), told(2, "resolved", BEGAN_MS + 1)], RULES, NOW_MS)
    sink.finish("w", [finished(one, "pending", next_attempt_ms=NOW_MS + HOUR_MS) for one in claimed], NOW_MS)
    assert stands(sink, alert_id=told(1).alert_id) == [("fired", "superseded"), ("worsened", "pending")]
    assert stands(sink, alert_id=told(2).alert_id) == [("fired", "superseded"), ("resolved", "skipped")]
    assert claim(sink, NOW_MS + HOUR_MS - 1) == []
    assert [one.type for one in claim(sink, NOW_MS + HOUR_MS)] == ["alert.worsened"]


def test_what_timed_out_may_have_arrived_and_is_tried_again_before_anything_newer(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    (one,) = claim(sink)
    sink.record([told(1, "resolved", BEGAN_MS + 1)], RULES, NOW_MS)
    sink.finish("w", [finished(one, "pending", next_attempt_ms=NOW_MS + 1, outcome="timed_out")], NOW_MS)
    assert stands(sink) == [("fired", "pending"), ("resolved", "pending")]


def test_what_is_given_back_counts_as_not_tried(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    (one,) = claim(sink)
    sink.release("other", [one.delivery_id], NOW_MS)
    assert claim(sink) == []
    sink.release("w", [one.delivery_id], NOW_MS)
    (again,) = claim(sink, worker="other")
    assert (again.attempt, again.state_before) == (1, "pending")


def test_what_is_past_its_time_ends_and_what_comes_after_it_is_handed_out(sink: Sink) -> None:
    add(sink, "crm", ttl_hours=1, coalesce=False)
    sink.record([told(n) for n in range(10)], RULES, NOW_MS)
    sink.record([told(3, "worsened", BEGAN_MS + 1), told(11, value_at_risk_minor=1)], RULES, NOW_MS + MINUTE_MS)
    found = sink.claim("w", NOW_MS + HOUR_MS, lease_ms=LEASE_MS, rooms={"crm": ClaimLimit(2, 0)})
    assert [(one.type, alerts([one])[0]) for one in found.handed] == [("alert.worsened", 3), ("alert.fired", 11)]
    assert found.expired == 10
    assert Counter(row.state for row in rows(sink)) == {"expired": 10, "in_flight": 2}


@pytest.mark.parametrize("state", ["paused", "disabled"])
def test_an_endpoint_that_is_not_active_gets_nothing_until_it_is(sink: Sink, state: str) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    sink.set_state("crm", state, "a test", NOW_MS)  # type: ignore[arg-type]  # they are states
    assert claim(sink) == []
    sink.set_state("crm", "active", "", NOW_MS)
    assert len(claim(sink)) == 1


def test_an_open_circuit_lets_nothing_through_and_then_one(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(n) for n in range(4)], RULES, NOW_MS)
    row = sink.note_health("crm", succeeded=0, failed=5, now_ms=NOW_MS)
    assert (row.circuit, row.failures) == ("open", 5)
    assert row.open_until_ms is not None
    assert claim(sink, row.open_until_ms - 1) == []
    (probe,) = claim(sink, row.open_until_ms)
    assert claim(sink, row.open_until_ms, "other") == []
    sink.finish("w", [finished(probe)], row.open_until_ms)
    assert sink.note_health("crm", succeeded=1, failed=0, now_ms=row.open_until_ms).circuit == "closed"
    assert len(claim(sink, row.open_until_ms)) == 3


def test_after_nothing_but_failures_for_too_long_an_endpoint_is_disabled_and_starts_anew_when_resumed(
    sink: Sink,
) -> None:
    add(sink, "crm")
    sink.note_health("crm", succeeded=0, failed=5, now_ms=NOW_MS)
    row = sink.note_health("crm", succeeded=0, failed=1, now_ms=NOW_MS + 121 * HOUR_MS)
    assert (row.state, row.warned_percent) == ("disabled", 100)
    sink.set_state("crm", "active", "", NOW_MS + 122 * HOUR_MS)
    row = sink.endpoint("crm")
    assert (row.circuit, row.failures, row.warned_percent) == ("closed", 0, 0)


def test_what_nobody_knows_holds_up_its_alert_until_it_is_looked_up(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    send(sink, state="unknown", next_attempt_ms=NOW_MS + MINUTE_MS)
    sink.record([told(1, "worsened", BEGAN_MS + 1)], RULES, NOW_MS)
    assert claim(sink) == []
    (one,) = claim(sink, NOW_MS + MINUTE_MS)
    assert (one.state_before, one.attempt, one.type) == ("unknown", 2, "alert.fired")


def test_a_ticket_is_known_from_the_first_delivery_on_and_keeps_its_id(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    (one,) = claim(sink)
    told_first = Ticket(external_id="4711", external_ref="T-1", told_ms=NOW_MS, resolved=False)
    sink.finish("w", [finished(one, ticket=told_first)], NOW_MS)
    assert sink.alert_by_ticket("crm", "4711") == sink.alert_by_ticket("crm", "T-1") == told(1).alert_id
    assert sink.alert_by_ticket("log", "4711") is None
    sink.record([told(1, "resolved", BEGAN_MS + 1)], RULES, NOW_MS)
    (end,) = claim(sink)
    assert end.ticket == told_first
    sink.finish("w", [finished(end)], NOW_MS)
    sink.record([told(1, "fired", BEGAN_MS + 2)], RULES, NOW_MS)
    (again,) = claim(sink)
    assert again.ticket == Ticket(external_id="4711", external_ref="T-1", told_ms=NOW_MS, resolved=True)


def test_every_attempt_is_written_down_and_their_numbers_go_on_when_it_is_sent_again(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    (one,) = send(sink, state="pending", next_attempt_ms=NOW_MS + 1, answer="x" * 9_000)
    send(sink, NOW_MS + 1, state="failed")
    with pytest.raises(InputError, match="no delivery"):
        sink.delivery("d_0000")
    again = sink.resend(one.delivery_id[:12], NOW_MS + 2)
    assert (again.state, again.attempts) == ("pending", 0)
    (claimed,) = send(sink, NOW_MS + 2)
    assert claimed.attempt == 1
    row, attempts = sink.delivery(one.delivery_id)
    assert row.state == "delivered"
    assert [(one.attempt, one.status) for one in attempts] == [(1, 503), (2, 503), (3, 200)]
    assert len(attempts[0].answer) == 2_000


def test_what_is_on_its_way_or_held_back_for_good_is_not_sent_again(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1), told(2, held_out=True)], RULES, NOW_MS)
    for row, why in zip(rows(sink), ("is pending", "held back for good"), strict=True):
        with pytest.raises(InputError, match=why):
            sink.resend(row.delivery_id, NOW_MS)


def test_an_older_delivery_sent_again_waits_for_the_newer_one_that_is_under_way(sink: Sink) -> None:
    add(sink, "crm")
    sink.record([told(1)], RULES, NOW_MS)
    (older,) = send(sink, state="failed")
    sink.record([told(1, "worsened", BEGAN_MS + 1)], RULES, NOW_MS)
    (newer,) = claim(sink)
    sink.resend(older.delivery_id, NOW_MS)
    assert claim(sink) == []
    sink.finish("w", [finished(newer)], NOW_MS)
    assert [one.delivery_id for one in claim(sink)] == [older.delivery_id]


@pytest.mark.parametrize("coalesce", [True, False])
def test_after_an_outage_the_newest_that_failed_of_each_alert_is_recovered(sink: Sink, coalesce: bool) -> None:
    add(sink, "crm", coalesce=coalesce)
    add(sink, "log")
    sink.record([told(1), told(2), told(3)], RULES, NOW_MS)
    send(sink, state="failed")
    sink.record([told(1, "worsened", BEGAN_MS + 1), told(3, "worsened", BEGAN_MS + 1)], RULES, NOW_MS + 5)
    one, three = sorted(claim(sink, NOW_MS + 5, room=ClaimLimit(10, 0)), key=lambda one: one.transition.alert_id)[::2]
    assert {one.endpoint, three.endpoint} == {"crm"}
    sink.finish("w", [finished(one, "failed"), finished(three)], NOW_MS + 5)
    assert sink.recover("crm", NOW_MS + 6, NOW_MS + 9, NOW_MS + 9) == 0
    found = sink.recover("crm", NOW_MS, NOW_MS + 6, NOW_MS + 9)
    assert found == (2 if coalesce else 4)
    assert len(rows(sink, endpoint="crm", states=["pending"])) == found
    assert len(rows(sink, endpoint="log", states=["failed"])) == 3
    with pytest.raises(InputError, match="did you mean crm"):
        sink.recover("crn", 0, 1, 2)


def test_the_backlog_says_what_is_due_and_what_waits(sink: Sink) -> None:
    add(sink, "crm", "log")
    assert sink.backlog(NOW_MS).waiting == 0
    sink.record([told(1), told(2)], RULES, NOW_MS)
    sink.set_state("log", "paused", "", NOW_MS)
    (one, _) = claim(sink)
    sink.finish("w", [finished(one, "pending", next_attempt_ms=NOW_MS + 9)], NOW_MS)
    backlog = sink.backlog(NOW_MS)
    assert (backlog.due, backlog.waiting, backlog.next_due_ms) == (0, 2, NOW_MS + 9)
    assert backlog.by_endpoint == {"crm": 2}
    assert sink.backlog(NOW_MS + 9).due == 1


def test_deliveries_are_listed_by_what_is_asked(sink: Sink) -> None:
    add(sink, "crm", "log")
    sink.record([told(1)], RULES, NOW_MS)
    sink.record([told(2)], RULES, NOW_MS + 5)
    assert [row.alert_id for row in sink.deliveries(endpoint="crm")] == [told(2).alert_id, told(1).alert_id]
    assert len(sink.deliveries(limit=3)) == 3
    assert len(sink.deliveries(alert_id=told(1).alert_id, from_ms=NOW_MS, until_ms=NOW_MS + 5)) == 2
    assert sink.deliveries(from_ms=NOW_MS + 6) == sink.deliveries(states=["delivered"]) == []


def test_an_endpoint_is_added_changed_and_removed_and_what_waited_for_it_is_not_sent(sink: Sink) -> None:
    add(sink, "crm", "log")
    with pytest.raises(InputError, match="there is an endpoint crm already"):
        add(sink, "crm")
    more = [(Endpoint(name=name, preset="jira", url="https://x.example"), None) for name in ("new", "log")]
    with pytest.raises(InputError, match="log already"):
        sink.add_endpoints(more, NOW_MS)
    changed = Endpoint(name="crm", preset="jira", url="https://new.example", rate_per_s=3.5)
    sink.replace_endpoint(changed, NOW_MS + 1)
    sink.seal_endpoint("crm", b"sealed", NOW_MS + 2)
    row = sink.endpoint("crm")
    assert (row.endpoint, row.sealed, row.created_ms, row.updated_ms) == (changed, b"sealed", NOW_MS, NOW_MS + 2)
    assert [row.endpoint.name for row in sink.endpoints()] == ["crm", "log"]
    sink.record([told(1)], RULES, NOW_MS)
    under_way = claim(sink)
    sink.remove_endpoint("crm", NOW_MS)
    assert sink.finish("w", [finished(one) for one in under_way], NOW_MS) == 1
    assert stands(sink, endpoint="crm") == [("fired", "skipped")]
    with pytest.raises(InputError, match="no endpoint crm"):
        sink.endpoint("crm")
    add(sink, "crm")
    sink.record([told(1), told(1, "resolved", BEGAN_MS + 1)], RULES, NOW_MS)
    assert stands(sink, endpoint="crm") == [("fired", "skipped")], "the new one of that name was never told"


def test_a_database_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        Sink.open(tmp_path / "none.db", create=False)


class ArrivalLog:
    """What arrived, in the order in which it did; the oracle of the battle below."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.under_way: set[tuple[str, str]] = set()
        self.log: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.faults: list[str] = []

    def begin(self, one: ClaimedDelivery) -> None:
        key = (one.endpoint, one.transition.alert_id)
        with self.lock:
            if key in self.under_way:
                self.faults.append(f"two at once of {key}")
            self.under_way.add(key)

    def end(self, one: ClaimedDelivery, *, arrived: bool) -> None:
        key = (one.endpoint, one.transition.alert_id)
        with self.lock:
            self.under_way.discard(key)
            if arrived:
                self.log[key].append(one.message_id)


class LeapingClock:
    """A time of its own: it leaps over a lease only while nobody is at work, so that only the dead lose theirs."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.now_ms = NOW_MS
        self.at_work = 0
        self.leaping = False

    @contextmanager
    def at_work_since(self) -> Iterator[int]:
        """Give the time at which somebody sets to work, a millisecond after the one before."""
        with self.changed:
            self.changed.wait_for(lambda: not self.leaping)
            self.at_work += 1
            self.now_ms += 1
            now_ms = self.now_ms
        try:
            yield now_ms
        finally:
            with self.changed:
                self.at_work -= 1
                self.changed.notify_all()

    def leap(self) -> None:
        """Wait until nobody is at work, and let the leases of the dead end."""
        with self.changed:
            if not self.leaping:
                self.leaping = True
                self.changed.wait_for(lambda: self.at_work == 0)
                self.now_ms += LEASE_MS + 1
                self.leaping = False
                self.changed.notify_all()


def work_off(sink: Sink, receiver: ArrivalLog, worker: str, clock: LeapingClock, left: Callable[[], bool]) -> None:
    """Dispatch as one of several, dying now and then: what was claimed then is only free when its lease ends."""
    draws = random.Random(worker)
    life = 0
    while left():
        name = f"{worker}-{life}"
        rooms = {f"e{n}": ClaimLimit(draws.randint(1, 20), draws.randint(1, 20)) for n in range(4)}
        with clock.at_work_since() as now_ms:
            claimed = sink.claim(name, now_ms, lease_ms=LEASE_MS, rooms=rooms).handed
            done = []
            dies = draws.random() < 0.05
            for one in claimed:
                receiver.begin(one)
                fails = draws.random() < 0.1
                receiver.end(one, arrived=not fails and not dies)
                state = "pending" if fails else "delivered"
                done.append(finished(one, state, now_ms, next_attempt_ms=now_ms + 3 if fails else None))
            if not dies:
                sink.finish(name, done, now_ms)
        life += dies
        if not claimed or draws.random() < 0.02:
            clock.leap()


@pytest.mark.slow
def test_eight_at_once_that_die_now_and_then_send_everything_in_order_and_nothing_twice_at_once(
    database_url: str,
) -> None:
    rules = ContactRules(cool_down_days=0)
    count, steps, endpoints = 100, ("fired", "worsened", "eased", "worsened", "eased"), 4
    receiver, clock = ArrivalLog(), LeapingClock()
    with Sink.open(database_url) as sink:
        add(sink, *(f"e{n}" for n in range(endpoints)), coalesce=False)
        for step, change in enumerate(steps):
            wave = [told(n, change, BEGAN_MS + step) for n in range(count)]  # type: ignore[arg-type]  # they are changes
            sink.record(wave, rules, NOW_MS)
        total = count * len(steps) * endpoints

        def left() -> bool:
            return sink.backlog(10**15).waiting > 0

        failures: list[BaseException] = []

        def run(worker: str) -> None:
            try:
                work_off(sink, receiver, worker, clock, left)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test says it
                failures.append(error)

        threads = [threading.Thread(target=run, args=(f"w{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert Counter(row.state for row in rows(sink)) == {"delivered": total}
    assert not receiver.faults
    for (_, alert_id), log in receiver.log.items():
        number = int(alert_id.removeprefix("a_"), 16)
        expected = [told(number, change, BEGAN_MS + n).transition_id for n, change in enumerate(steps)]  # type: ignore[arg-type]  # as above
        assert log == expected
    assert len(receiver.log) == count * endpoints

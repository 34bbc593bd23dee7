"""Valid events of all six topics, in the orders in which a network delivers them.

What is drawn from again and again is made once, since Hypothesis looks through every strategy that is new to it.
Times crowd at the edges of days and windows and ticket and profile times collide, since that is where rules differ.
Run `HYPOTHESIS_PROFILE=long` for twenty times the examples.
"""

from datetime import timedelta
from functools import cache
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from streams.core.alerts.policy import Policy
from streams.core.contracts.events import Body, Event
from streams.core.subscriber.facts import Facts, new_facts
from streams.core.subscriber.fold import fold
from streams.core.subscriber.state import TICKETS_MAX
from streams.core.times import DAY_MS, HOUR_MS
from tests.core.makers import (
    LATENESS_MS,
    START_MS,
    SUBSCRIBER,
    at_ms_of,
    call_drop,
    changed,
    complaint,
    event,
    moment,
    numbered,
    outcome,
    policy,
    profile,
    top_up,
    usage,
)

SPAN_DAYS = 120
PROFILE_EXAMPLES = settings().max_examples
HORIZON_EDGES = (0, 1, HOUR_MS, DAY_MS, LATENESS_MS - 1, LATENESS_MS)


def modest(examples: int) -> settings:
    """So many examples by default, in proportion more under a longer profile; a failure prints its reproduction."""
    return settings(max_examples=max(1, examples * PROFILE_EXAMPLES // 100), print_blob=True)


@cache
def times(days: int = SPAN_DAYS) -> st.SearchStrategy[int]:
    within_day = st.sampled_from([0, 1, 12 * HOUR_MS - 1, 12 * HOUR_MS, DAY_MS - 1]) | st.integers(0, DAY_MS - 1)
    return st.builds(lambda day, ms: START_MS + day * DAY_MS + ms, st.integers(0, days - 1), within_day)


def _usages(days: int) -> st.SearchStrategy[Body]:
    ends = st.builds(
        lambda day, hours: START_MS + day * DAY_MS + hours * HOUR_MS,
        st.integers(1, days - 1),
        st.sampled_from([0, 0, 0, 1, -8, 11]),
    )
    return st.builds(
        usage,
        ends,
        voice_answered=st.sampled_from([0, 0, 1, 5, 30]),
        voice_s=st.sampled_from([0, 0, 60, 900, 360_000]),
        data_bytes=st.sampled_from([None, 0, 10**6, 10**9, 2**53 - 1]),
        sms_count=st.sampled_from([None, 0, 2]),
        revision=st.sampled_from([0, 0, 0, 1, 2, 255]),
    )


def _top_ups(days: int) -> st.SearchStrategy[Body]:
    return st.builds(
        top_up,
        times(days),
        status=st.sampled_from(["completed", "completed", "completed", "failed", "created", "cancelled"]),
        amount_minor=st.sampled_from([0, 500, 1000, 2000, 9900]),
        currency=st.sampled_from(["CNY", "EUR"]),
    )


def _call_drops(days: int) -> st.SearchStrategy[Body]:
    return st.builds(call_drop, times(days), kind=st.sampled_from(["dropped", "dropped", "setup_failed", "blocked"]))


def _complaint(at_ms: int, age_hours: int, due_hours: tuple[int | None, int | None], **changes: Any) -> Body:
    made = moment(at_ms - age_hours * HOUR_MS)
    expected, requested = (None if h is None else made + timedelta(hours=h) for h in due_hours)
    return complaint(
        at_ms, creation_date=made, expected_resolution_date=expected, requested_resolution_date=requested, **changes
    )


def _complaints(days: int) -> st.SearchStrategy[Body]:
    hours = st.none() | st.integers(1, 400)
    return st.builds(
        _complaint,
        times(days),
        st.integers(0, 200),
        st.tuples(hours, hours),
        ticket_id=st.sampled_from(["ticket-1", "ticket-2", "ticket-3"]),
        ticket_type=st.sampled_from(["complaint", "complaint", "dispute", "incident", "request"]),
        change=st.sampled_from(["created", "created", "status_changed", "attribute_changed", "resolved", "deleted"]),
        status=st.sampled_from(["acknowledged", "inProgress", "held", "resolved", "closed", "rejected", "cancelled"]),
        reopened_count=st.integers(0, 2),
    )


def _profile(at_ms: int, start_days: int, end_days: int | None, **changes: Any) -> Body:
    start = moment(at_ms - start_days * DAY_MS)
    end = None if end_days is None else moment(at_ms + end_days * DAY_MS)
    return profile(at_ms, start_date=start, contract_end_date=end, **changes)


def _profiles(days: int) -> st.SearchStrategy[Body]:
    return st.builds(
        _profile,
        st.sampled_from([START_MS, START_MS + DAY_MS, START_MS + 40 * DAY_MS]) | times(days),
        st.integers(-5, 4000),
        st.none() | st.integers(-60, 700),
        product_status=st.sampled_from(["active", "suspended", "terminated"]),
        payment_type=st.sampled_from(["prepaid", "postpaid", "hybrid"]),
        segment=st.sampled_from(["consumer", "youth", "enterprise"]),
        monthly_fee_minor=st.sampled_from([0, 1900, 9900]),
        account_manager_id=st.none() | st.just("m-1"),
        profiling_consent=st.booleans(),
        contact_allowed=st.booleans(),
    )


def _outcomes(days: int) -> st.SearchStrategy[Body]:
    changes = [
        "activated", "suspended", "resumed", "port_in_completed", "port_out_requested", "port_out_completed",
        "port_out_rejected", "termination_requested", "termination_cancelled", "terminated", "win_back", "contacted",
    ]  # fmt: skip
    return st.builds(
        outcome,
        times(days),
        st.sampled_from(changes),
        voluntary=st.sampled_from([None, True, False]),
        reason=st.sampled_from(["unknown", "price", "non_payment", "deceased"]),
    )


@cache
def _bodies(days: int, min_size: int, max_size: int) -> st.SearchStrategy[list[Body]]:
    any_body = st.one_of(
        _usages(days), _usages(days), _top_ups(days), _call_drops(days), _complaints(days), _profiles(days),
        _outcomes(days),
    )  # fmt: skip
    return st.lists(any_body, min_size=min_size, max_size=max_size)


@st.composite
def histories(draw: st.DrawFn, days: int = SPAN_DAYS, min_size: int = 1, max_size: int = 16) -> list[Body]:
    """Bodies of one subscriber's events of all topics, each with its own event id, ordered by event time."""
    days = draw(st.sampled_from([days, days, 4]))  # Within a few days everything collides.
    bodies = draw(_bodies(days, min_size, max_size))
    named: list[Body] = [changed(body, event_id=f"event-{i}") for i, body in enumerate(bodies)]
    return sorted(named, key=at_ms_of)


@st.composite
def queues(draw: st.DrawFn) -> list[Body]:
    """Many complaints of one subscriber, more than are kept, each opened, perhaps settled, and things to pass time."""
    days = draw(st.sampled_from([6, 24, 40]))
    tickets = draw(st.integers(TICKETS_MAX - 2, TICKETS_MAX + 6))
    bodies: list[Body] = [usage(START_MS + day * DAY_MS) for day in range(7, days, 7)]
    for number in range(tickets):
        for place, at_ms in enumerate(sorted(draw(st.lists(times(days), min_size=1, max_size=2)))):
            status = draw(st.sampled_from(["inProgress", "closed"]))
            bodies.append(complaint(at_ms, ticket_id=f"ticket-{number}", event_id=f"{number}-{place}", status=status))
    return sorted(bodies, key=at_ms_of)


@cache
def delays(count: int, most_ms: int = LATENESS_MS) -> st.SearchStrategy[list[int]]:
    edges = st.sampled_from([ms for ms in HORIZON_EDGES if ms <= most_ms])
    return st.lists(edges | st.integers(0, most_ms), min_size=count, max_size=count)


@st.composite
def arrivals(draw: st.DrawFn, bodies: list[Body], most_ms: int = LATENESS_MS) -> list[Body]:
    """The bodies in an order of arrival in which none is later than `most_ms` behind the newest."""
    late = draw(delays(len(bodies), most_ms))
    order = sorted(range(len(bodies)), key=lambda i: (at_ms_of(bodies[i]) + late[i], late[i], i))
    return [bodies[i] for i in order]


@st.composite
def interleavings(draw: st.DrawFn, events: list[Event], most_ms: int) -> list[Event]:
    """The events with each source's own order kept: every source is held up by up to `most_ms`, event by event."""
    holds = draw(delays(len(events), most_ms))
    clock: dict[int, int] = {}
    keys = []
    newest_ms = 0
    for i, (e, hold) in enumerate(zip(events, holds, strict=True)):
        # Earlier in the given order means that everything before was there by `newest_ms`.
        newest_ms = max(newest_ms, e.at_ms)
        clock[e.source] = max(clock.get(e.source, 0), newest_ms + hold)
        keys.append((clock[e.source], i))
    return [events[i] for _, i in sorted(keys)]


@st.composite
def reached(draw: st.DrawFn, max_size: int = 16) -> tuple[list[Body], Facts]:
    """A history, and the facts that its events add up to in some order of arrival."""
    bodies = draw(histories(max_size=max_size))
    events = numbered(draw(arrivals(bodies)))
    facts = new_facts(events[0].at_ms)
    for e in events:
        fold(facts, e, LATENESS_MS)
    return bodies, facts


@st.composite
def crowds(draw: st.DrawFn, subscribers: int = 3) -> list[Event]:
    """Events of several subscribers that share the sources, so that offsets of one subscriber have gaps."""
    named: list[Body] = []
    for number in range(draw(st.integers(1, subscribers))):
        key = SUBSCRIBER[:-1] + str(number)
        named += [
            changed(body, subscriber_id=key, event_id=f"{number}-{body.event_id}")
            for body in draw(histories(max_size=10))
        ]
    bodies = draw(arrivals(sorted(named, key=at_ms_of)))
    partitions = {body.subscriber_id: draw(st.integers(0, 1)) for body in bodies}
    offsets: dict[tuple[type[Body], int], int] = {}
    events = []
    for body in bodies:
        place = (type(body), partitions[body.subscriber_id])
        offsets[place] = offsets.get(place, -1) + 1
        events.append(event(body, offsets[place], place[1]))
    return events


def eager() -> Policy:
    """A policy that warns, scores and takes snapshots at the slightest sign: short histories reach all of it."""
    rule = {"open_at": 0.03, "close_at": 0.02, "hold_hours": 24, "clear_hours": 24, "cool_down_days": 2}
    return policy(
        alerting={"low": rule, "mid": rule, "high": rule},
        snapshots={"after_days": 0, "every_days": 2},
        scoring={"quiet_below": 0.0},
        label={"horizon_days": 10},
    )

"""Hop 3: an event into a subscriber's facts.

Counts are added to the day on which the event happened, last times are maxima, whole snapshots (a usage day, a
complaint, a profile) are replaced by the greater one, and event ids are remembered for the lateness horizon:
so neither the order of arrival nor a repeat changes the outcome.  What is older than the horizon, measured
against the subscriber's own newest event, is refused as late and changes nothing.
"""

from array import array
from collections.abc import Callable
from datetime import datetime
from enum import IntEnum
from hashlib import blake2b
from typing import Final, Literal, get_args

from streams.core.contracts.decode import epoch_ms
from streams.core.contracts.events import (
    Body,
    CallDrop,
    Complaint,
    Event,
    Outcome,
    ProductStatus,
    Subscriber,
    TopUp,
    Usage,
)
from streams.core.contracts.source import topic_number
from streams.core.subscriber.facts import Facts
from streams.core.subscriber.state import (
    COMPLAINT_WIDTH,
    FAILED_CALL_WIDTH,
    FORGETTING_DAYS,
    IDS_MAX,
    RARE_DAYS,
    TICKETS_MAX,
    TOP_UP_WIDTH,
    USAGE_DAYS,
    ComplaintState,
    Profile,
)
from streams.core.subscriber.usage_days import (
    ACTIVE_MASK,
    LEVEL_SHIFT,
    data_level,
    is_active,
    pack_day,
    unpack_day,
)
from streams.core.times import DAY_MS, UNSET_MS, DayNumber, EventMs

CLOSED_STATUSES: Final = frozenset({"rejected", "cancelled", "closed", "resolved"})
COMPLAINT_TYPES: Final = frozenset({"complaint", "dispute", "incident"})
"""A request for service is a care contact, not a complaint."""

STATUS_CODES: Final = {name: code for code, name in enumerate(get_args(ProductStatus))}
PAYMENT_CODES: Final = {"prepaid": 0, "postpaid": 1, "hybrid": 2}
SEGMENT_CODES: Final = {"consumer": 0, "youth": 1, "sme": 2, "enterprise": 3, "government": 4, "iot": 5}
INVOLUNTARY_REASONS: Final = frozenset({"non_payment", "fraud", "deceased", "business_closure"})
WISHES: Final = frozenset({
    "price", "competitor_offer", "coverage", "call_quality", "data_quality", "customer_service", "moved",
    "end_of_contract",
})  # fmt: skip
"""Reasons for which somebody wants a line to rest: what is not known, or not said to be wanted, is none."""
SUSPENDED: Final = "suspended"
HALF_DAY_MS: Final = DAY_MS // 2
FORGETTING_MS: Final = FORGETTING_DAYS * DAY_MS
FoldResult = Literal["applied", "repeated", "late"]
"""What became of an event: taken in, known already, or too late."""
CONSENT: Final = 1
CONTACT_ALLOWED: Final = 2

_ASKING: Final = {
    "port_out_requested": True, "termination_requested": True, "port_out_rejected": False, "port_out_cancelled": False,
    "termination_cancelled": False, "win_back": False, "retained": False,
}  # fmt: skip
"""Whether, after an outcome, the subscriber has asked to leave and not been answered or won back."""


_REQUESTS: Final = frozenset({"port_out_requested", "termination_requested"})


class Life(IntEnum):
    """Whether the subscriber is still one, by the newest lifecycle outcome."""

    HERE = 0
    PORTED_OUT = 1
    TERMINATED = 2
    TERMINATED_INVOLUNTARILY = 3


def fold(facts: Facts, event: Event, lateness_ms: int) -> FoldResult:
    """Add one event to the facts, in place, unless it is a repeat or later than the horizon allows.

    An event is a repeat if its offset is not beyond the last one applied of its source, or its id is remembered.
    """
    source, offset, at_ms, body, newest_ms = event.source, event.offset, event.at_ms, event.body, facts.newest_ms
    if offset <= facts.offsets.get(source, -1):
        return "repeated"
    facts.offsets[source] = offset
    if newest_ms - at_ms > lateness_ms:
        return "late"
    if type(body) is not Usage:
        number = id_number(body.event_id) ^ topic_number(source)  # An id is its topic's own.
        if number in facts.recent_ids:
            return "repeated"
        facts.recent_ids[number] = DayNumber(at_ms // DAY_MS)
        if len(facts.recent_ids) > IDS_MAX:
            del facts.recent_ids[min(facts.recent_ids, key=lambda n: (facts.recent_ids[n], n))]
    is_news = True
    if at_ms > newest_ms:
        facts.newest_ms = at_ms
        turn = at_ms // FORGETTING_MS
        if turn != newest_ms // FORGETTING_MS:
            _forget(facts, turn * FORGETTING_DAYS, lateness_ms)
    elif at_ms < facts.times.first_ms:
        facts.times.first_ms = at_ms
    else:
        is_news = False
    if type(body) is Usage:
        return _fold_usage(facts, body, at_ms, is_news=is_news)
    _FOLDS[type(body)](facts, body, at_ms)
    if type(body) is Complaint and facts.tickets:
        _forget_tickets(facts, lateness_ms)
    return "applied"


def id_number(event_id: str) -> int:
    """Return 63 bits that stand for an event id in a state.

    >>> id_number("a") != id_number("b")
    True
    """
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "little") >> 1


def is_revenue(body: Body) -> bool:
    """Say whether an event proves that the subscriber still pays or uses: a completed top-up or a day with activity."""
    if type(body) is Usage:
        return is_active(body)
    return type(body) is TopUp and body.status == "completed"


def is_request(body: Body) -> bool:
    """Say whether an event is a request to leave."""
    return type(body) is Outcome and body.change in _REQUESTS


def _fold_usage(facts: Facts, body: Usage, at_ms: EventMs, *, is_news: bool) -> FoldResult:
    """Take in a day's summary; `is_news` says that its time alone has changed the facts."""
    day, totals = DayNumber((at_ms - HALF_DAY_MS) // DAY_MS), facts.totals
    ahead = day - facts.usage_day
    if ahead > 0:
        _open_usage_days(facts, day, ahead)
    index, days = day % USAGE_DAYS, facts.days
    voice_s, answered, level = body.voice_s, body.voice_answered, data_level(body.data_bytes)
    new, old = pack_day(voice_s, answered, level, is_active(body)), days[index]
    if new & ACTIVE_MASK:
        if at_ms > facts.times.last_active_ms:  # Two summaries of one day may end at different hours, in any order.
            facts.times.last_active_ms = at_ms
            is_news = True
        if not old & ACTIVE_MASK:
            totals.usage_days += 1
            if not totals.first_usage_day or day < totals.first_usage_day:
                totals.first_usage_day = day
    if old or body.revision or facts.revisions:
        says_it_again = _replace_usage_day(facts, new, body.revision, day)
        return "repeated" if says_it_again and not is_news else "applied"
    days[index] = new
    totals.voice_s += voice_s
    totals.answered += answered
    totals.data_level += level
    return "applied"


def _replace_usage_day(facts: Facts, new: int, revision: int, day: DayNumber) -> bool:
    """Take a day's summary in place of the known one if it is the greater; say whether it tells nothing new.

    The greater one is that of the higher revision, then of the greater content.  That there was activity stays known
    whichever of them said so.
    """
    index = day % USAGE_DAYS
    old, old_revision = facts.days[index], facts.revisions.get(day, 0)
    stated, known = (revision, new >> LEVEL_SHIFT), (old_revision, old >> LEVEL_SHIFT)
    if stated <= known:
        facts.days[index] = old | new & ACTIVE_MASK
        return stated == known and old == new and any(stated)
    facts.days[index] = new | old & ACTIVE_MASK
    new_s, new_answered, new_level, _ = unpack_day(new)
    old_s, old_answered, old_level, _ = unpack_day(old)
    facts.totals.voice_s += new_s - old_s
    facts.totals.answered += new_answered - old_answered
    facts.totals.data_level += new_level - old_level
    if revision:
        facts.revisions[day] = revision
    return False


def _open_usage_days(facts: Facts, day: DayNumber, ahead: int) -> None:
    """Empty the buckets of the days up to `day`, the newest: until now they held those of `USAGE_DAYS` earlier."""
    facts.usage_day = day
    facts.days[day % USAGE_DAYS] = 0
    if ahead > 1:
        for skipped in range(1, min(ahead, USAGE_DAYS)):
            facts.days[(day - skipped) % USAGE_DAYS] = 0
    if facts.revisions:
        facts.revisions = {d: r for d, r in facts.revisions.items() if day - d < USAGE_DAYS}


def _row(rows: "array[int]", day: int, width: int) -> int:
    """Return the index of the day's row in rows ordered by day, made with zeros if there was none."""
    i = len(rows) - width
    while i >= 0 and rows[i] > day:
        i -= width
    if i >= 0 and rows[i] == day:
        return i
    i += width
    rows[i:i] = array("q", (day, *(0,) * (width - 1)))
    return i


def _fold_top_up(facts: Facts, body: TopUp, at_ms: EventMs) -> None:
    totals, times = facts.totals, facts.times
    if body.status == "completed":
        i = _row(facts.top_ups, at_ms // DAY_MS, TOP_UP_WIDTH)
        if not facts.top_ups[i + 1]:
            totals.top_up_days += 1
        facts.top_ups[i + 1] += 1
        facts.top_ups[i + 2] += body.amount_minor
        totals.top_ups += 1
        totals.amount_minor += body.amount_minor
        times.last_top_up_ms = max(times.last_top_up_ms, at_ms)
        times.first_top_up_ms = min(times.first_top_up_ms or at_ms, at_ms)
        facts.currency = max(facts.currency, body.currency)
    elif body.status == "failed":
        facts.top_ups[_row(facts.top_ups, at_ms // DAY_MS, TOP_UP_WIDTH) + 3] += 1
        times.last_failed_top_up_ms = max(times.last_failed_top_up_ms, at_ms)


def _fold_call_drop(facts: Facts, body: CallDrop, at_ms: EventMs) -> None:
    i = _row(facts.failed_calls, at_ms // DAY_MS, FAILED_CALL_WIDTH)
    if body.kind == "dropped":
        facts.failed_calls[i + 1] += 1
        facts.totals.dropped += 1
        facts.times.last_drop_ms = max(facts.times.last_drop_ms, at_ms)
    else:
        facts.failed_calls[i + 2] += 1


def _fold_complaint(facts: Facts, body: Complaint, at_ms: EventMs) -> None:
    if body.ticket_type not in COMPLAINT_TYPES:
        return
    if body.change == "created":
        facts.complaints[_row(facts.complaints, at_ms // DAY_MS, COMPLAINT_WIDTH) + 1] += 1
        facts.totals.complaints += 1
        facts.times.last_complaint_ms = max(facts.times.last_complaint_ms, at_ms)
    number = id_number(body.ticket_id)
    due = body.expected_resolution_date or body.requested_resolution_date
    ticket = ComplaintState(
        at_ms=at_ms,
        is_open=body.status not in CLOSED_STATUSES and body.change != "deleted",
        created_ms=epoch_ms(body.creation_date),
        due_ms=_optional_ms(due),
        reopened=body.reopened_count,
    )
    known = facts.tickets.get(number)
    if known is None or _ticket_rank(ticket) > _ticket_rank(known):
        facts.tickets[number] = ticket
        if len(facts.tickets) > TICKETS_MAX:
            del facts.tickets[min(facts.tickets, key=lambda n: (*_ticket_rank(facts.tickets[n]), n))]


def _forget_tickets(facts: Facts, lateness_ms: int) -> None:
    """Drop the settled tickets of which every older snapshot would be late, up to the first one that is open.

    A settled ticket that was heard of after an open one stays, since it counts: were it dropped, there would be room
    for a late ticket whose early arrival had cost the open one its place.
    """
    from_ms = facts.newest_ms // FORGETTING_MS * FORGETTING_MS - (lateness_ms // DAY_MS + 1) * DAY_MS
    for ticket in facts.tickets.values():
        if ticket.is_open and ticket.at_ms < from_ms:
            from_ms = ticket.at_ms
    for number in [n for n, t in facts.tickets.items() if t.at_ms < from_ms]:
        del facts.tickets[number]


def _ticket_rank(ticket: ComplaintState) -> tuple[int, bool, int, int, int]:
    return ticket.at_ms, not ticket.is_open, ticket.reopened, ticket.created_ms, ticket.due_ms


def _fold_subscriber(facts: Facts, body: Subscriber, at_ms: EventMs) -> None:
    profile = Profile(
        at_ms=at_ms,
        status=STATUS_CODES[body.product_status],
        payment=PAYMENT_CODES[body.payment_type],
        segment=SEGMENT_CODES[body.segment],
        monthly_fee_minor=body.monthly_fee_minor,
        currency=body.currency,
        start_ms=epoch_ms(body.start_date),
        contract_end_ms=_optional_ms(body.contract_end_date),
        flags=CONSENT * body.profiling_consent | CONTACT_ALLOWED * body.contact_allowed,
        account_manager_id=body.account_manager_id,
        group_id=body.group_id,
        area_id=body.area_id,
    )
    if body.product_status == SUSPENDED:
        facts.times.suspended_ms = max(facts.times.suspended_ms, at_ms)
    known = facts.profile
    if known is None or _profile_rank(profile) > _profile_rank(known):
        facts.profile = profile


def _profile_rank(profile: Profile) -> tuple[int, str]:
    return profile.at_ms, repr(profile)


def _fold_outcome(facts: Facts, body: Outcome, at_ms: EventMs) -> None:
    life = life_after(body)
    if life is not None and (at_ms, life) > (facts.life_at_ms, facts.life):
        facts.life_at_ms, facts.life = at_ms, life
    if body.change == SUSPENDED:
        times = facts.times
        if body.voluntary or (body.voluntary is None and body.reason in WISHES):
            times.suspended_by_wish_ms = max(times.suspended_by_wish_ms, at_ms)
        else:
            times.suspended_ms = max(times.suspended_ms, at_ms)
    asked = _ASKING.get(body.change)
    if asked is not None and (at_ms, asked) > (facts.asked_at_ms, facts.asked):
        facts.asked_at_ms, facts.asked = at_ms, asked


def life_after(body: Outcome) -> Life | None:
    """Return what an outcome makes of the subscriber, or None where it changes nothing.

    The one definition of explicit leaving: a completed port-out, or a termination that is not involuntary
    (not for non-payment, fraud, death or the closing of a business, and not marked `voluntary: false`).
    """
    if body.change == "port_out_completed":
        return Life.PORTED_OUT
    if body.change == "terminated":
        forced = body.voluntary is False or body.reason in INVOLUNTARY_REASONS
        return Life.TERMINATED_INVOLUNTARILY if forced else Life.TERMINATED
    if body.change in {"activated", "resumed", "port_in_completed", "win_back"}:
        return Life.HERE
    return None


def _forget(facts: Facts, day: int, lateness_ms: int) -> None:
    """Drop what is out of every window from `day` on."""
    oldest = day - RARE_DAYS
    if (rows := facts.top_ups) and rows[0] < oldest:
        _drop_rows(rows, oldest, TOP_UP_WIDTH)
    if (rows := facts.failed_calls) and rows[0] < oldest:
        _drop_rows(rows, oldest, FAILED_CALL_WIDTH)
    if (rows := facts.complaints) and rows[0] < oldest:
        _drop_rows(rows, oldest, COMPLAINT_WIDTH)
    horizon = day - lateness_ms // DAY_MS - 1
    ids = facts.recent_ids
    if ids and min(ids.values()) < horizon:
        facts.recent_ids = {number: d for number, d in ids.items() if d >= horizon}
    if facts.tickets:
        _forget_tickets(facts, lateness_ms)


def _drop_rows(rows: "array[int]", oldest: int, width: int) -> None:
    end = width
    while end < len(rows) and rows[end] < oldest:
        end += width
    del rows[:end]


def _optional_ms(moment: datetime | None) -> EventMs:
    return UNSET_MS if moment is None else epoch_ms(moment)


_FOLDS: Final[dict[type[Body], Callable[..., None]]] = {
    CallDrop: _fold_call_drop,
    TopUp: _fold_top_up,
    Complaint: _fold_complaint,
    Subscriber: _fold_subscriber,
    Outcome: _fold_outcome,
}

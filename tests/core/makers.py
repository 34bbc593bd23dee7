"""Events by hand: one maker for each topic, whose defaults are valid and dull, so that a test names what matters."""

import dataclasses
import tomllib
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from streams.core.alerts.policy import Policy, policy_from_layers
from streams.core.contracts.events import (
    INPUTS,
    Body,
    CallDrop,
    Complaint,
    Event,
    MarketEvent,
    Outcome,
    Subscriber,
    TopUp,
    Usage,
)
from streams.core.contracts.source import source_number
from streams.core.scoring.features import NAMES
from streams.core.scoring.models import read_scorecard
from streams.core.scoring.scorer import Scorer
from streams.core.signals.market import Market
from streams.core.subscriber.facts import Facts, SubscriberState, Watch, new_facts
from streams.core.subscriber.fold import FoldResult, fold
from streams.core.subscriber.packing import pack
from streams.core.times import DAY_MS, HOUR_MS, EventMs
from streams.defaults import read_default

LATENESS_MS = 7 * DAY_MS
START_DAY = 19_724
START_MS = START_DAY * DAY_MS
"""2024-01-02 00:00 UTC, day 0 of every story."""
SUBSCRIBER = "s_" + "0" * 32
BANDS = (2000, 6000)
STEADY: dict[str, Any] = {
    "time": {"lateness_days": 7},
    "label": {"horizon_days": 30, "explicit": True, "inactivity": True, "learn_at": "close"},
    "snapshots": {"after_days": 28, "every_days": 7, "active_days": 14, "dormant_days": 60},
    "scoring": {"every_hours": 24, "quiet_every_hours": 72, "quiet_below": 0.05, "at_hour": 4},
    "value": {"mid_from_minor": BANDS[0], "high_from_minor": BANDS[1]},
    "alerting": {
        "low": {"open_at": 0.30, "close_at": 0.15, "hold_hours": 24, "clear_hours": 72, "cool_down_days": 30},
        "mid": {"open_at": 0.22, "close_at": 0.11, "hold_hours": 24, "clear_hours": 72, "cool_down_days": 21},
        "high": {"open_at": 0.15, "close_at": 0.08, "hold_hours": 24, "clear_hours": 72, "cool_down_days": 14},
    },
    "risk": {"medium_from": 0.08, "high_from": 0.25, "critical_from": 0.50},
}
"""The numbers that tests count on, so that the defaults may be tuned without breaking a story."""
TOPIC_OF = {struct: topic for topic, struct in INPUTS.items()}


def at(days: float, hours: float = 0.0) -> EventMs:
    """Milliseconds of a moment, in days and hours after the start of the story."""
    return EventMs(START_MS + round(days * DAY_MS) + round(hours * HOUR_MS))


def moment(at_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)


def at_ms_of(body: Body | MarketEvent) -> EventMs:
    return EventMs((body.event_time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))


def _common(kind: str, at_ms: int, changes: dict[str, Any]) -> dict[str, Any]:
    common: dict[str, Any] = {"event_id": f"{kind}-{at_ms}", "event_time": moment(at_ms), "subscriber_id": SUBSCRIBER}
    return common | changes


def call_drop(at_ms: int, **changes: Any) -> CallDrop:
    dull: dict[str, Any] = {
        "call_id": "c", "kind": "dropped", "service": "volte", "direction": "originating", "answered": True,
        "duration_s": 60, "cause_for_term": "abnormalRelease", "rat": "eutran",
    }  # fmt: skip
    return CallDrop(**dull | _common("drop", at_ms, changes))


def usage(at_ms: int, **changes: Any) -> Usage:
    """A day's summary that ends at `at_ms`: five calls of one minute."""
    dull: dict[str, Any] = {
        "period_start": moment(at_ms - DAY_MS), "period_end": moment(at_ms), "voice_attempts": 5,
        "voice_answered": 5, "voice_s": 300,
    }  # fmt: skip
    return Usage(**dull | _common("usage", at_ms, changes))


def top_up(at_ms: int, **changes: Any) -> TopUp:
    dull: dict[str, Any] = {
        "top_up_id": "t",
        "status": "completed",
        "amount_minor": 1000,
        "currency": "CNY",
        "channel": "app",
    }
    return TopUp(**dull | _common("top-up", at_ms, changes))


def complaint(at_ms: int, **changes: Any) -> Complaint:
    dull: dict[str, Any] = {
        "ticket_id": "ticket-1", "change": "created", "ticket_type": "complaint", "category": "call_drop",
        "channel": "hotline", "status": "acknowledged", "creation_date": moment(at_ms), "last_update": moment(at_ms),
    }  # fmt: skip
    return Complaint(**dull | _common("complaint", at_ms, changes))


def profile(at_ms: int, **changes: Any) -> Subscriber:
    dull: dict[str, Any] = {
        "product_status": "active", "payment_type": "prepaid", "segment": "consumer", "plan_id": "p",
        "monthly_fee_minor": 0, "currency": "CNY", "start_date": moment(START_MS - 400 * DAY_MS),
    }  # fmt: skip
    return Subscriber(**dull | _common("profile", at_ms, changes))


def outcome(at_ms: int, change: str, **changes: Any) -> Outcome:
    dull: dict[str, Any] = {"order_id": "o", "change": change}
    return Outcome(**dull | _common("outcome", at_ms, changes))


def entry(at_ms: int, entry_type: str = "competitor_promotion", **changes: Any) -> MarketEvent:
    """What is published about the market at `at_ms`: a confirmed promotion for everybody, from then on."""
    dull: dict[str, Any] = {
        "event_id": f"{entry_type}-{at_ms}", "event_time": moment(at_ms), "entry_id": "entry-1",
        "entry_type": entry_type, "valid_from": moment(at_ms), "confidence": "confirmed", "source": "watch",
    }  # fmt: skip
    return MarketEvent(**dull | changes)


def market_of(*events: MarketEvent) -> Market:
    """A market to which all of it was published, each from its event time on."""
    market = Market()
    for one in events:
        market.take(one, at_ms_of(one))
    return market


def event(body: Body, offset: int, partition: int = 0) -> Event:
    return Event(source_number(TOPIC_OF[type(body)], partition), offset, at_ms_of(body), body)


def numbered(bodies: list[Body]) -> list[Event]:
    """The bodies as events in this order, with offsets counted for each topic."""
    offsets: dict[type[Body], int] = {}
    events = []
    for body in bodies:
        offset = offsets.get(type(body), -1) + 1
        offsets[type(body)] = offset
        events.append(event(body, offset))
    return events


def folded(events: list[Event], lateness_ms: int = LATENESS_MS) -> tuple[Facts, list[FoldResult]]:
    facts = new_facts(events[0].at_ms)
    return facts, [fold(facts, e, lateness_ms) for e in events]


def facts_of(*bodies: Body) -> Facts:
    return folded(numbered(list(bodies)))[0]


def packed(facts: Facts) -> bytes:
    return pack(SubscriberState(facts, Watch()))


@cache
def default_tree() -> dict[str, Any]:
    return tomllib.loads(read_default("policy.toml"))


def policy(**overlay: Any) -> Policy:
    """The tests' policy with tables laid over it, by name: `policy(label={"horizon_days": 10})`."""
    return policy_from_layers(default_tree(), STEADY, overlay)


@cache
def scorecard() -> Scorer:
    return read_scorecard(read_default("scorecard.toml"))


def scorer_of(intercept: float, **slopes: float) -> Scorer:
    """A scorer that weighs the named features only."""
    return Scorer("test-1", intercept, tuple(slopes.get(name, 0.0) for name in NAMES), (0.0,) * len(NAMES), intercept)


def changed(value: Any, **changes: Any) -> Any:
    """The value with other fields."""
    if isinstance(value, Facts):
        return dataclasses.replace(value, **changes)
    return msgspec.structs.replace(value, **changes)

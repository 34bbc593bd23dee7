"""From columns to the contracts' own values: the same ones in process and on the wire.

The wire leaves out what equals the contract's default, which is what the contract says it means.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal, NamedTuple, cast

import msgspec

from streams.core.contracts.events import INPUTS, Body, CallDrop, Complaint, Outcome, Subscriber, TopUp, Usage
from streams.simulate import columns
from streams.simulate.columns import DayEvents
from streams.simulate.population import (
    DEVICES,
    GROUP_TYPES,
    NO_DAY,
    PAYMENTS,
    PLANS,
    SEGMENTS,
    Population,
)
from streams.simulate.truth import moment
from streams.simulate.world import Ints, World

CURRENCY: Final = "CNY"
SERVICES: Final = ("cs_voice", "cs_voice", "volte", "vonr")
"""Voice service by the newest radio access of the device."""
CAUSES: Final = ("abnormalRelease", "unsuccessfulCallAttempt", "unsuccessfulCallAttempt")
Q850_CODES: Final = (41, 47, 34)
MEDIA_BEARER_LOST: Final = 3
"""RELEASE_CAUSE of a call that IMS dropped; circuit-switched calls have Q.850 codes."""


class Dialect(NamedTuple):
    """The classes that events are made as."""

    call_drop: type[CallDrop]
    usage: type[Usage]
    top_up: type[TopUp]
    complaint: type[Complaint]
    subscriber: type[Subscriber]
    outcome: type[Outcome]


def _terse(contract: type[Body]) -> type[Body]:
    made = msgspec.defstruct(
        contract.__name__, [], bases=(contract,), omit_defaults=True, frozen=True, gc=False,
        forbid_unknown_fields=True, kw_only=True,
    )  # fmt: skip
    return cast("type[Body]", made)


PLAIN: Final = Dialect(CallDrop, Usage, TopUp, Complaint, Subscriber, Outcome)
"""The contracts themselves, for use in process."""
WIRE: Final = Dialect(*map(_terse, INPUTS.values()))  # type: ignore[arg-type]  # INPUTS has the fields' order.
"""Their short form, for writing."""


class Cast(NamedTuple):
    """Those whom a chunk's rows stand for: `first` is the number of row 0 in the whole simulation."""

    population: Population
    world: World
    first: int

    def key(self, who: int) -> str:
        """Return a short name of a row that is unique in the simulation, for ids."""
        return format(self.first + who, "x")


Messages = dict[str, tuple[Ints, list[Body]]]
"""Topic to event times (ms) and the events, in the same order."""


def messages(actors: Cast, events: DayEvents, dialect: Dialect) -> Messages:
    """Return one day's events by topic, in the order of `INPUTS`; not yet ordered by time."""
    make: dict[str, tuple[Ints, Callable[[Cast, DayEvents, Dialect], list[Body]]]] = {
        "call-drops": (events.call_drops.at_ms, _call_drops),
        "usage": (events.usage.at_ms, _usage),
        "top-ups": (events.top_ups.at_ms, _top_ups),
        "complaints": (events.complaints.at_ms, _complaints),
        "subscribers": (events.profiles.at_ms, _profiles),
        "outcomes": (events.outcomes.at_ms, _outcomes),
    }
    return {topic: (at_ms, build(actors, events, dialect)) for topic, (at_ms, build) in make.items()}


def _call_drops(actors: Cast, events: DayEvents, dialect: Dialect) -> list[Body]:
    make, table, ids, cells = dialect.call_drop, events.call_drops, actors.population.ids, actors.world.cell_ids
    areas, area_of = actors.world.area_ids, actors.world.cell_area.tolist()
    rows = zip(
        table.who.tolist(), table.at_ms.tolist(), table.kind.tolist(), table.cell.tolist(),
        table.duration_s.tolist(), table.originating.tolist(), table.device.tolist(), strict=True,
    )  # fmt: skip
    made: list[Body] = []
    for k, (who, at_ms, kind, cell, duration_s, originating, device) in enumerate(rows):
        lost = kind == columns.DROPPED and device >= 2
        name = f"{actors.key(who)}-{events.day}-{k}"
        made.append(
            make(
                event_id=f"d{name}",
                event_time=moment(at_ms),
                subscriber_id=ids[who],
                call_id=f"call-{name}",
                kind=columns.DROP_KINDS[kind],
                service=SERVICES[device],
                direction="originating" if originating else "terminating",
                answered=kind == columns.DROPPED,
                duration_s=duration_s,
                cause_for_term=CAUSES[kind],
                rat=DEVICES[device],
                release_protocol="RELEASE_CAUSE" if lost else "Q.850",
                release_code=MEDIA_BEARER_LOST if lost else Q850_CODES[kind],
                qci=1 if device >= 2 else None,
                cell_id=cells[cell],
                area_id=areas[area_of[cell]],
            )
        )
    return made


def _usage(actors: Cast, events: DayEvents, dialect: Dialect) -> list[Body]:
    make, table, ids, day = dialect.usage, events.usage, actors.population.ids, events.day
    start, end = moment(actors.world.day_ms(day)), moment(actors.world.day_ms(day + 1))
    first = actors.first
    return [
        make(
            event_id=f"u{first + who:x}-{day}",
            event_time=end,
            subscriber_id=ids[who],
            period_start=start,
            period_end=end,
            voice_attempts=attempts,
            voice_answered=answered,
            voice_s=voice_s,
            voice_dropped=dropped,
            voice_setup_failed=setup_failed,
            data_sessions=sessions,
            data_bytes=data_bytes,
            sms_count=texts,
        )
        for who, attempts, answered, voice_s, dropped, setup_failed, sessions, data_bytes, texts in zip(
            table.who.tolist(), table.attempts.tolist(), table.answered.tolist(), table.voice_s.tolist(),
            table.dropped.tolist(), table.setup_failed.tolist(), table.sessions.tolist(), table.data_bytes.tolist(),
            table.texts.tolist(), strict=True,
        )
    ]  # fmt: skip


def _top_ups(actors: Cast, events: DayEvents, dialect: Dialect) -> list[Body]:
    make, table, ids = dialect.top_up, events.top_ups, actors.population.ids
    made: list[Body] = []
    for who, at_ms, amount_minor, channel, failure, auto in zip(
        table.who.tolist(), table.at_ms.tolist(), table.amount_minor.tolist(), table.channel.tolist(),
        table.failure.tolist(), table.auto.tolist(), strict=True,
    ):  # fmt: skip
        name, at = f"t{actors.key(who)}-{events.day}", moment(at_ms)
        made.append(
            make(
                event_id=name,
                event_time=at,
                subscriber_id=ids[who],
                top_up_id=name,
                status="failed" if failure >= 0 else "completed",
                amount_minor=amount_minor,
                currency=CURRENCY,
                channel=columns.TOP_UP_CHANNELS[channel],
                confirmation_date=at if failure < 0 else None,
                payment_method=columns.PAYMENT_METHODS[channel],
                voucher_used=columns.PAYMENT_METHODS[channel] == "voucher",
                is_auto_topup=auto,
                failure_reason=columns.TOP_UP_FAILURES[failure] if failure >= 0 else None,
            )
        )
    return made


def _complaints(actors: Cast, events: DayEvents, dialect: Dialect) -> list[Body]:
    make, table, ids = dialect.complaint, events.complaints, actors.population.ids
    made: list[Body] = []
    for who, at_ms, ticket, change, status, category, channel, priority, created, due, resolved, again, csat in zip(
        table.who.tolist(), table.at_ms.tolist(), table.ticket.tolist(), table.change.tolist(), table.status.tolist(),
        table.category.tolist(), table.channel.tolist(), table.priority.tolist(), table.created_ms.tolist(),
        table.expected_ms.tolist(), table.resolved_ms.tolist(), table.reopened.tolist(), table.satisfaction.tolist(),
        strict=True,
    ):  # fmt: skip
        made.append(
            make(
                event_id=f"c{actors.key(who)}-{events.day}",
                event_time=moment(at_ms),
                subscriber_id=ids[who],
                ticket_id=f"tt-{actors.key(who)}-{ticket}",
                change=columns.COMPLAINT_CHANGES[change],
                ticket_type="complaint",
                category=columns.CATEGORIES[category],
                channel=columns.COMPLAINT_CHANNELS[channel],
                status=columns.COMPLAINT_STATUSES[status],
                creation_date=moment(created),
                last_update=moment(at_ms),
                priority=columns.PRIORITIES[priority],
                expected_resolution_date=moment(due),
                resolution_date=moment(resolved) if resolved else None,
                sla_breached=(resolved or at_ms) > due,
                reopened_count=again,
                satisfaction=csat or None,
            )
        )
    return made


def _profiles(actors: Cast, events: DayEvents, dialect: Dialect) -> list[Body]:
    make, table, people, world = dialect.subscriber, events.profiles, actors.population, actors.world
    made: list[Body] = []
    for k, (who, at_ms, status, plan_code, contract_end) in enumerate(
        zip(
            table.who.tolist(), table.at_ms.tolist(), table.status.tolist(), table.plan.tolist(),
            table.contract_end.tolist(), strict=True,
        )
    ):  # fmt: skip
        plan, group, manager = PLANS[plan_code], int(people.group[who]), int(people.manager[who])
        made.append(
            make(
                event_id=f"p{actors.key(who)}-{events.day}-{k}",
                event_time=moment(at_ms),
                subscriber_id=people.ids[who],
                product_status=columns.STATUSES[status],
                status_reason="non_payment" if status == columns.STOPPED else None,
                payment_type=PAYMENTS[people.payment[who]],
                segment=SEGMENTS[people.segment[who]],
                plan_id=plan.plan_id,
                plan_name=plan.name,
                monthly_fee_minor=plan.fee_minor + int(people.surcharge[who]),
                currency=CURRENCY,
                start_date=moment(world.day_ms(int(people.start_day[who]))),
                contract_end_date=moment(world.day_ms(contract_end)) if contract_end != NO_DAY else None,
                account_manager_id=f"am-{manager:02d}" if manager >= 0 else None,
                group_id=f"g-{group:x}" if group >= 0 else None,
                group_type=GROUP_TYPES[people.group_type[who]],
                area_id=world.area_ids[people.area[who]],
                device_rat_max=DEVICES[people.device[who]],
                multi_sim=bool(people.multi_sim[who]),
                profiling_consent=bool(people.consent[who]),
            )
        )
    return made


def _outcomes(actors: Cast, events: DayEvents, dialect: Dialect) -> list[Body]:
    make, table, ids = dialect.outcome, events.outcomes, actors.population.ids
    made: list[Body] = []
    for k, (who, at_ms, change, reason, voluntary) in enumerate(
        zip(
            table.who.tolist(), table.at_ms.tolist(), table.change.tolist(), table.reason.tolist(),
            table.voluntary.tolist(), strict=True,
        )
    ):  # fmt: skip
        name, at = f"{actors.key(who)}-{events.day}-{k}", moment(at_ms)
        made.append(
            make(
                event_id=f"o{name}",
                event_time=at,
                subscriber_id=ids[who],
                order_id=f"or-{name}",
                change=columns.OUTCOME_CHANGES[change],
                product_status=_status_after(change),
                effective_date=_effective(change, at),
                voluntary=None if voluntary < 0 else bool(voluntary),
                reason=columns.REASONS[reason],
                reason_source="stated" if voluntary == 1 and reason != columns.UNKNOWN else "system",
                recipient_operator="rival" if change == columns.PORT_OUT_COMPLETED else None,
            )
        )
    return made


def _status_after(change: int) -> Literal["active", "suspended", "pendingTerminate", "terminated"]:
    if change in {columns.PORT_OUT_COMPLETED, columns.TERMINATED}:
        return "terminated"
    if change in {columns.TERMINATION_REQUESTED, columns.PORT_OUT_REQUESTED}:
        return "pendingTerminate"
    return "suspended" if change == columns.SUSPENDED else "active"


def _effective(change: int, at: datetime) -> datetime | None:
    asked = {columns.PORT_OUT_REQUESTED, columns.TERMINATION_REQUESTED}
    return None if change in asked else at

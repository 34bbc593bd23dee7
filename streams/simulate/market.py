"""What the simulated operator knows of its market: promotions, outages, prices and the calendar, as published.

Nothing is drawn here: all of it follows from the world, so it changes nothing else.  A competitor's promotion is heard
of within hours and confirmed two days later; an outage is reported at once and again when it is over; terms and
holidays are announced two months ahead, or when the simulation begins.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, cast

import msgspec

from streams.core.contracts.events import MarketEvent
from streams.core.times import DAY_MS, HOUR_MS
from streams.simulate.truth import moment
from streams.simulate.world import Bools, World

HEARD_MS: Final = 6 * HOUR_MS
CONFIRMED_MS: Final = 2 * DAY_MS
REPORTED_MS: Final = HOUR_MS
OVER_MS: Final = HOUR_MS // 2
AHEAD_MS: Final = 60 * DAY_MS

TERMS: Final = (("spring", (2, 26), (7, 6), 0), ("autumn", (9, 1), (1, 13), 1))
"""Name, first day, day after the last, and in which year after the first one that is: between the long breaks."""
HOLIDAYS: Final = (("labour", (5, 1), (5, 6)), ("national", (10, 1), (10, 8)))

ENTRY_OF_KIND: Final = {"promotion": "competitor_promotion", "outage": "outage", "price_change": "price_change"}
RIVALS: Final = ("CompA", "CompB")

_TERSE: Final = cast(
    "type[MarketEvent]",
    msgspec.defstruct(
        "MarketEvent", [], bases=(MarketEvent,), omit_defaults=True, frozen=True, gc=False,
        forbid_unknown_fields=True, kw_only=True,
    ),
)  # fmt: skip
"""The short form, which leaves out what equals the contract's default."""


def market_events(world: World) -> list[MarketEvent]:
    """Return what is published before the simulation ends, by the time of publication; nothing without drift."""
    if not world.drift:
        return []
    end = moment(world.day_ms(world.days))
    if world.occasions:
        found = (*_occasions(world), *_calendar(world))
    else:
        found = (*_promotion(world), *_outage(world), *_calendar(world))
    return sorted((event for event in found if event.event_time < end), key=lambda event: event.event_time)


def _promotion(world: World) -> Iterator[MarketEvent]:
    first, last, areas = world.promotion
    from_ms = world.day_ms(first)
    said: dict[str, Any] = {
        "operator": "CompB", "area_ids": _names(world, areas), "valid_from": moment(from_ms), "source": "market-watch",
    }  # fmt: skip
    yield _entry("competitor_promotion", "promotion-1", 0, from_ms + HEARD_MS, **said)
    said |= {
        "valid_to": moment(world.day_ms(last + 1)), "headline_price_minor": 2_900, "discount_pct": 30,
        "switching_bonus_minor": 5_000, "confidence": "confirmed",
    }  # fmt: skip
    yield _entry("competitor_promotion", "promotion-1", 1, from_ms + CONFIRMED_MS, **said)


def _outage(world: World) -> Iterator[MarketEvent]:
    first, last, areas = world.outage
    from_ms, to_ms = world.day_ms(first), world.day_ms(last + 1)
    said: dict[str, Any] = {
        "area_ids": _names(world, areas), "valid_from": moment(from_ms), "confidence": "confirmed", "source": "noc",
    }  # fmt: skip
    yield _entry("outage", "outage-1", 0, from_ms + REPORTED_MS, **said)
    yield _entry("outage", "outage-1", 1, to_ms + OVER_MS, **said, valid_to=moment(to_ms))


def _occasions(world: World) -> Iterator[MarketEvent]:
    """Yield what is published of a story's own occasions; terms and holidays are in the calendar."""
    for number, occasion in enumerate(world.occasions):
        entry = ENTRY_OF_KIND.get(occasion.kind)
        if entry is None or occasion.notice_days is None:
            continue
        name, from_ms, to_ms = f"{entry}-{number}", world.day_ms(occasion.first), world.day_ms(occasion.last + 1)
        heard_ms = max(from_ms + HEARD_MS, world.start_ms)
        said: dict[str, Any] = {"valid_from": moment(from_ms), "area_ids": _names(world, occasion.areas)}
        if entry == "price_change":
            said |= {"area_ids": (), "confidence": "confirmed", "source": "pricing"}
            yield _entry(entry, name, 0, max(from_ms - occasion.notice_days * DAY_MS, world.start_ms), **said)
            continue
        confirmed_ms = heard_ms + CONFIRMED_MS
        if entry == "outage":
            said["source"], confirmed_ms = "noc", to_ms + OVER_MS
        else:
            said |= {"source": "market-watch", "operator": RIVALS[number % len(RIVALS)]}
        yield _entry(entry, name, 0, heard_ms, **said)
        yield _entry(entry, name, 1, confirmed_ms, **said, valid_to=moment(to_ms), confidence="confirmed")


def _calendar(world: World) -> Iterator[MarketEvent]:
    start = moment(world.start_ms)
    last_year = moment(world.day_ms(world.days)).year + 1
    for year in range(start.year - 1, last_year + 1):
        terms = [
            ("school_term", f"term-{year}-{name}", _day(year, first), _day(year + later, after))
            for name, first, after, later in TERMS
        ]
        holidays = [
            ("public_holiday", f"holiday-{year}-{name}", _day(year, first), _day(year, after))
            for name, first, after in HOLIDAYS
        ]
        for kind, name, begins, ends in (*terms, *holidays):
            if ends > start:
                at_ms = max(world.start_ms, _ms(begins) - AHEAD_MS)
                yield _entry(
                    kind, name, 0, at_ms, segments=("youth",), valid_from=begins, valid_to=ends,
                    confidence="confirmed", source="calendar",
                )  # fmt: skip


def _entry(kind: str, name: str, revision: int, at_ms: int, **said: Any) -> MarketEvent:  # noqa: ANN401 - the contract's
    return _TERSE(
        event_id=f"m-{name}-{revision}",
        event_time=moment(at_ms),
        entry_id=name,
        entry_type=cast("Any", kind),
        revision=revision,
        **said,
    )


def _names(world: World, areas: Bools) -> tuple[str, ...]:
    return tuple(name for name, is_hit in zip(world.area_ids, areas.tolist(), strict=True) if is_hit)


def _day(year: int, day: tuple[int, int]) -> datetime:
    return datetime(year, *day, tzinfo=UTC)


def _ms(when: datetime) -> int:
    return round(when.timestamp()) * 1000

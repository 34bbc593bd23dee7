"""What is known of the market: by its definition, in any order, no sooner than it was published, and bounded."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.decode import AHEAD_MS_MAX, VALUE_BYTES_MAX, decode_any
from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.events import MARKET, Body, BroadcastEvent, Event, MarketEvent, Record, Segment
from streams.core.scoring.features import NAMES, feature_vector
from streams.core.signals import market as market_module
from streams.core.signals import signals as signals_module
from streams.core.signals.market import Market
from streams.core.signals.signals import NO_EXPOSURE, NO_SIGNALS, Signals, signal_of
from streams.core.subscriber.facts import Facts
from streams.core.subscriber.fold import SEGMENT_CODES
from streams.core.subscriber.state import Profile
from streams.core.times import DAY_MS, HOUR_MS, NEVER_MS, UNSET_MS
from tests.core import naive
from tests.core.makers import (
    BANDS,
    START_MS,
    at,
    at_ms_of,
    changed,
    entry,
    facts_of,
    market_of,
    moment,
    profile,
    top_up,
    usage,
)
from tests.core.strategies import modest, reached

OF_MARKET = (
    "outage_near", "competitor_offer", "competitor_offer_and_contract_ending", "competitor_offer_and_overdue",
    "school_out_and_usage_fall",
)  # fmt: skip
DAYS = st.integers(0, 220) | st.sampled_from([0, 7, 30, 90, 120])


def named(facts: Facts, at_ms: int, signals: Signals) -> dict[str, float]:
    return dict(zip(NAMES, feature_vector(facts, at_ms, BANDS, signals), strict=True))


def of_market(facts: Facts, at_ms: int, *events: MarketEvent) -> dict[str, float]:
    """The features that the market moves, if something was published."""
    values = named(facts, at_ms, market_of(*events).at(at_ms)[0])
    return {name: values[name] for name in OF_MARKET if values[name]}


@st.composite
def entries(draw: st.DrawFn, names: int = 5) -> MarketEvent:
    """Something published within some months: few entries, so that revisions meet."""
    at_ms = START_MS + draw(st.integers(0, 200)) * DAY_MS + draw(st.sampled_from([0, 1, 13 * HOUR_MS]))
    from_ms = at_ms + draw(st.integers(-60, 60)) * DAY_MS
    lasts = draw(st.none() | DAYS)
    kind = draw(st.sampled_from(["competitor_promotion", "competitor_promotion", "outage", "school_term",
                                 "public_holiday", "regulation"]))  # fmt: skip
    return entry(
        at_ms,
        kind,
        event_id=f"e{draw(st.integers(0, 3))}",
        entry_id=f"entry-{draw(st.integers(1, names))}",
        valid_from=moment(from_ms),
        valid_to=None if lasts is None else moment(from_ms + lasts * DAY_MS),
        area_ids=tuple(draw(st.lists(st.sampled_from(["north", "south"]), max_size=2))),
        segments=tuple(draw(st.lists(st.sampled_from(["youth", "consumer"]), max_size=2))),
        confidence=draw(st.sampled_from(["confirmed", "reported", "rumour"])),
        revision=draw(st.integers(0, 2)),
        cancelled=draw(st.sampled_from([False, False, False, True])),
    )


@modest(60)
@given(st.lists(entries(), max_size=12), st.data())
def test_neither_the_order_of_arrival_nor_repetition_changes_what_is_known(
    events: list[MarketEvent], data: st.DataObject
) -> None:
    one = market_of(*events)
    again = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=4) if events
                                                         else st.just([]))))  # fmt: skip
    other = market_of(*again)
    for at_ms in (0, *map(at_ms_of, events), NEVER_MS - 1):
        for before_ms in (at_ms - 1, at_ms):
            assert one.at(before_ms) == other.at(before_ms)


@modest(60)
@given(st.lists(entries(), max_size=12), st.integers(0, 260))
def test_what_is_known_at_a_time_is_what_was_published_by_then(events: list[MarketEvent], day: int) -> None:
    at_ms = at(day)
    everything, by_then = market_of(*events), market_of(*(e for e in events if at_ms_of(e) <= at_ms))
    assert everything.at(at_ms)[0] == by_then.at(at_ms)[0]
    assert everything.at(at_ms)[1] == min((at_ms_of(e) for e in events if at_ms_of(e) > at_ms), default=NEVER_MS)


def rank(event: MarketEvent) -> tuple[int, int, str, bytes]:
    return event.revision, at_ms_of(event), event.event_id, msgspec.json.encode(event)


@modest(60)
@given(reached(), st.lists(entries(), max_size=6), st.integers(0, 150), st.sampled_from([None, "north", "east"]))
def test_every_feature_of_the_market_is_what_its_definition_says(
    story: tuple[list[Body], Facts], events: list[MarketEvent], wait_days: int, area: str | None
) -> None:
    bodies, facts = story
    history = naive.History(bodies)
    if facts.profile is not None:
        if history.profile_times.count(facts.profile.at_ms) > 1:
            return  # Which of two profiles of one moment wins is free.
        facts.profile = changed(facts.profile, area_id=area)
        history.profile = changed(history.profile, area_id=area)
    at_ms = facts.newest_ms + wait_days * DAY_MS
    market = market_of(*events)
    known = [e for e in events if at_ms_of(e) <= at_ms]
    newest = [max((e for e in known if e.entry_id == name), key=rank) for name in {e.entry_id for e in known}]
    expected = naive.features(history, at_ms, BANDS, newest)
    assert named(facts, at_ms, market.at(at_ms)[0]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@modest(40)
@given(reached(), st.lists(entries(), max_size=6), st.integers(0, 150))
def test_without_signals_and_with_those_of_others_the_numbers_are_the_same(
    story: tuple[list[Body], Facts], events: list[MarketEvent], wait_days: int
) -> None:
    """Somebody whom no entry concerns has zeros, and every other number as if the market were silent."""
    facts = story[1]
    at_ms = facts.newest_ms + wait_days * DAY_MS
    elsewhere = market_of(*(changed(e, area_ids=("elsewhere",)) for e in events)).at(at_ms)[0]
    silent = named(facts, at_ms, NO_SIGNALS)
    assert named(facts, at_ms, elsewhere) == silent
    assert {silent[name] for name in OF_MARKET} == {0.0}
    loud = named(facts, at_ms, market_of(*events).at(at_ms)[0])
    assert {name for name in NAMES if loud[name] != silent[name]} <= set(OF_MARKET)


@pytest.mark.parametrize(("segment", "code"), SEGMENT_CODES.items())
def test_a_segments_bit_is_that_of_its_code_in_a_profile(segment: str, code: int) -> None:
    signal = signal_of(entry(at(0), segments=(segment,)))
    assert signal is not None
    assert signal.segments == 1 << code
    assert set(SEGMENT_CODES) == set(get_args(Segment))


def test_an_offer_counts_in_its_area_and_segment_from_its_beginning_to_its_end_and_fades() -> None:
    said: dict[str, Any] = {"area_ids": ("north",), "segments": ("youth",), "valid_from": moment(at(10))}
    offer = entry(at(0), **said, valid_to=moment(at(100)))
    here = facts_of(profile(at(0), area_id="north", segment="youth"))
    assert of_market(here, at(9), offer) == {}
    assert of_market(here, at(10), offer) == {"competitor_offer": 1.0}
    assert of_market(here, at(55), offer) == {"competitor_offer": 0.5}
    assert of_market(here, at(100), offer) == {}
    assert of_market(here, at(55), changed(offer, valid_to=moment(at(55)))) == {}
    assert of_market(here, at(55), changed(offer, confidence="reported")) == {"competitor_offer": 0.375}
    for other in ({"area_id": "south"}, {"segment": "sme"}, {"area_id": None}):
        stranger = facts_of(profile(at(0), **{"area_id": "north", "segment": "youth"} | other))
        assert of_market(stranger, at(10), offer) == {}
    assert of_market(facts_of(top_up(at(0))), at(10), offer) == {}


def test_an_offer_weighs_with_a_contract_that_ends_and_with_a_top_up_that_does_not_come() -> None:
    offer = entry(at(20))
    bound = facts_of(profile(at(0), contract_end_date=moment(at(20))))
    assert of_market(bound, at(20), offer) == {"competitor_offer": 1.0, "competitor_offer_and_contract_ending": 1.0}
    late = facts_of(top_up(at(0)), top_up(at(7)))
    assert of_market(late, at(20), offer)["competitor_offer_and_overdue"] == pytest.approx(13 / ((7 + 30) / 2))
    assert of_market(facts_of(top_up(at(0))), at(300), entry(at(300)))["competitor_offer_and_overdue"] == 4.0


def test_an_outage_counts_while_it_lasts_and_a_month_longer() -> None:
    said: dict[str, Any] = {"event_time": moment(at(0)), "valid_to": moment(at(6))}
    facts = facts_of(usage(at(0)))
    assert of_market(facts, at(1), entry(at(2), "outage", **said)) == {}
    assert of_market(facts, at(5), entry(at(2), "outage", **said)) == {"outage_near": 1.0}
    assert of_market(facts, at(21), entry(at(2), "outage", **said)) == {"outage_near": 0.5}
    weaker = entry(at(2), "outage", entry_id="weaker", confidence="rumour", **said)
    assert of_market(facts, at(5), entry(at(2), "outage", **said), weaker) == {"outage_near": 1.0}
    unending = entry(at(2), "outage")
    assert [of_market(facts, at(day), unending).get("outage_near") for day in (9, 24, 39)] == [1.0, 0.5, None]


def test_school_is_out_in_a_holiday_and_between_terms_for_the_youth_segment_alone() -> None:
    calls = [usage(at(day), voice_s=600 if day < 30 else 60) for day in range(1, 45)]
    pupil, clerk = (facts_of(profile(at(0), segment=name), *calls) for name in ("youth", "consumer"))
    term = entry(at(0), "school_term", entry_id="term", valid_to=moment(at(30)))
    holiday = entry(at(0), "public_holiday", entry_id="holiday", valid_from=moment(at(20)), valid_to=moment(at(50)))
    assert of_market(pupil, at(44), term)["school_out_and_usage_fall"] > 0.5
    assert of_market(clerk, at(44), term) == {}
    assert of_market(pupil, at(44), changed(term, valid_to=moment(at(60)))) == {}
    assert of_market(pupil, at(44), changed(term, valid_to=moment(at(60))), holiday)["school_out_and_usage_fall"] > 0.5
    assert of_market(pupil, at(28), holiday) == {}, "nothing has fallen yet"
    assert of_market(pupil, at(44)) == {}, "nobody has said when there is school"


def test_the_highest_revision_counts_and_a_cancelled_one_withdraws() -> None:
    facts = facts_of(usage(at(0)))
    first = entry(at(0))
    second = entry(at(5), revision=1, valid_from=moment(at(0)), confidence="rumour")
    assert of_market(facts, at(4), second, first)["competitor_offer"] > 0.9
    assert of_market(facts, at(5), first, second)["competitor_offer"] < 0.25
    older = entry(at(6), valid_from=moment(at(0)))
    assert of_market(facts, at(6), first, second, older) == of_market(facts, at(6), second)
    assert of_market(facts, at(7), first, second, entry(at(7), revision=2, cancelled=True)) == {}


def test_what_comes_late_is_known_from_when_it_came() -> None:
    market = Market()
    assert market.take(entry(at(1)), at(9))
    assert [market.at(at(day))[0] is NO_SIGNALS for day in (1, 8, 9)] == [True, True, False]
    assert not market.take(entry(at(1)), at(9))
    assert not market.take(entry(at(1)), at(4))
    assert [market.at(at(day))[0] is NO_SIGNALS for day in (3, 4)] == [True, False]


def test_an_entry_that_is_forgotten_is_as_if_it_had_never_been() -> None:
    market = market_of(entry(at(1)), entry(at(2), revision=1), entry(at(1), entry_id="other"))
    edition = market.edition
    assert not market.forget("nobody's")
    assert market.edition == edition
    assert market.forget("entry-1")
    assert (len(market), market.edition) == (1, edition + 1)
    assert market.at(at(3)) == market_of(entry(at(1), entry_id="other")).at(at(3))


def test_the_version_is_that_of_what_the_signals_say() -> None:
    one, same = market_of(entry(at(0))), market_of(entry(at(0), event_id="another", source="somebody"))
    other = market_of(entry(at(0), confidence="rumour"))
    (first, _), (second, _), (third, _) = (market.at(at(1)) for market in (one, same, other))
    assert first.version == second.version != third.version
    assert first.version.startswith("signals-")
    assert NO_SIGNALS.version == ""
    assert market_of(entry(at(0), "regulation")).at(at(1))[0] is NO_SIGNALS


def test_signals_are_found_again_by_their_version() -> None:
    market = market_of(entry(at(0)), entry(at(5), revision=1, confidence="rumour"), entry(at(9), revision=2))
    for day in (0, 5, 9):
        signals = market.at(at(day))[0]
        assert market.of_version(signals.version, at(day)) is signals
        assert market.of_version(signals.version, at(day, 1)) is signals
    assert market.of_version("signals-00000000", at(0)) is None
    assert market.of_version(None, at(9)) is NO_SIGNALS


def test_what_has_lost_its_effect_is_forgotten() -> None:
    market = market_of(entry(at(0), "outage", valid_to=moment(at(1))), entry(at(40), entry_id="later", area_ids=("a",)))
    assert [signal.entry_id for signal in market.at(at(39))[0].everywhere] == ["entry-1"]
    assert market.at(at(40))[0].everywhere == ()
    assert market.at(at(40))[0].seen(None, at(40)) is NO_EXPOSURE


def test_signals_and_messages_are_bounded_and_those_that_matter_longest_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signals_module, "SIGNALS_MAX", 2)
    monkeypatch.setattr(market_module, "MESSAGES_MAX", 4)
    monkeypatch.setattr(market_module, "LAID_OUT_MAX", 2)
    events = [entry(at(day), entry_id=f"entry-{day}") for day in range(6)]
    market = market_of(*events)
    assert len(market) == 4
    assert not market.take(events[0], at(0)), "it was published before all that are remembered"
    assert [s.entry_id for s in market.at(at(9))[0].everywhere] == ["entry-4", "entry-5"]
    assert market.at(at(9)) == market_of(*reversed(events)).at(at(9))
    assert [len(market.at(at(day))[0].everywhere) for day in (1, 2, 3, 4, 5)] == [0, 1, 2, 2, 2]


def test_a_profile_with_a_segment_that_is_not_named_sees_nothing() -> None:
    signals = market_of(entry(at(0), segments=("youth",))).at(at(0))[0]
    nobody = Profile(UNSET_MS, 0, 0, SEGMENT_CODES["iot"], 0, "CNY", UNSET_MS, UNSET_MS, 0, None, None, None)
    assert signals.seen(nobody, at(0)).offer == 0.0


def notice(value: bytes | MarketEvent, received_ms: int = at(0)) -> Event | BroadcastEvent | DeadLetter:
    raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return decode_any(Record(MARKET, 0, 7, raw, received_ms))


def test_a_market_event_is_decoded_to_a_notice() -> None:
    assert notice(entry(at(0))) == BroadcastEvent(0, 7, at(0), entry(at(0)))
    future = entry(at(0), valid_from=moment(at(400)))
    assert isinstance(notice(future), BroadcastEvent)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty"),
        (b"{", "not_json"),
        (b'"' + b"x" * VALUE_BYTES_MAX + b'"', "too_large"),
        (entry(at(0) + AHEAD_MS_MAX + 1), "future_time"),
        (entry(-1), "bad_time"),
        (entry(at(0), valid_to=moment(at(0) - 1)), "bad_period"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_market_event_is_a_dead_letter_with_its_reason(value: bytes | MarketEvent, reason: str) -> None:
    letter = notice(value)
    assert isinstance(letter, DeadLetter)
    assert (letter.topic, letter.offset, letter.reason) == (MARKET, 7, reason)

"""Asked, at risk and lapsed: what is known at a moment, from the facts alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts.policy import NO_STAGES, StagePolicy
from streams.core.alerts.stages import has_lapsed, stage_of, usual_gap_days
from streams.core.contracts.effects import Stage
from streams.core.contracts.events import Body
from streams.core.subscriber.state import USAGE_DAYS
from streams.core.times import DAY_MS
from tests.core.makers import at, call_drop, facts_of, folded, numbered, outcome, top_up, usage
from tests.core.strategies import arrivals, histories, modest

RULE = StagePolicy(requested_for_days=90, lapsed_after_days=7, lapsed_gap_factor=3.0)


def used(*days: int) -> list[Body]:
    """Days of use, each day's summary at its end."""
    return [usage(at(day + 1)) for day in days]


def silent(first: int, last: int) -> list[Body]:
    """Days whose summaries say that nothing happened."""
    return [usage(at(day + 1), voice_attempts=0, voice_answered=0, voice_s=0) for day in range(first, last + 1)]


DAILY = used(*range(40))
WEEKLY = used(*range(0, 43, 7))
TOPPING_UP: list[Body] = [top_up(at(day)) for day in range(0, 70, 10)]
SILENCES: list[tuple[str, list[Body], int, Stage]] = [
    ("who uses the line daily has not lapsed in a week", DAILY, at(47), "at_risk"),
    ("but after it", DAILY, at(47) + 1, "lapsed"),
    ("who pauses for a week often has not lapsed in a month", WEEKLY, at(43 + 31), "at_risk"),
    ("but after it", WEEKLY, at(43 + 32), "lapsed"),
    ("one long pause that ended is expected to be possible again", used(*range(20), *range(30, 40)), at(40 + 33),
     "at_risk"),
    ("unless it is three times as long", used(*range(20), *range(30, 40)), at(40 + 33) + 1, "lapsed"),
    ("a few days of use make no habit", used(0, 1), at(17), "at_risk"),
    ("nor does nothing at all", [call_drop(at(0))], at(29), "at_risk"),
    ("a top-up ends a silence", [*DAILY, top_up(at(46))], at(50), "at_risk"),
    ("where no use is known top-ups are the habit", TOPPING_UP, at(60 + 36), "at_risk"),
    ("and they can lapse", TOPPING_UP, at(60 + 39) + 1, "lapsed"),
    ("one that failed is none", [*DAILY, top_up(at(46), status="failed")], at(48), "lapsed"),
    ("days that are told to be silent are silent", [*DAILY, *silent(40, 46)], at(47) + 1, "lapsed"),
    ("who paused before memory begins is expected to pause again", [*used(0), *used(50, 51, 52, 53, 54, 55)],
     at(56 + 21), "at_risk"),
]  # fmt: skip


@pytest.mark.parametrize(("bodies", "at_ms", "stage"), [row[1:] for row in SILENCES], ids=[row[0] for row in SILENCES])
def test_what_a_silence_means(bodies: list[Body], at_ms: int, stage: Stage) -> None:
    assert stage_of(facts_of(*bodies), at_ms, RULE) == stage


REQUESTS: list[tuple[str, list[Body], int, Stage]] = [
    ("a port-out that was asked for", [outcome(at(40), "port_out_requested")], at(40), "requested"),
    ("a termination that was asked for", [outcome(at(40), "termination_requested")], at(40), "requested"),
    ("one that was cancelled", [outcome(at(40), "port_out_requested"), outcome(at(41), "port_out_cancelled")], at(41),
     "at_risk"),
    ("one that was refused", [outcome(at(40), "port_out_requested"), outcome(at(41), "port_out_rejected")], at(41),
     "at_risk"),
    ("one of somebody who was retained", [outcome(at(40), "termination_requested"), outcome(at(41), "retained")],
     at(41), "at_risk"),
    ("one that is as old as requests are counted", [outcome(at(40), "termination_requested")], at(130), "lapsed"),
    ("a request says more than silence", [outcome(at(40), "termination_requested")], at(129), "requested"),
]  # fmt: skip


@pytest.mark.parametrize(("bodies", "at_ms", "stage"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS])
def test_what_a_request_means(bodies: list[Body], at_ms: int, stage: Stage) -> None:
    assert stage_of(facts_of(*DAILY, *bodies), at_ms, RULE) == stage


def test_who_is_suspended_has_not_lapsed_unless_it_was_a_wish() -> None:
    line = [*DAILY, outcome(at(40), "suspended", reason="non_payment")]
    assert stage_of(facts_of(*line), at(60), RULE) == "at_risk"
    assert stage_of(facts_of(*DAILY, outcome(at(40), "suspended", reason="moved")), at(60), RULE) == "lapsed"


def test_a_policy_of_before_there_were_stages_tells_nothing_apart() -> None:
    facts = facts_of(*DAILY, outcome(at(40), "termination_requested"))
    assert stage_of(facts, at(41), NO_STAGES) == stage_of(facts, at(60), NO_STAGES) == "at_risk"


def test_the_usual_gap_is_the_longest_that_is_remembered_and_the_mean_where_that_is_more() -> None:
    assert usual_gap_days(facts_of(*used(*range(20), *range(30, 40)))) == 11.0
    assert usual_gap_days(facts_of(*used(0, 1))) == pytest.approx((2 + 30) / 2)
    forgotten = [*used(0), *used(USAGE_DAYS + 10)]
    assert usual_gap_days(facts_of(*forgotten)) == float(USAGE_DAYS)


@modest(60)
@given(st.data())
def test_any_order_of_arrival_gives_the_same_stage(data: st.DataObject) -> None:
    bodies: Any = data.draw(histories())
    one, other = (folded(numbered(data.draw(arrivals(bodies))))[0] for _ in range(2))
    at_ms = one.newest_ms + data.draw(st.integers(0, 60 * DAY_MS))
    assert stage_of(one, at_ms, RULE) == stage_of(other, at_ms, RULE)
    assert usual_gap_days(one) == usual_gap_days(other)


@modest(60)
@given(st.sets(st.integers(0, 60), min_size=1, max_size=61), st.integers(1, 60))
def test_who_has_lapsed_stays_so_while_the_line_is_silent(days: set[int], more_days: int) -> None:
    last = max(days)
    lapsed = [
        has_lapsed(facts_of(*used(*sorted(days)), *silent(last + 1, last + so_far)), at(last + 1 + so_far), RULE)
        for so_far in range(more_days)
    ]
    assert lapsed == sorted(lapsed)

"""Reasons: exact, with a known code, and with evidence that the windows confirm."""

from math import fsum
from struct import pack

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.contracts.effects import Reason
from streams.core.contracts.events import Body, MarketEvent
from streams.core.scoring.features import FEATURE_TABLE, NAMES, THEME_OF, THEMES, vector
from streams.core.scoring.reasons import CODES, CODES_BY_FEATURE, reasons
from streams.core.scoring.scorer import Scorer
from streams.core.scoring.windows import measure
from streams.core.signals.signals import NO_SIGNALS, Signals
from streams.core.subscriber.facts import Facts
from streams.core.subscriber.state import PendingSnapshot
from streams.core.times import DAY_MS
from tests.core.makers import (
    BANDS,
    at,
    call_drop,
    complaint,
    entry,
    facts_of,
    market_of,
    moment,
    profile,
    scorecard,
    scorer_of,
    top_up,
    usage,
)
from tests.core.strategies import modest, reached

STABLE_CODES = {
    "competitor_offer", "complaint_open", "complaint_recent", "complaint_repeat", "complaint_unresolved_sla",
    "contract_ending", "customer_profile", "drop_rate_up", "new_subscriber", "outage", "port_out_query", "school_out",
    "setup_failures_up", "several_signs", "suspended", "topup_amount_down", "topup_failed", "topup_frequency_down",
    "topup_gap", "usage_down", "value_loss",
}  # fmt: skip
"""Every code that was ever published: alerts of the past and the programs of others hold them."""

EVERY_FEATURE = scorer_of(-1.0, **{name: (-1) ** i * (i % 5 + 1) / 10 for i, name in enumerate(NAMES)})


def explained(
    facts: Facts, at_ms: int, scorer: Scorer, signals: Signals = NO_SIGNALS
) -> tuple[tuple[Reason, ...], float]:
    measures = measure(facts, at_ms, BANDS, signals)
    features = vector(facts, at_ms, measures)
    return reasons(scorer, features, facts, at_ms, measures), scorer.logit(features)


def by_theme(facts: Facts, at_ms: int, scorer: Scorer = EVERY_FEATURE, *events: MarketEvent) -> dict[str, Reason]:
    signals = market_of(*events).at(at_ms)[0]
    return {reason.theme: reason for reason in explained(facts, at_ms, scorer, signals)[0]}


def evidence(reason: Reason) -> dict[tuple[str, int | None], tuple[float, float | None]]:
    return {(e.measure, e.window_days): (e.value, e.baseline) for e in reason.evidence if "percent" not in e.unit}


@modest(45)
@given(reached(), st.integers(0, 100 * DAY_MS), st.sampled_from([scorecard(), EVERY_FEATURE]), st.booleans())
def test_the_reasons_and_the_intercept_add_up_to_the_logit(
    story: tuple[list[Body], Facts], wait_ms: int, scorer: Scorer, is_loud: bool
) -> None:
    at_ms = story[1].newest_ms + wait_ms
    published = (entry(at_ms), entry(at_ms, "outage", entry_id="outage")) if is_loud else ()
    why, logit = explained(story[1], at_ms, scorer, market_of(*published).at(at_ms)[0])
    assert abs(scorer.intercept + fsum(reason.contribution for reason in why) - logit) <= 1e-12
    for reason in why:
        assert abs(fsum(reason.features.values()) - reason.contribution) <= 1e-12
        assert {THEME_OF[name] for name in reason.features} <= {reason.theme}


@modest(25)
@given(reached(), st.integers(0, 100 * DAY_MS))
def test_there_is_one_reason_for_each_theme_the_heaviest_first_with_a_known_code(
    story: tuple[list[Body], Facts], wait_ms: int
) -> None:
    why, _ = explained(story[1], story[1].newest_ms + wait_ms, EVERY_FEATURE)
    assert sorted(reason.theme for reason in why) == sorted(theme.name for theme in THEMES)
    assert [r.contribution for r in why] == sorted((r.contribution for r in why), reverse=True)
    assert {reason.code for reason in why} <= {*CODES.values(), *CODES_BY_FEATURE.values()}


@modest(25)
@given(reached(), st.integers(0, 100 * DAY_MS))
def test_evidence_is_what_the_windows_hold(story: tuple[list[Body], Facts], wait_ms: int) -> None:
    facts = story[1]
    at_ms = facts.newest_ms + wait_ms
    m = measure(facts, at_ms, BANDS)
    held = {
        ("top_ups", 30): m.top_ups_30, ("revenue", 30): m.revenue_30, ("answered_calls", 14): m.answered_14,
        ("answered_calls", 30): m.answered_30, ("voice_time", 14): m.voice_14, ("dropped_calls", 30): m.drops_30,
        ("complaint_overdue", None): float(m.complaint_overdue), ("days_since_top_up", None): round(m.silent_days, 6),
    }  # fmt: skip
    for reason in explained(facts, at_ms, EVERY_FEATURE)[0]:
        for key, (value, baseline) in evidence(reason).items():
            assert value == held.get(key, value), key
            assert baseline is None or baseline >= 0


def snapshot(features: tuple[float, ...], at_ms: int = 7, table: str = FEATURE_TABLE) -> PendingSnapshot:
    return PendingSnapshot(at_ms, pack(f"<{len(features)}d", *features), table, 0.5, "some model")


@modest(45)
@given(
    reached(),
    st.integers(0, 100 * DAY_MS),
    st.sampled_from([scorecard(), EVERY_FEATURE]),
    st.lists(st.floats(-50, 50), min_size=len(NAMES), max_size=len(NAMES)),
)
def test_the_changes_add_up_to_the_difference_of_the_logits_under_the_scorer_that_serves_now(
    story: tuple[list[Body], Facts], wait_ms: int, scorer: Scorer, before: list[float]
) -> None:
    facts, at_ms = story[1], story[1].newest_ms + wait_ms
    measures = measure(facts, at_ms, BANDS)
    features, then = vector(facts, at_ms, measures), tuple(before)
    why = reasons(scorer, features, facts, at_ms, measures, snapshot(then))
    assert {reason.since_ms for reason in why} == {7}
    total = fsum(reason.change for reason in why if reason.change is not None)
    assert abs(total - (scorer.logit(features) - scorer.logit(then))) <= 1e-9
    unmoved = reasons(scorer, features, facts, at_ms, measures, snapshot(features))
    assert {reason.change for reason in unmoved} == {0.0}
    assert [r.contribution for r in unmoved] == [r.contribution for r in why]


def test_a_change_is_that_of_its_own_theme_alone() -> None:
    facts = facts_of(complaint(at(0), expected_resolution_date=moment(at(2))))
    overdue = scorer_of(0.0, complaint_overdue=0.9, tenure=0.1)
    earlier, later = measure(facts, at(1), BANDS), measure(facts, at(5), BANDS)
    waiting = snapshot(vector(facts, at(1), earlier), at(1))
    why = reasons(overdue, vector(facts, at(5), later), facts, at(5), later, waiting)
    changes = {reason.theme: reason.change for reason in why}
    assert changes.pop("complaints") == pytest.approx(0.9, abs=1e-12)
    assert changes.pop("tenure") == pytest.approx(0.0, abs=0.01)
    assert set(changes.values()) == {0.0}


def test_nothing_is_said_to_have_changed_since_no_snapshot_or_one_of_another_feature_table() -> None:
    facts = facts_of(top_up(at(0)))
    m = measure(facts, at(3), BANDS)
    features = vector(facts, at(3), m)
    for waiting in (None, snapshot(features, table="features-another")):
        why = reasons(EVERY_FEATURE, features, facts, at(3), m, waiting)
        assert {(reason.change, reason.since_ms) for reason in why} == {(None, None)}


def test_a_reason_that_was_stored_before_changes_were_said_is_still_read() -> None:
    stored = {"code": "outage", "theme": "service", "contribution": 0.5, "features": {}, "evidence": []}
    assert msgspec.convert(stored, Reason) == Reason("outage", "service", 0.5, {}, (), None, None)


def test_no_code_was_ever_renamed_or_removed() -> None:
    assert {*CODES.values(), *CODES_BY_FEATURE.values()} >= STABLE_CODES


def test_a_new_code_is_noted_down_so_that_it_stays() -> None:
    assert {*CODES.values(), *CODES_BY_FEATURE.values()} <= STABLE_CODES


@pytest.mark.parametrize("names", [CODES, CODES_BY_FEATURE], ids=["themes", "features"])
def test_every_code_belongs_to_a_theme_or_a_feature_that_exists(names: dict[str, str]) -> None:
    assert set(names) <= {*NAMES, *(theme.name for theme in THEMES)}
    assert {theme.name for theme in THEMES} == set(CODES)


def test_nothing_known_is_no_evidence_beyond_the_days_known() -> None:
    found = by_theme(facts_of(top_up(at(0), status="created")), at(3))
    assert {theme: len(reason.evidence) for theme, reason in found.items() if reason.evidence} == {"tenure": 1}
    assert found["tenure"].evidence[0].value == 3.0


def test_a_gap_is_shown_beside_the_subscribers_own_gap() -> None:
    facts = facts_of(*(top_up(at(7 * week)) for week in range(5)))
    found = evidence(by_theme(facts, at(48))["rhythm"])
    assert found["days_since_top_up", None] == (20.0, round((28 + 30) / 5, 6))
    assert found["top_ups", 30] == (2, round(5 * 30 / 48, 6))


def test_one_top_up_gives_no_gap_and_less_than_a_week_gives_no_rate() -> None:
    found = evidence(by_theme(facts_of(top_up(at(0))), at(6))["rhythm"])
    assert [baseline for _, baseline in found.values()] == [None, None]


@pytest.mark.parametrize(("days", "baseline"), [(59, None), (60, 0.0)])
def test_revenue_has_a_baseline_once_60_days_are_known(days: int, baseline: float | None) -> None:
    facts = facts_of(usage(at(0)), top_up(at(40)))
    assert evidence(by_theme(facts, at(days))["value"]) == {("revenue", 30): (1000.0, baseline)}


def test_a_line_that_was_never_active_is_idle_since_it_is_known() -> None:
    found = by_theme(facts_of(usage(at(0), voice_s=0, voice_answered=0)), at(4))
    assert evidence(found["usage"])["days_since_activity", None] == (4.0, None)
    assert found["service"].evidence == ()


def test_dropped_calls_are_shown_with_their_denominator() -> None:
    facts = facts_of(usage(at(1), voice_answered=8), call_drop(at(0)), call_drop(at(0, 1)))
    found = by_theme(facts, at(2))["service"].evidence
    assert [(e.value, e.unit, e.baseline) for e in found] == [
        (25.0, "percent of answered", 25.0), (2, "calls", None), (8, "calls", None),
    ]  # fmt: skip
    alone = by_theme(facts_of(call_drop(at(0))), at(0))["service"].evidence
    assert alone[0].value == 100.0


def test_calls_without_a_drop_are_evidence_too() -> None:
    found = by_theme(facts_of(usage(at(1))), at(2))["service"].evidence
    assert (found[0].value, found[0].baseline) == (0.0, 0.0)


def test_an_open_complaint_shows_its_age_and_whether_it_is_overdue() -> None:
    facts = facts_of(complaint(at(0), expected_resolution_date=moment(at(2))))
    found = evidence(by_theme(facts, at(5))["complaints"])
    assert found == {
        ("complaints", 70): (1, None), ("open_complaint_age", None): (5.0, None),
        ("complaint_overdue", None): (1.0, None),
    }  # fmt: skip


def test_a_settled_complaint_has_no_age() -> None:
    facts = facts_of(complaint(at(0)), complaint(at(1), change="resolved", status="resolved"))
    assert evidence(by_theme(facts, at(5))["complaints"])["open_complaint_age", None] == (0.0, None)


def test_a_ticket_known_only_from_a_later_snapshot_is_evidence_while_it_is_open() -> None:
    still_open = complaint(at(0), change="status_changed")
    assert len(by_theme(facts_of(still_open), at(1))["complaints"].evidence) == 3
    closed = complaint(at(0), change="resolved", status="closed")
    assert by_theme(facts_of(closed), at(1))["complaints"].evidence == ()


def test_a_contract_shows_the_days_that_are_left() -> None:
    facts = facts_of(profile(at(0), contract_end_date=moment(at(10))))
    assert evidence(by_theme(facts, at(3))["contract"]) == {("days_to_contract_end", None): (7.0, None)}
    assert by_theme(facts_of(profile(at(0))), at(3))["contract"].evidence == ()


def test_a_competitors_offer_is_shown_with_its_age_and_the_contract_that_it_finds_ending() -> None:
    drawn = by_theme(facts_of(profile(at(0), contract_end_date=moment(at(10)))), at(7), scorecard(), entry(at(3)))
    assert drawn["market"].code == "competitor_offer"
    assert evidence(drawn["market"]) == {
        ("days_since_competitor_offer", None): (4.0, None), ("days_to_contract_end", None): (3.0, None),
    }  # fmt: skip
    alone = by_theme(facts_of(top_up(at(0))), at(7), scorecard(), entry(at(3)))["market"]
    assert list(evidence(alone)) == [("days_since_competitor_offer", None)]
    assert by_theme(facts_of(top_up(at(0))), at(7))["market"].evidence == ()


def test_an_outage_is_evidence_of_the_service_with_and_without_calls() -> None:
    outage = entry(at(1), "outage", valid_to=moment(at(2)))
    only_outage = scorer_of(0.0, outage_near=1.0)
    silent = by_theme(facts_of(top_up(at(0))), at(5), only_outage, outage)["service"]
    assert (silent.code, evidence(silent)) == ("outage", {("days_since_outage", None): (3.0, None)})
    calling = by_theme(facts_of(usage(at(1))), at(5), only_outage, outage)["service"].evidence
    assert [e.measure for e in calling] == ["dropped_calls", "dropped_calls", "answered_calls", "days_since_outage"]


def test_a_school_holiday_explains_a_fall_with_the_calls_that_are_left() -> None:
    calls = [usage(at(day), voice_s=600 if day < 30 else 60) for day in range(1, 45)]
    pupil = facts_of(profile(at(0), segment="youth"), *calls)
    found = by_theme(pupil, at(44), scorecard(), entry(at(20), "public_holiday"))["market"]
    assert found.code == "school_out"
    assert found.contribution < 0
    assert [e.measure for e in found.evidence] == ["voice_time"]


def test_failed_top_ups_are_shown_per_attempt() -> None:
    facts = facts_of(top_up(at(0)), top_up(at(1), status="failed"))
    assert by_theme(facts, at(2))["payment"].evidence[0].value == 50.0
    assert by_theme(facts, at(40))["payment"].evidence == ()


def test_a_reason_is_coded_by_the_feature_that_weighs_most_in_its_direction() -> None:
    facts = facts_of(complaint(at(0), expected_resolution_date=moment(at(2))))
    overdue = scorer_of(0.0, complaint_open=0.1, complaint_overdue=0.9)
    assert by_theme(facts, at(5), overdue)["complaints"].code == "complaint_unresolved_sla"
    soothing = scorer_of(0.0, complaint_open=0.1, complaint_fresh=-0.9)
    assert by_theme(facts, at(5), soothing)["complaints"].code == "complaint_recent"
    assert by_theme(facts, at(5), soothing)["complaints"].contribution < 0

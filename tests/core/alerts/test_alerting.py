"""When a risk becomes an alert: the table row by row, then what no series of risks can break."""

from itertools import product
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from streams.core.alerts.alerting import (
    BANDS,
    MOVES,
    AlertSignal,
    Circumstances,
    Move,
    alert_id,
    apply_move,
    note_lower_risk,
    signal,
    transition_id,
)
from streams.core.alerts.policy import AlertRule
from streams.core.contracts.codes import WHYS
from streams.core.contracts.effects import AlertStateName, ChurnKind, RiskBand, Stage, WhyCode
from streams.core.subscriber.state import INACTIVE, AlertState
from streams.core.times import DAY_MS, HOUR_MS
from tests.core.makers import SUBSCRIBER, at, changed
from tests.core.strategies import modest

RULE = AlertRule(open_at=0.2, close_at=0.1, hold_hours=24, clear_hours=72, cool_down_days=14)
NO_HOLD = AlertRule(open_at=0.2, close_at=0.1, hold_hours=0, clear_hours=0, cool_down_days=0)
PENDING = AlertState("pending", 1, "natural", "medium", at(0))
FIRING = AlertState("firing", 1, "natural", "medium", at(0))
EASING = AlertState("firing", 1, "natural", "medium", at(0), below_since_ms=at(5))
CRITICAL = AlertState("firing", 1, "natural", "critical", at(0))
LOWER = AlertState("firing", 1, "natural", "critical", at(0), lower_since_ms=at(5), lower_band="medium")
RESOLVED = AlertState("resolved", 1, "natural", "medium", at(0), cool_until_ms=at(14))
ASKED = AlertState("firing", 1, "natural", "medium", at(0), stage="requested")
LAPSED = AlertState("firing", 1, "natural", "medium", at(0), below_since_ms=at(5), stage="lapsed")


def now(
    probability: float,
    at_ms: int,
    *,
    gone: bool = False,
    barred: bool = False,
    band: RiskBand = "medium",
    stage: Stage = "at_risk",
) -> Circumstances:
    return Circumstances(probability, band, at_ms, gone, barred, stage)


SIGNALS: list[tuple[str, AlertState, Circumstances, AlertRule, AlertSignal]] = [
    ("a risk at the opening threshold opens", INACTIVE, now(0.2, at(0)), RULE, "above"),
    ("a risk just below it does not", INACTIVE, now(0.199, at(0)), RULE, "between"),
    ("a risk at the closing threshold is between", INACTIVE, now(0.1, at(0)), RULE, "between"),
    ("a risk below the closing threshold is below", INACTIVE, now(0.099, at(0)), RULE, "below"),
    ("without a hold time it fires at once", INACTIVE, now(0.2, at(0)), NO_HOLD, "hold_elapsed"),
    ("a pending alert waits for the hold time", PENDING, now(0.3, at(0, 23)), RULE, "above"),
    ("and fires when it has passed", PENDING, now(0.3, at(0, 24)), RULE, "hold_elapsed"),
    ("a pending alert between the thresholds waits on", PENDING, now(0.15, at(3)), RULE, "between"),
    ("a pending alert below is not cleared but dropped", PENDING, now(0.0, at(9)), RULE, "below"),
    ("a firing alert in its own band is just above", FIRING, now(0.3, at(1)), RULE, "above"),
    ("a firing alert in a higher band is worse", FIRING, now(0.3, at(1), band="high"), RULE, "worse"),
    ("a firing alert in a lower band is no better", FIRING, now(0.3, at(1), band="low"), RULE, "above"),
    ("nor in the clear time after that", LOWER, now(0.3, at(7, 23)), RULE, "above"),
    ("it is easier after the clear time in lower bands", LOWER, now(0.3, at(8), band="high"), RULE, "easier"),
    ("also between the thresholds", LOWER, now(0.15, at(8)), RULE, "easier"),
    ("but not below: that it is clear says more", LOWER, now(0.05, at(8), band="low"), RULE, "below"),
    ("a risk that is back in its band is no easier", LOWER, now(0.9, at(8), band="critical"), RULE, "above"),
    ("without a clear time it is easier at once", CRITICAL, now(0.3, at(1)), NO_HOLD, "easier"),
    ("a firing alert begins to clear", FIRING, now(0.05, at(1)), RULE, "below"),
    ("it is not clear before the clear time", EASING, now(0.05, at(7, 23)), RULE, "below"),
    ("it is clear at the clear time", EASING, now(0.05, at(8)), RULE, "cleared"),
    ("a risk between the thresholds does not clear", EASING, now(0.15, at(30)), RULE, "between"),
    ("without a clear time it is clear at once", FIRING, now(0.05, at(1)), NO_HOLD, "cleared"),
    ("a resolved alert cools down first", RESOLVED, now(0.9, at(14) - 1), RULE, "cooling"),
    ("and may open again when it has", RESOLVED, now(0.9, at(14)), RULE, "above"),
    ("who left has no risk", FIRING, now(0.9, at(1), gone=True), RULE, "left"),
    ("who left and withdrew consent has left", FIRING, now(0.9, at(1), gone=True, barred=True), RULE, "left"),
    ("without consent there is no alert", INACTIVE, now(0.9, at(1), barred=True), RULE, "barred"),
    ("nor does one stay", FIRING, now(0.15, at(1), barred=True), RULE, "barred"),
    ("who asks to leave is told of whatever the risk", INACTIVE, now(0.0, at(1), stage="requested"), RULE, "requested"),
    ("and without the hold time", PENDING, now(0.0, at(0, 1), stage="requested"), RULE, "requested"),
    ("and in the cool-down", RESOLVED, now(0.0, at(1), stage="requested"), RULE, "requested"),
    ("a firing alert hears of it as well", EASING, now(0.0, at(9), stage="requested"), RULE, "requested"),
    ("once", ASKED, now(0.3, at(1), stage="requested"), RULE, "above"),
    (
        "what was asked for does not clear",
        changed(ASKED, below_since_ms=at(1)),
        now(0.0, at(9), stage="requested"),
        RULE,
        "above",
    ),
    ("but for who has left", ASKED, now(0.3, at(1), gone=True, stage="requested"), RULE, "left"),
    ("and who may not be profiled", INACTIVE, now(0.3, at(1), barred=True, stage="requested"), RULE, "barred"),
    ("a request that is taken back says so", ASKED, now(0.0, at(9)), RULE, "withdrawn"),
    ("also where the line is silent by then", ASKED, now(0.3, at(9), stage="lapsed"), RULE, "withdrawn"),
    ("a firing alert lapses", EASING, now(0.15, at(6), stage="lapsed"), RULE, "lapsed"),
    ("even below the closing threshold", EASING, now(0.05, at(6), stage="lapsed"), RULE, "lapsed"),
    ("unless it is clear", EASING, now(0.05, at(8), stage="lapsed"), RULE, "cleared"),
    (
        "it says so before it says that it is worse",
        FIRING,
        now(0.9, at(6), band="critical", stage="lapsed"),
        RULE,
        "lapsed",
    ),
    ("a lapsed alert goes on", LAPSED, now(0.3, at(6), stage="lapsed"), RULE, "above"),
    ("until the line is used again", LAPSED, now(0.3, at(6)), RULE, "returned"),
    ("silence alone opens nothing", INACTIVE, now(0.1, at(6), stage="lapsed"), RULE, "between"),
]


@pytest.mark.parametrize(
    ("alert", "circumstances", "rule", "sign"), [row[1:] for row in SIGNALS], ids=[row[0] for row in SIGNALS]
)
def test_what_the_present_risk_means(
    alert: AlertState, circumstances: Circumstances, rule: AlertRule, sign: AlertSignal
) -> None:
    assert signal(alert, circumstances, rule) == sign


PAIRS = list(product(get_args(AlertStateName), get_args(AlertSignal)))


@pytest.mark.parametrize(("state", "sign"), [pair for pair in PAIRS if pair not in MOVES], ids="-".join)
def test_a_pair_that_is_not_in_the_table_leaves_the_alert_as_it_is(state: AlertStateName, sign: AlertSignal) -> None:
    alert = AlertState(state, 3, "competitive", "high", at(0), 0, at(9))
    after = note_lower_risk(alert, now(0.05, at(1), band="high"), sign)
    if (state, sign) == ("firing", "below"):
        assert after == AlertState(state, 3, "competitive", "high", at(0), at(1), at(9))
    else:
        assert after is alert


@pytest.mark.parametrize(
    ("pair", "move"), MOVES.items(), ids=lambda item: "-".join(item) if type(item) is tuple else ""
)
def test_every_move_is_to_another_state_or_to_another_band_and_says_why(
    pair: tuple[AlertStateName, AlertSignal], move: Move
) -> None:
    assert move.to != pair[0] or move.change in {"worsened", "eased", "restaged"}
    assert len(WHYS[move.why_code]) > 15
    assert WHYS[move.why_code].split()[0] in {"the", "profiling"}


def test_every_code_is_that_of_a_move() -> None:
    assert {move.why_code for move in MOVES.values()} == set(get_args(WhyCode)) == WHYS.keys()


CHANGES: list[tuple[str, AlertState, tuple[AlertStateName, AlertSignal], AlertState]] = [
    ("the first episode is number one", INACTIVE, ("inactive", "above"),
     AlertState("pending", 1, "competitive", "high", at(40))),
    ("the next one is the next number, and forgets the cool-down", RESOLVED, ("resolved", "hold_elapsed"),
     AlertState("firing", 2, "competitive", "high", at(40))),
    ("firing keeps the kind and the opening", PENDING, ("pending", "hold_elapsed"),
     AlertState("firing", 1, "natural", "high", at(0))),
    ("an episode that never fired gives its number back", PENDING, ("pending", "below"),
     AlertState("inactive", 0, "natural", "medium", at(0))),
    ("a worse risk is the same episode and no longer clears", EASING, ("firing", "worse"),
     AlertState("firing", 1, "natural", "high", at(0))),
    ("a worse risk is no longer in a lower band", LOWER, ("firing", "worse"),
     AlertState("firing", 1, "natural", "high", at(0))),
    ("an easier risk falls to the highest of the lower bands", LOWER, ("firing", "easier"),
     AlertState("firing", 1, "natural", "high", at(0))),
    ("a resolved alert is in no band any more", LOWER, ("firing", "cleared"),
     AlertState("resolved", 1, "natural", "critical", at(0), 0, at(54))),
    ("a resolved alert cools down from now", EASING, ("firing", "cleared"),
     AlertState("resolved", 1, "natural", "medium", at(0), 0, at(54))),
]  # fmt: skip


@pytest.mark.parametrize(("before", "pair", "after"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_what_a_move_makes_of_an_alert(
    before: AlertState, pair: tuple[AlertStateName, AlertSignal], after: AlertState
) -> None:
    assert apply_move(before, MOVES[pair], now(0.9, at(40), band="high"), RULE, "competitive") == after


STAGES: list[tuple[str, AlertState, tuple[AlertStateName, AlertSignal], Circumstances, AlertState]] = [
    ("an alert opens at the stage of its subscriber", INACTIVE, ("inactive", "above"), now(0.3, at(1), stage="lapsed"),
     AlertState("pending", 1, "competitive", "medium", at(1), stage="lapsed")),
    ("and fires at that of its day", PENDING, ("pending", "hold_elapsed"), now(0.3, at(1), stage="lapsed"),
     AlertState("firing", 1, "natural", "medium", at(0), stage="lapsed")),
    ("a request opens an alert", RESOLVED, ("resolved", "requested"), now(0.0, at(1), stage="requested", band="low"),
     AlertState("firing", 2, "competitive", "low", at(1), stage="requested")),
    ("a request takes back the time that it was clear", EASING, ("firing", "requested"),
     now(0.05, at(6), stage="requested"), AlertState("firing", 1, "natural", "medium", at(0), stage="requested")),
    ("another stage keeps it", EASING, ("firing", "lapsed"), now(0.05, at(6), stage="lapsed"),
     AlertState("firing", 1, "natural", "medium", at(0), below_since_ms=at(5), stage="lapsed")),
    ("another stage lets the band rise", LAPSED, ("firing", "returned"), now(0.9, at(6), band="critical"),
     AlertState("firing", 1, "natural", "critical", at(0))),
    ("and not fall", LAPSED, ("firing", "returned"), now(0.15, at(6), band="low"),
     AlertState("firing", 1, "natural", "medium", at(0), lower_since_ms=at(6), lower_band="low")),
    ("an alert that is over keeps its stage", LAPSED, ("firing", "cleared"), now(0.05, at(8), stage="lapsed"),
     AlertState("resolved", 1, "natural", "medium", at(0), 0, at(22), stage="lapsed")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "pair", "circumstances", "after"), [row[1:] for row in STAGES], ids=[row[0] for row in STAGES]
)
def test_what_a_stage_makes_of_an_alert(
    before: AlertState,
    pair: tuple[AlertStateName, AlertSignal],
    circumstances: Circumstances,
    after: AlertState,
) -> None:
    assert apply_move(before, MOVES[pair], circumstances, RULE, "competitive") == after


def test_a_risk_that_comes_back_stops_the_clearing() -> None:
    assert note_lower_risk(EASING, now(0.15, at(6)), "between").below_since_ms == 0
    assert note_lower_risk(EASING, now(0.05, at(6)), "below") is EASING


def test_a_risk_in_a_lower_band_remembers_since_when_and_the_highest_of_those_until_it_is_back() -> None:
    days: list[tuple[int, RiskBand, int, RiskBand]] = [
        (at(1), "high", at(1), "high"), (at(2), "low", at(1), "high"), (at(3), "critical", 0, "low"),
        (at(4), "low", at(4), "low"), (at(5), "medium", at(4), "medium"),
    ]  # fmt: skip
    alert = CRITICAL
    for at_ms, band, since_ms, highest in days:
        alert = note_lower_risk(alert, now(0.3, at_ms, band=band), "above")
        assert (alert.lower_since_ms, alert.lower_band, alert.band) == (since_ms, highest, "critical")
    assert note_lower_risk(LOWER, now(0.3, at(6)), "above") is LOWER


def test_an_alert_falls_no_further_than_the_highest_of_the_lower_bands_and_then_counts_anew() -> None:
    falling = changed(LOWER, lower_band="high")
    after = apply_move(falling, MOVES["firing", "easier"], now(0.15, at(8), band="low"), RULE, "natural")
    assert (after.band, after.lower_since_ms, after.lower_band) == ("high", at(8), "low")
    again = apply_move(LOWER, MOVES["firing", "easier"], now(0.3, at(8)), RULE, "natural")
    assert (again.band, again.lower_since_ms, again.lower_band) == ("medium", 0, "low")


class Moment(Struct, frozen=True):
    """One assessment of a series: the alert before and after, and the move between."""

    before: AlertState
    circumstances: Circumstances
    move: Move | None
    after: AlertState


def driven(series: list[tuple[int, float, bool]], rule: AlertRule) -> list[Moment]:
    """Run hours since the last assessment, probability and consent through the machine."""
    alert, at_ms, moments = INACTIVE, int(at(0)), []
    for hours, probability, barred in series:
        at_ms += hours * HOUR_MS
        band: RiskBand = "critical" if probability > 0.6 else "high" if probability > 0.3 else "medium"
        circumstances = now(probability, at_ms, barred=barred, band=band)
        sign = signal(alert, circumstances, rule)
        move = MOVES.get((alert.state, sign))
        kind: ChurnKind = "natural"
        after = (
            note_lower_risk(alert, circumstances, sign)
            if move is None
            else apply_move(alert, move, circumstances, rule, kind)
        )
        moments.append(Moment(alert, circumstances, move, after))
        alert = after
    return moments


rules = st.builds(
    AlertRule, open_at=st.just(0.2), close_at=st.just(0.1), hold_hours=st.sampled_from([0, 1, 24, 48]),
    clear_hours=st.sampled_from([0, 24, 72]), cool_down_days=st.sampled_from([0, 2, 14]),
)  # fmt: skip
series = st.lists(
    st.tuples(
        st.sampled_from([1, 24, 24, 24, 72, 400]),
        st.sampled_from([0.0, 0.05, 0.099, 0.1, 0.15, 0.199, 0.2, 0.4, 0.9]),
        st.sampled_from([False] * 9 + [True]),
    ),
    max_size=40,
)


@modest(150)
@given(series, rules)
def test_between_the_thresholds_a_pending_alert_is_dropped_and_no_other_moves(risks: Any, rule: AlertRule) -> None:
    for m in driven(risks, rule):
        if 0.1 <= m.circumstances.probability < 0.2 and not m.circumstances.barred:
            if m.before.state == "pending":
                assert (m.after.state, m.move and m.move.change) == ("inactive", "dropped")
            else:
                assert m.move is None or m.move.change == "eased"
                assert m.after.state == m.before.state


@modest(150)
@given(series, rules)
def test_an_alert_fires_only_after_the_hold_time_and_never_from_below(risks: Any, rule: AlertRule) -> None:
    moments = driven(risks, rule)
    for i, m in enumerate(moments):
        if m.move is not None and m.move.change == "fired":
            assert m.circumstances.probability >= rule.open_at
            assert m.circumstances.at_ms - m.after.opened_at_ms >= rule.hold_hours * HOUR_MS
            since = [p for p in moments[:i] if p.circumstances.at_ms > m.after.opened_at_ms]
            assert all(p.circumstances.probability >= rule.close_at for p in since)


@modest(150)
@given(series, rules)
def test_an_alert_resolves_only_after_the_clear_time_below_or_for_want_of_consent(risks: Any, rule: AlertRule) -> None:
    moments = driven(risks, rule)
    for i, m in enumerate(moments):
        if m.move is not None and m.move.change == "resolved" and not m.circumstances.barred:
            from_ms = m.circumstances.at_ms - rule.clear_hours * HOUR_MS
            below = [p.circumstances.probability < rule.close_at for p in moments[: i + 1]]
            last_above = max(
                (p.circumstances.at_ms for p, is_below in zip(moments, below, strict=False) if not is_below)
            )
            assert below[i]
            assert last_above <= from_ms or rule.clear_hours == 0


@modest(150)
@given(series, rules)
def test_an_alert_eases_only_after_the_clear_time_in_lower_bands_and_to_the_highest_of_them(
    risks: Any, rule: AlertRule
) -> None:
    moments = driven(risks, rule)
    for i, m in enumerate(moments):
        if m.move is not None and m.move.change == "eased":
            lower: list[Moment] = []
            for p in reversed(moments[: i + 1]):
                if p.before.state != "firing" or BANDS.index(p.circumstances.band) >= BANDS.index(m.before.band):
                    break
                lower.append(p)
                if p.circumstances.at_ms < m.circumstances.at_ms and p.move is not None:
                    break
            assert m.circumstances.at_ms - lower[-1].circumstances.at_ms >= rule.clear_hours * HOUR_MS
            seen = {p.circumstances.band for p in lower}
            assert m.after.band == max(seen, key=BANDS.index) != m.before.band


@modest(150)
@given(series, rules)
def test_a_risk_that_swings_between_bands_says_so_once_in_a_clear_time(risks: Any, rule: AlertRule) -> None:
    said_ms = 0
    for m in driven(risks, rule):
        at_ms = m.circumstances.at_ms
        if m.move is not None and m.move.change == "eased":
            assert at_ms - said_ms >= rule.clear_hours * HOUR_MS
        if m.move is not None and m.move.change in {"fired", "worsened", "eased"}:
            said_ms = at_ms


@modest(150)
@given(series, rules)
def test_no_episode_opens_in_the_cool_down_of_the_one_before(risks: Any, rule: AlertRule) -> None:
    resolved_ms: int | None = None
    for m in driven(risks, rule):
        if m.after.opened_at_ms != m.before.opened_at_ms and resolved_ms is not None:
            assert m.after.opened_at_ms - resolved_ms >= rule.cool_down_days * DAY_MS
        if m.move is not None and m.move.change == "resolved":
            resolved_ms = m.circumstances.at_ms


@modest(150)
@given(series, rules)
def test_episode_numbers_count_the_alerts_that_fired(risks: Any, rule: AlertRule) -> None:
    fired = 0
    for m in driven(risks, rule):
        fired += m.move is not None and m.move.change == "fired"
        assert m.after.episode == fired + (m.after.state == "pending")


@modest(100)
@given(series, rules)
def test_every_transition_of_a_series_has_its_own_id_and_every_episode_one(risks: Any, rule: AlertRule) -> None:
    first, again = (
        [
            transition_id(
                alert_id(SUBSCRIBER, m.after.kind, m.after.opened_at_ms), m.move.change, m.circumstances.at_ms
            )
            for m in driven(risks, rule)
            if m.move is not None
        ]
        for _ in range(2)
    )
    assert first == again
    assert len(set(first)) == len(first)


def test_ids_stay_the_same_from_release_to_release() -> None:
    identity = alert_id(SUBSCRIBER, "natural", at(0))
    assert identity == "a_6b74b022e1ed7984f1780670d5124e22"
    assert transition_id(identity, "fired", at(1)) == "t_f40539f3cc4c3bdd342671524a9d317c"
    assert transition_id(identity, "fired", at(1), "lapsed") == "t_f40539f3cc4c3bdd342671524a9d317c"
    assert len({transition_id(identity, "restaged", at(1), stage) for stage in get_args(Stage)}) == 3


def test_who_it_is_what_kind_it_is_and_when_it_opened_make_an_alerts_identity() -> None:
    ids = {
        alert_id(*key)
        for key in (("s_1", "natural", 1), ("s_2", "natural", 1), ("s_1", "value_loss", 1), ("s_1", "natural", 2))
    }
    assert len(ids) == 4

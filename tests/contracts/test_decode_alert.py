"""What is published of an alert is read back as it was."""

import json
from typing import Any, get_args

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from streams.core.contracts.codes import ACTIONS, WHYS, action_code, why_code
from streams.core.contracts.decode_alert import alert_changed, differences
from streams.core.contracts.effects import AlertChanged, ChurnKind, Evidence, Reason, RiskBand, Stage, ValueBand
from streams.core.contracts.encode import alert_message, output_record
from streams.core.contracts.events import INPUTS
from streams.core.contracts.outputs import AlertMessage
from streams.core.contracts.source import PARTITIONS_MAX, source_number
from tests.contracts.catalogue import history_of, validator
from tests.contracts.test_outputs import CHANGE

TIMES = st.integers(min_value=0, max_value=4_102_444_800_000)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
SHARES = st.floats(min_value=0.0, max_value=1.0)
NAMES = st.from_regex("[a-z][a-z0-9_]{0,15}", fullmatch=True)
SENTENCES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
MAYBE = st.none() | NAMES
WHYS_TOLD = SENTENCES.map(lambda text: (text, why_code(text))) | st.sampled_from([(WHYS[code], code) for code in WHYS])
ACTIONS_ASKED = SENTENCES.map(lambda text: (text, action_code(text))) | st.sampled_from(
    [(ACTIONS[code], code) for code in ACTIONS]
)
STANDING = st.sampled_from(
    [
        ("pending", "opened"), ("firing", "fired"), ("firing", "worsened"), ("firing", "eased"), ("firing", "restaged"),
        ("inactive", "dropped"), ("resolved", "resolved"),
    ]
)  # fmt: skip
EVIDENCE = st.builds(
    Evidence,
    measure=NAMES,
    unit=NAMES,
    value=NUMBERS,
    baseline=st.none() | NUMBERS,
    window_days=st.none() | st.integers(1, 3_660),
)
REASONS = st.builds(
    Reason,
    code=NAMES,
    theme=NAMES,
    contribution=NUMBERS,
    features=st.dictionaries(NAMES, NUMBERS, max_size=4),
    evidence=st.lists(EVIDENCE, max_size=3).map(tuple),
    change=st.none() | NUMBERS,
    since_ms=st.none() | TIMES,
)
SOURCES = st.builds(source_number, st.sampled_from(list(INPUTS)), st.integers(0, PARTITIONS_MAX - 1))


@st.composite
def transitions(draw: st.DrawFn) -> AlertChanged:
    """Any transition that the core can announce."""
    state, change = draw(STANDING)
    (why, of_why), (action, of_action) = draw(WHYS_TOLD), draw(ACTIONS_ASKED)
    return draw(
        st.builds(
            AlertChanged,
            alert_id=NAMES,
            transition_id=NAMES,
            subscriber_id=st.from_regex("s_[0-9a-f]{32}", fullmatch=True),
            kind=st.sampled_from(get_args(ChurnKind)),
            episode=st.integers(1, 2**31 - 1),
            state=st.just(state),
            change=st.just(change),
            why=st.just(why),
            at_ms=TIMES,
            opened_at_ms=TIMES,
            probability=SHARES,
            logit=NUMBERS,
            intercept=NUMBERS,
            threshold=SHARES,
            band=st.sampled_from(get_args(RiskBand)),
            value_band=st.sampled_from(get_args(ValueBand)),
            value_at_risk_minor=st.integers(0, 2**53 - 1),
            currency=st.sampled_from(["", "CNY", "EUR"]),
            reasons=st.lists(REASONS, max_size=3).map(tuple),
            action=st.just(action),
            due_at_ms=TIMES,
            model_version=NAMES,
            feature_table=NAMES,
            policy_version=NAMES,
            schema_version=NAMES,
            offsets=st.dictionaries(SOURCES, st.integers(0, 2**53 - 1), max_size=6),
            account_manager_id=MAYBE,
            group_id=MAYBE,
            area_id=MAYBE,
            signals_version=MAYBE,
            held_out=st.booleans(),
            contact_allowed=st.booleans(),
            why_code=st.just(of_why),
            action_code=st.just(of_action),
            stage=st.sampled_from(get_args(Stage)),
        )
    )


@given(transitions())
def test_a_transition_that_was_published_is_read_back_as_it_was(change: AlertChanged) -> None:
    assert alert_changed(alert_message(change)) == change
    assert alert_changed(msgspec.json.decode(output_record(change).value, type=AlertMessage)) == change


@given(transitions())
def test_an_alert_of_before_there_were_codes_gets_those_of_its_sentences(change: AlertChanged) -> None:
    assume(change.change != "restaged")
    change = msgspec.structs.replace(change, stage="at_risk")  # As all were before there were stages.
    before = json.loads(output_record(change).value)
    del before["why_code"], before["action_code"], before["stage"]
    assert validator(history_of("alerts")["1.3"]).is_valid(before)
    assert alert_changed(msgspec.convert(before, AlertMessage)) == change


def test_an_action_of_the_operators_own_has_no_code_before_or_after() -> None:
    own = msgspec.structs.replace(CHANGE, action="Send flowers", why=WHYS["subscriber_left"])
    read = alert_changed(alert_message(own))
    assert (read.action, read.action_code) == ("Send flowers", None)
    assert read.why_code == "subscriber_left"


def test_codes_and_the_contracts_of_the_time_make_no_difference_and_all_else_does() -> None:
    codes: dict[str, Any] = {"why_code": "band_rose", "action_code": "review_plan", "schema_version": "contracts-1"}
    assert differences(CHANGE, msgspec.structs.replace(CHANGE, **codes)) == ()
    other = {"why": "x", "action": "y", "probability": 0.5, "offsets": {}}
    assert set(differences(CHANGE, msgspec.structs.replace(CHANGE, **other))) == set(other)

"""What was done about a subscriber, and what was told of a label before its time: both go with the example."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts.drafts import finish_example
from streams.core.alerts.labels import (
    ALERTED,
    CONTACTED,
    HELD_OUT,
    is_held_out,
    note_revenue,
    note_treatment,
    settle_at_leaving,
    settle_closed,
    take_snapshot,
    tell_early,
)
from streams.core.alerts.policy import LabelPolicy
from streams.core.contracts.effects import AlertChanged, ExampleDraft, LabelledExample, UnmatchedLeaving
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.subscriber.facts import Watch
from streams.core.subscriber.fold import Life
from streams.core.subscriber.packing import pack, unpack
from streams.core.subscriber.snapshots import HIGH_BAND, LOW_BAND
from streams.core.subscriber.state import PendingSnapshot
from tests.core.alerts.test_labels import examples_of
from tests.core.makers import SUBSCRIBER, at, complaint, outcome, policy, profile, top_up, usage
from tests.core.test_step import COMPLAINING, Tale

EARLY = LabelPolicy(horizon_days=30, explicit=True, inactivity=True, learn_at="close", surrogate_days=10)
VALUE = LabelPolicy(horizon_days=30, explicit=True, inactivity=True, value_loss=True, learn_at="close")
NOBODY = {"holdout": {"share": 0.0}}
HALF = {"holdout": {"share": 0.5}}


def watching(*days: float) -> Watch:
    watch = Watch(probability=0.25)
    for day in days:
        take_snapshot(watch, at(day), (1.5, float(day)), FEATURE_TABLE, "model-1")
    return watch


def finished(draft: ExampleDraft, band: int = LOW_BAND) -> LabelledExample:
    """The example of a snapshot that was taken in a value band."""
    return finish_example(
        draft, SUBSCRIBER, PendingSnapshot(draft.at_ms, bytes(8), FEATURE_TABLE, 0.25, "model-1", band=band)
    )


def lived(rules: dict[str, dict[str, float]], contact: str | None = None) -> Tale:
    """A subscriber with money and use for weeks, a complaint on day 70 that alerts, and perhaps a call on day 75."""
    tale = Tale(COMPLAINING, policy(**rules))
    for day in range(1, 130):
        tale.tell(usage(at(day)))
        if not day % 10:
            tale.tell(top_up(at(day, 1)))
        if day == 70:
            tale.tell(complaint(at(day, 2)))
        if day == 75 and contact is not None:
            tale.tell(outcome(at(day, 3), "contacted", contact_channel="call", contact_outcome=contact))
    return tale


def treatments(tale: Tale) -> list[str]:
    return [effect.treatment for effect in tale.effects if isinstance(effect, LabelledExample)]


def test_snapshots_before_and_during_an_alert_say_that_somebody_was_told_and_earlier_ones_do_not() -> None:
    found = treatments(lived(NOBODY))
    assert "alerted" in found
    assert found[0] == "none"
    assert set(found) == {"none", "alerted"}


@pytest.mark.parametrize("contact", ["accepted", "declined", "undecided"])
def test_whoever_was_reached_was_contacted_whatever_they_answered(contact: str) -> None:
    assert "contacted" in treatments(lived(NOBODY, contact))


@pytest.mark.parametrize("contact", ["not_reached", "wrong_number", "no_action"])
def test_a_call_that_reached_nobody_is_no_contact(contact: str) -> None:
    assert "contacted" not in treatments(lived(NOBODY, contact))


def test_whoever_is_held_out_is_scored_and_alerted_and_both_the_alert_and_the_examples_say_so() -> None:
    share = next(share / 100 for share in range(1, 51) if is_held_out(SUBSCRIBER, share / 100) or share == 50)
    held = is_held_out(SUBSCRIBER, share)
    tale = lived({"holdout": {"share": share}})
    alerts = [effect for effect in tale.effects if isinstance(effect, AlertChanged)]
    assert alerts
    assert {alert.held_out for alert in alerts} == {held}
    assert ("held_out" in treatments(tale)) is held
    assert ("alerted" in treatments(tale)) is not held


@pytest.mark.parametrize("allowed", [None, True, False])
def test_an_alert_says_whether_the_profile_allows_contact_and_without_a_profile_it_does(
    allowed: bool | None,
) -> None:
    tale = Tale(COMPLAINING, policy(**NOBODY))
    tale.days(1, 70)
    if allowed is not None:
        tale.tell(profile(at(70, 1), contact_allowed=allowed))
    tale.tell(complaint(at(70, 2))).days(71, 80)
    alerts = [effect for effect in tale.effects if isinstance(effect, AlertChanged)]
    assert {alert.contact_allowed for alert in alerts} == {allowed is not False}


def test_of_a_large_number_the_share_is_held_out_and_a_larger_share_holds_the_same_ones() -> None:
    everybody = [f"s_{number:032x}" for number in range(20_000)]
    small = {who for who in everybody if is_held_out(who, 0.05)}
    large = {who for who in everybody if is_held_out(who, 0.10)}
    assert 850 < len(small) < 1_150
    assert small < large
    assert not any(is_held_out(who, 0.0) for who in everybody[:100])


@given(st.permutations([(ALERTED, 3), (CONTACTED, 5), (HELD_OUT, 2), (ALERTED, 9)]))
def test_the_most_that_was_done_counts_in_any_order(done: list[tuple[int, int]]) -> None:
    watch = watching(0, 4, 8)
    for treated, day in done:
        note_treatment(watch, treated, at(day))
    assert [snapshot.treated for snapshot in watch.waiting] == [HELD_OUT, CONTACTED, ALERTED]


def test_the_first_days_are_told_once_and_what_they_said_is_on_the_final_example() -> None:
    watch = watching(0, 7)
    assert tell_early(watch, at(10), EARLY) == ()
    (told,) = tell_early(watch, at(10) + 1, EARLY)
    assert (told.provisional, told.kind, finished(told).label, told.corrects) == (True, "inactivity", True, None)
    assert told.knowable_at_ms == told.closed_at_ms == at(10)
    assert tell_early(watch, at(11), EARLY) == ()
    note_revenue(watch, at(12))
    final = examples_of(settle_closed(watch, at(31), EARLY))
    assert [(e.provisional, e.kind, e.corrects) for e in final] == [(False, "stayed", True)]
    assert finished(final[0]).example_id == "e" + finished(told).example_id[1:]


def test_revenue_in_the_first_days_is_told_as_staying_and_a_port_out_corrects_it() -> None:
    watch = watching(0)
    note_revenue(watch, at(3))
    (told,) = tell_early(watch, at(12), EARLY)
    assert (told.kind, finished(told).label) == ("stayed", False)
    (final,) = settle_at_leaving(watch, at(20), Life.PORTED_OUT, EARLY)
    assert isinstance(final, ExampleDraft)
    assert (final.kind, final.corrects) == ("port_out", False)


def test_where_silence_is_no_leaving_the_first_days_never_say_that_somebody_left() -> None:
    explicit = LabelPolicy(horizon_days=30, explicit=True, inactivity=False, learn_at="close", surrogate_days=10)
    (told,) = tell_early(watching(0), at(12), explicit)
    assert told.kind == "stayed"


def test_the_silence_of_who_is_suspended_is_not_told_early_and_what_was_used_is() -> None:
    watch = watching(0, 1)
    note_revenue(watch, at(10.5))
    told = tell_early(watch, at(12), EARLY, at(5))
    assert [(draft.at_ms, draft.kind) for draft in told] == [(at(1), "stayed")]


def test_without_surrogate_days_nothing_is_told_early() -> None:
    assert tell_early(watching(0), at(29), VALUE) == ()


def test_a_policy_with_surrogate_days_has_both_examples_of_each_snapshot_on_the_way() -> None:
    tale = Tale(COMPLAINING, policy(label={"surrogate_days": 10}))
    for day in range(1, 90):
        tale.tell(usage(at(day)))
    examples = [effect for effect in tale.effects if isinstance(effect, LabelledExample)]
    early = {e.example_id[1:]: e for e in examples if e.provisional}
    final = [e for e in examples if not e.provisional]
    assert len(final) > 3
    assert all(e.corrects is early[e.example_id[1:]].label for e in final)


@pytest.mark.parametrize(
    ("band", "now", "kind"),
    [
        (HIGH_BAND, LOW_BAND, "value_loss"),
        (HIGH_BAND, 1, "stayed"),
        (1, LOW_BAND, "stayed"),
        (HIGH_BAND, HIGH_BAND, "stayed"),
    ],
)
def test_a_fall_from_the_high_band_to_the_low_one_is_a_loss_of_value(band: int, now: int, kind: str) -> None:
    watch = watching(0)
    note_revenue(watch, at(3))
    (draft,) = examples_of(settle_closed(watch, at(31), VALUE, now))
    example = finished(draft, band)
    assert (example.kind, example.knowable_at_ms) == (kind, at(30))


def test_silence_is_leaving_even_where_it_is_a_loss_of_value_too() -> None:
    (draft,) = examples_of(settle_closed(watching(0), at(31), VALUE, LOW_BAND))
    assert finished(draft, HIGH_BAND).kind == "inactivity"


def test_a_subscriber_who_spends_much_and_then_little_is_a_loss_of_value_where_that_counts() -> None:
    def told(value_loss: bool) -> set[str]:
        tale = Tale(COMPLAINING, policy(label={"value_loss": value_loss}, **NOBODY))
        for day in range(1, 120):
            tale.tell(usage(at(day)))
            if day < 60 and not day % 5:
                tale.tell(top_up(at(day, 1), amount_minor=3000))
        return {effect.kind for effect in tale.effects if isinstance(effect, LabelledExample)}

    assert told(value_loss=True) == {"stayed", "value_loss"}
    assert told(value_loss=False) == {"stayed"}


def test_a_leaving_that_settles_nothing_is_counted_and_one_against_ones_will_is_not_expected_to() -> None:
    assert Tale().give_one(outcome(at(1), "port_out_completed")) == (UnmatchedLeaving(),)
    assert Tale().give_one(outcome(at(1), "terminated", voluntary=False)) == ()
    known = lived(NOBODY)
    assert UnmatchedLeaving() not in known.effects
    known.tell(outcome(at(131), "port_out_completed"))
    assert UnmatchedLeaving() not in known.effects


def test_what_was_done_and_told_is_kept_in_a_packed_state() -> None:
    tale = lived(NOBODY, "accepted")
    assert {snapshot.treated for snapshot in tale.known.watch.waiting} > {0} or tale.known.watch.waiting
    assert unpack(pack(tale.known)) == tale.known

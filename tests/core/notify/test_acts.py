"""The table of people's work: which act leads where."""

from typing import get_args

from streams.core.notify.acts import WorkState, may_set, next_state
from streams.core.notify.messages import ActName

STATES: tuple[WorkState, ...] = get_args(WorkState)
ACTS: tuple[ActName, ...] = get_args(ActName)


def test_each_act_leads_to_one_state_wherever_it_means_something() -> None:
    leads = {
        act: {next_state(state, act) for state in STATES} - {None} for act in ACTS if act not in {"assign", "note"}
    }
    assert leads == {
        "acknowledge": {"acknowledged"},
        "start": {"in_progress"},
        "snooze": {"snoozed"},
        "wake": {"open"},
        "close": {"closed"},
        "reopen": {"open"},
    }


def test_what_is_closed_is_only_reopened_or_closed_otherwise_and_remarked_on() -> None:
    assert {act for act in ACTS if next_state("closed", act)} == {"reopen", "close", "assign", "note"}


def test_only_what_sleeps_can_be_woken() -> None:
    assert [state for state in STATES if next_state(state, "wake")] == ["snoozed"]


def test_every_state_can_be_reached_and_left() -> None:
    reached, ahead = {"open"}, ["open"]
    while ahead:
        state = ahead.pop()
        for act in ACTS:
            found = next_state(state, act)  # type: ignore[arg-type]  # it is one of the states
            if found and found not in reached:
                reached.add(found)
                ahead.append(found)
    assert reached == set(STATES)
    assert all(any(next_state(state, act) not in {None, state} for act in ACTS) for state in STATES)


def test_an_outcome_comes_with_closing_and_a_time_with_snoozing() -> None:
    assert [act for act in ACTS if "outcome" in may_set(act)] == ["close"]
    assert [act for act in ACTS if "snoozed_until_ms" in may_set(act)] == ["snooze"]
    assert all({"note", "assignee"} <= may_set(act) for act in ACTS)

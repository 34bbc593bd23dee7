"""The phases of a dispatcher: a complete table, one way through it, and no way back."""

import pytest

from streams.sink.dispatch.phases import NEXT, Event, Phase, PhaseError, next_phase

TAKEN = {
    (Phase.SERVING, Event.STOP): Phase.CLOSING,
    (Phase.CLEARING, Event.STOP): Phase.CLOSING,
    (Phase.CLOSING, Event.RELEASED): Phase.FINISHING,
    (Phase.FINISHING, Event.WRITTEN): Phase.ENDED,
}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("phase", Phase)
def test_each_phase_takes_the_events_of_the_table_and_refuses_all_others(phase: Phase, event: Event) -> None:
    if (phase, event) in TAKEN:
        assert next_phase(phase, event) is TAKEN[phase, event]
    else:
        with pytest.raises(PhaseError, match=f"that is {phase.value} takes no {event.value}"):
            next_phase(phase, event)


def test_every_phase_has_its_row_and_leads_to_the_end() -> None:
    assert set(NEXT) == set(Phase)
    for begun in Phase:
        phase, seen = begun, set()
        while NEXT[phase]:
            assert phase not in seen
            seen.add(phase)
            (phase,) = NEXT[phase].values()
        assert phase is Phase.ENDED


def test_only_a_dispatcher_that_was_not_stopped_claims() -> None:
    assert {phase for phase in Phase if phase.claims} == {Phase.SERVING, Phase.CLEARING}

"""The life of a dispatcher, as a table: what it still does in each phase, and what brings it to the next one.

SERVING ---+
           | STOP               RELEASED               WRITTEN
           +------> CLOSING ------------> FINISHING -----------> ENDED
           |
CLEARING --+
"""

from enum import Enum
from typing import Final


class Phase(Enum):
    """What a dispatcher is doing."""

    SERVING = "serving"
    """It claims whatever becomes due, until it is told to stop."""
    CLEARING = "clearing"
    """It claims what is due and tries each delivery once; then it stops by itself."""
    CLOSING = "closing"
    """It begins no new claim and no call; a claim that is under way ends first."""
    FINISHING = "finishing"
    """What was claimed and not sent is given back; calls that are under way are waited for and written down."""
    ENDED = "ended"
    """Nothing is under way."""

    @property
    def claims(self) -> bool:
        """Whether deliveries are claimed and calls are begun."""
        return self in {Phase.SERVING, Phase.CLEARING}


class Event(Enum):
    """What happens to a dispatcher."""

    STOP = "stop"
    """It is told to stop, or nothing is left that is due."""
    RELEASED = "released"
    """The last claim has ended, and what was not sent was given back."""
    WRITTEN = "written"
    """The last call has ended, and what came of it is written down."""


NEXT: Final[dict[Phase, dict[Event, Phase]]] = {
    Phase.SERVING: {Event.STOP: Phase.CLOSING},
    Phase.CLEARING: {Event.STOP: Phase.CLOSING},
    Phase.CLOSING: {Event.RELEASED: Phase.FINISHING},
    Phase.FINISHING: {Event.WRITTEN: Phase.ENDED},
    Phase.ENDED: {},
}
"""Every event that each phase takes; any other one is a fault of the dispatcher."""


class PhaseError(RuntimeError):
    """An event that a phase does not take."""


def next_phase(phase: Phase, event: Event) -> Phase:
    """Return the phase that follows.

    Raises:
        PhaseError: the phase takes no such event.

    >>> next_phase(Phase.CLEARING, Event.STOP)
    <Phase.CLOSING: 'closing'>
    """
    following = NEXT[phase].get(event)
    if following is None:
        raise PhaseError(f"a dispatcher that is {phase.value} takes no {event.value}")
    return following

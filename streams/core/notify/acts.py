"""The states of people's work on an alert, as a table, and which fields each act may set."""

from typing import Final, Literal

from streams.core.notify.messages import ActName

WorkState = Literal["open", "acknowledged", "in_progress", "snoozed", "closed"]

_MOVES: Final[dict[tuple[WorkState, ActName], WorkState]] = {
    ("open", "acknowledge"): "acknowledged",
    ("open", "start"): "in_progress",
    ("open", "snooze"): "snoozed",
    ("open", "close"): "closed",
    ("acknowledged", "start"): "in_progress",
    ("acknowledged", "snooze"): "snoozed",
    ("acknowledged", "close"): "closed",
    ("acknowledged", "reopen"): "open",
    ("in_progress", "acknowledge"): "acknowledged",
    ("in_progress", "snooze"): "snoozed",
    ("in_progress", "close"): "closed",
    ("in_progress", "reopen"): "open",
    ("snoozed", "acknowledge"): "acknowledged",
    ("snoozed", "start"): "in_progress",
    ("snoozed", "snooze"): "snoozed",
    ("snoozed", "wake"): "open",
    ("snoozed", "close"): "closed",
    ("snoozed", "reopen"): "open",
    # Closed once more: the outcome is put right.
    ("closed", "close"): "closed",
    ("closed", "reopen"): "open",
}
_REMARKS: Final[frozenset[ActName]] = frozenset({"assign", "note"})
"""Acts that leave the state as it is, whatever it is."""

_COMMON: Final = frozenset({"assignee", "note"})
_FIELDS: Final[dict[ActName, frozenset[str]]] = {
    "snooze": _COMMON | {"snoozed_until_ms", "snooze_reason"},
    "close": _COMMON | {"outcome", "outcome_reason"},
}


def next_state(state: WorkState, act: ActName) -> WorkState | None:
    """Return the state after an act, None where the act means nothing in that state.

    >>> next_state("open", "start"), next_state("closed", "start"), next_state("closed", "note")
    ('in_progress', None, 'closed')
    """
    return state if act in _REMARKS else _MOVES.get((state, act))


def may_set(act: ActName) -> frozenset[str]:
    """Return the fields of the work that an act may set.

    >>> sorted(may_set("start"))
    ['assignee', 'note']
    """
    return _FIELDS.get(act, _COMMON)

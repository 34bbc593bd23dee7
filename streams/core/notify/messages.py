"""What receivers are told: which message follows from what, by which id, and what it asks of a receiver."""

from hashlib import blake2b
from typing import Final, Literal

from streams.core.contracts.effects import AlertChange, Stage
from streams.core.notify.endpoints import Action, Filter, MessageType

ActName = Literal["acknowledge", "start", "assign", "note", "snooze", "wake", "close", "reopen"]
"""What people do about an alert."""

_OF_CHANGE: Final[dict[AlertChange, MessageType]] = {
    "fired": "alert.fired",
    "worsened": "alert.worsened",
    "eased": "alert.eased",
    "restaged": "alert.restaged",
    "resolved": "alert.resolved",
}
_OF_ACT: Final[dict[ActName, MessageType]] = {
    "acknowledge": "alert.acknowledged",
    "start": "alert.started",
    "snooze": "alert.snoozed",
    "wake": "alert.woken",
    "close": "alert.closed",
    "reopen": "alert.reopened",
}

ENDINGS: Final[frozenset[MessageType]] = frozenset({"alert.resolved", "alert.closed"})
"""After these there is nothing to do about the alert."""

RISINGS: Final[frozenset[MessageType]] = frozenset({"alert.fired", "alert.worsened", "alert.woken", "alert.reopened"})
"""These may be the first that a receiver hears of an alert of which it was not told before for a reason.

So may a change of stage, because of a request to leave or where the receiver asked for its stage (`may_be_first`).
"""


def type_of(change: AlertChange) -> MessageType | None:
    """Return what is told of a transition; nobody hears of an alert that waits, or waited, to fire.

    >>> type_of("fired"), type_of("opened")
    ('alert.fired', None)
    """
    return _OF_CHANGE.get(change)


def may_be_first(message: MessageType, stage: Stage, asked: Filter) -> bool:
    """Say whether a message may be the first that a receiver hears of an alert of which it was not told before.

    >>> may_be_first("alert.restaged", "requested", Filter()), may_be_first("alert.restaged", "lapsed", Filter())
    (True, False)
    """
    if message == "alert.restaged":
        return stage == "requested" or stage in asked.stages
    return message in RISINGS


def type_of_act(act: ActName) -> MessageType | None:
    """Return what is told of an act of people; a note or an assignee is theirs alone.

    >>> type_of_act("close"), type_of_act("note")
    ('alert.closed', None)
    """
    return _OF_ACT.get(act)


def action_of(message: MessageType, ticket: object | None) -> Action | None:
    """Return what a message asks of a receiver that knows a ticket, or none; None: nothing, as nothing was ever told.

    >>> action_of("alert.worsened", None), action_of("alert.worsened", "T-1"), action_of("alert.resolved", None)
    ('create', 'update', None)
    """
    if message in ENDINGS:
        return None if ticket is None else "resolve"
    return "create" if ticket is None else "update"


def act_message_id(act_id: str) -> str:
    """Return the id of the message that tells of an act.

    >>> act_message_id("i_1")
    'w_ee887328836935aa0ad63442b0852e3e'
    """
    return f"w_{_hash(act_id)}"


def delivery_id(endpoint: str, message_id: str) -> str:
    """Return the id of the delivery of a message to an endpoint, which is the same whoever computes it.

    >>> delivery_id("crm", "t_1")
    'd_44bd2b7f423b2d65fc9bae5f31b1898b'
    """
    return f"d_{_hash(f'{endpoint}|{message_id}')}"


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()

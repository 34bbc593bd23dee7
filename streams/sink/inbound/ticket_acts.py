"""What a change of a ticket asks of the work on its alert: one act, or none and why."""

from typing import Any, Final

from msgspec import Struct

from streams.core.contracts.effects import AlertChanged
from streams.core.contracts.events import CustomerReason
from streams.core.notify.endpoints import Endpoint
from streams.core.notify.messages import ActName
from streams.sink.inbound.formats import (
    ACTS,
    OUTCOMES,
    REASONS,
    OutcomeWord,
    TicketUpdate,
    meaning,
)
from streams.store.outbox.values import AlertWork

STATUS_MAP: Final = "inbound_status"
OUTCOME_MAP: Final = "inbound_outcome"
REASON_MAP: Final = "inbound_reason"
"""Tables of an endpoint's `map` that say what its receiver's own words mean."""

NOT_SAID: Final = "unknown"
"""The outcome of what was closed without a word about it: the learner hears nothing of it."""

_OPENING: Final = frozenset({"acknowledge", "start", "open"})


class WorkAction(Struct, frozen=True, kw_only=True):
    """One act, with the fields of the work that it sets, and the outcome that the learner is to hear of."""

    act: ActName
    fields: dict[str, Any]
    outcome: OutcomeWord | None = None
    reason: CustomerReason | None = None


class UnknownStatusError(ValueError):
    """No table knows a ticket's state, or a table of the endpoint says what there is not; the words say what to do."""


def choose_action(heard: TicketUpdate, endpoint: Endpoint, alert: AlertChanged, work: AlertWork) -> WorkAction | str:
    """Return what is to be done about an alert, or why nothing is.

    Raises:
        UnknownStatusError: the state means nothing, or a table of the endpoint gives a word that there is not.
    """
    word = heard.act or _meaning(heard, endpoint)
    act, _, outcome_word = word.partition(":")
    if act == "ignore":
        return "the endpoint's own table passes over this state"
    if heard.act is None and work.state == "closed" and act in _OPENING:
        if heard.at_ms is not None and heard.at_ms < work.updated_ms:
            return "it is older than what was done since"
        act = "reopen"
    if act == "open":
        return "the alert is open"
    if act not in ACTS:
        raise UnknownStatusError(f"{STATUS_MAP} gives {word!r}; there are {', '.join(ACTS)}, open and ignore")
    outcome = _outcome(heard, endpoint, outcome_word) if act == "close" else None
    if heard.act is None and act == "close" and outcome is None and alert.state not in {"pending", "firing"}:
        return "the alert had resolved by itself, and its ticket with it"
    reason = _reason(heard, endpoint)
    return WorkAction(act=act, fields=_fields(act, heard, outcome, reason), outcome=outcome, reason=reason)


def _meaning(heard: TicketUpdate, endpoint: Endpoint) -> str:
    found = meaning(heard.statuses, endpoint.preset, endpoint.map.get(STATUS_MAP, {}))
    if found is None:
        named = heard.statuses[0] if heard.statuses else ""
        raise UnknownStatusError(
            f"say in map.{STATUS_MAP} of the endpoint what {named!r} means: "
            "acknowledge, start, open, close, close:saved, ignore"
        )
    return found


def _outcome(heard: TicketUpdate, endpoint: Endpoint, word: str) -> OutcomeWord | None:
    """Return the outcome: in so many words, else by the endpoint's table, else by what the state means."""
    said = heard.outcome or ""
    table = {name.lower(): meant for name, meant in endpoint.map.get(OUTCOME_MAP, {}).items()}
    found = said if said in OUTCOMES else table.get(said.lower(), word)
    if not found:
        return None
    if found not in OUTCOMES:
        raise UnknownStatusError(f"the outcome {found!r} is none; there are {', '.join(OUTCOMES)}")
    return found


def _reason(heard: TicketUpdate, endpoint: Endpoint) -> CustomerReason | None:
    said = heard.reason or heard.outcome or ""
    table = {name.lower(): meant for name, meant in endpoint.map.get(REASON_MAP, {}).items()}
    found = said if said in REASONS else table.get(said.lower())
    if found is None:
        return None
    if found not in REASONS:
        raise UnknownStatusError(f"{REASON_MAP} gives {found!r}; there are {', '.join(REASONS)}")
    return found


def _fields(
    act: ActName, heard: TicketUpdate, outcome: OutcomeWord | None, reason: CustomerReason | None
) -> dict[str, Any]:
    if act == "snooze":
        return {"snoozed_until_ms": heard.until_ms, "snooze_reason": heard.note}
    fields: dict[str, Any] = {}
    if heard.assignee is not None:
        fields["assignee"] = heard.assignee
    if heard.note is not None:
        fields["note"] = heard.note
    if act == "close":
        fields |= {"outcome": outcome or NOT_SAID, "outcome_reason": reason}
    return fields

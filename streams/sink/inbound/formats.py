"""What ticketing systems say when a ticket has changed: bodies of their own shapes in, one shape out.

It reads only the state of a ticket, its resolution and its ids.  It reads no texts and no names: texts could be notes
that we wrote, and names of people have no business here.  Our own plain body names the act itself.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from streams.core.contracts.decode import epoch_ms
from streams.core.contracts.events import CustomerReason
from streams.core.notify.endpoints import PresetName
from streams.core.notify.messages import ActName

OutcomeWord = Literal["saved", "lost", "declined", "not_reached", "false_alarm", "duplicate", "recovered"]
Family = Literal["tmf621", "servicenow", "jira", "zendesk", "zammad", "pagerduty", "plain"]
ExternalId = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(min_length=1, max_length=4_000)]

ACTS: Final[tuple[ActName, ...]] = get_args(ActName)
OUTCOMES: Final[tuple[OutcomeWord, ...]] = get_args(OutcomeWord)
REASONS: Final[tuple[CustomerReason, ...]] = get_args(CustomerReason)

FAMILIES: Final[dict[PresetName, Family]] = {
    "tmf621-v4": "tmf621",
    "tmf621-v5": "tmf621",
    "servicenow-incident": "servicenow",
    "servicenow-event": "servicenow",
    "jira": "jira",
    "zendesk": "zendesk",
    "zammad": "zammad",
    "pagerduty-v2": "pagerduty",
}
"""Whose words a preset's receiver speaks; the others send the plain body."""

STATUSES: Final[dict[Family, dict[str, str]]] = {
    "tmf621": {
        "acknowledged": "acknowledge",
        "inprogress": "start",
        "pending": "start",
        "held": "start",
        "resolved": "close",
        "closed": "close",
        "cancelled": "close:false_alarm",
        "rejected": "close:false_alarm",
    },
    "servicenow": {
        "1": "open",
        "2": "start",
        "3": "start",
        "6": "close",
        "7": "close",
        "8": "close:false_alarm",
    },
    "jira": {"new": "open", "indeterminate": "start", "done": "close"},
    "zendesk": {
        "new": "open",
        "open": "start",
        "pending": "start",
        "hold": "start",
        "solved": "close",
        "closed": "close",
    },
    "zammad": {
        "new": "open",
        "open": "start",
        "pending reminder": "start",
        "pending close": "start",
        "closed": "close",
        "merged": "close:duplicate",
    },
    "pagerduty": {"triggered": "open", "acknowledged": "acknowledge", "resolved": "close"},
    "plain": {},
}
"""What a ticket's state means for the work on an alert, unless the endpoint's own `inbound_status` says otherwise.

`open` opens again what was closed and is nothing else; `close:saved` gives an outcome; `ignore` is nothing.
"""


class UnreadableBodyError(ValueError):
    """A body says nothing that can be understood; the words say what it should have."""


class TicketUpdate(Struct, frozen=True, kw_only=True):
    """What somebody's system told: of which alert, by its id or by ids of its ticket, and an act or a ticket's state.

    `event_id` is theirs, None where they gave none; `at_ms` is when it happened, None where they did not say.
    `statuses` are the names of one state, the most particular first.
    """

    alert_id: str | None = None
    external_ids: tuple[str, ...] = ()
    event_id: str | None = None
    at_ms: int | None = None
    statuses: tuple[str, ...] = ()
    act: ActName | None = None
    outcome: str | None = None
    reason: str | None = None
    note: str | None = None
    assignee: str | None = None
    until_ms: int | None = None
    version: int | None = None


class PlainBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The plain body: an act, or a status that the endpoint's own table knows."""

    alert_id: ExternalId | None = None
    external_id: ExternalId | None = None
    event_id: ExternalId | None = None
    at: datetime | None = None
    act: ActName | None = None
    status: ExternalId | None = None
    outcome: OutcomeWord | None = None
    reason: CustomerReason | None = None
    note: Text | None = None
    assignee: ExternalId | None = None
    until: datetime | None = None
    version: Annotated[int, Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        if (self.alert_id is None) == (self.external_id is None):
            raise ValueError("needs one of alert_id and external_id")
        if (self.act is None) == (self.status is None):
            raise ValueError("needs one of act and status")
        if self.act == "assign" and self.assignee is None:
            raise ValueError("the act assign needs assignee")
        if self.act == "note" and self.note is None:
            raise ValueError("the act note needs note")
        if self.act == "snooze" and (self.until is None or self.note is None):
            raise ValueError("the act snooze needs until and, as its reason, note")


def read_body(body: bytes, preset: PresetName, headers: Mapping[str, str]) -> TicketUpdate | None:
    """Return what a body says, None if it is well formed and about nothing that concerns us.

    Raises:
        UnreadableBodyError: it cannot be understood.

    >>> read_body(b'{"alert_id": "a_1", "act": "acknowledge"}', "standard", {}).act
    'acknowledge'
    """
    family = FAMILIES.get(preset, "plain")
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableBodyError("the body is not JSON") from error
    if not isinstance(tree, dict):
        raise UnreadableBodyError("the body should be a JSON object")
    if family == "plain" or "act" in tree:
        return _plain(body)
    return _READERS[family](tree, headers)


def meaning(statuses: Iterable[str], preset: PresetName, own: Mapping[str, str]) -> str | None:
    """Return what a ticket's state means for the work on its alert, None where no table knows it.

    >>> meaning(["In Progress"], "tmf621-v4", {}), meaning(["Won!", "done"], "jira", {"won!": "close:saved"})
    ('start', 'close:saved')
    """
    words = [_plainly(status) for status in statuses]
    for table in (own, STATUSES[FAMILIES.get(preset, "plain")]):
        known = {_plainly(name): meant for name, meant in table.items()}
        for word in words:
            if word in known:
                return known[word]
    return None


def _plain(body: bytes) -> TicketUpdate:
    try:
        said = _read_plain(body)
    except (msgspec.ValidationError, ValueError) as error:
        raise UnreadableBodyError(str(error)) from error
    return TicketUpdate(
        alert_id=said.alert_id,
        external_ids=() if said.external_id is None else (said.external_id,),
        event_id=said.event_id,
        at_ms=_ms(said.at),
        statuses=_ids(said.status),
        act=said.act,
        outcome=said.outcome,
        reason=said.reason,
        note=said.note,
        assignee=said.assignee,
        until_ms=_ms(said.until),
        version=said.version,
    )


def _tmf621(tree: Mapping[str, Any], _: Mapping[str, str]) -> TicketUpdate | None:
    """Read an event of a TMF621 hub: one about a state, or about an attribute, which may be the state."""
    event = tree.get("event")
    kind = _text(tree.get("eventType")) or ""
    ticket = event.get("troubleTicket") if isinstance(event, dict) else None
    if not isinstance(ticket, dict):
        raise UnreadableBodyError("needs event.troubleTicket, as the events of TMF621 have it")
    if not kind.startswith("TroubleTicket") or kind.startswith(("TroubleTicketCreate", "TroubleTicketDelete")):
        return None
    status = _text(ticket.get("status"))
    if status is None:
        return None
    return TicketUpdate(
        external_ids=_ids(ticket.get("id")),
        event_id=_text(tree.get("eventId")),
        at_ms=_time(tree.get("eventTime")),
        statuses=(status,),
        outcome=_text(ticket.get("statusChangeReason")),
    )


def _servicenow(tree: Mapping[str, Any], _: Mapping[str, str]) -> TicketUpdate | None:
    """Read what a business rule sends: the record's `sys_id`, `state`, and what else it was told to send."""
    sys_id, changes = _text(tree.get("sys_id")), _text(tree.get("sys_mod_count"))
    status = _text(tree.get("state"))
    if sys_id is None or status is None:
        raise UnreadableBodyError("needs sys_id and state, as the business rule in the documentation sends them")
    return TicketUpdate(
        external_ids=_ids(sys_id, tree.get("number")),
        event_id=_text(tree.get("event_id")) or (None if changes is None else f"{sys_id}:{changes}"),
        statuses=(status,),
        outcome=_text(tree.get("close_code")),
    )


def _jira(tree: Mapping[str, Any], headers: Mapping[str, str]) -> TicketUpdate | None:
    """Read a webhook of Jira; where it says what has changed, only a change of the state counts."""
    issue = tree.get("issue")
    if not isinstance(issue, dict):
        raise UnreadableBodyError("needs issue, as Jira's webhooks have it")
    changes = tree.get("changelog")
    items = changes.get("items") if isinstance(changes, dict) else None
    is_about_state = not isinstance(items, list) or any(
        isinstance(item, dict) and item.get("field") in {"status", "resolution"} for item in items
    )
    if tree.get("webhookEvent") not in {None, "jira:issue_updated"} or not is_about_state:
        return None
    stamp = tree.get("timestamp")
    return TicketUpdate(
        external_ids=_ids(issue.get("id"), issue.get("key")),
        event_id=headers.get("x-atlassian-webhook-identifier"),
        at_ms=stamp if isinstance(stamp, int) else None,
        statuses=_ids(
            _text_at(issue, "fields", "status", "name"), _text_at(issue, "fields", "status", "statusCategory", "key")
        ),
        outcome=_text_at(issue, "fields", "resolution", "name"),
    )


def _zendesk(tree: Mapping[str, Any], headers: Mapping[str, str]) -> TicketUpdate | None:
    """Read an event of Zendesk, or the body of a trigger that says `ticket_id` and `status`."""
    detail, event = tree.get("detail"), tree.get("event")
    if isinstance(detail, dict):
        if not str(tree.get("type")).endswith("ticket.status_changed"):
            return None
        current = event.get("current") if isinstance(event, dict) else None
        status = _text(current) or _text(detail.get("status"))
        return TicketUpdate(
            external_ids=_ids(detail.get("id")),
            event_id=_text(tree.get("id")),
            at_ms=_time(tree.get("time")),
            statuses=_ids(status),
        )
    if _text(tree.get("ticket_id")) is None or _text(tree.get("status")) is None:
        raise UnreadableBodyError("needs detail, as Zendesk's events have it, or ticket_id and status")
    return TicketUpdate(
        external_ids=_ids(tree.get("ticket_id")),
        event_id=_text(tree.get("event_id")) or headers.get("x-zendesk-webhook-invocation-id"),
        statuses=_ids(tree.get("status")),
    )


def _zammad(tree: Mapping[str, Any], headers: Mapping[str, str]) -> TicketUpdate | None:
    """Read a webhook of Zammad."""
    ticket = tree.get("ticket")
    if not isinstance(ticket, dict):
        raise UnreadableBodyError("needs ticket, as Zammad's webhooks have it")
    state = ticket.get("state")
    return TicketUpdate(
        external_ids=_ids(ticket.get("id"), ticket.get("number")),
        event_id=headers.get("x-zammad-delivery"),
        at_ms=_time(ticket.get("updated_at")),
        statuses=_ids(state.get("name") if isinstance(state, dict) else state),
    )


def _pagerduty(tree: Mapping[str, Any], _: Mapping[str, str]) -> TicketUpdate | None:
    """Read a v3 webhook of PagerDuty; the incident's key is the id of our alert."""
    event = tree.get("event")
    data = event.get("data") if isinstance(event, dict) else None
    if not isinstance(event, dict) or not isinstance(data, dict):
        raise UnreadableBodyError("needs event.data, as PagerDuty's webhooks have it")
    if not str(event.get("event_type")).startswith("incident."):
        return None
    return TicketUpdate(
        alert_id=_text(data.get("incident_key")),
        external_ids=_ids(data.get("id")),
        event_id=_text(event.get("id")),
        at_ms=_time(event.get("occurred_at")),
        statuses=_ids(data.get("status")),
    )


def _text_at(tree: object, *path: str) -> str | None:
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return _text(tree)


def _ids(*values: object) -> tuple[str, ...]:
    return tuple(text for value in values if (text := _text(value)) is not None)


def _text(value: object) -> str | None:
    """Return a short text or a whole number as text, None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and 0 < len(value) <= 256 else None


def _time(value: object) -> int | None:
    try:
        return None if not isinstance(value, str) else _ms(datetime.fromisoformat(value))
    except ValueError:
        return None


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else epoch_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _plainly(word: str) -> str:
    return word.strip().lower().replace(" ", "").replace("_", "").replace("-", "")


_READERS: Final[dict[Family, Callable[[Mapping[str, Any], Mapping[str, str]], TicketUpdate | None]]] = {
    "tmf621": _tmf621,
    "servicenow": _servicenow,
    "jira": _jira,
    "zendesk": _zendesk,
    "zammad": _zammad,
    "pagerduty": _pagerduty,
}
_read_plain: Final = msgspec.json.Decoder(PlainBody).decode

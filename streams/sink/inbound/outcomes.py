"""What people found out about a subscriber, as messages of the contract `outcomes`: the way back to the learner."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import Struct

from streams.core.contracts.decode import decode
from streams.core.contracts.effects import AlertChanged, DeadLetter
from streams.core.contracts.events import Record
from streams.core.contracts.outputs import rfc3339
from streams.sink.inbound.formats import OutcomeWord

TOPIC: Final = "outcomes"

_SAID: Final[dict[OutcomeWord, tuple[tuple[str, str | None], ...]]] = {
    "saved": (("retained", "accepted"),),
    "declined": (("contacted", "declined"),),
    "not_reached": (("contacted", "not_reached"),),
    "false_alarm": (("contacted", "no_action"),),
    # That they leave is a request until their system says that they have left: people are told much on the phone.
    "lost": (("contacted", "declined"), ("termination_requested", None)),
    "duplicate": (),
    "recovered": (),
}
"""For each outcome the changes, and what the contact led to."""
_TO_A_COMPETITOR: Final = "competitor_offer"


class OutcomeReport(Struct, frozen=True):
    """One message for the topic `outcomes`: its id, whom it is about, and its bytes."""

    event_id: str
    subscriber_id: str
    body: bytes


class RefusedReportError(ValueError):
    """The contract takes no such message; the words say why."""


def reports(
    act_id: str, alert: AlertChanged, outcome: OutcomeWord, reason: str | None, *, at_ms: int
) -> Sequence[OutcomeReport]:
    """Return what an outcome adds to the topic `outcomes`: the same act always gives the same ids and bytes.

    Raises:
        RefusedReportError: a message would not meet its contract.
    """
    found: list[OutcomeReport] = []
    for number, (change, contact) in enumerate(_SAID[outcome]):
        keeps_number = change == "termination_requested" and reason == _TO_A_COMPETITOR
        name = blake2b(f"{act_id}|{number}".encode(), digest_size=16).hexdigest()
        message: dict[str, Any] = {
            "event_id": f"o_{name}",
            "event_time": rfc3339(at_ms),
            "subscriber_id": alert.subscriber_id,
            "order_id": f"w_{blake2b(act_id.encode(), digest_size=16).hexdigest()}",
            "change": "port_out_requested" if keeps_number else change,
            "alert_id": alert.alert_id,
        }
        if contact is not None:
            message["contact_outcome"] = contact
        if reason is not None:
            message |= {"reason": reason, "reason_source": "stated"}
        body = msgspec.json.encode(message)
        checked = decode(Record(TOPIC, 0, 0, body, at_ms))
        if isinstance(checked, DeadLetter):
            raise RefusedReportError(f"{checked.reason}: {checked.detail}")
        found.append(OutcomeReport(f"o_{name}", alert.subscriber_id, body))
    return found

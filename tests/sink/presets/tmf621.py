"""The rules of TMF621's published interface descriptions (v4.0.0 and v5.0.1), as JSON Schemas of what a client sends.

Written down from the create and update forms: which fields there are, their types, which are required, and
the values of enumerations.  What the descriptions leave open (further fields) is refused here: we send none.
"""

from typing import Any

TEXT = {"type": "string"}
MOMENT = {"type": "string", "format": "date-time"}
STATUS = {"enum": ["acknowledged", "rejected", "pending", "held", "inProgress", "cancelled", "closed", "resolved"]}


def form(required: tuple[str, ...], **fields: Any) -> dict[str, Any]:
    named = {name.replace("at_", "@"): of for name, of in fields.items()}
    return {
        "type": "object", "required": list(required), "additionalProperties": False,
        "properties": {"@type": TEXT, "@baseType": TEXT, "@schemaLocation": TEXT} | named,
    }  # fmt: skip


def many(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def typed(name: str) -> dict[str, Any]:
    return {"const": name}


def v4(*, create: bool) -> dict[str, Any]:
    party = form(("@referredType", "id"), id=TEXT, href=TEXT, name=TEXT, role=TEXT, at_referredType=TEXT)
    note = form((), id=TEXT, author=TEXT, date=MOMENT, text=TEXT)
    fields: dict[str, Any] = {
        "description": TEXT, "expectedResolutionDate": MOMENT, "externalId": TEXT, "name": TEXT, "priority": TEXT,
        "requestedResolutionDate": MOMENT, "resolutionDate": MOMENT, "severity": TEXT, "statusChangeReason": TEXT,
        "ticketType": TEXT, "channel": form(("id",), id=TEXT, href=TEXT, name=TEXT), "note": many(note),
        "relatedParty": many(party), "status": STATUS,
    }  # fmt: skip
    if create:
        fields |= {"creationDate": MOMENT, "lastUpdate": MOMENT, "statusChangeDate": MOMENT}
    return form(("description", "severity", "ticketType") if create else (), **fields)


def v5(*, create: bool) -> dict[str, Any]:
    party = form(("@type", "id"), at_type={"enum": ["PartyRef", "PartyRoleRef"]}, id=TEXT, href=TEXT, name=TEXT,
                 at_referredType=TEXT)  # fmt: skip
    related = form(("@type", "role", "partyOrPartyRole"), at_type=typed("RelatedPartyRefOrPartyRoleRef"), role=TEXT,
                   partyOrPartyRole=party)  # fmt: skip
    note = form(("@type",), at_type=typed("Note"), id=TEXT, author=TEXT, date=MOMENT, text=TEXT)
    external = form(
        ("@type", "id"), at_type=typed("ExternalIdentifier"), owner=TEXT, externalIdentifierType=TEXT, id=TEXT
    )
    channel = form(("@type", "id"), at_type=typed("ChannelRef"), id=TEXT, href=TEXT, name=TEXT)
    characteristics = [
        form(("@type", "name", "value"), at_type=typed(f"{kind.capitalize()}Characteristic"), id=TEXT, name=TEXT,
             valueType=TEXT, value={"type": kind})
        for kind in ("string", "number")
    ]  # fmt: skip
    fields: dict[str, Any] = {
        "name": TEXT, "description": TEXT, "severity": TEXT, "ticketType": TEXT, "channel": channel,
        "requestedResolutionDate": MOMENT, "expectedResolutionDate": MOMENT, "resolutionDate": MOMENT,
        "externalIdentifier": many(external), "note": many(note), "priority": TEXT, "relatedParty": many(related),
        "status": STATUS, "statusChangeReason": TEXT,
        "troubleTicketCharacteristic": many({"oneOf": characteristics}), "at_type": typed("TroubleTicket"),
    }  # fmt: skip
    required = ("@type", "description", "severity", "ticketType") if create else ("@type",)
    return form(required, **fields)

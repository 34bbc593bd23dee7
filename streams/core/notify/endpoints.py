"""What an operator says of one receiver of alerts, and the words that deliveries are told in: plain frozen values.

Nothing here knows addresses or secrets: a secret stands in a setting only as a reference (`env:NAME`, `file:PATH`),
and what is sealed lies beside the endpoint and not in it.
"""

from typing import Annotated, Any, Final, Literal, get_args

from msgspec import Meta, Struct, field

from streams.core.contracts.effects import ChurnKind, RiskBand, Stage, ValueBand
from streams.core.notify.pacing import RATE_PER_S

MessageType = Literal[
    "alert.fired", "alert.worsened", "alert.eased", "alert.restaged", "alert.resolved",
    "alert.acknowledged", "alert.started", "alert.snoozed", "alert.woken", "alert.reopened", "alert.closed",
]  # fmt: skip
"""What an endpoint is told of: the first five are the machine's, the others are what people did about an alert."""

Action = Literal["create", "update", "resolve"]
"""What a message means to the receiver: a ticket that is not there yet, one that is, one that is to be closed."""

PresetName = Literal[
    "standard", "cloudevents", "alertmanager-v4", "pagerduty-v2", "tmf621-v4", "tmf621-v5", "servicenow-incident",
    "servicenow-event", "jira", "zendesk", "zammad", "salesforce-upsert",
]  # fmt: skip
AuthKind = Literal["basic", "bearer", "header"]
Ambiguous = Literal["retry", "reconcile", "hold"]
"""What follows when nobody knows whether a create arrived: send it again, look for it, or let a person decide."""

EndpointState = Literal["active", "paused", "disabled"]
DeliveryState = Literal[
    "pending", "in_flight", "delivered", "failed", "expired", "superseded", "suppressed", "skipped", "unknown",
]  # fmt: skip
"""`unknown`: a create was sent and nobody knows whether it arrived; a person or a look at the receiver decides."""

WAITING: Final[tuple[DeliveryState, ...]] = ("pending", "in_flight", "unknown")
"""The states of deliveries of which something may still come."""

SuppressedBy = Literal[
    "held_out", "contact_not_allowed", "cool_down", "capacity", "never_told", "stale_event", "filtered", "origin",
]  # fmt: skip

SEALED: Final = "sealed"
"""In the place of a reference to a secret: it lies beside the endpoint, sealed."""

MESSAGE_TYPES: Final[tuple[MessageType, ...]] = get_args(MessageType)
PRESETS: Final[tuple[PresetName, ...]] = get_args(PresetName)

EndpointName = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,63}$", max_length=64)]
TimeOfDay = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Filter(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Of which alerts an endpoint is told; an empty tuple means all."""

    types: tuple[MessageType, ...] = ()
    min_band: RiskBand = "low"
    kinds: tuple[ChurnKind, ...] = ()
    value_bands: tuple[ValueBand, ...] = ()
    stages: tuple[Stage, ...] = ()
    account_managers: tuple[str, ...] = ()


class Auth(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How we say who we are: `secret` is a reference (`env:NAME`, `file:PATH`), or `sealed` where it is kept sealed."""

    type: AuthKind
    username: str = ""
    header: str = "Authorization"
    secret: str = SEALED


class QuietHours(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Between which times of the day nothing is sent, in a time zone of the IANA database."""

    begins: TimeOfDay
    ends: TimeOfDay
    time_zone: str = "UTC"


class Endpoint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One receiver of alerts: where it is, how it wants to be told, of what, and how fast.

    `channel` is what cool-downs are counted by.  `sign` None means as the preset does.  `values` are what the preset's
    templates ask for beside the alert (a project, a group), `map` overrides its tables (severity, type), and `on` its
    requests, action by action.  `contact` False marks a receiver that leads to no contact with subscribers (a log, a
    dashboard): it is told of those who may not be contacted as well.  `capacity` False leaves it out of the account
    managers' daily capacity.
    """

    name: EndpointName
    preset: PresetName
    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    channel: EndpointName = "alerts"
    filter: Filter = Filter()
    auth: Auth | None = None
    sign: bool | None = None
    headers: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    map: dict[str, dict[str, str]] = field(default_factory=dict)
    on: dict[Action, dict[str, Any]] = field(default_factory=dict)
    ambiguous: Ambiguous | None = None
    allow_cidrs: tuple[str, ...] = ()
    allow_http: bool = False
    rate_per_s: Annotated[float, Meta(gt=0.0, le=100_000.0)] = RATE_PER_S
    in_flight_max: Annotated[int, Meta(ge=1, le=256)] = 8
    timeout_s: Annotated[float, Meta(ge=1.0, le=60.0)] = 20.0
    ttl_hours: Annotated[int, Meta(ge=1, le=24 * 30)] = 80
    coalesce: bool = True
    contact: bool = True
    capacity: bool = True
    quiet_hours: QuietHours | None = None

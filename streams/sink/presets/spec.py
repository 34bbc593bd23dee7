"""A preset as its file says it: how one kind of receiver is told of alerts, and what it answers."""

from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field

from streams.core.notify.endpoints import PRESETS, Action, Ambiguous, AuthKind, PresetName
from streams.shared.errors import SettingsError

URL: Final = "{{ endpoint.url }}"


class _Part(Struct, frozen=True, forbid_unknown_fields=True):
    """What all parts of a file have in common: a name that is not known is an error."""


class PresetValue(_Part, frozen=True, kw_only=True):
    """A value that the operator gives, or may give."""

    about: str
    required: bool = False
    default: Any = None


class Credentials(_Part, frozen=True, kw_only=True):
    """How the receiver wants to know who we are; `body` puts the secret where the templates say `secret`."""

    about: str
    place: Literal["header", "body"] = "header"
    required: bool = False
    kinds: tuple[AuthKind, ...] = ("basic", "bearer", "header")


class Capture(_Part, frozen=True, kw_only=True):
    """Where in an answer the receiver's own id and the reference that its people use stand."""

    external_id: str
    external_ref: str | None = None
    location: bool = False


class RequestSpec(_Part, frozen=True, kw_only=True):
    """One request: where the endpoint's own address is not enough, `url` and `body` are templates."""

    method: Literal["POST", "PUT", "PATCH"] = "POST"
    url: str = URL
    body: Any
    capture: Capture | None = None


class Lookup(_Part, frozen=True, kw_only=True):
    """How to find what a create may have left: `matches` has to be so in what is found (a list has to hold it)."""

    url: str
    items: str = ""
    external_id: str
    external_ref: str | None = None
    matches: dict[str, str]


class Preset(_Part, frozen=True, kw_only=True):
    """One kind of receiver.

    `strip` is left out at the end of an address.  `idempotent` says that the same create twice makes one ticket.
    """

    about: str
    example: str
    signed: bool = False
    content_type: str = "application/json"
    strip: str = ""
    bytes_max: int = 262_144
    idempotent: bool = False
    ambiguous: Ambiguous
    auth: Credentials = Credentials(about="As the receiver asks for it.")
    values: dict[str, PresetValue] = field(default_factory=dict)
    map: dict[str, dict[str, str]] = field(default_factory=dict)
    create: RequestSpec
    update: RequestSpec
    resolve: RequestSpec
    lookup: Lookup | None = None

    def request_spec(self, action: Action) -> RequestSpec:
        """Return what is asked for by an action."""
        return {"create": self.create, "update": self.update, "resolve": self.resolve}[action]


@cache
def load(name: PresetName) -> Preset:
    """Return a preset, read once.

    >>> load("standard").signed, load("jira").ambiguous
    (True, 'reconcile')

    Raises:
        SettingsError: there is no such preset.
    """
    if name not in PRESETS:
        raise SettingsError(f"there is no preset {name}", hint=f"there are {', '.join(PRESETS)}")
    return msgspec.yaml.decode((files("streams.sink.presets") / f"{name}.yaml").read_bytes(), type=Preset)

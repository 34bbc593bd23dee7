"""An endpoint made ready: its preset, with all that the operator changed in it, compiled, tried and kept."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from streams.core.notify.endpoints import MESSAGE_TYPES, Action, Ambiguous, Endpoint, MessageType
from streams.shared.errors import SettingsError
from streams.sink.http.request import RenderFailure, Request
from streams.sink.presets import answers, checks
from streams.sink.presets.delivery_facts import (
    endpoint_facts,
    facts_of,
    mapped_words,
    minimal_delivery,
    sample_delivery,
    slim,
)
from streams.sink.presets.spec import URL, Capture, Preset, RequestSpec, load
from streams.sink.presets.templates import (
    AddressText,
    CompiledTemplate,
    Names,
    UnusableTemplateError,
    compile_address,
    compile_tree,
    unknown_names,
)
from streams.store.outbox.values import ClaimedDelivery
from streams.words.catalogues import catalogue
from streams.words.wording import LanguageCatalogue

ACTIONS: Final[tuple[Action, ...]] = ("create", "update", "resolve")
_ACCEPT: Final = ("Accept", "application/json")
_CHAIN: Final = ("ticket", "external_id")
_TRIED_SECRET: Final = "secret"  # noqa: S105 - stands for one where templates are tried
_ASKING: Final[dict[Action, tuple[MessageType, ...]]] = {
    "create": ("alert.fired",),
    "update": tuple(kind for kind in MESSAGE_TYPES if kind not in {"alert.resolved", "alert.closed"}),
    "resolve": ("alert.resolved", "alert.closed"),
}


class _RequestTemplate(Struct, frozen=True):
    """One action's request, compiled; `url` None means the endpoint's own address."""

    method: str
    url: CompiledTemplate | None
    body: CompiledTemplate
    capture: Capture | None
    needs_ticket: bool
    headers: tuple[tuple[str, str], ...]
    secret_paths: tuple[str, ...]


class _LookupTemplate(Struct, frozen=True):
    url: CompiledTemplate
    matches: CompiledTemplate


class RequestRenderer(Struct, frozen=True):
    """An endpoint from which requests can be made."""

    endpoint: Endpoint
    preset: Preset
    signed: bool
    ambiguous: Ambiguous
    _url: str
    _values: dict[str, Any]
    _map: dict[str, dict[str, str]]
    _words: LanguageCatalogue
    _requests: dict[Action, _RequestTemplate]
    _lookup: _LookupTemplate | None

    @property
    def idempotent(self) -> bool:
        """Whether the receiver makes one ticket of the same create twice."""
        return self.preset.idempotent

    def render(
        self, claimed: ClaimedDelivery, action: Action, *, now_ms: int, secret: str | None = None
    ) -> Request | RenderFailure:
        """Return the request for a delivery, not signed yet, or why there is none."""
        ready = self._requests[action]
        if ready.needs_ticket and not (claimed.ticket and claimed.ticket.external_id):
            return RenderFailure(f"{self.endpoint.preset}: {action} needs the receiver's own id, and it never gave one")
        if (self.endpoint.auth is not None or self.preset.auth.required) and secret is None:
            return RenderFailure("the secret of the endpoint is missing")
        headers = self._headers(secret)
        if isinstance(headers, RenderFailure):
            return headers
        if ready.method == "POST":
            # A Structured Field string (RFC 8941), hence the quotation marks.
            headers += (("Idempotency-Key", f'"{claimed.delivery_id}"'),)
        names = self._names(claimed, now_ms, secret)
        try:
            url = self._url if ready.url is None else ready.url.give(self._with_address_text(names))
            body = _encode(ready.body, names)
            if len(body) > self.preset.bytes_max:
                body = _encode(ready.body, slim(names))
        except UnusableTemplateError as problem:
            return RenderFailure(str(problem))
        if len(body) > self.preset.bytes_max:
            return RenderFailure(f"the body has {len(body)} bytes, more than {self.preset.bytes_max}")
        return Request(ready.method, url, ready.headers + headers, body, ready.secret_paths)

    def capture(
        self, action: Action, status: int, headers: Mapping[str, str], body: bytes
    ) -> tuple[str | None, str | None]:
        """Return the receiver's own id and reference from its answer, None where it says none."""
        capture = self._requests[action].capture
        if capture is None or not 200 <= status < 300:
            return None, None
        return answers.read_ids(capture, headers, body)

    def lookup(self, claimed: ClaimedDelivery, *, secret: str | None = None) -> Request | RenderFailure | None:
        """Return the request that looks for what a create may have left, None where there is no way to look."""
        if self._lookup is None:
            return None
        headers = self._headers(secret)
        if isinstance(headers, RenderFailure):
            return headers
        try:
            url = self._lookup.url.give(self._with_address_text(self._names(claimed, claimed.event_ms, secret)))
        except UnusableTemplateError as problem:
            return RenderFailure(str(problem))
        return Request("GET", url, (_ACCEPT, *headers), b"")

    def matches(self, body: bytes, claimed: ClaimedDelivery) -> list[tuple[str, str | None]] | None:
        """Return the id and reference of each ticket of an alert in what a lookup found, None if it cannot be read."""
        if self.preset.lookup is None or self._lookup is None:
            return None
        wanted = self._lookup.matches.give(self._names(claimed, claimed.event_ms, None))
        return answers.matching_tickets(self.preset.lookup, wanted, body)

    def found_ticket_id(self, body: bytes, claimed: ClaimedDelivery) -> str | None:
        """Return the id of the ticket that a lookup found, if it found exactly one."""
        match self.matches(body, claimed):
            case [(external_id, _)]:
                return external_id
            case _:
                return None

    def _names(self, claimed: ClaimedDelivery, now_ms: int, secret: str | None) -> dict[str, Any]:
        facts = facts_of(claimed, self._words, now_ms)
        facts |= endpoint_facts(self.endpoint, self._url, self._values)
        facts["map"] = mapped_words(facts, self._map)
        if self.preset.auth.place == "body":
            facts["secret"] = secret
        return facts

    def _with_address_text(self, names: Names) -> dict[str, Any]:
        endpoint = {
            name: AddressText(text) if name in {"url", "parent"} else text for name, text in names["endpoint"].items()
        }
        return {**names, "endpoint": endpoint}

    def _headers(self, secret: str | None) -> tuple[tuple[str, str], ...] | RenderFailure:
        given, auth = tuple(self.endpoint.headers.items()), self.endpoint.auth
        if auth is None or secret is None or self.preset.auth.place == "body":
            return given
        match auth.type:
            case "basic":
                pair = ("Authorization", "Basic " + b64encode(f"{auth.username}:{secret}".encode()).decode())
            case "bearer":
                pair = ("Authorization", f"Bearer {secret}")
            case "header":
                pair = (auth.header, secret)
        if not checks.is_header_text(pair[1]):
            return RenderFailure("the secret of the endpoint cannot stand in a header")
        return (*given, pair)


def prepare(endpoint: Endpoint) -> RequestRenderer:
    """Return an endpoint from which requests can be made, each action tried on made-up alerts.

    Raises:
        SettingsError: something that was said of it cannot be; the message says what, and what is near.
    """
    preset = load(endpoint.preset)
    checks.check_auth(endpoint, preset)
    checks.check_headers(endpoint.headers)
    asked = {action: checks.override_request(endpoint, preset, action) for action in ACTIONS}
    url = checks.address(endpoint, preset, asked.values())
    ambiguous = endpoint.ambiguous or preset.ambiguous
    if ambiguous == "reconcile" and preset.lookup is None:
        raise SettingsError(f"the preset {endpoint.preset} has no way to look for tickets, so no reconcile")
    try:
        ready = {action: _compile_request(endpoint, preset, action, one) for action, one in asked.items()}
        looking = None
        if preset.lookup is not None:
            looking = _LookupTemplate(
                compile_address(preset.lookup.url, "lookup.url"),
                compile_tree({**preset.lookup.matches}, "lookup.matches"),
            )
    except UnusableTemplateError as problem:
        raise SettingsError(f"endpoint {endpoint.name}: {problem}") from None
    uses = [use for one in ready.values() for part in (one.url, one.body) if part is not None for use in part.uses]
    values = checks.merged_values(
        endpoint, preset, (use.chain[1] for use in uses if use.chain[0] == "values" and len(use.chain) > 1)
    )
    prepared = RequestRenderer(
        endpoint=endpoint, preset=preset, signed=preset.signed if endpoint.sign is None else endpoint.sign,
        ambiguous=ambiguous, _url=url, _values=values, _map=checks.merged_map(endpoint, preset),
        _words=catalogue(values[checks.LANGUAGE]), _requests=ready, _lookup=looking,
    )  # fmt: skip
    for line in unknown_names(uses, prepared._names(sample_delivery("update"), 0, _TRIED_SECRET)):  # noqa: SLF001 - it is made here
        raise SettingsError(f"endpoint {endpoint.name}: {line}")
    _try(prepared)
    return prepared


def _compile_request(endpoint: Endpoint, preset: Preset, action: Action, asked: RequestSpec) -> _RequestTemplate:
    url = None if asked.url == URL else compile_address(asked.url, f"{action}.url")
    body = compile_tree(asked.body, f"{action}.body")
    places = [use.place for use in body.uses if use.chain[0] == "secret"]
    in_url = url is not None and any(use.chain[0] == "secret" for use in url.uses)
    if in_url or any("[" in place or place.endswith((".each", ".when", ".give")) for place in places):
        raise UnusableTemplateError(f"{action}: a secret stands only under a key of its own in the body")
    own, given = (("Content-Type", preset.content_type), _ACCEPT), {name.lower() for name in endpoint.headers}
    return _RequestTemplate(
        method=asked.method,
        url=url,
        body=body,
        capture=asked.capture,
        needs_ticket=url is not None and any(use.chain == _CHAIN for use in url.uses),
        headers=tuple(pair for pair in own if pair[0].lower() not in given),
        secret_paths=tuple(place.removeprefix(f"{action}.body.") for place in places),
    )


def _try(prepared: RequestRenderer) -> None:
    """Make every request once of a full and of a bare alert.

    Raises:
        SettingsError: one cannot be made.
    """
    for action in ACTIONS:
        for kind in _ASKING[action]:
            full = sample_delivery(action, kind)
            for claimed in (full, minimal_delivery(full)):
                tried = prepared.render(claimed, action, now_ms=0, secret=_TRIED_SECRET)
                if isinstance(tried, RenderFailure):
                    raise SettingsError(f"endpoint {prepared.endpoint.name}: {tried.why}")


def _encode(body: CompiledTemplate, names: Names) -> bytes:
    tree = body.give(names)
    if not isinstance(tree, dict):
        raise UnusableTemplateError("the body is no JSON object")
    try:
        return msgspec.json.encode(tree)
    except (ArithmeticError, RecursionError, TypeError, ValueError) as error:
        raise UnusableTemplateError(f"the body cannot be written as JSON: {error}") from None

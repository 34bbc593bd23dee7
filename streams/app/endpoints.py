"""Joins what commands about endpoints need: settings checked, secrets sealed, requests shown and tried."""

import asyncio
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from streams.app.deliveries import now_ms, printable, sink_key_of
from streams.core.contracts.validation import with_place
from streams.core.notify.endpoints import Endpoint, EndpointState, MessageType
from streams.core.notify.messages import action_of
from streams.core.times import HOUR_MS
from streams.shared.errors import InputError, SettingsError
from streams.shared.settings import Settings
from streams.sink.dispatch.endpoint_registry import SEALED, Receiver, build_receiver, with_signature
from streams.sink.http.client import Client
from streams.sink.http.egress import check_url, look_up
from streams.sink.presets import RenderFailure, Request, load, prepare, redact, sample_delivery
from streams.sink.secrets.signing import check_secret, new_key_pair, new_secret, public_key
from streams.sink.secrets.vault import Secrets, SigningKey, reference, rotate_secrets, seal, unseal
from streams.store.outbox.values import ClaimedDelivery, EndpointRow
from streams.store.sink import Sink

SECRET_REF: Final = "secret_ref"  # noqa: S105 - the name of a setting
ANSWER_CHARS_MAX: Final = 500


class NewEndpoint(Struct, frozen=True, kw_only=True):
    """What is said of an endpoint to be added: its settings, and secrets that are to be sealed with it.

    `secret_ref` (`env:NAME`, `file:PATH`) is a signing secret that the receiver has already.
    """

    fields: dict[str, Any]
    secret_ref: str | None = None
    auth_secret: str | None = None
    asymmetric: bool = False

    def __repr__(self) -> str:
        return f"NewEndpoint({self.fields.get('name')})"


class EndpointSetup(Struct, frozen=True, kw_only=True):
    """An endpoint that was added or has a new secret; `secret` is told this once, None where nothing is signed."""

    name: str
    preset: str
    url: str
    state: EndpointState
    secret: str | None
    public_key: str | None = None

    def __repr__(self) -> str:
        return f"EndpointSetup({self.name})"


class EndpointTestResult(Struct, frozen=True, kw_only=True):
    """What came of a test message."""

    name: str
    ok: bool
    status: int | None
    why: str
    answer: str


def add(settings: Settings, wanted: Sequence[NewEndpoint]) -> list[EndpointSetup]:
    """Add endpoints, all or none, and make the database where there is none.

    Raises:
        SettingsError: something that is said of one cannot be used.
        InputError: there is one of a name already.
        StoreError: the database cannot be used.
    """
    checked = [_usable_endpoint(one) for one in wanted]
    names = [endpoint.name for endpoint, _ in checked]
    if len({*names}) < len(names):
        raise SettingsError("two endpoints have one name")
    key = sink_key_of(settings)
    rows = [
        (endpoint, seal(key, endpoint.name, secrets) if secrets != Secrets() else None) for endpoint, secrets in checked
    ]
    with Sink.open(settings.database) as sink:
        sink.add_endpoints(rows, now_ms())
    return [_endpoint_setup(endpoint, "active", secrets) for endpoint, secrets in checked]


def from_file(path: Path) -> list[NewEndpoint]:
    """Return the endpoints that a file says, in tables `[endpoints.NAME]`.

    Raises:
        SettingsError: it cannot be read, or says none.
    """
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"the endpoints of {path} cannot be read: {error}") from None
    tables = tree.get("endpoints")
    if not isinstance(tables, dict) or not tables or not all(isinstance(table, dict) for table in tables.values()):
        raise SettingsError(f"{path} has no endpoints", hint="write each as a table [endpoints.NAME]")
    found = []
    for name, table in tables.items():
        fields = {key: value for key, value in table.items() if key != SECRET_REF} | {"name": name}
        auth = fields.get("auth")
        if isinstance(auth, dict) and auth.get("secret", SEALED) == SEALED:
            raise SettingsError(f"endpoint {name}: auth.secret should be env:NAME or file:PATH")
        found.append(NewEndpoint(fields=fields, secret_ref=table.get(SECRET_REF)))
    return found


def rows(settings: Settings) -> list[EndpointRow]:
    """Return all endpoints by name; raises StoreError."""
    with Sink.open(settings.database, create=False) as sink:
        return sink.endpoints()


def describe_endpoint(settings: Settings, name: str) -> dict[str, Any]:
    """Return all that may be known of an endpoint, with what waits for it; raises InputError if there is none."""
    with Sink.open(settings.database, create=False) as sink:
        row = sink.endpoint(name)
        waiting = sink.backlog(now_ms()).by_endpoint.get(name, 0)
    return public_view(row) | {"settings": _open_settings(row.endpoint), "waiting": waiting}


def public_view(row: EndpointRow) -> dict[str, Any]:
    """Return an endpoint as a program may see it, without what is secret."""
    values = printable(row)
    del values["endpoint"], values["sealed"]
    one = row.endpoint
    return {"name": one.name, "preset": one.preset, "url": _open_url(one.url), "channel": one.channel} | values


def change_state(settings: Settings, name: str, state: EndpointState, why: str) -> dict[str, Any]:
    """Pause, disable or resume an endpoint, and return how it stands; raises InputError if there is none."""
    with Sink.open(settings.database, create=False) as sink:
        sink.set_state(name, state, why, now_ms())
        return public_view(sink.endpoint(name))


def remove(settings: Settings, name: str) -> None:
    """Remove an endpoint; raises InputError if there is none."""
    with Sink.open(settings.database, create=False) as sink:
        sink.remove_endpoint(name, now_ms())


def rotate(
    settings: Settings,
    name: str,
    *,
    overlap_hours: float,
    secret_ref: str | None = None,
    auth_secret: str | None = None,
    asymmetric: bool = False,
) -> EndpointSetup:
    """Give an endpoint a new signing secret, beside which the old one signs for a while, or a new login.

    Raises:
        InputError: there is no such endpoint.
        SettingsError: there is nothing to rotate, or the secret cannot be used.
    """
    key, at_ms = sink_key_of(settings), now_ms()
    with Sink.open(settings.database, create=False) as sink:
        row = sink.endpoint(name)
        secrets = _secrets_of(row, key)
        new = None
        if auth_secret is not None:
            if row.endpoint.auth is None:
                raise SettingsError(f"endpoint {name} has no auth")
            secrets = replace(secrets, auth=auth_secret)
            if row.endpoint.auth.secret != SEALED:
                sink.replace_endpoint(replace(row.endpoint, auth=replace(row.endpoint.auth, secret=SEALED)), at_ms)
        elif prepare(row.endpoint).signed:
            new = _signing_secret(secret_ref, asymmetric=asymmetric)
            secrets = rotate_secrets(secrets, new, at_ms, round(overlap_hours * HOUR_MS))
        else:
            raise SettingsError(f"endpoint {name} signs nothing", hint="--auth-secret gives it another login")
        sink.seal_endpoint(name, seal(key, name, secrets), at_ms)
    return _endpoint_setup(row.endpoint, row.state, replace(secrets, signing=(SigningKey(new),) if new else ()))


def render(
    settings: Settings, name: str, *, message: MessageType = "alert.fired", delivery_id: str | None = None
) -> dict[str, Any]:
    """Return the request that a message would make now, as it may be printed.

    Raises:
        InputError: there is no such endpoint or delivery.
        SettingsError: the request cannot be made.
    """
    with Sink.open(settings.database, create=False) as sink:
        receiver = build_receiver(sink.endpoint(name), sink_key_of(settings), os.environ)
        claimed = _sample(message) if delivery_id is None else sink.facts(sink.delivery(delivery_id)[0].delivery_id)
    if claimed.endpoint not in {name, "sample"}:
        raise InputError(f"delivery {claimed.delivery_id} is for the endpoint {claimed.endpoint}")
    return redact(_request(receiver, claimed))


def test(settings: Settings, name: str) -> EndpointTestResult:
    """Send a made-up alert to an endpoint at once, under ids that say so, and return what came of it.

    Raises:
        InputError: there is no such endpoint.
        SettingsError: the request cannot be made.
    """
    with Sink.open(settings.database, create=False) as sink:
        receiver = build_receiver(sink.endpoint(name), sink_key_of(settings), os.environ)
    number = uuid4().hex
    made = sample_delivery("create")
    claimed = replace(
        made,
        delivery_id=f"d_test_{number}",
        message_id=f"test_{number}",
        transition=replace(made.transition, alert_id=f"a_test_{number}", transition_id=f"t_test_{number}"),
    )
    return asyncio.run(_try_request(receiver, _request(receiver, claimed)))


async def _try_request(receiver: Receiver, request: Request) -> EndpointTestResult:
    client = Client()
    try:
        answer = await client.send(request, receiver.endpoint)
    finally:
        await client.aclose()
    why = answer.why or (answer.failure or f"answered {answer.status}")
    text = answer.body.decode("utf-8", "replace")
    for secret in (receiver.auth, *(key.secret for key in receiver.secrets.signing)):
        text = text.replace(secret, "[redacted]") if secret else text
    ok = answer.status is not None and 200 <= answer.status < 300
    return EndpointTestResult(
        name=receiver.endpoint.name, ok=ok, status=answer.status, why=why, answer=text[:ANSWER_CHARS_MAX]
    )


def _request(receiver: Receiver, claimed: ClaimedDelivery) -> Request:
    at_ms, action = now_ms(), action_of(claimed.type, claimed.ticket)
    if action is None:
        raise InputError("nothing was ever told of this alert, so nothing is told of its end")
    request = receiver.prepared.render(claimed, action, now_ms=at_ms, secret=receiver.auth)
    if isinstance(request, RenderFailure):
        raise SettingsError(f"endpoint {receiver.endpoint.name}: {request.why}")
    return with_signature(receiver, request, claimed.message_id, at_ms)


def _sample(message: MessageType) -> ClaimedDelivery:
    """Return a made-up delivery of a message; all but the first are told of a ticket that is there."""
    if message == "alert.fired":
        return sample_delivery("create")
    return sample_delivery("resolve" if message in {"alert.resolved", "alert.closed"} else "update", message)


def _usable_endpoint(wanted: NewEndpoint) -> tuple[Endpoint, Secrets]:
    """Return an endpoint that can be used, with its secrets.

    Raises:
        SettingsError: it cannot be used; the message says what is wrong.
    """
    fields = dict(wanted.fields)
    name, url = fields.get("name"), str(fields.get("url", ""))
    # Without https only what the operator has opened is called, and the addresses are looked at below.
    if url.lower().startswith("http:") and fields.get("allow_cidrs") and "allow_http" not in fields:
        fields["allow_http"] = True
    if isinstance(fields.get("preset"), str):
        load(fields["preset"])
    try:
        endpoint = msgspec.convert(fields, Endpoint)
    except msgspec.ValidationError as error:
        raise SettingsError(f"endpoint {name}: {with_place(error)}") from None
    check_url(endpoint, look_up)
    prepared = prepare(endpoint)
    auth = endpoint.auth
    if auth is not None and auth.secret != SEALED:
        reference(auth.secret, os.environ)
    elif auth is not None and not wanted.auth_secret:
        raise SettingsError(
            f"endpoint {name}: its auth needs a secret", hint="give --auth-secret env:NAME, file:PATH or -"
        )
    signing: tuple[SigningKey, ...] = ()
    if prepared.signed:
        signing = (SigningKey(_signing_secret(wanted.secret_ref, asymmetric=wanted.asymmetric)),)
    elif wanted.secret_ref is not None or wanted.asymmetric:
        raise SettingsError(
            f"endpoint {name}: the preset {endpoint.preset} signs nothing", hint="set sign = true if it should"
        )
    return endpoint, Secrets(signing=signing, auth=wanted.auth_secret)


def _signing_secret(secret_ref: str | None, *, asymmetric: bool) -> str:
    if secret_ref is None:
        return new_key_pair()[0] if asymmetric else new_secret()
    secret = reference(secret_ref, os.environ)
    check_secret(secret)
    return secret


def _secrets_of(row: EndpointRow, key: bytes) -> Secrets:
    return Secrets() if row.sealed is None else unseal(key, row.endpoint.name, row.sealed)


def _endpoint_setup(endpoint: Endpoint, state: EndpointState, secrets: Secrets) -> EndpointSetup:
    secret = secrets.signing[0].secret if secrets.signing else None
    public = None if secret is None else public_key(secret)
    return EndpointSetup(
        name=endpoint.name,
        preset=endpoint.preset,
        url=_open_url(endpoint.url),
        state=state,
        # Of a pair the receiver gets the public half, and the private one is for nobody else.
        secret=None if public else secret,
        public_key=public,
    )


def _open_url(url: str) -> str:
    return str(redact(Request("POST", url, (), b""))["url"])


def _open_settings(endpoint: Endpoint) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(endpoint)
    hidden = redact(Request("POST", endpoint.url, tuple(endpoint.headers.items()), b""))
    values["url"] = hidden["url"]
    if endpoint.headers:
        values["headers"] = hidden["headers"]
    return values


def read_reference(text: str) -> str:
    """Return the secret that `env:NAME` or `file:PATH` points to; raises SettingsError where there is none."""
    return reference(text, os.environ)


def merge_dotted_names(pairs: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return tables of tables from names with a dot in them.

    >>> merge_dotted_names({"severity.critical": "1", "severity.high": "2"})
    {'severity': {'critical': '1', 'high': '2'}}

    Raises:
        SettingsError: a name has no dot.
    """
    tables: dict[str, dict[str, str]] = {}
    for name, value in pairs.items():
        table, dot, key = name.partition(".")
        if not dot or not table or not key:
            raise SettingsError(f"--map {name}={value} should be like severity.critical=1")
        tables.setdefault(table, {})[key] = value
    return tables

"""The registry of endpoints that a dispatcher can send to: settings made ready, and secrets opened."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct

from streams.core.notify.circuit import CircuitBreaker
from streams.core.notify.endpoints import Endpoint
from streams.shared.errors import SettingsError
from streams.sink.presets import Request, RequestRenderer, prepare
from streams.sink.secrets.signing import signature_headers
from streams.sink.secrets.vault import Secrets, reference, signers, unseal
from streams.store.outbox.values import EndpointRow

SEALED: Final = "sealed"
"""What stands in `auth.secret` where the secret lies sealed beside the endpoint."""


class Receiver(Struct, frozen=True):
    """An endpoint that can be sent to; `auth` is the secret that logs us in, None where there is none."""

    row: EndpointRow
    prepared: RequestRenderer
    secrets: Secrets
    auth: str | None

    @property
    def endpoint(self) -> Endpoint:
        """What the operator said of it."""
        return self.row.endpoint

    @property
    def health(self) -> CircuitBreaker:
        """How it has done, as far as that was read."""
        row = self.row
        return CircuitBreaker(
            circuit=row.circuit,
            failures=row.failures,
            first_failure_ms=row.first_failure_ms,
            open_until_ms=row.open_until_ms,
        )

    def __repr__(self) -> str:
        return f"Receiver({self.endpoint.name})"


def build_receiver(
    row: EndpointRow, key: bytes, environ: Mapping[str, str], before: Receiver | None = None
) -> Receiver:
    """Return the receiver of a row; of the same settings as `before` nothing is compiled again.

    Raises:
        SettingsError: its settings or its secrets cannot be used.
    """
    is_same = before is not None and before.row.endpoint == row.endpoint
    prepared = before.prepared if before is not None and is_same else prepare(row.endpoint)
    name = row.endpoint.name
    if before is not None and before.row.sealed == row.sealed:
        secrets = before.secrets
    else:
        secrets = Secrets() if row.sealed is None else unseal(key, name, row.sealed)
    if prepared.signed and not secrets.signing:
        raise SettingsError(
            f"endpoint {name} has no signing secret", hint=f"give it one: forewarn endpoints rotate {name}"
        )
    return Receiver(row, prepared, secrets, _auth(prepared.endpoint, secrets, environ))


def with_signature(receiver: Receiver, request: Request, message_id: str, now_ms: int) -> Request:
    """Return the request as it is sent at a moment: signed, where the receiver is told with signatures."""
    if not receiver.prepared.signed:
        return request
    headers = signature_headers(signers(receiver.secrets, now_ms), message_id, now_ms // 1_000, request.body)
    return Request(request.method, request.url, request.headers + headers, request.body, request.secret_paths)


class EndpointRegistry:
    """All receivers, read again and again: what did not change is kept, and what cannot be used is told once."""

    def __init__(self, key: Callable[[], bytes], environ: Mapping[str, str], names: Iterable[str] = ()) -> None:
        self._key = key
        self._environ = environ
        self._names = frozenset(names)
        self.receivers: dict[str, Receiver] = {}
        self.unusable: dict[str, str] = {}

    def read(self, rows: Iterable[EndpointRow]) -> dict[str, str]:
        """Take in the endpoints as they stand, and return by name what is newly wrong."""
        receivers, unusable = dict[str, Receiver](), dict[str, str]()
        for row in rows:
            name = row.endpoint.name
            if self._names and name not in self._names:
                continue
            try:
                receivers[name] = build_receiver(row, self._key(), self._environ, self.receivers.get(name))
            except SettingsError as error:
                unusable[name] = str(error)
        news = {name: why for name, why in unusable.items() if self.unusable.get(name) != why}
        self.receivers, self.unusable = receivers, unusable
        return news


def _auth(endpoint: Endpoint, secrets: Secrets, environ: Mapping[str, str]) -> str | None:
    if endpoint.auth is None:
        return None
    return secrets.auth if endpoint.auth.secret == SEALED else reference(endpoint.auth.secret, environ)

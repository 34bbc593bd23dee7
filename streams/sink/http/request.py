"""One HTTP request before it is signed, and how it is shown to people: without what is secret in it."""

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

REDACTED: Final = "[redacted]"
_TELLING: Final = re.compile(r"auth|cookie|key|passw|secret|sig|token", re.IGNORECASE)
"""What a header or a parameter is called whose value is a secret; ours that are called so and are none stand apart."""

_OPEN: Final = frozenset({"idempotency-key"})
_PARAMETER: Final = re.compile(r"([?&][^=&#]*(?:auth|key|passw|secret|sig|token)[^=&#]*=)[^&#]*", re.IGNORECASE)


class Request(Struct, frozen=True):
    """What is sent, whole but for its signature; `secret_paths` are the dotted places of secrets in the body."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    secret_paths: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Request({self.method} {_redact_url(self.url)}, {len(self.body)} bytes)"


class RenderFailure(Struct, frozen=True):
    """Why there is no request to send."""

    why: str


def redact(request: Request) -> dict[str, Any]:
    """Return a request as it may be printed: what is secret in its headers, its address and its body is replaced.

    >>> redact(Request("GET", "https://a.example/x?token=1&b=2", (("Authorization", "Bearer 1"),), b""))["url"]
    'https://a.example/x?token=[redacted]&b=2'
    """
    headers = {name: REDACTED if _is_secret(name) else value for name, value in request.headers}
    body: Any = None
    if request.body:
        body = msgspec.json.decode(request.body)
        for path in request.secret_paths:
            _redact(body, path.split("."))
    return {
        "method": request.method,
        "url": _redact_url(request.url),
        "headers": headers,
        "body": body,
    }


def _redact_url(url: str) -> str:
    return _PARAMETER.sub(rf"\1{REDACTED}", url)


def _is_secret(name: str) -> bool:
    return _TELLING.search(name) is not None and name.lower() not in _OPEN


def _redact(tree: Any, path: list[str]) -> None:  # noqa: ANN401 - what JSON holds can be anything
    *way, last = path
    for name in way:
        tree = tree[int(name)] if isinstance(tree, list) else tree[name]
    tree[int(last) if isinstance(tree, list) else last] = REDACTED

"""Warnings of what is wrong with an endpoint: once and not with every delivery, in words and to another endpoint."""

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from streams.core.contracts.outputs import rfc3339
from streams.sink.dispatch.endpoint_registry import Receiver, with_signature
from streams.sink.dispatch.sending import AttemptResult
from streams.sink.presets import Request
from streams.store.outbox.values import EndpointRow

TroubleType = Literal["endpoint.failing", "endpoint.disabled", "endpoint.unusable", "endpoint.recovered"]
REPEATED_WHYS_MAX: Final = 1_000


class EndpointWarning(Struct, frozen=True):
    """Something that somebody should know of an endpoint, without secrets."""

    type: TroubleType
    endpoint: str
    why: str

    def __str__(self) -> str:
        return f"endpoint {self.endpoint} is {self.type.rpartition('.')[2]}: {self.why}"


class EndpointWarnings:
    """Tells what is new about endpoints, and nothing twice while it lasts."""

    def __init__(self, warn: Callable[[EndpointWarning], None]) -> None:
        self._warn = warn
        self._said: set[tuple[str, str]] = set()

    def warn_unusable(self, name: str, why: str) -> None:
        """Tell that an endpoint cannot be sent to at all."""
        self._warn(EndpointWarning("endpoint.unusable", name, why))

    def note(self, before: EndpointRow | None, after: EndpointRow | None, refused: Sequence[AttemptResult]) -> None:
        """Tell what a few deliveries have shown: `before` and `after` are how the endpoint stood and stands."""
        for sent in refused:
            kind: TroubleType = "endpoint.disabled" if sent.signal == "disable" else "endpoint.failing"
            self._once(kind, sent.finished.endpoint, sent.finished.why)
        if after is None:
            return
        name = after.endpoint.name
        was_open = before is not None and before.circuit != "closed"
        if after.circuit != "closed" and not was_open:
            said = f"{after.failures} failures in a row, so it is left alone for a while"
            self._warn(EndpointWarning("endpoint.failing", name, said))
        if after.circuit == "closed" and was_open:
            self._said = {one for one in self._said if one[0] != name}
            self._warn(EndpointWarning("endpoint.recovered", name, "it takes messages again"))
        if before is not None and after.warned_percent > before.warned_percent:
            said = f"nothing but failures for {after.warned_percent} % of the 120 hours after which it is disabled"
            self._warn(EndpointWarning("endpoint.failing", name, said))
        if after.state == "disabled" and (before is None or before.state != "disabled"):
            self._once("endpoint.disabled", name, after.why)

    def _once(self, kind: TroubleType, name: str, why: str) -> None:
        if (name, why) not in self._said and len(self._said) < REPEATED_WHYS_MAX:
            self._said.add((name, why))
            self._warn(EndpointWarning(kind, name, why))


def trouble_request(receiver: Receiver, trouble: EndpointWarning, number: int, now_ms: int) -> Request:
    """Return the message that tells another endpoint, of the preset `standard`, of a trouble."""
    body = {
        "type": trouble.type,
        "timestamp": rfc3339(now_ms),
        "data": {"endpoint": trouble.endpoint, "why": trouble.why},
    }
    headers = [("Content-Type", "application/json"), *receiver.endpoint.headers.items()]
    request = Request("POST", receiver.endpoint.url, tuple(headers), msgspec.json.encode(body))
    return with_signature(receiver, request, f"o_{now_ms}_{number}", now_ms)

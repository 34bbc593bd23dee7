"""Presets: how each kind of receiver is told of alerts, one file for each, and what makes requests of them.

prepared = prepare(endpoint)                                     checked and compiled, once
request = prepared.render(claimed, action, now_ms=..., secret=...)   a Request, or RenderFailure with why
prepared.capture(action, status, headers, body)                  the receiver's own id, from its answer
prepared.lookup(claimed, secret=...), prepared.found_ticket_id(body, claimed)   after a create of unknown outcome
"""

from streams.sink.http.request import RenderFailure, Request, redact
from streams.sink.presets.delivery_facts import sample_delivery
from streams.sink.presets.prepared import ACTIONS, RequestRenderer, prepare
from streams.sink.presets.spec import Preset, load

__all__ = [
    "ACTIONS",
    "Preset",
    "RenderFailure",
    "Request",
    "RequestRenderer",
    "load",
    "prepare",
    "redact",
    "sample_delivery",
]

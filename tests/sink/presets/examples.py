"""An endpoint for each preset, set up as its documentation says, and the requests that it makes.

`python tests/sink/presets/examples.py` writes the golden files again; look at the difference before you keep it.
"""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from streams.core.notify.endpoints import PRESETS, Auth, Endpoint, PresetName
from streams.sink.presets import ACTIONS, Request, RequestRenderer, load, prepare, redact, sample_delivery

GOLDEN = Path(__file__).parent / "golden"
NOW_MS = 1_709_400_000_000
SECRET = "R0123456789abcdefghijklmnopqrstu"
ASKED_FOR: dict[str, dict[str, Any]] = {
    "jira": {"project_key": "CHURN", "resolve_transition": "31"},
    "zammad": {"customer": "retention@example.com", "group": "Retention"},
}


def endpoint(preset: PresetName, url: str | None = None, **more: Any) -> Endpoint:
    wanted = load(preset).auth
    auth = None
    if wanted.required:
        auth = Auth(type="bearer" if wanted.place == "body" else wanted.kinds[0], username="forewarn", secret="env:S")
    values = ASKED_FOR.get(preset, {}) | more.pop("values", {})
    given: dict[str, Any] = {"name": "crm", "url": url or load(preset).example, "values": values, "auth": auth} | more
    return Endpoint(preset=preset, **given)


def rendered(prepared: RequestRenderer, *arguments: Any) -> Request:
    request = prepared.render(*arguments, now_ms=NOW_MS, secret=SECRET)
    assert isinstance(request, Request), request
    return request


@cache
def prepared_of(preset: PresetName) -> RequestRenderer:
    """Return a preset's endpoint as its documentation sets it up; it never changes, and takes long to prepare."""
    return prepare(endpoint(preset))


def golden(preset: PresetName) -> bytes:
    prepared = prepared_of(preset)
    shown: dict[str, Any] = {action: redact(rendered(prepared, sample_delivery(action), action)) for action in ACTIONS}
    lookup = prepared.lookup(sample_delivery("create"), secret=SECRET)
    if isinstance(lookup, Request):
        shown["lookup"] = redact(lookup)
    return msgspec.json.format(msgspec.json.encode(shown), indent=2) + b"\n"


if __name__ == "__main__":
    for name in PRESETS:
        (GOLDEN / f"{name}.json").write_bytes(golden(name))

"""What a receiver answers: the id that it gave, and the tickets that a lookup found."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from streams.sink.presets.spec import Capture, Lookup

ID_CHARS_MAX: Final = 512


def read_ids(capture: Capture, headers: Mapping[str, str], body: bytes) -> tuple[str | None, str | None]:
    """Return the id and the reference that an answer gives; the id may stand at the end of its Location instead.

    >>> read_ids(Capture(external_id="result.sys_id", external_ref="result.n"), {}, b'{"result":{"sys_id":7,"n":"A"}}')
    ('7', 'A')
    """
    answer = _decode(body)
    external_id = _id(_value_at(answer, capture.external_id))
    reference = None if capture.external_ref is None else _id(_value_at(answer, capture.external_ref))
    if external_id is None and capture.location:
        place = next((value for name, value in headers.items() if name.lower() == "location"), "")
        external_id = _id(unquote(urlsplit(place).path.rstrip("/").rpartition("/")[2]))
    return external_id, reference


def matching_tickets(lookup: Lookup, wanted: Mapping[str, str], body: bytes) -> list[tuple[str, str | None]] | None:
    """Return (id, reference) of each ticket in what a lookup found that is of the alert, None if it cannot be read.

    What does not say by itself that it is of the alert does not count: a receiver may ignore what it was asked for.
    """
    answer = _decode(body)
    items = answer if not lookup.items else _value_at(answer, lookup.items)
    if not isinstance(items, list):
        return None
    found = []
    for item in items:
        external_id = _id(_value_at(item, lookup.external_id))
        if external_id is None or any(value not in _all(item, path) for path, value in wanted.items()):
            continue
        found.append((external_id, None if lookup.external_ref is None else _id(_value_at(item, lookup.external_ref))))
    return found


def _decode(body: bytes) -> Any:  # noqa: ANN401 - what JSON holds can be anything
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _all(tree: Any, path: str) -> list[Any]:  # noqa: ANN401 - as above
    """Return the values at a dotted path; where a list stands on the way, those in each of its items."""
    values = [tree]
    for name in path.split("."):
        values = [value[name] for value in _flat(values) if isinstance(value, dict) and name in value]
    return _flat(values)


def _flat(values: list[Any]) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _value_at(tree: Any, path: str) -> Any:  # noqa: ANN401 - as above
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def _id(value: Any) -> str | None:  # noqa: ANN401 - as above
    """Return an id as text; what is none, or is like nothing that a receiver would call one, is None."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    return text if 0 < len(text) <= ID_CHARS_MAX and text.isprintable() and text not in {".", ".."} else None

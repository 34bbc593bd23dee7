"""What an operator says of an endpoint, checked against its preset: every mistake is one line that says what to do."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

import msgspec

from streams.core.contracts.effects import ChurnKind, RiskBand, ValueBand
from streams.core.contracts.languages import LANGUAGES
from streams.core.notify.endpoints import Action, Endpoint
from streams.shared.errors import SettingsError
from streams.sink.presets.delivery_facts import MAPPED
from streams.sink.presets.spec import URL, Preset, RequestSpec

LANGUAGE: Final = "language"
"""The value that every preset knows: the language of explanations."""

HEADER_CHARS_MAX: Final = 4_096
_RESERVED: Final = frozenset({
    "accept-encoding", "connection", "content-encoding", "content-length", "expect", "host", "idempotency-key",
    "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
})  # fmt: skip
_SECRET: Final = frozenset({"authorization", "cookie"})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "severity": get_args(RiskBand),
    "type": get_args(ChurnKind),
    "value": get_args(ValueBand),
}
_OVERRIDES: Final = ("method", "url", "body", "capture")


def check_auth(endpoint: Endpoint, preset: Preset) -> None:
    """Refuse credentials that the receiver does not take, and none where it wants some.

    Raises:
        SettingsError: as said.
    """
    auth, wanted = endpoint.auth, preset.auth
    if auth is None:
        if wanted.required:
            raise SettingsError(f"the preset {endpoint.preset} needs a secret (auth): {wanted.about}")
        return
    if auth.type not in wanted.kinds:
        kinds = ", ".join(wanted.kinds)
        raise SettingsError(f"the preset {endpoint.preset} takes auth of the type {kinds}, not {auth.type}")
    if auth.type == "basic" and wanted.place == "header" and not auth.username:
        raise SettingsError("auth of the type basic needs a username")
    check_name(auth.header)


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that are ours to set, that hold a secret, or that would break a request.

    Raises:
        SettingsError: as said.
    """
    for name, value in headers.items():
        check_name(name)
        if name.lower() in _SECRET:
            raise SettingsError(f"the header {name} holds a secret", hint="say it by auth, which is sealed")
        if not is_header_text(value):
            raise SettingsError(f"the header {name} has a value that no header can have")


def check_name(name: str) -> None:
    """Refuse the name of a header that is none, or that is ours to set.

    Raises:
        SettingsError: as said.
    """
    if not _TOKEN.fullmatch(name):
        raise SettingsError(f"{name!r} is no name of a header")
    if name.lower() in _RESERVED or name.lower().startswith(("webhook-", "proxy-")):
        raise SettingsError(f"the header {name} is set by the sink itself")


def is_header_text(value: str) -> bool:
    r"""Say whether a header can have a value: visible ASCII and blanks, no line breaks.

    >>> is_header_text("Token token=1"), is_header_text("a\r\nHost: b")
    (True, False)
    """
    return len(value) <= HEADER_CHARS_MAX and value.isascii() and value.isprintable() and value == value.strip()


def merged_map(endpoint: Endpoint, preset: Preset) -> dict[str, dict[str, str]]:
    """Return the tables of a preset with those of the endpoint laid over them.

    Raises:
        SettingsError: a table or an entry is unknown, or a table of the endpoint's own is not whole.
    """
    tables = {name: dict(table) for name, table in preset.map.items()}
    for name, table in endpoint.map.items():
        if name not in MAPPED:
            raise SettingsError(f"there is no map {name}{near(name, MAPPED)}")
        for key in table:
            if key not in _KEYS[name]:
                raise SettingsError(f"the map {name} has no {key}{near(key, _KEYS[name])}")
        tables[name] = tables.get(name, {}) | table
    for name, table in tables.items():
        missing = [key for key in _KEYS[name] if key not in table]
        if missing:
            raise SettingsError(f"the map {name} says nothing of {', '.join(missing)}")
    return tables


def merged_values(endpoint: Endpoint, preset: Preset, used: Iterable[str]) -> dict[str, Any]:
    """Return the values of an endpoint with a preset's defaults; `used` are those that its own templates name.

    Raises:
        SettingsError: one that is needed is missing, or nothing asks for one that is given.
    """
    known = {*preset.values, *used, LANGUAGE}
    for name in endpoint.values:
        if name not in known:
            raise SettingsError(f"the preset {endpoint.preset} asks for no value {name}{near(name, known)}")
    for name, value in preset.values.items():
        if value.required and not endpoint.values.get(name):
            raise SettingsError(f"the preset {endpoint.preset} needs the value {name}: {value.about}")
    language = endpoint.values.get(LANGUAGE, LANGUAGES[0])
    if language not in LANGUAGES:
        raise SettingsError(f"there is no language {language}{near(str(language), LANGUAGES)}")
    return {LANGUAGE: language} | {name: value.default for name, value in preset.values.items()} | endpoint.values


def override_request(endpoint: Endpoint, preset: Preset, action: Action) -> RequestSpec:
    """Return what an action asks for, with what the endpoint says of it laid over the preset's.

    Raises:
        SettingsError: it says something that no request has.
    """
    asked, over = preset.request_spec(action), endpoint.on.get(action, {})
    for name in over:
        if name not in _OVERRIDES:
            raise SettingsError(f"on.{action} has no {name}{near(name, _OVERRIDES)}")
    try:
        return msgspec.convert(_laid_over(msgspec.to_builtins(asked), over), RequestSpec)
    except msgspec.ValidationError as error:
        raise SettingsError(f"on.{action} cannot be used: {error}") from None


def _laid_over(below: Any, above: Any) -> Any:  # noqa: ANN401 - what JSON holds can be anything
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}


def address(endpoint: Endpoint, preset: Preset, asked: Iterable[RequestSpec]) -> str:
    """Return the address that templates build on, without what a preset strips.

    Raises:
        SettingsError: it has a query that they would build on.
    """
    if all(one.url == URL for one in asked) and preset.lookup is None:
        return endpoint.url
    if "?" in endpoint.url or "#" in endpoint.url:
        raise SettingsError(
            f"the address of the preset {endpoint.preset} has a query, and others are built on it",
            hint=f"it should be like {preset.example}",
        )
    return endpoint.url.rstrip("/").removesuffix(preset.strip)


def near(name: str, known: Iterable[str]) -> str:
    """Return the names that somebody may have meant, as the end of a sentence.

    >>> near("severty", ["severity", "type"]), near("x", ["severity", "type"])
    (', near is severity', ', there are severity, type')
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, 1)
    return f", near is {close[0]}" if close else f", there are {', '.join(known)}" if known else ""

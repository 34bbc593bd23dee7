"""A digest to a chat, through apprise, which is an extra: `pip install forewarn[chat]`.

One address says which chat: `slack://…`, `msteams://…`, `mmost://…` and many more.  It holds its secret, so it comes
from the environment or a file and is shown nowhere.  Nothing is repeated here and no redirect is followed.
"""

from importlib import import_module
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from streams.shared.errors import InputError, SettingsError
from streams.sink.digest.words import DigestText

_OURS: Final = {"redirect": "no", "retry": "0"}
_HINT: Final = "pip install 'forewarn[chat]'"


def send_chat(written: DigestText, address: str) -> None:
    """Send a digest to a chat.

    Raises:
        SettingsError: apprise is not installed, or knows no such address.
        InputError: the chat did not take it.
    """
    apprise = _apprise()
    asset = apprise.AppriseAsset(app_id="Forewarn", app_url="", http_redirects=False)
    chat = apprise.Apprise(asset=asset)
    if not chat.add(_quietly(address)):
        raise SettingsError("an account manager's chat: apprise knows no such address", hint="see docs/digest.md")
    if not chat.notify(title=written.subject, body=written.text, body_format=apprise.NotifyFormat.TEXT):
        raise InputError("the chat did not take the digest", hint="is its address still valid?")


def _apprise() -> Any:  # noqa: ANN401 - an extra that may not be there has no types
    try:
        return import_module("apprise")
    except ModuleNotFoundError as error:
        raise SettingsError(
            "a chat is configured, and the extra that speaks to it is not installed", hint=_HINT
        ) from error


def _quietly(address: str) -> str:
    """Return an address with what we say about redirects and repeats laid over it.

    >>> _quietly("mmost://host/token?retry=3&channel=a")
    'mmost://host/token?channel=a&redirect=no&retry=0'
    """
    parts = urlsplit(address)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in _OURS]
    return urlunsplit(parts._replace(query=urlencode([*kept, *_OURS.items()])))

"""Subscriber keys: a keyed hash of the operator's own identifier, made at the edge and never undone.

An unkeyed hash of a phone number can be reversed by trying all of them (there are about 1e10); with a key
that is kept apart this cannot be done.  The same key and identifier give the same pseudonym for ever, in
every command.  The key is an argument here: `streams.shared.settings` says where it comes from.
"""

import hmac
import re
from typing import Final

from streams.shared.errors import InputError, SettingsError

KEY_BYTES_MIN: Final = 16
KEY_VERSION: Final = 1
"""What `Subscriber.pseudonym_key_version` says; a new key makes new subscribers and gets the next number."""

_SEPARATORS: Final = str.maketrans("", "", " \t\u00a0-.()/")
_INTERNATIONAL: Final = re.compile(r"(?:\+|00)([1-9][0-9]{6,14})|([0-9]{7,15})", re.ASCII)


def normalise(identifier: str) -> str:
    """Return the one spelling of an identifier that is hashed.

    White space around it goes.  What then reads as a phone number, 7 to 15 digits (the most that E.164
    allows) with an optional leading + or 00 and with blanks, dashes, dots, slashes or brackets between
    them, becomes its digits alone.  A national number (one leading zero) keeps its zero, since its country
    is not known here: write numbers in the international form wherever two sources must meet.  Anything
    else is taken as it stands, case included.

    >>> normalise("+98 (912) 345-67.89"), normalise("0098 912 345 6789"), normalise(" 00001 ")
    ('989123456789', '989123456789', '00001')
    """
    stripped = identifier.strip()
    found = _INTERNATIONAL.fullmatch(stripped.translate(_SEPARATORS))
    if found is None:
        return stripped
    return found[1] or found[2]


def pseudonym(key: bytes, identifier: str) -> str:
    """Return `s_` and the first 32 hexadecimal digits of HMAC-SHA-256(key, normalised identifier as UTF-8).

    Raises:
        InputError: the identifier is empty, or is not text that UTF-8 can hold.
        SettingsError: the key has fewer than 16 bytes.

    >>> pseudonym(b"an example, 20 bytes", "+989123456789") == pseudonym(b"an example, 20 bytes", "00989123456789")
    True
    """
    if len(key) < KEY_BYTES_MIN:
        raise SettingsError(f"the pseudonym key has {len(key)} bytes and needs {KEY_BYTES_MIN} or more")
    text = normalise(identifier)
    if not text:
        raise InputError("an identifier is empty")
    try:
        message = text.encode()
    except UnicodeEncodeError:
        raise InputError("an identifier is not valid UTF-8") from None
    return "s_" + hmac.digest(key, message, "sha256").hex()[:32]

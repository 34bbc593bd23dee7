"""Checks who calls: by a signature of Standard Webhooks under an endpoint's secret, or by the secret in the call."""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from secrets import token_urlsafe
from typing import Final

from streams.sink.secrets.signing import SHARED

TOLERANCE_S: Final = 300
"""How far a signature's time may lie from ours: what Standard Webhooks recommends."""
_NEW_BYTES: Final = 32


def new_secret() -> str:
    """Return a secret for the calls of one endpoint: 256 random bits as text."""
    return "whin_" + token_urlsafe(_NEW_BYTES)


def is_authentic(
    headers: Mapping[str, str], body: bytes, *, signing: Iterable[str], inbound: str | None, now_ms: int
) -> bool:
    """Say whether a call comes from whoever holds one of an endpoint's secrets; `headers` have small letters.

    Everything is compared in a time that does not depend on what is compared.
    """
    if "webhook-signature" in headers:
        return _is_signed(headers, body, signing, now_ms)
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if inbound is None or not given:
        return False
    if scheme.lower() == "basic":
        try:
            # The user's name says nothing: some systems insist on one.
            given = b64decode(given.strip(), validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return compare_digest(given.strip().encode(), inbound.encode())


def _is_signed(headers: Mapping[str, str], body: bytes, signing: Iterable[str], now_ms: int) -> bool:
    identity, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    # An id with a dot could share its signature with another id and time.
    if not identity or "." in identity or not stamp.isascii() or not stamp.isdigit() or len(stamp) > len("9999999999"):
        return False
    if abs(int(stamp) * 1000 - now_ms) > TOLERANCE_S * 1000:
        return False
    signed = b".".join((identity.encode(), stamp.encode(), body))
    versions = [part.partition(",") for part in headers["webhook-signature"].split(" ")]
    given = [signature.encode() for version, _, signature in versions if version == "v1"]
    is_one = False
    for secret in (one for one in signing if one.startswith(SHARED)):
        wanted = b64encode(hmac_digest(b64decode(secret.removeprefix(SHARED)), signed, sha256))
        for signature in given:
            is_one |= compare_digest(signature, wanted)
    return is_one

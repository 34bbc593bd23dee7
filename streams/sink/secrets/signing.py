"""Signatures of Standard Webhooks 1.0.0: `v1` (HMAC-SHA256) and `v1a` (ed25519).

What is signed is `id.timestamp.body`, where the time is that of the attempt in whole seconds and the body is the bytes
that are sent.  During a rotation every key that is still good signs, and the receiver needs to know one of them.
"""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from functools import lru_cache
from secrets import token_bytes
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from streams.shared.errors import SettingsError

SHARED: Final = "whsec_"
PRIVATE: Final = "whsk_"
PUBLIC: Final = "whpk_"
SECRET_BYTES_MIN: Final = 24
SECRET_BYTES_MAX: Final = 64
_NEW_SECRET_BYTES: Final = 32
_SEED_BYTES: Final = 32


def new_secret() -> str:
    """Return a random secret that sender and receiver share, 32 bytes written as `whsec_` and base64."""
    return SHARED + b64encode(token_bytes(_NEW_SECRET_BYTES)).decode()


def new_key_pair() -> tuple[str, str]:
    """Return a random ed25519 key pair: ours to sign with (`whsk_`), and theirs to verify with (`whpk_`)."""
    seed = token_bytes(_SEED_BYTES)
    public = _public(Ed25519PrivateKey.from_private_bytes(seed))
    return PRIVATE + b64encode(seed + public).decode(), PUBLIC + b64encode(public).decode()


def public_key(secret: str) -> str | None:
    """Return what a receiver verifies with where that is no secret: the public half of a `whsk_` key, else None.

    Raises:
        SettingsError: as `check_secret` does.
    """
    check_secret(secret)
    return PUBLIC + b64encode(_public(_private(secret))).decode() if secret.startswith(PRIVATE) else None


def check_secret(secret: str) -> None:
    """Do nothing if this can sign.

    Raises:
        SettingsError: it begins with neither `whsec_` nor `whsk_`, is not base64, or has too few or too many bytes.

    >>> check_secret("whsec_" + "A" * 32)
    """
    if secret.startswith(SHARED):
        _shared_key(secret)
    elif secret.startswith(PRIVATE):
        _private(secret)
    else:
        raise SettingsError(
            f"a signing secret begins with {SHARED} (shared) or {PRIVATE} (ed25519), and this one does not",
            hint="leave it out, and one is made",
        )


def sign(secrets: Sequence[str], message_id: str, at_s: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: one signature of each secret, the newest first, with blanks between.

    Raises:
        SettingsError: as `check_secret` does.
        ValueError: the id has a dot, which would let two messages share a signature.

    >>> sign(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "m", 1, b"{}")
    'v1,waIQVvmpeTFKtGLs0vBzCuCagvHPnGhwXojqHcT18Oo='
    """
    if "." in message_id:
        raise ValueError("a message's id has no dot")
    content = f"{message_id}.{at_s}.".encode() + body
    return " ".join([_signature(secret, content) for secret in secrets])


def signature_headers(secrets: Sequence[str], message_id: str, at_s: int, body: bytes) -> tuple[tuple[str, str], ...]:
    """Return the three headers of a signed message; raises as `sign` does."""
    return (
        ("webhook-id", message_id),
        ("webhook-timestamp", str(at_s)),
        ("webhook-signature", sign(secrets, message_id, at_s, body)),
    )


def _signature(secret: str, content: bytes) -> str:
    if secret.startswith(PRIVATE):
        return "v1a," + b64encode(_private(secret).sign(content)).decode()
    return "v1," + b64encode(hmac.digest(_shared_key(secret), content, "sha256")).decode()


@lru_cache(maxsize=1_024)
def _shared_key(secret: str) -> bytes:
    key = _decode(secret, SHARED)
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise SettingsError(
            f"a signing secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, and this one has {len(key)}"
        )
    return key


@lru_cache(maxsize=1_024)
def _private(secret: str) -> Ed25519PrivateKey:
    key = _decode(secret, PRIVATE)
    if len(key) not in {_SEED_BYTES, 2 * _SEED_BYTES}:
        raise SettingsError(f"an ed25519 key has {_SEED_BYTES} or {2 * _SEED_BYTES} bytes, and this one has {len(key)}")
    private = Ed25519PrivateKey.from_private_bytes(key[:_SEED_BYTES])
    if key[_SEED_BYTES:] not in {b"", _public(private)}:
        raise SettingsError("the two halves of an ed25519 key do not belong together")
    return private


def _public(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _decode(secret: str, prefix: str) -> bytes:
    if not secret.startswith(prefix):
        check_secret(secret)
    try:
        return b64decode(secret.removeprefix(prefix), validate=True)
    except (Base64Error, ValueError):
        raise SettingsError(f"a signing secret is base64 after its {prefix}, and this one is not") from None

"""An endpoint's secrets at rest: sealed with a key that is not in the database, and readable for one endpoint alone.

AES-256-GCM with the endpoint's name as associated data, so that what is sealed for one endpoint opens for no other;
the key comes from the configured one by HKDF-SHA256.  The first byte says which of these ways it is.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from secrets import token_bytes
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct
from msgspec.structs import replace

from streams.core.times import DAY_MS, HOUR_MS
from streams.shared.errors import SettingsError
from streams.shared.pseudonyms import KEY_BYTES_MIN
from streams.shared.small_files import read_short

OVERLAP_MS: Final = DAY_MS
OVERLAP_MS_MAX: Final = 7 * OVERLAP_MS
OLD_KEYS_MAX: Final = 10
REFERENCE_BYTES_MAX: Final = 16_384

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_PURPOSE: Final = b"forewarn sink: secrets of endpoints, version 1"
_REFERENCE: Final = re.compile(r"(env|file):(.+)", re.DOTALL)
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f]")


class SigningKey(Struct, frozen=True, omit_defaults=True):
    """One secret that signs, until `until_ms` if it is an old one; it does not show itself."""

    secret: str
    until_ms: int | None = None

    def __repr__(self) -> str:
        return f"SigningKey(not shown, until_ms={self.until_ms})"


class Secrets(Struct, frozen=True, omit_defaults=True):
    """What is secret about an endpoint: what signs, the newest first, and what logs us in; it does not show itself.

    `inbound` is what the calls bear that come from there.
    """

    signing: tuple[SigningKey, ...] = ()
    auth: str | None = None
    inbound: str | None = None

    def __repr__(self) -> str:
        auth, inbound = ("None" if secret is None else "not shown" for secret in (self.auth, self.inbound))
        return f"Secrets(signing={self.signing!r}, auth={auth}, inbound={inbound})"


def seal(key: bytes, name: str, secrets: Secrets) -> bytes:
    """Return the secrets of the endpoint `name` as they may lie in a database; twice the same gives other bytes.

    Raises:
        SettingsError: the key has fewer than 16 bytes.
    """
    nonce = token_bytes(_NONCE_BYTES)
    return _VERSION + nonce + _cipher(key).encrypt(nonce, msgspec.json.encode(secrets), _associated_data(name))


def unseal(key: bytes, name: str, sealed: bytes) -> Secrets:
    """Return what `seal` sealed for this endpoint.

    Raises:
        SettingsError: it was sealed with another key, for another endpoint, in a later way, or was changed since.
    """
    if sealed[:1] != _VERSION:
        raise SettingsError(f"the secrets of endpoint {name} were sealed by a later version", hint="upgrade this one")
    nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        return _decode(_cipher(key).decrypt(nonce, rest, _associated_data(name)))
    except (InvalidTag, ValueError):
        raise SettingsError(
            f"the secrets of endpoint {name} cannot be opened: they were sealed with another sink key",
            hint="set FOREWARN_SINK_KEY or FOREWARN_SINK_KEY_FILE to the one that they were sealed with, "
            f"or give it new ones with `forewarn endpoints rotate {name}`",
        ) from None


def rotate_secrets(secrets: Secrets, secret: str, now_ms: int, overlap_ms: int = OVERLAP_MS) -> Secrets:
    """Return the secrets with a new one that signs; those of before sign with it until the overlap ends.

    Raises:
        SettingsError: the overlap is negative or longer than a week, or there would be more than ten old secrets.
    """
    if not 0 <= overlap_ms <= OVERLAP_MS_MAX:
        raise SettingsError(f"secrets may overlap for 0 to {OVERLAP_MS_MAX // HOUR_MS} hours")
    until_ms = now_ms + overlap_ms
    old = tuple(
        replace(key, until_ms=until_ms if key.until_ms is None else min(key.until_ms, until_ms))
        for key in valid_keys(secrets, now_ms)
    )
    if overlap_ms == 0:
        old = ()
    if len(old) > OLD_KEYS_MAX:
        raise SettingsError(
            f"{OLD_KEYS_MAX} old secrets are still in use, and there may not be more",
            hint="wait until the first of them has run out, or rotate without overlap",
        )
    return replace(secrets, signing=(SigningKey(secret), *old))


def valid_keys(secrets: Secrets, now_ms: int) -> tuple[SigningKey, ...]:
    """Return the keys that sign now, the newest first."""
    return tuple(key for key in secrets.signing if key.until_ms is None or now_ms < key.until_ms)


def signers(secrets: Secrets, now_ms: int) -> tuple[str, ...]:
    """Return the secrets that sign now, the newest first."""
    return tuple(key.secret for key in valid_keys(secrets, now_ms))


def reference(text: str, environ: Mapping[str, str], base: Path = Path()) -> str:
    """Return the secret that `env:NAME` or `file:PATH` points to, without the line end of a file.

    A relative path starts at `base`.

    Raises:
        SettingsError: it is no such reference, nothing is there, or what is there cannot stand in a header.

    >>> reference("env:TOKEN", {"TOKEN": "abc"})
    'abc'
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise SettingsError(
            "a secret is given as env:NAME or file:PATH", hint="it may not stand in the settings itself"
        )
    kind, place = match.groups()
    secret = _in_environment(place, environ) if kind == "env" else _in_file(base / place)
    if not secret:
        raise SettingsError(f"{text} should hold a secret, and is empty")
    if _UNFIT.search(secret):
        raise SettingsError(f"{text} should hold a secret of one line without control characters")
    return secret


def _in_environment(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise SettingsError(f"env:{name} names a variable that is not set")
    return environ[name]


def _in_file(path: Path) -> str:
    content = read_short(path, f"file:{path}", REFERENCE_BYTES_MAX)
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SettingsError(f"file:{path} should be UTF-8") from None


def _cipher(key: bytes) -> AESGCM:
    if len(key) < KEY_BYTES_MIN:
        raise SettingsError(f"the sink key has {len(key)} bytes and needs {KEY_BYTES_MIN} or more")
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key))


def _associated_data(name: str) -> bytes:
    return b"endpoint:" + name.encode()


_decode: Final = msgspec.json.Decoder(Secrets).decode

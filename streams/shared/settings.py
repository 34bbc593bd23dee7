"""What differs from one installation to the next, read once at start, each value with its origin.

A value comes from the first of these that gives it: the command line, the environment (`FOREWARN_<NAME>`),
the `[settings]` table of a TOML file, the default below.  The file is the one that the command line or
`FOREWARN_SETTINGS` names; its other tables belong to others and are not looked at.

    FOREWARN_DATABASE             database     path or URL of the database (forewarn.db)
    FOREWARN_POLICY               policy       a TOML file laid over the default policy (none)
    FOREWARN_PROGRESS             progress     auto, always or never (auto: only on a terminal)
    FOREWARN_LANGUAGE             language     en or zh: in which alerts are written for people (en)
    FOREWARN_PSEUDONYM_KEY        -            the key itself, 16 bytes or more; not in the file, which gets copied
    FOREWARN_PSEUDONYM_KEY_FILE   pseudonym_key_file   a file that holds the key
    FOREWARN_KAFKA                kafka            the brokers to begin with, host:port,host:port (127.0.0.1:9092)
    FOREWARN_KAFKA_PREFIX         kafka_prefix     what the names of all topics and groups begin with (nothing)
    FOREWARN_KAFKA_PROTOCOL       kafka_protocol   plaintext, ssl, sasl_plaintext or sasl_ssl (plaintext)
    FOREWARN_KAFKA_MECHANISM      kafka_mechanism  PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, for the sasl protocols
    FOREWARN_KAFKA_USER           kafka_user       who we are, for the sasl protocols
    FOREWARN_KAFKA_PASSWORD       -                the password itself; not in the file, which gets copied
    FOREWARN_KAFKA_PASSWORD_FILE  kafka_password_file  a file that holds the password
    FOREWARN_KAFKA_CA_FILE        kafka_ca_file    who vouches for the brokers, PEM (the system's own list)
    FOREWARN_KAFKA_CERT_FILE      kafka_cert_file  our certificate, PEM, where brokers ask for one
    FOREWARN_KAFKA_KEY_FILE       kafka_key_file   its private key, PEM (in the file of the certificate)
    FOREWARN_CONTACT              contact          a TOML file laid over the default contact rules (none)
    FOREWARN_SINK_KEY             -                what seals endpoints' secrets, 16 bytes or more; not in the file
    FOREWARN_SINK_KEY_FILE        sink_key_file    a file that holds that key
    FOREWARN_SMTP                 smtp             the mail server of the digests, host:port (none)
    FOREWARN_SMTP_TLS             smtp_tls         starttls, tls or none (starttls)
    FOREWARN_SMTP_USER            smtp_user        who we are, where it asks
    FOREWARN_SMTP_PASSWORD        -                the password itself; not in the file, which gets copied
    FOREWARN_SMTP_PASSWORD_FILE   smtp_password_file  a file that holds the password
    FOREWARN_SMTP_FROM            smtp_from        the address that digests come from

There is no key that everybody has: it would make the pseudonyms of real people reversible, and sealed secrets readable.
Where none is configured, `own_key` makes a random one for this user, once: `pseudonym.key` or `sink.key` in
`$XDG_CONFIG_HOME/forewarn` (or under `~/.config`).
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, Literal, get_args

from msgspec import Struct, field

from streams.shared.errors import SettingsError
from streams.shared.pseudonyms import KEY_BYTES_MIN
from streams.shared.small_files import read_short

PREFIX: Final = "FOREWARN_"
SETTINGS_FILE: Final = "FOREWARN_SETTINGS"
KEY_FILE_BYTES_MAX: Final = 4096

ProgressMode = Literal["auto", "always", "never"]
Language = Literal["en", "zh"]
"""As in core/contracts/languages.py, which nothing in this room may import; a test compares the two."""
KafkaProtocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
KafkaMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
SmtpTls = Literal["starttls", "tls", "none"]
KeyName = Literal["pseudonym", "sink"]

KAFKA_PREFIX_MAX: Final = 100
"""A topic's name has 249 characters at most, and the longest suffix of ours must fit as well."""


class Secret(Struct, frozen=True):
    """Bytes that show themselves to nobody who prints, logs or formats them; `reveal` hands them over."""

    reveal: bytes

    def __repr__(self) -> str:
        return "Secret(not shown)"


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of one process; `origins` says for each name where its value came from."""

    database: str = "forewarn.db"
    policy: Path | None = None
    progress: ProgressMode = "auto"
    language: Language = "en"
    pseudonym_key: Secret | None = None
    kafka: str = "127.0.0.1:9092"
    kafka_prefix: str = ""
    kafka_protocol: KafkaProtocol = "plaintext"
    kafka_mechanism: KafkaMechanism | None = None
    kafka_user: str | None = None
    kafka_password: Secret | None = None
    kafka_ca_file: Path | None = None
    kafka_cert_file: Path | None = None
    kafka_key_file: Path | None = None
    contact: Path | None = None
    sink_key: Secret | None = None
    smtp: str | None = None
    smtp_tls: SmtpTls = "starttls"
    smtp_user: str | None = None
    smtp_password: Secret | None = None
    smtp_from: str | None = None
    origins: Mapping[str, str] = field(default_factory=dict)


def own_key(environ: Mapping[str, str], name: KeyName = "pseudonym") -> tuple[Secret, Path, bool]:
    """Return this user's own key of that name, the file that holds it, and whether it was made just now.

    Raises:
        SettingsError: the file cannot be read or made; the message says how to configure another key.
    """
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".config")
    path = Path(home) / "forewarn" / f"{name}.key"
    is_new = False
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token_hex(32) + "\n")
            is_new = True
    except FileExistsError:
        pass
    except OSError as error:
        variable = f"{PREFIX}{name.upper()}_KEY"
        option = " (on the command line --key-file)" if name == "pseudonym" else ""
        raise SettingsError(
            f"no {name} key is configured, and none can be kept at {path}: {_plain(error)}",
            hint=f"set {variable} to a secret of {KEY_BYTES_MIN} bytes or more, or {variable}_FILE{option} "
            "to a file that holds one",
        ) from None
    return read_key_file(path), path, is_new


def load_settings(
    environ: Mapping[str, str],
    file: Path | None = None,
    overrides: Mapping[str, str | Path | None] | None = None,
) -> Settings:
    """Read all settings; `overrides` are the command line's (None = not given) under the file's names.

    Raises:
        SettingsError: a value is bad, a name is unknown (the nearest one is suggested), a file cannot be read.

    >>> load_settings({"FOREWARN_DATABASE": "here.db"}).origins["database"]
    'the environment'
    """
    layers = (_command_line(overrides or {}), _environment(environ), _file(environ, file))
    chosen: dict[str, tuple[str, _Layer]] = {}
    for layer in layers:
        for secret, words in _SECRETS.items():
            if secret in layer.values and secret + _IN_FILE in layer.values:
                raise SettingsError(f"{layer.origin} gives both {words} and a file that holds one", hint="keep one")
        for name in layer.values:
            chosen.setdefault(_target(name), (name, layer))
    values: dict[str, Any] = {
        target: _PARSERS[name](layer.values[name], f"{name} in {layer.origin}", layer.base)
        for target, (name, layer) in chosen.items()
    }
    origins = dict.fromkeys(_TARGETS, "default") | {target: layer.origin for target, (_, layer) in chosen.items()}
    return Settings(**values, origins=origins)


class _Layer(Struct, frozen=True):
    """The values of one origin, under the file's names; relative paths in them start at `base`."""

    origin: str
    base: Path
    values: Mapping[str, object]


def _command_line(overrides: Mapping[str, str | Path | None]) -> _Layer:
    values = {name: value for name, value in overrides.items() if value is not None}
    _refuse_unknown(values, "the command line", _PARSERS)
    return _Layer("the command line", Path(), values)


def _environment(environ: Mapping[str, str]) -> _Layer:
    known = {PREFIX + name.upper(): name for name in _PARSERS}
    given = {
        name: value
        for name, value in environ.items()
        if name.startswith(PREFIX) and not name.startswith(_OF_THE_TESTS) and name != SETTINGS_FILE
    }
    _refuse_unknown(given, "the environment", [*known, SETTINGS_FILE])
    return _Layer("the environment", Path(), {known[name]: value for name, value in given.items()})


def _file(environ: Mapping[str, str], file: Path | None) -> _Layer:
    path = file or (Path(environ[SETTINGS_FILE]) if environ.get(SETTINGS_FILE) else None)
    if path is None:
        return _Layer("no file", Path(), {})
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} cannot be read: {_plain(error)}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the settings file {path} is not TOML: {error}") from None
    values = tree.get("settings", {})
    if not isinstance(values, dict):
        raise SettingsError(f"settings in {path} should be a table, [settings]")
    for secret, words in _SECRETS.items():
        if secret in values:
            raise SettingsError(
                f"{secret} may not stand in {path}, since such files get copied and committed",
                hint=f"keep the {words.split()[-1]} in a file of its own and name it as {secret}{_IN_FILE}",
            )
    _refuse_unknown(values, str(path), [name for name in _PARSERS if name not in _SECRETS])
    return _Layer(str(path), path.parent, values)


def _refuse_unknown(given: Iterable[str], origin: str, known: Iterable[str]) -> None:
    known = list(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise SettingsError(f"{origin} gives the unknown setting {name}", hint=hint)


def read_key_file(path: Path) -> Secret:
    """Return the key in a file: its bytes without the white space around them.

    Raises:
        SettingsError: it cannot be read, is larger than 4 KiB, or holds fewer than 16 bytes.
    """
    return _key_file(path, "the key file", Path())


def _text(value: object, where: str, _base: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{where} should be text that is not empty")
    return value.strip()


def _path(value: object, where: str, base: Path) -> Path:
    return base / (value if isinstance(value, Path) else Path(_text(value, where, base)))


def _existing_path(kind: str) -> Callable[[object, str, Path], Path]:
    def parse(value: object, where: str, base: Path) -> Path:
        path = _path(value, where, base)
        try:
            is_there = path.is_file()
        except OSError as error:
            raise SettingsError(f"{where}: {path} cannot be read: {_plain(error)}") from None
        if not is_there:
            raise SettingsError(f"{where} should be a {kind} that exists, and {path} is none")
        return path

    return parse


def _one_of(words: tuple[str, ...]) -> Callable[[object, str, Path], str]:
    """Return a parser of one of these words, in capitals or small letters."""
    spelt = {word.lower(): word for word in words}

    def parse(value: object, where: str, _base: Path) -> str:
        word = spelt.get(value.strip().lower()) if isinstance(value, str) else None
        if word is None:
            raise SettingsError(f"{where} should be {', '.join(words[:-1])} or {words[-1]}")
        return word

    return parse


def _brokers(value: object, where: str, base: Path) -> str:
    addresses = [address.strip() for address in _text(value, where, base).split(",")]
    for address in addresses:
        if not _is_address(address):
            raise SettingsError(
                f"{where} should be host:port, or several with commas between them, and {address!r} is not",
                hint="for example kafka-1.example.net:9092,kafka-2.example.net:9092",
            )
    return ",".join(addresses)


def _server(value: object, where: str, base: Path) -> str:
    address = _text(value, where, base)
    if not _is_address(address):
        raise SettingsError(f"{where} should be host:port", hint="for example mail.example.net:587")
    return address


def _is_address(text: str) -> bool:
    match = _ADDRESS.fullmatch(text)
    return match is not None and 0 < int(match[1]) < 1 << 16


def _mailbox(value: object, where: str, base: Path) -> str:
    text = _text(value, where, base)
    if not _MAILBOX.fullmatch(text):
        raise SettingsError(f"{where} should be an e-mail address, alone or as Name <name@example.net>")
    return text


def _prefix(value: object, where: str, _base: Path) -> str:
    if not isinstance(value, str) or not _TOPIC_CHARACTERS.fullmatch(value) or len(value) > KAFKA_PREFIX_MAX:
        raise SettingsError(
            f"{where} should be at most {KAFKA_PREFIX_MAX} letters, digits, dots, hyphens and underscores",
            hint="Kafka takes no others in the name of a topic",
        )
    return value


def _password(value: object, where: str, _base: Path) -> Secret:
    # Unlike other text it may begin or end with white space.
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{where} should be text that is not empty")
    return _utf8_secret(value.encode("utf-8", "surrogateescape"), where)


def _password_file(value: object, where: str, base: Path) -> Secret:
    path, content = _content(value, where, base)
    password = content.removesuffix(b"\n").removesuffix(b"\r")
    if not password:
        raise SettingsError(f"{where}: {path} should hold a password, and is empty")
    return _utf8_secret(password, f"{where}: {path}")


def _utf8_secret(password: bytes, where: str) -> Secret:
    try:
        password.decode("utf-8")
    except UnicodeDecodeError:
        raise SettingsError(f"{where} should be UTF-8") from None
    return Secret(password)


def _key(value: object, where: str, base: Path) -> Secret:
    return _key_secret(_text(value, where, base).encode("utf-8", "surrogateescape"), where)


def _key_file(value: object, where: str, base: Path) -> Secret:
    path, content = _content(value, where, base)
    return _key_secret(content.strip(), f"{where}: {path}")


def _content(value: object, where: str, base: Path) -> tuple[Path, bytes]:
    path = _path(value, where, base)
    return path, read_short(path, f"{where}: {path}", KEY_FILE_BYTES_MAX)


def _key_secret(key: bytes, where: str) -> Secret:
    if len(key) < KEY_BYTES_MIN:
        raise SettingsError(f"{where} should hold a secret of {KEY_BYTES_MIN} bytes or more, and holds {len(key)}")
    return Secret(key)


def _plain(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8"


def _target(name: str) -> str:
    """Return the field that a setting fills: a secret and the file that holds it fill the same."""
    secret = name.removesuffix(_IN_FILE)
    return secret if secret in _SECRETS else name


_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_TOPIC_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._-]*")
_IN_FILE: Final = "_file"
_OF_THE_TESTS: Final = PREFIX + "TEST_"
_MAILBOX: Final = re.compile(r"[^@\s<>]+@[^@\s<>]+|[^@<>\x00-\x1f\x7f]*<[^@\s<>]+@[^@\s<>]+>")
_SECRETS: Final = {
    "pseudonym_key": "a pseudonym key",
    "kafka_password": "a password",
    "sink_key": "a sink key",
    "smtp_password": "a password",
}
_PARSERS: Final[dict[str, Callable[[object, str, Path], object]]] = {
    "database": _text,
    "policy": _existing_path("TOML file"),
    "progress": _one_of(get_args(ProgressMode)),
    "language": _one_of(get_args(Language)),
    "pseudonym_key": _key,
    "pseudonym_key_file": _key_file,
    "kafka": _brokers,
    "kafka_prefix": _prefix,
    "kafka_protocol": _one_of(get_args(KafkaProtocol)),
    "kafka_mechanism": _one_of(get_args(KafkaMechanism)),
    "kafka_user": _text,
    "kafka_password": _password,
    "kafka_password_file": _password_file,
    "kafka_ca_file": _existing_path("file"),
    "kafka_cert_file": _existing_path("file"),
    "kafka_key_file": _existing_path("file"),
    "contact": _existing_path("TOML file"),
    "sink_key": _key,
    "sink_key_file": _key_file,
    "smtp": _server,
    "smtp_tls": _one_of(get_args(SmtpTls)),
    "smtp_user": _text,
    "smtp_password": _password,
    "smtp_password_file": _password_file,
    "smtp_from": _mailbox,
}
_TARGETS: Final = tuple(dict.fromkeys(map(_target, _PARSERS)))

"""What differs from one installation to the next, read once at start, each value with its origin.

A value comes from the first of these that gives it: the command line, the environment (`FOREWARN_<NAME>`),
the `[settings]` table of a TOML file, the default below.  The file is the one that the command line or
`FOREWARN_SETTINGS` names; its other tables belong to others and are not looked at.

    FOREWARN_DATABASE             database     path or URL of the database (forewarn.db)
    FOREWARN_POLICY               policy       a TOML file laid over the default policy (none)
    FOREWARN_PROGRESS             progress     auto, always or never (auto: only on a terminal)
    FOREWARN_PSEUDONYM_KEY        -            the key itself, 16 bytes or more; not in the file, which gets copied
    FOREWARN_PSEUDONYM_KEY_FILE   pseudonym_key_file   a file that holds the key

There is no key that everybody has: it would make the pseudonyms of real people reversible.  Where none is configured,
`own_key` makes a random one for this user, once, in `$XDG_CONFIG_HOME/forewarn/pseudonym.key` (or under `~/.config`).
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, Literal, cast, get_args

from msgspec import Struct, field

from streams.errors import SettingsError
from streams.pseudonyms import KEY_BYTES_MIN

PREFIX: Final = "FOREWARN_"
SETTINGS_FILE: Final = "FOREWARN_SETTINGS"
PSEUDONYM_KEY: Final = "FOREWARN_PSEUDONYM_KEY"
KEY_FILE_BYTES_MAX: Final = 4096

Progress = Literal["auto", "always", "never"]


class Secret(Struct, frozen=True):
    """Bytes that show themselves to nobody who prints, logs or formats them; `reveal` hands them over."""

    reveal: bytes

    def __repr__(self) -> str:
        return "Secret(not shown)"


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of one process; `origins` says for each name where its value came from."""

    database: str = "forewarn.db"
    policy: Path | None = None
    progress: Progress = "auto"
    pseudonym_key: Secret | None = None
    origins: Mapping[str, str] = field(default_factory=dict)


def own_key(environ: Mapping[str, str]) -> tuple[Secret, Path, bool]:
    """Return this user's own pseudonym key, the file that holds it, and whether it was made just now.

    Raises:
        SettingsError: the file cannot be read or made; the message says how to configure another key.
    """
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".config")
    path = Path(home) / "forewarn" / "pseudonym.key"
    is_new = False
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token_hex(32) + "\n")
            is_new = True
    except FileExistsError:
        pass
    except OSError as error:
        raise SettingsError(
            f"no pseudonym key is configured, and none can be kept at {path}: {_plain(error)}",
            hint=f"set {PSEUDONYM_KEY} to a secret of {KEY_BYTES_MIN} bytes or more, or {PSEUDONYM_KEY}_FILE "
            "(on the command line --key-file) to a file that holds one",
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
        if _KEY in layer.values and _KEY_FILE in layer.values:
            raise SettingsError(f"{layer.origin} gives both a pseudonym key and a file that holds one", hint="keep one")
        for name in layer.values:
            chosen.setdefault("pseudonym_key" if name == _KEY_FILE else name, (name, layer))
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
    given = {name: value for name, value in environ.items() if name.startswith(PREFIX) and name != SETTINGS_FILE}
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
    if _KEY in values:
        raise SettingsError(
            f"{_KEY} may not stand in {path}, since such files get copied and committed",
            hint=f"keep the key in a file of its own and name it as {_KEY_FILE}",
        )
    _refuse_unknown(values, str(path), [name for name in _PARSERS if name != _KEY])
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


def _policy(value: object, where: str, base: Path) -> Path:
    path = _path(value, where, base)
    if not path.is_file():
        raise SettingsError(f"{where} should be a TOML file that exists, and {path} is none")
    return path


def _progress(value: object, where: str, _base: Path) -> Progress:
    if value not in get_args(Progress):
        raise SettingsError(f"{where} should be auto, always or never")
    return cast("Progress", value)


def _key(value: object, where: str, base: Path) -> Secret:
    return _checked(_text(value, where, base).encode("utf-8", "surrogateescape"), where)


def _key_file(value: object, where: str, base: Path) -> Secret:
    path = _path(value, where, base)
    try:
        with path.open("rb") as file:
            content = file.read(KEY_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsError(f"{where}: {path} cannot be read: {_plain(error)}") from None
    if len(content) > KEY_FILE_BYTES_MAX:
        raise SettingsError(f"{where}: {path} has more than {KEY_FILE_BYTES_MAX} bytes", hint="is it the right file?")
    return _checked(content.strip(), f"{where}: {path}")


def _checked(key: bytes, where: str) -> Secret:
    if len(key) < KEY_BYTES_MIN:
        raise SettingsError(f"{where} should hold a secret of {KEY_BYTES_MIN} bytes or more, and holds {len(key)}")
    return Secret(key)


def _plain(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8"


_KEY: Final = "pseudonym_key"
_KEY_FILE: Final = "pseudonym_key_file"
_PARSERS: Final[dict[str, Callable[[object, str, Path], object]]] = {
    "database": _text,
    "policy": _policy,
    "progress": _progress,
    _KEY: _key,
    _KEY_FILE: _key_file,
}
_TARGETS: Final = tuple(name for name in _PARSERS if name != _KEY_FILE)

"""Files that are read whole because they can only be short: keys, secrets."""

from pathlib import Path

from streams.shared.errors import SettingsError


def read_short(path: Path, said: str, bytes_max: int) -> bytes:
    """Return what a small file holds; `said` is how it is called in words.

    Raises:
        SettingsError: it cannot be read, or is longer.
    """
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise SettingsError(f"{said} cannot be read: {error.strerror or error}") from None
    if len(content) > bytes_max:
        raise SettingsError(f"{said} has more than {bytes_max} bytes", hint="is it the right file?")
    return content

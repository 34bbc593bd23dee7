"""What the group hands to its commands: the settings, with the command line's values laid over them."""

import os
from pathlib import Path

import click

from streams.cli.output import note
from streams.shared.settings import Settings, load_settings, own_key


def settings_of(context: click.Context, **overrides: str | Path | None) -> Settings:
    """Return the settings of this call; `overrides` are options under the settings' names, None when not given.

    Raises `SettingsError` when the environment, the settings file or an option has a bad value.
    """
    root = context.find_root()
    return load_settings(os.environ, root.params["settings"], overrides)


def database_of(context: click.Context, db: str | None) -> str:
    """Return the database that `--db`, the environment or the settings file names."""
    return settings_of(context, database=db).database


def pseudonym_key_of(settings: Settings) -> bytes:
    """Return the configured pseudonym key, or this user's own, which is made when it is needed first."""
    if settings.pseudonym_key is not None:
        return settings.pseudonym_key.reveal
    key, path, is_new = own_key(os.environ)
    if is_new:
        note(f"No pseudonym key is configured; made one for you: {path}. Keep it: another key makes other ids.")
    return key.reveal

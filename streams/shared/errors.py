"""Every failure that a person can put right, each with the exit code of the command that it ends.

    ForewarnError            1   anything below, for whoever wants to catch them all
    ├── UsageError           2   the command line asks for something that does not exist or fit together
    ├── InputError           3   a file, a folder or a stream cannot be read as what it should be
    │   └── MappingError     3   a map and the file that it is used on do not agree, or the map is wrong
    ├── StoreError           4   the database cannot be opened, is another program's, or of another version
    ├── SettingsError        2   a setting or policy has a bad value, or one that is needed is missing
    ├── ContractError        6   a contract file in `schemas/` is wrong, or a change would break a reader
    └── ModelError           7   a stored model version cannot be read, was changed, or has other features

A bad *record* is none of these: it is a value (`DeadLetter`), and the run goes on.  A broken invariant is a
plain `AssertionError` or `RuntimeError`, and shows its traceback, since nobody can put it right but us.
"""

from typing import ClassVar


class ForewarnError(Exception):
    """A failure with a message for people: what is wrong, where, and what to do about it.

    `exit_code` is what the command ends with (0 is success; click itself uses 2 for a bad command line).

    >>> error = StoreError("alerts.db is a text file", hint="name a new file after --db")
    >>> str(error)
    'alerts.db is a text file; name a new file after --db'
    >>> error.exit_code
    4
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep the message; `hint` says what to do and is joined to it with a semicolon."""
        super().__init__(f"{message}; {hint}" if hint else message)


class UsageError(ForewarnError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = 2


class InputError(ForewarnError):
    """A file, a folder or a stream cannot be read as what it should be."""

    exit_code = 3


class MappingError(InputError):
    """An import map is wrong, or the file that it is used on lacks what the map names."""


class StoreError(ForewarnError):
    """The database cannot be opened, belongs to another program, or has another schema version."""

    exit_code = 4


class SettingsError(ForewarnError):
    """A setting has a value that it cannot have, or one that is needed is missing."""

    exit_code = 2


class ContractError(ForewarnError):
    """A contract in `schemas/` is malformed, or a change to it would break an existing reader."""

    exit_code = 6


class ModelError(ForewarnError):
    """A stored model version cannot be used: it is none, its hash does not match, or its features are not ours."""

    exit_code = 7

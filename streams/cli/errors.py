"""How a command ends: which words, which exit code, and what to type instead.

Three things leave a command: a failure that a person can put right (`ForewarnError`, or a file that the system
refuses), a command line that click cannot read, and a defect of ours.  None of them shows a traceback unless
`--debug` asks for it.
"""

import os
import sys
from difflib import get_close_matches
from typing import Final

import click

from streams.cli.interrupts import INTERRUPTED
from streams.shared.errors import ForewarnError, InputError

UNEXPECTED: Final = 1
USAGE: Final = 2
BROKEN_PIPE: Final = 141

EXIT_CODES: Final = (
    (0, "done"),
    (
        UNEXPECTED,
        "a defect of Forewarn, numbers that `explain` could not repeat, or topics that are not as they should be",
    ),
    (USAGE, "the command line cannot be understood, or a setting or the policy has a bad value"),
    (3, "a file or folder cannot be read or written, or is not what it should be"),
    (4, "the database cannot be opened or is not Forewarn's"),
    (6, "a contract is wrong"),
    (7, "a stored model version cannot be used"),
    (INTERRUPTED, "interrupted (Ctrl-C); the same `run` goes on where it stood"),
    (BROKEN_PIPE, "whoever read the output stopped reading"),
)
"""Every exit code with its meaning, as `forewarn --help` prints them."""

SYNONYMS: Final = {
    "acknowledge": "inbound", "backtest": "evaluate", "churn": "scores", "complete": "completion",
    "completions": "completion", "convert": "import", "dlq": "dead-letters", "example": "demo", "fake": "simulate",
    "feature": "features", "feed": "alerts", "generate": "simulate", "hash": "pseudonym", "hook": "endpoints",
    "info": "version", "ingest": "run", "kafka": "topics", "list": "alerts", "listen": "inbound", "load": "import",
    "ls": "alerts", "mail": "digest", "metrics": "evaluate", "migrate": "db", "notify": "notifier",
    "outbox": "deliveries", "predict": "scores", "process": "run", "pseudonymise": "pseudonym",
    "pseudonymize": "pseudonym", "publish": "produce", "quickstart": "demo", "reason": "explain",
    "redrive": "dead-letters", "risk": "scores", "sample": "simulate", "score": "scores", "send": "dispatcher",
    "show": "alerts", "start": "run", "train": "run", "try": "demo", "upgrade": "db", "warn": "alerts",
    "webhook": "endpoints", "webhooks": "endpoints", "why": "explain",
}  # fmt: skip
"""Words that other tools have for our commands."""

WITHIN: Final = {
    "create": "add", "delete": "remove", "enable": "resume", "get": "show",
    "ls": "list", "migrate": "upgrade", "new": "add", "ping": "test", "preview": "render", "push": "publish",
    "reissue": "rotate", "replay": "recover", "retry": "resend", "revert": "rollback", "rm": "remove", "stop": "pause",
    "try": "test", "undo": "rollback", "unpause": "resume", "verify": "check",
}  # fmt: skip
"""The same for commands within a group."""


class CommandFailure(click.ClickException):
    """An exception that left a command, in one line and with the exit code that it ends with."""

    def __init__(self, error: Exception) -> None:
        """Take the exit code and the words from the error's kind."""
        super().__init__(failure_message(error))
        self.exit_code = failure_code(error)


def failure_code(error: Exception) -> int:
    """Return the exit code for an exception that is not click's own.

    >>> failure_code(InputError("no such folder")), failure_code(PermissionError(13, "no")), failure_code(KeyError("x"))
    (3, 3, 1)
    """
    if isinstance(error, ForewarnError):
        return error.exit_code
    return InputError.exit_code if isinstance(error, OSError) else UNEXPECTED


def failure_message(error: Exception) -> str:
    """Return what to tell a person: a known failure's own words, or one line about a defect.

    >>> failure_message(FileNotFoundError(2, "No such file or directory", "map.toml"))
    'map.toml: no such file or directory'
    >>> failure_message(KeyError("plan"))
    "unexpected KeyError: 'plan'; this is a defect of Forewarn: `forewarn --debug ...` shows where, please report it"
    """
    if isinstance(error, ForewarnError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        words = error.strerror[:1].lower() + error.strerror[1:]
        return f"{os.fspath(error.filename)!s}: {words}" if error.filename is not None else words
    text = " ".join(str(error).split())
    return (
        f"unexpected {type(error).__name__}{': ' + text if text else ''}; this is a defect of Forewarn: "
        "`forewarn --debug ...` shows where, please report it"
    )


def instead(word: str, commands: list[str], group: str = "forewarn") -> str:
    """Return what to type instead of a command that a group does not have.

    >>> instead("alert", ["alerts", "run"]), instead("ingest", ["alerts", "run"]), instead("zzz", ["alerts", "run"])
    ('did you mean `forewarn alerts`?', 'did you mean `forewarn run`?', 'commands are: alerts, run')
    >>> instead("rm", ["add", "remove"], "forewarn endpoints")
    'did you mean `forewarn endpoints remove`?'
    """
    word = word.lower()
    likely = (SYNONYMS.get(word), WITHIN.get(word), *get_close_matches(word, commands, n=1))
    meant = next((one for one in likely if one in commands), None)
    return f"commands are: {', '.join(commands)}" if meant is None else f"did you mean `{group} {meant}`?"


def report(error: click.ClickException) -> int:
    """Write a failure to standard error and return the exit code; a misread command line also gets its example."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    click.echo(f"error: {_message(error)}", err=True)
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        example = first_example(context.command.epilog)
        if example:
            click.echo(f"  such as: {example}", err=True)
        click.echo(f"  help:    {context.command_path} --help", err=True)
    return error.exit_code


def first_example(epilog: str | None) -> str | None:
    """Return the first line of a help epilog that is a command.

    >>> first_example("Examples: forewarn run"), first_example("  forewarn run --input data")
    (None, 'forewarn run --input data')
    """
    lines = (line.strip() for line in (epilog or "").splitlines())
    return next((line for line in lines if line.startswith("forewarn ")), None)


def stop_writing() -> None:
    """Point standard output at nothing after its reader has gone, so that the last flush says nothing either."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _message(error: click.ClickException) -> str:
    text = error.format_message().strip()
    if not isinstance(error, click.UsageError):
        return text
    # Click writes sentences; after "error:" ours begin small, and what to do follows a semicolon.
    return text[:1].lower() + text[1:].replace(". Did you mean", "; did you mean").replace(
        " Did you mean", "; did you mean"
    )

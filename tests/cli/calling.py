"""How tests give a command line: in this process, or in one of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from msgspec import Struct

from streams.cli.app import forewarn

KEY = "0123456789abcdef0123456789abcdef"


class Operator(Struct, frozen=True):
    """The folder of events, the database that they were run into, and the summary of that run."""

    events: Path
    db: Path
    summary: dict[str, Any]


def call(*words: str | Path, text: str | None = None, env: dict[str, str] | None = None) -> Result:
    """Run a command line in this process."""
    return CliRunner(env=env).invoke(forewarn, [str(word) for word in words], input=text, prog_name="forewarn")


def lines(result: Result) -> list[dict[str, Any]]:
    """Return the JSON objects of a command that must have gone well and said nothing else."""
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def error_line(stderr: str | bytes) -> str:
    """Return the one error that a command gave; there must be no second one, and no traceback."""
    text = stderr.decode() if isinstance(stderr, bytes) else stderr
    assert "Traceback" not in text, text
    found = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(found) == 1, text
    return found[0]


def started(*words: str | Path, env: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Start a command line in a process of its own, with all three of its streams in our hands."""
    command = [sys.executable, "-m", "streams.cli", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=os.environ | (env or {}))

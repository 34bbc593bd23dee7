"""The command line: parses, calls `streams.bootstrap`, and shows what came back.  No decision is made here.

What a command answers goes to standard output, for people as tables and with `--json` as one JSON object a
line; progress, notes and errors go to standard error.  `streams.cli.app` has the exit codes.
"""

from streams.cli.app import main

__all__ = ["main"]

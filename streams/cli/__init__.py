"""The command line: parses, calls a use case of `streams.app`, and shows what came back.  No decision is made here.

What a command answers goes to standard output, for people as tables and with `--json` as one JSON object a
line; progress, notes and errors go to standard error.  `streams.cli.app` has the exit codes.
"""

from streams.cli import interrupts


def main() -> None:
    """Run the command line: the entry point of the installed `forewarn`."""
    interrupts.watch()
    from streams.cli.app import forewarn

    try:
        forewarn.main(prog_name="forewarn")
    except SystemExit as end:
        if end.code == interrupts.INTERRUPTED:
            interrupts.leave()
        raise
    except KeyboardInterrupt:  # A second one, while the first one was told.
        interrupts.leave()

"""The group of commands, and the one place where a command's end becomes words and an exit code."""

import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click

from streams.cli import (
    data,
    db,
    dead_letters,
    deliveries,
    demo,
    digest,
    dispatcher,
    endpoints,
    evaluate,
    explain,
    inbound,
    meta,
    model,
    notifier,
    policy,
    produce,
    read,
    run,
    topics,
    trainer,
    worker,
)
from streams.cli.errors import BROKEN_PIPE, EXIT_CODES, CommandFailure, report, stop_writing
from streams.cli.groups import CommandGroup
from streams.cli.interrupts import INTERRUPTED, WORD
from streams.cli.options import examples
from streams.shared.client_logs import route_client_logs

COMMANDS: Final = (
    demo.demo,
    data.simulate,
    data.import_,
    run.run,
    read.alerts,
    read.scores,
    explain.explain,
    evaluate.evaluate,
    data.pseudonym,
    topics.topics,
    produce.produce,
    worker.worker,
    trainer.trainer,
    endpoints.endpoints,
    notifier.notifier,
    dispatcher.dispatcher,
    deliveries.deliveries,
    inbound.inbound,
    digest.digest,
    policy.policy,
    model.model,
    dead_letters.dead_letters,
    db.db,
    meta.features,
    meta.version_,
    meta.completion,
)
"""Every command, in the order in which somebody new meets them."""

_EXAMPLES: Final = examples(
    "forewarn demo",
    "forewarn simulate --seed 1 --subscribers 2000 --days 200 --out operator",
    "forewarn run --input operator --db alerts.db",
    "forewarn alerts --db alerts.db --state firing",
    "forewarn scores --db alerts.db --at 2024-06-01 --json | head",
)
_EXIT_CODES: Final = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES)


class Forewarn(CommandGroup):
    """The group of all commands, which never shows a traceback unasked."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; every exception that is not click's own leaves as a `CommandFailure`."""
        route_client_logs(shown=ctx.params["debug"])
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            stop_writing()
            raise click.exceptions.Exit(BROKEN_PIPE) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params["debug"]:
                traceback.print_exc()
            raise CommandFailure(error) from error
        return answer

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,  # noqa: ANN401 - click's signature
    ) -> Any:  # noqa: ANN401 - click's signature
        """Run the command line and leave with its exit code."""
        try:
            answer = super().main(args, prog_name, complete_var, False, **extra)
        except click.ClickException as error:
            answer = report(error)
        except (click.Abort, KeyboardInterrupt):
            click.echo(WORD, err=True)
            answer = INTERRUPTED
        if not standalone_mode:
            return answer
        sys.exit(answer if isinstance(answer, int) else 0)


@click.group(
    cls=Forewarn, epilog=f"{_EXAMPLES}\n\n{_EXIT_CODES}", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option("--debug", is_flag=True, help="Show where an error came from (a traceback), and what libraries warn of.")
@click.option(
    "--settings",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A TOML file with a [settings] table; the environment (FOREWARN_...) goes before it.",
)
@click.version_option(version("forewarn"), prog_name="forewarn", message="%(prog)s %(version)s")
def forewarn(debug: bool, settings: Path | None) -> None:
    """Say who is about to leave, why, and while there is still time.

    Reads an operator's event topics (call drops, usage, top-ups, complaints, subscribers, outcomes), keeps a
    picture of every subscriber, learns from those who left, and opens an alert with its reasons.

    Answers go to standard output, all else to standard error.  Times without an offset are UTC.
    """


for _command in COMMANDS:
    forewarn.add_command(_command)

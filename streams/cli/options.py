"""Options that several commands share, so that they are spelt, checked and described once."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from streams.core.contracts.decode import epoch_ms
from streams.core.contracts.languages import LANGUAGES

LOOPBACK: Final = "127.0.0.1"
F = TypeVar("F", bound=Callable[..., Any])

TIMES: Final = "RFC 3339, or a date for its first moment; without an offset it is UTC."


class MomentParam(click.ParamType):
    """A point in event time on the command line, as milliseconds since 1970-01-01 UTC."""

    name = "time"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read an RFC 3339 time or a date; refuses anything else with an example of both."""
        if isinstance(value, int):
            return value
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            self.fail(f"{value!r} is no time; write one such as 2025-06-01 or 2025-06-01T08:30:00Z", param, ctx)
        at_ms = epoch_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        if at_ms < 0:
            self.fail(f"{value!r} lies before 1970", param, ctx)
        return at_ms


class ListenAddressParam(click.ParamType):
    """Where to listen, as host and port; a port alone is on loopback."""

    name = "address"

    def convert(
        self, value: str | tuple[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Read an address; refuses anything else with an example."""
        if isinstance(value, tuple):
            return value
        host, _, port = value.rpartition(":")
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
            self.fail(f"{value!r} is no port and no address; write one such as 8080 or 0.0.0.0:8080", param, ctx)
        return host.strip("[]") or LOOPBACK, int(port)


def db_option(command: F) -> F:
    """Add `--db`, the database to work on."""
    return click.option(
        "--db",
        metavar="PATH|URL",
        help="The database: a path for SQLite, or an SQLAlchemy URL.  [default: the setting, else forewarn.db]",
    )(command)


def input_option(*, required: bool, help: str) -> Callable[[F], F]:  # noqa: A002 - click's word
    """Add `--input`, where the events are."""
    return click.option(
        "--input", "input_", required=required, metavar="DIR|FILE|-", type=click.Path(allow_dash=True), help=help
    )


def until_option(command: F) -> F:
    """Add `--until`, the moment in event time at which to stop."""
    return click.option(
        "--until", "until_ms", type=MomentParam(), metavar="TIME", help=f"Stop before this event time.  {TIMES}"
    )(command)


def at_option(command: F) -> F:
    """Add `--at`, the moment in event time that is asked about."""
    return click.option(
        "--at", "at_ms", type=MomentParam(), required=True, metavar="TIME", help=f"The moment asked about.  {TIMES}"
    )(command)


def policy_option(command: F) -> F:
    """Add `--policy`, a file that replaces the policy that comes with the package."""
    return click.option(
        "--policy",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="A TOML file laid over the policy that comes with Forewarn (streams/defaults/policy.toml).",
    )(command)


def json_option(command: F) -> F:
    """Add `--json`, for programs."""
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON object a line on standard output, and no progress bar."
    )(command)


def language_option(command: F) -> F:
    """Add `--language`, in which alerts are written for people."""
    return click.option(
        "--language",
        type=click.Choice(LANGUAGES),
        help="The language for people; --json keeps its codes.  [default: the setting, else en]",
    )(command)


def kafka_option(command: F) -> F:
    """Add `--kafka`, the brokers to begin with."""
    return click.option(
        "--kafka",
        metavar="HOST:PORT,...",
        help="Brokers of the cluster.  [default: the setting, else 127.0.0.1:9092]",
    )(command)


def prefix_option(command: F) -> F:
    """Add `--prefix`, what the names of all topics and groups begin with."""
    return click.option(
        "--prefix",
        metavar="TEXT",
        help="What the names of all topics begin with.  [default: the setting, else nothing]",
    )(command)


def application_option(command: F) -> F:
    """Add `--application`, the name of the group of workers, from which their changelog has its name."""
    return click.option(
        "--application",
        metavar="NAME",
        default="forewarn",
        show_default=True,
        help="The name of the group of workers; their changelog is <prefix><name>-state.",
    )(command)


def workers_options(command: F) -> F:
    """Add `--kafka`, `--prefix` and `--application`: which cluster, and whose topics on it."""
    return kafka_option(prefix_option(application_option(command)))


def running_options(command: F) -> F:
    """Add what is asked of whoever runs until told to stop: session, limits of a flood, expired records, health."""
    options = (
        click.option(
            "--session",
            "session_s",
            type=click.FloatRange(6.0, 300.0),
            default=30.0,
            show_default=True,
            metavar="SECONDS",
            help="How long it may be silent before others take its partitions.",
        ),
        click.option(
            "--flood-run",
            type=click.IntRange(1),
            default=500,
            show_default=True,
            metavar="N",
            help="Stop when so many records of a partition are bad one after the other.",
        ),
        click.option(
            "--flood-ratio",
            type=click.FloatRange(0.01, 1.0),
            default=0.5,
            show_default=True,
            metavar="SHARE",
            help="Stop when such a share of a partition's last thousand records is bad.",
        ),
        click.option(
            "--accept-expired",
            is_flag=True,
            help="Go on where records have expired from the log before they were read: they are lost.",
        ),
        click.option(
            "--health",
            type=ListenAddressParam(),
            metavar="[HOST:]PORT",
            help="Answer GET /live and GET /ready there, for who watches over containers; without a host on loopback.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def limit_option(default: int) -> Callable[[F], F]:
    """Add `--limit`, how many rows a person is shown; a program gets all unless it asks for fewer."""
    return click.option(
        "--limit",
        type=click.IntRange(min=0),
        metavar="N",
        help=f"At most N rows (a table shows {default} unless told, 0 for all; --json gives all unless told).",
    )


def examples(*lines: str) -> str:
    """Return a help epilog of examples, kept as written."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)

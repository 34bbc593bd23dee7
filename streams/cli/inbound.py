"""`forewarn inbound`: a server for what ticketing systems say about their tickets."""

from pathlib import Path

import click

from streams.cli.options import ListenAddressParam, db_option, examples, json_option
from streams.cli.output import note, write_lines
from streams.cli.shared import settings_of
from streams.core.notify.pacing import RATE_PER_S

BODY_BYTES_MAX = 256 << 10


@click.command(
    short_help="Take in what ticketing says about tickets.",
    epilog=examples(
        "forewarn inbound --db alerts.db --listen 8090",
        "forewarn inbound --db alerts.db --new-secret crm",
        "forewarn inbound --db alerts.db --listen 0.0.0.0:8090 --outcomes operator/outcomes.jsonl",
    ),
)
@db_option
@click.option(
    "--listen",
    "address",
    type=ListenAddressParam(),
    default="8090",
    show_default=True,
    metavar="[HOST:]PORT",
    help="Answer POST /inbound/ENDPOINT there; without a host on loopback.",
)
@click.option(
    "--max-body",
    "body_bytes_max",
    type=click.IntRange(1_024, 16 << 20),
    default=BODY_BYTES_MAX,
    show_default=True,
    metavar="BYTES",
    help="Refuse bodies that are larger.",
)
@click.option(
    "--rate",
    "rate_per_s",
    type=click.FloatRange(0.1),
    default=RATE_PER_S,
    show_default=True,
    metavar="CALLS",
    help="Refuse more calls a second from one endpoint.",
)
@click.option(
    "--outcomes",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Append what people report to this file, for `forewarn run`; without it the notifier publishes it.",
)
@click.option("--new-secret", "name", metavar="ENDPOINT", help="Give this endpoint a new secret, print it, and end.")
@json_option
@click.pass_context
def inbound(
    context: click.Context,
    db: str | None,
    address: tuple[str, int],
    body_bytes_max: int,
    rate_per_s: float,
    outcomes: Path | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Take in what ticketing systems say about their tickets: the work on alerts moves, and outcomes are learned.

    A call is signed as webhooks are, or bears the endpoint's secret for calls (`--new-secret`).  Put a proxy that
    speaks TLS in front of it.
    """
    from streams.app import inbound as inbound_app

    settings = settings_of(context, database=db)
    if name is None:
        inbound_app.serve_inbound(
            settings, address, body_bytes_max=body_bytes_max, rate_per_s=rate_per_s, outcomes=outcomes
        )
        return
    secret = inbound_app.give_inbound_secret(settings, name)
    if as_json:
        write_lines([{"endpoint": name, "inbound_secret": secret}])
        return
    click.echo(secret)
    note("It is shown this once.  Calls bear it: Authorization: Bearer SECRET, or as the password of basic.")

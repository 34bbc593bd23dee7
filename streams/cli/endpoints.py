"""`forewarn endpoints`: who is told of alerts, where, how, and whether it works."""

from typing import Any

import click
import msgspec

from streams.cli.endpoint_options import endpoint_options, fields_of, sealed_secret_of, secret_of
from streams.cli.groups import CommandGroup
from streams.cli.options import F, db_option, examples, json_option
from streams.cli.output import new_table, note, show, show_facts, write_lines
from streams.cli.shared import settings_of
from streams.core.notify.endpoints import MESSAGE_TYPES, EndpointState

REFUSED = 1
_ONCE = "It is shown this once: give it to the receiver, which checks signatures with it."


@click.group(
    cls=CommandGroup,
    short_help="Who is told of alerts: add, test, rotate.",
    epilog=examples(
        "forewarn endpoints add crm --url https://crm.example/hook --preset standard --db alerts.db",
        "forewarn endpoints test crm --db alerts.db",
        "forewarn endpoints list --db alerts.db --json",
    ),
)
def endpoints() -> None:
    """Say who is told of alerts; `forewarn dispatcher` does the telling.

    Secrets are sealed with the sink's key (FOREWARN_SINK_KEY), or stay where a reference points to (env:NAME,
    file:PATH); no command but `add` and `rotate` shows one, and those show it once.
    """


def _endpoint_command(command: F) -> F:
    """Add the endpoint's name and what every command about one takes."""
    return click.argument("name")(db_option(json_option(command)))


@endpoints.command(
    short_help="Add an endpoint, and print its secret once.",
    epilog=examples(
        "forewarn endpoints add crm --url https://crm.example/hook --preset standard --db alerts.db --json",
        "forewarn endpoints add desk --url https://desk.example --preset zammad --auth header --auth-secret env:DESK",
        "forewarn endpoints add lab --url http://10.1.2.3/hook --preset standard --allow-cidr 10.1.2.0/24",
        "forewarn endpoints add --file endpoints.toml --db alerts.db",
    ),
)
@click.argument("name", required=False)
@endpoint_options
@db_option
@json_option
@click.pass_context
def add(context: click.Context, /, name: str | None, db: str | None, *, as_json: bool, **said: Any) -> None:  # noqa: ANN401 - what the shared options add
    """Add an endpoint, or all of a file; from then on it is told of alerts.

    Addresses that are private, or of this machine, are refused unless --allow-cidr opens their range; a URL without
    https only where every address lies in such a range.
    """
    from streams.app import endpoints as endpoints_app

    if (name is None) == (said["file"] is None):
        raise click.UsageError("give a NAME with --url and --preset, or --file")
    if said["file"] is None:
        for option in ("url", "preset"):
            if said[option] is None:
                raise click.UsageError(f"--{option} is missing")
        wanted = [
            endpoints_app.NewEndpoint(
                fields=fields_of(str(name), said),
                secret_ref=said["secret_ref"],
                auth_secret=secret_of(said["auth_secret"]),
                asymmetric=said["asymmetric"],
            )
        ]
    else:
        wanted = endpoints_app.from_file(said["file"])
    added = endpoints_app.add(settings_of(context, database=db), wanted)
    _show_added(added, as_json=as_json)


@endpoints.command(
    "list",
    short_help="List endpoints.",
    epilog=examples("forewarn endpoints list --db alerts.db", "forewarn endpoints list --json | jq -r .state"),
)
@db_option
@json_option
@click.pass_context
def list_(context: click.Context, db: str | None, *, as_json: bool) -> None:
    """List endpoints with how they do; a circuit is open where it is left alone for a while after failures."""
    from streams.app import endpoints as endpoints_app

    found = [endpoints_app.public_view(row) for row in endpoints_app.rows(settings_of(context, database=db))]
    if as_json:
        write_lines(found)
        return
    table = new_table("Endpoints")
    for column in ("name", "preset", "url", "state", "circuit", "why"):
        table.add_column(column, style="cyan" if column == "name" else None)
    for row in found:
        table.add_row(*(str(row[column]) for column in ("name", "preset", "url", "state", "circuit", "why")))
    show(table)
    if not found:
        note("There are none: forewarn endpoints add")


@endpoints.command(
    "show", short_help="Show one endpoint.", epilog=examples("forewarn endpoints show crm --db alerts.db")
)
@_endpoint_command
@click.pass_context
def show_(context: click.Context, name: str, db: str | None, *, as_json: bool) -> None:
    """Show all that was said of an endpoint but its secrets, and how it does."""
    from streams.app import endpoints as endpoints_app

    found = endpoints_app.describe_endpoint(settings_of(context, database=db), name)
    if as_json:
        write_lines([found])
        return
    settings = found.pop("settings")
    rest = {key: value for key, value in settings.items() if key not in found}
    show_facts(f"Endpoint {name}", [(key, _words(value)) for key, value in (found | rest).items()])


@endpoints.command(
    short_help="Send a test message now.",
    epilog=examples("forewarn endpoints test crm --db alerts.db", "forewarn endpoints test crm --json"),
)
@_endpoint_command
@click.pass_context
def test(context: click.Context, name: str, db: str | None, *, as_json: bool) -> None:
    """Send a made-up alert at once and say what was answered; ends with 1 where it was not taken.

    Its ids begin with `test_` and `a_test_`.  A ticketing system makes a ticket of it, which you may close.
    """
    from streams.app import endpoints as endpoints_app

    tried = endpoints_app.test(settings_of(context, database=db), name)
    if as_json:
        write_lines([tried])
    else:
        show_facts(
            f"Test of {name}",
            [("taken", "yes" if tried.ok else "no"), ("why", tried.why), ("answer", tried.answer or "(empty)")],
        )
    if not tried.ok:
        raise click.exceptions.Exit(REFUSED)


@endpoints.command(
    short_help="Print a request without sending it.",
    epilog=examples(
        "forewarn endpoints render crm --type alert.resolved --db alerts.db",
        "forewarn endpoints render crm --delivery d_3dba4c --json",
    ),
)
@click.option("--type", "message", type=click.Choice(MESSAGE_TYPES), help="Of a made-up alert.  [default: alert.fired]")
@click.option("--delivery", "delivery_id", metavar="ID", help="Of a delivery, as it would be made now.")
@_endpoint_command
@click.pass_context
def render(
    context: click.Context,
    name: str,
    db: str | None,
    message: str | None,
    delivery_id: str | None,
    *,
    as_json: bool,
) -> None:
    """Print the exact request that would be sent, with secrets and signatures replaced; nothing is sent."""
    from streams.app import endpoints as endpoints_app

    if message is not None and delivery_id is not None:
        raise click.UsageError("--type and --delivery do not go together")
    kind = next((one for one in MESSAGE_TYPES if one == message), MESSAGE_TYPES[0])
    settings = settings_of(context, database=db)
    request = endpoints_app.render(settings, name, message=kind, delivery_id=delivery_id)
    if as_json:
        write_lines([request])
        return
    click.echo(f"{request['method']} {request['url']}")
    for header, value in request["headers"].items():
        click.echo(f"{header}: {value}")
    click.echo()
    click.echo(msgspec.json.format(msgspec.json.encode(request["body"]), indent=2).decode())


@endpoints.command(
    short_help="Give an endpoint a new secret.",
    epilog=examples(
        "forewarn endpoints rotate crm --db alerts.db --json",
        "forewarn endpoints rotate crm --overlap-hours 0",
        "forewarn endpoints rotate desk --auth-secret -",
    ),
)
@click.option(
    "--overlap-hours", type=float, default=24.0, show_default=True, metavar="HOURS",
    help="For how long the old secret signs as well; at most a week.",
)  # fmt: skip
@click.option("--secret-ref", metavar="REF", help="Take a secret that is there: env:NAME or file:PATH.")
@click.option("--asymmetric", is_flag=True, help="Make an ed25519 pair; the public half is printed.")
@click.option("--auth-secret", metavar="REF", help="A new login instead: env:NAME or file:PATH, or - to read a line.")
@_endpoint_command
@click.pass_context
def rotate(
    context: click.Context,
    name: str,
    db: str | None,
    overlap_hours: float,
    secret_ref: str | None,
    auth_secret: str | None,
    *,
    asymmetric: bool,
    as_json: bool,
) -> None:
    """Give an endpoint a new signing secret, and print it once; for a while both sign."""
    from streams.app import endpoints as endpoints_app

    added = endpoints_app.rotate(
        settings_of(context, database=db),
        name,
        overlap_hours=overlap_hours,
        secret_ref=secret_ref,
        auth_secret=None if auth_secret is None else sealed_secret_of(auth_secret),
        asymmetric=asymmetric,
    )
    _show_added([added], as_json=as_json)


@endpoints.command(
    short_help="Tell it nothing for now.", epilog=examples("forewarn endpoints pause crm --db alerts.db")
)
@_endpoint_command
@click.pass_context
def pause(context: click.Context, name: str, db: str | None, *, as_json: bool) -> None:
    """Send nothing to an endpoint until `resume`; what happens in the meantime waits for it."""
    _change(context, name, db, "paused", "paused by hand", as_json=as_json)


@endpoints.command(short_help="Tell it again.", epilog=examples("forewarn endpoints resume crm --db alerts.db"))
@_endpoint_command
@click.pass_context
def resume(context: click.Context, name: str, db: str | None, *, as_json: bool) -> None:
    """Send to an endpoint again that was paused or disabled, with a closed circuit."""
    _change(context, name, db, "active", "", as_json=as_json)


@endpoints.command(short_help="Tell it nothing any more.", epilog=examples("forewarn endpoints disable crm"))
@_endpoint_command
@click.pass_context
def disable(context: click.Context, name: str, db: str | None, *, as_json: bool) -> None:
    """Send nothing to an endpoint, and keep nothing for it; what waited already still waits."""
    _change(context, name, db, "disabled", "disabled by hand", as_json=as_json)


@endpoints.command(short_help="Remove an endpoint.", epilog=examples("forewarn endpoints remove crm --db alerts.db"))
@_endpoint_command
@click.pass_context
def remove(context: click.Context, name: str, db: str | None, *, as_json: bool) -> None:
    """Remove an endpoint, its secrets, and what it knew of alerts; what waited for it is not sent."""
    from streams.app import endpoints as endpoints_app

    endpoints_app.remove(settings_of(context, database=db), name)
    if as_json:
        write_lines([{"name": name, "removed": True}])
    else:
        note(f"Endpoint {name} is removed.")


def _change(
    context: click.Context, name: str, db: str | None, state: EndpointState, why: str, *, as_json: bool
) -> None:
    from streams.app import endpoints as endpoints_app

    row = endpoints_app.change_state(settings_of(context, database=db), name, state, why)
    if as_json:
        write_lines([row])
    else:
        note(f"Endpoint {name} is {row['state']}.")


def _show_added(added: list[Any], *, as_json: bool) -> None:
    if as_json:
        write_lines({key: value for key, value in msgspec.structs.asdict(one).items() if key != "public_key" or value}
                    for one in added)  # fmt: skip
        return
    for one in added:
        shown = one.public_key or one.secret
        click.echo(f"{one.name}: {shown}" if shown else f"{one.name}: nothing is signed, so there is no secret")
    if any(one.secret for one in added):
        note(_ONCE)


def _words(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()

"""What can be said of an endpoint on the command line, and how it becomes settings."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from streams.cli.options import F
from streams.core.contracts.effects import ChurnKind, RiskBand, Stage, ValueBand
from streams.core.notify.endpoints import MESSAGE_TYPES, PRESETS, Ambiguous, AuthKind
from streams.core.notify.pacing import RATE_PER_S
from streams.shared.errors import SettingsError


class PairParam(click.ParamType):
    """A name and a value with `=` between them."""

    name = "pair"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Read a pair; refuses anything else with an example."""
        if isinstance(value, tuple):
            return value
        name, sign, rest = value.partition("=")
        if not name.strip() or not sign:
            self.fail(f"{value.partition('=')[0]!r} should be like name=value", param, ctx)
        return name.strip(), rest


def _many(*words: str, metavar: str, help: str, kind: Any = None) -> Callable[[F], F]:  # noqa: A002, ANN401 - click's
    return click.option(*words, multiple=True, metavar=metavar, type=kind, help=help)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--url", metavar="URL", help="Where it is told.  http:// needs --allow-cidr for its address."),
    click.option("--preset", type=click.Choice(PRESETS), metavar="PRESET", help=f"One of {', '.join(PRESETS)}."),
    click.option("--file", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
                 help="Add all endpoints of a TOML file, tables [endpoints.NAME], instead; all or none."),
    _many("--allow-cidr", "allow_cidrs", metavar="CIDR", help="Let calls go to these private addresses."),
    click.option("--secret-ref", metavar="REF", help="Sign with a secret that is there: env:NAME or file:PATH."),
    click.option("--asymmetric", is_flag=True, help="Sign with an ed25519 pair; the public half is printed."),
    click.option("--auth", "auth_type", type=click.Choice(get_args(AuthKind)), help="How we log in there."),
    click.option("--auth-secret", metavar="REF", help="With what: env:NAME, file:PATH, or - to read and seal a line."),
    click.option("--auth-header", metavar="NAME", help="In which header, for --auth header."),
    click.option("--username", metavar="NAME", help="As whom, for --auth basic."),
    _many("--header", "headers", metavar="NAME=VALUE", kind=PairParam(), help="A header of every call."),
    _many("--value", "values", metavar="NAME=VALUE", kind=PairParam(), help="What the preset asks for."),
    _many("--map", "maps", metavar="TABLE.KEY=WORD", kind=PairParam(),
          help="The receiver's word, such as severity.critical=1."),
    click.option("--types", metavar="TYPE,...", help="Only these messages, such as alert.fired,alert.resolved."),
    click.option("--min-band", type=click.Choice(get_args(RiskBand)), help="Only alerts of this risk or more."),
    _many("--kind", "kinds", metavar="KIND", kind=click.Choice(get_args(ChurnKind)), help="Only these kinds."),
    _many("--stage", "stages", metavar="STAGE", kind=click.Choice(get_args(Stage)), help="Only these stages."),
    _many("--value-band", "value_bands", metavar="BAND", kind=click.Choice(get_args(ValueBand)),
          help="Only subscribers of these values."),
    _many("--account-manager", "account_managers", metavar="ID", help="Only subscribers of these managers."),
    click.option("--channel", metavar="NAME", help="By what cool-downs are counted.  [default: alerts]"),
    click.option(
        "--rate",
        "rate_per_s",
        type=float,
        metavar="N",
        help=f"Messages a second at most.  [default: {RATE_PER_S:g}]",
    ),
    click.option("--timeout", "timeout_s", type=float, metavar="SECONDS", help="Of a call.  [default: 20]"),
    click.option("--in-flight", "in_flight_max", type=int, metavar="N", help="Calls at a time.  [default: 8]"),
    click.option("--ttl-hours", type=int, metavar="HOURS", help="When a message is stale.  [default: 80]"),
    click.option("--ambiguous", type=click.Choice(get_args(Ambiguous)),
                 help="What follows when nobody knows whether a create arrived.  [default: the preset's]"),
    click.option("--sign/--no-sign", default=None, help="Sign messages.  [default: as the preset does]"),
    click.option("--no-coalesce", is_flag=True, help="Tell every message, also those that a later one outdated."),
    click.option("--no-contact", is_flag=True, help="It leads to no contact: tell of those who want none as well."),
)  # fmt: skip


def endpoint_options(command: F) -> F:
    """Add everything that can be said of an endpoint."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def fields_of(name: str, said: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an endpoint from what was said on the command line; what was not said is left out."""
    from streams.app.endpoints import merge_dotted_names

    fields = {"name": name, **{key: said[key] for key in _PLAIN if said[key] is not None}}
    for key in ("headers", "values"):
        if said[key]:
            fields[key] = dict(said[key])
    if said["allow_cidrs"]:
        fields["allow_cidrs"] = said["allow_cidrs"]
    if said["maps"]:
        fields["map"] = merge_dotted_names(dict(said["maps"]))
    chosen = {key: said[key] for key in _CHOICES if said[key]}
    if said["types"]:
        chosen["types"] = _types(said["types"])
    if chosen:
        fields["filter"] = chosen
    if said["no_coalesce"]:
        fields["coalesce"] = False
    if said["no_contact"]:
        fields["contact"] = False
    if said["auth_type"] is not None:
        fields["auth"] = _auth(said)
    elif said["auth_secret"] or said["username"] or said["auth_header"]:
        raise SettingsError("--auth says how we log in, and is missing", hint="such as --auth bearer")
    return fields


def secret_of(auth_secret: str | None) -> str | None:
    """Return the secret that is to be sealed: a line of standard input for `-`, None for a reference.

    Raises:
        SettingsError: it is neither `-` nor a reference, or nothing came.
    """
    if auth_secret is None or auth_secret.startswith(("env:", "file:")):
        return None
    if auth_secret != "-":  # noqa: S105 - the word for standard input
        raise SettingsError("--auth-secret should be env:NAME, file:PATH or -", hint="a secret itself would be seen")
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise SettingsError("--auth-secret -: nothing came on standard input")
    return line


def sealed_secret_of(auth_secret: str) -> str:
    """Return a secret to be sealed, from standard input or where a reference points to."""
    from streams.app.endpoints import read_reference

    return secret_of(auth_secret) or read_reference(auth_secret)


_CHOICES = ("min_band", "kinds", "stages", "value_bands", "account_managers")
_PLAIN = (
    "url", "preset", "channel", "rate_per_s", "timeout_s", "in_flight_max", "ttl_hours", "ambiguous", "sign",
)  # fmt: skip


def _types(text: str) -> list[str]:
    types = [word.strip() for word in text.split(",") if word.strip()]
    for word in types:
        if word not in MESSAGE_TYPES:
            raise SettingsError(f"--types: there is no message {word}", hint=f"there are {', '.join(MESSAGE_TYPES)}")
    return types


def _auth(said: dict[str, Any]) -> dict[str, str]:
    auth = {"type": said["auth_type"]}
    if said["username"]:
        auth["username"] = said["username"]
    if said["auth_header"]:
        auth["header"] = said["auth_header"]
    if said["auth_secret"] and said["auth_secret"] != "-":  # noqa: S105 - the word for standard input
        auth["secret"] = said["auth_secret"]
    return auth

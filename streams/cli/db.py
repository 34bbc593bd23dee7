"""`forewarn db`: of which version a database is, and upgrading it."""

import click
import msgspec

from streams.cli.groups import CommandGroup
from streams.cli.options import db_option, examples, json_option
from streams.cli.output import write_lines
from streams.cli.shared import database_of


@click.group(
    cls=CommandGroup,
    short_help="Databases: version, upgrade.",
    epilog=examples(
        "forewarn db version --db alerts.db",
        "forewarn db upgrade --db postgresql+psycopg://forewarn@127.0.0.1/forewarn",
    ),
)
def db() -> None:
    """Say of which version a database is, and bring an older one to the newest."""


@db.command(
    short_help="Say of which version a database is.",
    epilog=examples("forewarn db version --db alerts.db", "forewarn db version --db alerts.db --json"),
)
@db_option
@json_option
@click.pass_context
def version(context: click.Context, db: str | None, as_json: bool) -> None:
    """Say of which version the tables of a database are, and which one this Forewarn works with."""
    from streams.app import db as db_app

    found = db_app.database_version(database_of(context, db))
    if as_json:
        write_lines([{"database": found.database, "version": found.version, "newest": found.newest}])
        return
    verdict = "the newest" if found.version == found.newest else f"this Forewarn works with {found.newest}"
    click.echo(f"{found.database}: version {found.version}, {verdict}")


@db.command(
    short_help="Bring a database to the newest version.",
    epilog=examples("forewarn db upgrade --db alerts.db", "forewarn db upgrade --db alerts.db --json"),
)
@db_option
@json_option
@click.pass_context
def upgrade(context: click.Context, db: str | None, as_json: bool) -> None:
    """Bring the tables of a database to the newest version, all in one transaction; what is in them stays.

    Stop whatever writes to it first, and keep a copy: there is no way back.  An empty database gets its tables.
    """
    from streams.app import db as db_app

    found = db_app.upgrade_database(database_of(context, db))
    if as_json:
        write_lines([msgspec.structs.asdict(found)])
        return
    if found.before == found.version:
        click.echo(f"{found.database} is of version {found.version} already")
    elif found.before is None:
        click.echo(f"{found.database} was empty; its tables are of version {found.version} now")
    else:
        click.echo(f"{found.database} was of version {found.before}, and is of version {found.version} now")

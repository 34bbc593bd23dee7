"""Commands about Forewarn itself: the feature table, the versions in force, shell completion."""

import platform
from importlib.metadata import version

import click

from streams.cli.options import examples, json_option
from streams.cli.output import new_table, note, show, show_facts, write_lines


@click.command(
    short_help="List what a score is made of.",
    epilog=examples("forewarn features", "forewarn features --json | jq .name"),
)
@json_option
def features(as_json: bool) -> None:
    """List what a score is made of: every feature with its unit and definition."""
    from streams.core.scoring.features import FEATURE_TABLE, FEATURES, THEME_OF

    if as_json:
        write_lines(
            {
                "position": position,
                "name": feature.name,
                "theme": THEME_OF[feature.name],
                "unit": feature.unit,
                "definition": feature.definition,
                "feature_table": FEATURE_TABLE,
            }
            for position, feature in enumerate(FEATURES)
        )
        return
    table = new_table(f"{FEATURE_TABLE}: {len(FEATURES)} features")
    table.add_column("theme", style="cyan", no_wrap=True)
    table.add_column("feature", no_wrap=True)
    table.add_column("unit", style="dim")
    table.add_column("definition")
    theme = ""
    for feature in FEATURES:
        first = THEME_OF[feature.name] != theme
        theme = THEME_OF[feature.name]
        table.add_row(theme if first else "", feature.name, feature.unit, feature.definition)
    show(table)


@click.command(
    "version",
    short_help="Show which version this is, and of what.",
    epilog=examples("forewarn version", "forewarn version --json"),
)
@json_option
def version_(as_json: bool) -> None:
    """Show which version this is, and of what: features, contracts, and the parts it stands on."""
    from streams.core import step
    from streams.core.contracts.outputs import SCHEMA_VERSION
    from streams.core.scoring.features import FEATURE_TABLE

    facts = {
        "forewarn": version("forewarn"),
        "python": platform.python_version(),
        "hot_path": "interpreted" if step.__file__.endswith(".py") else "compiled",
        "feature_table": FEATURE_TABLE,
        "schema_version": SCHEMA_VERSION,
        "river": version("river"),
        "sqlalchemy": version("sqlalchemy"),
        "msgspec": version("msgspec"),
    }
    if as_json:
        write_lines([facts])
        return
    show_facts("Forewarn", [(name.replace("_", " "), value) for name, value in facts.items()])


@click.command(
    short_help="Print the completion script of a shell.",
    epilog=examples(
        "forewarn completion bash > ~/.local/share/bash-completion/completions/forewarn",
        "forewarn completion zsh > ~/.zfunc/_forewarn",
        "forewarn completion fish > ~/.config/fish/completions/forewarn.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options with the tab key in SHELL."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"no completion for {shell}", context)
    click.echo(script(context.find_root().command, {}, "forewarn", "_FOREWARN_COMPLETE").source())
    note(f"# Put the lines above where {shell} reads completions; `forewarn completion --help` says where.")

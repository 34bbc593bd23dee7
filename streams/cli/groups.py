"""Groups of commands that keep their order and say what was meant."""

import click

from streams.cli.errors import instead


class CommandGroup(click.Group):
    """A group whose commands stand in the order in which they were added; a wrong word gets the likely right one."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which they were added."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; raises `click.UsageError` that names the likely one."""
        word = args[0]
        if not ctx.resilient_parsing and not word.startswith("-") and self.get_command(ctx, word) is None:
            meant = instead(word, self.list_commands(ctx), ctx.command_path)
            raise click.UsageError(f"no such command: {word}; {meant}", ctx)
        return super().resolve_command(ctx, args)

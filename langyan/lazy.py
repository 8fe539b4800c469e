"""Groups of commands of which one is imported only when it is called: a worker carries nothing of the others."""

from importlib import import_module
from typing import Any

import typer.main
from msgspec import Struct
from typer.core import TyperCommand, TyperGroup


class Later(Struct, frozen=True):
    """A command that is imported when it is called.

    Attributes:
        module: where it stands.
        name: there: a function, or an `app` with commands of its own.
        line: of help.
    """

    module: str
    name: str
    line: str


class LazyGroup(TyperGroup):
    """A group whose class attribute `later` names further commands."""

    later: dict[str, Later]

    def list_commands(self, ctx: Any) -> list[str]:
        """Name all commands, those to come after those that are here."""
        return [*super().list_commands(ctx), *self.later]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a command for the help page: of one to come its line alone."""
        if cmd_name not in self.later:
            return super().get_command(ctx, cmd_name)
        return TyperCommand(cmd_name, help=self.later[cmd_name].line)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command to be run, and import it now."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, self.load(name) if name in self.later else command, rest

    def load(self, name: str) -> Any:
        """Import one of `later`."""
        said = self.later[name]
        found = getattr(import_module(said.module), said.name)
        if isinstance(found, typer.Typer):
            command: Any = typer.main.get_group(found)
        else:
            app = typer.Typer(add_completion=False)
            app.command(name, help=said.line)(found)
            command = typer.main.get_command(app)
        command.name, command.help = name, said.line
        return command

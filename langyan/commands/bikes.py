"""`langyan bikes`: bike watch."""

import typer

from langyan.commands import bikes_stolen

app = typer.Typer(no_args_is_help=True)
app.add_typer(bikes_stolen.app, name="stolen")


@app.callback()
def _whole() -> None:
    """Be a group of commands."""

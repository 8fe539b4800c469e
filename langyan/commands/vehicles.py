"""`langyan vehicles`: vehicles."""

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _whole() -> None:
    """Be a group of commands."""

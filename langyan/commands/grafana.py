"""`langyan grafana`: dashboards for a Grafana of one's own, as files or by its HTTP API."""

import typer

from langyan.i18n import translate as _
from langyan.lazy import Later, LazyGroup

_HERE = "langyan.commands"


class _Commands(LazyGroup):
    later = {  # noqa: RUF012 - a constant
        "build": Later(
            f"{_HERE}.grafana_build", "build",
            _("Write dashboards, data source and alert rules as files that Grafana reads by itself."),
        ),
        "push": Later(f"{_HERE}.grafana_push", "push", _("Bring the same to a Grafana by its HTTP API.")),
        "check": Later(
            f"{_HERE}.grafana_check", "check", _("Ask every question of our dashboards through a real Grafana.")
        ),
    }  # fmt: skip


app = typer.Typer(no_args_is_help=True, cls=_Commands)


@app.callback()
def _whole() -> None:
    """Be a group, although no command is here yet."""

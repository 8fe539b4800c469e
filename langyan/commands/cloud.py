"""`langyan cloud`: the workers, the desk's API and what its administrator does. One is imported when it is called."""

import typer

from langyan.i18n import translate as _
from langyan.lazy import Later, LazyGroup

_HERE = "langyan.commands"


class _Commands(LazyGroup):
    later = {  # noqa: RUF012 - a constant
        "init": Later(
            f"{_HERE}.influx_init", "init",
            _("Set InfluxDB up: how long it keeps what, and what it thins to hours. A second time changes nothing."),
        ),
        "ingest": Later(
            f"{_HERE}.ingest", "ingest",
            _("Take telemetry from the broker into InfluxDB and answer each batch once it is stored."),
        ),
        "desk": Later(
            f"{_HERE}.desk", "desk",
            _("Take alarms from the broker into the alarm database, see to it that somebody acts, and tell people."),
        ),
        "trades": Later(
            f"{_HERE}.trades", "trades",
            _("Judge what is heard: fire danger, bike watch, patrols and vehicles; and send gateways their orders."),
        ),
        "api": Later(f"{_HERE}.api", "api", _("Serve the alarm desk's HTTP API and acknowledge links.")),
        "openapi": Later(f"{_HERE}.api", "openapi", _("Print the OpenAPI document of the alarm desk's API.")),
        "areas": Later(
            f"{_HERE}.areas", "app", _("Areas, people on duty, policies, sites, gateways and devices.")
        ),
        "users": Later(f"{_HERE}.users", "app", _("Users of the desk, their passwords and tokens.")),
        "telling": Later(
            f"{_HERE}.telling", "app", _("Channels and web hooks: try them, and read who was told what.")
        ),
        "command": Later(
            f"{_HERE}.command", "command", _("Write a point of a gateway's device, and print what reads back.")
        ),
        "stolen": Later(
            f"{_HERE}.tags", "stolen", _("Send the list of stolen tags to gateways: a file with lines TAG,NOTE.")
        ),
        "arm": Later(f"{_HERE}.tags", "arm", _("Arm tags: one that moves now is a theft.")),
        "disarm": Later(f"{_HERE}.tags", "disarm", _("Disarm tags; their theft alarms end.")),
    }  # fmt: skip


app = typer.Typer(no_args_is_help=True, cls=_Commands)


@app.callback()
def _whole() -> None:
    """Be a group, although no command is here yet."""

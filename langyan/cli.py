"""The `langyan` command: names its sub-commands, and imports one only when it is called."""

import sys
from importlib import import_module
from importlib.metadata import version

import typer

from langyan.i18n import translate as _

SUBCOMMANDS = {
    "alarms": ("cloud", _("Alarm desk: list, acknowledge, close.")),
    "bikes": ("cloud", _("Bike watch: the registry, arming, the stolen list, where a tag was.")),
    "cloud": ("cloud", _("Cloud side: ingest into InfluxDB, alarm desk.")),
    "demo": ("all", _("Run three simulated sites end to end, live, and count what arrived.")),
    "edge": ("edge", _("Gateway: run it, check its site file.")),
    "fire": ("cloud", _("Fire danger: the fire weather index, stations, fires.")),
    "grafana": ("cloud", _("Grafana: dashboards, data source and alert rules; written, pushed, checked.")),
    "patrols": ("cloud", _("Patrol tours: points, routes, plans, tours and verdicts.")),
    "profile": ("edge", _("Device profiles: list, check, write, and try them on a device.")),
    "sim": ("sim", _("Simulated devices: run them, press their buttons.")),
    "vehicles": ("cloud", _("Vehicles: where they are, their tracks, fences.")),
}
"""Name -> the extra that it needs, and one line of help; `langyan.commands.<name>` holds its `app`."""


def _print_version(value: bool) -> None:  # noqa: FBT001
    if value:
        typer.echo(f"langyan {version('langyan')}")
        raise typer.Exit


def _options(
    *,
    _version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help=_("Print the version and stop.")
    ),
) -> None:
    """Take the options that stand before the sub-command."""


def make_app(argv: list[str]) -> typer.Typer:
    """Make the command line for `argv`: the sub-command it names for real, the others as a line of help.

    So `langyan edge` on a gateway loads neither the cloud nor the simulators, and a missing extra is
    said in one sentence.
    """
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help=_("Gateways for patrol, alarm and sensor devices: from a press to the database and back."),
    )
    app.callback()(_options)
    called = next((word for word in argv if not word.startswith("-")), None)
    for name, (extra, line) in SUBCOMMANDS.items():
        if name == called:
            app.add_typer(_load(name, extra), name=name, help=line)
        else:
            app.command(name, help=line)(_stand_in)
    return app


def _load(name: str, extra: str) -> typer.Typer:
    try:
        app: typer.Typer = import_module(f"langyan.commands.{name}").app
    except ModuleNotFoundError as error:
        text = _("langyan {name} needs {module}, which is not installed. Install it: pip install 'langyan[{extra}]'")
        typer.echo(text.format(name=name, module=error.name, extra=extra), err=True)
        sys.exit(1)
    return app


def _stand_in() -> None:
    """Be named on the help page; never called, as a called sub-command is loaded for real."""


def main() -> None:
    """Run the command line."""
    make_app(sys.argv[1:])()

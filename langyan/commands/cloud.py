"""`langyan cloud`: the ingest worker, the alarm desk, and commands to gateways."""

import json
import math
from pathlib import Path

import typer

from cloud.desk.shell import run_desk
from cloud.errors import CloudError
from cloud.ingest import run_ingest
from cloud.settings import secret_variables
from contract.commands import Write
from contract.ids import is_id
from contract.telemetry import Value
from langyan.commands import api, areas, tags, telling, users
from langyan.commands.asking import SETTINGS_OPTION, ask, complaint, load
from langyan.commands.common import VERBOSE, fail, run_until_signal
from langyan.i18n import translate as _
from langyan.running import start_logging

app = typer.Typer(no_args_is_help=True)
app.add_typer(tags.app)
app.command("api", help=_("Serve the alarm desk's HTTP API and acknowledge links."))(api.api)
app.command("openapi", help=_("Print the OpenAPI document of the alarm desk's API."))(api.openapi)
app.add_typer(areas.app, name="areas")
app.add_typer(telling.app, name="telling")
app.add_typer(users.app, name="users")

SETTINGS = typer.Argument(..., help=_("The settings file: broker, InfluxDB, database (TOML)."), metavar="SETTINGS.toml")


@app.command(help=_("Take telemetry from the broker into InfluxDB and answer each batch once it is stored."))
def ingest(settings_file: Path = SETTINGS, *, verbose: bool = VERBOSE) -> None:
    """Run an ingest worker; any number may run side by side."""
    settings = load(settings_file)
    start_logging(verbose=verbose, secret_envs=[name for _key, name in secret_variables(settings)])
    run_until_signal(lambda stop: run_ingest(settings, stop=stop), expected=CloudError)


@app.command(help=_("Take alarms from the broker into the alarm database and answer each once it is stored."))
def desk(settings_file: Path = SETTINGS, *, verbose: bool = VERBOSE) -> None:
    """Run the alarm desk."""
    settings = load(settings_file)
    start_logging(verbose=verbose, secret_envs=[name for _key, name in secret_variables(settings)])
    run_until_signal(lambda stop: run_desk(settings, stop=stop), expected=CloudError)


@app.command(help=_("Write a point of a gateway's device, and print what reads back."))
def command(
    gateway: str = typer.Argument(..., help=_("Id of the gateway."), metavar="GATEWAY"),
    device: str = typer.Argument(..., help=_("Id of the device."), metavar="DEVICE"),
    point: str = typer.Argument(..., help=_("Key of the point; its profile must call it writable."), metavar="POINT"),
    value: str = typer.Argument(..., help=_("true, false, a number, or a word."), metavar="VALUE"),
    settings_file: Path = SETTINGS_OPTION,
    *,
    wait: float = typer.Option(
        10.0, "--wait", min=1.0, max=3600.0, help=_("Seconds to wait; what is not begun by then is not done.")
    ),
) -> None:
    """Send a command."""
    settings = load(settings_file)
    for text in (gateway, device, point):
        if not is_id(text):
            raise fail([_("{text} is no id: 1 to 64 of A-Z a-z 0-9 _ . -").format(text=repr(text))], status=2)
    results = ask(settings, gateway, [Write(device, point, _value(value))], wait_s=wait)
    if fault := complaint(gateway, results, wanted=1, wait_s=wait):
        raise fail([fault.text], status=fault.status)
    typer.echo(f"{device}/{point} = {json.dumps(results[0].value, ensure_ascii=False)}")


def _value(text: str) -> Value:
    """Read a value as people write it: a two-state value, a number, else a word."""
    if text in ("true", "false"):
        return text == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    # JSON has no other numbers; a profile may have such a word.
    return number if math.isfinite(number) else text

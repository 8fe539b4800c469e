"""`langyan cloud`: the ingest worker, the alarm desk, and commands to gateways."""

import getpass
import json
import math
import time
import uuid
from pathlib import Path

import anyio
import typer

from cloud.command import send_command
from cloud.desk import run_desk
from cloud.errors import CloudError
from cloud.ingest import run_ingest
from cloud.settings import Settings, load_settings, secret_variables
from contract.commands import Command, Outcome, Result, Write
from contract.ids import is_id
from contract.telemetry import Value
from langyan.commands.common import VERBOSE, fail, run_until_signal
from langyan.i18n import translate as _
from langyan.running import start_logging

app = typer.Typer(no_args_is_help=True)

SETTINGS_OPTION = typer.Option(
    ..., "--settings", "-s", envvar="LANGYAN_SETTINGS", help=_("The settings file: broker, InfluxDB, database (TOML)."),
    metavar="SETTINGS.toml",
)  # fmt: skip
OUTCOMES = {
    Outcome.REFUSED: _("refused"),
    Outcome.FAILED: _("failed"),
    Outcome.EXPIRED: _("expired"),
}
SETTINGS = typer.Argument(..., help=_("The settings file: broker, InfluxDB, database (TOML)."), metavar="SETTINGS.toml")


@app.command(help=_("Take telemetry from the broker into InfluxDB and answer each batch once it is stored."))
def ingest(settings_file: Path = SETTINGS, *, verbose: bool = VERBOSE) -> None:
    """Run an ingest worker; any number may run side by side."""
    settings = _load(settings_file)
    start_logging(verbose=verbose, secret_envs=[name for _key, name in secret_variables(settings)])
    run_until_signal(lambda stop: run_ingest(settings, stop=stop), expected=CloudError)


@app.command(help=_("Take alarms from the broker into the alarm database and answer each once it is stored."))
def desk(settings_file: Path = SETTINGS, *, verbose: bool = VERBOSE) -> None:
    """Run the alarm desk."""
    settings = _load(settings_file)
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
    settings = _load(settings_file)
    for text in (gateway, device, point):
        if not is_id(text):
            raise fail([_("{text} is no id: 1 to 64 of A-Z a-z 0-9 _ . -").format(text=repr(text))], status=2)
    expires_at_us = time.time_ns() // 1000 + round(wait * 1e6)
    order = Write(device, point, _value(value))
    wanted = Command(uuid.uuid4().hex, gateway, order, expires_at_us, getpass.getuser())
    found: list[Result | None] = []

    async def work(stop: anyio.Event) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on, stop, tasks.cancel_scope)
            found.append(await send_command(settings, wanted, wait_s=wait))
            tasks.cancel_scope.cancel()

    run_until_signal(work, expected=CloudError)
    result = found[0] if found else None
    if result is None:
        raise fail([_("{gateway} did not answer within {wait:g} s").format(gateway=gateway, wait=wait)], status=3)
    if result.outcome is not Outcome.DONE:
        raise fail([f"{OUTCOMES[result.outcome]}: {result.reason}"], status=1)
    typer.echo(f"{device}/{point} = {json.dumps(result.value, ensure_ascii=False)}")


async def _cancel_on(stop: anyio.Event, scope: anyio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()


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


def _load(path: Path) -> Settings:
    try:
        return load_settings(path)
    except CloudError as error:
        raise fail([str(error)], status=2) from error

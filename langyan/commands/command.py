"""`langyan cloud command`: write a point of a gateway's device."""

import json
import math
from pathlib import Path

import typer

from contract.commands import Write
from contract.ids import is_id
from contract.telemetry import Value
from langyan.commands.asking import SETTINGS_OPTION, ask, complaint, load
from langyan.commands.common import fail
from langyan.i18n import translate as _


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

"""`langyan edge write`, `mode` and `reset`: ask the running gateway to do something."""

import re
from pathlib import Path

import typer

from contract.alarms import Mode
from contract.telemetry import Value
from edge.control import Control, ControlError, Message
from edge.rules.modes import MAX_MODE_S
from langyan.commands.common import PROFILES, fail, load_site_file
from langyan.commands.status import SITE, socket_of
from langyan.i18n import translate as _

MODES = {Mode.TEST: _("test"), Mode.DRILL: _("drill")}
_STATES = {"true": True, "on": True, "false": False, "off": False}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|min)?")
# A write waits for its turn, see `edge.bus.WRITE_LIMIT_S`, and for the device.
LONGEST_ANSWER_S = 40.0
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def write(
    site_file: Path = SITE,
    device: str = typer.Argument(..., help=_("Id of the device.")),
    point: str = typer.Argument(..., help=_("Key of a writable point.")),
    value: str = typer.Argument(..., help=_("on, off, a number, or one of the point's words.")),
    *,
    profiles: Path | None = PROFILES,
) -> None:
    """Write one point and say what reads back."""
    request = {"do": "write", "device": device, "point": point, "value": read_value(value)}
    answer = _ask(site_file, profiles, request)
    typer.echo(_("{device} {point} reads back as {value}").format(device=device, point=point, value=answer["value"]))


def mode(
    site_file: Path = SITE,
    chosen: Mode = typer.Argument(..., metavar="test|drill|live", help=_("live ends a test or a drill.")),
    *,
    devices: list[str] = typer.Option([], "--device", help=_("Only this device; may be given again. None: all.")),
    for_: str = typer.Option("30m", "--for", help=_("How long, as 90s, 30m or 2h; at most 8h.")),
    profiles: Path | None = PROFILES,
) -> None:
    """Put devices into a test or a drill: their alarms are marked, and nobody is sent."""
    for_s = 0.0 if chosen is Mode.LIVE else read_duration(for_)
    request = {"do": "mode", "mode": chosen.value, "for_s": for_s, "devices": devices or None}
    _ask(site_file, profiles, request)
    who = ", ".join(devices) or _("all devices")
    if chosen is Mode.LIVE:
        typer.echo(_("{who}: alarms are real again.").format(who=who))
    else:
        text = _("{who}: {mode} for {minutes:.0f} minutes; it ends by itself.")
        typer.echo(text.format(who=who, mode=MODES[chosen], minutes=for_s / 60))


def reset(
    site_file: Path = SITE,
    source: str = typer.Argument(..., help=_("Source of the alarm: <gateway>/<device>/<point>/<rule>.")),
    *,
    profiles: Path | None = PROFILES,
) -> None:
    """Let a latched alarm go."""
    ended = _ask(site_file, profiles, {"do": "reset", "source": source})["value"]
    typer.echo(_("The alarm has ended.") if ended else _("Nothing latched stands there; nothing has changed."))


def read_value(text: str) -> Value:
    """Read a value as people type it: a state, a number, or else a word."""
    if text.lower() in _STATES:
        return _STATES[text.lower()]
    try:
        return float(text)
    except ValueError:
        return text


def read_duration(text: str) -> float:
    """Read 90s, 30m or 2h as seconds.

    Raises:
        BadParameter: it is none, or too long.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    seconds = float(found[1]) * _UNITS[found[2] or ""] if found else 0.0
    if not 0.0 < seconds <= MAX_MODE_S:
        raise typer.BadParameter(_("{text!r} is no time from 1s to 8h").format(text=text), param_hint="--for")
    return seconds


def _ask(site_file: Path, profiles: Path | None, request: Message) -> Message:
    site = load_site_file(site_file, profiles=profiles)
    try:
        with Control(socket_of(site), limit_s=LONGEST_ANSWER_S) as control:
            return control.ask(request)
    except ControlError as error:
        raise fail([str(error), *filter(None, [_(error.hint)])], status=1) from error

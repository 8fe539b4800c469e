"""`langyan alarms`: what a duty officer does at the desk, from a terminal."""

import getpass
import json
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cloud.database import Database, open_database
from cloud.desk.core import Alarm, ClosingCode, State
from cloud.desk.operations import acknowledge, list_alarms
from cloud.desk.operations import close as close_alarm
from cloud.errors import CloudError
from cloud.settings import load_settings
from contract.alarms import Mode, Severity
from contract.cloudevents import to_rfc3339
from langyan.commands.common import fail
from langyan.i18n import CHINESE, language
from langyan.i18n import translate as _

app = typer.Typer(no_args_is_help=True)

SETTINGS = typer.Option(
    ..., "--settings", "-s", envvar="LANGYAN_SETTINGS", help=_("The settings file of the alarm desk."),
    metavar="SETTINGS.toml",
)  # fmt: skip
ALARM = typer.Argument(..., help=_("The alarm's id, or as much of its beginning as is unique."), metavar="ALARM")
BY = typer.Option("", "--by", help=_("Who does it; the login name when left out."))

STATES = {
    State.UNACKNOWLEDGED: _("active"),
    State.ACKNOWLEDGED: _("acknowledged"),
    State.CLEARED_UNACKNOWLEDGED: _("returned"),
    State.CLEARED_ACKNOWLEDGED: _("returned, acknowledged"),
    State.CLOSED: _("closed"),
}
SEVERITIES = {
    Severity.CRITICAL: _("critical"),
    Severity.HIGH: _("high"),
    Severity.MEDIUM: _("medium"),
    Severity.LOW: _("low"),
}
MODES = {Mode.LIVE: _("live"), Mode.TEST: _("test"), Mode.DRILL: _("drill")}
COLOURS = {"critical": "bold red", "high": "dark_orange", "medium": "yellow", "low": "blue"}


class Which(StrEnum):
    """Which alarms are listed."""

    OPEN = "open"
    ALL = "all"


@app.command("list", help=_("List alarms: the open ones, or all, the latest first."))
def list_(
    settings_file: Path = SETTINGS,
    *,
    state: Which = typer.Option(Which.OPEN, "--state", help=_("Which alarms.")),
    mode: Mode | None = typer.Option(None, "--mode", help=_("Only alarms raised in this mode; all when left out.")),
    limit: int = typer.Option(50, "--limit", min=1, max=10_000, help=_("At most so many.")),
    as_json: bool = typer.Option(False, "--json", help=_("One JSON object a line.")),
) -> None:
    """List alarms."""
    try:
        found = list_alarms(_open(settings_file), state=state.value, mode=mode, limit=limit)
    except CloudError as error:
        _give_up(error)
    if as_json:
        for alarm in found:
            typer.echo(json.dumps(msgspec.to_builtins(alarm), ensure_ascii=False))
        return
    Console().print(alarm_table(found))


@app.command(help=_("Acknowledge an alarm: somebody has seen it and acts."))
def ack(alarm: str = ALARM, settings_file: Path = SETTINGS, *, by: str = BY) -> None:
    """Acknowledge."""
    try:
        seen = acknowledge(_open(settings_file), alarm, by or getpass.getuser())
    except CloudError as error:
        _give_up(error)
    typer.echo(_("{alarm} acknowledged by {by}").format(alarm=seen.alarm_id, by=seen.acknowledged_by))


@app.command(help=_("Close an alarm with what it turned out to be."))
def close(
    alarm: str = ALARM,
    settings_file: Path = SETTINGS,
    *,
    code: ClosingCode = typer.Option(..., "--code", help=_("What it turned out to be.")),
    comment: str = typer.Option("", "--comment", help=_("What was found and done.")),
    by: str = BY,
) -> None:
    """Close."""
    try:
        closed = close_alarm(_open(settings_file), alarm, by or getpass.getuser(), code, comment)
    except CloudError as error:
        _give_up(error)
    typer.echo(_("{alarm} closed as {code}").format(alarm=closed.alarm_id, code=code.value))


def alarm_table(alarms: list[Alarm]) -> Table:
    """Draw alarms as a table: severity in words and colour, times in UTC."""
    table = Table()
    headings = _("alarm"), _("severity"), _("state"), _("mode"), _("pressed (UTC)"), _("where"), _("what"), _("times")
    for heading in headings:
        table.add_column(heading)
    tongue = "zh" if language() == CHINESE else "en"
    for alarm in alarms:
        table.add_row(
            alarm.alarm_id[:8],
            Text(SEVERITIES[Severity(alarm.severity)], style=COLOURS.get(str(alarm.severity), "")),
            STATES[alarm.state],
            MODES[alarm.mode],
            to_rfc3339(alarm.last_raised_at_us)[:19].replace("T", " "),
            f"{alarm.gateway} {alarm.device}",
            alarm.text.get(tongue) or alarm.text.get("en") or alarm.kind,
            str(alarm.triggers),
            style="" if alarm.mode is Mode.LIVE else "dim",
        )
    return table


def _open(settings_file: Path) -> Database:
    return open_database(load_settings(settings_file, database_only=True).database)


def _give_up(error: CloudError) -> NoReturn:
    raise fail([str(error)], status=1) from error

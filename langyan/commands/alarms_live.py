"""`langyan alarms watch`: the live stream on a terminal; it resumes where it was."""

import json
import threading
from typing import Any

import typer
from rich.console import Console

from langyan.commands.alarm_words import live_line
from langyan.desk_client import DeskClient, DeskError, Event
from langyan.i18n import translate as _

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
# What time mends; all else ends the command.
_PASSING = ("away", "database-away", "too-many-streams", "timeout", "foreign")


def watch(desk: DeskClient, *, as_json: bool, console: Console) -> None:
    """Print every change until interrupted.

    Args:
        desk: signed in.
        as_json: one object a line in place of words.
        console: where to.

    Raises:
        DeskError: the desk refuses us.
    """
    after, wait_s = None, _FIRST_WAIT_S
    # Ctrl+C ends a wait on it at once, as it ends everything else here.
    never = threading.Event()
    while True:
        try:
            for event in desk.follow(after=after):
                after, wait_s = event.number, _FIRST_WAIT_S
                _take(desk, event, as_json=as_json, console=console)
        except DeskError as error:
            if error.code not in _PASSING:
                raise
            typer.echo(_("{why}; again in {seconds:.0f} s").format(why=error, seconds=wait_s), err=True)
            never.wait(wait_s)
            wait_s = min(_LONGEST_WAIT_S, 2 * wait_s)


def _take(desk: DeskClient, event: Event, *, as_json: bool, console: Console) -> None:
    if event.name == "reset":
        typer.echo(_("Too much has happened meanwhile; look at the list: langyan alarms list"), err=True)
    if event.name != "change":
        return
    change: dict[str, Any] = event.data
    alarm = change["alarm"]
    if as_json:
        typer.echo(json.dumps(change, ensure_ascii=False))
    elif alarm is not None and change["what"] != "shown":
        console.print(live_line(change, alarm))
    if alarm is not None and change["what"] == "raised" and alarm["shown_at_us"] is None:
        _tell_shown(desk, alarm["alarm_id"])


def _tell_shown(desk: DeskClient, alarm_id: str) -> None:
    """Tell the desk that somebody's screen has it now; a viewer's does not count."""
    try:
        desk.post("/alarms/shown", {"alarm_ids": [alarm_id]})
    except DeskError as error:
        if error.code != "not-allowed" and error.code not in _PASSING:
            raise

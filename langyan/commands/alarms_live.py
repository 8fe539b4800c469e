"""`langyan alarms watch`: the live stream on a terminal; it resumes where it was."""

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import typer
from rich.console import Console

from langyan.commands.alarm_words import live_line
from langyan.desk_client import DeskClient, DeskError, Event
from langyan.i18n import translate as _

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
# For what is on its way at the end.
_END_LIMIT_S = 2.0
# What time mends; all else ends the command.
# As many as the desk takes at once.
_MOST_SHOWN = 1_000
# What comes beyond it is not told: the list says that it is shown, too.
_MOST_WAITING = 10_000
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
    with telling(desk) as teller:
        while True:
            try:
                for event in desk.follow(after=after):
                    after, wait_s = event.number, _FIRST_WAIT_S
                    _take(teller, event, as_json=as_json, console=console)
            except DeskError as error:
                if error.code not in _PASSING:
                    raise
                typer.echo(_("{why}; again in {seconds:.0f} s").format(why=error, seconds=wait_s), err=True)
                never.wait(wait_s)
                wait_s = min(_LONGEST_WAIT_S, 2 * wait_s)


class Teller:
    """Tells the desk what is shown: while one message is on its way the next gathers.

    Args:
        desk: signed in.
    """

    def __init__(self, desk: DeskClient) -> None:
        self._desk = desk
        self._waiting: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._refused: DeskError | None = None

    def tell(self, alarm_id: str) -> None:
        """Have an alarm told as shown, soon.

        Raises:
            DeskError: the desk has refused what was told before.
        """
        if self._refused is not None:
            raise self._refused
        if not self._waiting.full():
            self._waiting.put(alarm_id)

    def end(self) -> None:
        """Let `run` return once all is told; whoever tells calls it."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=_END_LIMIT_S)

    def run(self) -> None:
        """Tell until the end."""
        while (alarm_id := self._waiting.get()) is not None:
            batch = [alarm_id]
            while len(batch) < _MOST_SHOWN and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._tell_shown(batch)
                    return
                batch.append(following)
            self._tell_shown(batch)

    def _tell_shown(self, alarm_ids: list[str]) -> None:
        """Tell the desk that somebody's screen has them now; a viewer's does not count."""
        try:
            self._desk.post("/alarms/shown", {"alarm_ids": alarm_ids})
        except DeskError as error:
            if error.code != "not-allowed" and error.code not in _PASSING:
                self._refused = error


@contextmanager
def telling(desk: DeskClient) -> Iterator[Teller]:
    """Run a teller in a thread of its own."""
    teller = Teller(desk)
    thread = threading.Thread(target=teller.run, name="tell-shown", daemon=True)
    thread.start()
    try:
        yield teller
    finally:
        teller.end()
        thread.join(_END_LIMIT_S)


def _take(teller: Teller, event: Event, *, as_json: bool, console: Console) -> None:
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
        teller.tell(alarm["alarm_id"])

"""`langyan edge walktest`: press every button, and see each one arrive in the cloud."""

import getpass
import time
from pathlib import Path
from typing import Any

import anyio
import msgspec
import typer
from anyio import to_thread
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from device_profiles.site import Site
from edge.control import Control, ControlError
from edge.walktest import Progress, WalkTestState
from langyan.commands.common import PROFILES, fail, load_site_file, run_until_signal
from langyan.commands.status import NOT_RUNNING, SITE, socket_of
from langyan.i18n import translate as _
from langyan.walk_record import Record, as_page, make_record, result_words

EVERY_S = 0.25
INCOMPLETE = 1
STYLES = {Progress.WAITING: "dim", Progress.PRESSED: "yellow", Progress.SENT: "yellow", Progress.STORED: "green"}


def walktest(
    site_file: Path = SITE,
    *,
    profiles: Path | None = PROFILES,
    out: Path | None = typer.Option(
        None,
        "--out",
        "-o",
        help=_("Write the record as JSON, and a page to print beside it (.md)."),
        metavar="RECORD.json",
    ),
    devices: list[str] = typer.Option([], "--devices", help=_("Only the buttons of this device; may be given again.")),
    live: bool = typer.Option(False, "--live", help=_("Presses are real alarms; somebody will be sent.")),
    by: str = typer.Option("", "--by", help=_("Who tests; the login name when left out.")),
) -> None:
    """Run a walk test."""
    site = load_site_file(site_file, profiles=profiles)
    # Before anybody walks: a record that cannot be written is no record.
    if out is not None and not out.parent.is_dir():
        raise fail([_("{path}: there is no such folder").format(path=out.parent)], status=NOT_RUNNING)
    states: list[WalkTestState] = []
    request = {"devices": devices, "live": live, "by": by or getpass.getuser()}
    try:
        with Control(socket_of(site)) as control:
            run_until_signal(lambda stop: _walk(control, request, stop, states), expected=ControlError)
    except ControlError as error:
        raise fail([str(error), _(error.hint)], status=NOT_RUNNING) from error
    finally:
        # Also when the gateway died on the way: what was done is done.
        if states:
            _finish(site, states[-1], out)
    if not states[-1].is_done:
        raise typer.Exit(INCOMPLETE)


async def _walk(control: Control, request: dict[str, Any], stop: anyio.Event, states: list[WalkTestState]) -> None:
    """Ask and draw until all is stored or `stop`; every state goes into `states`."""
    states.append(await _ask(control, {"action": "start", **request}))
    with Live(_draw(states[-1]), console=Console(), auto_refresh=False) as screen:
        try:
            while not (states[-1].is_over or stop.is_set()):
                with anyio.move_on_after(EVERY_S):
                    await stop.wait()
                states[:] = [await _ask(control, {"action": "state"})]
                screen.update(_draw(states[-1]), refresh=True)
        finally:
            with anyio.CancelScope(shield=True):
                states[:] = [await _ask(control, {"action": "stop"})]


async def _ask(control: Control, request: dict[str, Any]) -> WalkTestState:
    answer = await to_thread.run_sync(control.ask, {"do": "walktest", **request})
    try:
        return msgspec.convert(answer, WalkTestState)
    except msgspec.ValidationError as error:
        raise ControlError(_("the running gateway is of another version: {error}").format(error=error)) from error


def _draw(state: WalkTestState) -> RenderableType:
    table = Table()
    for heading in (_("place"), _("device"), _("point"), _("result"), _("sent after"), _("stored after")):
        table.add_column(heading)
    for one in state.buttons:
        words = Text(result_words(one.progress), style=STYLES[one.progress])
        table.add_row(
            one.button.place, one.button.device, one.button.point, words, _ms(one.sent_ms), _ms(one.stored_ms)
        )
    notice = (
        Text(_("Presses are REAL ALARMS."), style="bold red")
        if state.is_live
        else Text(_("Presses are marked as a test; nobody is sent."), style="green")
    )
    return Group(notice, table, _what_next(state))


def _what_next(state: WalkTestState) -> Text:
    held = _held(state)
    if not state.is_done:
        return Text(_("Press every button. Ctrl-C ends the test."), style="dim")
    return (
        Text(_("All stored. Release or reset: {places}").format(places=held), style="bold yellow") if held else Text()
    )


def _held(state: WalkTestState) -> str:
    return "" if state.is_live else ", ".join(one.button.place for one in state.buttons if one.is_held)


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} ms"


def _finish(site: Site, state: WalkTestState, out: Path | None) -> None:
    record = make_record(state, site=site.file.gateway.site, ended_at_us=time.time_ns() // 1000)
    done = sum(one.progress is Progress.STORED for one in state.buttons)
    typer.echo(_("{done} of {count} buttons stored in the cloud").format(done=done, count=len(state.buttons)))
    if held := _held(state):
        typer.echo(_("REAL ALARMS now, as they are still pressed: {places}").format(places=held), err=True)
    if out is not None:
        _write(out, record)


def _write(out: Path, record: Record) -> None:
    page = out.with_suffix(".md")
    try:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        page.write_text(as_page(record), "utf-8")
    except OSError as error:
        raise fail([f"{error.filename}: {error.strerror}"], status=INCOMPLETE) from error
    typer.echo(_("Record: {record} and {page}").format(record=out, page=page))

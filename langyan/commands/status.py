"""`langyan edge status`: how a gateway stands, what is wrong, and what to try. Needs no network."""

import contextlib
import json
import os
import sys
from pathlib import Path

import anyio
import msgspec
import typer
from anyio import to_thread
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from device_profiles.site import Site
from edge.control import Control, ControlError, NotRunningError, control_path
from edge.status import Snapshot, decode_snapshot, encode_snapshot
from langyan.commands.common import PROFILES, fail, load_site_file, run_until_signal
from langyan.diagnosis import MEBI, diagnose
from langyan.i18n import translate as _
from langyan.status_screen import draw

SITE = typer.Argument(..., help=_("The site file of the running gateway."), metavar="SITE.toml")
WRONG = 1
NOT_RUNNING = 2
EVERY_S = 1.0


def status(
    site_file: Path = SITE,
    *,
    profiles: Path | None = PROFILES,
    watch: bool = typer.Option(False, "--watch", "-w", help=_("Draw it anew every second, until Ctrl-C.")),
    as_json: bool = typer.Option(False, "--json", help=_("One JSON object, or one a second with --watch.")),
) -> None:
    """Show how the gateway stands."""
    site = load_site_file(site_file, profiles=profiles)
    if watch:
        run_until_signal(lambda stop: _watch(site, stop, as_json=as_json), expected=ControlError)
        return
    try:
        with Control(socket_of(site)) as control:
            snapshot = _ask(control)
    except NotRunningError as error:
        raise _not_running(site, error, as_json=as_json) from error
    except ControlError as error:
        raise fail([str(error), _(error.hint)], status=NOT_RUNNING) from error
    advice = diagnose(snapshot)
    if as_json:
        typer.echo(json.dumps(_as_line(snapshot), ensure_ascii=False))
    else:
        Console().print(draw(snapshot, advice))
    if advice:
        raise typer.Exit(WRONG)


def socket_of(site: Site) -> Path:
    """Tell where the gateway of a site file listens for commands."""
    return control_path(site.path.parent / site.file.outbox.path)


def _ask(control: Control) -> Snapshot:
    try:
        return decode_snapshot(control.ask({"do": "status"}))
    except msgspec.ValidationError as error:
        why = _("the running gateway is of another version: {error}").format(error=error)
        raise ControlError(why, hint=_("Restart it: systemctl restart langyan-edge.")) from error


async def _watch(site: Site, stop: anyio.Event, *, as_json: bool) -> None:
    live = None if as_json else Live(console=Console(), auto_refresh=False, screen=True)
    with live or contextlib.nullcontext():
        while not stop.is_set():
            try:
                snapshot = await to_thread.run_sync(_ask_once, site)
            except NotRunningError as error:
                # It may be restarting: whoever watches wants to see it come back.
                picture: RenderableType = Text.assemble((str(error), "bold red"), "\n", _(error.hint))
                line = {"running": False, "error": str(error)}
            else:
                picture, line = draw(snapshot, diagnose(snapshot)), _as_line(snapshot)
            if live is None:
                if not _say(line):
                    return
            else:
                live.update(picture, refresh=True)
            with anyio.move_on_after(EVERY_S):
                await stop.wait()


def _say(line: dict[str, object]) -> bool:
    """Print one JSON line; False once nobody reads any more (`... --json | head`)."""
    try:
        typer.echo(json.dumps(line, ensure_ascii=False))
    except BrokenPipeError:
        # What Python would still flush at its end must go somewhere, see the documentation of `signal`, SIGPIPE.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _ask_once(site: Site) -> Snapshot:
    with Control(socket_of(site)) as control:
        return _ask(control)


def _as_line(snapshot: Snapshot) -> dict[str, object]:
    return {"running": True, **encode_snapshot(snapshot), "advice": msgspec.to_builtins(diagnose(snapshot))}


def _not_running(site: Site, error: NotRunningError, *, as_json: bool) -> typer.Exit:
    """Say that nobody answers, and what lies on the disk."""
    outbox = site.path.parent / site.file.outbox.path
    # The ballast is room kept free, not something that waits.
    entries = [entry for entry in outbox.parent.glob(f"{outbox.name}*") if entry.suffix != ".ballast"]
    parts = [path for entry in entries for path in (entry, *entry.glob("*"))]
    size = sum(path.stat().st_size for path in parts if path.is_file())
    if as_json:
        said = {"running": False, "error": str(error), "hint": error.hint, "outbox_bytes": size}
        typer.echo(json.dumps(said, ensure_ascii=False))
        return typer.Exit(NOT_RUNNING)
    waits = (
        _("Its outbox {path} takes {size:.1f} MiB; what waits in it is sent after the next start.").format(
            path=outbox, size=size / MEBI
        )
        if size
        else _("There is no outbox yet at {path}: it has never run with this site file.").format(path=outbox)
    )
    log = _("Why it ended: journalctl -u langyan-edge -e, or systemctl status langyan-edge.")
    start = _("Start it: systemctl start langyan-edge, or langyan edge run.")
    return fail([_("No gateway runs on this site file."), waits, start, log], status=NOT_RUNNING)

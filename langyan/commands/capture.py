"""`langyan edge capture` and `replay`: what crosses a bus into a file, and what a gateway would read from it."""

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from io import FileIO
from pathlib import Path

import anyio
import msgspec
import typer
from anyio import to_thread
from rich.console import Console

from device_profiles.recording import (
    MAX_RECORDING_BYTES,
    Heading,
    Piece,
    recording_line,
)
from device_profiles.site import ModbusBus, PlacedDevice, Site
from edge.capture import CaptureFileError, Taken, find_bus, heading_of, poll_and_record
from edge.control import Control, NotRunningError, control_path
from edge.errors import EdgeError
from edge.line import make_line
from edge.replay import Told, replay
from langyan.commands.common import PROFILES, fail, load_site_file, run_until_signal
from langyan.commands.recording import RECORDING, load_recording
from langyan.i18n import translate as _

SITE = typer.Argument(..., help=_("The site file: gateway, buses, devices (TOML)."), metavar="SITE.toml")

TAKE_EVERY_S = 0.5
LONGEST_CELLS_SHOWN = 16


def capture(
    site_file: Path = SITE,
    *,
    bus_id: str = typer.Option(..., "--bus", "-b", help=_("Bus id.")),
    out: Path = typer.Option(..., "--out", "-o", help=_("The file to write; it must not be there yet.")),
    seconds: float = typer.Option(60.0, "--seconds", "-s", min=1.0, max=86_400.0, help=_("How long to record.")),
    profiles: Path | None = PROFILES,
) -> None:
    """Record a bus, of the running gateway or by polling it, until the time is over or Ctrl-C."""
    site = load_site_file(site_file, profiles=profiles)
    try:
        bus = find_bus(site, bus_id)
        # Unbuffered, so that what was recorded is in the file whatever happens next.
        with out.open("xb", buffering=0) as file:
            heading_bytes = file.write(recording_line(heading_of(site, bus)))
            try:
                run_until_signal(lambda stop: _record(site, bus, file, stop, seconds=seconds), expected=EdgeError)
            except typer.Exit:
                if file.tell() == heading_bytes:
                    out.unlink()
                raise
    except FileExistsError as error:
        text = _("{path} is there already; name another file").format(path=out)
        raise fail([text], status=1) from error
    except OSError as error:
        raise fail([_("{path} cannot be written: {why}").format(path=out, why=error.strerror)], status=1) from error
    except EdgeError as error:
        raise fail([str(error), _(error.hint)], status=1) from error


async def _record(site: Site, bus: ModbusBus, file: FileIO, stop: anyio.Event, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    size, pieces = file.tell(), 0
    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on, stop, tasks.cancel_scope)
            async with aclosing(_pieces(site, bus)) as source:
                async for piece in source:
                    line = recording_line(piece)
                    if size + len(line) > MAX_RECORDING_BYTES:
                        typer.echo(_("The file is full ({size} MiB).").format(size=MAX_RECORDING_BYTES >> 20), err=True)
                        break
                    size, pieces = size + _write(file, line), pieces + 1
                    _show_progress(pieces, size, deadline - time.monotonic())
            tasks.cancel_scope.cancel()
    typer.echo("", err=True)
    typer.echo(_("{pieces} pieces, {size} bytes in {path}").format(pieces=pieces, size=size, path=file.name))


def _write(file: FileIO, line: bytes) -> int:
    try:
        return file.write(line)
    except OSError as error:
        raise CaptureFileError(f"{file.name} cannot be written: {error.strerror}") from error


async def _cancel_on(stop: anyio.Event, scope: anyio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()


async def _pieces(site: Site, bus: ModbusBus) -> AsyncGenerator[Piece, None]:
    """Take the pieces from the running gateway; without one, poll the bus."""
    outbox = site.path.parent / site.file.outbox.path
    try:
        control = Control(control_path(outbox))
    except NotRunningError:
        typer.echo(_("No gateway runs here; polling the bus myself."), err=True)
        line = make_line(bus, folder=site.path.parent)
        await line.open()
        try:
            async with aclosing(poll_and_record(line, site.devices[bus.id])) as polled:
                async for piece in polled:
                    yield piece
        finally:
            line.close()
        return
    typer.echo(_("Recording what the running gateway sends and hears."), err=True)
    with control:
        first = taken = await _take(control, bus, None)
        while True:
            await anyio.sleep(TAKE_EVERY_S)
            taken = await _take(control, bus, taken.after)
            for piece in taken.pieces:
                yield msgspec.structs.replace(piece, t=round(max(0.0, piece.t - first.t), 6))


async def _take(control: Control, bus: ModbusBus, after: int | None) -> Taken:
    request = {"do": "capture", "bus": bus.id, "after": after}
    return msgspec.convert(await to_thread.run_sync(control.ask, request), Taken)


def _show_progress(pieces: int, size: int, left_s: float) -> None:
    if Console(stderr=True).is_terminal:
        text = _("{pieces} pieces, {size} bytes, {left:.0f} s left")
        typer.echo("\r" + text.format(pieces=pieces, size=size, left=max(0.0, left_s)) + "  ", nl=False, err=True)


def play(
    file: Path = RECORDING,
    *,
    site_file: Path | None = typer.Option(None, "--site", help=_("The site file, for readings by its profiles.")),
    profiles: Path | None = PROFILES,
) -> None:
    """Print what a gateway would have read from a recording."""
    recording = load_recording(file)
    devices: tuple[PlacedDevice, ...] = ()
    if site_file is not None:
        site = load_site_file(site_file, profiles=profiles)
        devices = site.devices.get(recording.heading.bus.id, ())
        if not devices:
            text = _("{path} has no device on bus {bus}; frames are shown without readings")
            typer.echo(text.format(path=site_file, bus=recording.heading.bus.id), err=True)
    typer.echo(_heading(recording.heading))
    asked = faulty = 0
    for told in replay(recording, devices):
        asked += told.unit > 0
        faulty += bool(told.faults)
        for line in _lines(told):
            typer.echo(line)
    typer.echo(_("{asked} requests, {faulty} with a fault").format(asked=asked, faulty=faulty))


def _heading(heading: Heading) -> str:
    text = _("bus {bus} of gateway {gateway}, recorded at {at}")
    return text.format(bus=heading.bus.id, gateway=heading.gateway, at=heading.at)


def _lines(told: Told) -> Iterator[str]:
    if not told.unit:
        yield f"{told.t:10.3f}  ! {told.asked}"
        return
    took = "" if told.took_s is None else f"  {told.took_s * 1000:.1f} ms"
    yield f"{told.t:10.3f}  " + _("unit {unit}: {asked}").format(unit=told.unit, asked=told.asked) + took
    if told.readings:
        for device, point, value in told.readings:
            yield f"{'':12}{device} {point} = {value}"
    elif told.cells:
        shown = " ".join(map(str, told.cells[:LONGEST_CELLS_SHOWN]))
        yield f"{'':12}= {shown}" + (" ..." if len(told.cells) > LONGEST_CELLS_SHOWN else "")
    for fault in told.faults:
        yield f"{'':12}! {fault}"

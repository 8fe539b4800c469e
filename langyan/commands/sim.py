"""`langyan sim`: simulated devices, and the hand that presses their buttons."""

from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec
import typer

from device_profiles.recording import Recording
from device_profiles.site import RtuBus, Site
from langyan.commands.common import PROFILES, VERBOSE, fail, load_site_file, run_until_signal
from langyan.commands.fleet import fleet
from langyan.commands.recording import RECORDING, load_recording
from langyan.commands.sim_run import run, scenarios
from langyan.i18n import translate as _
from langyan.running import start_logging
from simulators.control_client import Control, ControlError
from simulators.errors import SimulatorError
from simulators.replay import serve_replay
from simulators.site import ServedSite, serve_site

app = typer.Typer(no_args_is_help=True)
app.command(help=_("Play scenarios and judge what they expect."))(run)
app.command(help=_("List the scenarios that come with the package."))(scenarios)
app.command(help=_("Speak as many gateways straight to a broker, and count what becomes of it."))(fleet)

SITE = typer.Argument(..., help=_("The site file, the one that the gateway reads."), metavar="SITE.toml")
PORT = typer.Option(..., "--control-port", "-c", help=_("Control port that `langyan sim devices` named."))
DEVICE = typer.Argument(..., help=_("Device id."))
POINT = typer.Argument(..., help=_("Point key."))


@app.command(help=_("Simulate every device of a site file on its buses until Ctrl-C."))
def devices(
    site_file: Path = SITE,
    *,
    control_port: int = typer.Option(0, "--control-port", "-c", help=_("TCP port for control; 0 takes a free one.")),
    profiles: Path | None = PROFILES,
    verbose: bool = VERBOSE,
) -> None:
    """Run simulated devices."""
    site = load_site_file(site_file, profiles=profiles)
    start_logging(verbose=verbose)
    run_until_signal(lambda stop: _serve(site, control_port, stop), expected=SimulatorError)


async def _serve(site: Site, control_port: int, stop: anyio.Event) -> None:
    async with anyio.create_task_group() as tasks:
        served: ServedSite = await tasks.start(lambda *, task_status: serve_site(
            site, control_port=control_port, task_status=task_status
        ))  # fmt: skip
        for bus, where in served.buses.items():
            typer.echo(_("bus {bus} at {where}").format(bus=bus, where=where))
        typer.echo(_("control port {port}; try: langyan sim stats -c {port}").format(port=served.control_port))
        await stop.wait()
        tasks.cancel_scope.cancel()


@app.command(help=_("Play a recorded bus back: its answers, with their timing, to whoever asks the same."))
def replay(
    file: Path = RECORDING,
    *,
    port: Path = typer.Option(Path("replay.tty"), "--port", help=_("Where to put the serial port, if it was one.")),
    listen: int = typer.Option(0, "--listen", help=_("TCP port on 127.0.0.1, if it was TCP; 0 takes a free one.")),
    verbose: bool = VERBOSE,
) -> None:
    """Play a recording back."""
    recording = load_recording(file)
    start_logging(verbose=verbose)
    run_until_signal(lambda stop: _serve_replay(recording, port, listen, stop), expected=SimulatorError)


async def _serve_replay(recording: Recording, port: Path, listen: int, stop: anyio.Event) -> None:
    async with anyio.create_task_group() as tasks:
        place, address = (port, None) if isinstance(recording.heading.bus, RtuBus) else (None, ("127.0.0.1", listen))
        where: str = await tasks.start(lambda *, task_status: serve_replay(
            recording, place=place, address=address, task_status=task_status
        ))  # fmt: skip
        typer.echo(_("bus {bus} at {where}").format(bus=recording.heading.bus.id, where=where))
        await stop.wait()
        tasks.cancel_scope.cancel()


@app.command(help=_("Press a button, or make any state true."))
def press(
    device: str = DEVICE,
    point: str = POINT,
    *,
    port: int = PORT,
    for_s: float = typer.Option(0.0, "--for", help=_("Release it after so many seconds; 0 keeps it pressed.")),
) -> None:
    """Press a button."""
    _ask(port, lambda control: control.press(device, point, for_s=for_s or None))


@app.command(help=_("Release a button, or make any state false."))
def release(device: str = DEVICE, point: str = POINT, *, port: int = PORT) -> None:
    """Release a button."""
    _ask(port, lambda control: control.release(device, point))


@app.command("set", help=_("Hold a point at a value: a number, true, false or a word."))
def set_value(
    device: str = DEVICE,
    point: str = POINT,
    value: str = typer.Argument(..., help=_("The value.")),
    *,
    port: int = PORT,
) -> None:
    """Hold a point at a value."""
    _ask(port, lambda control: control.set(device, point, _value(value)))


@app.command(help=_("Let a point move by itself again."))
def auto(device: str = DEVICE, point: str = POINT, *, port: int = PORT) -> None:
    """Undo `set`, `press` and `release`."""
    _ask(port, lambda control: control.auto(device, point))


@app.command(help=_("Let a device fall silent."))
def mute(device: str = DEVICE, *, port: int = PORT) -> None:
    """Mute a device."""
    _ask(port, lambda control: control.mute(device))


@app.command(help=_("Let a device answer again."))
def unmute(device: str = DEVICE, *, port: int = PORT) -> None:
    """Unmute a device."""
    _ask(port, lambda control: control.unmute(device))


@app.command(help=_("Disturb a share of the answers on a serial bus with noise; 0 ends it."))
def noise(
    bus: str = typer.Argument(..., help=_("Bus id.")),
    rate: float = typer.Argument(..., min=0.0, max=1.0, help=_("Share of answers, 0 to 1.")),
    *,
    port: int = PORT,
) -> None:
    """Add noise to a bus."""
    _ask(port, lambda control: control.noise(bus, rate=rate))


@app.command(help=_("Take a bus away, as when a USB adapter is pulled out."))
def unplug(bus: str = typer.Argument(..., help=_("Bus id.")), *, port: int = PORT) -> None:
    """Unplug a bus."""
    _ask(port, lambda control: control.unplug(bus))


@app.command(help=_("Bring a bus back."))
def plug(bus: str = typer.Argument(..., help=_("Bus id.")), *, port: int = PORT) -> None:
    """Plug a bus in."""
    _ask(port, lambda control: control.plug(bus))


@app.command(help=_("Print what was asked and answered, as JSON."))
def stats(*, port: int = PORT) -> None:
    """Print the counts."""
    _ask(port, lambda control: typer.echo(msgspec.json.format(msgspec.json.encode(control.stats())).decode()))


def _ask(port: int, question: Callable[[Control], object]) -> None:
    try:
        with Control(port) as control:
            question(control)
    except ControlError as error:
        raise fail([str(error)], status=1) from error


def _value(text: str) -> float | bool | str:
    if text in {"true", "false"}:
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text

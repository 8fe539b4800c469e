"""`langyan edge`: run a gateway, check its site file."""

from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from device_profiles.model import CombinationRule, Transport
from device_profiles.rule_checks import rule_names
from device_profiles.site import PlacedDevice, Site, TcpBus, where_of
from edge.plan import plan_device
from langyan.commands.capture import capture, play
from langyan.commands.common import PROFILES, VERBOSE, load_site_file
from langyan.commands.requests import mode, reset, write
from langyan.commands.service import install
from langyan.commands.status import status
from langyan.commands.walktest import walktest
from langyan.gateway_process import run_gateway_process
from langyan.i18n import translate as _

app = typer.Typer(no_args_is_help=True)

SITE = typer.Argument(..., help=_("The site file: gateway, buses, devices (TOML)."), metavar="SITE.toml")


@app.command(help=_("Run the gateway until Ctrl-C or SIGTERM. Nothing already read is lost on a stop."))
def run(site_file: Path = SITE, *, profiles: Path | None = PROFILES, verbose: bool = VERBOSE) -> None:
    """Run the gateway."""
    raise typer.Exit(run_gateway_process(site_file, profiles=profiles, verbose=verbose))


@app.command(help=_("Check a site file and every profile it names; lists all faults, or what will be read."))
def check(site_file: Path = SITE, *, profiles: Path | None = PROFILES) -> None:
    """Check the site file."""
    _print_plan(load_site_file(site_file, profiles=profiles))


app.command("status", help=_("Show how the running gateway stands, what is wrong, and what to try."))(status)
app.command("walktest", help=_("Press every button, and see each one arrive in the cloud; writes the record."))(
    walktest
)
app.command("write", help=_("Write a point of a device, and read it back."))(write)
app.command("mode", help=_("Put devices into a test or a drill; it ends by itself."))(mode)
app.command("reset", help=_("Let a latched alarm go."))(reset)
app.command("capture", help=_("Record what crosses a bus, with its timing, into one file."))(capture)
app.command("replay", help=_("Show what a gateway would have read from a recording."))(play)
app.command("install", help=_("Make the gateway a service of systemd: writes the unit, says the next commands."))(
    install
)


def _print_plan(site: Site) -> None:
    table = Table(title=_("{gateway} at {site}").format(gateway=site.file.gateway.id, site=site.file.gateway.site))
    for heading in (_("bus"), _("unit"), _("device"), _("profile"), _("points"), _("reads"), _("alarms")):
        table.add_column(heading)
    for bus in site.file.bus:
        for placed in site.devices[bus.id]:
            reads = [
                f"{block.table} {block.address}+{block.count} / {block.every_s:g} s"
                for block in plan_device(
                    placed.profile, transport=Transport.TCP if isinstance(bus, TcpBus) else Transport.RTU
                )
            ]
            if placed.profile.speaks is not None:
                reads = [_("speaks {language} by itself").format(language=placed.profile.speaks.language.value)]
            name = f"{placed.device.id} {placed.device.name}".strip()
            points = len(placed.profile.points)
            alarms = sum(
                len(rule_names(rule)) * (1 if isinstance(rule, CombinationRule) else len(rule.points))
                for rule in placed.profile.rule
            )
            table.add_row(
                f"{bus.id} ({where_of(bus)})", _address(placed), name, placed.profile.profile, str(points),
                "\n".join(reads), str(alarms),
            )  # fmt: skip
    Console().print(table)
    typer.echo(_("The site file is in order."))


def _address(placed: PlacedDevice) -> str:
    return str(placed.unit) if placed.profile.speaks is None else placed.device.address or "-"

"""`langyan fire stations`: the registry of stations that drive the index; in and out of files, and looked at."""

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from cloud.areas.faults import MAX_TOLD, Faults, ImportRefusedError
from cloud.areas.importing import read_sources
from cloud.areas.rows import Entry
from cloud.clock import now_us
from cloud.database import Database, open_database
from cloud.desk.changes import Actor
from cloud.errors import CloudError
from cloud.fire.registry import register
from cloud.fire.stations import check_references, export_stations, places_of, read_all, read_stations
from cloud.settings import Settings, load_settings
from langyan.commands.common import fail
from langyan.i18n import language
from langyan.i18n import translate as _

app = typer.Typer(no_args_is_help=True, help=_("Weather stations that drive the fire weather index."))

SETTINGS = typer.Option(
    ..., "--settings", "-s", envvar="LANGYAN_SETTINGS", help=_("The settings file of the alarm desk."),
    metavar="SETTINGS.toml",
)  # fmt: skip
OPTIONAL_SETTINGS = typer.Option(
    None, "--settings", "-s", envvar="LANGYAN_SETTINGS", metavar="SETTINGS.toml",
    help=_("The settings file of the alarm desk; with it areas are looked up too."),
)  # fmt: skip
FILE = typer.Argument(..., metavar="FILE.csv", help=_("CSV of stations, as export writes it."))


@app.command("import", help=_("Bring stations in: all or nothing."))
def import_(
    file: Path = FILE,
    settings_file: Path = SETTINGS,
    *,
    by: str = typer.Option("", "--by", help=_("Who does it; the login name when left out.")),
) -> None:
    """Import."""
    with _refusing():
        entries = _entries(file)
        with _desk(settings_file) as (settings, database):
            _check(database, entries)
            actor = Actor(by or getpass.getuser(), "console")
            work = partial(register, entries=entries, settings=settings, actor=actor, now_us=now_us())
            outcome = database.run(work)
    told = _("{added} new, {changed} changed, {unchanged} unchanged")
    typer.echo(told.format(added=outcome.added, changed=outcome.changed, unchanged=outcome.unchanged))
    for station, day in sorted(outcome.turned.items()):
        is_anew = station in outcome.anew
        words = (
            _("{station} has moved on {day}: its index begins anew")
            if is_anew
            else _("{station} has moved on {day}: its index goes on")
        )
        typer.echo(words.format(station=station, day=day))


@app.command("export", help=_("Write all stations into a file that can be imported again."))
def export_(
    file: Path | None = typer.Argument(None, metavar="FILE.csv", help=_("File to write; else standard output.")),
    settings_file: Path = SETTINGS,
) -> None:
    """Export."""
    with _desk(settings_file) as (_settings, database):
        data = database.read(export_stations)
    if file is None:
        sys.stdout.buffer.write(data)
        return
    try:
        file.write_bytes(data)
    except OSError as error:
        raise fail([f"{file}: {error.strerror}"], status=1) from error


@app.command("list", help=_("List all stations."))
def list_(settings_file: Path = SETTINGS) -> None:
    """List."""
    with _desk(settings_file) as (_settings, database):
        stations = database.read(read_all)
        places = database.read(lambda connection: places_of(connection, stations))
    table = Table()
    for heading in (_("station"), _("name"), _("area"), _("gateway"), _("device"), _("wind in"), _("rain"),
                    _("latitude"), _("longitude"), _("active")):  # fmt: skip
        table.add_column(heading)
    for one in stations:
        place = places[one.id].area or "-"
        where = f"{one.latitude_deg:.4f}", f"{one.longitude_deg:.4f}"
        table.add_row(
            one.id, one.name, place, one.gateway, one.device, one.wind_unit, one.rain_kind, *where, one.active
        )
    Console().print(table)


@app.command(help=_("Only tell what is wrong with a file; status 2 when something is."))
def check(file: Path = FILE, settings_file: Path | None = OPTIONAL_SETTINGS) -> None:
    """Check."""
    with _refusing():
        entries = _entries(file)
        if settings_file is not None:
            with _desk(settings_file) as (_settings, database):
                _check(database, entries)
    typer.echo(_("nothing is amiss"))


def _entries(file: Path) -> list[Entry]:
    """Read a file.

    Raises:
        ImportRefusedError: with all its faults.
    """
    faults = Faults()
    sources = read_sources([file], faults)
    entries = [entry for source in sources for entry in read_stations(source.data, source.name, faults)]
    faults.settle()
    return entries


def _check(database: Database, entries: list[Entry]) -> None:
    """Look up what a file refers to.

    Raises:
        ImportRefusedError: something is not there.
    """
    faults = Faults()
    database.read(lambda connection: check_references(connection, entries, faults))
    faults.settle()


@contextmanager
def _refusing() -> Iterator[None]:
    """Tell all faults of a file; status 2."""
    try:
        yield
    except ImportRefusedError as error:
        lines = [fault.told(language()) for fault in error.faults]
        if error.count > MAX_TOLD:
            lines.append(_("and {count} more").format(count=error.count - MAX_TOLD))
        lines.append(_("{count} fault(s); nothing was changed").format(count=error.count))
        raise fail(lines, status=2) from error


@contextmanager
def _desk(settings_file: Path) -> Iterator[tuple[Settings, Database]]:
    """Open settings and database; what goes wrong with them is told in a sentence and its hint, status 1."""
    try:
        settings = load_settings(settings_file, database_only=True)
        with open_database(settings.database) as database:
            yield settings, database
    except ImportRefusedError:
        raise
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error

"""`langyan fire`: the fire weather index of a file, the registry of stations, and the danger at the desk."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from cloud.areas.faults import MAX_TOLD, Faults, ImportRefusedError
from cloud.areas.importing import read_sources
from cloud.fire import observations
from cloud.fire.classes import Scheme
from cloud.fire.fwi import Codes
from langyan.commands import fire_stations, fires
from langyan.commands.alarm_words import complaint
from langyan.commands.common import fail
from langyan.desk_client import DeskClient, DeskError, read_access
from langyan.i18n import language
from langyan.i18n import translate as _

app = typer.Typer(no_args_is_help=True)
app.add_typer(fire_stations.app, name="stations")
fires.hook(app)

AREA = typer.Option(None, "--area", help=_("Only this area, by its id, and all below it."))
AS_JSON = typer.Option(False, "--json", help=_("One JSON object a line."))
STATION = typer.Argument(..., help=_("Id of the station."), metavar="STATION")
_DATE = ["%Y-%m-%d"]
_PAGE = 1_000
_COLOURS = {"moderate": "yellow", "high": "dark_orange", "very-high": "red", "extreme": "bold red"}


@app.callback()
def _whole() -> None:
    """Be a group of commands."""


@app.command(help=_("Work out the fire weather index of a file of noon observations; nothing else is asked."))
def fwi(
    file: Path = typer.Argument(
        ..., metavar="OBSERVATIONS.csv", help=_("CSV: month, day, temp_c, rh_pct, wind_kmh, rain_mm; at noon.")
    ),
    *,
    latitude: float = typer.Option(
        46.0, "--latitude", min=-90, max=90, help=_("Degrees, north positive: which table of day lengths.")
    ),
    start: str = typer.Option("85,6,15", "--start", metavar="FFMC,DMC,DC", help=_("The codes of the day before.")),
    scheme: Scheme = typer.Option(Scheme.EFFIS, "--scheme", help=_("Whose classes.")),
    missed_days: int = typer.Option(
        3, "--missed-days", min=0, max=30, help=_("The longest gap that is estimated; a longer one starts anew.")
    ),
    output: Path | None = typer.Option(None, "--output", "-o", help=_("File to write; else standard output.")),
) -> None:  # fmt: skip
    """Work out the index."""
    codes = _start(start)
    found = _observations(file)
    for gap in observations.missing_days(found):
        is_long = gap.count > missed_days
        words = (
            _("{where}: {count} days are missing before it; the index starts anew")
            if is_long
            else _("{where}: {count} days are missing before it; they are estimated")
        )
        typer.echo(words.format(where=gap.where, count=gap.count), err=True)
    days = observations.work_out(found, latitude_deg=latitude, start=codes, missed_days=missed_days)
    text = observations.write_index(days, scheme)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise fail([f"{output}: {error.strerror}"], status=1) from error


@app.command(help=_("Show the danger level of the stations in your area."))
def danger(*, area: str | None = AREA, as_json: bool = AS_JSON) -> None:
    """Show levels."""
    with _desk() as desk:
        pages = _pages(desk, "/fire/stations", "stations", area=area)
        stations = [one for page in pages for one in page]
    if as_json:
        for one in stations:
            typer.echo(json.dumps(one, ensure_ascii=False))
        return
    table = Table()
    for heading in (_("station"), _("name"), _("day"), _("level"), "FWI", _("by"), _("China"), _("hourly FFMC")):
        table.add_column(heading)
    for one in stations:
        table.add_row(*_station_cells(one))
    Console().print(table)


@app.command(help=_("Show a station's days: what was read, what is thought of it, and what came of it."))
def days(
    station: str = STATION,
    *,
    since: datetime | None = typer.Option(None, "--from", formats=_DATE, help=_("The first day; all when left out.")),
    until: datetime | None = typer.Option(None, "--until", formats=_DATE, help=_("The day after the last one.")),
    as_json: bool = AS_JSON,
) -> None:
    """Show days."""
    with _desk() as desk:
        found = list(_days(desk, station, since, until))
    if as_json:
        for one in found:
            typer.echo(json.dumps(one, ensure_ascii=False))
        return
    table = Table()
    for heading in (_("day"), "°C", "%", "km/h", "mm", "FFMC", "DMC", "DC", "ISI", "BUI", "FWI", _("level"), _("by"),
                    _("corrected")):  # fmt: skip
        table.add_column(heading)
    for one in found:
        table.add_row(*_day_cells(one))
    Console().print(table)


@app.command(help=_("Let a station's index begin anew on a day; all later days are worked out again."))
def start(
    station: str = STATION,
    *,
    day: datetime = typer.Option(..., "--day", formats=_DATE, help=_("From this day's observation on.")),
    codes: str = typer.Option("85,6,15", "--start", metavar="FFMC,DMC,DC", help=_("The codes of the day before.")),
    why: str = typer.Option(..., "--why", help=_("Why; it stands in the audit.")),
) -> None:
    """Begin anew."""
    begin = _start(codes)
    body = {"day": day.date().isoformat(), "ffmc": begin.ffmc, "dmc": begin.dmc, "dc": begin.dc, "why": why}
    with _desk() as desk:
        desk.post(f"/fire/stations/{station}/start", body)
    typer.echo(_("{station} begins anew on {day}").format(station=station, day=body["day"]))


def _start(text: str) -> Codes:
    codes = observations.parse_start(text)
    if codes is None:
        why = _("{text} is no start: FFMC,DMC,DC, as 85,6,15; FFMC at most 101, none below 0").format(text=repr(text))
        raise fail([why], status=2)
    return codes


def _observations(file: Path) -> list[observations.Observation]:
    """Read the file, or tell every fault with its line and end."""
    faults = Faults()
    sources = read_sources([file], faults)
    found = observations.read_observations(sources[0].data, sources[0].name, faults) if sources else []
    try:
        faults.settle()
    except ImportRefusedError as error:
        raise refused(error) from error
    return found


def refused(error: ImportRefusedError) -> typer.Exit:
    """Tell all faults; status 2."""
    lines = [fault.told(language()) for fault in error.faults]
    if error.count > MAX_TOLD:
        lines.append(_("and {count} more").format(count=error.count - MAX_TOLD))
    lines.append(_("{count} fault(s); nothing was worked out").format(count=error.count))
    return fail(lines, status=2)


def _pages(desk: DeskClient, path: str, key: str, **params: Any) -> Iterator[list[dict[str, Any]]]:
    after: str | None = None
    while True:
        page = desk.get(path, after=after, limit=_PAGE, **params)
        yield page[key]
        after = page["next"]
        if after is None:
            return


def _days(desk: DeskClient, station: str, since: datetime | None, until: datetime | None) -> Iterator[dict[str, Any]]:
    begin = since.date().isoformat() if since else None
    end = until.date().isoformat() if until else None
    while True:
        page = desk.get(f"/fire/stations/{station}/days", until=end, limit=_PAGE, **{"from": begin})
        yield from page["days"]
        begin = page["next"]
        if begin is None:
            return


def _station_cells(one: dict[str, Any]) -> list[str]:
    latest = one["latest"]
    if latest is None:
        return [one["id"], one["name"], "", "-", "", "", "", ""]
    china = latest["china"]
    rating = f"{china['level']} {china['colour']}" if china else "-"
    hourly = "" if one["hourly_ffmc"] is None else f"{one['hourly_ffmc']:.1f}"
    level = _level(one["level"])
    return [one["id"], one["name"], latest["day"], level, _number(latest["fwi"]), latest["rule"], rating, hourly]


def _day_cells(one: dict[str, Any]) -> list[str]:
    read = [_value(one["read"][name]) for name in ("temp_c", "rh_pct", "wind_kmh", "rain_mm")]
    codes = [_number(one[name]) for name in ("ffmc", "dmc", "dc", "isi", "bui", "fwi")]
    corrected = str(len(one["corrections"])) if one["corrections"] else ""
    return [one["day"], *read, *codes, _level(one["effis"]), one["rule"], corrected]


def _value(read: dict[str, Any]) -> str:
    text = _number(read["value"])
    return text if read["verdict"] == "good" else f"[red]{text} {read['verdict']}[/red]".replace("- ", "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _level(word: str | None) -> str:
    colour = _COLOURS.get(word or "")
    return f"[{colour}]{word}[/{colour}]" if colour else word or "-"


@contextmanager
def _desk() -> Iterator[DeskClient]:
    """Open the desk; what it refuses is said in words, status 1."""
    try:
        with DeskClient(read_access(os.environ)) as desk:
            yield desk
    except DeskError as error:
        raise fail(complaint(error), status=1) from error

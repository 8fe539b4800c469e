"""`langyan vehicles`: the registry in and out of files; where vehicles are and were, and their fences, over the API."""

import getpass
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from cloud.areas.decoding import MAX_FILE_BYTES
from cloud.areas.faults import ImportRefusedError
from cloud.clock import now_us
from cloud.database import open_database
from cloud.desk.changes import Actor
from cloud.errors import CloudError
from cloud.settings import load_settings
from cloud.vehicles import registry
from cloud.vehicles.fences import Rule
from contract.alarms import Severity
from contract.ids import is_id
from langyan.commands.alarm_words import complaint
from langyan.commands.common import fail
from langyan.desk_client import DeskClient, DeskError, read_access
from langyan.i18n import language
from langyan.i18n import translate as _

app = typer.Typer(no_args_is_help=True)
fences_app = typer.Typer(no_args_is_help=True, help=_("Fences: where vehicles must stay, or must not go."))
app.add_typer(fences_app, name="fences")

SETTINGS = typer.Option(
    ..., "--settings", "-s", envvar="LANGYAN_SETTINGS", help=_("The settings file of the alarm desk."),
    metavar="SETTINGS.toml",
)  # fmt: skip
VEHICLE = typer.Argument(..., help=_("Id of the vehicle."), metavar="VEHICLE")
AREA = typer.Option(None, "--area", help=_("Only this area, by its id, and all below it."))
AS_JSON = typer.Option(False, "--json", help=_("One JSON object a line."))
# As the API has it.
_A_PAGE = 1_000
_SPAN = re.compile(r"(\d{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_CIRCLE = re.compile(r"([-+0-9.]{1,20}),([-+0-9.]{1,20}),([0-9.]{1,12})")


class Motion(StrEnum):
    """What a vehicle does."""

    MOVING = "moving"
    STANDING = "standing"
    SILENT = "silent"


class Form(StrEnum):
    """How a track is written."""

    JSON = "json"
    GPX = "gpx"
    GEOJSON = "geojson"


@app.command("import", help=_("Bring in vehicles from a CSV file, all or nothing."))
def import_(
    file: Path = typer.Argument(
        ..., metavar="FILE.csv", help=_("CSV in UTF-8 or GBK; docs/vehicles.md has its columns.")
    ),
    settings_file: Path = SETTINGS,
    *,
    replace: bool = typer.Option(False, "--replace", help=_("Remove the vehicles that the file does not have.")),
    dry_run: bool = typer.Option(False, "--dry-run", help=_("Only say what would change.")),
    by: str = typer.Option("", "--by", help=_("Who does it; the login name when left out.")),
) -> None:
    """Import."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise fail([f"{file}: {error.strerror}"], status=1) from error
    if len(data) > MAX_FILE_BYTES:
        raise fail([_("{file} has more than {most} bytes").format(file=file, most=MAX_FILE_BYTES)], status=2)
    try:
        settings = load_settings(settings_file, database_only=True)
        with open_database(settings.database) as database:
            brought = registry.bring_in(
                database, data, str(file), actor=Actor(by or getpass.getuser(), "console"), at_us=now_us(),
                desk=settings.desk, replace=replace, dry_run=dry_run,
            )  # fmt: skip
    except ImportRefusedError as error:
        lines = [fault.told(language()) for fault in error.faults]
        if error.count > len(lines):
            lines.append(_("and {count} more").format(count=error.count - len(lines)))
        lines.append(_("{count} fault(s); nothing was changed").format(count=error.count))
        raise fail(lines, status=2) from error
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error
    words = _("{added} new, {changed} changed, {removed} removed, {unchanged} unchanged")
    typer.echo(words.format(
        added=brought.added, changed=brought.changed, removed=brought.removed, unchanged=brought.unchanged
    ))  # fmt: skip
    typer.echo(_("nothing was changed: a dry run") if dry_run else _("done"))


@app.command("export", help=_("Write all vehicles into a CSV file that can be imported again."))
def export_(
    file: Path = typer.Argument(..., metavar="FILE.csv", help=_("File to write."), dir_okay=False),
    settings_file: Path = SETTINGS,
) -> None:
    """Export."""
    try:
        with open_database(load_settings(settings_file, database_only=True).database) as database:
            data = database.read(registry.export)
        file.write_bytes(data)
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error
    except OSError as error:
        raise fail([f"{file}: {error.strerror}"], status=1) from error
    typer.echo(str(file))


@app.command("list", help=_("List vehicles with their last positions."))
def list_(
    *,
    area: str | None = AREA,
    fleet: str | None = typer.Option(None, "--fleet", help=_("Only this fleet.")),
    motion: Motion | None = typer.Option(None, "--motion", help=_("Only those that do this now.")),
    limit: int = typer.Option(100, "--limit", min=1, max=_A_PAGE, help=_("At most so many.")),
    after: str | None = typer.Option(None, "--after", help=_("Only those whose ids follow this one.")),
    as_json: bool = AS_JSON,
) -> None:
    """List vehicles."""
    with _desk() as desk:
        page = desk.get("/vehicles", area=area, fleet=fleet, motion=motion and motion.value, after=after, limit=limit)
    if as_json:
        for one in page["vehicles"]:
            typer.echo(json.dumps(one, ensure_ascii=False))
        return
    table = _table(_("vehicle"), _("plate"), _("name"), _("fleet"), _("state"), _("position"), "km/h", _("heard"))
    for one in page["vehicles"]:
        at = one["position"]
        place = f"{at['latitude_deg']:.5f}, {at['longitude_deg']:.5f}" + (" ?" if at["doubtful"] else "") if at else "-"
        speed = "-" if at is None or at["speed_kmh"] is None else f"{at['speed_kmh']:.0f}"
        table.add_row(
            one["id"], one["plate"], one["name"], one["fleet"], _MOTIONS[one["motion"]], place, speed,
            _moment(at["at_us"]) if at else "-",
        )  # fmt: skip
    Console().print(table)
    if page["next"]:
        typer.echo(_("There are more: --after {vehicle}").format(vehicle=page["next"]))


@app.command(help=_("Write where a vehicle was: thinned for a map, or all of it as GPX or GeoJSON; this is audited."))
def track(
    vehicle: str = VEHICLE,
    *,
    since: str = typer.Option("24h", "--since", help=_("From when: 90m, 24h, 7d ago, or YYYY-MM-DDTHH:MM local time.")),
    until: str = typer.Option("0s", "--until", help=_("Until when, in the same words; now when left out.")),
    form: Form = typer.Option(Form.JSON, "--format", help=_("json is thinned; gpx and geojson have every report.")),
    output: Path | None = typer.Option(
        None, "--output", "-o", metavar="FILE", help=_("File to write; standard output when left out."), dir_okay=False
    ),
) -> None:
    """Write a track."""
    from_us, until_us = _read_moment(since), _read_moment(until)
    path = f"/vehicles/{_id(vehicle)}/track"
    with _desk() as desk:
        if form is Form.JSON:
            found = desk.get(path, from_us=from_us, until_us=until_us)
            pieces: Iterator[bytes] = iter([json.dumps(found, ensure_ascii=False).encode() + b"\n"])
        else:
            pieces = desk.download(path, from_us=from_us, until_us=until_us, format=form.value)
        if output is None:
            for piece in pieces:
                typer.get_binary_stream("stdout").write(piece)
        else:
            _write(output, pieces)


@fences_app.command("list", help=_("List fences."))
def list_fences(*, area: str | None = AREA, as_json: bool = AS_JSON) -> None:
    """List fences."""
    with _desk() as desk:
        fences = list(_read_fences(desk, area))
    if as_json:
        for one in fences:
            typer.echo(json.dumps(one, ensure_ascii=False))
        return
    table = _table(_("fence"), _("name"), _("area"), _("rule"), _("whom"), _("where"), _("hours"))
    for one in fences:
        whom = one["vehicle"] or one["fleet"] or _("all")
        circle = one["circle"]
        where = (
            f"{circle['latitude_deg']:.5f}, {circle['longitude_deg']:.5f}, {circle['radius_m']:.0f} m"
            if circle
            else _("{count} corners").format(count=len(one["outline"]["coordinates"][0]) - 1)
        )
        hours = f"{' '.join(one['weekdays'])} {one['begins']}-{one['ends']}" if one["begins"] else _("always")
        table.add_row(one["id"], one["name"], one["area"], _RULES[one["rule"]], whom, where, hours)
    Console().print(table)


@fences_app.command("draw", help=_("Draw a fence, or draw the one of that id anew."))
def draw_fence(
    fence: str = typer.Argument(..., help=_("Id of the fence."), metavar="FENCE"),
    *,
    area: str = typer.Option(..., "--area", help=_("Whose vehicles, by the area's id, with all areas below.")),
    rule: Rule = typer.Option(..., "--rule", help=_("stay: leaving it is an alarm; avoid: entering it is.")),
    circle: str | None = typer.Option(None, "--circle", metavar="LAT,LON,M", help=_("A circle: degrees and metres.")),
    outline: Path | None = typer.Option(None, "--outline", metavar="FILE.geojson", help=_("A Polygon of GeoJSON.")),
    name: str = typer.Option("", "--name", help=_("What people call it.")),
    vehicle: str | None = typer.Option(None, "--vehicle", help=_("Only this vehicle.")),
    fleet: str | None = typer.Option(None, "--fleet", help=_("Only this fleet.")),
    margin: float = typer.Option(
        50.0, "--margin", min=5, max=5_000, help=_("Metres beyond its line that still count as inside.")
    ),
    severity: Severity = typer.Option(Severity.HIGH, "--severity", help=_("Of its alarms.")),
    hours: str | None = typer.Option(
        None, "--hours", metavar="HH:MM-HH:MM", help=_("When it holds; always when left out.")
    ),
    weekdays: str = typer.Option("mon,tue,wed,thu,fri,sat,sun", "--weekdays", help=_("Days on which the hours begin.")),
) -> None:
    """Draw a fence."""
    begins, dash, ends = (hours or "").partition("-")
    if hours and not dash:
        raise fail([_("{text} is no span of hours: 22:00-06:00").format(text=repr(hours))], status=2)
    body: dict[str, Any] = {
        "id": fence, "area": area, "rule": rule.value, "name": name, "vehicle": vehicle, "fleet": fleet,
        "margin_m": margin, "severity": severity.value, "begins": begins or None, "ends": ends or None,
        "weekdays": [day.strip() for day in weekdays.split(",")],
    }  # fmt: skip
    if circle is not None:
        body["circle"] = _read_circle(circle)
    if outline is not None:
        body["outline"] = _read_outline(outline)
    with _desk() as desk:
        desk.post("/vehicle-fences", body)
    typer.echo(_("fence {fence} is drawn").format(fence=fence))


@fences_app.command("remove", help=_("Remove a fence; what stands of it ends."))
def remove_fence(fence: str = typer.Argument(..., help=_("Id of the fence."), metavar="FENCE")) -> None:
    """Remove a fence."""
    with _desk() as desk:
        desk.delete(f"/vehicle-fences/{_id(fence)}")
    typer.echo(_("fence {fence} is removed").format(fence=fence))


_MOTIONS = {"moving": _("moving"), "standing": _("standing"), "silent": _("silent")}
_RULES = {"stay": _("stay"), "avoid": _("avoid")}


@contextmanager
def _desk() -> Iterator[DeskClient]:
    """Talk to the desk; a refusal is told in its own words."""
    try:
        with DeskClient(read_access(os.environ)) as desk:
            yield desk
    except DeskError as error:
        raise fail(complaint(error), status=1) from error


def _read_fences(desk: DeskClient, area: str | None) -> Iterator[Any]:
    """Read all fences, page by page."""
    after: str | None = ""
    while after is not None:
        page = desk.get("/vehicle-fences", area=area, after=after, limit=_A_PAGE)
        yield from page["fences"]
        after = page["next"]


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    """Write a file that is there when it is whole."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(pieces)
        part.replace(path)
    except OSError as error:
        raise fail([f"{path}: {error.strerror}"], status=1) from error
    finally:
        part.unlink(missing_ok=True)


def _id(text: str) -> str:
    """Check an id before it becomes part of a path."""
    if not is_id(text):
        raise fail([_("{text} is no id: 1 to 64 of A-Z a-z 0-9 _ . -").format(text=repr(text))], status=2)
    return text


def _table(*headings: str) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(heading)
    return table


def _moment(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _read_moment(text: str) -> int:
    """Read so long ago, or a local time; microseconds UTC.

    Raises:
        Exit: with status 2, when it is neither, which has been told.
    """
    if found := _SPAN.fullmatch(text):
        return now_us() - int(found[1]) * _SECONDS[found[2]] * 1_000_000
    try:
        return round(datetime.fromisoformat(text).astimezone().timestamp() * 1e6)
    except (ValueError, OverflowError, OSError) as error:
        words = _("{text} is no time: 90m, 24h, 7d or YYYY-MM-DDTHH:MM")
        raise fail([words.format(text=repr(text))], status=2) from error


def _read_circle(text: str) -> dict[str, float]:
    found = _CIRCLE.fullmatch(text.replace(" ", ""))
    try:
        if found is not None:
            names = ("latitude_deg", "longitude_deg", "radius_m")
            return dict(zip(names, (float(part) for part in found.groups()), strict=True))
    except ValueError:
        pass
    raise fail([_("{text} is no circle: 31.29834,120.58319,500").format(text=repr(text))], status=2)


def _read_outline(path: Path) -> Any:
    """Read the one Polygon of a file, with or without features around it."""
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise fail([f"{path}: {error}"], status=2) from error
    return found

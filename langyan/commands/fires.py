"""`langyan fire list|show|confirm|false|cap`: fires that towers found together, over the desk's API."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from cloud.desk.core import ClosingCode
from langyan.commands.alarm_words import complaint, moment
from langyan.commands.common import fail
from langyan.desk_client import DeskClient, DeskError, read_access
from langyan.i18n import translate as _

FIRE = typer.Argument(..., help=_("The fire's id, or as much of its beginning as is unique."), metavar="FIRE")
AREA = typer.Option(None, "--area", help=_("Only this area, by its id, and all below it."))
AS_JSON = typer.Option(False, "--json", help=_("One JSON object a line."))
_SHORT = 8
_PAGE = 1_000
_CERTAINTIES = {"Observed": _("observed"), "Likely": _("likely"), "Possible": _("possible")}
_SIGNS = {
    "smoke": _("smoke"),
    "heat": _("heat"),
    "flame": _("flame"),
    "fire": _("fire"),
    "temperature": _("temperature"),
}


class Scope(StrEnum):
    """For whom a CAP message is."""

    PUBLIC = "public"
    PRIVATE = "private"


def hook(app: typer.Typer) -> None:
    """Add the commands to `langyan fire`."""
    app.command("list", help=_("List the fires that towers found together, the latest first."))(list_)
    app.command("show", help=_("Show a fire and the evidence for it."))(show)
    app.command("confirm", help=_("Say that somebody has seen the fire."))(confirm)
    app.command("false", help=_("Say that it is no fire: its alarm is closed, its messages are cancelled."))(false)
    app.command("cap", help=_("Write a CAP 1.2 message about a fire: the latest one, or a new one."))(cap)


def list_(
    *,
    standing: bool = typer.Option(False, "--standing", help=_("Only those that still burn, as far as anybody knows.")),
    area: str | None = AREA,
    limit: int = typer.Option(50, "--limit", min=1, max=_PAGE, help=_("At most so many.")),
    as_json: bool = AS_JSON,
) -> None:
    """List fires."""
    with _desk() as desk:
        page = desk.get("/fires", area=area, standing=standing or None, limit=limit)
    if as_json:
        _print_json(page["fires"])
        return
    table = Table()
    for heading in (_("fire"), _("began, UTC"), _("state"), _("certainty"), _("signs"), _("towers"), _("where")):
        table.add_column(heading)
    for one in page["fires"]:
        table.add_row(*_cells(one))
    Console().print(table)


def show(fire: str = FIRE, *, as_json: bool = AS_JSON) -> None:
    """Show one fire."""
    with _desk() as desk:
        found = desk.get(f"/fires/{_id(fire)}")
    if as_json:
        _print_json([found])
        return
    one, console = found["fire"], Console()
    console.print(
        f"[bold]{one['id']}[/bold]  {_state(one)}  {_certainty(one)}  {_where(one)}  {', '.join(one['towers'])}"
    )
    for what, weight in one["reasons"]:
        console.print(f"  {weight:.2f}  {what}", highlight=False)
    table = Table()
    for heading in (_("raised, UTC"), _("cleared"), _("sign"), _("source"), _("bearing"), _("wind"), _("readings")):
        table.add_column(heading)
    for each in found["evidence"]:
        table.add_row(*_evidence_cells(each))
    console.print(table)


def confirm(
    fire: str = FIRE, *, why: str = typer.Option("", "--why", "-c", help=_("What was seen; it stands in the history."))
) -> None:
    """Confirm a fire."""
    with _desk() as desk:
        desk.post(f"/fires/{_id(fire)}/confirm", {"why": why})
    typer.echo(_("{fire} is confirmed").format(fire=fire))


def false(
    fire: str = FIRE,
    *,
    code: ClosingCode = typer.Option(..., "--code", help=_("What it was; anything but genuine.")),
    why: str = typer.Option(..., "--why", "-c", help=_("What was found; it stands in the history.")),
) -> None:
    """Call a fire false."""
    with _desk() as desk:
        desk.post(f"/fires/{_id(fire)}/false", {"code": code.value, "why": why})
    typer.echo(_("{fire} is called false").format(fire=fire))


def cap(
    fire: str = FIRE,
    *,
    make: Scope | None = typer.Option(None, "--make", help=_("Make a new message first, for whom.")),
    number: int | None = typer.Option(None, "--number", min=1, help=_("Which message; the latest when left out.")),
    output: Path | None = typer.Option(None, "--output", "-o", help=_("File to write; else standard output.")),
) -> None:
    """Write a message."""
    with _desk() as desk:
        if make is not None:
            number = desk.post(f"/fires/{_id(fire)}/cap", {"scope": make.value.capitalize()})["number"]
        content = b"".join(desk.download(f"/fires/{_id(fire)}/cap", number=number))
    if output is None:
        sys.stdout.write(content.decode())
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise fail([f"{output}: {error.strerror}"], status=1) from error


def _cells(one: dict[str, Any]) -> list[str]:
    signs = ", ".join(_SIGNS.get(sign, sign) for sign in one["signs"])
    began = moment(one["began_at_us"])
    return [one["id"][:_SHORT], began, _state(one), _certainty(one), signs, str(len(one["towers"])), _where(one)]


def _state(one: dict[str, Any]) -> str:
    if one["merged_into"] is not None:
        return _("part of {fire}").format(fire=one["merged_into"][:_SHORT])
    if one["judgement"] == "false":
        return _("false")
    if one["ended_at_us"] is not None:
        return _("closed")
    return _("stands") if one["cleared_at_us"] is None else _("quiet")


def _certainty(one: dict[str, Any]) -> str:
    # It is good for a step of five at most.
    return f"{_CERTAINTIES[one['certainty']]} {5 * round(one['confidence'] * 20)} %"


def _where(one: dict[str, Any]) -> str:
    return f"{one['latitude_deg']:.4f}, {one['longitude_deg']:.4f} ±{one['radius_m'] / 1000:.1f} km"


def _evidence_cells(one: dict[str, Any]) -> list[str]:
    wind = one["wind"]
    cleared = "" if one["cleared_at_us"] is None else moment(one["cleared_at_us"])
    return [
        moment(one["raised_at_us"]),
        cleared,
        _SIGNS.get(one["sign"], one["sign"]),
        one["source"],
        "" if one["bearing_deg"] is None else f"{one['bearing_deg']:g}°",
        "" if wind is None else f"{wind['from_deg']:.0f}° {wind['speed_m_s']:.1f} m/s",
        ", ".join(f"{each['gateway']} {each['point']} {each['value']:g}" for each in one["readings"]),
    ]


def _id(fire: str) -> str:
    """Take what may be an id; anything else would be another path."""
    found = fire.strip().lower()
    if not found or any(one not in "0123456789abcdef" for one in found):
        raise fail([_("{fire} is no id of a fire").format(fire=repr(fire))], status=2)
    return found


def _print_json(found: list[dict[str, Any]]) -> None:
    for one in found:
        typer.echo(json.dumps(one, ensure_ascii=False))


@contextmanager
def _desk() -> Iterator[DeskClient]:
    """Open the desk; what it refuses is said in words, status 1."""
    try:
        with DeskClient(read_access(os.environ)) as desk:
            yield desk
    except DeskError as error:
        raise fail(complaint(error), status=1) from error

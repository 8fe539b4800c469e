"""`langyan bikes`: bike watch, over the desk's API; the registry's files go straight into the database."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from cloud.bikes.reading import Only
from langyan.commands import bikes_files, bikes_stolen
from langyan.commands.alarm_words import moment
from langyan.commands.common import fail
from langyan.desk_client import DeskClient, DeskError, read_access
from langyan.i18n import translate as _

app = typer.Typer(no_args_is_help=True)
app.add_typer(bikes_stolen.app, name="stolen")
app.command("import", help=_("Bring in bikes and owners from files: all or nothing."))(bikes_files.import_)
app.command("export", help=_("Write bikes, and owners where wanted, into files that can be imported again."))(
    bikes_files.export_
)
app.command("forget-owner", help=_("Delete all that is personal of a bike."))(bikes_files.forget_owner)

BIKE = typer.Argument(..., help=_("Id of the bike."), metavar="BIKE")
AS_JSON = typer.Option(False, "--json", help=_("One JSON object a line."))
_PAGE = 500
_SEVERAL = 100_000
_HOUR_US = 3_600_000_000


@app.command("list", help=_("List bikes: all, or the stolen, armed, low or silent ones."))
def list_(
    *,
    area: str | None = typer.Option(None, "--area", help=_("Only this area, by its id, and all below it.")),
    only: Only | None = typer.Option(None, "--only", help=_("Only these.")),
    tag: str | None = typer.Option(None, "--tag", help=_("Only the bike with this tag.")),
    limit: int = typer.Option(50, "--limit", min=1, max=_SEVERAL, help=_("At most so many.")),
    as_json: bool = AS_JSON,
) -> None:
    """List bikes."""
    with _desk() as desk:
        wanted = {"area": area, "only": only and only.value, "tag": tag}
        found = _pages(desk, "/bikes", "bikes", limit, wanted)
    if as_json:
        _print_json(found)
        return
    table = _table(_("bike"), _("plate"), _("tag"), _("where"), _("heard last"), _("state"))
    for one in found:
        heard = moment(one["heard_us"]) if one["heard_us"] else "-"
        table.add_row(one["id"], one["plate"], one["tag"] or "-", one["station_name"] or "-", heard, _state(one))
    Console().print(table)


@app.command(help=_("Show one bike, and what gateways were told of it."))
def show(bike: str = BIKE, *, as_json: bool = AS_JSON) -> None:
    """Show one bike."""
    with _desk() as desk:
        found = desk.get(f"/bikes/{_path(bike)}")
    if as_json:
        _print_json([found])
        return
    typer.echo(f"{found['id']}  {found['plate']}  {found['tag'] or '-'}  {found['area_path']}")
    typer.echo(_("state: {state}").format(state=_state(found)))
    if found["station_name"]:
        text = _("at {station} since {moment} UTC")
        typer.echo(text.format(station=found["station_name"], moment=moment(found["since_us"])))
    for told in found["told"]:
        word = _("armed") if told["is_armed"] else _("disarmed")
        typer.echo(f"  {told['gateway']}  {word}  {moment(told['at_us'])}  {told['state'] or '-'}  {told['reason']}")


@app.command(help=_("Show whose a bike is; that you looked is written into the audit."))
def owner(bike: str = BIKE, *, as_json: bool = AS_JSON) -> None:
    """Show an owner."""
    with _desk() as desk:
        found = desk.get(f"/bikes/{_path(bike)}/owner")
    if as_json:
        _print_json([found])
        return
    typer.echo(f"{found['name']}  {found['phone']}  {found['address']}")


@app.command(help=_("Arm a bike until somebody disarms it."))
def arm(bike: str = BIKE) -> None:
    """Arm."""
    _post(bike, "arm", done=_("armed"), already=_("it is armed already"))


@app.command(help=_("Disarm a bike."))
def disarm(bike: str = BIKE) -> None:
    """Disarm."""
    _post(bike, "disarm", done=_("disarmed"), already=_("it was not armed"))


@app.command("mark-stolen", help=_("Put a bike on the stolen list: every gateway looks for its tag."))
def mark_stolen(
    bike: str = BIKE,
    *,
    note: str = typer.Option("", "--note", help=_("What the alarm of a hit says; no personal data.")),
) -> None:
    """Mark as stolen."""
    _post(bike, "stolen", {"note": note}, done=_("on the stolen list; case {case}"))


@app.command(help=_("Take a bike off the stolen list and close its case: it is back."))
def recovered(bike: str = BIKE) -> None:
    """Mark as recovered."""
    _post(bike, "recovered", done=_("recovered; case {case}"))


@app.command(help=_("Note that a bike's tag has a new battery."))
def battery(bike: str = BIKE) -> None:
    """Note a new battery."""
    _post(bike, "battery", done=_("noted"), already=_("it was not low"))


@app.command(help=_("Show where a bike's tag was; that you looked is written into the audit."))
def trail(
    bike: str = BIKE,
    *,
    hours: int = typer.Option(168, "--hours", min=1, max=87_600, help=_("So many hours back.")),
    limit: int = typer.Option(1_000, "--limit", min=1, max=_SEVERAL, help=_("At most so many.")),
    as_json: bool = AS_JSON,
) -> None:
    """Show a trail."""
    stays: list[dict[str, Any]] = []
    hits: list[dict[str, Any]] = []
    from_us, after_us = time.time_ns() // 1_000 - hours * _HOUR_US, 0
    with _desk() as desk:
        while True:
            asked = {"from_us": max(0, from_us), "after_us": after_us, "limit": min(limit - len(stays), _PAGE)}
            page = desk.get(f"/bikes/{_path(bike)}/trail", **asked)
            stays += page["stays"]
            hits += page["hits"]
            after_us = page["next_us"] or 0
            if not after_us or len(stays) >= limit:
                break
    if as_json:
        _print_json([*stays, *hits])
        return
    table = _table(_("where"), _("from"), _("until"))
    for stay in stays:
        until = _("it is there") if stay["until_us"] is None else moment(stay["until_us"])
        table.add_row(stay["station_name"], moment(stay["from_us"]), until)
    Console().print(table)
    for hit in hits:
        typer.echo(_("hit: {station} {moment} UTC").format(station=hit["station_name"], moment=moment(hit["at_us"])))


@app.command(help=_("List cases: the open ones, or all, the latest first."))
def cases(
    *,
    state: str = typer.Option("open", "--state", help=_("open or all.")),
    limit: int = typer.Option(100, "--limit", min=1, max=1_000, help=_("At most so many.")),
    as_json: bool = AS_JSON,
) -> None:
    """List cases."""
    with _desk() as desk:
        found = desk.get("/bike-cases", state=state, limit=limit)["cases"]
    if as_json:
        _print_json(found)
        return
    table = _table(_("case"), _("bike"), _("plate"), _("kind"), _("opened"), _("hits"), _("outcome"))
    for one in found:
        row = (one["id"], one["bike"], one["plate"], one["kind"], moment(one["opened_us"]), one["hits"])
        table.add_row(*map(str, row), one["outcome"] or "-")
    Console().print(table)


@app.command(help=_("Show one case with its trail; that you looked is written into the audit."))
def case(
    number: int = typer.Argument(..., min=1, help=_("Number of the case."), metavar="CASE"), *, as_json: bool = AS_JSON
) -> None:
    """Show one case."""
    with _desk() as desk:
        found = desk.get(f"/bike-cases/{number}")
    if as_json:
        _print_json([found])
        return
    outcome = found["outcome"] or _("open")
    typer.echo(f"{found['id']}  {found['kind']}  {found['bike']}  {found['plate']}  {found['tag']}  {outcome}")
    for step in found["steps"]:
        count = f"x{step['count']}" if step["count"] > 1 else ""
        words = "  ".join(part for part in (step["station_name"], count, step["words"]) if part)
        typer.echo(f"  {moment(step['at_us'])}  {step['what']}  {words}")


@app.command(help=_("List the stations, what is there now, and how many tags came today."))
def stations(*, as_json: bool = AS_JSON) -> None:
    """List stations."""
    with _desk() as desk:
        found = desk.get("/bike-stations")["stations"]
    if as_json:
        _print_json(found)
        return
    table = _table(_("number"), _("gateway"), _("device"), _("name"), _("present"), _("came today"))
    for one in found:
        table.add_row(*(str(one[name]) for name in ("id", "gateway", "device", "name", "present", "moves")))
    Console().print(table)


def _post(bike: str, what: str, body: Mapping[str, Any] | None = None, *, done: str, already: str = "") -> None:
    """Do something with a bike, and say what came of it."""
    with _desk() as desk:
        found = desk.post(f"/bikes/{_path(bike)}/{what}", body)
    typer.echo(done.format(case=found["case"] or "-") if found["changed"] else already)


def _pages(
    desk: DeskClient, path: str, name: str, limit: int, wanted: Mapping[str, Any]
) -> list[dict[str, Any]]:  # fmt: skip
    found: list[dict[str, Any]] = []
    after = None
    while len(found) < limit:
        page = desk.get(path, **wanted, after=after, limit=min(limit - len(found), _PAGE))
        found += page[name]
        after = page["next"]
        if after is None:
            break
    return found


def _state(one: Mapping[str, Any]) -> str:
    words = [
        (one["stolen_us"], _("stolen")),
        (one["armed_how"], _("armed")),
        (one["low_us"], _("battery low")),
        (one["silent_us"], _("silent")),
    ]
    return ", ".join(word for fact, word in words if fact is not None) or "-"


def _table(*headings: str) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(heading)
    return table


def _path(bike: str) -> str:
    return quote(bike, safe="")


def _print_json(rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        typer.echo(json.dumps(row, ensure_ascii=False))


@contextmanager
def _desk() -> Iterator[DeskClient]:
    """Talk to the desk; what it refuses is told."""
    try:
        with DeskClient(read_access(os.environ)) as desk:
            yield desk
    except DeskError as error:
        lines = [str(error), str(error.problem.get("hint") or "")]
        raise fail([line for line in lines if line], status=1) from error

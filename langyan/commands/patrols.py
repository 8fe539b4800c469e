"""`langyan patrols`: points, routes and plans in and out of files; tours and people alone, over the desk's API."""

import getpass
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from cloud.areas.decoding import MAX_FILE_BYTES
from cloud.areas.exporting import write_files
from cloud.areas.faults import MAX_TOLD, Faults, ImportRefusedError
from cloud.areas.importing import Source, read_sources
from cloud.clock import now_us
from cloud.database import Database, open_database
from cloud.desk.changes import Actor
from cloud.errors import CloudError
from cloud.patrols.handing import FileOutcome, bring_in_visits
from cloud.patrols.importing import Outcome, bring_in, export, read_sheets, read_state, sheet_of, weaknesses
from cloud.patrols.judging import TourState
from cloud.patrols.plans import moment_us
from cloud.patrols.sheets import SHEETS
from cloud.patrols.visit_files import HEADINGS, Reading, read_visits
from cloud.settings import Settings, load_settings
from langyan.commands.alarm_words import complaint
from langyan.commands.common import fail
from langyan.desk_client import DeskClient, DeskError, read_access
from langyan.i18n import language
from langyan.i18n import translate as _

app = typer.Typer(no_args_is_help=True)
visits = typer.Typer(no_args_is_help=True, help=_("Visits from tables that makers' programs export."))
lone = typer.Typer(no_args_is_help=True, help=_("People who walk alone: a sign of life within every interval."))
app.add_typer(visits, name="visits")
app.add_typer(lone, name="lone")

SETTINGS = typer.Option(
    ..., "--settings", "-s", envvar="LANGYAN_SETTINGS", help=_("The settings file of the alarm desk."),
    metavar="SETTINGS.toml",
)  # fmt: skip
BY = typer.Option("", "--by", help=_("Who does it; the login name when left out."))
DRY_RUN = typer.Option(False, "--dry-run", help=_("Only say what would change."))
AS_JSON = typer.Option(False, "--json", help=_("One JSON object a line."))
AREA = typer.Option(None, "--area", help=_("Only this area, by its id, and all below it."))
TOUR = typer.Argument(..., help=_("Id of the tour: plan, day and time."), metavar="TOUR")
WATCH = typer.Argument(..., help=_("Id of the watch."), metavar="WATCH")
_MOST_DAYS = 92

STATES = {
    "planned": _("planned"),
    "open": _("under way"),
    "waiting": _("waiting for an upload"),
    "unheard": _("wand silent"),
    "missed": _("missed"),
    "done": _("done"),
}
VERDICTS = {
    "open": _("open"),
    "on-time": _("on time"),
    "early": _("early"),
    "late": _("late"),
    "wrong-order": _("wrong order"),
    "pending": _("not heard of yet"),
    "unheard": _("wand silent"),
    "missed": _("missed"),
    "repeated": _("repeated"),
    "unplanned": _("unplanned"),
}


@app.command("import", help=_("Bring in points, routes, plans, people and wands: all or nothing."))
def import_(
    files: list[Path] = typer.Argument(
        ..., metavar="FILE_OR_DIR...", help=_("points.csv, routes.csv, route_points.csv, people.csv, wands.csv, "
                                              "carriers.csv, plans.csv; or folders that hold them."),
    ),
    settings_file: Path = SETTINGS,
    *,
    replace: bool = typer.Option(False, "--replace", help=_("Remove what the files' tables do not have.")),
    dry_run: bool = DRY_RUN,
    by: str = BY,
) -> None:  # fmt: skip
    """Import."""
    with _database(settings_file) as (_settings, database):
        faults = Faults()
        try:
            incoming = read_sheets(read_sources(_files(files), faults), faults)
            work = partial(bring_in, incoming=incoming, faults=faults, actor=_actor(by), now_us=now_us(),
                           replace=replace, dry_run=dry_run)  # fmt: skip
            outcome = database.read(work) if dry_run else database.run(work)
        except ImportRefusedError as error:
            lines = [*(fault.told(language()) for fault in error.faults), *_and_more(error.count)]
            raise fail(
                [*lines, _("{count} fault(s); nothing was changed").format(count=error.count)], status=2
            ) from error
    _print_outcome(outcome, dry_run=dry_run)


@app.command("export", help=_("Write all of it into files that can be imported again."))
def export_(
    folder: Path = typer.Argument(..., metavar="DIR", help=_("Folder to write into."), file_okay=False),
    settings_file: Path = SETTINGS,
) -> None:
    """Export."""
    with _database(settings_file) as (_settings, database):
        files = database.read(export)
    try:
        written = write_files(files, folder)
    except OSError as error:
        raise fail([f"{folder}: {error.strerror}"], status=1) from error
    for path in written:
        typer.echo(str(path))


@app.command(help=_("Look for what is weak: points on no route, routes without a plan, areas that are gone."))
def check(settings_file: Path = SETTINGS) -> None:
    """Check; status 1 when something is found."""
    with _database(settings_file) as (_settings, database):
        found = database.read(weaknesses)
    for subject, text, values in found[:MAX_TOLD]:
        typer.echo(f"{subject}: {_(text).format(**values)}")
    for line in _and_more(len(found)):
        typer.echo(line)
    if found:
        raise typer.Exit(1)
    typer.echo(_("nothing is amiss"))


@app.command("list", help=_("Show one table as it stands."))
def list_(
    table: str = typer.Argument("plans", metavar="TABLE", help=_("points, routes, route_points, people, wands, "
                                                                 "carriers or plans.")),
    settings_file: Path = SETTINGS,
) -> None:  # fmt: skip
    """List."""
    sheet = SHEETS.get(table)
    if sheet is None:
        raise fail([_("{name} is none of {names}").format(name=repr(table), names=", ".join(SHEETS))], status=2)
    with _database(settings_file) as (_settings, database):
        rows = database.read(read_state)[table]
    shown = _table(*(column.name for column in sheet.columns))
    for _key, row in sorted(rows.items(), key=str):
        shown.add_row(*("" if row[column.name] is None else str(row[column.name]) for column in sheet.columns))
    Console().print(shown)


@visits.command("import", help=_("Bring in a table of visits; good lines are kept, bad ones told with their number."))
def import_visits(
    file: Path = typer.Argument(..., metavar="FILE", help=_("A CSV file, UTF-8 or GBK.")),
    settings_file: Path = SETTINGS,
    *,
    column: list[str] = typer.Option([], "--column", help=_("What a heading means: Wache=person; time, date, "
                                                            "device, person, checkpoint, event, card.")),
    time_format: str = typer.Option("", "--time-format", help=_("How times are written, as strptime has it.")),
    until: datetime | None = typer.Option(None, "--until", metavar="TIME", formats=["%Y-%m-%d %H:%M"], help=_(
        "So far the wands were read out for it; its latest visit when left out.")),
    dry_run: bool = DRY_RUN,
) -> None:  # fmt: skip
    """Import; status 1 when a line was bad, 2 when nothing of the file can be read."""
    faults = Faults()
    with _database(settings_file) as (settings, database):
        reading = Reading(ZoneInfo(settings.desk.timezone), _columns(column), time_format)
        read = read_visits(_read(file), str(file), reading, faults)
        until_us = None if until is None else moment_us(until.date(), until.time(), reading.zone)
        outcome = FileOutcome(0, 0)
        if not faults.is_blind:
            work = partial(bring_in_visits, visits=read, file=str(file), faults=faults, settings=settings,
                           now_us=now_us(), until_us=until_us, dry_run=dry_run)  # fmt: skip
            outcome = database.read(work) if dry_run else database.run(work)
    _tell_faults(faults)
    if faults.is_blind:
        raise typer.Exit(2)
    text = _("{new} new visits, {known} known before, {bad} bad lines")
    typer.echo(text.format(new=outcome.new, known=outcome.known, bad=faults.count))
    if dry_run:
        typer.echo(_("nothing was changed: a dry run"))
    if faults.count:
        raise typer.Exit(1)


@app.command(help=_("The board of a day: its tours, and what became of them."))
def tours(
    *,
    day: str | None = typer.Option(None, "--day", help=_("YYYY-MM-DD; today when left out."), metavar="DAY"),
    area: str | None = AREA,
    route: str | None = typer.Option(None, "--route", help=_("Only this route, by its id.")),
    state: list[TourState] = typer.Option([], "--state", help=_("Only tours that stand so; may be given again.")),
    as_json: bool = AS_JSON,
) -> None:
    """List tours."""
    with _desk() as desk:
        found = _all_tours(desk, day=day, area=area, route=route, state=[one.value for one in state] or None)
    if as_json:
        _print_json(found)
        return
    shown = _table(_("tour"), _("name"), _("begins"), _("state"), _("visited"), _("verdicts"))
    for one in found:
        visited = f"{one['visited']}/{one['planned']}"
        shown.add_row(one["id"], one["name"], _moment(one["begins_us"]), STATES[one["state"]], visited, _counts(one))
    Console().print(shown)


@app.command(help=_("One tour: each point with its verdict, and everything that has changed."))
def show(tour: str = TOUR, *, as_json: bool = AS_JSON) -> None:
    """Show a tour."""
    with _desk() as desk:
        found = desk.get(f"/patrols/tours/{tour}")
    if as_json:
        _print_json([found])
        return
    typer.echo(f"{found['name']}  {found['id']}  {STATES[found['state']]}")
    points = _table("", _("point"), _("window"), _("visited"), _("verdict"), _("off"))
    for one in found["stops"]:
        window = f"{_moment(one['from_us'])} - {_moment(one['until_us'])}"
        off = "" if one["visited_at_us"] is None else f"{one['off_s'] / 60:+.1f} min"
        name = f"{one['name']} *" if one["must"] else one["name"]
        points.add_row(
            str(one["position"] + 1), name, window, _moment(one["visited_at_us"]), VERDICTS[one["verdict"]], off
        )
    Console().print(points)
    for one in found["extras"]:
        place = one["point"] or one["card"] or ""
        typer.echo(f"{_moment(one['visited_at_us'])}  {place}  {VERDICTS[one['verdict']]}")
    for one in found["history"]:
        before = VERDICTS[one["before"]] if one["before"] else "-"
        typer.echo(f"{_moment(one['at_us'])}  {one['position'] + 1}  {before} -> {VERDICTS[one['after']]}")


@app.command(help=_("Routes in numbers over some days: tours on time, late, missed; visits by verdict."))
def report(
    *,
    since: str = typer.Option(..., "--from", help=_("First day, YYYY-MM-DD."), metavar="DAY"),
    until: str = typer.Option(..., "--until", help=_("Last day, YYYY-MM-DD."), metavar="DAY"),
    area: str | None = AREA,
    as_json: bool = AS_JSON,
) -> None:
    """Sum up routes."""
    sums: dict[str, dict[str, int]] = {}
    with _desk() as desk:
        for day in _days(since, until):
            for one in _all_tours(desk, day=day, area=area, route=None, state=None):
                row = sums.setdefault(one["route"], {})
                is_late = one["state"] == "done" and one["counts"].get("late", 0) > 0
                word = "tours_late" if is_late else f"tours_{one['state']}"
                for name, count in (("tours", 1), (word, 1), *one["counts"].items()):
                    row[name] = row.get(name, 0) + count
    if as_json:
        _print_json([{"route": route} | row for route, row in sorted(sums.items())])
        return
    names = ("tours", "tours_done", "tours_late", "tours_missed", "on-time", "early", "late", "wrong-order", "missed")
    headings = (_("tours"), _("done"), _("late tours"), _("missed tours"), *(VERDICTS[one] for one in names[4:]))
    shown = _table(_("route"), *headings)
    for route, row in sorted(sums.items()):
        shown.add_row(route, *(str(row.get(name, 0)) for name in names))
    Console().print(shown)


@lone.command("list", help=_("Who walks alone now."))
def list_lone(*, as_json: bool = AS_JSON) -> None:
    """List watches."""
    with _desk() as desk:
        found = desk.get("/patrols/watches", limit=1_000)["watches"]
    if as_json:
        _print_json(found)
        return
    shown = _table(_("watch"), _("person"), _("state"), _("last sign"), _("due"))
    for one in found:
        sign = f"{_moment(one['sign_at_us'])} {one['sign']}"
        shown.add_row(one["id"], one["person"], one["state"], sign, _moment(one["due_us"]))
    Console().print(shown)


@lone.command(help=_("Begin to watch over somebody."))
def begin(
    person: str = typer.Argument(..., help=_("Who walks alone: an id or a name."), metavar="PERSON"),
    *,
    area: str = typer.Option(..., "--area", help=_("Where, by the area's id.")),
    minutes: int = typer.Option(30, "--every", min=1, max=1_440, help=_("A sign of life within so many minutes.")),
    wand: str | None = typer.Option(None, "--wand", help=_("Whose visits and movements are signs of life.")),
) -> None:
    """Begin a watch."""
    body = {"person": person, "area": area, "interval_s": minutes * 60} | ({"wand": wand} if wand else {})
    with _desk() as desk:
        typer.echo(desk.post("/patrols/watches", body)["id"])


@lone.command("check-in", help=_("Note a sign of life."))
def check_in(watch: str = WATCH) -> None:
    """Give a sign."""
    with _desk() as desk:
        due_us = desk.post(f"/patrols/watches/{watch}/check-in")["due_us"]
    typer.echo(_("the next sign is due at {moment}").format(moment=_moment(due_us)))


@lone.command(help=_("End a watch."))
def end(watch: str = WATCH) -> None:
    """End a watch."""
    with _desk() as desk:
        desk.post(f"/patrols/watches/{watch}/end")
    typer.echo(_("done"))


@contextmanager
def _database(settings_file: Path) -> Iterator[tuple[Settings, Database]]:
    """Open settings and database; what goes wrong with them inside the block is told in a sentence and its hint."""
    try:
        settings = load_settings(settings_file, database_only=True)
        with open_database(settings.database) as database:
            yield settings, database
    except ImportRefusedError:
        raise
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error


@contextmanager
def _desk() -> Iterator[DeskClient]:
    try:
        with DeskClient(read_access(os.environ)) as desk:
            yield desk
    except DeskError as error:
        raise fail(complaint(error), status=1) from error


def _files(given: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in given:
        inside = sorted(path.glob("*.csv")) if path.is_dir() else [path]
        found += [one for one in inside if not path.is_dir() or sheet_of(one.name) is not None]
    if not found:
        raise fail([_("there is no file to import")], status=2)
    return found


def _read(file: Path) -> bytes:
    faults = Faults()
    sources: list[Source] = read_sources([file], faults)
    if not sources or len(sources[0].data) > MAX_FILE_BYTES:
        _tell_faults(faults)
        raise typer.Exit(2)
    return sources[0].data


def _columns(given: list[str]) -> dict[str, str]:
    found = {}
    for one in given:
        heading, equals, meaning = one.rpartition("=")
        if not equals or meaning not in HEADINGS:
            names = ", ".join(HEADINGS)
            raise fail([_("{text}: HEADING=MEANING, with one of {names}").format(text=one, names=names)], status=2)
        found[heading] = meaning
    return found


def _tell_faults(faults: Faults) -> None:
    try:
        faults.settle()
    except ImportRefusedError as error:
        for line in [*(fault.told(language()) for fault in error.faults), *_and_more(error.count)]:
            typer.echo(line, err=True)


def _and_more(count: int) -> list[str]:
    return [_("and {count} more").format(count=count - MAX_TOLD)] if count > MAX_TOLD else []


def _print_outcome(outcome: Outcome, *, dry_run: bool) -> None:
    shown = _table("", _("new"), _("changed"), _("removed"), _("unchanged"))
    for name, counts in outcome.counts.items():
        shown.add_row(name, *(str(counts[word]) for word in ("added", "changed", "removed", "unchanged")))
    Console().print(shown)
    typer.echo(_("nothing was changed: a dry run") if dry_run else _("done"))


def _all_tours(desk: DeskClient, **wanted: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = desk.get("/patrols/tours", **wanted, after=after, limit=1_000)
        found += page["tours"]
        if page["next"] is None:
            return found
        after = page["next"]


def _counts(tour: dict[str, Any]) -> str:
    return ", ".join(f"{VERDICTS[verdict]} {count}" for verdict, count in tour["counts"].items())


def _days(since: str, until: str) -> list[str]:
    try:
        first, last = datetime.fromisoformat(since).date(), datetime.fromisoformat(until).date()
    except ValueError as error:
        raise fail([_("no date: YYYY-MM-DD")], status=2) from error
    if not 0 <= (last - first).days < _MOST_DAYS:
        raise fail([_("1 to {most} days").format(most=_MOST_DAYS)], status=2)
    return [(first + timedelta(days=one)).isoformat() for one in range((last - first).days + 1)]


def _moment(at_us: int | None) -> str:
    """Write a moment by this machine's clock, to the minute."""
    if at_us is None:
        return "-"
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone().strftime("%m-%d %H:%M")


def _actor(by: str) -> Actor:
    return Actor(by or getpass.getuser(), "console")


def _table(*headings: str) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(heading)
    return table


def _print_json(found: list[Any]) -> None:
    for one in found:
        typer.echo(json.dumps(one, ensure_ascii=False))

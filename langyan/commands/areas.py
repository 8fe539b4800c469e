"""`langyan cloud areas`: the tree of areas, its people, and what stands where; in and out of files, and looked at."""

import getpass
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cloud.areas import importing
from cloud.areas.duty import Contact
from cloud.areas.exporting import Format, export, write_files
from cloud.areas.faults import MAX_TOLD, Bad, Faults, ImportRefusedError
from cloud.areas.handovers import hand_over
from cloud.areas.merging import Merged
from cloud.areas.sheets import SHEETS
from cloud.areas.showing import AreaLine, AreaView, list_areas, show_area
from cloud.areas.soundness import Registry, weaknesses
from cloud.areas.tree import Level
from cloud.clock import now_us
from cloud.database import Database, open_database
from cloud.desk.changes import Actor
from cloud.errors import CloudError
from cloud.escalation.plan import DEFAULTS, Policy
from cloud.settings import Settings, load_settings
from contract.alarms import Severity
from langyan.commands.common import fail
from langyan.i18n import language
from langyan.i18n import translate as _

app = typer.Typer(no_args_is_help=True, help=_("Areas, people on duty, policies, sites, gateways and devices."))

SETTINGS = typer.Option(
    ..., "--settings", "-s", envvar="LANGYAN_SETTINGS", help=_("The settings file of the alarm desk."),
    metavar="SETTINGS.toml",
)  # fmt: skip
AREA = typer.Argument(..., help=_("Id of the area."), metavar="AREA")
BY = typer.Option("", "--by", help=_("Who does it; the login name when left out."))
# What is read in a moment needs no bar.
_SHOWS_PROGRESS_BYTES = 1_000_000

LEVELS = {
    Level.GRID: _("grid"),
    Level.STREET: _("street"),
    Level.TOWN: _("town"),
    Level.COUNTY: _("county"),
    Level.CITY: _("city"),
    Level.PROVINCE: _("province"),
}


@app.command(
    "import", help=_("Bring in areas, people, rosters, policies, sites, gateways and devices: all or nothing.")
)
def import_(
    files: list[Path] = typer.Argument(
        ..., metavar="FILE_OR_DIR...", help=_("areas.csv, contacts.csv, duties.csv, policies.toml, sites.csv, "
                                              "gateways.csv, devices.csv, *.geojson; or folders that hold them."),
    ),
    settings_file: Path = SETTINGS,
    *,
    replace: bool = typer.Option(
        False, "--replace", help=_("Remove what the files' tables do not have, but for what is in use.")
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help=_("Only say what would change.")),
    by: str = BY,
) -> None:  # fmt: skip
    """Import."""
    with _desk(settings_file) as (settings, database):
        channels = frozenset(channel.name for channel in settings.telling.channel)
        options = importing.Options(policy_fault, channels=channels, replace=replace, dry_run=dry_run)
        faults = Faults()
        try:
            sources = importing.read_sources(importing.find_files(files, faults), faults)
            if faults.is_blind:
                faults.settle()
            with _progress(sources) as step:
                incoming = importing.read_rows(sources, policy_fault, faults, step(_("reading")))
                merged = importing.bring_in(
                    database, incoming, faults, options=options, actor=_actor(by), at_us=now_us(),
                    on_progress=step(_("writing")),
                )  # fmt: skip
        except ImportRefusedError as error:
            raise _refused(error) from error
    _tell(merged, dry_run=dry_run)


@app.command("export", help=_("Write all of it into files that can be imported again."))
def export_(
    folder: Path = typer.Argument(..., metavar="DIR", help=_("Folder to write into."), file_okay=False),
    settings_file: Path = SETTINGS,
    *,
    form: Format = typer.Option(Format.CSV, "--format", help=_("Tables, or a map of what has a place.")),
) -> None:
    """Export."""
    with _desk(settings_file) as (_settings, database):
        files = database.read(lambda connection: export(connection, form))
    try:
        written = write_files(files, folder)
    except OSError as error:
        raise fail([f"{folder}: {error.strerror}"], status=1) from error
    for path in written:
        typer.echo(str(path))


@app.command(help=_("Look for what is weak: gaps in rosters, people without address, gateways that stand nowhere."))
def check(settings_file: Path = SETTINGS) -> None:
    """Check; status 1 when something is found."""
    with _desk(settings_file) as (settings, database):
        channels = frozenset(channel.name for channel in settings.telling.channel)
        zone = ZoneInfo(settings.desk.timezone)
        against = Registry(channels, settings.gateways, policy_fault, zone)
        found = database.read(lambda connection: weaknesses(connection, against, at_us=now_us()))
    for one in found[:MAX_TOLD]:
        when = "" if one.span_us is None else " " + " - ".join(_local(at_us, zone) for at_us in one.span_us)
        typer.echo(f"{one.subject}: {_say(one.bad)}{when}")
    if len(found) > MAX_TOLD:
        typer.echo(_("and {count} more").format(count=len(found) - MAX_TOLD))
    if found:
        raise typer.Exit(1)
    typer.echo(_("nothing is amiss"))


@app.command("list", help=_("Show the tree of areas, with what each holds."))
def list_(
    area: str | None = typer.Argument(None, help=_("Id of the area at the top; all when left out."), metavar="AREA"),
    settings_file: Path = SETTINGS,
    *,
    depth: int | None = typer.Option(None, "--depth", min=0, max=10, help=_("So many levels below the top.")),
) -> None:
    """List."""
    with _desk(settings_file) as (_settings, database):
        lines = database.read(lambda connection: list_areas(connection, area, depth=depth))
    Console().print(_tree(lines))


@app.command(help=_("Show one area: where it lies, who is on duty now, and what must happen there."))
def show(area: str = AREA, settings_file: Path = SETTINGS) -> None:
    """Show."""
    with _desk(settings_file) as (settings, database):
        zone = ZoneInfo(settings.desk.timezone)
        view = database.read(lambda connection: show_area(connection, area, at_us=now_us(), zone=zone))
    _print_area(view)


@app.command(help=_("Hand an area over: for a while somebody else is on duty there than the roster says."))
def handover(
    area: str = AREA,
    contact: str = typer.Argument(..., help=_("Id of the contact who takes over."), metavar="CONTACT"),
    settings_file: Path = SETTINGS,
    *,
    until: str = typer.Option(..., "--until", help=_("When it ends, local time: HH:MM or YYYY-MM-DD HH:MM.")),
    since: str | None = typer.Option(None, "--from", help=_("When it begins; now when left out.")),
    why: str = typer.Option(..., "--why", help=_("Why; it stands in the audit.")),
    by: str = BY,
) -> None:
    """Hand over."""
    with _desk(settings_file) as (settings, database):
        zone, at_us = ZoneInfo(settings.desk.timezone), now_us()
        from_us = at_us if since is None else _moment_us(since, zone, at_us)
        until_us = _moment_us(until, zone, from_us)
        made = database.run(partial(
            hand_over, area_id=area, contact_id=contact, from_us=from_us, until_us=until_us, why=why, actor=_actor(by),
            at_us=at_us,
        ))  # fmt: skip
    typer.echo(_("{contact} is on duty in {area} from {begin} to {end}").format(
        contact=made.contact, area=area, begin=_local(made.from_us, zone), end=_local(made.until_us, zone)
    ))  # fmt: skip


def policy_fault(policy: dict[str, Any]) -> str | None:
    """Tell what is wrong with a policy's keys; None when nothing is."""
    try:
        msgspec.convert(policy, Policy)
    except msgspec.ValidationError as error:
        return str(error)
    return None


@contextmanager
def _desk(settings_file: Path) -> Iterator[tuple[Settings, Database]]:
    """Open settings and database; what goes wrong with them inside the block is told in a sentence and its hint."""
    try:
        settings = load_settings(settings_file, database_only=True)
        with open_database(settings.database) as database:
            yield settings, database
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error


def _refused(error: ImportRefusedError) -> typer.Exit:
    lines = [fault.told(language()) for fault in error.faults]
    if error.count > len(lines):
        lines.append(_("and {count} more").format(count=error.count - len(lines)))
    lines.append(_("{count} fault(s); nothing was changed").format(count=error.count))
    return fail(lines, status=2)


def _tell(merged: Merged, *, dry_run: bool) -> None:
    table = Table()
    for heading in ("", _("new"), _("changed"), _("removed"), _("unchanged")):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, changes in merged.changes.items():
        table.add_row(name, *(str(count) for count in importing.counts_of(changes).values()))
    Console().print(table)
    for kept in merged.kept:
        typer.echo(_("{row} stays: {why}").format(row=SHEETS[kept.sheet].shown(kept.key), why=_say(kept.why)))
    if merged.kept_count > len(merged.kept):
        typer.echo(_("and {count} more").format(count=merged.kept_count - len(merged.kept)))
    typer.echo(_("nothing was changed: a dry run") if dry_run else _("done"))


def _tree(lines: Sequence[AreaLine]) -> Tree:
    root = Tree("", hide_root=True)
    branches = [root]
    for line in lines:
        del branches[line.depth + 1 :]
        text = Text.assemble(line.area.name, (f"  {line.area.id}  {LEVELS[line.area.level]}", "dim"))
        counts = ((line.sites, _("sites")), (line.gateways, _("gateways")), (line.contacts, _("contacts")))
        told = ", ".join(f"{word} {count}" for count, word in counts if count)
        text.append(f"  {told}" if told else "")
        branches.append(branches[-1].add(text))
    return root


def _print_area(view: AreaView) -> None:
    out = Console()
    out.print(Text(f"{view.area.name}  {view.area.id}  {LEVELS[view.area.level]}", style="bold"))
    out.print(" / ".join(one.name for one in view.above), markup=False, highlight=False)
    counts = _("{areas} areas directly within, {sites} sites in all").format(areas=view.within, sites=view.sites)
    out.print(counts, highlight=False)
    people = _table(_("contact"), _("name"), _("addresses"), _("quiet"))
    for contact in view.contacts:
        quiet = f"{contact.quiet_from}-{contact.quiet_to}" if contact.quiet_from else ""
        people.add_row(contact.id, contact.name, _addresses(contact), quiet)
    duty = _table(_("on duty now"), _("who"))
    for area, contacts in view.duty:
        duty.add_row(f"{area.name} ({LEVELS[area.level]})", _names(contacts) or "-")
    policies = _table(_("severity"), _("target"), _("steps"), _("said by"))
    for severity in Severity:
        found = view.policies.get(severity)
        policy, said_by = DEFAULTS[severity], _("default")
        if found is not None and policy_fault(found.policy) is None:
            policy, said_by = msgspec.convert(found.policy, Policy), found.area
        elif found is not None:
            said_by = _("default, as that of {area} cannot be read").format(area=found.area)
        steps = ", ".join(f"{step.wait_s} s {step.whom}" for step in policy.steps)
        policies.add_row(severity.value, f"{policy.target_s} s", steps, said_by)
    for table in (people, duty, policies):
        out.print(table)


def _table(*headings: str) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(heading)
    return table


def _names(contacts: Iterable[Contact]) -> str:
    return ", ".join(f"{one.name} ({one.id})" for one in contacts)


def _addresses(contact: Contact) -> str:
    return ", ".join(f"{one.channel}:{one.address}" for one in contact.addresses)


def _say(bad: Bad) -> str:
    return _(bad.text).format(**bad.values)


def _actor(by: str) -> Actor:
    return Actor(by or getpass.getuser(), "console")


def _local(at_us: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _moment_us(text: str, zone: ZoneInfo, after_us: int) -> int:
    """Read a local time: a date and a time, or a time alone, which is the next one after `after_us`.

    Raises:
        Exit: with status 2, when it is neither, which has been told.
    """
    after = datetime.fromtimestamp(after_us // 1_000_000, UTC).astimezone(zone)
    try:
        if len(text) <= len("HH:MM"):
            moment = datetime.combine(after.date(), time.fromisoformat(text.zfill(5)), zone)
            if moment <= after:
                moment = datetime.combine(after.date() + timedelta(days=1), moment.time(), zone)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    except ValueError as error:
        raise fail([_("{text} is no time: HH:MM or YYYY-MM-DD HH:MM").format(text=repr(text))], status=2) from error
    return round(moment.timestamp()) * 1_000_000


Step = Callable[[str], importing.OnProgress]


@contextmanager
def _progress(sources: Sequence[importing.Source]) -> Iterator[Step]:
    """Show bars on a terminal when there is much to do: one a step, made by naming the step."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    is_shown = console.is_terminal and sum(len(source.data) for source in sources) >= _SHOWS_PROGRESS_BYTES
    with Progress(*columns, console=console, disable=not is_shown) as progress:

        def step(name: str) -> importing.OnProgress:
            task = progress.add_task(name, total=None)
            return lambda done, whole: progress.update(task, completed=done, total=whole)

        yield step

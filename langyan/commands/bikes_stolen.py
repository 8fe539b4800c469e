"""`langyan bikes stolen`: the list of stolen tags, kept in the database, and which gateway has it."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from cloud.areas.faults import ImportRefusedError
from cloud.clock import now_us
from cloud.database import Database, open_database
from cloud.errors import CloudError
from cloud.orders.pushing import confirmed_by_all
from cloud.orders.stolen import (
    Confirmed,
    StolenEntry,
    add_stolen,
    gateways_of,
    list_stolen,
    take_off,
)
from cloud.orders.stolen_files import MAX_FILE_BYTES, read_stolen, write_stolen
from cloud.settings import Settings
from contract.cloudevents import to_rfc3339
from langyan.commands.asking import load
from langyan.commands.common import fail
from langyan.i18n import language
from langyan.i18n import translate as _
from langyan.servers import wait_until

app = typer.Typer(no_args_is_help=True, help=_("The list of stolen tags, and which gateway has it."))

SETTINGS = typer.Option(
    ..., "--settings", "-s", envvar="LANGYAN_SETTINGS", help=_("The settings file of the alarm desk."),
    metavar="SETTINGS.toml",
)  # fmt: skip
BY = typer.Option("", "--by", help=_("Who does it; the login name when left out."))
_LOOK_EVERY_S = 0.2
_STATES = {
    "confirmed": _("confirmed"),
    "pushing": _("being sent"),
    "behind": _("behind"),
    "offline": _("offline"),
    "deaf": _("hears no tags"),
}


@app.command("list", help=_("Show the list, or write it as CSV."))
def list_(
    settings_file: Path = SETTINGS,
    *,
    csv: bool = typer.Option(False, "--csv", help=_("As CSV, as import takes it.")),
) -> None:
    """List."""
    with _database(load(settings_file, database_only=True)) as database:
        found = database.read(list_stolen)
    if csv:
        typer.echo(write_stolen(found), nl=False)
        return
    table = _table(_("tag"), _("note"), _("case"), _("since"), _("by"))
    for one in found:
        table.add_row(one.tag, one.note, one.case, to_rfc3339(one.since_us)[:19] + "Z", one.by)
    Console().print(table)


@app.command(help=_("Put a tag on the list, or change what is said of it."))
def add(
    tag: str = typer.Argument(..., help=_("Tag as its readers say it."), metavar="TAG"),
    settings_file: Path = SETTINGS,
    *,
    note: str = typer.Option("", "--note", help=_("What the alarm shall say.")),
    case: str = typer.Option("", "--case", help=_("Number of the case.")),
    by: str = BY,
) -> None:
    """Add."""
    _change(settings_file, [StolenEntry(tag, note, case)], by)


@app.command(help=_("Take tags off the list."))
def remove(
    tags: list[str] = typer.Argument(..., help=_("Tags as their readers say them."), metavar="TAG..."),
    settings_file: Path = SETTINGS,
    *,
    by: str = BY,
) -> None:
    """Take off."""
    settings = load(settings_file, database_only=True)
    with _database(settings) as database:
        work = partial(take_off, tags=tags, by=_who(by), now_us=now_us(), origin="console")
        database.run(work)
        _tell(_known(database, settings))


@app.command("import", help=_("Put all of a file on the list: tag, note, case, since; CSV in UTF-8 or GBK."))
def import_(
    file: Path = typer.Argument(..., help=_("CSV with one tag a line."), metavar="FILE.csv"),
    settings_file: Path = SETTINGS,
    *,
    replace: bool = typer.Option(False, "--replace", help=_("Take off what the file does not have.")),
    by: str = BY,
) -> None:
    """Import."""
    _change(settings_file, read_list(file), by, replace=replace)


@app.command(help=_("Show which gateway has confirmed the list, and what the others said."))
def gateways(settings_file: Path = SETTINGS) -> None:
    """Show gateways."""
    settings = load(settings_file, database_only=True)
    with _database(settings) as database:
        found, known = database.read(gateways_of), _known(database, settings)
    table = _table(_("gateway"), _("state"), _("version"), _("confirmed"), _("part"), _("said"))
    for one in found:
        when = "" if one.confirmed_at_us is None else to_rfc3339(one.confirmed_at_us)[:19] + "Z"
        part = f"{one.part}/{one.parts}" if one.parts else ""
        table.add_row(one.gateway, _STATES[one.state], str(one.version or ""), when, part, one.error)
    Console().print(table)
    _tell(known)


@app.command(help=_("Wait until every gateway that hears tags has confirmed the list."))
def wait(
    settings_file: Path = SETTINGS,
    *,
    limit: float = typer.Option(60.0, "--limit", min=1.0, max=86_400.0, help=_("Seconds to wait at most.")),
) -> None:
    """Wait; status 3 when some have not confirmed it by then."""
    settings = load(settings_file, database_only=True)
    with _database(settings) as database:
        wait_until(lambda: not _known(database, settings).missing, limit, every_s=_LOOK_EVERY_S)
        known = _known(database, settings)
    _tell(known)
    if known.missing:
        names = sorted(known.missing)
        text = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")  # noqa: PLR2004 - a line of them
        raise fail([_("not confirmed: {gateways}").format(gateways=text)], status=3)


def read_list(path: Path) -> list[StolenEntry]:
    """Read a list of stolen tags.

    Raises:
        Exit: with status 2 after its faults, which have been told with their lines.
    """
    try:
        with path.open("rb") as file:
            return read_stolen(file.read(MAX_FILE_BYTES + 1), str(path))
    except OSError as error:
        raise fail([f"{path}: {error}"], status=2) from error
    except ImportRefusedError as error:
        lines = [fault.told(language()) for fault in error.faults]
        if error.count > len(lines):
            lines.append(_("and {count} more").format(count=error.count - len(lines)))
        raise fail(lines, status=2) from error


def _change(settings_file: Path, entries: list[StolenEntry], by: str, *, replace: bool = False) -> None:
    at_us, who = now_us(), _who(by)
    settings = load(settings_file, database_only=True)
    with _database(settings) as database:

        def work(connection: Connection) -> None:
            add_stolen(connection, entries, who, at_us, origin="console", only=replace)

        database.run(work)
        _tell(_known(database, settings))


def _known(database: Database, settings: Settings) -> Confirmed:
    """See how far the list has come, whether or not `langyan cloud trades` runs."""
    return database.read(partial(confirmed_by_all, settings=settings))


def _tell(known: Confirmed) -> None:
    text = _("version {version}: {count} stolen tags; {have} gateways have confirmed it, {missing} have not")
    typer.echo(text.format(
        version=known.version, count=known.entries, have=len(known.gateways), missing=len(known.missing)
    ))  # fmt: skip


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    """Open the database; what goes wrong with it inside the block is told in a sentence and its hint."""
    try:
        with open_database(settings.database) as database:
            yield database
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error


def _who(by: str) -> str:
    return by or f"console {getpass.getuser()}"


def _table(*headings: str) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(heading)
    return table

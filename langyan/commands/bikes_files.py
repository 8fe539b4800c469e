"""`langyan bikes import`, `export` and `forget-owner`: the registry of bikes, in the desk's database."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table

from cloud.areas.faults import ImportRefusedError
from cloud.bikes import registry
from cloud.clock import now_us
from cloud.database import Database, open_database
from cloud.desk.changes import Actor
from cloud.errors import CloudError
from langyan.commands.asking import load
from langyan.commands.common import fail
from langyan.i18n import language
from langyan.i18n import translate as _

SETTINGS = typer.Option(
    ..., "--settings", "-s", envvar="LANGYAN_SETTINGS", help=_("The settings file of the alarm desk."),
    metavar="SETTINGS.toml",
)  # fmt: skip
BY = typer.Option("", "--by", help=_("Who does it; the login name when left out."))


def import_(
    files: list[Path] = typer.Argument(
        ..., metavar="FILE...", help=_("bikes*.csv and owners*.csv, in UTF-8 or GBK."), dir_okay=False
    ),
    settings_file: Path = SETTINGS,
    *,
    dry_run: bool = typer.Option(False, "--dry-run", help=_("Only say what would change.")),
    by: str = BY,
) -> None:
    """Import."""
    with _database(settings_file) as database, _counting() as on_rows:
        try:
            brought = registry.bring_in(
                database, files, actor=_actor(by), at_us=now_us(), dry_run=dry_run, on_rows=on_rows
            )
        except ImportRefusedError as error:
            lines = [fault.told(language()) for fault in error.faults]
            if error.count > len(lines):
                lines.append(_("and {count} more").format(count=error.count - len(lines)))
            lines.append(_("{count} fault(s); nothing was changed").format(count=error.count))
            raise fail(lines, status=2) from error
    table = Table()
    for heading in ("", _("new"), _("changed"), _("unchanged")):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, one in brought.items():
        table.add_row(name, str(one.added), str(one.changed), str(one.unchanged))
    Console().print(table)
    typer.echo(_("nothing was changed: a dry run") if dry_run else _("done"))


def export_(
    folder: Path = typer.Argument(..., metavar="DIR", help=_("Folder to write into."), file_okay=False),
    settings_file: Path = SETTINGS,
    *,
    owners: bool = typer.Option(False, "--owners", help=_("Whose the bikes are too; that is written into the audit.")),
    by: str = BY,
) -> None:
    """Export."""
    with _database(settings_file) as database, _counting() as on_rows:
        try:
            paths = registry.export(
                database, folder, with_owners=owners, actor=_actor(by), at_us=now_us(), on_rows=on_rows
            )
        except OSError as error:
            raise fail([f"{folder}: {error.strerror}"], status=1) from error
    for path in paths:
        typer.echo(str(path))


def forget_owner(
    bike: str = typer.Argument(..., help=_("Id of the bike."), metavar="BIKE"),
    settings_file: Path = SETTINGS,
    *,
    by: str = BY,
) -> None:
    """Forget an owner; status 1 when there was none."""
    with _database(settings_file) as database:
        work = partial(registry.forget_owner, bike_id=bike, actor=_actor(by), at_us=now_us())
        is_gone = database.run(work)
    if not is_gone:
        raise fail([_("nothing personal is known of bike {bike}").format(bike=bike)], status=1)
    typer.echo(_("done"))


@contextmanager
def _database(settings_file: Path) -> Iterator[Database]:
    """Open the database; what goes wrong with it inside the block is told in a sentence and its hint."""
    try:
        with open_database(load(settings_file, database_only=True).database) as database:
            yield database
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error


@contextmanager
def _counting() -> Iterator[registry.OnRows]:
    """Count rows on a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), TextColumn("{task.completed}")
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(_("rows"), total=None)
        yield lambda count: progress.advance(task, count)


def _actor(by: str) -> Actor:
    return Actor(by or getpass.getuser(), "console")

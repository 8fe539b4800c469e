"""What sub-commands share: logging, faults on the terminal, stopping on a signal."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import anyio
import typer

from device_profiles.site import Site
from langyan import running
from langyan.i18n import translate as _

VERBOSE = typer.Option(False, "--verbose", "-v", help=_("Log every step."))
PROFILES = typer.Option(
    None,
    "--profiles",
    file_okay=False,
    exists=True,
    help=_("Folder with device profiles of your own, searched before the catalogue."),
)


def load_site_file(path: Path, *, profiles: Path | None = None) -> Site:
    """Load a site file; `profiles` is a folder with profiles of one's own.

    Raises:
        Exit: with status 2 after its faults, which have all been told.
    """
    site = running.read_site(path, profiles=profiles)
    if site is None:
        raise typer.Exit(running.FAULTY)
    return site


def fail(lines: Iterable[str], *, status: int) -> typer.Exit:
    """Print to standard error; raise what is returned to end with `status`."""
    for line in lines:
        typer.echo(line, err=True)
    return typer.Exit(status)


def run_until_signal(work: Callable[[anyio.Event], Awaitable[None]], *, expected: type[Exception]) -> None:
    """Run `work(stop)` on asyncio; SIGINT or SIGTERM sets `stop`, a second one ends at once.

    Raises:
        Exit: with status 1 after an `expected` error, which has been told in one sentence and its hint.
    """
    status = running.run_until_signal(work, expected=expected)
    if status:
        raise typer.Exit(status)

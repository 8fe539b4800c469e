"""What sub-commands share: logging, faults on the terminal, stopping on a signal."""

import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import anyio
import typer

from contract.errors import first_error
from device_profiles.faults import ConfigError
from device_profiles.site import Site
from device_profiles.site_loader import load_site
from langyan import logs
from langyan.i18n import translate as _

INTERRUPTED = 130

VERBOSE = typer.Option(False, "--verbose", "-v", help=_("Log every step."))
PROFILES = typer.Option(
    None,
    "--profiles",
    file_okay=False,
    exists=True,
    help=_("Folder with device profiles of your own, searched before the catalogue."),
)


def start_logging(*, verbose: bool, secret_envs: Iterable[str | None] = ()) -> None:
    """Log to standard error.

    Args:
        verbose: every step.
        secret_envs: environment variables whose values must never be written.
    """
    secrets = [os.environ.get(name, "") for name in secret_envs if name]
    logs.start_logging(verbose=verbose, environ=os.environ, secrets=secrets)


def print_faults(error: ConfigError) -> None:
    """List every fault on standard error, in the user's language."""
    for fault in error.faults:
        typer.echo(fault.render(_), err=True)


def load_site_file(path: Path, *, profiles: Path | None = None) -> Site:
    """Load a site file; `profiles` is a folder with profiles of one's own.

    Raises:
        Exit: with status 2 after its faults, which have all been told.
    """
    try:
        return load_site(path, profiles=profiles)
    except ConfigError as error:
        print_faults(error)
        count = len(error.faults)
        raise fail([_("{path}: {count} fault(s)").format(path=path, count=count)], status=2) from error


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
    failure: BaseException | None = None
    try:
        anyio.run(_run_until_signal, work)
    except* expected as group:
        # Raised below: what is raised in here comes out wrapped into a group (so in Python 3.11.2).
        failure = first_error(group)
    if failure is not None:
        raise fail([str(failure), *filter(None, [getattr(failure, "hint", "")])], status=1) from failure


async def _run_until_signal(work: Callable[[anyio.Event], Awaitable[None]]) -> None:
    stop, is_done = anyio.Event(), False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch_signals, stop, tasks.cancel_scope)
        await work(stop)
        is_done = True
        tasks.cancel_scope.cancel()
    if not is_done:
        raise typer.Exit(INTERRUPTED)


async def _watch_signals(stop: anyio.Event, scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _number in signals:
            if stop.is_set():
                scope.cancel()
            stop.set()

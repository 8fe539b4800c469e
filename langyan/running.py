"""Site files read, logging, work that lasts until a signal: without the libraries of the command line."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import anyio

from contract.errors import first_error
from device_profiles.faults import ConfigError
from device_profiles.site import Site
from device_profiles.site_loader import load_site
from langyan import logs
from langyan.i18n import translate as _

FAILED = 1
FAULTY = 2
INTERRUPTED = 130


def start_logging(*, verbose: bool, secret_envs: Iterable[str | None] = ()) -> None:
    """Log to standard error.

    Args:
        verbose: every step.
        secret_envs: environment variables whose values must never be written.
    """
    secrets = [os.environ.get(name, "") for name in secret_envs if name]
    logs.start_logging(verbose=verbose, environ=os.environ, secrets=secrets)


def read_site(path: Path, *, profiles: Path | None) -> Site | None:
    """Load a site file; None after its faults have all been told on standard error."""
    try:
        return load_site(path, profiles=profiles)
    except ConfigError as error:
        for fault in error.faults:
            _tell(fault.render(_))
        _tell(_("{path}: {count} fault(s)").format(path=path, count=len(error.faults)))
        return None


def run_until_signal(work: Callable[[anyio.Event], Awaitable[None]], *, expected: type[Exception]) -> int:
    """Run `work(stop)` on asyncio; SIGINT or SIGTERM sets `stop`, a second one ends at once.

    Returns:
        The exit status: 1 after an `expected` error, which has been told in one sentence and its hint.
    """
    failure: BaseException | None = None
    is_done = False
    try:
        is_done = anyio.run(_run_until_signal, work)
    except* expected as group:
        failure = first_error(group)
    if failure is None:
        return 0 if is_done else INTERRUPTED
    _tell(str(failure))
    if hint := getattr(failure, "hint", ""):
        _tell(_(hint))
    return FAILED


async def _run_until_signal(work: Callable[[anyio.Event], Awaitable[None]]) -> bool:
    """Tell whether the work came to its end."""
    stop, is_done = anyio.Event(), False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch_signals, stop, tasks.cancel_scope)
        await work(stop)
        is_done = True
        tasks.cancel_scope.cancel()
    return is_done


async def _watch_signals(stop: anyio.Event, scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _number in signals:
            if stop.is_set():
                scope.cancel()
            stop.set()


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")

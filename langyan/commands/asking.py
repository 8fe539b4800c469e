"""What commands share that ask gateways: the settings, orders one after the other, and what became of them."""

import getpass
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import anyio
import typer
from msgspec import Struct

from cloud.command import send_commands
from cloud.errors import CloudError
from cloud.settings import Settings, load_settings
from contract.commands import Command, Order, Outcome, Result
from langyan.commands.common import fail, run_until_signal
from langyan.i18n import translate as _

SETTINGS_OPTION = typer.Option(
    ..., "--settings", "-s", envvar="LANGYAN_SETTINGS", help=_("The settings file: broker, InfluxDB, database (TOML)."),
    metavar="SETTINGS.toml",
)  # fmt: skip
SETTINGS = typer.Argument(..., help=_("The settings file: broker, InfluxDB, database (TOML)."), metavar="SETTINGS.toml")
_OUTCOMES = {
    Outcome.REFUSED: _("refused"),
    Outcome.FAILED: _("failed"),
    Outcome.EXPIRED: _("expired"),
}


class Complaint(Struct, frozen=True):
    """Why orders were not all done, for people, and the exit status that says so: 1 not done, 3 no answer."""

    text: str
    status: int


def load(path: Path, *, database_only: bool = False) -> Settings:
    """Read the settings file; `database_only` for who needs no other secret.

    Raises:
        Exit: with status 2 after its fault, which has been told.
    """
    try:
        return load_settings(path, database_only=database_only)
    except CloudError as error:
        raise fail([str(error)], status=2) from error


def ask(settings: Settings, gateway: str, orders: Iterable[Order], *, wait_s: float) -> list[Result]:
    """Send orders to a gateway, each when the one before is done; see `send_commands`.

    Raises:
        Exit: with status 1 when the broker cannot be reached, which has been told.
    """
    found: list[Result] = []

    def commands() -> Iterator[Command]:
        for order in orders:
            expires_at_us = time.time_ns() // 1000 + round(wait_s * 1e6)
            yield Command(uuid.uuid4().hex, gateway, order, expires_at_us, getpass.getuser())

    async def work(stop: anyio.Event) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on, stop, tasks.cancel_scope)
            found.extend(await send_commands(settings, gateway, commands(), wait_s=wait_s))
            tasks.cancel_scope.cancel()

    run_until_signal(work, expected=CloudError)
    return found


def complaint(gateway: str, results: Sequence[Result], *, wanted: int, wait_s: float) -> Complaint | None:
    """Tell why not all of `wanted` orders are done; None when they are."""
    if results and results[-1].outcome is not Outcome.DONE:
        return Complaint(f"{_OUTCOMES[results[-1].outcome]}: {results[-1].reason}", 1)
    if len(results) < wanted:
        text = _("{gateway} did not answer within {wait:g} s").format(gateway=gateway, wait=wait_s)
        return Complaint(text, 3)
    return None


async def _cancel_on(stop: anyio.Event, scope: anyio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()

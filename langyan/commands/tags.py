"""`langyan cloud stolen`, `arm` and `disarm`: what gateways are told about tags."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from cloud.orders.stolen import said_of
from cloud.settings import Settings
from contract.commands import Order, Outcome, Result
from contract.ids import is_id
from contract.limits import MAX_PART_TAGS, MAX_TAG_CHARS
from contract.tags import Arm, Disarm, parts_of
from langyan.commands.asking import SETTINGS_OPTION, ask, complaint, load
from langyan.commands.bikes_stolen import read_list
from langyan.commands.common import fail
from langyan.i18n import translate as _

GATEWAY = typer.Option(
    [], "--gateway", "-g", help=_("Id of a gateway; may be repeated. Without it: all that the settings register."),
    metavar="GATEWAY",
)  # fmt: skip
WAIT = typer.Option(10.0, "--wait", min=1.0, max=3600.0, help=_("Seconds to wait for each answer of a gateway."))
TAGS = typer.Argument(..., help=_("Tags as their readers say them."), metavar="TAG...")


def stolen(
    file: Path = typer.Argument(..., help=_("CSV in UTF-8: a tag, and what the alarm shall say."), metavar="FILE.csv"),
    settings_file: Path = SETTINGS_OPTION,
    *,
    gateway: list[str] = GATEWAY,
    since: Path | None = typer.Option(
        None, "--since", metavar="OLD.csv",
        help=_("The list that gateways have: only what has changed is sent, and all of it where that does not fit."),
    ),
    version: int | None = typer.Option(
        None, "--version", min=1, max=10**15, help=_("Version of the list; without it the seconds since 1970.")
    ),
    wait: float = WAIT,
) -> None:  # fmt: skip
    """Push a stolen list."""
    settings = load(settings_file)
    new, old = _read(file), None if since is None else _read(since)
    number = int(time.time()) if version is None else version
    whole = parts_of(new, version=number)

    def push(name: str) -> tuple[list[Result], int]:
        if old is not None:
            parts = parts_of(new, version=number, old=old)
            results = ask(settings, name, parts, wait_s=wait)
            if not results or results[-1].outcome is not Outcome.REFUSED:
                return results, len(parts)
        return ask(settings, name, whole, wait_s=wait), len(whole)

    text = _("version {version} is in force: {count} stolen tags")
    _each(_gateways(settings, gateway), push, wait_s=wait, text=text, count=len(new))


def arm(
    tags: list[str] = TAGS,
    settings_file: Path = SETTINGS_OPTION,
    *,
    gateway: list[str] = GATEWAY,
    owner: str | None = typer.Option(None, "--owner", help=_("Tag of whoever may move them."), metavar="TAG"),
    wait: float = WAIT,
) -> None:
    """Arm tags."""
    names = _checked([*tags, *([owner] if owner else [])])[: len(tags)]
    order = Arm(tuple(names), owner.upper() if owner else None)
    _order(load(settings_file), gateway, order, wait_s=wait)


def disarm(
    tags: list[str] = TAGS,
    settings_file: Path = SETTINGS_OPTION,
    *,
    gateway: list[str] = GATEWAY,
    wait: float = WAIT,
) -> None:
    """Disarm tags."""
    _order(load(settings_file), gateway, Disarm(tuple(_checked(tags))), wait_s=wait)


def _order(settings: Settings, gateways: Sequence[str], order: Order, *, wait_s: float) -> None:
    def send(name: str) -> tuple[list[Result], int]:
        return ask(settings, name, [order], wait_s=wait_s), 1

    _each(_gateways(settings, gateways), send, wait_s=wait_s, text=_("{version} tags are armed"))


def _each(
    gateways: Sequence[str],
    send: Callable[[str], tuple[list[Result], int]],
    *,
    wait_s: float,
    text: str,
    count: int = 0,
) -> None:
    """Tell every gateway, and say what each has answered.

    Raises:
        Exit: with the highest status of all gateways, when it is not 0.
    """
    status = 0
    for name in gateways:
        results, wanted = send(name)
        if fault := complaint(name, results, wanted=wanted, wait_s=wait_s):
            typer.echo(f"{name}: {fault.text}", err=True)
            status = max(status, fault.status)
        else:
            value = results[-1].value
            number = f"{value:.0f}" if isinstance(value, float) else str(value)
            typer.echo(f"{name}: " + text.format(version=number, count=count))
    if status:
        raise typer.Exit(status)


def _gateways(settings: Settings, named: Sequence[str]) -> list[str]:
    for name in named:
        if not is_id(name):
            raise fail([_("{text} is no id: 1 to 64 of A-Z a-z 0-9 _ . -").format(text=repr(name))], status=2)
    gateways = list(named) or list(settings.gateways or ())
    if not gateways:
        raise fail([_("name gateways with --gateway, or register them in the settings file")], status=2)
    return gateways


def _checked(tags: Sequence[str]) -> list[str]:
    for tag in tags:
        if not (is_id(tag) and len(tag) <= MAX_TAG_CHARS):
            text = _("{text} is no tag: 1 to {most} of A-Z a-z 0-9 _ . -").format(text=repr(tag), most=MAX_TAG_CHARS)
            raise fail([text], status=2)
    if len(tags) > MAX_PART_TAGS:
        raise fail([_("{count} tags are too many at once: at most {most}").format(
            count=len(tags), most=MAX_PART_TAGS
        )], status=2)  # fmt: skip
    return [tag.upper() for tag in tags]


def _read(path: Path) -> dict[str, str]:
    """Read a list as gateways get it: note by tag.

    Raises:
        Exit: with status 2 after its faults, which have been told with their lines.
    """
    return {one.tag.upper(): said_of(one.note, one.case) for one in read_list(path)}

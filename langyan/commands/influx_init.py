"""`langyan cloud init`: how long InfluxDB keeps what, and what it thins."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
import typer

from cloud.errors import CloudError
from cloud.influx.admin import open_admin
from cloud.influx.http import Asker
from cloud.influx.plan import FOREVER, Policy, Step, What
from cloud.settings import Influx, Influx3, Settings
from langyan.commands.asking import load
from langyan.commands.common import fail
from langyan.i18n import translate as _

SETTINGS = typer.Argument(..., help=_("The settings file: InfluxDB, [keep] (TOML)."), metavar="SETTINGS.toml")
DRY_RUN = typer.Option(False, "--dry-run", help=_("Say what would be done, and do nothing."))
YES = typer.Option(
    False, "--yes", help=_("Do not ask before points are lost because they are kept for a shorter time.")
)
_DAY_S = 86_400
_SAID = {
    What.DATABASE: _("database {name}: made, keeps {span}"),
    What.POLICY: _("policy {name}: made, keeps {span}"),
    What.DEFAULT: _("policy {name}: the default one instead of {other}, whose points nobody asks for any more"),
    What.NAME: _("InfluxQL finds the bucket {other} as policy {name}"),
    What.THINNING: _("{name}: thins readings to hours"),
    What.THIN_ANEW: _("{name}: thins readings to hours in another way than before"),
}


def init(settings_file: Path = SETTINGS, *, dry_run: bool = DRY_RUN, yes: bool = YES) -> None:
    """Set InfluxDB up; a second time nothing is left to do. Status 1 when it was not done."""
    settings = load(settings_file)
    steps = _run(settings, None)
    for step in steps:
        typer.echo(_words(step, settings.influx))
    if not steps:
        typer.echo(_("Nothing to do: InfluxDB is as the settings say."))
        return
    if dry_run:
        typer.echo(_("Nothing was done (--dry-run)."))
        return
    if any(step.loses for step in steps) and not (yes or _agrees()):
        raise fail([_("Nothing was done: points would be lost, and nobody agreed; --yes agrees.")], status=1)
    _run(settings, steps)
    typer.echo(_("Done."))


def _agrees() -> bool:
    """Ask who sits there; where nobody does, nobody agrees."""
    return sys.stdin.isatty() and typer.confirm(_("Points will be lost. Go on?"), default=False)


def _run(settings: Settings, steps: Sequence[Step] | None) -> list[Step]:
    """Look what is to be done, and do `steps`.

    Raises:
        Exit: with status 1 after an error, which has been told.
    """
    try:
        return anyio.run(partial(_work, settings, steps))
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error


async def _work(settings: Settings, steps: Sequence[Step] | None) -> list[Step]:
    async with Asker(settings.influx) as asker:
        admin = open_admin(settings.influx, asker)
        found = await admin.look(settings.keep)
        # What was agreed to is done, and not what somebody else has made of it meanwhile.
        for step in (step for step in found if steps is not None and step in steps):
            await admin.do(step)
        return found


def _words(step: Step, influx: Influx) -> str:
    """Tell a step to people."""
    if step.what is What.KEEP:
        return _kept(step)
    span = _span(step.policy) if step.policy is not None else ""
    said = _SAID[step.what].format(name=step.name, span=span, other=step.text)
    if step.what is What.DATABASE and isinstance(influx, Influx3):
        return _("{said} (InfluxDB 3 has one retention for all, the longest; it cannot be changed later)").format(
            said=said
        )
    return said


def _kept(step: Step) -> str:
    span, before = (_span(one) if one is not None else "" for one in (step.policy, step.was))
    if before == span:
        return _("policy {name}: in parts of another length").format(name=step.name)
    text = _("policy {name}: keeps {span} instead of {before}")
    if step.loses:
        text = _("policy {name}: keeps {span} instead of {before}; what is older IS LOST")
    return text.format(name=step.name, span=span, before=before)


def _span(policy: Policy) -> str:
    if policy.keep_s == FOREVER:
        return _("for ever")
    return _("{n} days").format(n=policy.keep_s // _DAY_S)

"""`langyan grafana check`: every question of our dashboards, asked through a real Grafana."""

import json
from collections.abc import Callable
from functools import partial

import anyio
import msgspec
import typer

from cloud.errors import CloudError
from cloud.grafana.check import Asked, uids_of
from cloud.grafana.check import check as ask_all
from cloud.grafana.client import PatientClient, version_of
from cloud.settings import secret
from langyan.commands.common import fail
from langyan.commands.grafana_push import AS_JSON, TOKEN_ENV, TOKEN_VARIABLE, URL
from langyan.i18n import translate as _

_KINDS = {
    "panel": _("panel"),
    "variable": _("variable"),
    "annotation": _("annotation"),
    "dashboard": _("dashboard"),
}


class _Tally:
    """Counts what was asked, and says what is not as it should be, as it comes."""

    def __init__(self, *, as_json: bool) -> None:
        self.asked = self.empty = self.failing = 0
        self._as_json = as_json

    def __call__(self, one: Asked) -> None:
        self.asked += 1
        self.empty += one.is_empty
        self.failing += bool(one.faults)
        if self._as_json:
            typer.echo(json.dumps(msgspec.to_builtins(one) | {"is_empty": one.is_empty}, ensure_ascii=False))
        elif one.faults or one.is_empty:
            word = typer.style(_("failed"), fg=typer.colors.RED) if one.faults else _("empty")
            typer.echo(f"{word}  {one.title}  {_KINDS[one.kind]}  {one.name}")
            for fault in one.faults:
                typer.echo(f"    {fault}")


def check(
    url: str = URL,
    *,
    dashboard: list[str] = typer.Option(
        [], "--dashboard", metavar="UID", help=_("Only this dashboard; may be given several times. Else all of ours.")
    ),
    allow_empty: bool = typer.Option(False, "--allow-empty", help=_("What shows nothing is no trouble.")),
    timeout_s: float = typer.Option(30.0, "--timeout", min=1, max=300, help=_("Seconds for one request.")),
    token_env: str = TOKEN_ENV,
    as_json: bool = AS_JSON,
) -> None:  # fmt: skip
    """Ask every panel, variable and annotation."""
    try:
        token = secret(token_env or TOKEN_VARIABLE)
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=2) from error
    tally = _Tally(as_json=as_json)
    try:
        found = anyio.run(partial(_check, url, token, timeout_s, dashboard, tally))
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error
    if not found:
        raise fail(
            [_("Grafana has no dashboard of ours that this token may see. See: langyan grafana push.")], status=1
        )
    if not as_json:
        text = _("Asked: {asked} in {dashboards} dashboards. Failed: {failing}. Empty: {empty}.")
        counts = {"asked": tally.asked, "failing": tally.failing, "empty": tally.empty}
        typer.echo(text.format(dashboards=len(found), **counts))
    if tally.failing or (tally.empty and not allow_empty):
        raise typer.Exit(1)


async def _check(url: str, token: str, timeout_s: float, wanted: list[str], told: Callable[[Asked], None]) -> list[str]:
    async with PatientClient(url, token, timeout_s) as client:
        await version_of(client)
        uids = wanted or await uids_of(client)
        await ask_all(client, uids, told)
    return uids

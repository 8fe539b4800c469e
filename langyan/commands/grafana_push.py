"""`langyan grafana push`: dashboards and what belongs to them, brought to a Grafana by its HTTP API."""

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import msgspec
import typer

from cloud.errors import CloudError
from cloud.grafana.client import PatientClient, version_of
from cloud.grafana.items import Item
from cloud.grafana.push import Action, Step, items_of
from cloud.grafana.push import push as bring
from cloud.grafana.source import data_source
from cloud.settings import secret
from langyan.commands.common import PROFILES, fail
from langyan.commands.grafana_context import DESK_URL, INFLUX_URL, KIND, LANGUAGE, read
from langyan.i18n import translate as _

TOKEN_VARIABLE = "LANGYAN_GRAFANA_TOKEN"  # noqa: S105 - the name of a variable
URL = typer.Argument(
    ..., metavar="URL", help=_("Where Grafana answers, with its path behind a proxy: https://example.org/grafana.")
)
TOKEN_ENV = typer.Option(
    "", "--token-env", metavar="VARIABLE",
    help=_("Environment variable with the token of a service account; else that of the settings, else {variable}.")
    .format(variable=TOKEN_VARIABLE),
)  # fmt: skip
AS_JSON = typer.Option(False, "--json", help=_("One JSON object a line."))
_ACTIONS = {
    Action.NEW: (_("new"), typer.colors.GREEN),
    Action.CHANGED: (_("changed"), typer.colors.YELLOW),
    Action.RENEWED: (_("written again"), typer.colors.WHITE),
    Action.SAME: (_("same"), typer.colors.WHITE),
    Action.KEPT: (_("kept"), typer.colors.MAGENTA),
    Action.FAILED: (_("failed"), typer.colors.RED),
}
_KINDS = {
    "folder": _("folder"),
    "team": _("team"),
    "permissions": _("permissions"),
    "data source": _("data source"),
    "dashboard": _("dashboard"),
    "contact point": _("contact point"),
    "alert rules": _("alert rules"),
}


def push(
    url: str = URL,
    settings_file: Path = typer.Option(
        ..., "--settings", "-s", envvar="LANGYAN_SETTINGS", metavar="SETTINGS.toml",
        help=_("The settings file: where InfluxDB is, where the desk is, the language."),
    ),
    *,
    dry_run: bool = typer.Option(False, "--dry-run", help=_("Change nothing; say what would be done, and show it.")),
    force: bool = typer.Option(False, "--force", help=_("Replace what somebody has changed by hand.")),
    with_permissions: bool = typer.Option(
        True, "--permissions/--no-permissions", help=_("Make teams, and let each see its folders.")
    ),
    with_source: bool = typer.Option(
        True, "--source/--no-source", help=_("Bring the data source, with the credentials of the settings.")
    ),
    profiles: Path | None = PROFILES,
    kind: list[str] = KIND,
    language: str = LANGUAGE,
    desk_url: str = DESK_URL,
    influx_url: str = INFLUX_URL,
    token_env: str = TOKEN_ENV,
    as_json: bool = AS_JSON,
) -> None:  # fmt: skip
    """Bring everything, as often as one likes."""
    settings, context = read(settings_file, profiles, kinds=kind, language=language, desk_url=desk_url)
    variable = settings.grafana.alert_secret_env
    try:
        token = secret(token_env or settings.grafana.token_env or TOKEN_VARIABLE)
        source = data_source(settings.influx, secret=secret, url=influx_url) if with_source else None
        alert_secret = secret(variable) if variable else ""
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=2) from error
    items = items_of(context, source=source, alert_secret=alert_secret, has_permissions=with_permissions)
    counts: Counter[Action] = Counter()

    def told(step: Step) -> None:
        counts[step.action] += 1
        _tell(step, as_json=as_json, shows_lines=dry_run or step.action is Action.KEPT)

    try:
        anyio.run(partial(_push, url, token, settings.grafana.timeout_s, items, dry_run, force, told))
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error
    if not as_json:
        typer.echo(", ".join(f"{_ACTIONS[one][0]}: {counts[one]}" for one in Action if counts[one]))
    if counts[Action.FAILED]:
        raise typer.Exit(1)


async def _push(
    url: str, token: str, timeout_s: float, items: list[Item], dry_run: bool, force: bool,  # noqa: FBT001
    told: Callable[[Step], None],
) -> None:  # fmt: skip
    async with PatientClient(url, token, timeout_s) as client:
        await version_of(client)
        await bring(client, items, dry_run=dry_run, force=force, told=told)


def _tell(step: Step, *, as_json: bool, shows_lines: bool) -> None:
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(step), ensure_ascii=False))
        return
    if step.action is Action.SAME:
        return
    word, colour = _ACTIONS[step.action]
    typer.echo(f"{typer.style(word, fg=colour)}  {_KINDS[step.kind]}  {step.name}")
    for text in (step.why, step.hint):
        if text:
            typer.echo(f"    {_(text)}")
    for line in step.lines if shows_lines else ():
        shade = {"-": typer.colors.RED, "+": typer.colors.GREEN}.get(line[:1])
        typer.secho(f"    {line}", fg=shade)

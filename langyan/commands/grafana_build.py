"""`langyan grafana build`: dashboards and what provisions them, as files."""

from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

import typer

from cloud.errors import CloudError
from cloud.grafana.board import Context
from cloud.grafana.files import Brought, Fate, bring
from cloud.grafana.provisioning import PROVISIONING, Target, files
from cloud.settings import Settings, load_settings
from device_profiles.faults import ConfigError
from langyan.commands.common import PROFILES, fail
from langyan.commands.grafana_push import context_of
from langyan.i18n import translate as _

_FATES = {
    Fate.NEW: _("new"),
    Fate.CHANGED: _("changed"),
    Fate.SAME: _("same"),
    Fate.KEPT: _("kept"),
    Fate.REMOVED: _("removed"),
}


def build(
    folder: Path = typer.Argument(..., metavar="DIR", file_okay=False, help=_("Folder to write into.")),
    settings_file: Path | None = typer.Option(
        None, "--settings", "-s", envvar="LANGYAN_SETTINGS", metavar="SETTINGS.toml",
        help=_("The settings file: where InfluxDB is, where the desk is, the language. Else what holds without one."),
    ),
    *,
    profiles: Path | None = PROFILES,
    kind: list[str] = typer.Option(
        [], "--kind", metavar="KIND", help=_("A dashboard for this kind of device only; may be given several times.")
    ),
    language: str = typer.Option("", "--language", metavar="en|zh", help=_("Of the dashboards; else of the settings.")),
    desk_url: str = typer.Option(
        "", "--desk-url", metavar="URL", help=_("Where people reach the desk; else api.public_url of the settings.")
    ),
    influx_url: str = typer.Option(
        "", "--influx-url", metavar="URL", help=_("Of InfluxDB as Grafana reaches it; else as the settings say.")
    ),
    at: str = typer.Option(
        "", "--at", metavar="PATH", help=_("Where Grafana finds DIR, as in a container; else where it is here.")
    ),
    force: bool = typer.Option(False, "--force", help=_("Replace what somebody has changed by hand.")),
    dry_run: bool = typer.Option(False, "--dry-run", help=_("Write nothing; say what would be done.")),
) -> None:  # fmt: skip
    """Write the files, as often as one likes."""
    if language not in {"", "en", "zh", "zh_CN"}:
        raise fail([_("--language: {given} is neither en nor zh").format(given=language)], status=2)
    try:
        settings = load_settings(settings_file, database_only=True) if settings_file else Settings()
        context = context_of(settings, profiles)
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=2) from error
    except ConfigError as error:
        raise fail(str(error).splitlines(), status=2) from error
    context = replace(
        _only(context, kind),
        language=language or context.language,
        desk_url=desk_url.rstrip("/") or context.desk_url,
    )
    target = Target(
        influx=settings.influx,
        folder=PurePosixPath(at or folder.resolve().as_posix()),
        influx_url=influx_url,
        alert_secret_env=settings.grafana.alert_secret_env,
    )
    try:
        brought = bring(folder, files(context, target), force=force, dry_run=dry_run)
    except OSError as error:
        raise fail([f"{error.filename or folder}: {error.strerror}"], status=1) from error
    _tell(folder, brought)


def _only(context: Context, kinds: list[str]) -> Context:
    """Leave out profiles of other kinds.

    Raises:
        Exit: with status 2, there is no profile of such a kind.
    """
    if not kinds:
        return context
    known = sorted({profile.kind for profile in context.profiles})
    unknown = [kind for kind in kinds if kind not in known]
    if unknown:
        text = _("--kind: no profile is of the kind {kind}; there are: {known}")
        raise fail([text.format(kind=unknown[0], known=", ".join(known))], status=2)
    return replace(context, profiles=tuple(one for one in context.profiles if one.kind in kinds))


def _tell(folder: Path, brought: list[Brought]) -> None:
    for one in brought:
        if one.fate is Fate.KEPT:
            typer.echo(f"{_FATES[one.fate]}  {folder / one.path}")
            typer.echo(f"    {_('somebody has changed it by hand; --force replaces it')}")
        elif one.fate is not Fate.SAME:
            typer.echo(f"{_FATES[one.fate]}  {folder / one.path}")
    counts = Counter(one.fate for one in brought)
    typer.echo(", ".join(f"{word}: {counts[fate]}" for fate, word in _FATES.items() if counts[fate]))
    typer.echo(_("Grafana reads it with paths.provisioning = {path}").format(path=folder.resolve() / PROVISIONING))

"""`langyan grafana build`: dashboards and what provisions them, as files."""

from collections import Counter
from pathlib import Path, PurePosixPath

import typer

from cloud.grafana.files import Brought, Fate, bring
from cloud.grafana.provisioning import PROVISIONING, Target, files
from langyan.commands.common import PROFILES, fail
from langyan.commands.grafana_context import DESK_URL, INFLUX_URL, KIND, LANGUAGE, read
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
    kind: list[str] = KIND,
    language: str = LANGUAGE,
    desk_url: str = DESK_URL,
    influx_url: str = INFLUX_URL,
    at: str = typer.Option(
        "", "--at", metavar="PATH", help=_("Where Grafana finds DIR, as in a container; else where it is here.")
    ),
    force: bool = typer.Option(False, "--force", help=_("Replace what somebody has changed by hand.")),
    dry_run: bool = typer.Option(False, "--dry-run", help=_("Write nothing; say what would be done.")),
) -> None:  # fmt: skip
    """Write the files, as often as one likes."""
    settings, context = read(settings_file, profiles, kinds=kind, language=language, desk_url=desk_url)
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

"""`langyan edge install`: make the gateway a service of systemd."""

import pwd
import sys
from pathlib import Path

import typer

from device_profiles.site import Site
from langyan.commands.common import PROFILES, fail, load_site_file
from langyan.i18n import translate as _
from langyan.service import STATE_FOLDER, UNIT_PATH, make_unit

USER = "langyan"
SITE = typer.Argument(..., help=_("The site file that the service shall run."), metavar="SITE.toml")
ENVIRONMENT = "/etc/langyan/edge.env"


def install(
    site_file: Path = SITE,
    *,
    profiles: Path | None = PROFILES,
    dry_run: bool = typer.Option(False, "--dry-run", help=_("Print the unit; write nothing.")),
    prefix: Path = typer.Option(
        Path("/"), "--prefix", help=_("Write below this folder, as for an image."), metavar="DIR"
    ),
) -> None:
    """Write the systemd unit for a site."""
    site = load_site_file(site_file, profiles=profiles)
    outbox = (site.path.parent / site.file.outbox.path).resolve()
    folder = None if profiles is None else profiles.resolve()
    unit = make_unit(command=_command(), site=site.path.resolve(), outbox=outbox, profiles=folder)
    if dry_run:
        typer.echo(unit, nl=False)
        return
    path = prefix / UNIT_PATH
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(unit, "utf-8")
        path.chmod(0o644)
    except OSError as error:
        hint = _("Run it with sudo, or with --prefix.")
        raise fail([f"{error.filename}: {error.strerror}", hint], status=1) from error
    typer.echo(_("written: {path}").format(path=path))
    for line in _next_steps(site, outbox):
        typer.echo(line)


def _command() -> Path:
    """Tell which `langyan` runs now."""
    beside = Path(sys.executable).with_name("langyan")
    return beside if beside.exists() else Path(sys.argv[0]).resolve()


def _next_steps(site: Site, outbox: Path) -> list[str]:
    """Say what is left to do by hand, as commands where possible."""
    steps = [_("Next:")]
    if not _has_user():
        steps.append(f"  sudo useradd --system --groups dialout --shell /usr/sbin/nologin {USER}")
    if variable := site.file.uplink.password_env:
        steps.append(f"  sudo install -D -m 0600 /dev/null {ENVIRONMENT}")
        steps.append(f"  echo '{variable}=...' | sudo tee {ENVIRONMENT} > /dev/null")
    if not outbox.is_relative_to(STATE_FOLDER):
        text = _("  (outbox.path is not below {folder}: user {user} must be able to write {path})")
        steps.append(text.format(folder=STATE_FOLDER, user=USER, path=outbox.parent))
    home = next((path for path in (site.path.resolve(), _command()) if path.is_relative_to("/home")), None)
    if home is not None:
        text = _("  (the service cannot read {path}: it sees no home folders. Put it below /etc or /opt)")
        steps.append(text.format(path=home))
    steps += [
        "  sudo systemctl daemon-reload",
        "  sudo systemctl enable --now langyan-edge",
        f"  sudo {_command()} edge status {site.path.resolve()}",
    ]
    return steps


def _has_user() -> bool:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True

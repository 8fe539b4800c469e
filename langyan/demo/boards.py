"""The demo's dashboards: written beside its servers, for a Grafana of one's own."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cloud.grafana.board import Context
from cloud.grafana.files import bring
from cloud.grafana.provisioning import PROVISIONING, Target, files
from cloud.settings import load_settings
from device_profiles.model import Profile
from langyan.i18n import language
from langyan.i18n import translate as _

FOLDER = "grafana"
"""In the demo's folder."""
_PAGE = "http://localhost:3000/d/langyan-alarm-wall"


def write_boards(folder: Path, settings_file: Path, profiles: Sequence[Profile], *, desk_url: str) -> tuple[str, str]:
    """Write dashboards for the kinds of device that the demo has; say in two lines how to see them.

    Args:
        folder: the demo's own, absolute.
        settings_file: that its workers read.
        profiles: of its devices.
        desk_url: of its alarm desk.

    Raises:
        CloudError: the settings are not as they were written.
        OSError: a file cannot be written.
    """
    settings, place = load_settings(settings_file, database_only=True), folder / FOLDER
    context = Context(language=language(), desk_url=desk_url, profiles=tuple(profiles), timezone=settings.desk.timezone)
    bring(place, files(context, Target(influx=settings.influx, folder=PurePosixPath(place.as_posix()))))
    # A container has the machine's own network, as the demo's servers listen on the loopback alone.
    # Nobody else may read the demo's folder; Grafana's own user of a container is somebody else.
    given = ("-v", f"{place}:{place}:ro", "-e", f"GF_PATHS_PROVISIONING={place / PROVISIONING}", "grafana/grafana")
    run = shlex.join(("docker", "run", "--rm", "--network", "host", "--user", str(os.getuid()), *given))
    return run, _("then {page} (admin, admin)").format(page=_PAGE)

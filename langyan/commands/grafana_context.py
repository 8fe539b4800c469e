"""What `langyan grafana build` and `push` have in common: from what dashboards are built."""

from dataclasses import replace
from pathlib import Path

import typer

from cloud.errors import CloudError
from cloud.grafana.board import Context
from cloud.settings import Influx3, Settings, load_settings
from device_profiles.catalogue import list_profiles, load_profile
from device_profiles.faults import ConfigError
from langyan.commands.common import fail
from langyan.i18n import translate as _

KIND = typer.Option(
    [], "--kind", metavar="KIND", help=_("A dashboard for this kind of device only; may be given several times.")
)
LANGUAGE = typer.Option("", "--language", metavar="en|zh", help=_("Of the dashboards; else of the settings."))
DESK_URL = typer.Option(
    "", "--desk-url", metavar="URL", help=_("Where people reach the desk; else api.public_url of the settings.")
)
INFLUX_URL = typer.Option(
    "", "--influx-url", metavar="URL", help=_("Of InfluxDB as Grafana reaches it; else as the settings say.")
)
_LANGUAGES = ("", "en", "zh", "zh_CN")


def read(
    settings_file: Path | None, profiles: Path | None, *, kinds: list[str], language: str, desk_url: str
) -> tuple[Settings, Context]:
    """Read the settings and every profile that is installed; what is given goes before what the settings say.

    Raises:
        Exit: with status 2 after what is wrong has been told.
    """
    if language not in _LANGUAGES:
        raise fail([_("--language: {given} is neither en nor zh").format(given=language)], status=2)
    try:
        settings = load_settings(settings_file, database_only=True) if settings_file else Settings()
        installed = tuple(load_profile(one, extra=profiles) for one in list_profiles(extra=profiles))
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=2) from error
    except ConfigError as error:
        raise fail(str(error).splitlines(), status=2) from error
    context = Context(
        language=language or settings.grafana.language,
        desk_url=(desk_url or settings.api.public_url).rstrip("/"),
        profiles=installed,
        timezone=settings.desk.timezone,
        has_policies=not isinstance(settings.influx, Influx3),
    )
    return settings, _only(context, kinds)


def _only(context: Context, kinds: list[str]) -> Context:
    if not kinds:
        return context
    known = sorted({profile.kind for profile in context.profiles})
    unknown = [kind for kind in kinds if kind not in known]
    if unknown:
        text = _("--kind: no profile is of the kind {kind}; there are: {known}")
        raise fail([text.format(kind=unknown[0], known=", ".join(known))], status=2)
    return replace(context, profiles=tuple(one for one in context.profiles if one.kind in kinds))

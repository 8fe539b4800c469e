"""What Grafana's folders are called; the same in files and over HTTP. Pure."""

from cloud.grafana.board import Context
from cloud.grafana.build import Folder
from cloud.i18n import N_

ALERTS_UID = "langyan-alerts"
"""Folder of the alert rules. Its own, as Grafana makes it by its title alone before those of dashboards."""
ALERTS_TITLE = N_("Langyan: alert rules")

_TITLES = {
    Folder.MONITORING: N_("Langyan: alarm desk"),
    Folder.TRADES: N_("Langyan: forest, bikes, patrols, vehicles"),
    Folder.DEVICES: N_("Langyan: gateways and devices"),
    Folder.MANAGEMENT: N_("Langyan: management"),
}


def uid_of(folder: Folder) -> str:
    """Give the folder's uid, for ever the same."""
    return f"langyan-{folder.value}"


def title_of(context: Context, folder: Folder) -> str:
    """Give the folder's title in the language of the dashboards; without slashes, which would part folders."""
    return context.say(_TITLES[folder])


def alerts_title(context: Context) -> str:
    """Give the title of the folder of alert rules."""
    return context.say(ALERTS_TITLE)

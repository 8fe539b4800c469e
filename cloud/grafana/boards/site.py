"""One site: its alarms, devices and gateways."""

from cloud.grafana.board import Board, Context
from cloud.i18n import N_

UID = "langyan-site"


def board(context: Context) -> Board:
    """Build it."""
    return Board(context, UID, N_("Site"), words=N_("One site: its alarms, devices and gateways"))

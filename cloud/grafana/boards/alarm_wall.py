"""The alarm wall: what is open, where, and for how long."""

from cloud.grafana.board import Board, Context
from cloud.i18n import N_

UID = "langyan-alarm-wall"


def board(context: Context) -> Board:
    """Build it."""
    return Board(context, UID, N_("Alarm wall"), words=N_("What is open, where, and for how long"))

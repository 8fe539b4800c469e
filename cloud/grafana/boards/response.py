"""Response: how soon people act on alarms."""

from cloud.grafana.board import Board, Context
from cloud.i18n import N_

UID = "langyan-response"


def board(context: Context) -> Board:
    """Build it."""
    return Board(context, UID, N_("Response"), words=N_("How soon people act on alarms, against the target"))

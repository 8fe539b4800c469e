"""Patrols: tours on time, late, missed."""

from cloud.grafana.board import Board, Context
from cloud.i18n import N_

UID = "langyan-patrols"


def board(context: Context) -> Board:
    """Build it."""
    return Board(context, UID, N_("Patrols"), words=N_("Tours on time, late and missed"))

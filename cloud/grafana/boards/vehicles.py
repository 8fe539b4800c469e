"""Vehicles: last position and track."""

from cloud.grafana.board import Board, Context
from cloud.i18n import N_

UID = "langyan-vehicles"


def board(context: Context) -> Board:
    """Build it."""
    return Board(context, UID, N_("Vehicles"), words=N_("Last position and track of vehicles"))

"""E-bike stations: tags present, moves, low batteries."""

from cloud.grafana.board import Board, Context
from cloud.i18n import N_

UID = "langyan-bikes"


def board(context: Context) -> Board:
    """Build it."""
    return Board(context, UID, N_("E-bike stations"), words=N_("Tags present, moves, low batteries"))

"""Forest towers: weather, smoke and fire danger."""

from cloud.grafana.board import Board, Context
from cloud.i18n import N_

UID = "langyan-towers"


def board(context: Context) -> Board:
    """Build it."""
    return Board(context, UID, N_("Forest towers"), words=N_("Weather, smoke and fire danger, tower by tower"))

"""Ingest: rate, batch size, write time, dead letters, lag."""

from cloud.grafana.board import Board, Context
from cloud.i18n import N_

UID = "langyan-ingest"


def board(context: Context) -> Board:
    """Build it."""
    return Board(context, UID, N_("Ingest"), words=N_("How readings get from the broker into the database"))

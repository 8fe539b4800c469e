"""Gateways: last seen, outbox, bus quality, clock, version."""

from cloud.grafana.board import Board, Context
from cloud.i18n import N_

UID = "langyan-gateways"


def board(context: Context) -> Board:
    """Build it."""
    return Board(context, UID, N_("Gateways"), words=N_("Last seen, outbox, buses, clock and version of every gateway"))

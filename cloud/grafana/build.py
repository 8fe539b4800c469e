"""Every dashboard there is, by the folder it goes to: from profiles and settings to Grafana's JSON. Pure."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

from msgspec import Struct

from cloud.grafana.board import Board, Context
from cloud.grafana.boards import (
    alarm_wall,
    bikes,
    device_type,
    gateways,
    ingest,
    patrols,
    response,
    site,
    towers,
    vehicles,
)
from cloud.grafana.influxql import without_policies


class Folder(StrEnum):
    """A folder for each role, so that rights can be given by folder; the value is its uid's end."""

    MONITORING = "monitoring"
    """The alarm desk: what is open, and where."""
    TRADES = "trades"
    """Forest, bikes, patrols and vehicles."""
    DEVICES = "devices"
    """Technicians: gateways, devices and their kinds."""
    MANAGEMENT = "management"
    """Area managers: how well alarms are answered."""


class Built(Struct, frozen=True):
    """One dashboard.

    Attributes:
        folder: where it goes.
        uid: its own.
        model: Grafana's classic JSON, schema v1.
    """

    folder: Folder
    uid: str
    model: dict[str, Any]


_ONE_EACH: tuple[tuple[Folder, Callable[[Context], Board]], ...] = (
    (Folder.MONITORING, alarm_wall.board),
    (Folder.MONITORING, site.board),
    (Folder.TRADES, towers.board),
    (Folder.TRADES, bikes.board),
    (Folder.TRADES, patrols.board),
    (Folder.TRADES, vehicles.board),
    (Folder.DEVICES, gateways.board),
    (Folder.DEVICES, ingest.board),
    (Folder.MANAGEMENT, response.board),
)


def build_all(context: Context) -> list[Built]:
    """Build all dashboards, in the order of their folders; one for each kind of device in `context.profiles`."""
    built = [Built(folder, board.uid, board.build()) for folder, board in _boards(context)]
    if context.has_policies:
        return built
    return [Built(one.folder, one.uid, without_policies(one.model)) for one in built]


def _boards(context: Context) -> Iterator[tuple[Folder, Board]]:
    for folder, make in _ONE_EACH:
        yield folder, make(context)
    for board in device_type.boards(context):
        yield Folder.DEVICES, board

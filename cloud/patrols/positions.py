"""Patrols that go by GPS: positions that visit points by being there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from cloud.settings import Settings

if TYPE_CHECKING:
    from cloud.vehicles.positions import Position


def take_positions(connection: Connection, positions: Sequence["Position"], *, settings: Settings, now_us: int) -> None:
    """Find the visits that positions make, in the transaction that keeps them."""

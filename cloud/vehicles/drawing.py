"""Fences in the database: drawn, drawn anew, and taken away; what stands of the old form ends at once."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select, update

from cloud.database.area_tables import area
from cloud.database.vehicle_tables import vehicle, vehicle_fence, vehicle_position
from cloud.desk.changes import Actor
from cloud.desk.own import say
from cloud.feed.lease import hold
from cloud.people.audit import note
from cloud.settings import Desk
from cloud.vehicles.errors import BadFenceError, UnknownFenceError, UnknownVehicleError
from cloud.vehicles.fences import MAX_FENCES, Fence, check_fence, fence_of, row_of
from cloud.vehicles.keeping import KNOWN, end_alarms

DRAWN, REMOVED = "fence-drawn", "fence-removed"
"""What the audit calls them."""


def draw_fence(connection: Connection, fence: Fence, *, actor: Actor, desk: Desk, now_us: int) -> Fence:
    """Draw a fence, or draw it anew.

    Args:
        connection: a transaction for writing.
        fence: its `edited_at_us` does not matter.
        actor: who.
        desk: its settings.
        now_us: the clock.

    Returns:
        The fence as it stands.

    Raises:
        BadFenceError, GeoError: it holds nothing; there are too many.
        UnknownVehicleError: it is for a vehicle that there is not.
    """
    check_fence(fence)
    _lock(connection, now_us)
    count, edited_at_us = connection.execute(select(func.count(), func.max(vehicle_fence.c.edited_at_us))).one()
    standing = _find(connection, [fence.id])
    if not standing and count >= MAX_FENCES:
        raise BadFenceError(f"there are {MAX_FENCES} fences already")
    known = select(vehicle.c.id).where(vehicle.c.id == fence.vehicle)
    if fence.vehicle is not None and connection.execute(known).first() is None:
        raise UnknownVehicleError(fence.vehicle)
    # Workers know by the latest edit whether they have read all; it goes up whatever the clock does.
    row = row_of(fence) | {"edited_at_us": max(now_us, (edited_at_us or 0) + 1)}
    if standing:
        connection.execute(update(vehicle_fence).where(vehicle_fence.c.id == fence.id).values(row))
    else:
        connection.execute(insert(vehicle_fence).values(row))
    _end(connection, standing, desk=desk, now_us=now_us)
    told = {"area": fence.area, "rule": fence.rule.value, "vehicle": fence.vehicle, "fleet": fence.fleet}
    note(connection, actor=actor, what=DRAWN, object_=fence.id, details=told, at_us=now_us)
    return fence_of(row)


def remove_fence(connection: Connection, fence_id: str, *, actor: Actor, desk: Desk, now_us: int) -> None:
    """Take a fence away.

    Raises:
        UnknownFenceError: there is none of that id.
    """
    _lock(connection, now_us)
    standing = _find(connection, [fence_id])
    if not standing:
        raise UnknownFenceError(fence_id)
    connection.execute(delete(vehicle_fence).where(vehicle_fence.c.id == fence_id))
    _end(connection, standing, desk=desk, now_us=now_us)
    note(connection, actor=actor, what=REMOVED, object_=fence_id, details={}, at_us=now_us)


def _lock(connection: Connection, now_us: int) -> None:
    """Let one edit follow the other: workers look for the latest, which must not be committed before an earlier one."""
    hold(connection, "vehicle-fences", holder="", now_us=now_us, for_s=0.0)


def _find(connection: Connection, ids: Sequence[str]) -> list[Fence]:
    query = select(vehicle_fence).where(vehicle_fence.c.id.in_(ids)).with_for_update()
    return [fence_of(row) for row in connection.execute(query).mappings()]


def _end(connection: Connection, fences: Sequence[Fence], *, desk: Desk, now_us: int) -> None:
    """End what stands of fences as they were.

    Locks all their vehicles, those too that nobody has judged yet: somebody may be judging one for the first time.
    """
    said = []
    for fence in fences:
        path = connection.execute(select(area.c.path).where(area.c.id == fence.area)).scalar_one_or_none()
        if path is None:
            continue
        query = KNOWN.where(area.c.path.startswith(path, autoescape=True))
        if fence.vehicle is not None:
            query = query.where(vehicle.c.id == fence.vehicle)
        if fence.fleet is not None:
            query = query.where(vehicle.c.fleet == fence.fleet)
        locked = query.order_by(vehicle.c.id).with_for_update(of=vehicle_position)
        rows = connection.execute(locked).mappings().all()
        said += end_alarms(connection, rows, fence.key.__eq__, now_us=now_us)
    say(connection, said, desk=desk, now_us=now_us)

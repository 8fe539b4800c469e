"""How many vehicles move, stand and are silent, by area: a measurement, once a minute."""

import uuid
from collections.abc import Callable, Iterable
from functools import partial

import anyio
from sqlalchemy import Connection, case, func, select

from cloud.database import PersistentDatabase
from cloud.database.area_tables import area
from cloud.database.vehicle_tables import vehicle, vehicle_position
from cloud.feed import measures
from cloud.feed.lease import hold
from cloud.feed.measures import line_of
from cloud.influx.schema import path_tag
from cloud.settings import Settings

MEASUREMENT = "vehicle"
_LEASE = "vehicle-totals"


async def tell_totals(database: PersistentDatabase, settings: Settings, clock: Callable[[], int]) -> None:
    """Write the totals at every whole `totals_every_s`, one worker at a time, until cancelled."""
    every_us = round(settings.vehicles.totals_every_s * 1e6)
    holder = uuid.uuid4().hex
    while True:
        at_us = clock()
        await anyio.sleep((every_us - at_us % every_us) / 1e6)
        await database.call(partial(write_totals, settings=settings, clock=clock, holder=holder))


def write_totals(connection: Connection, *, settings: Settings, clock: Callable[[], int], holder: str) -> int:
    """Count and queue the lines, unless another worker has just done so.

    Returns:
        The number of lines.
    """
    every_s = settings.vehicles.totals_every_s
    now_us = clock()
    # A little less than the time between two, so that the next one comes in time; the other worker's clock is another.
    if not hold(connection, _LEASE, holder=holder, now_us=now_us, for_s=1.5 * every_s):
        return 0
    lines = list(_lines(connection, settings, now_us))
    measures.put(connection, lines, limit=settings.trades.measures)
    return len(lines)


def _lines(connection: Connection, settings: Settings, now_us: int) -> Iterable[bytes | None]:
    silent_us = now_us - round(settings.vehicles.silent_after_s * 1e6)
    at_us, speed_kmh = vehicle_position.c.at_us, vehicle_position.c.speed_kmh
    heard = at_us >= silent_us
    moves = heard & (speed_kmh >= settings.vehicles.moving_kmh)
    counted = (func.count(), func.sum(case((heard, 1), else_=0)), func.sum(case((moves, 1), else_=0)))
    joined = vehicle.join(vehicle_position, vehicle_position.c.vehicle == vehicle.c.id)
    joined = joined.outerjoin(area, area.c.id == vehicle.c.area)
    query = select(vehicle.c.area, area.c.path, *counted).select_from(joined).order_by(vehicle.c.area)
    for name, path, count, heard_count, moving in connection.execute(query.group_by(vehicle.c.area, area.c.path)):
        heard_count, moving = int(heard_count), int(moving)  # noqa: PLW2901 - PostgreSQL's sums are decimals
        fields = {"moving": moving, "standing": heard_count - moving, "silent": count - heard_count}
        yield line_of(MEASUREMENT, {"area": name, "path": path_tag(path or "")}, fields, now_us)

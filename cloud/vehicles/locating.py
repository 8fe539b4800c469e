"""Alarms of terminals get the place of their vehicle: who is sent must know where to."""

from collections.abc import Callable, Sequence
from functools import partial
from math import cos, radians
from typing import Any

import anyio
from sqlalchemy import Connection, RowMapping, select

from cloud.database import PersistentDatabase
from cloud.database.area_tables import site
from cloud.database.tables import occurrence
from cloud.database.vehicle_tables import vehicle, vehicle_position
from cloud.desk.changes import Actor, What
from cloud.desk.following import begin_here, has_changes, take_changes
from cloud.desk.operations import comment
from cloud.geo import Spot, bearing_deg, distance_m
from cloud.settings import Settings
from cloud.vehicles.alarms import title_of

READER = "vehicles"
"""The name of the cursor."""
ACTOR = Actor("vehicles", "worker")
_IDLE_S = 0.5
# A site farther away says nothing to whoever looks for a vehicle.
_NEAR_M = 3_000.0
_NEAR_DEG = 0.05
_STALE_US = 120_000_000
# A retrigger is a second press: the vehicle may be elsewhere by then.
_TELLING = (What.RAISED, What.RETRIGGERED)
_WINDS = ("N 北", "NE 东北", "E 东", "SE 东南", "S 南", "SW 西南", "W 西", "NW 西北")


async def follow_alarms(database: PersistentDatabase, settings: Settings, clock: Callable[[], int]) -> None:
    """Comment on the alarms of vehicles, each change once, until cancelled."""
    await database.call(partial(begin_here, name=READER))
    while True:
        if await database.ask(partial(has_changes, name=READER)):
            await database.call(partial(locate, settings=settings, clock=clock))
        else:
            await anyio.sleep(_IDLE_S)


def locate(connection: Connection, *, settings: Settings, clock: Callable[[], int]) -> int:
    """Take the next changes of the history, and comment on those that are alarms of vehicles.

    Returns:
        How many comments were written.
    """
    rows = [row for row in take_changes(connection, READER) if row["what"] in _TELLING and row["alarm_id"]]
    told: dict[str, str] = {}
    for row in rows:
        gateway, device = row["source"].split("/")[:2]
        if (found := _find(connection, gateway, device)) is None:
            continue
        told[row["alarm_id"]] = describe(connection, found, now_us=clock())
    located = _lock(connection, sorted(told), settings.vehicles.located_kinds)
    for alarm_id in located:
        comment(connection, alarm_id, actor=ACTOR, now_us=clock(), why=told[alarm_id])
    return len(located)


def describe(connection: Connection, found: RowMapping, *, now_us: int) -> str:
    """Say where a vehicle is, in English and Chinese, as a comment is read by everybody.

    Args:
        connection: reading is enough.
        found: a row of `vehicle` and `vehicle_position`.
        now_us: the clock.
    """
    title = title_of(found)
    if found["at_us"] is None:
        return f"{title}: no position yet 尚无位置"
    spot = Spot(found["latitude_deg"], found["longitude_deg"])
    words = [f"{title}: {spot.latitude_deg:.6f}, {spot.longitude_deg:.6f}"]
    if found["speed_kmh"] is not None:
        words.append(f"{found['speed_kmh']:.0f} km/h")
    if near := _near(connection, spot):
        words.append(near)
    age_s = max(0, now_us - found["at_us"]) // 1_000_000
    words.append(f"{age_s} s ago {age_s}秒前")
    if age_s * 1_000_000 > _STALE_US:
        words.append("OLD 位置陈旧")
    if found["doubtful"]:
        words.append("doubtful 位置存疑")
    return "; ".join(words)


def _find(connection: Connection, gateway: str, device: str) -> RowMapping | None:
    joined = vehicle.join(vehicle_position, vehicle_position.c.vehicle == vehicle.c.id)
    query = select(vehicle, *(one for one in vehicle_position.c if one.name != "state")).select_from(joined)
    return connection.execute(query.where(vehicle.c.gateway == gateway, vehicle.c.device == device)).mappings().first()


def _near(connection: Connection, spot: Spot) -> str:
    """Name the nearest registered site: its address is the only one that is known here."""
    latitude: Any = site.c.latitude_deg
    longitude: Any = site.c.longitude_deg
    near = (
        latitude.between(spot.latitude_deg - _NEAR_DEG, spot.latitude_deg + _NEAR_DEG),
        longitude.between(spot.longitude_deg - _NEAR_DEG, spot.longitude_deg + _NEAR_DEG),
    )
    # Flat, which the Earth is within so little of it.
    north_deg = latitude - spot.latitude_deg
    east_deg = (longitude - spot.longitude_deg) * cos(radians(spot.latitude_deg))
    query = select(site.c.name, site.c.address, latitude, longitude).where(*near)
    nearest = query.order_by(north_deg * north_deg + east_deg * east_deg, site.c.id).limit(1)
    if (row := connection.execute(nearest).first()) is None:
        return ""
    way_m = distance_m(spot, Spot(row.latitude_deg, row.longitude_deg))
    if way_m > _NEAR_M:
        return ""
    wind = _WINDS[round(bearing_deg(Spot(row.latitude_deg, row.longitude_deg), spot) / 45) % 8]
    return f"{way_m:.0f} m {wind} of {row.name} {row.address}".rstrip()


def _lock(connection: Connection, alarm_ids: Sequence[str], kinds: Sequence[str]) -> Sequence[str]:
    """Lock the alarms that are told of, all before the first comment: that locks the history, which comes last."""
    at = occurrence.c
    query = select(at.alarm_id).where(at.alarm_id.in_(alarm_ids), at.kind.in_(kinds)).order_by(at.alarm_id)
    return connection.execute(query.with_for_update()).scalars().all()

"""What is measured around a detector that spoke: the wind, a bearing, raised readings of its neighbours.

Fires do not wait for it: they are found, told and grown without InfluxDB, and what is measured comes to them later.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

import anyio
import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select, update

from cloud.backoff import Outage
from cloud.database import PersistentDatabase
from cloud.database.area_tables import registered_gateway, site
from cloud.database.detection_tables import fire_evidence
from cloud.errors import DatabaseAwayError, DatabaseRefusedError, HoldError
from cloud.fire.bearings import to_bearing
from cloud.fire.detection import Detection, Reading, Wind
from cloud.fire.detection_reading import BEARING, NOW_US
from cloud.fire.detection_settings import Detection as DetectionSettings
from cloud.fire.detection_store import find_to_look_at
from cloud.fire.detection_taking import hold_cursor, take_surroundings
from cloud.geo import Spot, distance_m
from cloud.influx.lines import MEASUREMENT, field_key
from cloud.influx.query import InfluxReader, Series, open_reader, quote_ident, quote_text
from cloud.settings import Settings

_log = logging.getLogger(__name__)

AT_ONCE = 20
MOST_LOOKS = 10
"""After so many tries in vain it is given up: the fire is old by then."""
MOST_NEIGHBOURS = 40
LOOK_AGAIN_US = 30_000_000
IDLE_S = 1.0
ANSWER_LIMIT_S = 5.0
# Usual is what the hours before had.
BEFORE_US = 3 * 3_600_000_000

WIND_FROM, WIND_SPEED = "wind_direction", "wind_speed"
_MOST_WIND_M_S = 75.0


class Rise(Struct, frozen=True):
    """When a point is raised: so much above, and so many times, what is usual there."""

    above: float
    times: float


RISES: Mapping[str, Rise] = {
    # An hour of sun warms less; the sun of a morning is in the median of the hours before by then.
    "temperature": Rise(10.0, 1.0),
    # Clean air has some tens of micrograms; fog and dust double it.
    "pm2_5": Rise(50.0, 2.5),
    "pm10": Rise(100.0, 2.5),
    "smoke_density": Rise(0.0, 2.5),
}
"""Which readings of neighbours tell of a fire before they are alarms. The numbers are judgements of ours."""


class Neighbour(Struct, frozen=True):
    """A gateway near a detection, and where it stands."""

    gateway: str
    spot: Spot


async def run_surroundings(database: PersistentDatabase, settings: Settings, clock: Callable[[], int]) -> None:
    """Look for what is measured around each new piece of evidence, until cancelled."""
    outage = Outage(_log, "InfluxDB, for what is around fires")
    async with open_reader(settings.influx) as reader:
        while True:
            at_us = clock()
            found = await database.ask(partial(find_to_look_at, now_us=at_us, limit=AT_ONCE))
            if not found:
                await anyio.sleep(IDLE_S)
                continue
            looked: list[Detection] = []
            try:
                for one in found:
                    looked += await _look_once(one, database, reader, settings.fire.detection)
            except (DatabaseAwayError, HoldError) as error:
                # Nobody answers: what is left need not be asked.
                outage.failed(error, now_s=anyio.current_time(), wait_s=LOOK_AGAIN_US / 1e6)
            else:
                outage.over(now_s=anyio.current_time())
            kept = await _keep(looked, database, settings, clock)
            if left := {one.id for one in found} - kept:
                await database.call(partial(_put_off, ids=left, now_us=at_us))


async def _look_once(
    one: Detection, database: PersistentDatabase, reader: InfluxReader, settings: DetectionSettings
) -> list[Detection]:
    """Look around one; nothing when its question is refused, which says nothing of the others."""
    try:
        return [await _look(one, database, reader, settings)]
    except DatabaseRefusedError as error:
        _log.error("fires: around %s nothing can be asked for: %s", one.source, error)
        return []


async def _keep(
    looked: Sequence[Detection], database: PersistentDatabase, settings: Settings, clock: Callable[[], int]
) -> set[str]:
    """Keep what was found; returns of which."""
    if not looked:
        return set()
    try:
        await database.call(partial(_take, found=looked, settings=settings, clock=clock))
    except DatabaseRefusedError as error:
        _log.error("fires: what is around %d pieces of evidence is not kept: %s", len(looked), error)
        return set()
    return {one.id for one in looked}


def _take(connection: Connection, found: Sequence[Detection], settings: Settings, clock: Callable[[], int]) -> None:
    hold_cursor(connection)
    take_surroundings(connection, found, settings, clock())


def _put_off(connection: Connection, ids: Collection[str], now_us: int) -> None:
    """Look again later; after too many tries no more."""
    mine = fire_evidence.c.id.in_(sorted(ids))
    connection.execute(
        update(fire_evidence).where(mine).values(looks=fire_evidence.c.looks + 1, look_at_us=now_us + LOOK_AGAIN_US)
    )
    connection.execute(update(fire_evidence).where(mine, fire_evidence.c.looks >= MOST_LOOKS).values(look_at_us=None))


async def _look(
    one: Detection, database: PersistentDatabase, reader: InfluxReader, settings: DetectionSettings
) -> Detection:
    neighbours = await database.ask(partial(find_neighbours, spot=one.spot, settings=settings))
    if not neighbours:
        return one
    with anyio.move_on_after(ANSWER_LIMIT_S):
        return look_around(one, neighbours, await reader.query(question(one, neighbours)))
    raise DatabaseAwayError(f"no answer within {ANSWER_LIMIT_S:g} s")


def find_neighbours(connection: Connection, spot: Spot, settings: DetectionSettings) -> list[Neighbour]:
    """Find the gateways around a spot, the nearest first: towers, and weather stations that are near enough."""
    at = registered_gateway.c
    latitude = func.coalesce(at.latitude_deg, site.c.latitude_deg)
    longitude = func.coalesce(at.longitude_deg, site.c.longitude_deg)
    # A degree of latitude is 111 km.
    near_deg = settings.sight_m / 111_000.0
    query = select(at.id, latitude.label("latitude_deg"), longitude.label("longitude_deg"))
    query = query.select_from(registered_gateway.join(site, at.site == site.c.id))
    query = query.where(latitude.between(spot.latitude_deg - near_deg, spot.latitude_deg + near_deg))
    query = query.where(site.c.kind.in_(list(settings.sites)), longitude.is_not(None))
    found = [Neighbour(row.id, Spot(row.latitude_deg, row.longitude_deg)) for row in connection.execute(query)]
    near = sorted((distance_m(spot, one.spot), one.gateway, one) for one in found)
    return [one for far_m, _gateway, one in near if far_m <= settings.sight_m][:MOST_NEIGHBOURS]


def question(one: Detection, neighbours: Sequence[Neighbour]) -> str:
    """Write the question for everything around a detection: now, and what was usual before."""
    # Of directions there is no mean: that of 350 and 10 degrees is not 180.
    latest = [(point, "LAST") for point in (WIND_FROM, BEARING)]
    # Of all else of some minutes: a fast sensor must not make a long answer.
    means = [(point, "MEAN") for point in (WIND_SPEED, *RISES)]
    names = [(quote_ident(field_key(point)), how) for point, how in (*latest, *means)]
    columns = ", ".join(f"{how}({name}) AS {name}" for name, how in names)
    gateways = " OR ".join(f'"gateway" = {quote_text(near.gateway)}' for near in neighbours)
    span = f"time >= {one.raised_at_us - BEFORE_US}u AND time <= {one.raised_at_us + NOW_US}u"
    return (
        f"SELECT {columns} FROM {quote_ident(MEASUREMENT)} WHERE ({gateways}) AND {span} "  # noqa: S608 - names are quoted
        f'GROUP BY "gateway", "device", time(5m) fill(none)'
    )


def look_around(one: Detection, neighbours: Sequence[Neighbour], series: Sequence[Series]) -> Detection:
    """Read the answer: wind of the nearest station that has it, raised readings of each neighbour. Pure."""
    rank = {near.gateway: place for place, near in enumerate(neighbours)}
    nearest = sorted(
        (each for each in series if each.tags.get("gateway") in rank),
        key=lambda each: (rank[each.tags["gateway"]], each.tags.get("device", "")),
    )
    wind = one.wind or next((found for each in nearest if (found := _wind(each, one.raised_at_us))), None)
    readings = [found for each in nearest for found in _raised(each, one.raised_at_us)]
    bearing_deg = one.bearing_deg
    for each in nearest:
        if bearing_deg is None and (each.tags["gateway"], each.tags.get("device")) == (one.gateway, one.device):
            bearing_deg = to_bearing(_latest(each, BEARING, one.raised_at_us))
    others = tuple(found for found in readings if found.gateway != one.gateway)
    return msgspec.structs.replace(one, wind=wind, readings=others, bearing_deg=bearing_deg)


def _wind(series: Series, at_us: int) -> Wind | None:
    from_deg, speed = _latest(series, WIND_FROM, at_us), _latest(series, WIND_SPEED, at_us)
    bearing = to_bearing(from_deg)
    # Calm air comes from nowhere.
    if bearing is None or speed is None or not 0.0 < speed <= _MOST_WIND_M_S:
        return None
    return Wind(bearing, speed, f"{series.tags['gateway']}/{series.tags.get('device', '')}")


def _raised(series: Series, at_us: int) -> Iterable[Reading]:
    for point, rise in RISES.items():
        values = list(_column(series, point))
        then = [value for time_us, value in values if abs(time_us - at_us) <= NOW_US]
        before = [value for time_us, value in values if time_us < at_us - NOW_US]
        if not then or not before:
            continue
        usual, value = median(before), max(then)
        if value >= usual + rise.above and value >= usual * rise.times and value > usual:
            device = series.tags.get("device", "")
            yield Reading(series.tags["gateway"], device, point, round(value, 3), round(usual, 3), at_us)


def _latest(series: Series, point: str, at_us: int) -> float | None:
    near = [
        (abs(time_us - at_us), value) for time_us, value in _column(series, point) if abs(time_us - at_us) <= NOW_US
    ]
    return min(near)[1] if near else None


def _column(series: Series, point: str) -> Iterable[tuple[int, float]]:
    key = field_key(point)
    if key not in series.columns:
        return
    place = series.columns.index(key)
    for row in series.values:
        value: Any = row[place]
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield row[0], float(value)

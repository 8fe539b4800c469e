"""The fine fuel moisture code of every station by the hour: an estimate for now, never corrected afterwards.

The rule. Each full hour steps from the last one that was kept with the weather of the hour; over a gap of at most six
hours in one step. After a longer gap, and at first, it begins at the code of the latest day. An hour whose weather
cannot be believed is left out.
"""

from msgspec import Struct
from sqlalchemy import Connection, func, select, update

from cloud.areas.places import Place
from cloud.database.fire_tables import fire_day, fire_level
from cloud.feed import measures
from cloud.fire.danger import MEASUREMENT
from cloud.fire.fwi import Weather
from cloud.fire.hourly import next_hour
from cloud.fire.noon import HOUR_US, Limits, Readings, judge_humidity, judge_rain, judge_temperature, judge_wind
from cloud.fire.stations import Station, describe, places_of, read_all, tags_of

LONGEST_GAP_US = 6 * HOUR_US
_WINDOW_US = HOUR_US // 2
# Readings are in InfluxDB some seconds after they were taken, and some minutes after a short outage.
_GRACE_US = 300_000_000


class HourTask(Struct, frozen=True):
    """A station whose hour is due.

    Attributes:
        place: where, `NOWHERE` when nobody knows it.
        daily: the fine fuel moisture code of its latest day.
        ffmc, at_us: the last hour kept; None: none, or too long ago to go on from.
    """

    station: Station
    place: Place
    daily: float
    ffmc: float | None
    at_us: int | None

    def weather_of(self, readings: Readings, hour_us: int, limits: Limits) -> Weather | None:
        """Take the weather of the time up to an hour; None when it cannot be believed."""
        near = Limits(_WINDOW_US, limits.frozen_us, limits.rain_kind, limits.rain_wrap_mm)
        temp_c = judge_temperature(readings.temp_c, hour_us, near).believed
        rh_pct = judge_humidity(readings.rh_pct, hour_us, near).believed
        wind_kmh = judge_wind(readings, hour_us, near).believed
        since_us = hour_us - HOUR_US if self.at_us is None else self.at_us
        rain_mm = judge_rain(readings, since_us, hour_us, near).believed
        if temp_c is None or rh_pct is None or wind_kmh is None or rain_mm is None:
            return None
        return Weather(temp_c, rh_pct, wind_kmh, rain_mm)


def hour_due(now_us: int) -> int:
    """Tell the latest full hour whose readings may be there, microseconds UTC."""
    return (now_us - _GRACE_US) // HOUR_US * HOUR_US


def plan_hours(connection: Connection, hour_us: int) -> list[HourTask]:
    """Find the stations with a level whose hour is not kept yet; changes nothing."""
    newest = (
        select(fire_day.c.station, func.max(fire_day.c.day).label("day"))
        .where(fire_day.c.ffmc.is_not(None))
        .group_by(fire_day.c.station)
        .subquery()
    )
    joined = fire_level.join(newest, newest.c.station == fire_level.c.station)
    joined = joined.join(fire_day, (fire_day.c.station == newest.c.station) & (fire_day.c.day == newest.c.day))
    columns = fire_level.c.station, fire_level.c.hourly_ffmc, fire_level.c.hourly_at_us, fire_day.c.ffmc
    is_due = (fire_level.c.hourly_at_us.is_(None)) | (fire_level.c.hourly_at_us < hour_us)
    rows = {
        row.station: row
        for row in connection.execute(select(*columns).select_from(joined).where(is_due, fire_level.c.level > 0))
    }
    stations = {one.id: one for one in read_all(connection, rows) if one.active == "yes" and one.rain_kind == "counter"}
    places = places_of(connection, stations.values())
    tasks: list[HourTask] = []
    for name, station in stations.items():
        row = rows[name]
        goes_on = row.hourly_at_us is not None and hour_us - row.hourly_at_us <= LONGEST_GAP_US
        last = (row.hourly_ffmc, row.hourly_at_us) if goes_on else (None, None)
        tasks.append(HourTask(station, places[name], row.ffmc, *last))
    return tasks


def keep_hour(connection: Connection, task: HourTask, weather: Weather, at_us: int, limit: int) -> float:
    """Work out one hour and keep it; returns its code.

    Args:
        connection: a transaction for writing.
        task: whose, and from where.
        weather: of the time since.
        at_us: the hour.
        limit: of lines that wait for InfluxDB.
    """
    ffmc = task.daily
    if task.ffmc is not None and task.at_us is not None:
        ffmc = next_hour(task.ffmc, weather, hours=(at_us - task.at_us) / HOUR_US)
    kept = {"hourly_ffmc": ffmc, "hourly_at_us": at_us}
    connection.execute(update(fire_level).where(fire_level.c.station == task.station.id).values(kept))
    tags = tags_of(task.station, task.place)
    line = measures.line_of(MEASUREMENT, tags, describe(task.station) | {"hourly_ffmc": ffmc}, at_us)
    measures.put(connection, [line], limit=limit)
    return ffmc

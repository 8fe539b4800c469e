"""Which days of which stations are to be looked at now."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Table, func, select

from cloud.database.fire_tables import fire_day, fire_turn
from cloud.fire.noon import DAY_US, HOUR_US, Verdict, day_of, noon_of, standard_offset_s
from cloud.fire.settings import Fire
from cloud.fire.stations import Station, read_all
from cloud.settings import Settings

DAYS_AT_ONCE = 31
"""So many days of a station are taken in one transaction, the oldest first."""
_AFTERNOON_US = 3 * HOUR_US


class Looked(Struct, frozen=True):
    """What is known of a day that was looked at.

    Attributes:
        at_us: when.
        is_good: whether all that was found could be believed.
    """

    at_us: int
    is_good: bool


class Task(Struct, frozen=True):
    """A station and the days to look at; at most `DAYS_AT_ONCE`."""

    station: Station
    offset_s: int
    days: tuple[date, ...]


def offset_of(station: Station, zone: ZoneInfo, day: date) -> int:
    """Tell how far the station's standard time is ahead of UTC."""
    return standard_offset_s(zone, day) if station.utc_offset_h is None else round(station.utc_offset_h * 3_600)


def is_due(looked: Looked | None, noon_us: int, now_us: int, fire: Fire) -> bool:
    """Tell whether a day is to be looked at: after noon, after 15 h, a day later, and till it is good now and then.

    Args:
        looked: None: never yet.
        noon_us: of the day.
        now_us: the clock.
        fire: window, grace, and how long and how often a day that is not good is looked at.
    """
    first_us = noon_us + round((fire.window_s + fire.grace_s) * 1e6)
    if now_us < first_us:
        return False
    if looked is None:
        return True
    afternoon_us = noon_us + _AFTERNOON_US + round(fire.grace_s * 1e6)
    moments = (afternoon_us, afternoon_us + DAY_US)
    if any(looked.at_us < moment_us <= now_us for moment_us in moments):
        return True
    is_late = now_us > noon_us + fire.late_days * DAY_US
    return not looked.is_good and not is_late and now_us - looked.at_us >= fire.look_again_s * 1e6


def plan(connection: Connection, settings: Settings, now_us: int) -> list[Task]:
    """Find what is due; changes nothing."""
    zone = ZoneInfo(settings.desk.timezone)
    stations = [one for one in read_all(connection) if one.active == "yes"]
    first = _by_station(connection, fire_turn, func.min(fire_turn.c.day))
    newest = _by_station(connection, fire_day, func.max(fire_day.c.day))
    since = day_of(now_us, 0) - timedelta(days=settings.fire.late_days + 2)
    looked = _looked(connection, since)
    tasks: list[Task] = []
    for one in stations:
        offset_s = offset_of(one, zone, day_of(now_us, 0))
        today = day_of(now_us, offset_s)
        if one.id not in first:
            continue
        unseen = newest[one.id] + timedelta(days=1) if one.id in newest else first[one.id]
        days = _days(min(unseen, since), today, first[one.id])
        due = _due(days, looked[one.id], unseen, offset_s, now_us, settings.fire)
        if due:
            tasks.append(Task(one, offset_s, tuple(due[:DAYS_AT_ONCE])))
    return tasks


def _by_station(connection: Connection, table: Table, day: ColumnElement[date]) -> dict[str, date]:
    query = select(table.c.station, day.label("day")).group_by(table.c.station)
    return {row.station: row.day for row in connection.execute(query)}


def _days(begin: date, end: date, first: date) -> list[date]:
    begin = max(begin, first)
    return [begin + timedelta(days=number) for number in range((end - begin).days + 1)]


def _due(
    days: Iterable[date], looked: Mapping[date, Looked], unseen: date, offset_s: int, now_us: int, fire: Fire
) -> Sequence[date]:
    """Find the days that are due; one before `unseen` of which nothing is known here was seen long ago."""
    return [
        day
        for day in days
        if (day in looked or day >= unseen) and is_due(looked.get(day), noon_of(day, offset_s), now_us, fire)
    ]


def _looked(connection: Connection, since: date) -> dict[str, dict[date, Looked]]:
    verdicts = (fire_day.c.temp_verdict, fire_day.c.rh_verdict, fire_day.c.wind_verdict, fire_day.c.rain_verdict)
    columns = fire_day.c.station, fire_day.c.day, fire_day.c.picked_at_us, *verdicts
    found: dict[str, dict[date, Looked]] = defaultdict(dict)
    for station, day, at_us, *told in connection.execute(select(*columns).where(fire_day.c.day >= since)):
        found[station][day] = Looked(at_us, is_good=all(one == Verdict.GOOD.value for one in told))
    return found

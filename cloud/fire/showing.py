"""Stations, their days and what is thought of their readings, as the API and people look at them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, case, func, select

from cloud.areas.chunks import chunked
from cloud.database.area_tables import area, registered_gateway, site
from cloud.database.fire_tables import fire_correction, fire_day, fire_level, fire_station

_own = area.alias("own_area")
_gates = area.alias("gate_area")
_joined = (
    fire_station.outerjoin(_own, _own.c.id == fire_station.c.area)
    .outerjoin(registered_gateway, registered_gateway.c.id == fire_station.c.gateway)
    .outerjoin(site, site.c.id == registered_gateway.c.site)
    .outerjoin(_gates, _gates.c.id == site.c.area)
)
AREA_PATH = func.coalesce(_own.c.path, _gates.c.path, "")
"""Where a station lies: in the area it names, else where its gateway stands; "": nobody knows."""
VERDICTS = ("temp_verdict", "rh_verdict", "wind_verdict", "rain_verdict")


class Quality(Struct, frozen=True):
    """What was thought of a station's days in a span.

    Attributes:
        days: that were looked at.
        rules: of them, how many by each rule.
        verdicts: by value (`temp`, `rh`, `wind`, `rain`), how many days by each verdict.
        corrections: how often a day was corrected afterwards.
    """

    station: str
    days: int
    rules: dict[str, int]
    verdicts: dict[str, dict[str, int]]
    corrections: int


def stations_query() -> Select[Any]:
    """Write the query of stations with their places and levels, by id; narrow it by `AREA_PATH`."""
    levels = fire_level.c.day, fire_level.c.level, fire_level.c.hourly_ffmc, fire_level.c.hourly_at_us
    joined = _joined.outerjoin(fire_level, fire_level.c.station == fire_station.c.id)
    area_id = case((_own.c.path.is_not(None), _own.c.id), else_=_gates.c.id)
    columns = AREA_PATH.label("area_path"), area_id.label("area_id"), site.c.id.label("site")
    return select(fire_station, *columns, *levels).select_from(joined).order_by(fire_station.c.id)


def path_of(connection: Connection, station: str) -> str | None:
    """Find where a station lies; None: there is none of that id."""
    query = select(AREA_PATH).select_from(_joined).where(fire_station.c.id == station)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def latest_days(connection: Connection, stations: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Read the latest day of stations, by id; one without days is not there."""
    found: dict[str, Mapping[str, Any]] = {}
    for some in chunked(stations):
        newest = (
            select(fire_day.c.station, func.max(fire_day.c.day).label("day"))
            .where(fire_day.c.station.in_(some))
            .group_by(fire_day.c.station)
            .subquery()
        )
        is_newest = (fire_day.c.station == newest.c.station) & (fire_day.c.day == newest.c.day)
        query = select(fire_day).select_from(fire_day.join(newest, is_newest))
        found |= {row["station"]: dict(row) for row in connection.execute(query).mappings()}
    return found


def days_query(station: str, *, since: date | None, until: date | None, limit: int) -> Select[Any]:
    """Write the query of a station's days from `since` to before `until`, by day."""
    query = select(fire_day).where(fire_day.c.station == station).order_by(fire_day.c.day).limit(limit)
    if since is not None:
        query = query.where(fire_day.c.day >= since)
    return query if until is None else query.where(fire_day.c.day < until)


def corrections_of(connection: Connection, station: str, days: Sequence[date]) -> dict[date, list[dict[str, Any]]]:
    """Read what was said of days before they were corrected, the earliest first."""
    found: dict[date, list[dict[str, Any]]] = {}
    if not days:
        return found
    span = fire_correction.c.day.between(min(days), max(days))
    query = select(fire_correction).where(fire_correction.c.station == station, span).order_by(fire_correction.c.id)
    for row in connection.execute(query):
        found.setdefault(row.day, []).append({"at_us": row.at_us, "changed": row.changed})
    return found


def qualities(
    connection: Connection, stations: Sequence[str], *, since: date | None, until: date | None
) -> list[Quality]:
    """Count what was thought of stations' days from `since` to before `until`, by station."""
    span = [fire_day.c.day >= since] if since else []
    span += [fire_day.c.day < until] if until else []
    rules: dict[str, Counter[str]] = {name: Counter() for name in stations}
    verdicts: dict[str, dict[str, Counter[str]]] = {
        name: {column.removesuffix("_verdict"): Counter() for column in VERDICTS} for name in stations
    }
    corrected: Counter[str] = Counter()
    for some in chunked(stations):
        among = fire_day.c.station.in_(some)
        columns = fire_day.c.station, fire_day.c.rule, *(fire_day.c[name] for name in VERDICTS)
        counted = select(*columns, func.count()).where(among, *span).group_by(*columns)
        for name, rule, *told, count in connection.execute(counted):
            rules[name][rule] += count
            for column, verdict in zip(VERDICTS, told, strict=True):
                verdicts[name][column.removesuffix("_verdict")][verdict] += count
        within = [fire_correction.c.day >= since] if since else []
        within += [fire_correction.c.day < until] if until else []
        mended = select(fire_correction.c.station, func.count()).where(fire_correction.c.station.in_(some), *within)
        for name, count in connection.execute(mended.group_by(fire_correction.c.station)):
            corrected[name] = count
    return [
        Quality(
            station=name,
            days=rules[name].total(),
            rules=dict(rules[name]),
            verdicts={value: dict(counts) for value, counts in verdicts[name].items()},
            corrections=corrected[name],
        )
        for name in stations
    ]

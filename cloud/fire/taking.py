"""What was picked for some days of a station becomes rows, codes, corrections, a level and lines for InfluxDB."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from cloud.areas.places import Place
from cloud.database.fire_tables import fire_correction, fire_day, fire_station
from cloud.feed import measures
from cloud.fire.chinese import DayWeather, Rating, rate
from cloud.fire.classes import Scheme, danger_of
from cloud.fire.danger import MEASUREMENT, UNKNOWN, Told, keep_level
from cloud.fire.days import Done, Noon, Rule, run_days
from cloud.fire.fwi import Codes, Indices, Weather
from cloud.fire.noon import Judged, Picked, Verdict, day_of, noon_of
from cloud.fire.stations import KMH_PER_MPS, Station, describe, places_of, read_turns, tags_of
from cloud.settings import Settings

Row = dict[str, Any]
_VALUES = ("temp", "rh", "wind", "rain")
_COLUMNS = {"temp": "temp_c", "rh": "rh_pct", "wind": "wind_kmh", "rain": "rain_mm"}
_AFTERNOON = ("max_temp_c", "afternoon_rh_pct", "afternoon_wind_kmh")
# What somebody has seen and may have acted upon.
_SAID = ("rule", "ffmc", "dmc", "dc", "isi", "bui", "fwi", "dsr", "effis", "canada")
_CODES = _SAID[1:8]
# Two ways to the same codes differ by less.
_SAME = 1e-9


def take_picks(
    connection: Connection,
    station: Station,
    picks: Mapping[date, Picked],
    *,
    settings: Settings,
    offset_s: int,
    now_us: int,
) -> int:
    """Keep what was picked, and work out every day that it changes.

    Args:
        connection: a transaction for writing.
        station: whose; its row is locked, and what was moved or restarted meanwhile counts.
        picks: by day; at least one.
        settings: of fire, desk and trades.
        offset_s: its local standard time.
        now_us: the clock.

    Returns:
        How many days that had codes have others now.
    """
    connection.execute(select(fire_station.c.id).where(fire_station.c.id == station.id).with_for_update()).one_or_none()
    return _work_out(connection, station, picks, min(picks), settings=settings, offset_s=offset_s, now_us=now_us)


def work_out_again(
    connection: Connection, station: Station, since: date, *, settings: Settings, offset_s: int, now_us: int
) -> int:
    """Work out the days of a station anew from a day on: it was moved, or begins anew; see `take_picks`."""
    connection.execute(select(fire_station.c.id).where(fire_station.c.id == station.id).with_for_update()).one_or_none()
    return _work_out(connection, station, {}, since, settings=settings, offset_s=offset_s, now_us=now_us)


def _work_out(
    connection: Connection,
    station: Station,
    picks: Mapping[date, Picked],
    since: date,
    *,
    settings: Settings,
    offset_s: int,
    now_us: int,
) -> int:
    turns = read_turns(connection, station.id)
    days = {day: one for day, one in picks.items() if turns and day >= turns[0].day}
    before = _anchor(connection, station.id, since)
    standing = _read_rows(connection, station.id, before.day if before else None)
    if not turns or not (days or standing):
        return 0
    heard = {day: _picked_of(row) for day, row in standing.items()}
    stale = _stale(heard, days)
    picked = heard | days
    noons: dict[date, Noon] = {day: one.noon for day, one in picked.items()}
    last = max(noons)
    done = run_days(noons, turns, last=last, missed_days=settings.fire.missed_days, before=before)
    rows: list[Row] = []
    for one in done:
        row = _row_of(station.id, one, picked.get(one.day, Picked()))
        if one.day in days:
            row["picked_at_us"] = now_us
        else:
            is_known = one.day in standing and one.day not in stale
            row["picked_at_us"] = standing[one.day]["picked_at_us"] if is_known else 0
        rows.append(row)
    corrected = _write(connection, rows, standing, now_us)
    place = places_of(connection, [station])[station.id]
    _measure(connection, station, place, rows, standing, settings=settings, offset_s=offset_s)
    _tell(connection, station, place, today=day_of(now_us, offset_s), settings=settings, now_us=now_us)
    return corrected


def _stale(heard: Mapping[date, Picked], days: Mapping[date, Picked]) -> set[date]:
    """Find the days to look at again, because readings of a day before have come since: a counter of rain counted on.

    These are the days that follow, up to the first one on which the counter was heard.
    """
    found: set[date] = set()
    for day in (day for day, one in days.items() if day in heard and heard[day].rain != one.rain):
        for later in sorted(one for one in heard if one > day):
            found.add(later)
            if heard[later].rain.verdict is not Verdict.MISSING:
                break
    return found - days.keys()


def _anchor(connection: Connection, station: str, since: date) -> Done | None:
    """Read the last day before `since` that later readings cannot change."""
    query = select(fire_day).where(fire_day.c.station == station, fire_day.c.day < since)
    query = query.where(fire_day.c.rule.in_((Rule.OBSERVED.value, Rule.STARTED.value)))
    row = connection.execute(query.order_by(fire_day.c.day.desc()).limit(1)).mappings().one_or_none()
    if row is None:
        return None
    weather = Weather(row["used_temp_c"], row["used_rh_pct"], row["used_wind_kmh"], row["used_rain_mm"])
    indices = Indices(Codes(row["ffmc"], row["dmc"], row["dc"]), row["isi"], row["bui"], row["fwi"], row["dsr"])
    return Done(row["day"], Rule(row["rule"]), weather, indices, row["dry_days"])


def _read_rows(connection: Connection, station: str, after: date | None) -> dict[date, Row]:
    query = select(fire_day).where(fire_day.c.station == station).order_by(fire_day.c.day)
    if after is not None:
        query = query.where(fire_day.c.day > after)
    return {row["day"]: {str(key): value for key, value in row.items()} for row in connection.execute(query).mappings()}


def _picked_of(row: Row) -> Picked:
    temp, rh, wind, rain = (Judged(row[_COLUMNS[name]], Verdict(row[f"{name}_verdict"])) for name in _VALUES)
    afternoon = {name: row[name] for name in _AFTERNOON}
    return Picked(row["noon_at_us"], temp, rh, wind, rain, **afternoon)


def _row_of(station: str, done: Done, picked: Picked) -> Row:
    """Make the row of a day, but for when it was looked at."""
    judged: dict[str, Judged] = {name: getattr(picked, name) for name in _VALUES}
    row: Row = {"station": station, "day": done.day, "noon_at_us": picked.noon_at_us, "rule": done.rule.value}
    row |= {_COLUMNS[name]: one.value for name, one in judged.items()}
    row |= {f"{name}_verdict": one.verdict.value for name, one in judged.items()}
    row |= {name: getattr(picked, name) for name in _AFTERNOON}
    used = done.weather
    row |= {f"used_{column}": getattr(used, column) if used else None for column in _COLUMNS.values()}
    row |= dict.fromkeys((*_CODES, "effis", "canada", "china", "china_index"), None)
    row["dry_days"] = done.dry_days
    if (indices := done.indices) is not None:
        codes = indices.codes
        values = (codes.ffmc, codes.dmc, codes.dc, indices.isi, indices.bui, indices.fwi, indices.dsr)
        row |= dict(zip(_CODES, values, strict=True))
        row |= {scheme.value: int(danger_of(indices.fwi, scheme)) for scheme in Scheme}
    if (rating := _rated(done, picked)) is not None:
        row |= {"china": rating.level, "china_index": rating.index}
    return row


def _rated(done: Done, picked: Picked) -> Rating | None:
    """Rate an observed day, once its afternoon is known."""
    values = picked.max_temp_c, picked.afternoon_rh_pct, picked.afternoon_wind_kmh
    if not done.is_anchor or done.weather is None or None in values:
        return None
    max_temp_c, rh_pct, wind_kmh = (value for value in values if value is not None)
    return rate(DayWeather(max_temp_c, rh_pct, wind_kmh / KMH_PER_MPS, done.weather.rain_mm, done.dry_days))


def _is_other(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) > _SAME
    return bool(one != other)


def _write(connection: Connection, rows: list[Row], standing: Mapping[date, Row], now_us: int) -> int:
    """Write what is new or other; what was said before and is no longer so is kept as a correction."""
    new = [row for row in rows if row["day"] not in standing]
    other = [row for row in rows if row["day"] in standing and _changes(standing[row["day"]], row, tuple(row))]
    if new:
        connection.execute(insert(fire_day), new)
    if other:
        keys = fire_day.c.station == bindparam("key_station"), fire_day.c.day == bindparam("key_day")
        bound = [row | {"key_station": row["station"], "key_day": row["day"]} for row in other]
        connection.execute(update(fire_day).where(*keys), bound)
    corrections = [
        {"station": row["station"], "day": row["day"], "at_us": now_us, "changed": changed}
        for row in other
        if standing[row["day"]]["fwi"] is not None and (changed := _changes(standing[row["day"]], row, _SAID))
    ]
    if corrections:
        connection.execute(insert(fire_correction), corrections)
    return len(corrections)


def _changes(before: Row, after: Row, names: tuple[str, ...]) -> dict[str, list[Any]]:
    return {name: [before[name], after[name]] for name in names if _is_other(before[name], after[name])}


def _measure(
    connection: Connection,
    station: Station,
    place: Place,
    rows: list[Row],
    standing: Mapping[date, Row],
    *,
    settings: Settings,
    offset_s: int,
) -> None:
    """Queue a line for each day that is new or other."""
    tags, about = tags_of(station, place), describe(station)
    words = ("rule", *(f"{name}_verdict" for name in _VALUES))
    numbers = (*_CODES, "effis", "canada", "china", "china_index")
    lines = [
        measures.line_of(
            MEASUREMENT,
            tags,
            about | {name: row[name] for name in (*numbers, *words)} | _danger(row, settings.fire.scheme),
            noon_of(row["day"], offset_s),
        )
        for row in rows
        if row["day"] not in standing or _changes(standing[row["day"]], row, (*numbers, *words))
    ]
    measures.put(connection, lines, limit=settings.trades.measures)


def _danger(row: Row, scheme: Scheme) -> dict[str, int]:
    return {} if row["fwi"] is None else {"danger": int(danger_of(row["fwi"], scheme))}


def _tell(
    connection: Connection, station: Station, place: Place, *, today: date, settings: Settings, now_us: int
) -> None:
    """Keep the level of the latest day; while a station catches up, that is long ago and says nothing of now."""
    newest = select(func.max(fire_day.c.day)).where(fire_day.c.station == station.id).scalar_subquery()
    query = select(fire_day).where(fire_day.c.station == station.id, fire_day.c.day == newest)
    row = connection.execute(query).one()
    is_past = (today - row.day).days > settings.fire.missed_days + 1
    level = UNKNOWN if row.fwi is None or is_past else int(danger_of(row.fwi, settings.fire.scheme))
    told = Told(station.id, station.name, place, row.fwi)
    alarm_from = settings.fire.alarm_level
    keep_level(connection, told, row.day, level, alarm_from=alarm_from, desk=settings.desk, now_us=now_us)

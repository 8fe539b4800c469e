"""Fire danger: a year of one station, and a day of 500 stations; the index alone, and as the loop does it."""

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from msgspec import Struct

from cloud.areas.faults import Faults
from cloud.database import open_database
from cloud.desk.changes import Actor
from cloud.fire.days import Noon, Turn, run_days
from cloud.fire.fwi import START, Weather, next_day
from cloud.fire.noon import HOUR_US, Judged, Limits, Picked, Readings, Verdict, noon_of, pick
from cloud.fire.registry import register
from cloud.fire.stations import STATIONS, read_all, read_stations
from cloud.fire.taking import take_picks
from cloud.settings import DatabaseSettings, Settings

STATIONS_COUNT = 500
DAYS = 365
READINGS_A_DAY = 8_640
FIRST = date(2025, 1, 1)
OFFSET_S = 8 * 3_600
_RUNS = 9


class FireIndex(Struct, frozen=True):
    """What the index costs on one core, seconds; medians of nine runs but where said.

    Attributes:
        year_of_a_station_s: 365 days, missed days and all.
        day_of_stations_s: one day of 500 stations, from yesterday's codes.
        pick_day_s: a noon observation out of a day's readings, one every ten seconds.
        keep_stations_s: one day of 500 stations through the database (SQLite), each in a transaction of its own,
            with level and lines for InfluxDB; once.
    """

    year_of_a_station_s: float
    day_of_stations_s: float
    pick_day_s: float
    keep_stations_s: float


def measure() -> FireIndex:
    """Measure."""
    chance = random.Random(7)  # noqa: S311 - the same weather at every run
    noons = {FIRST + timedelta(days=number): _noon(chance) for number in range(DAYS) if number % 50}
    turns = [Turn(FIRST, 31.3)]
    last = FIRST + timedelta(days=DAYS - 1)
    weathers = [one for one in (_noon(chance).weather for _ in range(STATIONS_COUNT)) if one is not None]
    return FireIndex(
        year_of_a_station_s=_median(lambda: run_days(noons, turns, last=last, missed_days=3)),
        day_of_stations_s=_median(lambda: _day(weathers)),
        pick_day_s=_median(_pick_of(chance)),
        keep_stations_s=_keep(chance),
    )


def _noon(chance: random.Random) -> Noon:
    rain_mm = max(0.0, chance.gauss(-5, 8))
    return Noon(chance.uniform(-5, 35), chance.uniform(10, 100), chance.uniform(0, 40), rain_mm)


def _median(work: Callable[[], object]) -> float:
    took: list[float] = []
    for _ in range(_RUNS):
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return round(statistics.median(took), 6)


def _day(weathers: list[Weather]) -> None:
    for weather in weathers:
        next_day(START, weather, month=5, latitude_deg=31.3)


def _pick_of(chance: random.Random) -> Callable[[], Picked]:
    noon_us = noon_of(FIRST, OFFSET_S)
    begin_us = noon_us - 25 * HOUR_US
    times = [begin_us + number * 10_000_000 for number in range(READINGS_A_DAY + 1_440)]
    readings = Readings(
        temp_c=[(at_us, chance.uniform(10, 20)) for at_us in times],
        rh_pct=[(at_us, chance.uniform(30, 40)) for at_us in times],
        wind_kmh=[(at_us, chance.uniform(5, 20)) for at_us in times],
        rain_mm=[(at_us, number / 100) for number, at_us in enumerate(times)],
    )
    return lambda: pick(readings, noon_us, Limits())


def _keep(chance: random.Random) -> float:
    """Take one day of every station through a database."""
    head = "id,name,gateway,device,latitude_deg,longitude_deg"
    rows = [f"s{number},Ridge {number},g{number},w,31.3,120.6" for number in range(STATIONS_COUNT)]
    settings, now_us = Settings(), noon_of(FIRST, OFFSET_S)
    entries = read_stations("\n".join((head, *rows)).encode(), STATIONS.name, Faults())
    picks = {FIRST: _picked(_noon(chance), now_us)}
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'desk.db'}"
        with open_database(DatabaseSettings(url=url)) as database:
            actor = Actor("benchmark", "console")
            database.run(lambda c: register(c, entries, settings=settings, actor=actor, now_us=now_us))
            stations = database.read(read_all)
            begun = time.perf_counter()
            for one in stations:
                kept = partial(
                    take_picks, station=one, picks=picks, settings=settings, offset_s=OFFSET_S, now_us=now_us
                )
                database.run(kept)
            return round(time.perf_counter() - begun, 3)


def _picked(noon: Noon, at_us: int) -> Picked:
    temp, rh, wind, rain = (
        Judged(value, Verdict.GOOD) for value in (noon.temp_c, noon.rh_pct, noon.wind_kmh, noon.rain_mm)
    )
    return Picked(at_us, temp, rh, wind, rain)

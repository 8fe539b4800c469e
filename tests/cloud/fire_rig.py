"""Stations, their weather, and a pass of the loop on a virtual clock."""

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, cast

from sqlalchemy import Connection, select

from cloud.areas.faults import Faults
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.fire_tables import fire_day
from cloud.desk.changes import Actor
from cloud.errors import CloudError, DatabaseRefusedError
from cloud.fire.noon import HOUR_US, noon_of
from cloud.fire.registry import register
from cloud.fire.stations import Outcome, check_references, read_stations
from cloud.fire.worker import Watch
from cloud.influx.query import InfluxReader, Series
from cloud.settings import Settings

OFFSET_S = 8 * 3_600
FIRST = date(2026, 4, 13)
CONSOLE = Actor("console test", "console")
HEAD = "id,name,gateway,device,latitude_deg,longitude_deg"
ROW = "s1,Ridge,gate-east,weather,31.3,120.6"
_SPAN = re.compile(r"time >= (\d+)u AND time < (\d+)u")


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def moment_us(number: int, hour: float) -> int:
    """An hour of a day, local standard time."""
    return noon_of(day(number), OFFSET_S) + round((hour - 12) * HOUR_US)


class Sky:
    """Answers for an InfluxDB with the readings that were put in; all stations have the same weather.

    Attributes:
        clock: what is later has not been read yet.
        error: raised in place of an answer.
        refused: a device of which every question is refused.
        asked: how many questions.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.rows: dict[int, dict[str, float]] = {}
        self.clock = clock
        self.error: CloudError | None = None
        self.refused = ""
        self.asked = 0

    def put(self, at_us: int, **values: float) -> None:
        self.rows.setdefault(at_us, {}).update(values)

    def fine(self, number: int, **changed: float) -> None:
        """A day's readings, every three hours until 15 h; `changed` at all of them."""
        for hour in range(0, 16, 3):
            values = {
                "temperature": 14 + hour / 4,
                "humidity": 60 - hour * 1.5,
                "wind_speed": 5 + hour / 12,
                "rain": 0.0,
            }
            self.put(moment_us(number, hour), **(values | changed))
        self.put(moment_us(number, 14), **({"temperature": 20.0, "humidity": 41.0, "wind_speed": 6.0} | changed))

    async def query(self, influxql: str) -> list[Series]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        if self.refused and f"'{self.refused}'" in influxql:
            raise DatabaseRefusedError("the answer is too long")
        found = _SPAN.search(influxql)
        assert found, influxql
        begin, end = int(found[1]), int(found[2])
        rows = [(at, values) for at, values in sorted(self.rows.items()) if begin <= at < end and at <= self.clock()]
        if "last(" in influxql:
            counts = [(at, values["rain"]) for at, values in rows if "rain" in values]
            return [Series("telemetry", {}, ("time", "last"), [[*counts[-1]]])] if counts else []
        names = re.findall(r'"(\w+)" AS', influxql)
        values = [[at, *(row.get(name) for name in names)] for at, row in reversed(rows)]
        return [Series("telemetry", {}, ("time", *names), values)] if values else []


class Post:
    """A desk's database with a station, the weather, and the loop's pass."""

    def __init__(self, database: Database, settings: Settings | None = None) -> None:
        self.database = database
        self.settings = settings or Settings()
        self.sky = Sky(lambda: self.now_us)
        self.now_us = moment_us(0, 0)
        self.watch = self.make_watch()

    def make_watch(self) -> Watch:
        """Another worker, or the same after a restart."""
        reader = cast("InfluxReader", self.sky)
        database = PersistentDatabase(self.database, counters=Counters())
        return Watch(database, reader, self.settings, clock=lambda: self.now_us)

    def register(self, text: str = f"{HEAD}\n{ROW}\n") -> Outcome:
        faults = Faults()
        entries = read_stations(text.encode(), "stations.csv", faults)

        def work(connection: Connection) -> Outcome:
            check_references(connection, entries, faults)
            faults.settle()
            return register(connection, entries, settings=self.settings, actor=CONSOLE, now_us=self.now_us)

        return self.database.run(work)

    async def pass_at(self, number: int, hour: float) -> None:
        """Move the clock and do all that is due."""
        self.now_us = moment_us(number, hour)
        while await self.watch.run_pass():
            pass

    def days(self) -> list[Mapping[str, Any]]:
        query = select(fire_day).order_by(fire_day.c.station, fire_day.c.day)
        return self.database.read(lambda connection: [dict(row) for row in connection.execute(query).mappings()])

    def rules(self) -> str:
        return " ".join(row["rule"][0] for row in self.days())

    def codes(self) -> list[tuple[Any, ...]]:
        """What came out of the days, without when they were looked at."""
        return [tuple(value for name, value in row.items() if name != "picked_at_us") for row in self.days()]

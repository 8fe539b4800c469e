"""Reports of 7 000 vehicles through the worker of vehicles, as fast as it takes them, on both servers.

`BENCH_POSITIONS` reports (21 000 unless said: three of each vehicle), a message each, wait in the queue as ingest keeps
them; every vehicle has a fence of its fleet and one of its own, and one in a hundred leaves its fence. Counted is from
the first to the last transaction, the writing of alarms included; the processor's time is this process's alone.
"""

import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import Connection, func, insert, make_url, select

from cloud.database import Database
from cloud.database.area_tables import area
from cloud.database.tables import occurrence
from cloud.database.vehicle_tables import vehicle, vehicle_position
from cloud.desk.changes import Actor
from cloud.feed import queue
from cloud.feed.queue import Waiting
from cloud.feed.sorting import Trade, write_samples
from cloud.geo import Spot, destination
from cloud.settings import Settings
from cloud.vehicles.drawing import draw_fence
from cloud.vehicles.fences import Fence, Rule
from cloud.vehicles.hours import ALWAYS_WEEKDAYS
from cloud.vehicles.keeping import FenceCache
from cloud.vehicles.worker import judge
from contract.telemetry import Point, Sample
from langyan.postgres import Postgres

REPORTS = int(os.environ.get("BENCH_POSITIONS", "21000"))
VEHICLES = 7_000
FLEETS = 50
GATEWAYS = 20
NOW_US = 1_790_000_000_000_000
CENTRE = Spot(31.3, 120.6)
_PIECE = 500
_OWN_FENCES = 700


class Positions(Struct, frozen=True):
    """On one server."""

    server: str
    reports: int
    seconds: float
    reports_a_second: float
    cpu_ms_a_report: float
    alarms: int


class Result(Struct, frozen=True):
    """On both."""

    vehicles: int
    fences: int
    positions: tuple[Positions, ...]


def measure() -> Result:
    """Measure on SQLite and on PostgreSQL."""
    found = []
    for name, url in _servers():
        with Database(make_url(url)) as database:
            database.migrate()
            _lay_out(database)
            found.append(_run(name, database))
    return Result(VEHICLES, FLEETS + _OWN_FENCES, tuple(found))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="langyan-vehicles-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _servers() -> Iterator[tuple[str, Any]]:
    with _folder() as folder:
        yield "sqlite", f"sqlite:///{folder}/desk.db"
    with _folder() as folder, Postgres(folder / "server") as server:
        yield "postgresql", make_url(server.make_database("vehicles")).set(password=server.password)


def _lay_out(database: Database) -> None:
    """Make an area, the vehicles, and their fences."""
    city: dict[str, Any] = {"id": "city", "parent": None, "level": "city", "name": "city", "path": "city/"}
    rows = [
        {"id": f"v-{n}", "plate": f"苏E·{n:05}", "name": "", "kind": "bus", "fleet": f"fleet-{n % FLEETS}",
         "area": "city", "gateway": f"gw-{n % GATEWAYS}", "device": f"t-{n}", "guarded": True,
         "weekdays": ALWAYS_WEEKDAYS, "begins": None, "ends": None}
        for n in range(VEHICLES)
    ]  # fmt: skip
    wide = [
        Fence(f"fleet-{n}", "", "city", Rule.STAY, fleet=f"fleet-{n}", center=CENTRE, radius_m=20_000.0)
        for n in range(FLEETS)
    ]
    corners = tuple(destination(CENTRE, 10 * n, 25_000) for n in range(36))
    own = [Fence(f"own-{n}", "", "city", Rule.STAY, vehicle=f"v-{n}", outline=corners) for n in range(_OWN_FENCES)]
    settings = Settings()

    def work(connection: Connection) -> None:
        none = {"latitude_deg": None, "longitude_deg": None, "outline": None}
        connection.execute(insert(area), [city | none])
        connection.execute(insert(vehicle), rows)
        connection.execute(insert(vehicle_position), [{"vehicle": row["id"]} for row in rows])
        for fence in (*wide, *own):
            draw_fence(connection, fence, actor=Actor("bench", "bench"), desk=settings.desk, now_us=NOW_US)

    database.run(work)
    waiting = list(_reports())
    for start in range(0, len(waiting), _PIECE):
        piece = waiting[start : start + _PIECE]
        database.run(partial(queue.put, waiting=piece, limit=10_000_000))


def _reports() -> Iterator[Waiting]:
    luck = random.Random(7)  # noqa: S311 - the same every time
    for number in range(REPORTS):
        n, turn = number % VEHICLES, number // VEHICLES
        far_m = 30_000.0 if n % 100 == 0 and turn > 0 else luck.uniform(0, 15_000)
        at_us = NOW_US - 3_600_000_000 + turn * 1_800_000_000 // max(1, REPORTS // VEHICLES)
        spot = destination(CENTRE, n % 360, far_m)
        points = (
            Point("latitude", spot.latitude_deg, "lat"),
            Point("longitude", spot.longitude_deg, "lon"),
            Point("vehicle_speed", 40.0, "km/h"),
            Point("course", 90.0, "deg"),
            Point("fix", True),
            Point("acc", True),
        )
        yield Waiting(Trade.VEHICLES, f"gw-{n % GATEWAYS}", at_us, write_samples([Sample(f"t-{n}", at_us, points)]))


def _run(name: str, database: Database) -> Positions:
    work = partial(
        judge, settings=Settings(), clock=lambda: NOW_US, fences=FenceCache(), zone=ZoneInfo("Asia/Shanghai")
    )

    def step(connection: Connection) -> int:
        taken: Sequence[queue.Observation] = [one for _id, one in queue.take(connection, Trade.VEHICLES)]
        if taken:
            work(connection, taken)
        return len(taken)

    began_s, began_cpu_s, done = time.perf_counter(), time.process_time(), 0
    while count := database.run(step):
        done += count
    seconds, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    alarms = database.read(
        lambda connection: connection.execute(select(func.count()).select_from(occurrence)).scalar_one()
    )
    return Positions(name, done, round(seconds, 2), round(done / seconds, 1), round(cpu_s / done * 1_000, 3), alarms)


if __name__ == "__main__":
    for one in measure().positions:
        print(one)

"""How everything stands, said to a real InfluxDB for a whole city: what it costs, and how soon a change is there.

The city of `benchmarks.city_database` with 1 000 open alarms, inventories of its gateways and 7 000 vehicles. Five
minutes go by on a clock of the benchmark's own, in which every area and site is said once; then alarms are acknowledged
one by one. `share_of_a_core` is this process alone, as if those minutes had taken five minutes.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from msgspec import Struct
from sqlalchemy import Connection, bindparam, insert, make_url, select, update

from benchmarks import city_database
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.area_tables import registered_device
from cloud.database.tables import gateway, occurrence
from cloud.database.vehicle_tables import vehicle, vehicle_position
from cloud.desk.changes import Actor
from cloud.desk.following import begin_here
from cloud.desk.operations import acknowledge
from cloud.influx import open_writer
from cloud.settings import Influx1, Settings
from cloud.state.alarms import READER, AlarmTeller
from cloud.state.reading import read_picture
from cloud.state.things import ThingTeller
from cloud.state.writer import PresentWriter
from langyan.postgres import Postgres
from langyan.servers import Influx

OPEN = 1_000
CLOSED = 20_000
VEHICLES = 7_000
CHANGES = 100
_MINUTES_S = 300
_LOOKS_A_SECOND = 4
_ME = Actor("bench", "bench")


class Standing(Struct, frozen=True):
    """On one server.

    Attributes:
        lines_first: of the first look, which says everything.
        first_s: how long that took.
        lines_a_second: afterwards, mean.
        share_of_a_core: of the process, afterwards.
        alarm_beat_ms: one beat with all open alarms and its slice of areas and sites, median.
        change_p50_ms, change_p99_ms: from a change that is committed until InfluxDB has it, without the wait of at most
            250 ms until it is looked for.
        change_cpu_ms: of the process, mean, the acknowledgement itself included.
    """

    server: str
    lines_first: int
    first_s: float
    lines_a_second: float
    share_of_a_core: float
    alarm_beat_ms: float
    change_p50_ms: float
    change_p99_ms: float
    change_cpu_ms: float


class Result(Struct, frozen=True):
    """On both."""

    areas: int
    sites: int
    gateways: int
    devices: int
    vehicles: int
    open_alarms: int
    standing: tuple[Standing, ...]


class _Counting(PresentWriter):
    """Counts what it writes."""

    lines = 0

    async def write(self, lines: Any) -> bool:
        self.lines += len(lines)
        return await super().write(lines)


def measure() -> Result:
    """Measure on SQLite and on PostgreSQL."""
    found = []
    for name, url in _servers():
        with Database(make_url(url)) as database:
            database.migrate()
            _lay_out(database)
            found.append(anyio.run(_run, name, database))
    areas = 1 + city_database.COUNTIES + city_database.TOWNS + city_database.CELLS
    sites = city_database.SITES
    return Result(areas, sites, sites, city_database.DEVICES, VEHICLES, OPEN, tuple(found))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="langyan-standing-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _servers() -> Iterator[tuple[str, Any]]:
    with _folder() as folder:
        yield "sqlite", f"sqlite:///{folder}/desk.db"
    with _folder() as folder, Postgres(folder / "server") as server:
        yield "postgresql", make_url(server.make_database("standing")).set(password=server.password)


def _lay_out(database: Database) -> None:
    city_database.fill(database, alarms=CLOSED + OPEN, still_open=OPEN)
    database.run(_fill_inventories)
    none: dict[str, Any] = {"kind": "bus", "fleet": "", "weekdays": "mon", "area": "county-01"}
    vehicles = [
        none | {"id": f"v-{n}", "plate": f"苏E·{n:05}", "name": "", "gateway": f"gw-{n % 20:04}", "device": f"t-{n}"}
        for n in range(VEHICLES)
    ]
    heard = {"received_at_us": city_database.NOW_US, "at_us": city_database.NOW_US, "speed_kmh": 30.0}
    heard |= {"latitude_deg": 31.3, "longitude_deg": 120.6, "course_deg": 90.0}
    positions = [heard | {"vehicle": row["id"]} for row in vehicles]

    def work(connection: Connection) -> None:
        connection.execute(insert(vehicle), vehicles)
        connection.execute(insert(vehicle_position), positions)
        begin_here(connection, READER)

    database.run(work)


def _fill_inventories(connection: Connection) -> None:
    at = registered_device.c
    found: dict[str, list[dict[str, str]]] = {}
    for of_gateway, device in connection.execute(select(at.gateway, at.device)):
        words = {"id": device, "profile": "heiman/hs1sa", "profile_version": "1", "name": "", "bus": "rs485-1"}
        found.setdefault(of_gateway, []).append(words)
    rows = [{"key": name, "devices": devices} for name, devices in found.items()]
    written = update(gateway).where(gateway.c.id == bindparam("key")).values(inventory=bindparam("devices"))
    connection.execute(written, rows)


async def _run(name: str, database: Database) -> Standing:
    with _folder() as folder, Influx(folder) as influx:
        settings = Settings(influx=Influx1(url=influx.url, database="standing", timeout_s=60))
        async with open_writer(settings.influx) as raw_writer:
            writer = _Counting(raw_writer, batch_lines=settings.influx.batch_lines)
            return await _measure(name, database, writer, settings)


async def _measure(name: str, database: Database, writer: _Counting, settings: Settings) -> Standing:
    now_us = city_database.NOW_US

    def clock() -> int:
        return now_us

    persistent = PersistentDatabase(database, counters=Counters())
    share = persistent, writer, database.read(read_picture), settings, clock
    alarms, things = AlarmTeller(*share), ThingTeller(*share)
    first_s = await _timed(alarms.step) + await _timed(things.step)
    lines_first, began_cpu_s, beats_s = writer.lines, time.process_time(), []
    for look in range(_MINUTES_S * _LOOKS_A_SECOND):
        now_us += 1_000_000 // _LOOKS_A_SECOND
        before = writer.lines
        took_s = await _timed(alarms.step)
        beats_s += [took_s] if writer.lines > before else []
        if look % _LOOKS_A_SECOND == 0:
            await things.step()
    cpu_s, lines = time.process_time() - began_cpu_s, writer.lines - lines_first
    changes_s, began_cpu_s = [], time.process_time()
    for alarm_id in database.read(_open_ids):
        # Too soon for a beat.
        now_us += 1
        database.run(partial(acknowledge, alarm_id=alarm_id, actor=_ME, now_us=now_us))
        changes_s.append(await _timed(alarms.step))
    change_cpu_s = (time.process_time() - began_cpu_s) / len(changes_s)
    cuts = statistics.quantiles(changes_s, n=100)
    return Standing(
        server=name,
        lines_first=lines_first,
        first_s=round(first_s, 2),
        lines_a_second=round(lines / _MINUTES_S, 1),
        share_of_a_core=round(cpu_s / _MINUTES_S, 3),
        alarm_beat_ms=round(statistics.median(beats_s) * 1_000, 1),
        change_p50_ms=round(cuts[49] * 1_000, 1),
        change_p99_ms=round(cuts[98] * 1_000, 1),
        change_cpu_ms=round(change_cpu_s * 1_000, 1),
    )


def _open_ids(connection: Connection) -> list[str]:
    query = select(occurrence.c.alarm_id).where(occurrence.c.closed_at_us.is_(None)).limit(CHANGES)
    return list(connection.execute(query).scalars())


async def _timed(step: Callable[[], Any]) -> float:
    began_s = time.perf_counter()
    await step()
    return time.perf_counter() - began_s


if __name__ == "__main__":
    print(json.dumps([str(one) for one in measure().standing], indent=1))
